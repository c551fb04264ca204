//! The rule by which NVIDIA's driver lets a type be made on a GPU, for both of its interfaces: the first
//! one fixes the size of all others (unless sizes are mixed: then each needs a free place), MIG types need
//! a part of their profile, and a VF has one at most.
//!
//! ```text
//! nothing yet: all types │ one of 8 GiB: all types of 8 GiB, until the GPU is full │ last one gone: all
//! ```

use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

use super::nvidia_mig::{self, MigError, Part};
use super::{nvidia, nvidia_mdev};
use crate::errno::{EIO, Errno};
use crate::kernel::{Function, Kernel};
use crate::models::{self, VgpuType};

/// The most on one GPU, in parts of time and in parts of hardware.
const MOST: usize = 32;
const MOST_WITH_MIG: usize = 48;

/// What was made on one function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vgpu {
    pub type_id: u32,
    /// The MIG part that it has.
    pub part: Option<u32>,
    /// Where its memory begins, in GiB.
    pub placement: u32,
    pub params: String,
}

/// A type that can be made, and how many more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Creatable {
    pub kind: VgpuType,
    pub left: u16,
}

fn gpu_of(kernel: &Kernel, carrier: PciAddress) -> PciAddress {
    kernel.functions.get(&carrier).and_then(Function::pf).unwrap_or(carrier)
}

/// All types of a GPU, whatever it carries now.
pub(crate) fn supported(kernel: &Kernel, carrier: PciAddress) -> Vec<VgpuType> {
    nvidia_mig::table(kernel, gpu_of(kernel, carrier)).map_or(Vec::new(), |table| table.types())
}

/// What was made on a GPU and on its VFs.
pub(super) fn live(kernel: &Kernel, pf: PciAddress) -> Vec<Vgpu> {
    let carriers: Vec<PciAddress> = kernel.vfs_of(pf).into_iter().chain([pf]).collect();
    let on_vfs = carriers.iter().filter_map(|carrier| kernel.memory.vgpus.get(carrier));
    let mdevs = kernel.memory.mdevs.values().filter(|mdev| carriers.contains(&mdev.parent));
    on_vfs.chain(mdevs.map(|mdev| &mdev.vgpu)).cloned().collect()
}

/// What can be made on this function now.
pub(crate) fn creatable(kernel: &Kernel, carrier: PciAddress) -> Vec<Creatable> {
    let pf = gpu_of(kernel, carrier);
    let Some(gpu) = kernel.memory.nvidia.get(&pf) else { return Vec::new() };
    let mig = nvidia_mig::is_on(kernel, pf);
    let is_vf = carrier != pf;
    let has_sriov = kernel.functions.get(&pf).is_some_and(|function| function.sriov().is_some());
    let is_used = is_vf && (kernel.memory.vgpus.contains_key(&carrier) || has_mdev(kernel, carrier));
    if is_used || is_vf != has_sriov || gpu.mig_of_vfs != mig || gpu.locked {
        return Vec::new();
    }
    let live = live(kernel, pf);
    let all = supported(kernel, pf);
    let left = |kind: &VgpuType| match kind.profile {
        Some(profile) if mig => free_parts(&gpu.parts, &live, profile).count() as u16,
        None if !mig && gpu.mixed => free_places(kernel, pf, &all, &live, kind).len() as u16,
        None if !mig => left_by_size(&all, &live, kind),
        _ => 0,
    };
    let room = (if mig { MOST_WITH_MIG } else { MOST }).saturating_sub(live.len()) as u16;
    let most = if is_vf { room.min(1) } else { room };
    let of = |kind: &VgpuType| Creatable { kind: kind.clone(), left: left(kind).min(most) };
    all.iter().map(of).filter(|found| found.left > 0).collect()
}

fn has_mdev(kernel: &Kernel, carrier: PciAddress) -> bool {
    kernel.memory.mdevs.values().any(|mdev| mdev.parent == carrier)
}

fn left_by_size(all: &[VgpuType], live: &[Vgpu], kind: &VgpuType) -> u16 {
    let size = |vgpu: &Vgpu| all.iter().find(|known| known.id == vgpu.type_id);
    let same = live.iter().filter_map(size).all(|known| known.frame_buffer_mib == kind.frame_buffer_mib);
    if same { kind.most.saturating_sub(live.len() as u16) } else { 0 }
}

/// Where one more of this type fits between the others.
fn free_places(
    kernel: &Kernel,
    pf: PciAddress,
    all: &[VgpuType],
    live: &[Vgpu],
    kind: &VgpuType,
) -> Vec<u32> {
    let size = |kind: &VgpuType| kind.frame_buffer_mib / 1024;
    let taken: Vec<(u32, u32)> = live
        .iter()
        .filter_map(|vgpu| Some((vgpu.placement, size(all.iter().find(|known| known.id == vgpu.type_id)?))))
        .collect();
    let is_free = |place: &u32| {
        taken.iter().all(|(start, length)| {
            place.saturating_add(size(kind)) <= *start || start.saturating_add(*length) <= *place
        })
    };
    let places = models::mixed_places(memory_gib(kernel, pf), size(kind) as u16);
    places.into_iter().map(u32::from).filter(is_free).collect()
}

fn memory_gib(kernel: &Kernel, pf: PciAddress) -> u16 {
    let model = kernel.functions.get(&pf).and_then(|function| models::find(function.numbers));
    model.map_or(0, |model| (model.memory_bytes / models::GIB) as u16)
}

/// Lets sizes be mixed, or no more. Only while nothing is there; gone with the driver.
pub(crate) fn set_mixed(kernel: &mut Kernel, pf: PciAddress, on: bool) -> Result<(), MigError> {
    let has_vfs = kernel.functions.get(&pf).is_some_and(|function| function.sriov().is_some());
    let can = has_vfs && !models::mixed_places(memory_gib(kernel, pf), memory_gib(kernel, pf)).is_empty();
    if !can || nvidia_mig::is_on(kernel, pf) {
        return Err(MigError::NotSupported);
    }
    if !live(kernel, pf).is_empty() {
        return Err(MigError::InUse);
    }
    kernel.memory.nvidia.get_mut(&pf).ok_or(MigError::NotSupported)?.mixed = on;
    Ok(())
}

/// Parts of a profile that nothing is on.
fn free_parts<'a>(parts: &'a [Part], live: &'a [Vgpu], profile: u32) -> impl Iterator<Item = &'a Part> {
    parts.iter().filter(move |part| {
        part.profile == profile && part.computes && live.iter().all(|vgpu| vgpu.part != Some(part.id))
    })
}

/// Makes one of this type on a function, for the caller to keep.
pub(super) fn make(kernel: &Kernel, carrier: PciAddress, id: u32) -> Result<Vgpu, Errno> {
    if kernel.memory.wedged.contains(&carrier) {
        return Err(EIO);
    }
    let found = creatable(kernel, carrier).into_iter().find(|found| found.kind.id == id).ok_or(EIO)?;
    let pf = gpu_of(kernel, carrier);
    let live = live(kernel, pf);
    let part = found.kind.profile.and_then(|profile| {
        let gpu = kernel.memory.nvidia.get(&pf)?;
        free_parts(&gpu.parts, &live, profile).next().map(|part| part.id)
    });
    let size = (found.kind.frame_buffer_mib / 1024).max(1);
    let free = if kernel.memory.nvidia.get(&pf).is_some_and(|gpu| gpu.mixed) {
        free_places(kernel, pf, &supported(kernel, pf), &live, &found.kind).first().copied()
    } else {
        let mut places = (0..u32::from(found.kind.most)).map(|nth| nth * size);
        places.find(|place| live.iter().all(|vgpu| vgpu.placement != *place))
    };
    Ok(Vgpu { type_id: id, part, placement: free.unwrap_or(0), params: String::new() })
}

/// Whether what is on this function may be deleted: not while it is open, nor while QEMU takes its time.
pub(super) fn refuses_deletion(kernel: &mut Kernel, carrier: PciAddress, group: Option<u32>) -> bool {
    if group.is_some_and(|group| kernel.open.contains_key(&group)) {
        return true;
    }
    match kernel.memory.lingers.get_mut(&carrier) {
        Some(times) if *times > 0 => {
            *times -= 1;
            true
        }
        _ => false,
    }
}

/// Takes everything off a function, asked or not.
pub(super) fn remove_all(kernel: &mut Kernel, carrier: PciAddress) {
    if kernel.memory.vgpus.remove(&carrier).is_some() {
        kernel.hide_group(carrier);
    }
    let of = |(uuid, mdev): (&String, &nvidia_mdev::Mdev)| (mdev.parent == carrier).then(|| uuid.clone());
    let mdevs: Vec<String> = kernel.memory.mdevs.iter().filter_map(of).collect();
    for uuid in mdevs {
        nvidia_mdev::remove(kernel, &uuid);
    }
    // A type goes with all that was in its memory.
    if let Some(function) = kernel.functions.get_mut(&carrier).filter(|function| function.pf().is_some()) {
        function.residue = None;
    }
}

/// Whether the driver is about to leave the GPU of this function.
pub(super) fn is_locked(kernel: &Kernel, carrier: PciAddress) -> bool {
    nvidia::is_locked(kernel, gpu_of(kernel, carrier))
}
