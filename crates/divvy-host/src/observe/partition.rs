//! The partitions of one GPU, as its scheme lists them, and which of them a process has open.

use divvy_core::device::DeviceHandle;
use divvy_core::observed::{ObservedPartition, SlotFunction};

use super::doubt::Doubts;
use super::draft::Draft;
use crate::iommu;
use crate::paths;
use crate::pci;
use crate::scheme::Part;
use crate::sysfs::Sysfs;
use crate::vfio;

/// A partition that its scheme listed, with everything else that is shown of it.
pub fn look_at(sys: &dyn Sysfs, part: Part, doubts: &mut Doubts) -> ObservedPartition {
    let Part { index, address, device, memory_bytes, size } = part;
    let folder = match device {
        DeviceHandle::Pci(address) => paths::device(address),
        DeviceHandle::Mdev(uuid) => paths::mdev_folder(uuid),
    };
    if !sys.exists(&folder) {
        doubts.contradiction(format!("partition {index} is linked to {device}, and nothing is there"));
    }
    let iommu_group = doubts.take(iommu::group_of(sys, device)).flatten();
    let group_peers = match device {
        DeviceHandle::Pci(address) => {
            iommu_group.and_then(|group| doubts.take(iommu::peers(sys, group, address))).unwrap_or_default()
        }
        // The kernel makes a group for each mediated device.
        DeviceHandle::Mdev(_) => Vec::new(),
    };
    let windows = doubts.take(pci::windows(sys, address)).unwrap_or_default();
    let own_bytes = windows.iter().filter(|w| w.is_own() && w.is_memory).map(|w| w.bytes);
    let mmio_bytes = own_bytes.reduce(u64::saturating_add);
    ObservedPartition {
        index,
        address,
        device,
        iommu_group,
        group_peers,
        driver: doubts.take(vfio::driver(sys, address)).flatten(),
        driver_override: doubts.take(vfio::driver_override(sys, address)).flatten(),
        open: false,
        reset_methods: doubts.take(pci::reset_methods(sys, address)).unwrap_or_default(),
        mmio_bytes,
        memory_bytes,
        size,
    }
}

/// Whether anything of this GPU can be open by VFIO.
fn can_be_open(draft: &Draft) -> bool {
    let on_vfio = |function: &SlotFunction| function.driver.as_deref().is_some_and(vfio::is_vfio_driver);
    !draft.partitions.is_empty() || draft.slot.functions.iter().any(on_vfio)
}

/// Marks the partitions and whole GPUs that a process has open. All processes are looked at once for all
/// GPUs; where that is not possible, nothing that could be open is known.
pub fn look_who_is_open(sys: &dyn Sysfs, drafts: &mut [Draft]) {
    if !drafts.iter().any(can_be_open) {
        return;
    }
    let open = sys.open_vfio_groups();
    for draft in drafts.iter_mut().filter(|draft| can_be_open(draft)) {
        match &open {
            Ok(open) => {
                let groups = draft.slot.functions.iter().filter_map(|function| function.iommu_group);
                draft.slot.open = groups.into_iter().any(|group| open.contains_key(&group));
                for partition in &mut draft.partitions {
                    partition.open = partition.iommu_group.is_some_and(|group| open.contains_key(&group));
                }
            }
            Err(error) => draft.doubts.open_unknown(format!(
                "it cannot be told which partitions are in use: the processes' open files: {error}"
            )),
        }
    }
}
