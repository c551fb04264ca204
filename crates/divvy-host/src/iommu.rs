//! IOMMU groups: the smallest set of devices that the hardware can keep apart from the others
//! (`Documentation/driver-api/vfio.rst`, `sysfs-kernel-iommu_groups`). A group goes to one VM only, so a
//! partition that shares its group cannot be given away alone. Who owns a group is not known here.

use divvy_core::device::DeviceHandle;
use divvy_core::pci_address::PciAddress;

use crate::attribute::{AttributeError, link_name, optional, parse_decimal};
use crate::paths;
use crate::pci;
use crate::sysfs::Sysfs;

/// The group of a device; None: the device is not behind an IOMMU.
pub fn group(sys: &dyn Sysfs, address: PciAddress) -> Result<Option<u32>, AttributeError> {
    group_of(sys, address.into())
}

/// The same, of a mediated device too, which has a group of its own.
pub fn group_of(sys: &dyn Sysfs, device: DeviceHandle) -> Result<Option<u32>, AttributeError> {
    let path = match device {
        DeviceHandle::Pci(address) => paths::iommu_group(address),
        DeviceHandle::Mdev(uuid) => paths::mdev(uuid, "iommu_group"),
    };
    let Some(name) = optional(link_name(sys, &path))? else { return Ok(None) };
    match parse_decimal(&name) {
        Some(group) => Ok(Some(group)),
        None => Err(AttributeError::malformed(&path, &name, "a link to an IOMMU group")),
    }
}

/// The other devices of a group, ascending. Bridges do not count: VFIO ignores them too. A device whose
/// class cannot be read counts.
pub fn peers(sys: &dyn Sysfs, group: u32, address: PciAddress) -> Result<Vec<PciAddress>, AttributeError> {
    let path = paths::group_members(group);
    let names = sys.list(&path).map_err(|cause| AttributeError::unreadable(&path, cause))?;
    let mut peers = Vec::new();
    for name in names {
        let member: PciAddress =
            name.parse().map_err(|_| AttributeError::malformed(&path, &name, "a PCI device"))?;
        let is_bridge = pci::class(sys, member).is_ok_and(pci::Class::is_bridge);
        if member != address && !is_bridge {
            peers.push(member);
        }
    }
    peers.sort_unstable();
    Ok(peers)
}

/// Whether this server's IOMMU is on: it has at least one group.
pub fn is_on(sys: &dyn Sysfs) -> bool {
    sys.list(paths::IOMMU_GROUPS).is_ok_and(|groups| !groups.is_empty())
}
