//! What the tests of this crate share: one small server, short names for its files.

pub(crate) mod lab;

use std::io;
use std::time::Duration;

use divvy_core::device::DeviceHandle;
use divvy_core::gpu::Scheme;
use divvy_core::id::{GpuId, PartitionId, PartitionIndex, VmId};
use divvy_core::pci_address::PciAddress;
use divvy_core::readiness::{Ready, prove};
use divvy_host::sysfs::Sysfs;

use crate::hardware::GPU_DRIVER_VERSION;
use crate::room;
use crate::server::SimServer;
use crate::spec::{Delays, DriverSpec, ServerSpec, SriovSupport, driver_of};
use crate::sysfs::SimSysfs;

pub(crate) const GPU: &str = "0000:41:00.0";

/// A test that would hang fails instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// The only server of `a2-edge`.
pub(crate) fn server() -> SimServer {
    server_with(|_| ())
}

/// The same, with something about it changed.
pub(crate) fn server_with(change: impl FnOnce(&mut ServerSpec)) -> SimServer {
    server_like("a2-edge", Delays::none(), change)
}

pub(crate) fn server_like(room: &str, delays: Delays, change: impl FnOnce(&mut ServerSpec)) -> SimServer {
    let mut spec = room::specs(room, 1).expect("a room").swap_remove(0);
    make_plain(&mut spec);
    change(&mut spec);
    SimServer::new(spec, delays)
}

/// GPUs that split when a number is written, whichever scheme the room has for them.
fn make_plain(spec: &mut ServerSpec) {
    for gpu in spec.functions.iter_mut().filter_map(|function| function.gpu.as_mut()) {
        gpu.scheme = Scheme::Sriov;
    }
    if let Some(driver) = spec.drivers.iter_mut().find(|driver| driver.name == "nvidia") {
        let (name, sriov) = (driver_of(Scheme::Sriov).to_owned(), SriovSupport::RemovesOnUnbind);
        let version = Some(GPU_DRIVER_VERSION.to_owned());
        *driver = DriverSpec { module: name.clone(), name, version, sriov, ..driver.clone() };
    }
}

pub(crate) fn at(text: &str) -> PciAddress {
    text.parse().expect("an address")
}

/// Of the GPU.
pub(crate) fn gpu_file(name: &str) -> String {
    file(GPU, name)
}

pub(crate) fn file(address: &str, name: &str) -> String {
    format!("sys/bus/pci/devices/{address}/{name}")
}

pub(crate) fn read(sysfs: &SimSysfs, path: &str) -> String {
    String::from_utf8(sysfs.read_within(path, PATIENCE).expect("readable")).expect("text")
}

pub(crate) fn set_count(sysfs: &SimSysfs, count: &str) -> io::Result<()> {
    sysfs.write_within(&gpu_file("sriov_numvfs"), count, PATIENCE)
}

/// The error number of a refusal.
pub(crate) fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.expect_err("a refusal").raw_os_error().expect("an error number")
}

/// Makes partitions without a driver.
pub(crate) fn partition(sysfs: &SimSysfs, count: u16) {
    sysfs.write(&gpu_file("sriov_drivers_autoprobe"), "0").expect("written");
    set_count(sysfs, &count.to_string()).expect("written");
}

/// Makes a partition ready for a VM.
pub(crate) fn to_vfio(sysfs: &SimSysfs, address: &str) {
    sysfs.write(&file(address, "driver_override"), "vfio-pci").expect("written");
    sysfs.write("sys/bus/pci/drivers_probe", address).expect("written");
    assert_eq!(driver(sysfs, address).as_deref(), Some("vfio-pci"));
}

/// Name of the driver that a function has.
pub(crate) fn driver(sysfs: &SimSysfs, address: &str) -> Option<String> {
    let target = sysfs.link(&file(address, "driver")).ok()?;
    target.rsplit('/').next().map(str::to_owned)
}

pub(crate) fn group(sysfs: &SimSysfs, address: &str) -> u32 {
    let target = sysfs.link(&file(address, "iommu_group")).expect("a group");
    target.rsplit('/').next().and_then(|number| number.parse().ok()).expect("a number")
}

pub(crate) fn vm(server: &SimServer, name: &str) -> VmId {
    let found = server.vms().into_iter().find(|vm| vm.name == name);
    found.expect("a VM of this name").id
}

/// Leave to put the partition that is this device into this VM.
pub(crate) fn ready(vm: &VmId, device: &str, index: u16) -> Ready {
    let gpu = GpuId::new("gpu-1").expect("an id");
    let partition = PartitionId { gpu, index: PartitionIndex(index) };
    let device: DeviceHandle = device.parse().expect("a device");
    prove(&partition.into(), device, vm, [], &Default::default()).expect("nothing stands in the way")
}
