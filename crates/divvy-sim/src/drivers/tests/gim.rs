//! AMD's GIM: facts 5.

use crate::testing::lab::Lab;

const MI300X: &str = "0000:c4:00.0";

#[test]
fn the_count_is_said_when_the_module_is_loaded() {
    Lab::of(MI300X).play(
        "5 | read sriov_numvfs | 1
         5 | write sriov_numvfs 0 | ENOENT
         5 | write sriov_numvfs 8 | ENOENT
         5 | run modprobe gim vf_num=8 | 0:
         5 | read sriov_numvfs | 1
         5 | run modprobe -r gim | 0:
         5 | exists /sys/module/gim | false
         5 | exists /etc/gim_config | true
         5 | read sriov_numvfs | 0
         5 | link driver | ENOENT
         5 | run modprobe gim vf_num=32 | 1: modprobe: ERROR: could not insert 'gim': Invalid argument
         5 | run modprobe gim vf_num=8 | 0:
         5 | read sriov_numvfs | 8
         5 | read vf7/device | 0x74b5
         5 | read /sys/module/gim/version | 9.4.0.K
         5 | reboot now | ok
         5 | read sriov_numvfs | 1",
    );
}

#[test]
fn a_count_that_the_gpu_does_not_allow_leaves_it_without_driver() {
    Lab::of(MI300X).play(
        "5 | run modprobe -r gim | 0:
         5 | run modprobe gim vf_num=4 | 0:
         5 | exists /sys/module/gim | true
         5 | link driver | ENOENT
         5 | read sriov_numvfs | 0",
    );
}

#[test]
fn stores_say_yes_and_do_what_they_like() {
    Lab::of(MI300X).play(
        "5 | read accelerator_partition_profile | 0
         5 | write accelerator_partition_profile 99 | ok
         5 | read accelerator_partition_profile | 0
         5 | write accelerator_partition_profile many | ok
         5 | read spatial_partition_mode | SPX
         5 | write accelerator_partition_profile 3 | ok
         5 | read spatial_partition_mode | CPX
         5 | write memory_partition_mode NPS3 | ok
         5 | read memory_partition_mode | NPS1
         5 | write memory_partition_mode NPS4 | ok
         5 | read memory_partition_mode | NPS4
         5 | write spatial_partition_mode CPX | EACCES
         5 | read spatial_partition_caps | SPX, DPX, QPX, CPX",
    );
}

#[test]
fn its_vfs_are_plain_ones_and_keep_the_module_while_a_vm_has_one() {
    let lab = Lab::of(MI300X);
    lab.play(
        "5 | link vf0/driver | ENOENT
         1.3 | write vf0/driver_override vfio-pci | ok
         1.3 | write /sys/bus/pci/drivers_probe 0000:c4:00.1 | ok
         1.3 | link vf0/driver | ../../../../bus/pci/drivers/vfio-pci",
    );
    let group = crate::testing::group(&lab.server().sysfs(), "0000:c4:00.1");
    lab.server().hold_group(group, 4711);
    lab.play(
        "5 | run modprobe -r gim | 1: modprobe: FATAL: Module gim is in use.\n5 | read sriov_numvfs | 1",
    );
    lab.play("5 | write accelerator_partition_profile 3 | ok\n5 | read accelerator_partition_profile | 0");
    lab.server().release_group(group, 4711);
    lab.play("5 | run modprobe -r gim | 0:");
}
