//! Turning on the virtual functions of an NVIDIA GPU, which its driver leaves to a program of its own.
//! The program takes the GPU from the driver, has the functions made, all that there can be, and gives
//! the GPU back. What it says of that is not believed: it ends well without functions, or leaves the GPU
//! half way.
//!
//! ```text
//! no functions ── sriov-manage -e ─▶ busy: try again │ half way: give the GPU back to its driver
//!                                  │ functions come, each with the driver's files ─▶ done
//! ```

use std::collections::BTreeMap;

use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;

use super::{DRIVER, interface};
use crate::attribute;
use crate::error::{HostError, Verb};
use crate::execute::kernel::{Kernel, Said};
use crate::paths;
use crate::vfio;

/// How often the program is run while other programs hold the GPU for a moment.
const TRIES: u32 = 5;
/// What it says then.
const BUSY: &str = "Cannot obtain unbindLock";

/// The virtual functions by index, turned on where they are not.
pub(crate) fn functions(
    kernel: &Kernel<'_>,
    gpu: PciAddress,
) -> Result<BTreeMap<PartitionIndex, PciAddress>, HostError> {
    let verb = Verb::Enable;
    if kernel.count(verb, gpu)? == 0 {
        kernel.refuse_if_any_open(verb, gpu)?;
        give_back(kernel, gpu)?;
        let said = run(kernel, gpu)?;
        give_back(kernel, gpu)?;
        // It ends well without functions too, and when it has ended, no more will come.
        if kernel.count(verb, gpu)? == 0 {
            return Err(failed(kernel, said));
        }
    } else {
        give_back(kernel, gpu)?;
    }
    wait(kernel, gpu)?;
    kernel.partitions(verb, gpu)
}

fn run(kernel: &Kernel<'_>, gpu: PciAddress) -> Result<Said, HostError> {
    let verb = Verb::Enable;
    // The functions have to get NVIDIA's driver when they come.
    let autoprobe = paths::autoprobe(gpu);
    if !kernel.look(verb, attribute::switch(kernel.sys, &autoprobe))? {
        kernel.write_and_read_back(verb, &autoprobe, "1")?;
    }
    for _ in 1..TRIES {
        let said = kernel.run(verb, &kernel.limits.sriov_manage, &["-e", &gpu.to_string()])?;
        if !said.text.contains(BUSY) || kernel.count(verb, gpu)? > 0 {
            return Ok(said);
        }
        kernel.pause();
    }
    let said = kernel.run(verb, &kernel.limits.sriov_manage, &["-e", &gpu.to_string()])?;
    if said.text.contains(BUSY) { Err(failed(kernel, said)) } else { Ok(said) }
}

fn failed(kernel: &Kernel<'_>, said: Said) -> HostError {
    let program = kernel.limits.sriov_manage.to_string();
    HostError::ProgramFailed { verb: Verb::Enable, program, code: said.code, said: said.text }
}

/// Where the program died half way, the GPU has the stub or no driver. The stub does nothing with it, so
/// nobody can have it in use.
fn give_back(kernel: &Kernel<'_>, gpu: PciAddress) -> Result<(), HostError> {
    let verb = Verb::Enable;
    match kernel.look(verb, vfio::driver(kernel.sys, gpu))?.as_deref() {
        Some(paths::PF_STUB) => kernel.write(verb, &paths::unbind(gpu), &gpu.to_string())?,
        Some(_) => return Ok(()),
        None => {}
    }
    kernel.write(verb, &paths::bind(DRIVER), &gpu.to_string())
}

/// Until each function has its driver's files.
fn wait(kernel: &Kernel<'_>, gpu: PciAddress) -> Result<(), HostError> {
    let verb = Verb::Enable;
    kernel.wait_until(verb, || {
        let driver = kernel.look(verb, vfio::driver(kernel.sys, gpu))?;
        if driver.as_deref() != Some(DRIVER) {
            let driver = driver.unwrap_or_else(|| "no driver".to_owned());
            return Ok(Some(format!("{gpu} has {driver} instead of {DRIVER}")));
        }
        let count = kernel.count(verb, gpu)?;
        let functions = kernel.partitions(verb, gpu)?;
        if count == 0 || functions.len() != usize::from(count) {
            let linked = functions.len();
            return Ok(Some(format!("{gpu} says {count} virtual functions, {linked} are linked")));
        }
        let without = functions.values().find(|function| interface(kernel.sys, **function).is_none());
        Ok(without.map(|function| format!("the virtual function {function} has no files of NVIDIA's driver")))
    })
}
