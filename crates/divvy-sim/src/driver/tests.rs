//! Which driver gets a function, and with which error the kernel refuses: one promise a test. The
//! partition that the tests use is the first one of the GPU.

use divvy_host::sysfs::Sysfs;

use crate::testing::{
    GPU, at, driver, errno, file, gpu_file, group, partition, read, server, server_with, set_count, to_vfio,
};

const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;

const VF: &str = "0000:41:00.4";
const BIND_VFIO: &str = "sys/bus/pci/drivers/vfio-pci/bind";
const PROBE: &str = "sys/bus/pci/drivers_probe";

#[test]
fn an_override_reads_null_when_unset_and_an_empty_line_clears_it() {
    let sysfs = server().sysfs();
    let path = gpu_file("driver_override");
    assert_eq!(read(&sysfs, &path), "(null)\n");
    sysfs.write(&path, "vfio-pci\n").expect("set");
    assert_eq!(read(&sysfs, &path), "vfio-pci\n");
    sysfs.write(&path, "").expect("no write at all");
    assert_eq!(read(&sysfs, &path), "vfio-pci\n");
    sysfs.write(&path, "\n").expect("cleared");
    assert_eq!(read(&sysfs, &path), "(null)\n");
    assert_eq!(errno(sysfs.write(&path, &"x".repeat(4095))), EINVAL);
}

#[test]
fn setting_an_override_neither_binds_nor_unbinds() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    sysfs.write(&file(VF, "driver_override"), "vfio-pci").expect("set");
    sysfs.write(&gpu_file("driver_override"), "vfio-pci").expect("set");
    assert_eq!((driver(&sysfs, VF), driver(&sysfs, GPU).as_deref()), (None, Some("simgpu")));
}

#[test]
fn with_autoprobe_the_gpus_driver_takes_new_partitions() {
    let sysfs = server().sysfs();
    set_count(&sysfs, "1").expect("made");
    assert_eq!(driver(&sysfs, VF).as_deref(), Some("simgpu"));
}

#[test]
fn without_autoprobe_partitions_have_no_driver_and_none_takes_them() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    assert_eq!(driver(&sysfs, VF), None);
    sysfs.write(PROBE, VF).expect("a probe that nobody answers is no error");
    assert_eq!(errno(sysfs.write("sys/bus/pci/drivers/simgpu/bind", VF)), ENODEV);
    assert_eq!(driver(&sysfs, VF), None);
}

#[test]
fn flipping_autoprobe_later_changes_no_partition() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    sysfs.write(&gpu_file("sriov_drivers_autoprobe"), "1").expect("written");
    assert_eq!(driver(&sysfs, VF), None);
    sysfs.write(PROBE, VF).expect("probed");
    assert_eq!(driver(&sysfs, VF).as_deref(), Some("simgpu"));
}

#[test]
fn autoprobe_takes_booleans_alone() {
    let sysfs = server().sysfs();
    let path = gpu_file("sriov_drivers_autoprobe");
    assert_eq!(read(&sysfs, &path), "1\n");
    sysfs.write(&path, "off\n").expect("a boolean");
    assert_eq!(read(&sysfs, &path), "0\n");
    assert_eq!(errno(sysfs.write(&path, "2")), EINVAL);
}

#[test]
fn an_override_makes_a_partition_take_vfio_without_autoprobe() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    to_vfio(&sysfs, VF);
    let group = group(&sysfs, VF);
    assert!(sysfs.exists(&format!("dev/vfio/{group}")));
    assert_eq!(read(&sysfs, &format!("sys/kernel/iommu_groups/{group}/type")), "identity\n");
    assert!(sysfs.exists(&format!("sys/bus/pci/drivers/vfio-pci/{VF}")));
}

#[test]
fn taking_vfio_off_takes_its_file_away() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    to_vfio(&sysfs, VF);
    sysfs.write("sys/bus/pci/drivers/vfio-pci/unbind", VF).expect("unbound");
    assert!(!sysfs.exists(&format!("dev/vfio/{}", group(&sysfs, VF))));
    assert_eq!(driver(&sysfs, VF), None);
}

#[test]
fn binding_what_does_not_match_or_is_not_there_is_enodev() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    for value in [VF, "0000:41:00.5", "41:00.4", "garbage", "0000:01:00.0", "0000:41:00.04"] {
        assert_eq!(errno(sysfs.write(BIND_VFIO, value)), ENODEV, "{value:?}");
    }
    assert_eq!(errno(sysfs.write(PROBE, "garbage")), ENODEV);
}

#[test]
fn binding_what_has_a_driver_is_ebusy() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    to_vfio(&sysfs, VF);
    assert_eq!(errno(sysfs.write(BIND_VFIO, VF)), EBUSY);
    assert_eq!(errno(sysfs.write("sys/bus/pci/drivers/simgpu/bind", GPU)), EBUSY);
}

#[test]
fn unbinding_from_another_driver_is_enodev() {
    let sysfs = server().sysfs();
    assert_eq!(errno(sysfs.write("sys/bus/pci/drivers/vfio-pci/unbind", GPU)), ENODEV);
    assert_eq!(errno(sysfs.write("sys/bus/pci/drivers/simgpu/unbind", "0000:99:00.0")), ENODEV);
}

#[test]
fn vfio_without_an_iommu_is_einval() {
    let sysfs = server_with(|spec| spec.iommu = false).sysfs();
    partition(&sysfs, 1);
    assert!(!sysfs.exists(&file(VF, "iommu_group")));
    sysfs.write(&file(VF, "driver_override"), "vfio-pci").expect("set");
    assert_eq!(errno(sysfs.write(BIND_VFIO, VF)), EINVAL);
    sysfs.write(PROBE, VF).expect("a probe that fails is no error");
    assert_eq!(driver(&sysfs, VF), None);
}

#[test]
fn vfio_on_a_gpu_with_partitions_is_ebusy() {
    let sysfs = server().sysfs();
    sysfs.write("sys/bus/pci/drivers/simgpu/unbind", GPU).expect("unbound");
    sysfs.write(&gpu_file("driver_override"), "pci-pf-stub").expect("set");
    sysfs.write(PROBE, GPU).expect("probed");
    set_count(&sysfs, "2").expect("made");
    sysfs.write("sys/bus/pci/drivers/pci-pf-stub/unbind", GPU).expect("unbound");
    sysfs.write(&gpu_file("driver_override"), "vfio-pci").expect("set");
    assert_eq!(errno(sysfs.write(BIND_VFIO, GPU)), EBUSY);
}

#[test]
fn a_new_id_takes_every_function_with_it_that_has_no_driver() {
    let sysfs = server().sysfs();
    sysfs.write("sys/bus/pci/drivers/simgpu/unbind", GPU).expect("unbound");
    sysfs.write("sys/bus/pci/drivers/vfio-pci/new_id", "10de 25b6").expect("added");
    assert_eq!(driver(&sysfs, GPU).as_deref(), Some("vfio-pci"));
    assert_eq!(errno(sysfs.write("sys/bus/pci/drivers/vfio-pci/new_id", "10de 25b6")), EEXIST);
    assert_eq!(errno(sysfs.write("sys/bus/pci/drivers/vfio-pci/new_id", "10de")), EINVAL);
    sysfs.write("sys/bus/pci/drivers/vfio-pci/remove_id", "10de 25b6").expect("removed");
    assert_eq!(errno(sysfs.write("sys/bus/pci/drivers/vfio-pci/remove_id", "10de 25b6")), ENODEV);
}

#[test]
fn a_partition_offers_a_message_count_that_no_driver_supports() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    let path = file(VF, "sriov_vf_msix_count");
    assert_eq!(errno(sysfs.write(&path, "-1")), EINVAL);
    assert_eq!(errno(sysfs.write(&path, "4")), 95);
}

#[test]
fn a_driver_does_not_let_go_of_a_gpu_that_a_process_uses_until_the_process_ends() {
    let server = server();
    let sysfs = server.sysfs();
    server.use_gpu(at(GPU), 41, "Xorg");
    assert_eq!(sysfs.link("proc/41/fd/3").expect("open"), "/dev/dri/renderD193");
    let unbind = gpu_file("driver/unbind");
    let patience = std::time::Duration::from_millis(1);
    let waited = sysfs.write_within(&unbind, GPU, patience).expect_err("waits");
    assert_eq!(waited.kind(), std::io::ErrorKind::TimedOut);
    server.end_process(41);
    assert_eq!(driver(&sysfs, GPU), None, "the write that nobody waits for any more still happens");
}
