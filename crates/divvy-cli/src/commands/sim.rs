//! `divvy sim`: what only a simulated room can be told. A server with real hardware refuses it.

use clap::ValueEnum;
use divvy_api::requests::{SetFault, SetPower};

use crate::cli::name;
use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// Steer a simulated machine room
#[derive(Debug, clap::Subcommand)]
pub enum Sim {
    /// Press the power button of a VM
    Power {
        /// Id or name
        #[arg(value_name = "VM", value_parser = name())]
        vm: String,
        state: State,
    },
    /// Let something happen to a GPU, a partition, a VM or a server
    ///
    /// gpu GPU lose | hang-writes | fail ERRNO | partial N | reset-fails | slow MS | busy | clear;
    /// partition GPU.INDEX wedge | linger N; vm VM kill; server SERVER reboot | renumber | reload-driver;
    /// clear. A GPU is named by its id or as SERVER/ADDRESS.
    Fault {
        #[arg(value_name = "WORD", value_parser = name(), required = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    On,
    Off,
}

impl Sim {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        match self {
            Self::Power { vm, state } => {
                let vm = cx.client.sim_power(vm, SetPower { on: *state == State::On }).await?;
                cx.print.document(&vm, |vm| tables::vms(std::slice::from_ref(vm)))?;
                Ok(Exit::Done)
            }
            Self::Fault { words } => {
                let faults = cx.client.sim_fault(&SetFault { fault: words.join(" ") }).await?;
                cx.list(&faults, |faults| faults.join("\n"), "nothing is switched on in the room")
            }
        }
    }
}
