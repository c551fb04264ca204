//! `divvy usage`: how busy GPUs and partitions are and how much memory they use, and with `--watch` again and
//! again. Watching ends when the reader goes away, or when the server does not answer.

use std::time::Duration;

use divvy_api::queries::UsageQuery;
use tokio::time::sleep;

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// To the top of an empty screen; left out where stdout is no terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Show how busy GPUs and partitions are, and how much memory they use
///
/// As far as the GPU's driver tells: of a GPU of which it tells nothing, the reason is shown. Below each GPU
/// stand the partitions that a VM uses now.
#[derive(Debug, clap::Args)]
pub struct Usage {
    /// Only the GPUs of this server
    #[arg(long, value_name = "SERVER", value_parser = name())]
    on: Option<String>,
    /// Only this GPU and its partitions
    #[arg(long, value_name = "GPU", value_parser = name())]
    gpu: Option<String>,
    /// Look again every two seconds; with -o json, one document per line
    #[arg(long)]
    watch: bool,
}

impl Usage {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        // The server says which GPU a name means, and that there is none.
        let gpu = match &self.gpu {
            Some(gpu) => Some(cx.client.gpu(gpu).await?.id),
            None => None,
        };
        let query = UsageQuery { server: self.on.clone(), gpu, ..UsageQuery::default() };
        let mut usage = cx.client.usage(&query).await?;
        if !self.watch {
            return cx.list(&usage, tables::usage, "there is no GPU: divvy check says what is missing");
        }
        loop {
            if cx.print.is_for_people() {
                cx.print.write(CLEAR)?;
            }
            cx.print.next_document(&usage, |usage| tables::usage_now(usage))?;
            if cx.print.is_closed() {
                return Ok(Exit::Done);
            }
            sleep(PAUSE).await;
            usage = cx.client.usage(&query).await?;
        }
    }
}
