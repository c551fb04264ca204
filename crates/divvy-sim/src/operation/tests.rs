//! The kernel's answers to writes that take a lock: counts, resets, drivers coming off. One row of the
//! kernel's table a test.

use crate::spec::SriovSupport;
use divvy_host::sysfs::Sysfs;

use crate::fault::GpuFault;
use crate::spec::DriverSpec;
use crate::testing::{
    GPU, at, driver, errno, file, gpu_file, partition, read, server, server_with, set_count,
};

const ENOENT: i32 = 2;
const EIO: i32 = 5;
const ENOMEM: i32 = 12;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const ENOTTY: i32 = 25;
const ERANGE: i32 = 34;

#[test]
fn a_count_that_is_no_number_is_einval() {
    let sysfs = server().sysfs();
    for value in ["abc", "-1", "\n", "4 4", "99999999999999999999", "65536"] {
        assert_eq!(errno(set_count(&sysfs, value)), EINVAL, "{value:?}");
    }
}

#[test]
fn a_count_above_the_total_is_erange() {
    let sysfs = server().sysfs();
    assert_eq!(errno(set_count(&sysfs, "17")), ERANGE);
    assert_eq!(errno(set_count(&sysfs, "65535")), ERANGE);
}

#[test]
fn the_same_count_again_is_success_and_changes_nothing() {
    let sysfs = server().sysfs();
    set_count(&sysfs, "4").expect("made");
    let before = sysfs.list("sys/kernel/iommu_groups").expect("listed");
    set_count(&sysfs, "4").expect("the same again");
    assert_eq!(sysfs.list("sys/kernel/iommu_groups").expect("listed"), before);
}

#[test]
fn an_empty_write_is_no_write() {
    let sysfs = server().sysfs();
    set_count(&sysfs, "4").expect("made");
    set_count(&sysfs, "").expect("nothing written");
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "4\n");
}

#[test]
fn a_gpu_without_driver_refuses_a_change_with_enoent() {
    let sysfs = server().sysfs();
    sysfs.write("sys/bus/pci/drivers/simgpu/unbind", GPU).expect("unbound");
    assert_eq!(errno(set_count(&sysfs, "4")), ENOENT);
    set_count(&sysfs, "0").expect("the same as it is");
}

#[test]
fn a_driver_that_cannot_make_partitions_refuses_with_enoent() {
    let nvidia = |drivers: &mut Vec<DriverSpec>| {
        drivers[0].name = "nvidia".to_owned();
        drivers[0].sriov = SriovSupport::None;
    };
    let sysfs = server_with(|spec| nvidia(&mut spec.drivers)).sysfs();
    assert_eq!(driver(&sysfs, GPU).as_deref(), Some("nvidia"));
    assert_eq!(errno(set_count(&sysfs, "4")), ENOENT);
}

#[test]
fn a_gpu_on_vfio_refuses_a_change_with_enoent() {
    let sysfs = server().sysfs();
    sysfs.write("sys/bus/pci/drivers/simgpu/unbind", GPU).expect("unbound");
    crate::testing::to_vfio(&sysfs, GPU);
    assert_eq!(errno(set_count(&sysfs, "4")), ENOENT);
}

#[test]
fn another_count_than_the_present_one_is_ebusy() {
    let sysfs = server().sysfs();
    set_count(&sysfs, "4").expect("made");
    assert_eq!(errno(set_count(&sysfs, "8")), EBUSY);
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "4\n");
}

#[test]
fn zero_removes_all() {
    let sysfs = server().sysfs();
    set_count(&sysfs, "16").expect("made");
    set_count(&sysfs, "0").expect("removed");
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "0\n");
    assert!(!sysfs.exists(&gpu_file("virtfn0")) && !sysfs.exists(&gpu_file("virtfn15")));
}

#[test]
fn the_drivers_error_is_the_writers_error_and_nothing_is_made() {
    let server = server();
    server.set_fault(server.gpus()[0].serial, GpuFault::WriteFails { errno: 28 });
    let sysfs = server.sysfs();
    assert_eq!(errno(set_count(&sysfs, "4")), 28);
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "0\n");
}

#[test]
fn a_driver_may_make_fewer_than_asked_and_say_yes() {
    let server = server();
    server.set_fault(server.gpus()[0].serial, GpuFault::Partial { count: 3 });
    let sysfs = server.sysfs();
    set_count(&sysfs, "4").expect("the write says yes");
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "3\n");
    assert!(sysfs.exists(&gpu_file("virtfn2")) && !sysfs.exists(&gpu_file("virtfn3")));
}

#[test]
fn partitions_beyond_the_last_bus_number_are_enomem() {
    let sysfs = server_with(|spec| {
        let gpu = spec.functions.iter_mut().find(|function| function.bus == 0x41).expect("a GPU");
        gpu.sriov.as_mut().expect("partitions").offset = 250;
    })
    .sysfs();
    set_count(&sysfs, "6").expect("the bus has room for these");
    set_count(&sysfs, "0").expect("removed");
    assert_eq!(errno(set_count(&sysfs, "7")), ENOMEM);
}

#[test]
fn partition_addresses_carry_into_the_next_bus() {
    let sysfs = server_with(|spec| {
        let gpu = spec.functions.iter_mut().find(|function| function.bus == 0x41).expect("a GPU");
        gpu.spare_buses = 1;
        gpu.sriov.as_mut().expect("partitions").offset = 255;
    })
    .sysfs();
    set_count(&sysfs, "2").expect("made");
    assert_eq!(sysfs.link(&gpu_file("virtfn0")).expect("a link"), "../0000:41:1f.7");
    assert_eq!(sysfs.link(&gpu_file("virtfn1")).expect("a link"), "../0000:42:00.0");
}

#[test]
fn a_gpu_that_is_lost_makes_nothing_and_reads_ff() {
    let server = server();
    server.set_fault(server.gpus()[0].serial, GpuFault::Lost);
    let sysfs = server.sysfs();
    assert_eq!(errno(set_count(&sysfs, "4")), EIO);
    assert!(sysfs.read(&gpu_file("config")).expect("read").iter().all(|byte| *byte == 0xff));
    assert_eq!(read(&sysfs, &gpu_file("vendor")), "0x10de\n");
}

#[test]
fn taking_the_driver_off_removes_its_partitions() {
    let sysfs = server().sysfs();
    set_count(&sysfs, "4").expect("made");
    sysfs.write("sys/bus/pci/drivers/simgpu/unbind", GPU).expect("unbound");
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "0\n");
    assert!(!sysfs.exists(&gpu_file("virtfn0")));
}

#[test]
fn a_stub_driver_leaves_its_partitions_behind() {
    let sysfs = server().sysfs();
    sysfs.write("sys/bus/pci/drivers/simgpu/unbind", GPU).expect("unbound");
    sysfs.write(&gpu_file("driver_override"), "pci-pf-stub").expect("written");
    sysfs.write("sys/bus/pci/drivers/pci-pf-stub/bind", GPU).expect("bound");
    set_count(&sysfs, "4").expect("made");
    sysfs.write("sys/bus/pci/drivers/pci-pf-stub/unbind", GPU).expect("unbound");
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "4\n");
    assert_eq!(errno(set_count(&sysfs, "0")), ENOENT);
}

#[test]
fn a_reset_takes_1_alone() {
    let sysfs = server().sysfs();
    for value in ["0", "2", "abc", "-1", "\n"] {
        assert_eq!(errno(sysfs.write(&gpu_file("reset"), value)), EINVAL, "{value:?}");
    }
}

#[test]
fn a_reset_of_the_gpu_leaves_partitions_in_place_and_reaches_each_and_one_of_a_partition_it_alone() {
    let server = server();
    let sysfs = server.sysfs();
    partition(&sysfs, 2);
    sysfs.write(&gpu_file("reset"), "1\n").expect("reset");
    sysfs.write(&file("0000:41:00.5", "reset"), "1").expect("reset");
    assert!(sysfs.exists(&gpu_file("virtfn1")));
    assert_eq!((server.resets(at("0000:41:00.4")), server.resets(at("0000:41:00.5"))), (1, 2));
}

#[test]
fn a_reset_that_fails_is_enotty() {
    let server = server();
    partition(&server.sysfs(), 1);
    server.set_fault(server.gpus()[0].serial, GpuFault::ResetFails);
    assert_eq!(errno(server.sysfs().write(&file("0000:41:00.4", "reset"), "1")), ENOTTY);
}

#[test]
fn reset_methods_can_be_chosen_emptied_and_restored() {
    let sysfs = server().sysfs();
    let path = gpu_file("reset_method");
    assert_eq!(read(&sysfs, &path), "flr bus\n");
    sysfs.write(&path, "bus").expect("chosen");
    assert_eq!(read(&sysfs, &path), "bus\n");
    sysfs.write(&path, "\n").expect("emptied");
    assert_eq!(read(&sysfs, &path), "");
    assert_eq!(errno(sysfs.write(&gpu_file("reset"), "1")), ENOTTY);
    sysfs.write(&path, "default").expect("restored");
    assert_eq!(read(&sysfs, &path), "flr bus\n");
    assert_eq!(errno(sysfs.write(&path, "no-such-method")), EINVAL);
}

#[test]
fn a_function_that_cannot_reset_has_neither_file() {
    let sysfs = server_with(|spec| {
        let gpu = spec.functions.iter_mut().find(|function| function.bus == 0x41).expect("a GPU");
        gpu.reset_methods.clear();
    })
    .sysfs();
    assert_eq!(errno(sysfs.write(&gpu_file("reset"), "1")), ENOENT);
    assert!(!sysfs.exists(&gpu_file("reset_method")));
}

#[test]
fn a_network_adapter_makes_partitions_too() {
    let sysfs = server().sysfs();
    sysfs.write("sys/bus/pci/devices/0000:01:00.0/sriov_numvfs", "8").expect("made");
    assert_eq!(read(&sysfs, "sys/bus/pci/devices/0000:01:01.7/class"), "0x020000\n");
}
