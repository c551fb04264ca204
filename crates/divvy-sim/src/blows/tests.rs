//! Each thing that can be typed happens to what it names, can be seen, and is over when it is cleared.

use divvy_core::step::DeviceScope;
use divvy_host::sysfs::Sysfs;
use divvy_hypervisor::Hypervisor;

use crate::room::Room;
use crate::spec::Delays;
use crate::testing::lab::Lab;
use crate::testing::{ready, vm};

const A2: &str = "0000:41:00.0";
const XE: &str = "0000:42:00.0";

fn faults(room: &Room) -> Vec<String> {
    room.faults().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_switched_on_is_listed_by_serial_number_until_it_is_cleared() {
    let lab = Lab::of(A2);
    let serial = lab.server().gpus()[0].serial;
    lab.play(
        "F21 | write sriov_numvfs 4 | ok
         F21 | fault gpu lab-1/@ partial 3 | ok
         F22 | fault gpu lab-1/@ fail ENOSPC | ok
         F25 | fault partition lab-1/@.2 wedge | ok",
    );
    let name = format!("gpu-{serial:016x}");
    let expected = [
        format!("gpu {name} fail ENOSPC"),
        format!("gpu {name} partial 3"),
        format!("partition {name}.2 wedge"),
    ];
    assert_eq!(faults(&lab.room), expected);
    lab.play("F21 | fault clear | ok");
    assert_eq!(faults(&lab.room), [""; 0]);
}

#[test]
fn a_gpu_is_named_by_serial_number_too() {
    let lab = Lab::of(A2);
    let serial = lab.server().gpus()[0].serial;
    lab.play(&format!("F22 | fault gpu gpu-{serial:016x} fail EIO | ok\nF22 | write sriov_numvfs 4 | EIO"));
}

#[test]
fn what_is_not_there_is_named() {
    Lab::of(A2).play(
        "- | fault gpu gpu-0000000000000000 lose | the room has no GPU gpu-0000000000000000
         - | fault gpu lab-1/0000:00:01.0 lose | the room has no GPU lab-1/0000:00:01.0
         - | fault gpu lab-2/@ lose | the room has no server lab-2
         - | fault partition lab-1/@.0 wedge | GPU lab-1/@ has no partition 0 now
         - | fault server lab-2 reboot | the room has no server lab-2
         - | fault vm vm-999 kill | the room has no VM vm-999
         - | fault vm vm-001 kill | VM vm-001 does not run",
    );
}

#[test]
fn a_lost_gpu_reads_ff_and_its_drivers_files_take_no_write() {
    let lab = Lab::of(XE);
    lab.play(
        "3   | fault gpu lab-1/@ lose | ok
         4.3 | write sriov_admin/vf1/profile/vram_quota 2097152 | EIO
         1.2 | write sriov_numvfs 1 | EIO",
    );
    let config = lab.server().sysfs().read(&format!("sys/bus/pci/devices/{XE}/config")).expect("read");
    assert!(config.iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_drivers_error_is_that_of_its_files_too() {
    Lab::of(XE).play(
        "4.2 | fault gpu lab-1/@ fail ENOSPC | ok
         4.3 | write sriov_admin/vf1/profile/vram_quota 2097152 | ENOSPC
         4.2 | write sriov_numvfs 1 | ENOSPC",
    );
}

/// A GPU that is reset loses what its VFs had, and keeps the VFs.
#[test]
fn profiles_can_be_lost_while_the_vfs_stay() {
    Lab::of(XE).play(
        "4.2 | write sriov_numvfs 2 | ok
         F23 | fault gpu lab-1/@ lose-profiles | ok
         F23 | read sriov_numvfs | 2
         F23 | read sriov_admin/vf1/profile/vram_quota | 0",
    );
    Lab::of("0000:c2:00.0").play(
        "2.2 | run sriov-manage -e @ | 0: …
         2.3 | write vf0/nvidia/current_vgpu_type 560 | ok
         F23 | fault gpu lab-1/@ lose-profiles | ok
         F23 | read sriov_numvfs | 32
         F23 | read vf0/nvidia/current_vgpu_type | 0",
    );
}

#[test]
fn a_wedged_partition_cannot_be_reset_until_it_is_made_anew() {
    Lab::of(A2).play(
        "1.2 | write sriov_numvfs 2 | ok
         F25 | fault gpu lab-1/@ wedge | ok
         F25 | write vf0/reset 1 | ENOTTY
         F25 | write vf1/reset 1 | ENOTTY
         F25 | write reset 1 | ok
         1.2 | write sriov_numvfs 0 | ok
         1.2 | write sriov_numvfs 2 | ok
         F25 | write vf0/reset 1 | ok",
    );
}

#[test]
fn a_reload_of_the_drivers_takes_all_vfs_away_and_brings_the_drivers_back() {
    Lab::of(XE).play(
        "1.3 | write sriov_drivers_autoprobe 0 | ok
         1.2 | write sriov_numvfs 2 | ok
         2.2 | run sriov-manage -e ALL | 0: …
         F23 | fault server lab-1 reload-driver | ok
         F23 | read sriov_numvfs | 0
         F23 | link driver | ../../../../bus/pci/drivers/xe
         F23 | read /sys/bus/pci/devices/0000:c2:00.0/sriov_numvfs | 0
         5   | read /sys/bus/pci/devices/0000:c4:00.0/sriov_numvfs | 1",
    );
}

#[test]
fn a_server_reboots_with_its_addresses_or_with_others() {
    let lab = Lab::of(A2);
    let before = lab.server().boot_id();
    lab.play("F20 | fault server lab-1 reboot | ok");
    assert_ne!(lab.server().boot_id(), before);
    assert_eq!(lab.server().gpus()[0].address.to_string(), A2);
    lab.play("F24 | fault server lab-1 renumber | ok");
    assert_eq!(lab.server().gpus()[0].address.to_string(), "0000:42:00.0");
}

#[test]
fn a_write_takes_longer_on_a_slow_gpu() {
    let room =
        Room::open("mixed-lab", 1, Delays { enable: std::time::Duration::from_millis(1), ..Delays::none() });
    let lab = Lab { room: room.expect("a room"), gpu: XE.to_owned() };
    lab.play("1.2 | fault gpu lab-1/@ slow 600000 | ok");
    let path = format!("sys/bus/pci/devices/{XE}/sriov_numvfs");
    let written = lab.server().sysfs().write_within(&path, "2", std::time::Duration::from_millis(20));
    assert_eq!(written.expect_err("still under way").kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_killed_vm_is_off_and_plain_partitions_come_through_it() {
    let lab = Lab::of(A2);
    lab.play(
        "1.3 | write sriov_drivers_autoprobe 0 | ok
         1.2 | write sriov_numvfs 1 | ok
         1.3 | write vf0/driver_override vfio-pci | ok
         1.3 | write /sys/bus/pci/drivers_probe 0000:41:00.4 | ok",
    );
    let one = vm(lab.server(), "vm-001");
    let defined = DeviceScope { defined: true, live: false };
    lab.server().hypervisor().attach(&ready(&one, "0000:41:00.4", 0), defined).expect("defined");
    lab.server().power_on(&one).expect("on");
    lab.play(
        "2.11 | fault vm vm-001 kill | ok\n2.11 | write vf0/reset 1 | ok\n- | fault vm vm-001 kill | VM …",
    );
}

#[test]
fn a_mode_is_switched_only_where_there_is_one_and_nothing_needs_it_as_it_is() {
    Lab::of("0000:c3:00.0").play(
        "2.6 | fault gpu lab-1/@ mig off | ok
         2.6 | run nvidia-smi -i @ --query-gpu=mig.mode.current --format=csv,noheader | 0: Disabled
         2.6 | fault gpu lab-1/@ mig on | ok
         2.2 | run sriov-manage -e @ | 0: …
         2.6 | fault gpu lab-1/@ mig off | GPU lab-1/@ is in use, or has what partitions need; …
         2.6 | fault gpu lab-1/0000:c2:00.0 mig on | GPU lab-1/0000:c2:00.0 has no MIG mode …
         2.6 | fault gpu lab-1/0000:42:00.0 ecc on | GPU lab-1/0000:42:00.0 has no ECC mode …",
    );
}

#[test]
fn another_version_of_nvidias_driver_is_there_from_then_on_also_after_a_boot_and_in_the_kept_room() {
    const VERSION: &str = "- | read /sys/module/nvidia/version | 570.172.08";
    let lab = Lab::of("0000:c2:00.0");
    lab.play(
        "2.2 | run sriov-manage -e @ | 0: …
         -   | fault server lab-1 nvidia-driver 570.172.08 | ok
         F23 | read sriov_numvfs | 0",
    );
    lab.play(VERSION);
    lab.play("F20 | fault server lab-1 reboot | ok");
    lab.play(VERSION);
    let room = Room::load(&lab.room.save(), Delays::none()).expect("loaded");
    Lab { room, ..lab }.play(VERSION);
}

#[test]
fn a_server_without_nvidias_driver_does_not_get_it() {
    Lab::in_room("a40-hall", A2)
        .play("- | fault server hall-1 nvidia-driver 570.172.08 | server hall-1 has no driver of NVIDIA's");
}
