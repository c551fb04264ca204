//! `divvy partition`: which partitions there are and who has them. A partition is never changed by name:
//! GPUs are split, VMs are assigned.

use divvy_api::queries::PartitionQuery;
use divvy_api::words::PartitionState;

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
        /// Only partitions of this server
        #[arg(long, value_name = "SERVER", value_parser = name())]
        on: Option<String>,
        /// Only partitions in this state
        #[arg(long, value_name = "STATE")]
        state: Option<PartitionState>,
        /// Only partitions of this VM
        #[arg(long, value_name = "VM", value_parser = name())]
        vm: Option<String>,
    },
}

impl Partition {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let Self::List { gpu, on, state, vm } = self;
        // The server says which GPU a name means, and that there is none.
        let gpu = match gpu {
            Some(gpu) => Some(cx.client.gpu(gpu).await?.id),
            None => None,
        };
        let (server, vm) = (on.clone(), vm.clone());
        let query = PartitionQuery { server, gpu, vm, state: *state, ..PartitionQuery::default() };
        let partitions = cx.client.partitions(&query).await?;
        let when_empty = "no GPU is partitioned: divvy gpu list shows the valid counts, \
                          divvy gpu partition GPU --count N makes partitions";
        cx.list(&partitions, tables::partitions, when_empty)
    }
}
