//! Turning on, and off, the virtual functions of an NVIDIA GPU, which its driver leaves to a program of its own.
//! The program takes the GPU from the driver, has the functions made, all that there can be, and gives
//! the GPU back. What it says of that is not believed: it ends well without functions, or leaves the GPU
//! half way.
//!
//! ```text
//! no functions ── sriov-manage -e ─▶ busy: try again │ half way: give the GPU back to its driver
//!                                  │ functions come, each with the driver's files ─▶ done
//! some of them ── sriov-manage -d ─▶ none ─▶ as above, if nothing is made on them
//! ```

use std::collections::BTreeMap;

use divvy_core::device::MdevUuid;
use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;
use divvy_core::step::Outcome;
use nix::errno::Errno;

use super::{DRIVER, interface};
use crate::attribute::{self, AttributeError, optional};
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
    let total: u16 = kernel.look(verb, attribute::decimal(kernel.sys, &paths::total_vfs(gpu)))?;
    let count = kernel.count(verb, gpu)?;
    // Another hand stopped half way, and the program calls it done.
    if count > 0 && count < total && made_on(kernel, verb, gpu)?.is_none() {
        off(kernel, verb, gpu)?;
    }
    if kernel.count(verb, gpu)? == 0 {
        kernel.refuse_if_any_open(verb, gpu)?;
        give_back(kernel, verb, gpu)?;
        let said = turn_on(kernel, gpu)?;
        give_back(kernel, verb, gpu)?;
        // It ends well without functions too, and when it has ended, no more will come.
        if kernel.count(verb, gpu)? == 0 {
            return Err(failed(kernel, verb, said));
        }
    } else {
        give_back(kernel, verb, gpu)?;
    }
    wait(kernel, gpu)?;
    kernel.partitions(verb, gpu)
}

/// Takes all of them away, if nothing is made on them and nobody has one open; the GPU is on its driver
/// afterwards.
pub(crate) fn off(kernel: &Kernel<'_>, verb: Verb, gpu: PciAddress) -> Result<Outcome, HostError> {
    if kernel.count(verb, gpu)? == 0 && kernel.partitions(verb, gpu)?.is_empty() {
        return Ok(Outcome::Already);
    }
    if let Some(path) = made_on(kernel, verb, gpu)? {
        return Err(HostError::OtherCount { verb, path, expected: 0, found: 1 });
    }
    off_with_all(kernel, verb, gpu)
}

/// Whether the driver does nothing more with a partition, as after the QEMU that had it was killed. It is
/// gone when its function goes, and not before.
pub(crate) fn is_wedged(error: &HostError) -> bool {
    matches!(error, HostError::Kernel { cause, .. } if cause.raw_os_error() == Some(Errno::EIO as i32))
}

/// The same with whatever is made on the functions, which goes with them.
pub(crate) fn off_with_all(kernel: &Kernel<'_>, verb: Verb, gpu: PciAddress) -> Result<Outcome, HostError> {
    kernel.refuse_if_any_open(verb, gpu)?;
    give_back(kernel, verb, gpu)?;
    let said = run(kernel, verb, gpu, "-d", |left| left == 0)?;
    give_back(kernel, verb, gpu)?;
    if said.code != Some(0) && kernel.count(verb, gpu)? > 0 {
        return Err(failed(kernel, verb, said));
    }
    kernel.wait_until(verb, || {
        let left = kernel.count(verb, gpu)?.into();
        let left = kernel.partitions(verb, gpu)?.len().max(left);
        if left > 0 {
            return Ok(Some(format!(
                "{gpu} still has {left} functions, and the program said {:?}",
                said.text
            )));
        }
        let driver = kernel.look(verb, vfio::driver(kernel.sys, gpu))?;
        Ok((driver.as_deref() != Some(DRIVER)).then(|| format!("{gpu} is not back on {DRIVER}")))
    })?;
    Ok(Outcome::Changed)
}

/// What is made on one of the functions: the path that shows it.
fn made_on(kernel: &Kernel<'_>, verb: Verb, gpu: PciAddress) -> Result<Option<String>, HostError> {
    for function in kernel.partitions(verb, gpu)?.values() {
        let path = paths::current_type(*function);
        let current = kernel.look(verb, optional(kernel.text(&path)))?;
        if current.is_some_and(|id| id != "0") {
            return Ok(Some(path));
        }
        let path = paths::device(*function);
        let names = kernel.sys.list(&path).map_err(|cause| AttributeError::unreadable(&path, cause));
        let names = kernel.look(verb, names)?;
        if names.iter().any(|name| name.parse::<MdevUuid>().is_ok()) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn turn_on(kernel: &Kernel<'_>, gpu: PciAddress) -> Result<Said, HostError> {
    let verb = Verb::Enable;
    // The functions have to get NVIDIA's driver when they come.
    let autoprobe = paths::autoprobe(gpu);
    if !kernel.look(verb, attribute::switch(kernel.sys, &autoprobe))? {
        kernel.write_and_read_back(verb, &autoprobe, "1")?;
    }
    run(kernel, verb, gpu, "-e", |count| count > 0)
}

/// The program, again and again while others hold the GPU and the count is not as it shall be.
fn run(
    kernel: &Kernel<'_>,
    verb: Verb,
    gpu: PciAddress,
    what: &str,
    is_so: impl Fn(u16) -> bool,
) -> Result<Said, HostError> {
    for _ in 1..TRIES {
        let said = kernel.run(verb, &kernel.limits.sriov_manage, &[what, &gpu.to_string()])?;
        if !is_busy(&said.text) || is_so(kernel.count(verb, gpu)?) {
            return Ok(said);
        }
        kernel.pause();
    }
    let said = kernel.run(verb, &kernel.limits.sriov_manage, &[what, &gpu.to_string()])?;
    if is_busy(&said.text) { Err(failed(kernel, verb, said)) } else { Ok(said) }
}

/// Whether the program says that it did not get the GPU, and that another try may.
pub fn is_busy(said: &str) -> bool {
    said.contains(BUSY)
}

fn failed(kernel: &Kernel<'_>, verb: Verb, said: Said) -> HostError {
    let program = kernel.limits.sriov_manage.to_string();
    HostError::ProgramFailed { verb, program, code: said.code, said: said.text }
}

/// Where the program died half way, the GPU has the stub or no driver. The stub does nothing with it, so
/// nobody can have it in use.
fn give_back(kernel: &Kernel<'_>, verb: Verb, gpu: PciAddress) -> Result<(), HostError> {
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
