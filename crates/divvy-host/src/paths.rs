//! Every path of the kernel's tree that Divvy uses, in one place. Paths are relative to the root and
//! have no leading slash. Sources: `Documentation/ABI/testing/sysfs-bus-pci`, `sysfs-devices-pci`,
//! `sysfs-kernel-iommu_groups`, `Documentation/driver-api/vfio.rst`. What the files hold is not known here.

use divvy_core::device::MdevUuid;
use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;

pub const BUS: &str = "sys/bus";
pub const PCI_DEVICES: &str = "sys/bus/pci/devices";
pub const PCI_SLOTS: &str = "sys/bus/pci/slots";
pub const DRIVERS_PROBE: &str = "sys/bus/pci/drivers_probe";
pub const ROOTS: &str = "sys/devices";
pub const IOMMU_GROUPS: &str = "sys/kernel/iommu_groups";
pub const UNSAFE_INTERRUPTS: &[&str] = &[
    "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
    "sys/module/iommufd/parameters/allow_unsafe_interrupts",
];
pub const UNSAFE_NOIOMMU: &str = "sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
pub const DEV_VFIO: &str = "dev/vfio";

pub const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";
pub const COMMAND_LINE: &str = "proc/cmdline";
pub const KERNEL_RELEASE: &str = "proc/sys/kernel/osrelease";
pub const MEMORY: &str = "proc/meminfo";
pub const PROCESSES: &str = "proc";
/// A link to the process that reads it.
pub const OWN_PROCESS: &str = "proc/self";
pub const TAINTED: &str = "proc/sys/kernel/tainted";

/// The PCI database (pci.ids(5)), where Debian and its kin have it, Fedora and its kin, and SUSE.
pub const PCI_NAMES: &[&str] = &["usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids", "usr/share/pci.ids"];

/// libvirt's own folder; not there: no libvirt.
pub const LIBVIRT: &str = "etc/libvirt";
pub const LIBVIRT_HOOK: &str = "etc/libvirt/hooks/qemu.d/divvy";
/// Ways to sleep that the kernel knows (`Documentation/admin-guide/pm/sleep-states.rst`).
pub const SLEEP_STATES: &str = "sys/power/state";
/// Masked by a link to nowhere (systemctl(1)).
pub const SLEEP_TARGET: &str = "etc/systemd/system/sleep.target";

/// Where administrators and other programs leave what is to happen at boot.
pub const BOOT_ACTIONS: &[&str] =
    &["etc/udev/rules.d", "etc/systemd/system", "etc/tmpfiles.d", "etc/sysfs.d", "etc/cron.d"];
/// Single files of the same kind.
pub const BOOT_ACTION_FILES: &[&str] = &["etc/sysfs.conf", "etc/rc.local"];
/// One folder for each parent, by address (mdevctl(8)).
pub const MDEVCTL: &str = "etc/mdevctl.d";

pub const VFIO_PCI: &str = "vfio-pci";
/// Makes virtual functions and does nothing else; NVIDIA's program borrows it.
pub const PF_STUB: &str = "pci-pf-stub";
pub const GIM: &str = "gim";
/// What GIM's module keeps for its next start.
pub const GIM_CONFIG: &str = "etc/gim_config";
pub const SRIOV_MANAGE: &str = "/usr/lib/nvidia/sriov-manage";
pub const NVIDIA_SMI: &str = "nvidia-smi";
pub const MODPROBE: &str = "modprobe";

const MDEVS: &str = "sys/bus/mdev/devices";

/// The folder of a PCI device.
pub fn device(address: PciAddress) -> String {
    format!("{PCI_DEVICES}/{address}")
}

/// One attribute or link of a PCI device.
pub fn attribute(address: PciAddress, name: &str) -> String {
    format!("{PCI_DEVICES}/{address}/{name}")
}

pub fn num_vfs(address: PciAddress) -> String {
    attribute(address, "sriov_numvfs")
}

pub fn total_vfs(address: PciAddress) -> String {
    attribute(address, "sriov_totalvfs")
}

pub fn autoprobe(address: PciAddress) -> String {
    attribute(address, "sriov_drivers_autoprobe")
}

/// The link from a physical function to one of its virtual functions.
pub fn virtual_function(address: PciAddress, index: PartitionIndex) -> String {
    attribute(address, &format!("virtfn{index}"))
}

/// The link from a virtual function to its physical function.
pub fn physical_function(address: PciAddress) -> String {
    attribute(address, "physfn")
}

pub fn driver(address: PciAddress) -> String {
    attribute(address, "driver")
}

pub fn driver_override(address: PciAddress) -> String {
    attribute(address, "driver_override")
}

/// Where a driver takes a device by address.
pub fn bind(driver: &str) -> String {
    format!("{}/bind", pci_driver(driver))
}

pub fn unbind(address: PciAddress) -> String {
    attribute(address, "driver/unbind")
}

pub fn config(address: PciAddress) -> String {
    attribute(address, "config")
}

pub fn reset(address: PciAddress) -> String {
    attribute(address, "reset")
}

pub fn reset_method(address: PciAddress) -> String {
    attribute(address, "reset_method")
}

pub fn iommu_group(address: PciAddress) -> String {
    attribute(address, "iommu_group")
}

/// What NVIDIA's driver tells of one GPU, and where it is asked to let go of it.
pub fn nvidia(address: PciAddress, name: &str) -> String {
    format!("proc/driver/nvidia/gpus/{address}/{name}")
}

/// The members of an IOMMU group.
pub fn group_members(group: u32) -> String {
    format!("{IOMMU_GROUPS}/{group}/devices")
}

/// The folder of a PCI driver, there while the driver is loaded.
pub fn pci_driver(name: &str) -> String {
    format!("sys/bus/pci/drivers/{name}")
}

/// NVIDIA's own VFIO: what a virtual function can be, and what it is.
pub fn creatable_types(function: PciAddress) -> String {
    attribute(function, "nvidia/creatable_vgpu_types")
}

pub fn current_type(function: PciAddress) -> String {
    attribute(function, "nvidia/current_vgpu_type")
}

/// A folder for each mediated type that a device can make (`sysfs-bus-vfio-mdev`).
pub fn mdev_types(address: PciAddress) -> String {
    attribute(address, "mdev_supported_types")
}

/// A file, or the folder `devices`, of a mediated type.
pub fn mdev_type(address: PciAddress, folder: &str, name: &str) -> String {
    attribute(address, &format!("mdev_supported_types/{folder}/{name}"))
}

/// A file or link of a mediated device.
pub fn mdev(uuid: MdevUuid, name: &str) -> String {
    format!("{MDEVS}/{uuid}/{name}")
}

/// A mediated device itself.
pub fn mdev_folder(uuid: MdevUuid) -> String {
    format!("{MDEVS}/{uuid}")
}

/// Intel's xe: what each virtual function gets of its GPU.
pub fn sriov_admin(address: PciAddress) -> String {
    attribute(address, "sriov_admin")
}

/// The GPU's nodes for programs that draw.
pub fn drm(address: PciAddress) -> String {
    attribute(address, "drm")
}

/// Intel's i915 for servers: what each virtual function gets of its GPU.
pub fn iov(address: PciAddress, node: &str) -> String {
    attribute(address, &format!("drm/{node}/iov"))
}

pub fn module_version(module: &str) -> String {
    format!("sys/module/{module}/version")
}

/// The IOMMU group of the device behind `/dev/vfio/devices/NAME`.
pub fn vfio_device_group(name: &str) -> String {
    format!("sys/class/vfio-dev/{name}/device/iommu_group")
}
