//! Mediated devices, on VFs and on the GPU itself: facts 2.5.

use crate::testing::lab::Lab;

const A10: &str = "0000:43:00.0";
const T4: &str = "0000:44:00.0";
const ONE: &str = "4b20d080-1b54-4048-85b3-a6a62d165c01";
const TWO: &str = "4B20D080-1B54-4048-85B3-A6A62D165C02";

fn play(lab: &Lab, rows: &str) {
    lab.play(&rows.replace("TYPES", "mdev_supported_types").replace("ONE", ONE).replace("TWO", TWO));
}

#[test]
fn types_are_on_the_vfs_and_never_on_a_gpu_that_makes_vfs() {
    let lab = Lab::of(A10);
    play(
        &lab,
        "2.1 | exists TYPES | false
         2.2 | run sriov-manage -e @ | 0: …
         2.1 | exists TYPES | false
         2.1 | exists vf31/TYPES/nvidia-588 | true
         2.5 | exists /sys/class/mdev_bus/0000:43:00.4 | true
         2.5 | list vf0/TYPES/nvidia-592 | available_instances create description device_api devices name
         2.5 | read vf0/TYPES/nvidia-592/name | NVIDIA A10-3Q
         2.5 | read vf0/TYPES/nvidia-592/description | num_heads=4, frl_config=60, framebuffer=3072M, max_resolution=4096x2160, max_instance=8
         2.5 | read vf0/TYPES/nvidia-592/device_api | vfio-pci
         2.5 | read vf0/TYPES/nvidia-592/create | EACCES
         2.3 | exists vf0/nvidia | false",
    );
}

#[test]
fn a_vf_carries_one_and_its_size_is_that_of_all_others() {
    let lab = Lab::of(A10);
    play(
        &lab,
        "2.2 | run sriov-manage -e @ | 0: …
         2.5 | read vf0/TYPES/nvidia-592/available_instances | 1
         2.5 | write vf0/TYPES/nvidia-592/create not-a-uuid | EINVAL
         2.5 | write vf0/TYPES/nvidia-592/create ONE | ok
         2.5 | write vf1/TYPES/nvidia-592/create ONE | EEXIST
         2.5 | write vf0/TYPES/nvidia-592/create TWO | EIO
         2.5 | read vf0/TYPES/nvidia-592/available_instances | 0
         2.5 | read vf1/TYPES/nvidia-592/available_instances | 1
         2.5 | read vf1/TYPES/nvidia-591/available_instances | 0
         2.5 | write vf1/TYPES/nvidia-591/create TWO | EIO
         2.5 | write vf1/TYPES/nvidia-600/create TWO | ok
         2.5 | exists /sys/bus/mdev/devices/4b20d080-1b54-4048-85b3-a6a62d165c02 | true",
    );
}

#[test]
fn a_mediated_device_has_a_group_of_its_own_and_goes_when_it_is_removed() {
    let lab = Lab::of(A10);
    play(
        &lab,
        "2.2 | run sriov-manage -e @ | 0: …
         2.5 | write vf2/TYPES/nvidia-597/create ONE | ok
         2.5 | link /sys/bus/mdev/devices/ONE | ../../../devices/pci0000:40/0000:40:05.0/0000:43:00.6/ONE
         2.5 | link /sys/bus/mdev/devices/ONE/mdev_type | ../TYPES/nvidia-597
         2.5 | list vf2/TYPES/nvidia-597/devices | ONE
         2.5 | write /sys/bus/mdev/devices/ONE/nvidia/vgpu_params enable_uvm=1 | ok
         2.5 | read /sys/bus/mdev/devices/ONE/nvidia/vgpu_params | enable_uvm=1
         2.5 | list /sys/bus/mdev/devices/ONE/iommu_group/devices | ONE",
    );
    let sysfs = lab.server().sysfs();
    let group = divvy_host::sysfs::Sysfs::link(&*sysfs, &format!("sys/bus/mdev/devices/{ONE}/iommu_group"));
    let group: u32 =
        group.expect("a group").rsplit('/').next().and_then(|n| n.parse().ok()).expect("a number");
    play(&lab, &format!("2.5 | exists /dev/vfio/{group} | true"));
    lab.server().hold_group(group, 4711);
    play(
        &lab,
        "2.5 | write /sys/bus/mdev/devices/ONE/remove 1 | EBUSY
         2.2 | run sriov-manage -d @ | 1: Cannot obtain unbindLock for @",
    );
    lab.server().release_group(group, 4711);
    play(
        &lab,
        "2.5 | fault partition lab-1/@.2 linger 1 | ok
         2.5 | write /sys/bus/mdev/devices/ONE/remove 1 | EPERM
         2.5 | write /sys/bus/mdev/devices/ONE/remove 1 | ok
         2.5 | write /sys/bus/mdev/devices/ONE/remove 1 | ENOENT
         2.5 | list vf2/TYPES/nvidia-597/devices |
         2.5 | read vf2/TYPES/nvidia-588/available_instances | 1",
    );
    play(&lab, &format!("2.5 | exists /dev/vfio/{group} | false"));
    play(&lab, &format!("2.5 | exists /sys/kernel/iommu_groups/{group} | false"));
}

#[test]
fn mediated_devices_go_with_the_vfs_that_carry_them() {
    let lab = Lab::of(A10);
    play(
        &lab,
        "2.2 | run sriov-manage -e @ | 0: …
         2.5 | write vf0/TYPES/nvidia-597/create ONE | ok
         2.2 | run sriov-manage -d @ | 0: …
         2.5 | list /sys/bus/mdev/devices |
         2.5 | list /sys/class/mdev_bus | 0000:44:00.0
         2.2 | read sriov_numvfs | 0",
    );
}

/// T4, facts 2.1 and 2.9: no VFs, the GPU itself counts what is left.
#[test]
fn an_older_gpu_carries_all_of_them_itself() {
    let lab = Lab::of(T4);
    play(
        &lab,
        "2.1 | exists sriov_totalvfs | false
         2.5 | read TYPES/nvidia-230/name | GRID T4-1Q
         2.5 | read TYPES/nvidia-233/available_instances | 2
         2.5 | write TYPES/nvidia-233/create ONE | ok
         2.5 | read TYPES/nvidia-233/available_instances | 1
         2.5 | read TYPES/nvidia-230/available_instances | 0
         2.5 | write TYPES/nvidia-233/create TWO | ok
         2.5 | write TYPES/nvidia-233/create 00000000-0000-4000-8000-000000000000 | ENOSPC
         2.5 | write ONE/remove 1 | ok
         2.5 | read TYPES/nvidia-233/available_instances | 1
         2.2 | run sriov-manage -e @ | 1: No SR-IOV capable GPU found at @
         2.2 | reboot now | ok
         2.5 | list /sys/bus/mdev/devices |",
    );
}
