//! The two steps of a whole GPU: from the server's drivers to VFIO, and back to exactly what it had.
//! All functions of the slot go the same way. Every write has its questions asked right before it: is
//! this still that GPU, has anything the GPU open; the kernel would block in the write instead.
//!
//! ```text
//! give:  no partitions ─▶ group viable ─▶ idle ─▶ NVIDIA's lock ─▶ unbind ─▶ override ─▶ bind
//! back:  closed ─▶ reset ─▶ unbind ─▶ override by name ─▶ bind ─▶ override as it was
//! ```

use std::time::Duration;

use divvy_core::assignment::FormerDriver;
use divvy_core::device::DeviceHandle;
use divvy_core::id::GpuId;
use divvy_core::pci_address::PciAddress;
use divvy_core::step::Outcome;

use super::kernel::{Kernel, refuse_another_count};
use crate::attribute;
use crate::error::{HostError, Verb};
use crate::paths;
use crate::slot;
use crate::users;
use crate::vfio;

/// How often NVIDIA's driver is asked to let a GPU go, each time after twice the wait.
const LOCK_TRIES: u32 = 5;
const LOCK_FIRST_WAIT_LOOKS: u32 = 5;

pub fn give(
    kernel: &Kernel<'_>,
    gpu: &GpuId,
    address: PciAddress,
    functions: &[u8],
) -> Result<Outcome, HostError> {
    let verb = Verb::Give;
    kernel.refuse_another_gpu(verb, address, gpu)?;
    let addresses = refuse_other_slot(kernel, verb, address, functions)?;
    let mut given = true;
    for function in &addresses {
        given &= is(kernel, verb, *function, Some(paths::VFIO_PCI), Some(paths::VFIO_PCI))?;
    }
    if given {
        return Ok(Outcome::Already);
    }
    refuse_partitions(kernel, verb, address)?;
    let strangers = kernel.look(verb, slot::strangers(kernel.sys, &addresses))?;
    if !strangers.is_empty() {
        return Err(HostError::GroupShared { verb, address, strangers });
    }
    kernel.refuse_missing_driver(verb, paths::VFIO_PCI)?;
    wait_until_idle(kernel, address)?;
    take_nvidias_lock(kernel, address)?;
    let given = addresses.iter().try_for_each(|function| give_function(kernel, address, *function));
    if given.is_err() {
        release_nvidias_lock(kernel, address);
    }
    given.map(|()| Outcome::Changed)
}

fn give_function(kernel: &Kernel<'_>, gpu: PciAddress, function: PciAddress) -> Result<(), HostError> {
    let verb = Verb::Give;
    let driver = kernel.look(verb, vfio::driver(kernel.sys, function))?;
    let kept = driver.as_deref() == Some(paths::VFIO_PCI);
    if !kept && driver.is_some() {
        refuse_partitions(kernel, verb, gpu)?;
        refuse_open(kernel, Verb::Unload, &[function])?;
        refuse_used(kernel, verb, gpu)?;
        kernel.write(Verb::Unload, &paths::unbind(function), &function.to_string())?;
    }
    kernel.keep_for(function, Some(paths::VFIO_PCI))?;
    if !kept {
        give_driver(kernel, verb, function, paths::VFIO_PCI)?;
    }
    Ok(())
}

pub fn take_back(
    kernel: &Kernel<'_>,
    gpu: &GpuId,
    address: PciAddress,
    former: &[FormerDriver],
) -> Result<Outcome, HostError> {
    let verb = Verb::TakeBack;
    kernel.refuse_another_gpu(verb, address, gpu)?;
    let numbers: Vec<u8> = former.iter().map(|one| one.function).collect();
    let addresses = refuse_other_slot(kernel, verb, address, &numbers)?;
    let mut back = true;
    for (function, had) in addresses.iter().zip(former) {
        let (driver, kept_for) = (had.driver.as_deref(), had.driver_override.as_deref());
        back &= is(kernel, verb, *function, driver, kept_for)?;
    }
    let held = kernel.look(verb, vfio::driver(kernel.sys, address))?;
    let on_vfio = held.as_deref().is_some_and(vfio::is_vfio_driver);
    if back && !on_vfio {
        return Ok(Outcome::Already);
    }
    refuse_open(kernel, verb, &addresses)?;
    if on_vfio {
        reset(kernel, address, &addresses)?;
    }
    for (function, had) in addresses.iter().zip(former) {
        return_function(kernel, *function, had)?;
    }
    Ok(Outcome::Changed)
}

/// Clears what the VM left in the GPU, where it can be reset. That it cannot was accepted when it was given.
fn reset(kernel: &Kernel<'_>, gpu: PciAddress, slot: &[PciAddress]) -> Result<(), HostError> {
    let verb = Verb::ResetGpu;
    let path = paths::reset(gpu);
    if kernel.sys.exists(&path) {
        refuse_open(kernel, verb, slot)?;
        kernel.write(verb, &path, "1")?;
    }
    // Some GPUs do not come back from a reset under VFIO before the server is restarted.
    kernel.refuse_lost(verb, gpu)
}

fn return_function(kernel: &Kernel<'_>, function: PciAddress, had: &FormerDriver) -> Result<(), HostError> {
    let verb = Verb::TakeBack;
    let wanted = had.driver.as_deref();
    let driver = kernel.look(verb, vfio::driver(kernel.sys, function))?;
    if driver.as_deref() != wanted {
        if driver.is_some() {
            refuse_open(kernel, Verb::Unload, &[function])?;
            kernel.write(Verb::Unload, &paths::unbind(function), &function.to_string())?;
        }
        if let Some(wanted) = wanted {
            // By name first: without it VFIO, or another driver, could take the function in between.
            kernel.keep_for(function, Some(wanted))?;
            give_driver(kernel, verb, function, wanted)?;
        }
    }
    kernel.keep_for(function, had.driver_override.as_deref())
}

fn is(
    kernel: &Kernel<'_>,
    verb: Verb,
    function: PciAddress,
    driver: Option<&str>,
    kept_for: Option<&str>,
) -> Result<bool, HostError> {
    let has = kernel.look(verb, vfio::driver(kernel.sys, function))?;
    let override_now = kernel.look(verb, vfio::driver_override(kernel.sys, function))?;
    Ok(has.as_deref() == driver && override_now.as_deref() == kept_for)
}

fn give_driver(kernel: &Kernel<'_>, verb: Verb, function: PciAddress, driver: &str) -> Result<(), HostError> {
    kernel.refuse_missing_driver(verb, driver)?;
    kernel.write(verb, &paths::bind(driver), &function.to_string())?;
    kernel.wait_for_driver(verb, function, driver)
}

/// The slot is as it was when the step was made; its addresses in that order.
fn refuse_other_slot(
    kernel: &Kernel<'_>,
    verb: Verb,
    gpu: PciAddress,
    expected: &[u8],
) -> Result<Vec<PciAddress>, HostError> {
    let addresses = kernel.look(verb, slot::functions(kernel.sys, gpu))?;
    let found: Vec<u8> = addresses.iter().map(|address| address.function).collect();
    if found == expected {
        Ok(addresses)
    } else {
        Err(HostError::OtherSlot { verb, address: gpu, expected: expected.to_vec(), found })
    }
}

/// A GPU without the capability has no partitions.
fn refuse_partitions(kernel: &Kernel<'_>, verb: Verb, gpu: PciAddress) -> Result<(), HostError> {
    let path = paths::num_vfs(gpu);
    if !kernel.sys.exists(&path) {
        return Ok(());
    }
    refuse_another_count(verb, &path, 0, kernel.count(verb, gpu)?.into())
}

fn refuse_open(kernel: &Kernel<'_>, verb: Verb, functions: &[PciAddress]) -> Result<(), HostError> {
    let devices: Vec<DeviceHandle> = functions.iter().map(|function| (*function).into()).collect();
    kernel.refuse_if_open(verb, &devices)
}

fn users_of(kernel: &Kernel<'_>, verb: Verb, gpu: PciAddress) -> Result<Vec<users::User>, HostError> {
    let found = users::of_gpus(kernel.sys, &[gpu]);
    let mut found = found.map_err(|cause| HostError::UsersUnknown { verb, cause })?;
    Ok(found.remove(&gpu).unwrap_or_default())
}

fn refuse_used(kernel: &Kernel<'_>, verb: Verb, gpu: PciAddress) -> Result<(), HostError> {
    let users = users_of(kernel, verb, gpu)?;
    if users.is_empty() { Ok(()) } else { Err(HostError::GpuInUse { verb, gpu, users }) }
}

/// A process that ends by itself is waited for.
fn wait_until_idle(kernel: &Kernel<'_>, gpu: PciAddress) -> Result<(), HostError> {
    let verb = Verb::Give;
    let waited = kernel.wait_until(verb, || {
        let users = users_of(kernel, verb, gpu)?;
        Ok((!users.is_empty()).then(|| "it is in use".to_owned()))
    });
    match waited {
        Err(HostError::NotSettled { .. }) => refuse_used(kernel, verb, gpu),
        other => other,
    }
}

/// NVIDIA's driver lets a GPU go only after this file was written, closed and reads 1: until then a
/// process may open it, and the unbind would block in the kernel.
fn take_nvidias_lock(kernel: &Kernel<'_>, gpu: PciAddress) -> Result<(), HostError> {
    let verb = Verb::Lock;
    let path = paths::nvidia(gpu, "unbindLock");
    if !kernel.sys.exists(&path) {
        return Ok(());
    }
    let mut wait = kernel.limits.look_again.max(Duration::from_millis(1)) * LOCK_FIRST_WAIT_LOOKS;
    for nth in 1..=LOCK_TRIES {
        kernel.write(verb, &path, "1")?;
        if kernel.look(verb, attribute::text(kernel.sys, &path))? == "1" {
            return Ok(());
        }
        if nth < LOCK_TRIES {
            std::thread::sleep(wait);
            wait *= 2;
        }
    }
    Err(HostError::LockRefused { verb, path, tries: LOCK_TRIES })
}

/// The GPU stays with the driver: let it be opened again. What fails here is told by what failed before.
fn release_nvidias_lock(kernel: &Kernel<'_>, gpu: PciAddress) {
    let path = paths::nvidia(gpu, "unbindLock");
    if kernel.sys.exists(&path) {
        let _ = kernel.write(Verb::Lock, &path, "0");
    }
}
