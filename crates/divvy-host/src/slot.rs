//! Everything in a GPU's slot: the GPU, its audio, its USB. A whole GPU goes to a VM with all of it, for
//! its functions share power and often an IOMMU group. Who it goes to is not known here.

use std::collections::BTreeSet;

use divvy_core::observed::{Slot, SlotFunction};
use divvy_core::pci_address::PciAddress;

use crate::attribute::{self, AttributeError, optional};
use crate::iommu;
use crate::paths;
use crate::pci;
use crate::sysfs::Sysfs;
use crate::vfio;

/// How many functions a slot can have.
const FUNCTIONS: u8 = 8;

/// The functions of a GPU's slot, by number, the GPU's own among them. A partition is none, and a bridge
/// is never given away.
pub fn functions(sys: &dyn Sysfs, gpu: PciAddress) -> Result<Vec<PciAddress>, AttributeError> {
    let mut found = Vec::new();
    for function in 0..FUNCTIONS {
        let address = PciAddress { function, ..gpu };
        if !sys.exists(&paths::device(address)) || sys.exists(&paths::physical_function(address)) {
            continue;
        }
        if address == gpu || !pci::class(sys, address)?.is_bridge() {
            found.push(address);
        }
    }
    Ok(found)
}

/// Looks at all of it. Who has it open is not looked at.
pub fn look(sys: &dyn Sysfs, gpu: PciAddress) -> Result<Slot, AttributeError> {
    let addresses = functions(sys, gpu)?;
    let boot_vga = optional(attribute::switch(sys, &paths::attribute(gpu, "boot_vga")))?;
    let mut slot = Slot {
        strangers: strangers(sys, &addresses)?,
        is_boot_display: boot_vga == Some(true),
        reset_methods: pci::reset_methods(sys, gpu)?,
        mmio_bytes: mmio_bytes(sys, &addresses)?,
        ..Slot::default()
    };
    for address in addresses {
        slot.functions.push(SlotFunction {
            address,
            driver: vfio::driver(sys, address)?,
            driver_override: vfio::driver_override(sys, address)?,
            iommu_group: iommu::group(sys, address)?,
        });
    }
    Ok(slot)
}

/// Endpoints of other slots in the IOMMU groups of these functions.
pub fn strangers(sys: &dyn Sysfs, functions: &[PciAddress]) -> Result<Vec<PciAddress>, AttributeError> {
    let mut strangers = BTreeSet::new();
    for function in functions {
        let Some(group) = iommu::group(sys, *function)? else { continue };
        strangers.extend(iommu::peers(sys, group, *function)?);
    }
    Ok(strangers.into_iter().filter(|peer| !functions.contains(peer)).collect())
}

fn mmio_bytes(sys: &dyn Sysfs, functions: &[PciAddress]) -> Result<Option<u64>, AttributeError> {
    let mut bytes: Option<u64> = None;
    for function in functions {
        for window in pci::windows(sys, *function)?.iter().filter(|one| one.is_own() && one.is_memory) {
            bytes = Some(bytes.unwrap_or(0).saturating_add(window.bytes));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Tree, gpu_address};

    fn audio() -> PciAddress {
        PciAddress { function: 1, ..gpu_address(0) }
    }

    fn seen(tree: &Tree) -> Slot {
        look(&tree.sys(), gpu_address(0)).expect("is read")
    }

    #[test]
    fn a_gpus_audio_belongs_to_its_slot_and_another_slot_in_the_group_is_a_stranger() {
        let tree = Tree::with_partitions(0);
        tree.companion(audio(), "snd_hda_intel", 10);
        tree.gpu(1);
        assert_eq!(seen(&tree).functions.len(), 2);
        assert_eq!(seen(&tree).functions[1].driver.as_deref(), Some("snd_hda_intel"));
        assert_eq!(seen(&tree).strangers, []);
        tree.join_group(gpu_address(1), 10);
        assert_eq!(seen(&tree).strangers, [gpu_address(1)]);
    }

    #[test]
    fn partitions_are_not_functions_of_the_slot() {
        assert_eq!(seen(&Tree::with_partitions(4)).functions.len(), 1);
    }

    #[test]
    fn the_windows_of_all_functions_add_up() {
        let tree = Tree::with_partitions(0);
        let alone = seen(&tree).mmio_bytes.expect("has windows");
        tree.companion(audio(), "snd_hda_intel", 10);
        tree.attribute(audio(), "resource", "0x0 0xfff 0x40200\n");
        assert_eq!(seen(&tree).mmio_bytes, Some(alone + 0x1000));
    }

    #[test]
    fn the_gpu_that_shows_the_servers_console_says_so() {
        let tree = Tree::with_partitions(0);
        assert!(!seen(&tree).is_boot_display);
        tree.attribute(gpu_address(0), "boot_vga", "1\n");
        assert!(seen(&tree).is_boot_display);
    }
}
