//! `divvy partition`: which partitions there are and who has them. A partition is never changed by name:
//! GPUs are split, VMs are assigned.

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// List partitions
#[derive(Debug, clap::Subcommand)]
pub enum Partition {
    /// List every partition, with the VM that has it
    List {
        /// Only the partitions of this GPU
        #[arg(long, value_name = "GPU", value_parser = name())]
        gpu: Option<String>,
    },
}

impl Partition {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let Self::List { gpu } = self;
        // The server says which GPU a name means, and that there is none.
        let gpu = match gpu {
            Some(gpu) => Some(cx.client.gpu(gpu).await?),
            None => None,
        };
        let mut partitions = cx.client.partitions().await?;
        partitions.retain(|partition| gpu.as_ref().is_none_or(|gpu| partition.gpu == gpu.id));
        let when_empty = "no GPU is partitioned: divvy gpu list shows the valid counts, \
                          divvy gpu partition GPU --count N makes partitions";
        cx.list(&partitions, tables::partitions, when_empty)
    }
}
