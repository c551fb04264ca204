//! Programs that do not do what they say, and what they leave behind when they are killed half-way.

use std::time::Duration;

use divvy_host::sysfs::Sysfs;

use crate::room::Room;
use crate::server::SimServer;
use crate::spec::Delays;
use crate::testing::lab::Lab;

const A40: &str = "0000:c2:00.0";
const MANAGE: &str = "/usr/lib/nvidia/sriov-manage";

#[test]
fn all_means_every_gpu_that_can() {
    Lab::of(A40).play(
        "2.2 | run sriov-manage -e ALL | 0: Enabling VFs on 0000:43:00.0 / Enabling VFs on 0000:c2:00.0 / …
         2.2 | read sriov_numvfs | 32
         2.2 | read /sys/bus/pci/devices/0000:43:00.0/sriov_numvfs | 32
         2.2 | read /sys/bus/pci/devices/0001:81:00.0/sriov_numvfs | 48
         2.2 | read /sys/bus/pci/devices/0000:42:00.0/sriov_numvfs | 0",
    );
}

#[test]
fn enabling_what_is_enabled_and_untouched_does_nothing() {
    Lab::of(A40).play(
        "2.2 | run sriov-manage -e @ | 0: …
         2.2 | write /proc/driver/nvidia/gpus/@/unbindLock 1 | ok
         2.2 | run sriov-manage -e @ | 0: …
         2.2 | read /proc/driver/nvidia/gpus/@/unbindLock | 1",
    );
}

#[test]
fn it_can_say_that_all_went_well_and_have_done_nothing() {
    Lab::of(A40).play(
        "2.2 | fault gpu lab-1/@ sriov-manage-lies | ok
         2.2 | run sriov-manage -e @ | 0: Enabling VFs on @
         2.2 | read sriov_numvfs | 0
         2.2 | fault clear | ok
         2.2 | run sriov-manage -e @ | 0: Enabling VFs on @
         2.2 | read sriov_numvfs | 32",
    );
}

#[test]
fn it_can_die_and_leave_the_gpu_on_the_stub_until_somebody_brings_it_back() {
    Lab::of(A40).play(
        "1.4 | fault gpu lab-1/@ sriov-manage-dies | ok
         1.4 | run sriov-manage -e @ | 1: @: unexpected end
         1.4 | link driver | ../../../../bus/pci/drivers/pci-pf-stub
         1.4 | run sriov-manage -e @ | 1: @ is not bound to the nvidia driver
         1.4 | fault gpu lab-1/@ clear | ok
         1.3 | write /sys/bus/pci/drivers/pci-pf-stub/unbind @ | ok
         1.3 | write /sys/bus/pci/drivers/nvidia/bind @ | ok
         1.3 | link driver | ../../../../bus/pci/drivers/nvidia
         2.2 | run sriov-manage -e @ | 0: …",
    );
}

#[test]
fn a_program_of_the_server_on_the_gpu_keeps_it_from_working() {
    Lab::of(A40).play(
        "2.2 | fault gpu lab-1/@ busy | ok
         2.2 | run sriov-manage -e @ | 1: Cannot obtain unbindLock for @
         2.2 | read sriov_numvfs | 0
         2.2 | fault gpu lab-1/@ clear | ok
         2.2 | run sriov-manage -e @ | 0: …",
    );
}

#[test]
fn fewer_vfs_than_all_are_a_success_to_it() {
    Lab::of(A40).play(
        "1.2 | fault gpu lab-1/@ partial 5 | ok
         2.2 | run sriov-manage -e @ | 0: …
         2.2 | read sriov_numvfs | 5",
    );
}

/// GIM makes its VFs when it is loaded: what is wrong with a GPU shows then.
#[test]
fn a_module_is_loaded_well_though_a_gpu_got_fewer_vfs_or_none() {
    Lab::of("0000:c4:00.0").play(
        "1.2 | fault gpu lab-1/@ partial 5 | ok
         5   | run modprobe -r gim | 0:
         5   | run modprobe gim vf_num=8 | 0:
         5   | read sriov_numvfs | 5
         5   | fault clear | ok
         5   | fault gpu lab-1/@ fail EIO | ok
         5   | run modprobe -r gim | 0:
         5   | run modprobe gim vf_num=8 | 0:
         5   | link driver | ENOENT
         5   | read sriov_numvfs | 0",
    );
}

#[test]
fn what_it_does_not_understand_it_refuses() {
    Lab::of(A40).play(
        "2.2 | run sriov-manage | 1: Usage: …
         2.2 | run sriov-manage -e | 1: Usage: …
         2.2 | run sriov-manage -e @ 4 | 1: Usage: …
         2.2 | run sriov-manage -h | 0: Usage: …
         2.2 | run sriov-manage -e 0000:42:00.0 | 1: No SR-IOV capable GPU found at 0000:42:00.0",
    );
}

#[test]
fn a_server_without_the_driver_has_not_its_program() {
    let sysfs = crate::testing::server().sysfs();
    for (program, args) in [
        (MANAGE, &["-e", "ALL"][..]),
        ("nvidia-smi", &["mig", "-lgip"]),
        ("modprobe", &["-r", "gim"]),
        ("/usr/bin/whatever", &[]),
    ] {
        let ran = sysfs.run(program, args, Duration::from_secs(1));
        assert_eq!(ran.expect_err(program).kind(), std::io::ErrorKind::NotFound, "{program}");
    }
}

/// In a kernel that takes its time.
fn slow() -> (Room, String) {
    let delays = Delays { enable: Duration::from_secs(60), ..Delays::none() };
    let room = Room::open("mixed-lab", 1, delays).expect("a room");
    (room, format!("sys/bus/pci/devices/{A40}"))
}

fn driver(server: &SimServer, gpu: &str) -> String {
    server.sysfs().link(&format!("{gpu}/driver")).unwrap_or_default()
}

#[test]
fn killed_in_the_middle_it_leaves_the_gpu_on_the_stub() {
    let (room, gpu) = slow();
    let server = &room.servers[0];
    let ran = server.sysfs().run(MANAGE, &["-e", A40], Duration::from_millis(50));
    assert_eq!(ran.expect_err("killed").kind(), std::io::ErrorKind::TimedOut);
    assert!(driver(server, &gpu).ends_with("pci-pf-stub"), "{}", driver(server, &gpu));
}

#[test]
fn a_write_that_hangs_hangs_the_program_until_it_is_killed() {
    let lab = Lab::of(A40);
    lab.play(
        "1.2 | fault gpu lab-1/@ hang-writes | ok
         2.2 | run sriov-manage -e @ | timed out
         2.3 | fault gpu lab-1/@ clear | ok
         2.2 | run sriov-manage -e @ | 0: …
         2.3 | fault gpu lab-1/@ hang-writes | ok
         2.3 | write vf0/nvidia/current_vgpu_type 560 | timed out
         2.3 | fault gpu lab-1/@ clear | ok
         2.3 | read vf0/nvidia/current_vgpu_type | 560",
    );
}
