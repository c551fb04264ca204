//! `divvy unassign`: takes the partitions of VMs back. When another VM may have one is not known here.

use divvy_api::queries::DryRunQuery;
use divvy_api::requests;

use crate::cli::{ChangeOptions, name};
use crate::commands::change::{Followed, follow};
use crate::commands::{Context, vm};
use crate::exit::Exit;
use crate::failure::Failure;

/// Take the partitions of VMs back
#[derive(Debug, clap::Args)]
pub struct Unassign {
    /// Ids or names
    #[arg(value_name = "VM", value_parser = name(), required = true)]
    vms: Vec<String>,
    #[command(flatten)]
    options: ChangeOptions,
}

impl Unassign {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let dry_run = self.options.dry_run;
        let client = self.options.client(&cx.client);
        let answer = match self.vms.as_slice() {
            [vm] => client.unassign_one(vm, DryRunQuery { dry_run }).await?,
            vms => client.unassign(&requests::Unassign { vms: vms.to_vec(), dry_run }).await?,
        };
        match follow(cx, answer, &self.options).await? {
            Followed::Printed => {}
            Followed::ToItsEnd(_) => vm::print_after(cx, &self.vms).await?,
        }
        Ok(Exit::Done)
    }
}
