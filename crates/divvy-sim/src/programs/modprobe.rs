//! `modprobe` for GIM, whose number of VFs is a parameter of its loading and of nothing else.
//!
//! ```text
//! modprobe -r gim ─▶ VFs gone, driver gone │ modprobe gim vf_num=8,1 ─▶ as many VFs, GPU by GPU
//! ```

use divvy_core::pci_address::PciAddress;

use crate::drivers::GIM;
use crate::operation::Operation;

use super::{Process, Step};

pub(super) fn run(process: &mut Process<'_>, args: &[&str]) -> Step {
    match args {
        ["-r", GIM] => unload(process),
        [GIM, parameters @ ..] => load(process, parameters),
        _ => process.fail(1, format!("modprobe: FATAL: Module {} not found.", args.join(" "))),
    }
}

fn unload(process: &mut Process<'_>) -> Step {
    let gpus = process.gpus_of(GIM);
    let in_use = process.with(|state| gpus.iter().any(|pf| crate::drivers::users(&state.kernel, *pf) > 0));
    if in_use {
        return process.fail(1, format!("modprobe: FATAL: Module {GIM} is in use."));
    }
    if !process.with(|state| state.kernel.drivers.contains_key(GIM)) {
        return Ok(());
    }
    for pf in gpus {
        // One that the driver does not have is none of its business.
        let _ = process.perform(pf, Operation::Unbind(GIM.to_owned()))?;
    }
    process.with(|state| {
        state.kernel.unload_driver(GIM);
        state.kernel.memory.unloaded.insert(GIM.to_owned());
    });
    Ok(())
}

/// A module that is loaded stays as it is, whatever the parameters: `modprobe` says nothing.
fn load(process: &mut Process<'_>, parameters: &[&str]) -> Step {
    if process.with(|state| state.kernel.drivers.contains_key(GIM)) {
        return Ok(());
    }
    let mut counts = Vec::new();
    for parameter in parameters {
        let Some(numbers) = parameter.strip_prefix("vf_num=") else { continue };
        for number in numbers.split(',') {
            match number.parse::<u16>() {
                Ok(count @ 1..=31) => counts.push(count),
                _ => {
                    let text = format!("modprobe: ERROR: could not insert '{GIM}': Invalid argument");
                    return process.fail(1, text);
                }
            }
        }
    }
    process.with(|state| {
        let known = state.spec.drivers.iter().find(|driver| driver.name == GIM).cloned();
        if let Some(driver) = known {
            state.kernel.memory.gim_counts = counts;
            state.kernel.memory.unloaded.remove(GIM);
            state.kernel.load_driver(&driver);
        }
    });
    for pf in process.gpus_of(GIM) {
        probe(process, pf)?;
    }
    Ok(())
}

/// A GPU whose probe fails is no failure of the module: it stays without a driver.
fn probe(process: &mut Process<'_>, pf: PciAddress) -> Step {
    let faults = process.with(|state| state.faults_of(pf));
    if faults.write_errno.is_some() || faults.lost {
        return Ok(());
    }
    let _ = process.perform(pf, Operation::Probe)?;
    process.with(|state| {
        let count = state.kernel.vfs_of(pf).len();
        if let Some(most) = faults.partial.filter(|most| usize::from(*most) < count) {
            state.kernel.drop_vfs(pf);
            state.kernel.make_vfs(pf, most, &[]);
        }
    });
    Ok(())
}
