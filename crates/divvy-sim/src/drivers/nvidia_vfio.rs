//! NVIDIA's own VFIO: a type is written into a file of a VF, and the VF, still on NVIDIA's driver, is what
//! a VM gets. What can be made is the rule's to say, not this file's.
//!
//! ```text
//! VF/nvidia/ creatable_vgpu_types ─ read ─▶ ids │ current_vgpu_type ─ write id: made, 0: deleted
//! ```

use divvy_core::pci_address::PciAddress;

use super::vgpu::{self, Vgpu};
use super::{Driver, file, nvidia};
use crate::errno::{EBUSY, EINVAL, EIO, ENXIO, EPERM, Errno};
use crate::kernel::{Function, Kernel};
use crate::kstr;
use crate::spec::TypeText;

pub(super) struct NvidiaVfio;

const FOLDER: &str = "nvidia";
/// What `gpu_instance_id` says without MIG: chosen.
const NO_PART: u32 = u32::MAX;

impl Driver for NvidiaVfio {
    fn took(&self, kernel: &mut Kernel, at: PciAddress) {
        if !is_vf(kernel, at) {
            return nvidia::took_gpu(kernel, at);
        }
        for (name, mode) in [
            ("creatable_vgpu_types", 0o444),
            ("current_vgpu_type", 0o644),
            ("vgpu_params", 0o644),
            ("gpu_instance_id", 0o644),
            ("placement_id", 0o644),
        ] {
            file(kernel, at, &format!("{FOLDER}/{name}"), mode);
        }
    }

    fn left(&self, kernel: &mut Kernel, at: PciAddress) {
        if is_vf(kernel, at) {
            nvidia::left_vf(kernel, at, FOLDER);
        } else {
            nvidia::left_gpu(kernel, at);
        }
    }

    fn may_take(&self, kernel: &Kernel, function: &Function) -> Result<(), Errno> {
        nvidia::may_take(kernel, function)
    }

    fn read(&self, kernel: &Kernel, at: PciAddress, file: &str) -> Result<String, Errno> {
        if file == nvidia::UNBIND_LOCK {
            return nvidia::read_lock(kernel, at);
        }
        let made = kernel.memory.vgpus.get(&at);
        match file.rsplit('/').next() {
            Some("creatable_vgpu_types") => Ok(creatable_text(kernel, at)),
            Some("current_vgpu_type") => Ok(format!("{}\n", made.map_or(0, |made| made.type_id))),
            Some("vgpu_params") => Ok(format!("{}\n", made.map_or("", |made| &made.params))),
            Some("gpu_instance_id") => Ok(format!("{}\n", made.ok_or(ENXIO)?.part.unwrap_or(NO_PART))),
            Some("placement_id") => Ok(format!("{}\n", made.ok_or(ENXIO)?.placement)),
            _ => Err(EIO),
        }
    }

    fn write(&self, kernel: &mut Kernel, at: PciAddress, file: &str, text: &str) -> Result<(), Errno> {
        match file.rsplit('/').next() {
            Some(nvidia::UNBIND_LOCK) => nvidia::write_lock(kernel, at, text),
            Some("current_vgpu_type") => match kstr::unsigned(text, u64::from(u32::MAX)) {
                Ok(0) => delete(kernel, at),
                Ok(id) => create(kernel, at, id as u32),
                Err(_) => Err(EINVAL),
            },
            Some("vgpu_params") => set_params(kernel, at, text),
            // Part and place can be chosen on a real GPU too; here they are the driver's choice.
            _ if kernel.memory.vgpus.contains_key(&at) => Err(EBUSY),
            _ => Err(ENXIO),
        }
    }

    fn offers_vfio(&self, kernel: &Kernel, at: PciAddress) -> bool {
        kernel.memory.vgpus.contains_key(&at) && !vgpu::is_locked(kernel, at)
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

fn is_vf(kernel: &Kernel, at: PciAddress) -> bool {
    kernel.functions.get(&at).is_some_and(|function| function.pf().is_some())
}

/// Both ways in which this list was seen; nothing at all when nothing can be made.
fn creatable_text(kernel: &Kernel, at: PciAddress) -> String {
    let types = vgpu::creatable(kernel, at);
    let text = kernel.functions.get(&at).and_then(|function| function.gpu).map(|gpu| gpu.type_text);
    if types.is_empty() {
        return String::new();
    }
    match text {
        Some(TypeText::NameFirst) => {
            types.iter().map(|found| format!("{} {}\n", found.kind.name, found.kind.id)).collect()
        }
        _ => {
            let rows = types.iter().map(|found| format!("{:<5} : {}\n", found.kind.id, found.kind.name));
            "ID    : vGPU Name\n".to_owned() + &rows.collect::<String>()
        }
    }
}

fn create(kernel: &mut Kernel, at: PciAddress, id: u32) -> Result<(), Errno> {
    if kernel.memory.vgpus.contains_key(&at) {
        return Err(EBUSY);
    }
    if vgpu::is_locked(kernel, at) {
        return Err(EIO);
    }
    let made: Vgpu = vgpu::make(kernel, at, id)?;
    kernel.memory.vgpus.insert(at, made);
    kernel.show_group(at);
    Ok(())
}

fn delete(kernel: &mut Kernel, at: PciAddress) -> Result<(), Errno> {
    if !kernel.memory.vgpus.contains_key(&at) {
        return Ok(());
    }
    let group = kernel.group_of(at);
    if vgpu::refuses_deletion(kernel, at, group) {
        return Err(EPERM);
    }
    if kernel.memory.wedged.contains(&at) {
        return Err(EIO);
    }
    vgpu::remove_all(kernel, at);
    Ok(())
}

/// `k=v, k=v`; a single space clears. Not while a VM has it.
fn set_params(kernel: &mut Kernel, at: PciAddress, text: &str) -> Result<(), Errno> {
    let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let well =
        |word: &&str| word.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty());
    if !words.iter().all(well) {
        return Err(EINVAL);
    }
    if kernel.is_open(at) {
        return Err(EPERM);
    }
    kernel.memory.vgpus.get_mut(&at).ok_or(EINVAL)?.params = words.join(", ");
    Ok(())
}
