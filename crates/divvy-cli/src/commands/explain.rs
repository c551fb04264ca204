//! `divvy explain`: why something is as it is, in sentences, from live state.

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// Say why a VM has no partition, why a GPU cannot be split as wished, or why it is as it is
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// A VM, a GPU, a partition or a server, by id, name or address
    #[arg(value_name = "NAME", value_parser = name())]
    name: String,
}

impl Explain {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let explanation = cx.client.explain(&self.name).await?;
        cx.print.document(&explanation, tables::explanation)?;
        Ok(Exit::Done)
    }
}
