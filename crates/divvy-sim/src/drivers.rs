//! What the drivers of GPUs add to the kernel's own rules: files of their own, what these say and do, and
//! what has to be so before there are VFs. One file for each driver, all behind [`Driver`]. Who drives
//! what, and the kernel's own files, are not known here.
//!
//! ```text
//!  takes a function ─▶ took ─▶ its files ─▶ read, write ─▶ left ─▶ files and memory gone
//!                        sriov_numvfs, or a program ─▶ may_make_vfs ─▶ vfs_changed
//! ```

mod gim;
mod i915;
mod intel;
mod nvidia;
mod nvidia_ecc;
mod nvidia_mdev;
mod nvidia_mig;
mod nvidia_vfio;
mod plain;
mod vgpu;
mod xe;

pub(crate) use gim::MODULE as GIM;
pub(crate) use nvidia::{UNBIND_LOCK, unbind_lock};
pub(crate) use nvidia_mig::{
    MigError, Part as MigPart, PendingMode, set_mode as set_mig_mode, starts as mig_starts,
};
pub(crate) use vgpu::{Creatable, Vgpu, creatable, set_mixed, supported};

use std::collections::{BTreeMap, BTreeSet};

use divvy_core::gpu::Scheme;
use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

use crate::errno::{EINVAL, EIO, Errno};
use crate::kernel::{Function, Kernel};
use crate::spec::driver_of;
use crate::tree::Attr;

/// One driver of GPUs.
pub(crate) trait Driver: Sync {
    /// It got a function: a GPU, or a VF of one.
    fn took(&self, _kernel: &mut Kernel, _at: PciAddress) {}

    /// It is about to lose a function: its files and what it knew go.
    fn left(&self, _kernel: &mut Kernel, _at: PciAddress) {}

    /// Why it would not take a function that matches.
    fn may_take(&self, _kernel: &Kernel, _function: &Function) -> Result<(), Errno> {
        Ok(())
    }

    /// Why it would not make so many VFs now.
    fn may_make_vfs(&self, _kernel: &Kernel, _pf: PciAddress, _count: u16) -> Result<(), Errno> {
        Ok(())
    }

    /// VFs of this GPU came or went.
    fn vfs_changed(&self, _kernel: &mut Kernel, _pf: PciAddress) {}

    /// What one of its files says. A file is named by its path below the function's folder.
    fn read(&self, _kernel: &Kernel, _at: PciAddress, _file: &str) -> Result<String, Errno> {
        Err(EIO)
    }

    /// A write to one of its files.
    fn write(&self, _kernel: &mut Kernel, _at: PciAddress, _file: &str, _text: &str) -> Result<(), Errno> {
        Err(EIO)
    }

    /// Whether a VM can have this function from the driver as it is.
    fn offers_vfio(&self, _kernel: &Kernel, _at: PciAddress) -> bool {
        false
    }

    /// How many use the GPU in a way that keeps the driver from leaving it.
    fn users(&self, _kernel: &Kernel, _pf: PciAddress) -> usize {
        0
    }
}

/// What the drivers know of this boot. Taken together because a room is kept as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    pub intel: BTreeMap<PciAddress, intel::Provisioning>,
    pub nvidia: BTreeMap<PciAddress, nvidia::Gpu>,
    /// By the function that carries it: VFs of the vendor's VFIO.
    pub vgpus: BTreeMap<PciAddress, vgpu::Vgpu>,
    /// By UUID.
    pub mdevs: BTreeMap<String, nvidia_mdev::Mdev>,
    /// By serial number: what survives the driver, and with some GPUs a reboot.
    pub mig_modes: BTreeMap<u64, PendingMode>,
    /// The same of those whose ECC mode was ever switched.
    pub ecc_modes: BTreeMap<u64, PendingMode>,
    pub gim: BTreeMap<PciAddress, gim::Gpu>,
    /// What GIM was told at its loading, one number for each of its GPUs.
    pub gim_counts: Vec<u16>,
    /// Drivers that were unloaded since the boot.
    pub unloaded: BTreeSet<String>,
    /// VFs that work for nobody until they are made anew.
    pub wedged: BTreeSet<PciAddress>,
    /// VFs that their driver left and will not take again.
    pub spent: BTreeSet<PciAddress>,
    /// How often the next deletions on these functions are refused, though nobody has them open.
    pub lingers: BTreeMap<PciAddress, u32>,
}

impl Memory {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A function is gone, and with it all that was wrong with it.
    pub fn forget(&mut self, at: PciAddress) {
        self.wedged.remove(&at);
        self.spent.remove(&at);
        self.lingers.remove(&at);
    }
}

fn of(scheme: Scheme) -> &'static dyn Driver {
    match scheme {
        Scheme::Sriov => &plain::Plain,
        Scheme::IntelXe => &xe::Xe,
        Scheme::IntelI915 => &i915::I915,
        Scheme::NvidiaVfio | Scheme::NvidiaMig => &nvidia_vfio::NvidiaVfio,
        Scheme::NvidiaMdev | Scheme::NvidiaMdevPf => &nvidia_mdev::NvidiaMdev,
        Scheme::AmdGim => &gim::Gim,
    }
}

/// The driver by this name, if it is the one that splits this GPU.
fn named(function: &Function, name: &str) -> Option<&'static dyn Driver> {
    let scheme = function.gpu?.scheme;
    (driver_of(scheme) == name).then(|| of(scheme))
}

/// The driver that splits this GPU, or whose VF it is, if it is there.
pub(crate) fn at(kernel: &Kernel, address: PciAddress) -> Option<&'static dyn Driver> {
    let function = kernel.functions.get(&address)?;
    named(function, function.driver.as_deref()?)
}

pub(crate) fn took(kernel: &mut Kernel, address: PciAddress) {
    if let Some(driver) = at(kernel, address) {
        driver.took(kernel, address);
    }
}

pub(crate) fn left(kernel: &mut Kernel, address: PciAddress) {
    if let Some(driver) = at(kernel, address) {
        driver.left(kernel, address);
    }
}

pub(crate) fn vfs_changed(kernel: &mut Kernel, pf: PciAddress) {
    if let Some(driver) = at(kernel, pf) {
        driver.vfs_changed(kernel, pf);
    }
}

/// Beyond the kernel's own refusals. A VF of a GPU that NVIDIA's driver splits is not a plain VF: what is
/// not that driver does not get it.
pub(crate) fn may_take(kernel: &Kernel, driver: &str, function: &Function) -> Result<(), Errno> {
    let own = function.gpu.map(|gpu| gpu.driver());
    if function.pf().is_some() && own == Some("nvidia") && driver != "nvidia" {
        return Err(EINVAL);
    }
    named(function, driver).map_or(Ok(()), |known| known.may_take(kernel, function))
}

pub(crate) fn read(kernel: &Kernel, address: PciAddress, file: &str) -> Result<String, Errno> {
    at(kernel, address).ok_or(EIO)?.read(kernel, address, file)
}

pub(crate) fn write(kernel: &mut Kernel, address: PciAddress, file: &str, text: &str) -> Result<(), Errno> {
    at(kernel, address).ok_or(EIO)?.write(kernel, address, file, text)
}

pub(crate) fn offers_vfio(kernel: &Kernel, address: PciAddress) -> bool {
    at(kernel, address).is_some_and(|driver| driver.offers_vfio(kernel, address))
}

pub(crate) fn users(kernel: &Kernel, pf: PciAddress) -> usize {
    at(kernel, pf).map_or(0, |driver| driver.users(kernel, pf))
}

/// Nothing was made on any VF of the GPU.
pub(crate) fn is_untouched(kernel: &Kernel, pf: PciAddress) -> bool {
    vgpu::live(kernel, pf).is_empty()
}

/// Types, quotas and the like of this GPU's VFs are gone, the VFs stay: what a reset of the GPU or a
/// driver that starts anew can do.
pub(crate) fn lose_profiles(kernel: &mut Kernel, pf: PciAddress) {
    let vfs = kernel.vfs_of(pf);
    for carrier in vfs.into_iter().chain([pf]) {
        vgpu::remove_all(kernel, carrier);
    }
    if let Some(provisioning) = kernel.memory.intel.get_mut(&pf) {
        *provisioning = provisioning.fresh();
    }
}

/// Puts a driver's file below a function's folder.
fn file(kernel: &mut Kernel, at: PciAddress, name: &str, mode: u16) {
    let Some(function) = kernel.functions.get(&at) else { return };
    let path = format!("{}/{name}", function.path);
    kernel.tree.file(&path, mode, Attr::Vendor(at, name.to_owned()));
}

/// Takes a driver's file or folder away.
fn remove(kernel: &mut Kernel, at: PciAddress, name: &str) {
    let Some(function) = kernel.functions.get(&at) else { return };
    let path = format!("{}/{name}", function.path);
    kernel.tree.remove(&path);
}

#[cfg(test)]
mod tests;
