//! `divvy partition`: which partitions there are and who has them, and the cure for one that could not be
//! proved clean. Otherwise a partition is never changed by name: GPUs are split, VMs are assigned.

use divvy_api::queries::PartitionQuery;
use divvy_api::requests::Cure;
use divvy_api::words::PartitionState;

use crate::cli::{ChangeOptions, name};
use crate::commands::Context;
use crate::commands::change::{Followed, follow};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{tables, tell};

/// List and cure partitions
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
    /// Try to get a quarantined partition clean again
    ///
    /// Its reset is tried once more. If that does not help, --remake-siblings makes all partitions of its
    /// GPU again; none of them may be assigned then. Nothing is tried while one of them is open.
    Cure {
        /// Its id, or GPU.INDEX with any name of its GPU
        #[arg(value_name = "PARTITION", value_parser = name())]
        partition: String,
        /// Make all partitions of its GPU again
        #[arg(long)]
        remake_siblings: bool,
        #[command(flatten)]
        options: ChangeOptions,
    },
}

impl Partition {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        match self {
            Self::List { gpu, on, state, vm } => {
                let (server, vm) = (on.clone(), vm.clone());
                let query = PartitionQuery { server, vm, state: *state, ..PartitionQuery::default() };
                list(cx, gpu.as_deref(), query).await
            }
            Self::Cure { partition, remake_siblings, options } => {
                cure(cx, partition, *remake_siblings, options).await
            }
        }
    }
}

async fn list(cx: &mut Context, gpu: Option<&str>, query: PartitionQuery) -> Result<Exit, Failure> {
    // The server says which GPU a name means, and that there is none.
    let gpu = match gpu {
        Some(gpu) => Some(cx.client.gpu(gpu).await?.id),
        None => None,
    };
    let partitions = cx.client.partitions(&PartitionQuery { gpu, ..query }).await?;
    let when_empty = "no GPU is partitioned: divvy gpu list shows the valid counts, \
                      divvy gpu partition GPU --count N makes partitions";
    cx.list(&partitions, tables::partitions, when_empty)
}

async fn cure(
    cx: &mut Context,
    partition: &str,
    remake_siblings: bool,
    options: &ChangeOptions,
) -> Result<Exit, Failure> {
    let client = options.client(&cx.client);
    let answer = client.cure(partition, Cure { remake_siblings, dry_run: options.dry_run }).await?;
    if let Followed::ToItsEnd(job) = follow(cx, answer, options).await? {
        if job.is_none() && cx.print.is_for_people() {
            tell::note("nothing to do: it is not quarantined, or its cure is under way");
        }
        // The server took the name, so there is a GPU in it.
        let (gpu, index) = partition.rsplit_once('.').unwrap_or((partition, ""));
        let gpu = Some(cx.client.gpu(gpu).await?.id);
        let query = PartitionQuery { gpu, ..PartitionQuery::default() };
        let mut partitions = cx.client.partitions(&query).await?;
        partitions.retain(|one| one.index.to_string() == index);
        cx.print.document(&partitions, |partitions| tables::partitions(partitions))?;
    }
    Ok(Exit::Done)
}
