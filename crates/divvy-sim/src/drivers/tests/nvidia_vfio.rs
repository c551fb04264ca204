//! NVIDIA's own VFIO: facts 2.2 (VFs), 2.3 (types) and 2.11 (VMs).

use divvy_core::gpu::Scheme;
use divvy_core::step::DeviceScope;
use divvy_host::sysfs::Sysfs;
use divvy_hypervisor::Hypervisor;

use crate::server::SimServer;
use crate::spec::{Delays, SriovSupport};
use crate::testing::lab::{Lab, PATIENCE};
use crate::testing::{at, file, read, ready, vm};

const A40: &str = "0000:c2:00.0";
const ENABLED: &str = "2.2 | run sriov-manage -e @ | 0: Enabling VFs on @";

fn enabled(gpu: &str) -> Lab {
    let lab = Lab::of(gpu);
    lab.play(ENABLED);
    lab
}

#[test]
fn all_vfs_come_at_once_and_each_has_the_files_of_the_driver() {
    enabled(A40).play(
        "2.2 | read sriov_numvfs | 32
         2.2 | link driver | ../../../../bus/pci/drivers/nvidia
         2.3 | list vf31/nvidia | creatable_vgpu_types current_vgpu_type gpu_instance_id placement_id vgpu_params
         1.1 | link virtfn4 | ../0000:c2:01.0
         2.3 | read vf0/device | 0x2235
         2.3 | read vf0/subsystem_device | 0x0000
         2.3 | read vf0/reset_method | flr
         2.3 | read vf0/nvidia/current_vgpu_type | 0
         2.3 | read vf0/nvidia/gpu_instance_id | ENXIO
         2.3 | read vf0/nvidia/placement_id | ENXIO
         2.1 | list /sys/class/mdev_bus | 0000:44:00.0",
    );
}

#[test]
fn the_first_type_fixes_the_size_of_all_others_and_the_last_one_frees_it() {
    // 48 GiB: types of 16 GiB are 564 (Q) and 574 (A), and three of them fill it.
    enabled(A40).play(
        "2.3.1 | read vf0/nvidia/creatable_vgpu_types | NVIDIA A40-1B 555 / NVIDIA A40-2B 556 / NVIDIA A40-1Q 557 …
         2.3.2 | write vf0/nvidia/current_vgpu_type 564 | ok
         2.3.2 | read vf0/nvidia/current_vgpu_type | 564
         2.3.1 | read vf0/nvidia/creatable_vgpu_types |
         2.3.2 | read vf1/nvidia/creatable_vgpu_types | NVIDIA A40-16Q 564 / NVIDIA A40-16A 574
         2.3   | write vf1/nvidia/current_vgpu_type 557 | EIO
         2.3   | read vf1/nvidia/current_vgpu_type | 0
         2.3.2 | write vf1/nvidia/current_vgpu_type 574 | ok
         2.3.2 | write vf2/nvidia/current_vgpu_type 564 | ok
         2.3.2 | read vf3/nvidia/creatable_vgpu_types |
         2.3   | write vf3/nvidia/current_vgpu_type 564 | EIO
         2.3   | write vf0/nvidia/current_vgpu_type 574 | EBUSY
         2.3   | write vf0/nvidia/current_vgpu_type 0 | ok
         2.3   | write vf1/nvidia/current_vgpu_type 0 | ok
         2.3.2 | read vf0/nvidia/creatable_vgpu_types | NVIDIA A40-16Q 564 / NVIDIA A40-16A 574
         2.3   | write vf2/nvidia/current_vgpu_type 0 | ok
         2.3.3 | read vf0/nvidia/creatable_vgpu_types | NVIDIA A40-1B 555 …
         2.3   | write vf2/nvidia/current_vgpu_type 0 | ok",
    );
}

/// Facts 2.8, 48 GiB: 16 GiB begin at 0 and 32, 8 GiB at 0, 16, 24 and 40, 24 GiB at 0 and 24.
#[test]
fn where_sizes_are_mixed_each_type_needs_a_place_of_its_own() {
    enabled(A40).play(
        "2.4 | run nvidia-smi vgpu -i @ -shm 1 | 0: Enabled …
         2.3 | write vf0/nvidia/current_vgpu_type 564 | ok
         2.4 | run nvidia-smi vgpu -i @ -shm 0 | 19: …
         2.8 | write vf1/nvidia/current_vgpu_type 562 | ok
         2.8 | read vf1/nvidia/placement_id | 16
         2.8 | write vf2/nvidia/current_vgpu_type 562 | ok
         2.8 | read vf2/nvidia/placement_id | 24
         2.8 | write vf3/nvidia/current_vgpu_type 565 | EIO
         2.8 | write vf3/nvidia/current_vgpu_type 564 | ok
         2.8 | read vf3/nvidia/placement_id | 32
         2.8 | read vf4/nvidia/creatable_vgpu_types |
         2.8 | write vf3/nvidia/current_vgpu_type 0 | ok
         2.8 | write vf0/nvidia/current_vgpu_type 0 | ok
         2.8 | write vf1/nvidia/current_vgpu_type 0 | ok
         2.8 | write vf2/nvidia/current_vgpu_type 0 | ok
         2.2 | run sriov-manage -d @ | 0: …
         2.2 | run sriov-manage -e @ | 0: …
         2.8 | write vf0/nvidia/current_vgpu_type 564 | ok
         2.8 | write vf1/nvidia/current_vgpu_type 562 | EIO
         2.4 | run nvidia-smi vgpu -i 99 -shm 1 | 6: …
         2.8 | run nvidia-smi vgpu -i 0000:44:00.0 -shm 1 | 3: …",
    );
}

#[test]
fn what_is_no_type_of_this_gpu_is_refused() {
    enabled(A40).play(
        "2.3 | write vf0/nvidia/current_vgpu_type 1145 | EIO
         2.3 | write vf0/nvidia/current_vgpu_type A40-1Q | EINVAL
         2.3 | write vf0/nvidia/current_vgpu_type -1 | EINVAL
         2.3 | write vf0/nvidia/creatable_vgpu_types 557 | EACCES
         2.3 | read vf0/nvidia/current_vgpu_type | 0",
    );
}

#[test]
fn one_gib_fits_thirty_two_times_and_no_more() {
    let lab = enabled(A40);
    for index in 0..32 {
        lab.play(&format!("2.9 | write vf{index}/nvidia/current_vgpu_type 557 | ok"));
    }
    lab.play(
        "2.3 | write vf31/nvidia/current_vgpu_type 0 | ok\n2.3.2 | read vf31/nvidia/placement_id | ENXIO",
    );
    lab.play("2.3 | read vf30/nvidia/placement_id | 30");
}

#[test]
fn the_other_format_of_the_list_has_a_head_line_and_ids_first() {
    enabled("0001:81:00.0").play(
        "2.3  | read vf0/nvidia/creatable_vgpu_types | ID    : vGPU Name / 1513  : NVIDIA RTX Pro 6000 Blackwell DC-3B …
         2.10 | link virtfn0 | ../0001:81:00.2
         2.10 | read sriov_numvfs | 48
         2.7  | run nvidia-smi vgpu -i 00000001:81:00.0 -s -v | 0: GPU 00000001:81:00.0 / vGPU Type ID                      : 0x5e9 …",
    );
}

#[test]
fn parameters_belong_to_a_type_that_is_there() {
    enabled(A40).play(
        "2.3 | write vf0/nvidia/vgpu_params enable_uvm=1 | EINVAL
         2.3 | write vf0/nvidia/current_vgpu_type 566 | ok
         2.3 | write vf0/nvidia/vgpu_params enable_uvm=1,disable_vnc=1 | ok
         2.3 | read vf0/nvidia/vgpu_params | enable_uvm=1, disable_vnc=1
         2.3 | write vf0/nvidia/vgpu_params enable_uvm | EINVAL
         2.3 | write vf0/nvidia/vgpu_params _ | ok
         2.3 | read vf0/nvidia/vgpu_params |",
    );
}

#[test]
fn a_vf_stays_on_nvidia_and_is_not_taken_back() {
    enabled(A40).play(
        "2.3 | write vf0/driver_override vfio-pci | ok
         2.3 | write /sys/bus/pci/drivers/nvidia/unbind 0000:c2:00.4 | ok
         2.3 | write /sys/bus/pci/drivers/vfio-pci/bind 0000:c2:00.4 | EINVAL
         2.3 | write vf0/driver_override nvidia | ok
         2.3 | write /sys/bus/pci/drivers/nvidia/bind 0000:c2:00.4 | ENODEV
         2.3 | exists vf0/nvidia | false
         2.3 | run sriov-manage -d @ | 0: Disabling VFs on @
         2.3 | run sriov-manage -e @ | 0: Enabling VFs on @
         2.3 | exists vf0/nvidia | true",
    );
}

/// Types are lost by everything that takes the GPU off its driver.
#[test]
fn types_and_vfs_are_lost_at_a_reboot_a_driver_reload_and_a_second_enabling() {
    let typed = "2.3 | write vf0/nvidia/current_vgpu_type 560 | ok";
    let lab = enabled(A40);
    lab.play(typed);
    lab.play(ENABLED);
    lab.play("2.2 | read vf0/nvidia/current_vgpu_type | 0");
    lab.play(typed);
    lab.play("2.2 | fault server lab-1 reload-driver | ok\n2.2 | read sriov_numvfs | 0");
    lab.play(ENABLED);
    lab.play(typed);
    lab.play("2.2 | reboot now | ok\n2.2 | read sriov_numvfs | 0");
    lab.play(ENABLED);
    lab.play("2.2 | read vf0/nvidia/current_vgpu_type | 0");
}

/// A VM that has VF 0 as it is.
fn in_use(lab: &Lab) -> divvy_core::id::VmId {
    lab.play("2.3 | write vf0/nvidia/current_vgpu_type 560 | ok");
    let one = vm(lab.server(), "vm-001");
    let mut hypervisor = lab.server().hypervisor();
    let defined = DeviceScope { defined: true, live: false };
    hypervisor.attach(&ready(&one, "0000:c2:00.4", 0), defined).expect("defined");
    hypervisor.start(&one).expect("started");
    one
}

#[test]
fn a_type_is_not_deleted_while_a_vm_has_it_open() {
    let lab = enabled(A40);
    let one = in_use(&lab);
    lab.play(
        "2.3 | write vf0/nvidia/current_vgpu_type 0 | EPERM\n2.3 | read vf0/nvidia/current_vgpu_type | 560",
    );
    lab.server().power_off(&one).expect("off");
    lab.play(
        "2.3 | fault partition lab-1/@.0 linger 2 | ok
         2.3 | write vf0/nvidia/current_vgpu_type 0 | EPERM
         2.3 | write vf0/nvidia/current_vgpu_type 0 | EPERM
         2.3 | write vf0/nvidia/current_vgpu_type 0 | ok",
    );
}

#[test]
fn a_vf_without_a_type_is_nothing_for_a_vm() {
    let lab = enabled(A40);
    let one = vm(lab.server(), "vm-001");
    let defined = DeviceScope { defined: true, live: false };
    lab.server().hypervisor().attach(&ready(&one, "0000:c2:00.4", 0), defined).expect("defined");
    lab.server().hypervisor().start(&one).expect_err("nothing to open");
}

#[test]
fn the_lock_is_granted_to_nobody_while_a_vm_has_a_part_of_the_gpu() {
    let lab = enabled(A40);
    let one = in_use(&lab);
    let lock = "/proc/driver/nvidia/gpus/@/unbindLock";
    lab.play(&format!(
        "2.2 | write {lock} 1 | ok
         2.2 | read {lock} | 0
         2.2 | run sriov-manage -d @ | 1: Cannot obtain unbindLock for @
         2.2 | write /sys/bus/pci/drivers/nvidia/unbind @ | timed out
         2.2 | fault server lab-1 reload-driver | the driver of @ on lab-1 is in use; turn its VMs off first"
    ));
    lab.server().power_off(&one).expect("off");
    lab.play("2.2 | link driver | ENOENT");
}

#[test]
fn a_granted_lock_keeps_types_from_being_made_until_it_is_given_back() {
    enabled(A40).play(
        "2.2 | write /proc/driver/nvidia/gpus/@/unbindLock 1 | ok
         2.2 | read /proc/driver/nvidia/gpus/@/unbindLock | 1
         2.2 | write vf0/nvidia/current_vgpu_type 560 | EIO
         2.2 | write /proc/driver/nvidia/gpus/@/unbindLock 0 | ok
         2.2 | write vf0/nvidia/current_vgpu_type 560 | ok
         2.2 | write /proc/driver/nvidia/gpus/@/unbindLock yes | EINVAL",
    );
}

#[test]
fn a_killed_vm_leaves_its_vf_wedged_until_the_vfs_are_made_anew() {
    let lab = enabled(A40);
    in_use(&lab);
    lab.play(
        "2.11 | fault vm vm-001 kill | ok
         2.11 | write vf0/nvidia/current_vgpu_type 0 | EIO
         2.11 | write vf0/reset 1 | ENOTTY
         2.11 | write vf1/nvidia/current_vgpu_type 560 | ok
         2.11 | run sriov-manage -d @ | 0: Disabling VFs on @
         2.11 | run sriov-manage -e @ | 0: Enabling VFs on @
         2.11 | write vf0/nvidia/current_vgpu_type 560 | ok",
    );
    assert_eq!(lab.server().residue(at("0000:c2:00.4")), None);
}

/// Facts 2.9 and 2.10: four GPUs on one board, each enabled alone; the subsystem tells them from an A2.
#[test]
fn the_gpus_of_a_board_are_enabled_alone_and_have_the_types_of_their_model() {
    let mut spec = crate::room::specs("a16-pair", 1).expect("a room").swap_remove(0);
    for gpu in spec.functions.iter_mut().filter_map(|function| function.gpu.as_mut()) {
        gpu.scheme = Scheme::NvidiaVfio;
    }
    spec.drivers[0].name = "nvidia".to_owned();
    spec.drivers[0].sriov = SriovSupport::OnlyRemoves;
    let server = SimServer::new(spec, Delays::none());
    let sysfs = server.sysfs();
    sysfs.run("/usr/lib/nvidia/sriov-manage", &["-e", "0000:44:00.0"], PATIENCE).expect("ran");
    let counts =
        ["43", "44", "45", "46"].map(|bus| read(&sysfs, &file(&format!("0000:{bus}:00.0"), "sriov_numvfs")));
    assert_eq!(counts, ["0\n", "16\n", "0\n", "0\n"]);
    let types = read(&sysfs, &file("0000:44:00.4", "nvidia/creatable_vgpu_types"));
    assert!(types.contains("NVIDIA A16-1Q") && !types.contains("A2-"), "{types}");
}
