//! `divvy vm`: which VMs there are and what they have of a GPU. VMs are made and removed by other tools.

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// List and show VMs
#[derive(Debug, clap::Subcommand)]
pub enum Vm {
    /// List every VM of every server
    List,
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
            Self::List => {
                let vms = cx.client.vms().await?;
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
