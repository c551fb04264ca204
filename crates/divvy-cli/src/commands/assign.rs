//! `divvy assign`: gives VMs a partition each. Which one is the server's choice; asking for a certain one
//! is passed on, so that the refusal and its reason come from where the rule is.

use divvy_api::requests;

use crate::cli::{ChangeOptions, name};
use crate::commands::change::{Followed, follow};
use crate::commands::{Context, vm};
use crate::exit::Exit;
use crate::failure::Failure;

/// Give VMs a partition each; Divvy picks it
#[derive(Debug, clap::Args)]
pub struct Assign {
    /// Ids or names
    #[arg(value_name = "VM", value_parser = name(), required = true)]
    vms: Vec<String>,
    /// The GPU that the partitions shall be of; any of the VM's server when left out
    #[arg(long, value_name = "GPU", value_parser = name())]
    gpu: Option<String>,
    /// Always refused: Divvy picks the partition
    #[arg(long, value_name = "PARTITION", value_parser = name(), hide = true)]
    partition: Option<String>,
    /// Go on in spite of a finding that may be accepted, by its code; may be given again
    #[arg(long, value_name = "FINDING", value_parser = name())]
    accept: Vec<String>,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Assign {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let (gpu, partition, accept) = (self.gpu.clone(), self.partition.clone(), self.accept.clone());
        let dry_run = self.options.dry_run;
        let client = self.options.client(&cx.client);
        let answer = match self.vms.as_slice() {
            [vm] => client.assign_one(vm, &requests::AssignOne { gpu, partition, accept, dry_run }).await?,
            vms => {
                let vms = vms.to_vec();
                client.assign(&requests::Assign { vms, gpu, partition, accept, dry_run }).await?
            }
        };
        match follow(cx, answer, &self.options).await? {
            Followed::Printed => {}
            Followed::ToItsEnd(_) => vm::print_after(cx, &self.vms).await?,
        }
        Ok(Exit::Done)
    }
}
