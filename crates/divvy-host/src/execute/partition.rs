//! The steps that concern one partition while the others of its GPU may be in use: give it to VFIO, and
//! reset it after a VM gave it up. An address is believed only while both links, from the GPU to its
//! partition and back, say the same.

use divvy_core::id::PartitionId;
use divvy_core::pci_address::PciAddress;
use divvy_core::step::Outcome;

use super::kernel::Kernel;
use crate::attribute::link_address;
use crate::error::{HostError, Verb};
use crate::paths;
use crate::vfio;

/// Gives a partition the driver that hands it to a VM. The override comes first: with it the kernel
/// gives the partition to nobody else, and without it (and with `sriov_drivers_autoprobe` off) to nobody
/// at all (`pci_device_can_probe`).
pub(crate) fn prepare(
    kernel: &Kernel<'_>,
    partition: &PartitionId,
    address: PciAddress,
) -> Result<Outcome, HostError> {
    let verb = Verb::Prepare;
    refuse_moved(kernel, verb, partition, address)?;
    let driver = kernel.look(verb, vfio::driver(kernel.sys, address))?;
    let kept_for = kernel.look(verb, vfio::driver_override(kernel.sys, address))?;
    if kept_for.is_some() && kept_for == driver && driver.as_deref().is_some_and(vfio::is_vfio_driver) {
        return Ok(Outcome::Already);
    }
    kernel.refuse_missing_driver(verb, paths::VFIO_PCI)?;
    kernel.keep_for(address, Some(paths::VFIO_PCI))?;
    let other = driver.as_deref().is_some_and(|driver| driver != paths::VFIO_PCI);
    if other {
        kernel.refuse_if_open(Verb::Release, &[address.into()])?;
        kernel.write(Verb::Release, &paths::unbind(address), &address.to_string())?;
    }
    if driver.as_deref() != Some(paths::VFIO_PCI) {
        kernel.write(verb, paths::DRIVERS_PROBE, &address.to_string())?;
    }
    kernel.wait_for_driver(verb, address, paths::VFIO_PCI)?;
    Ok(Outcome::Changed)
}

/// Resets a partition that a VM gave up, and proves that it survived. Any error means: not clean.
pub(crate) fn clean(
    kernel: &Kernel<'_>,
    partition: &PartitionId,
    address: PciAddress,
) -> Result<Outcome, HostError> {
    let verb = Verb::Reset;
    refuse_moved(kernel, verb, partition, address)?;
    let path = paths::reset(address);
    if !kernel.sys.exists(&path) {
        return Err(HostError::NoReset { verb, address });
    }
    kernel.refuse_if_open(verb, &[address.into()])?;
    kernel.write(verb, &path, "1")?;
    refuse_moved(kernel, verb, partition, address)?;
    kernel.refuse_lost(verb, address)?;
    Ok(Outcome::Changed)
}

/// The partition is still at this address: its GPU is that GPU, and that GPU's link leads back here.
pub(crate) fn refuse_moved(
    kernel: &Kernel<'_>,
    verb: Verb,
    partition: &PartitionId,
    address: PciAddress,
) -> Result<(), HostError> {
    let gpu = kernel.look(verb, link_address(kernel.sys, &paths::physical_function(address)))?;
    let path = paths::virtual_function(gpu, partition.index);
    let found = kernel.look(verb, link_address(kernel.sys, &path))?;
    if found != address {
        return Err(HostError::Moved { verb, path, expected: address, found });
    }
    kernel.refuse_another_gpu(verb, gpu, &partition.gpu)
}
