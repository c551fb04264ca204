//! NVIDIA's mediated devices: a UUID is written to the `create` of a type, below a VF or, with older GPUs,
//! below the GPU itself, and what comes is a device of its own with a group of its own. What can be made
//! is the rule's to say, not this file's.
//!
//! ```text
//! VF/mdev_supported_types/nvidia-558/create ◀─ UUID ─▶ VF/UUID, sys/bus/mdev/devices/UUID
//! ```

use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

use super::vgpu::{self, Vgpu};
use super::{Driver, file, nvidia};
use crate::errno::{EBUSY, EEXIST, EINVAL, EIO, ENOENT, ENOSPC, EPERM, Errno};
use crate::kernel::{Function, Kernel};
use crate::kstr;
use crate::models::VgpuType;
use crate::tree::Attr;

pub(super) struct NvidiaMdev;

const FOLDER: &str = "mdev_supported_types";
const BUS: &str = "sys/bus/mdev/devices";

/// One mediated device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mdev {
    pub parent: PciAddress,
    pub group: u32,
    pub vgpu: Vgpu,
}

impl Driver for NvidiaMdev {
    fn took(&self, kernel: &mut Kernel, at: PciAddress) {
        let Some(function) = kernel.functions.get(&at) else { return };
        let (is_vf, has_sriov, path) =
            (function.pf().is_some(), function.sriov().is_some(), function.path.clone());
        if !is_vf {
            nvidia::took_gpu(kernel, at);
        }
        // Types are where they can be made: never on a GPU that makes VFs.
        if !is_vf && has_sriov {
            return;
        }
        for kind in vgpu::supported(kernel, at) {
            let folder = format!("{FOLDER}/nvidia-{}", kind.id);
            for name in ["name", "description", "available_instances", "device_api"] {
                file(kernel, at, &format!("{folder}/{name}"), 0o444);
            }
            file(kernel, at, &format!("{folder}/create"), 0o200);
            kernel.tree.folder(&format!("{path}/{folder}/devices"));
        }
        kernel.tree.link(&format!("sys/class/mdev_bus/{at}"), &path);
    }

    fn left(&self, kernel: &mut Kernel, at: PciAddress) {
        kernel.tree.remove(&format!("sys/class/mdev_bus/{at}"));
        if kernel.functions.get(&at).is_some_and(|function| function.pf().is_some()) {
            nvidia::left_vf(kernel, at, FOLDER);
        } else {
            nvidia::left_gpu(kernel, at);
            super::remove(kernel, at, FOLDER);
        }
    }

    fn may_take(&self, kernel: &Kernel, function: &Function) -> Result<(), Errno> {
        nvidia::may_take(kernel, function)
    }

    fn read(&self, kernel: &Kernel, at: PciAddress, file: &str) -> Result<String, Errno> {
        if file == nvidia::UNBIND_LOCK {
            return nvidia::read_lock(kernel, at);
        }
        if let Some(uuid) = file.strip_suffix("/nvidia/vgpu_params") {
            let mdev = kernel.memory.mdevs.get(uuid).ok_or(ENOENT)?;
            return Ok(format!("{}\n", mdev.vgpu.params));
        }
        let (kind, name) = type_file(kernel, at, file).ok_or(EIO)?;
        Ok(match name {
            "name" => format!("{}\n", kind.name),
            "description" => description(&kind),
            "available_instances" => format!("{}\n", left(kernel, at, kind.id)),
            "device_api" => "vfio-pci\n".to_owned(),
            _ => return Err(EIO),
        })
    }

    fn write(&self, kernel: &mut Kernel, at: PciAddress, file: &str, text: &str) -> Result<(), Errno> {
        if file == nvidia::UNBIND_LOCK {
            return nvidia::write_lock(kernel, at, text);
        }
        if let Some(uuid) = file.strip_suffix("/remove") {
            return delete(kernel, uuid, text);
        }
        if let Some(uuid) = file.strip_suffix("/nvidia/vgpu_params") {
            return set_params(kernel, uuid, text);
        }
        match type_file(kernel, at, file) {
            Some((kind, "create")) => create(kernel, at, &kind, kstr::name(text)),
            _ => Err(EIO),
        }
    }

    fn users(&self, kernel: &Kernel, pf: PciAddress) -> usize {
        nvidia::users(kernel, pf)
    }

    fn vfs_changed(&self, kernel: &mut Kernel, pf: PciAddress) {
        for vf in kernel.vfs_of(pf) {
            kernel.attach_any_driver(vf);
        }
    }
}

/// The type that a file below `mdev_supported_types` is about, and the file's name.
fn type_file<'a>(kernel: &Kernel, at: PciAddress, file: &'a str) -> Option<(VgpuType, &'a str)> {
    let (kind, name) = file.strip_prefix(FOLDER)?.strip_prefix("/nvidia-")?.split_once('/')?;
    let id: u32 = kind.parse().ok()?;
    Some((vgpu::supported(kernel, at).into_iter().find(|known| known.id == id)?, name))
}

fn left(kernel: &Kernel, at: PciAddress, id: u32) -> u16 {
    let found = vgpu::creatable(kernel, at).into_iter().find(|found| found.kind.id == id);
    found.map_or(0, |found| found.left)
}

fn description(kind: &VgpuType) -> String {
    let VgpuType { frame_buffer_mib, most, .. } = kind;
    format!(
        "num_heads=4, frl_config=60, framebuffer={frame_buffer_mib}M, max_resolution=4096x2160, max_instance={most}\n"
    )
}

/// Eight, four, four, four and twelve hexadecimal digits, in small letters or large.
fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn create(kernel: &mut Kernel, at: PciAddress, kind: &VgpuType, uuid: &str) -> Result<(), Errno> {
    if !is_uuid(uuid) {
        return Err(EINVAL);
    }
    let uuid = uuid.to_ascii_lowercase();
    if kernel.memory.mdevs.contains_key(&uuid) {
        return Err(EEXIST);
    }
    let is_vf = kernel.functions.get(&at).is_some_and(|function| function.pf().is_some());
    let full = |errno| if errno == EIO && !is_vf { ENOSPC } else { errno };
    let vgpu = vgpu::make(kernel, at, kind.id).map_err(full)?;
    let mdev = Mdev { parent: at, group: kernel.free_group(), vgpu };
    show(kernel, &uuid, &mdev);
    kernel.memory.mdevs.insert(uuid, mdev);
    Ok(())
}

/// Folder, links and group of a mediated device.
pub(super) fn show(kernel: &mut Kernel, uuid: &str, mdev: &Mdev) {
    let Some(function) = kernel.functions.get(&mdev.parent) else { return };
    let (parent, at) = (function.path.clone(), mdev.parent);
    let folder = format!("{parent}/{uuid}");
    let kind = format!("{parent}/{FOLDER}/nvidia-{}", mdev.vgpu.type_id);
    let group = format!("sys/kernel/iommu_groups/{}", mdev.group);
    let tree = &mut kernel.tree;
    tree.file(&format!("{folder}/remove"), 0o200, Attr::Vendor(at, format!("{uuid}/remove")));
    let params = format!("{uuid}/nvidia/vgpu_params");
    tree.file(&format!("{parent}/{params}"), 0o644, Attr::Vendor(at, params));
    tree.link(&format!("{folder}/mdev_type"), &kind);
    tree.link(&format!("{folder}/iommu_group"), &group);
    tree.link(&format!("{folder}/subsystem"), "sys/bus/mdev");
    tree.link(&format!("{kind}/devices/{uuid}"), &folder);
    tree.link(&format!("{BUS}/{uuid}"), &folder);
    tree.text(&format!("{group}/type"), "identity\n");
    tree.link(&format!("{group}/devices/{uuid}"), &folder);
    tree.file(&format!("dev/vfio/{}", mdev.group), 0o600, Attr::CharDevice);
}

/// A mediated device goes, asked or not.
pub(super) fn remove(kernel: &mut Kernel, uuid: &str) {
    let Some(mdev) = kernel.memory.mdevs.remove(uuid) else { return };
    kernel.tree.remove(&format!("{BUS}/{uuid}"));
    kernel.tree.remove(&format!("sys/kernel/iommu_groups/{}", mdev.group));
    kernel.tree.remove(&format!("dev/vfio/{}", mdev.group));
    if let Some(function) = kernel.functions.get(&mdev.parent) {
        let parent = function.path.clone();
        kernel.tree.remove(&format!("{parent}/{FOLDER}/nvidia-{}/devices/{uuid}", mdev.vgpu.type_id));
        kernel.tree.remove(&format!("{parent}/{uuid}"));
    }
}

fn delete(kernel: &mut Kernel, uuid: &str, text: &str) -> Result<(), Errno> {
    if kstr::unsigned(text, u64::MAX)? == 0 {
        return Ok(());
    }
    let mdev = kernel.memory.mdevs.get(uuid).ok_or(ENOENT)?;
    let (parent, group) = (mdev.parent, mdev.group);
    if kernel.open.contains_key(&group) {
        return Err(EBUSY);
    }
    if vgpu::refuses_deletion(kernel, parent, None) {
        return Err(EPERM);
    }
    if kernel.memory.wedged.contains(&parent) {
        return Err(EIO);
    }
    remove(kernel, uuid);
    Ok(())
}

fn set_params(kernel: &mut Kernel, uuid: &str, text: &str) -> Result<(), Errno> {
    let mdev = kernel.memory.mdevs.get_mut(uuid).ok_or(ENOENT)?;
    if kernel.open.contains_key(&mdev.group) {
        return Err(EPERM);
    }
    mdev.vgpu.params = text.trim().to_owned();
    Ok(())
}

impl Kernel {
    /// After a room was found again: the folders of what it had.
    pub(crate) fn show_mdevs(&mut self) {
        for (uuid, mdev) in self.memory.mdevs.clone() {
            show(self, &uuid, &mdev);
        }
    }

    /// The group of a mediated device.
    pub(crate) fn has_mdev_group(&self, group: u32) -> bool {
        self.memory.mdevs.values().any(|mdev| mdev.group == group)
    }
}
