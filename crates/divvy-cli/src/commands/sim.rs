//! `divvy sim`: what only a simulated room can be told. A server with real hardware refuses it.

use clap::ValueEnum;
use divvy_api::requests::SetPower;

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    On,
    Off,
}

impl Sim {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let Self::Power { vm, state } = self;
        let vm = cx.client.sim_power(vm, SetPower { on: *state == State::On }).await?;
        cx.print.document(&vm, |vm| tables::vms(std::slice::from_ref(vm)))?;
        Ok(Exit::Done)
    }
}
