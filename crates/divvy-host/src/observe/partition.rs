//! The partitions of one GPU, as the kernel links them, and which of them a process has open.

use divvy_core::id::PartitionIndex;
use divvy_core::observed::ObservedPartition;
use divvy_core::pci_address::PciAddress;

use super::doubt::Doubts;
use super::draft::Draft;
use crate::attribute::{AttributeError, optional, text};
use crate::iommu;
use crate::paths;
use crate::pci;
use crate::sysfs::Sysfs;
use crate::vfio;

/// What a kernel without `reset_method` (before 5.15) says of the way in which it resets.
pub const UNKNOWN_RESET: &str = "unknown";

/// Every partition by its index. The number of links and `sriov_numvfs` have to agree, and the indexes
/// have to be 0 to count - 1.
pub fn look(
    sys: &dyn Sysfs,
    gpu: PciAddress,
    count: Option<u16>,
    doubts: &mut Doubts,
) -> Vec<ObservedPartition> {
    let Some(links) = doubts.take(vfio::partitions(sys, gpu)) else { return Vec::new() };
    if let Some(count) = count {
        let expected = (0..count).map(PartitionIndex);
        if !expected.eq(links.keys().copied()) {
            let path = paths::num_vfs(gpu);
            doubts.contradiction(format!(
                "{path} says {count} partitions, and {} are linked: {:?}",
                links.len(),
                links.keys().map(|index| index.0).collect::<Vec<_>>()
            ));
        }
    }
    links.into_iter().map(|(index, address)| look_at(sys, index, address, doubts)).collect()
}

fn look_at(
    sys: &dyn Sysfs,
    index: PartitionIndex,
    address: PciAddress,
    doubts: &mut Doubts,
) -> ObservedPartition {
    if !sys.exists(&paths::device(address)) {
        doubts.contradiction(format!("partition {index} is linked to {address}, and nothing is there"));
    }
    let iommu_group = doubts.take(iommu::group(sys, address)).flatten();
    let group_peers =
        iommu_group.and_then(|group| doubts.take(iommu::peers(sys, group, address))).unwrap_or_default();
    let windows = doubts.take(pci::windows(sys, address)).unwrap_or_default();
    let own_bytes = windows.iter().filter(|w| w.is_own() && w.is_memory).map(|w| w.bytes);
    let mmio_bytes = own_bytes.reduce(u64::saturating_add);
    ObservedPartition {
        index,
        address,
        device: address.into(),
        iommu_group,
        group_peers,
        driver: doubts.take(vfio::driver(sys, address)).flatten(),
        driver_override: doubts.take(vfio::driver_override(sys, address)).flatten(),
        open: false,
        reset_methods: doubts.take(reset_methods(sys, address)).unwrap_or_default(),
        mmio_bytes,
    }
}

/// The ways in which the kernel resets a device, best first; none where it cannot.
pub fn reset_methods(sys: &dyn Sysfs, address: PciAddress) -> Result<Vec<String>, AttributeError> {
    if !sys.exists(&paths::reset(address)) {
        return Ok(Vec::new());
    }
    let methods = optional(text(sys, &paths::reset_method(address)))?;
    Ok(match methods {
        Some(methods) => methods.split_ascii_whitespace().map(str::to_owned).collect(),
        None => vec![UNKNOWN_RESET.to_owned()],
    })
}

/// Marks the partitions that a process has open. All processes are looked at once for all GPUs; where
/// that is not possible, nothing with partitions is known.
pub fn look_who_is_open(sys: &dyn Sysfs, drafts: &mut [Draft]) {
    if drafts.iter().all(|draft| draft.partitions.is_empty()) {
        return;
    }
    let open = sys.open_vfio_groups();
    for draft in drafts.iter_mut().filter(|draft| !draft.partitions.is_empty()) {
        match &open {
            Ok(open) => {
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
