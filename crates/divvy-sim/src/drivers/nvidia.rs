//! What NVIDIA's driver does with a GPU whatever its interface for partitions: its folder in `/proc`, the
//! lock that has to be had before it may leave a GPU, and its rule that a VF once left is not taken
//! again. It makes no VFs itself: a write to `sriov_numvfs` is ENOENT while it is there.
//!
//! ```text
//! unbindLock: write 1, close, read: 1 nobody uses the GPU and nobody will │ 0 somebody does
//! ```

use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

use super::nvidia_mig::{self, Part};
use super::{remove, vgpu};
use crate::errno::{EINVAL, EIO, ENODEV, Errno};
use crate::kernel::{Function, Kernel};
use crate::kstr;
use crate::models;
use crate::rng::Rng;
use crate::tree::Attr;

/// The file's name as the driver knows it; it is in `/proc`, not in the function's folder.
pub(crate) const UNBIND_LOCK: &str = "unbindLock";

/// One GPU, from the driver's coming to its leaving.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Gpu {
    /// Somebody has the leave to take the driver off.
    pub locked: bool,
    /// The MIG mode when its VFs came: types of another mode cannot be made on them.
    pub mig_of_vfs: bool,
    /// Types of different sizes may be made side by side.
    pub mixed: bool,
    pub parts: Vec<Part>,
}

/// Where the lock's file of this GPU is.
pub(crate) fn unbind_lock(pf: PciAddress) -> String {
    format!("{}/{UNBIND_LOCK}", folder(pf))
}

fn folder(pf: PciAddress) -> String {
    format!("proc/driver/nvidia/gpus/{pf}")
}

/// The GPU itself came to the driver. VFs that are there already are taken now.
pub(super) fn took_gpu(kernel: &mut Kernel, pf: PciAddress) {
    let Some(function) = kernel.functions.get(&pf) else { return };
    let name = models::find(function.numbers).map_or("GPU", |model| model.name);
    let uuid = Rng::of(&["gpu", &function.serial.unwrap_or(0).to_string()]).uuid();
    let minor = kernel.memory.nvidia.len();
    let text = format!(
        "Model: \t\t NVIDIA {name}\nIRQ:   \t\t 0\nGPU UUID: \t GPU-{uuid}\nBus Type: \t PCIe\nBus Location: \t {pf}\nDevice Minor: \t {minor}\n"
    );
    for folder in ["sys/class/mdev_bus", "sys/bus/mdev/devices"] {
        kernel.tree.folder(folder);
    }
    kernel.tree.file(&format!("{}/information", folder(pf)), 0o444, Attr::ProcText(text));
    kernel.tree.file(&unbind_lock(pf), 0o644, Attr::Vendor(pf, UNBIND_LOCK.to_owned()));
    let mig_of_vfs = nvidia_mig::is_on(kernel, pf);
    kernel.memory.nvidia.insert(pf, Gpu { mig_of_vfs, ..Gpu::default() });
    for vf in kernel.vfs_of(pf) {
        kernel.attach_any_driver(vf);
    }
}

/// The driver leaves the GPU: types and parts of it are gone.
pub(super) fn left_gpu(kernel: &mut Kernel, pf: PciAddress) {
    for carrier in kernel.vfs_of(pf).into_iter().chain([pf]) {
        vgpu::remove_all(kernel, carrier);
    }
    kernel.tree.remove(&folder(pf));
    kernel.memory.nvidia.remove(&pf);
}

/// The driver leaves a VF, and for good.
pub(super) fn left_vf(kernel: &mut Kernel, vf: PciAddress, files: &str) {
    vgpu::remove_all(kernel, vf);
    remove(kernel, vf, files);
    kernel.memory.spent.insert(vf);
}

/// A VF needs an IOMMU group, its GPU on this driver, and no past with it.
pub(super) fn may_take(kernel: &Kernel, function: &Function) -> Result<(), Errno> {
    let Some(pf) = function.pf() else { return Ok(()) };
    let is_ours = kernel.memory.nvidia.contains_key(&pf);
    let usable = is_ours && function.group.is_some() && !kernel.memory.spent.contains(&function.address);
    if usable { Ok(()) } else { Err(ENODEV) }
}

pub(super) fn read_lock(kernel: &Kernel, pf: PciAddress) -> Result<String, Errno> {
    let gpu = kernel.memory.nvidia.get(&pf).ok_or(ENODEV)?;
    Ok(format!("{}\n", u8::from(gpu.locked)))
}

/// Never an error: who wants to know whether the lock was granted reads it.
pub(super) fn write_lock(kernel: &mut Kernel, pf: PciAddress, text: &str) -> Result<(), Errno> {
    let wanted = match kstr::unsigned(text, 1) {
        Ok(number) => number == 1,
        Err(_) => return Err(EINVAL),
    };
    let granted = wanted && users(kernel, pf) == 0;
    kernel.memory.nvidia.get_mut(&pf).ok_or(EIO)?.locked = granted;
    Ok(())
}

/// VMs with a part of the GPU, and programs of the server.
pub(super) fn users(kernel: &Kernel, pf: PciAddress) -> usize {
    let serial = kernel.functions.get(&pf).and_then(|function| function.serial);
    let client = serial.is_some_and(|serial| kernel.clients.contains(&serial));
    let carriers: Vec<PciAddress> = kernel.vfs_of(pf).into_iter().chain([pf]).collect();
    let vms = carriers.iter().filter(|carrier| kernel.is_open(**carrier)).count();
    let mdevs = kernel.memory.mdevs.values();
    let mdevs = mdevs.filter(|mdev| carriers.contains(&mdev.parent) && kernel.open.contains_key(&mdev.group));
    usize::from(client) + vms + mdevs.count()
}

/// Whether types can be made on it now, rather than the driver being about to leave.
pub(super) fn is_locked(kernel: &Kernel, pf: PciAddress) -> bool {
    kernel.memory.nvidia.get(&pf).is_some_and(|gpu| gpu.locked)
}
