//! `divvy dda`: gives VMs whole GPUs and takes them back. Which GPUs of a pool they are is the server's
//! choice.

use divvy_api::queries::DryRunQuery;
use divvy_api::requests::AssignDda;

use crate::cli::{ChangeOptions, name};
use crate::commands::change::{Followed, follow};
use crate::commands::{Context, vm};
use crate::exit::Exit;
use crate::failure::Failure;

/// Give VMs whole GPUs, and take them back
#[derive(Debug, clap::Subcommand)]
pub enum Dda {
    Assign(Assign),
    /// Take the whole GPUs of a VM back; the server's own drivers get them again
    Unassign {
        /// Id or name
        #[arg(value_name = "VM", value_parser = name())]
        vm: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
}

/// Give a VM whole GPUs, with everything in their slots
///
/// The server loses them until they are taken back, and again after each reboot, before any VM starts. A
/// GPU that is partitioned, in another VM, or in an IOMMU group with something else is refused.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["gpus", "pool"]))]
pub struct Assign {
    /// Id or name
    #[arg(value_name = "VM", value_parser = name())]
    vm: String,
    /// A GPU of the VM's server; may be given again
    #[arg(long = "gpu", value_name = "GPU", value_parser = name())]
    gpus: Vec<String>,
    /// Any free GPU of this pool on the VM's server
    #[arg(long, value_name = "POOL", value_parser = name())]
    pool: Option<String>,
    /// How many GPUs of the pool [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "gpus")]
    count: Option<u16>,
    /// Pick them whenever the VM starts; off, it has none and others can have them
    #[arg(long, conflicts_with = "gpus")]
    at_start: bool,
    /// Go on in spite of a finding that may be accepted, by its code; may be given again
    #[arg(long, value_name = "FINDING", value_parser = name())]
    accept: Vec<String>,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Dda {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let (name, answer, options) = match self {
            Self::Assign(assign) => (&assign.vm, assign.ask(cx).await?, &assign.options),
            Self::Unassign { vm, options } => {
                let query = DryRunQuery { dry_run: options.dry_run };
                (vm, options.client(&cx.client).unassign_dda(vm, query).await?, options)
            }
        };
        match follow(cx, answer, options).await? {
            Followed::Printed => {}
            Followed::ToItsEnd(_) => vm::print_after(cx, std::slice::from_ref(name)).await?,
        }
        Ok(Exit::Done)
    }
}

impl Assign {
    async fn ask(&self, cx: &Context) -> Result<divvy_api::views::Answer, Failure> {
        let request = AssignDda {
            gpus: self.gpus.clone(),
            pool: self.pool.clone(),
            count: self.count,
            at_start: self.at_start,
            accept: self.accept.clone(),
            dry_run: self.options.dry_run,
        };
        Ok(self.options.client(&cx.client).assign_dda(&self.vm, &request).await?)
    }
}
