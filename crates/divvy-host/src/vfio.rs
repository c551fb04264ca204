//! VFIO: which driver hands a device to a VM, and who has a device open now
//! (`Documentation/driver-api/vfio.rst`). The kernel does not refuse a reset, an unbind or a new
//! partition count under an open device; it pulls the device from the VM or blocks. So Divvy looks first.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use divvy_core::device::DeviceHandle;
use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;

use crate::attribute::{AttributeError, link_address, link_name, optional, parse_decimal, text};
use crate::iommu;
use crate::paths;
use crate::sysfs::Sysfs;

/// Drivers that hand a device to a VM: the general one, and variants that also know how to migrate it.
const VFIO_DRIVERS: &[&str] = &[paths::VFIO_PCI, "xe-vfio-pci"];

pub fn is_vfio_driver(name: &str) -> bool {
    VFIO_DRIVERS.contains(&name)
}

/// The driver that holds a device.
pub fn driver(sys: &dyn Sysfs, address: PciAddress) -> Result<Option<String>, AttributeError> {
    optional(link_name(sys, &paths::driver(address)))
}

/// The driver that a device is kept for; the kernel prints `(null)` where there is none.
pub fn driver_override(sys: &dyn Sysfs, address: PciAddress) -> Result<Option<String>, AttributeError> {
    let name = optional(text(sys, &paths::driver_override(address)))?;
    Ok(name.filter(|name| !name.is_empty() && name != "(null)"))
}

/// The partitions of a GPU that the kernel links, by index: `virtfn10` comes after `virtfn2`.
pub fn partitions(
    sys: &dyn Sysfs,
    gpu: PciAddress,
) -> Result<BTreeMap<PartitionIndex, PciAddress>, AttributeError> {
    let folder = paths::device(gpu);
    let names = sys.list(&folder).map_err(|cause| AttributeError::unreadable(&folder, cause))?;
    let mut partitions = BTreeMap::new();
    for name in names {
        let Some(index) = name.strip_prefix("virtfn") else { continue };
        let index = parse_decimal(index)
            .map(PartitionIndex)
            .ok_or_else(|| AttributeError::malformed(&folder, &name, "a partition's link"))?;
        // A link that went away since it was listed is no partition any more.
        if let Some(address) = optional(link_address(sys, &format!("{folder}/{name}")))? {
            partitions.insert(index, address);
        }
    }
    Ok(partitions)
}

/// A device that processes have open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub device: DeviceHandle,
    pub group: u32,
    pub pids: Vec<u32>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pids: Vec<String> = self.pids.iter().map(u32::to_string).collect();
        write!(f, "{} (process {})", self.device, pids.join(", "))
    }
}

/// Why it cannot be told whether a device is open.
#[derive(Debug, thiserror::Error)]
pub enum OpenUnknown {
    #[error("the open files of all processes cannot be read")]
    Processes(#[source] io::Error),
    #[error("the IOMMU group cannot be read")]
    Group(#[source] AttributeError),
}

/// Which of these devices are open now. Looks at every process, so it is asked once for many devices.
pub fn open(sys: &dyn Sysfs, devices: &[DeviceHandle]) -> Result<Vec<Holder>, OpenUnknown> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let open = sys.open_vfio_groups().map_err(OpenUnknown::Processes)?;
    let mut holders = Vec::new();
    for device in devices {
        let Some(group) = iommu::group_of(sys, *device).map_err(OpenUnknown::Group)? else { continue };
        if let Some(pids) = open.get(&group) {
            holders.push(Holder { device: *device, group, pids: pids.clone() });
        }
    }
    Ok(holders)
}
