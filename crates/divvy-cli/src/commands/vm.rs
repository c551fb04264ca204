//! `divvy vm`: which VMs there are and what they have of a GPU. VMs are made and removed by other tools.

use divvy_api::queries::VmQuery;
use divvy_api::words::Power;

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// List and show VMs
#[derive(Debug, clap::Subcommand)]
pub enum Vm {
    /// List every VM of every server
    List {
        /// Only VMs of this server
        #[arg(long, value_name = "SERVER", value_parser = name())]
        on: Option<String>,
        /// Only VMs in this state
        #[arg(long, value_name = "POWER")]
        power: Option<Power>,
        /// Only VMs to which Divvy has given something (true), or only the others (false)
        #[arg(long, value_name = "FLAG")]
        managed: Option<bool>,
        /// Only VMs with this text in id or name
        #[arg(long, value_name = "TEXT", value_parser = name())]
        find: Option<String>,
    },
    /// Show one VM
    Show {
        /// Id or name
        #[arg(value_name = "VM", value_parser = name())]
        vm: String,
    },
}

impl Vm {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        match self {
            Self::List { on, power, managed, find } => {
                let (server, q) = (on.clone(), find.clone());
                let query = VmQuery { server, power: *power, managed: *managed, q, ..VmQuery::default() };
                let vms = cx.client.vms(&query).await?;
                let when_empty = "no server reports a VM: define one with any libvirt tool; \
                                  divvy check says whether libvirt can be reached";
                cx.list(&vms, tables::vms, when_empty)
            }
            Self::Show { vm } => {
                let vm = cx.client.vm(vm).await?;
                cx.print.document(&vm, tables::vm)?;
                Ok(Exit::Done)
            }
        }
    }
}

/// Prints VMs as they are now, after a change: one as itself, several as a list.
pub async fn print_after(cx: &mut Context, names: &[String]) -> Result<(), Failure> {
    let mut vms = Vec::new();
    for name in names {
        vms.push(cx.client.vm(name).await?);
    }
    match vms.as_slice() {
        [vm] => cx.print.document(vm, |vm| tables::vms(std::slice::from_ref(vm))),
        vms => cx.print.document(vms, tables::vms),
    }
}
