//! `divvy gpu`: which GPUs there are, what one of them is, and into how many partitions it is split.

use divvy_api::queries::GpuQuery;
use divvy_api::requests::{GpuSelection, SetPartitionCount, SetPartitionCounts};
use divvy_api::views::{GpuView, JobView};
use divvy_api::words::Mode;

use crate::cli::{ChangeOptions, name};
use crate::commands::Context;
use crate::commands::change::{Followed, follow};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// List, show and partition GPUs
#[derive(Debug, clap::Subcommand)]
pub enum Gpu {
    /// List every GPU of every server
    List {
        /// Only GPUs of this server
        #[arg(long, value_name = "SERVER", value_parser = name())]
        on: Option<String>,
        /// Only GPUs in this mode
        #[arg(long, value_name = "MODE")]
        mode: Option<Mode>,
        /// Only GPUs with this text in id, name, model or serial number
        #[arg(long, value_name = "TEXT", value_parser = name())]
        find: Option<String>,
    },
    /// Show one GPU
    Show {
        /// Id, name or address
        #[arg(value_name = "GPU", value_parser = name())]
        gpu: String,
    },
    Partition(Split),
}

/// Split GPUs into partitions, or stop splitting them
///
/// A count that is not valid for a GPU, or a GPU whose partitions are assigned or in use, is refused
/// before any hardware is touched. The count is there again after a reboot, before any VM starts.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("setting").required(true).args(["count", "sizes", "off"]))]
pub struct Split {
    /// Ids, names or addresses
    #[arg(value_name = "GPU", value_parser = name(), required_unless_present = "all", conflicts_with = "all")]
    gpus: Vec<String>,
    /// How many partitions; divvy gpu show GPU lists the valid counts
    #[arg(long, value_name = "N")]
    count: Option<u16>,
    /// Partitions of different sizes, where the GPU's driver can: of the sizes 2,4,4 the first is as large as
    /// each of two partitions, the others as large as each of four
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    sizes: Vec<u16>,
    /// No partitions any more
    #[arg(long)]
    off: bool,
    /// Every GPU of every server that can be partitioned
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Gpu {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        match self {
            Self::List { on, mode, find } => {
                let query =
                    GpuQuery { server: on.clone(), mode: *mode, q: find.clone(), ..GpuQuery::default() };
                let gpus = cx.client.gpus(&query).await?;
                cx.list(&gpus, tables::gpus, "no server reports a GPU: divvy check says what to look at")
            }
            Self::Show { gpu } => {
                let gpu = cx.client.gpu(gpu).await?;
                cx.print.document(&gpu, tables::gpu)?;
                Ok(Exit::Done)
            }
            Self::Partition(split) => split.run(cx).await,
        }
    }
}

impl Split {
    async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let dry_run = self.options.dry_run;
        let client = self.options.client(&cx.client);
        let (count, off) = (self.count, self.off);
        let sizes = (!self.sizes.is_empty()).then(|| self.sizes.clone());
        let answer = match self.gpus.as_slice() {
            [gpu] => {
                let request = SetPartitionCount { count, sizes, off, dry_run };
                client.set_partition_count(gpu, &request).await?
            }
            _ => {
                let gpus = if self.all { GpuSelection::All } else { GpuSelection::Named(self.gpus.clone()) };
                let request = SetPartitionCounts { gpus, count, sizes, off, dry_run };
                client.set_partition_counts(&request).await?
            }
        };
        match follow(cx, answer, &self.options).await? {
            Followed::Printed => {}
            Followed::ToItsEnd(job) => self.print_after(cx, job).await?,
        }
        Ok(Exit::Done)
    }

    /// Prints the GPUs as they are now: one as itself, several as a list.
    async fn print_after(&self, cx: &mut Context, job: Option<JobView>) -> Result<(), Failure> {
        if let [gpu] = self.gpus.as_slice() {
            let gpu = cx.client.gpu(gpu).await?;
            return cx.print.document(&gpu, |gpu| tables::gpus(std::slice::from_ref(gpu)));
        }
        let mut gpus = Vec::new();
        if self.all {
            gpus = cx.client.gpus(&GpuQuery::default()).await?;
            gpus.retain(|gpu| was_meant(gpu, job.as_ref()));
        }
        for gpu in &self.gpus {
            gpus.push(cx.client.gpu(gpu).await?);
        }
        cx.print.document(gpus.as_slice(), tables::gpus)
    }
}

/// Whether a change of all GPUs was about this one: the job says so, and without a job, its mode.
fn was_meant(gpu: &GpuView, job: Option<&JobView>) -> bool {
    match job {
        Some(job) => job.targets.iter().any(|target| target.gpu.as_ref() == Some(&gpu.id)),
        None => matches!(gpu.mode, Mode::Partitioned | Mode::Partitionable),
    }
}
