//! `divvy sim`: what only a simulated room can be told. A server with real hardware refuses it.

use clap::ValueEnum;
use divvy_api::requests::{CauseFault, SetPower};

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
    /// Let something go wrong, list what does, or end all of it
    #[command(after_help = FAULTS)]
    Fault {
        /// What goes wrong, or list, or clear
        #[arg(value_name = "FAULT", required = true, value_parser = name())]
        words: Vec<String>,
    },
}

const FAULTS: &str = "\
Faults:
  gpu GPU lose                 it is gone from the bus
  gpu GPU hang-writes          writes to it hang in the kernel
  gpu GPU fail ERRNO           its driver refuses changes: ENOSPC, EIO, a number
  gpu GPU partial N            it makes N partitions and says yes
  gpu GPU slow MS              each write to it takes so much longer
  gpu GPU reset-fails          neither it nor its partitions can be reset
  gpu GPU busy                 a program of the server has it open
  gpu GPU sriov-manage-lies    NVIDIA's program does nothing and says yes
  gpu GPU sriov-manage-dies    NVIDIA's program dies half-way
  gpu GPU wedge                its partitions work for nobody until they are made anew
  gpu GPU lose-profiles        its partitions lose their types and shares
  gpu GPU ecc on|off           its ECC mode is switched, for the next boot
  gpu GPU mig on|off           its MIG mode is switched
  gpu GPU clear                all of that ends for this GPU
  partition GPU.INDEX wedge    one partition works for nobody
  partition GPU.INDEX linger N its driver does not let it go, N times
  vm VM kill                   its QEMU is killed
  server SERVER reboot         power off and on
  server SERVER renumber       the same, and addresses name other GPUs
  server SERVER reload-driver  the drivers of its GPUs are loaded anew
  server SERVER nvidia-driver VERSION
                               the same, with another version of NVIDIA's

GPU is an id, gpu-0123456789abcdef, or SERVER/ADDRESS.";

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
            Self::Fault { words } => fault(&words.join(" "), cx).await,
        }
    }
}

/// Whatever is asked for, the answer is all that goes wrong then.
async fn fault(text: &str, cx: &mut Context) -> Result<Exit, Failure> {
    let faults = match text {
        "list" => cx.client.sim_faults().await?,
        "clear" => cx.client.sim_clear_faults().await?,
        fault => cx.client.sim_cause_fault(&CauseFault { fault: fault.to_owned() }).await?,
    };
    cx.list(&faults, tables::faults, "nothing goes wrong in this room that was caused")
}
