//! NVIDIA's `sriov-manage`, known from outside only: it takes the GPU away from the driver, makes all VFs
//! over `pci-pf-stub`, and gives the GPU back. It has no way to make fewer.
//!
//! ```text
//! unbindLock ─▶ off nvidia ─▶ on pci-pf-stub ─▶ numvfs ─▶ off pci-pf-stub ─▶ on nvidia
//!     └ 0: "Cannot obtain unbindLock"        └ killed here: the GPU stays on pci-pf-stub
//! ```

use divvy_core::pci_address::PciAddress;

use super::{Process, Step, Stop};
use crate::drivers;
use crate::kernel::Function;

pub(super) const PATH: &str = "/usr/lib/nvidia/sriov-manage";

const USAGE: &str = "Usage: sriov-manage <-e|-d> <ssss:bb:dd.f|ALL> [-r 1]\n       sriov-manage -h";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    None,
}

pub(super) fn run(process: &mut Process<'_>, args: &[&str]) -> Step {
    let (wanted, whom) = match args {
        // With `-r 1` it resets the GPU before; nothing of that is to be seen afterwards.
        ["-e", whom] | ["-e", whom, "-r", "1"] => (Wanted::All, *whom),
        ["-d", whom] => (Wanted::None, *whom),
        ["-h"] => {
            process.say(USAGE);
            return Ok(());
        }
        _ => return process.fail(1, USAGE),
    };
    let all = process.gpus_of("nvidia");
    let has_sriov = |pf: &PciAddress| process.with(|state| sriov_total(state, *pf) > 0);
    let able: Vec<PciAddress> = all.into_iter().filter(has_sriov).collect();
    let chosen: Vec<PciAddress> = match whom {
        "ALL" => able,
        _ => able.into_iter().filter(|pf| whom.parse().is_ok_and(|named: PciAddress| named == *pf)).collect(),
    };
    if chosen.is_empty() {
        return process.fail(1, format!("No SR-IOV capable GPU found at {whom}"));
    }
    let mut failed = None;
    for pf in chosen {
        match switch(process, pf, wanted) {
            Err(Stop::Exit(code)) => failed = Some(code),
            other => other?,
        }
    }
    failed.map_or(Ok(()), |code| Err(Stop::Exit(code)))
}

fn sriov_total(state: &crate::machine::State, pf: PciAddress) -> u16 {
    state.kernel.functions.get(&pf).and_then(Function::sriov).map_or(0, |sriov| sriov.spec.total)
}

fn switch(process: &mut Process<'_>, pf: PciAddress, wanted: Wanted) -> Step {
    let verb = if wanted == Wanted::All { "Enabling" } else { "Disabling" };
    process.say(format!("{verb} VFs on {pf}"));
    let faults = process.with(|state| state.faults_of(pf));
    if faults.manage_lies || is_so(process, pf, wanted) {
        return Ok(());
    }
    leave_nvidia(process, pf)?;
    // Over the stub the kernel's own file works: any VFs that are left go first.
    must(process, "sys/bus/pci/drivers/pci-pf-stub/bind", pf, &pf.to_string())?;
    // Nobody knows how it names the stub; chosen: so that nothing of it is left when it dies.
    must(process, &file(pf, "driver_override"), pf, "\n")?;
    if faults.manage_dies {
        return process.fail(1, format!("{pf}: unexpected end"));
    }
    let numvfs = file(pf, "sriov_numvfs");
    must(process, &numvfs, pf, "0")?;
    if wanted == Wanted::All {
        let total = process.with(|state| sriov_total(state, pf));
        must(process, &numvfs, pf, &total.to_string())?;
    }
    must(process, "sys/bus/pci/drivers/pci-pf-stub/unbind", pf, &pf.to_string())?;
    must(process, "sys/bus/pci/drivers/nvidia/bind", pf, &pf.to_string())
}

fn file(pf: PciAddress, name: &str) -> String {
    format!("sys/bus/pci/devices/{pf}/{name}")
}

/// Nothing to do: no VFs to take away, or all of them there and nothing made on any. With types on them
/// it goes through all of it again, and they are lost.
fn is_so(process: &Process<'_>, pf: PciAddress, wanted: Wanted) -> bool {
    process.with(|state| {
        let count = state.kernel.vfs_of(pf).len();
        match wanted {
            Wanted::None => count == 0,
            Wanted::All => count > 0 && drivers::is_untouched(&state.kernel, pf),
        }
    })
}

/// Asks the driver for leave, and takes the GPU off it.
fn leave_nvidia(process: &mut Process<'_>, pf: PciAddress) -> Step {
    let on_nvidia = process.with(|state| {
        state.kernel.functions.get(&pf).is_some_and(|function| function.driver.as_deref() == Some("nvidia"))
    });
    if !on_nvidia {
        return process.fail(1, format!("{pf} is not bound to the nvidia driver"));
    }
    let lock = drivers::unbind_lock(pf);
    must(process, &lock, pf, "1")?;
    if process.read(&lock) != "1" {
        return process.fail(1, format!("Cannot obtain unbindLock for {pf}"));
    }
    must(process, "sys/bus/pci/drivers/nvidia/unbind", pf, &pf.to_string())?;
    must(process, &file(pf, "driver_override"), pf, "pci-pf-stub")
}

/// A write without which it cannot go on.
fn must(process: &mut Process<'_>, path: &str, pf: PciAddress, value: &str) -> Step {
    match process.write(path, value)? {
        Ok(()) => Ok(()),
        Err(error) => process.fail(1, format!("{pf}: {path}: {error}")),
    }
}
