//! MIG: facts 2.3 (rule 4) and 2.6.

use crate::models;
use crate::server::{Addresses, SimServer};
use crate::spec::{Delays, ServerSpec};
use crate::testing::lab::Lab;

const H200: &str = "0000:c3:00.0";

#[test]
fn in_the_right_order_types_take_parts() {
    Lab::of(H200).play(
        "2.6 | run nvidia-smi -i @ --query-gpu=mig.mode.current --format=csv,noheader | 0: Enabled
         2.2 | run sriov-manage -e @ | 0: …
         2.6 | read vf0/nvidia/creatable_vgpu_types |
         2.6 | write vf0/nvidia/current_vgpu_type 1414 | EIO
         2.6 | run nvidia-smi mig -i @ -cgi 14,19 -C | 0: Successfully created GPU instance ID  3 on GPU …
         2.3 | read vf0/nvidia/creatable_vgpu_types | ID    : vGPU Name / 1414  : NVIDIA H200X-1-18C / 1416  : NVIDIA H200X-2-35C
         2.3 | write vf0/nvidia/current_vgpu_type 1416 | ok
         2.3 | read vf0/nvidia/gpu_instance_id | 3
         2.3 | read vf1/nvidia/creatable_vgpu_types | ID    : vGPU Name / 1414  : NVIDIA H200X-1-18C
         2.3 | write vf1/nvidia/current_vgpu_type 1416 | EIO
         2.3 | write vf1/nvidia/current_vgpu_type 1428 | EIO
         2.6 | run nvidia-smi mig -i @ -dgi | 19: …
         2.6 | run nvidia-smi mig -i @ -dci | 19: …
         2.3 | write vf0/nvidia/current_vgpu_type 0 | ok
         2.6 | run nvidia-smi mig -i @ -dgi | 19: …
         2.6 | run nvidia-smi mig -i @ -dci | 0: …
         2.6 | run nvidia-smi mig -i @ -dgi | 0: …
         2.6 | run nvidia-smi -i @ -mig 0 | 19: …
         2.2 | run sriov-manage -d @ | 0: …
         2.6 | run nvidia-smi -i @ -mig 0 | 0: Disabled MIG Mode for GPU 00000000:C3:00.0 / All done.",
    );
}

#[test]
fn parts_made_before_the_vfs_are_lost_with_the_driver() {
    Lab::of(H200).play(
        "2.6 | run nvidia-smi mig -i @ -cgi 19 -C | 0: …
         2.2 | run sriov-manage -e @ | 0: …
         2.6 | run nvidia-smi mig -i @ -lgi | 6: …
         2.6 | read vf0/nvidia/creatable_vgpu_types |",
    );
}

#[test]
fn a_mode_switched_on_behind_the_vfs_makes_no_type_possible() {
    Lab::of(H200).play(
        "2.6 | run nvidia-smi -i @ -mig 0 | 0: …
         2.2 | run sriov-manage -e @ | 0: …
         2.3 | read vf0/nvidia/creatable_vgpu_types | ID    : vGPU Name / 1420  : NVIDIA H200X-4C …
         2.6 | run nvidia-smi -i @ -mig 1 | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 19 -C | 0: …
         2.6 | read vf0/nvidia/creatable_vgpu_types |
         2.6 | write vf0/nvidia/current_vgpu_type 1414 | EIO
         2.6 | write vf0/nvidia/current_vgpu_type 1420 | EIO",
    );
}

/// Seven of compute and eight of memory: a part of three leaves four of both.
#[test]
fn parts_fit_as_compute_and_memory_allow() {
    Lab::of(H200).play(
        "2.6 | run nvidia-smi mig -i @ -cgi 9 -C | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 5 | 23: …
         2.6 | run nvidia-smi mig -i @ -cgi 9,9 | 23: …
         2.6 | run nvidia-smi mig -i @ -cgi 19 | 23: …
         2.6 | run nvidia-smi mig -i @ -cgi 77 | 6: …
         2.6 | run nvidia-smi mig -i @ -dci | 0: …
         2.6 | run nvidia-smi mig -i @ -dgi | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 19,19,19,19,19,19,19 -C | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 19 | 23: …",
    );
}

/// Memory is taken in order unless a place is said: so the same parts fit or do not.
#[test]
fn a_part_can_be_cut_where_it_is_wanted() {
    Lab::of(H200).play(
        "2.6 | run nvidia-smi mig -i @ -cgi 9,14 -C | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 14 -C | 23: …
         2.6 | run nvidia-smi mig -i @ -dci | 0: …
         2.6 | run nvidia-smi mig -i @ -dgi | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 9:4,14:0,14:2 -C | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 19:1 -C | 23: …
         2.6 | run nvidia-smi mig -i @ -dci | 0: …
         2.6 | run nvidia-smi mig -i @ -dgi | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 14:1 -C | 23: …
         2.6 | run nvidia-smi mig -i @ -cgi 14:x -C | 23: …",
    );
}

#[test]
fn lists_have_the_rows_that_were_seen() {
    let lab = Lab::of(H200);
    let sysfs = lab.server().sysfs();
    let said = |args: &[&str]| {
        let ran = divvy_host::sysfs::Sysfs::run(&*sysfs, "nvidia-smi", args, crate::testing::lab::PATIENCE)
            .expect("ran");
        String::from_utf8(ran.stdout).expect("text")
    };
    let profiles = said(&["mig", "-i", H200, "-lgip"]);
    assert!(profiles.contains(" MIG 1g.18gb 19 7/7 16.00 No 16 1 0 "), "{profiles}");
    let places = said(&["mig", "-i", H200, "-lgipp"]);
    assert!(places.contains("Profile ID 14 Placements: {0,2,4}:2\n"), "{places}");
    assert!(places.contains("Profile ID  0 Placement : {0}:8\n"), "{places}");
    lab.play("2.6 | run nvidia-smi mig -i @ -cgi 14,19 -C | 0: …");
    let parts = said(&["mig", "-i", H200, "-lgi"]);
    assert!(parts.contains(" MIG 2g.35gb 14 3 0:2 ") && parts.contains(" MIG 1g.18gb 19 7 2:1 "), "{parts}");
    assert!(said(&["mig", "-i", H200, "-lgip"]).contains(" MIG 1g.18gb 19 4/7 "));
}

#[test]
fn hopper_forgets_its_mode_and_everything_forgets_its_parts_at_a_reboot() {
    Lab::of(H200).play(
        "2.2 | run sriov-manage -e @ | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 19 -C | 0: …
         2.6 | reboot now | ok
         2.6 | run nvidia-smi -i @ --query-gpu=mig.mode.current --format=csv,noheader | 0: Disabled
         2.6 | run nvidia-smi -i @ -mig 1 | 0: …
         2.6 | run nvidia-smi mig -i @ -lgi | 6: …",
    );
}

#[test]
fn a_gpu_without_mig_says_so() {
    Lab::of("0000:c2:00.0").play(
        "2.6 | run nvidia-smi -i @ --query-gpu=mig.mode.current --format=csv,noheader | 0: [N/A]
         2.6 | run nvidia-smi -i @ -mig 1 | 3: …
         2.6 | run nvidia-smi -i 99 -mig 1 | 6: …
         2.6 | run nvidia-smi --sing | 2: …",
    );
}

/// An A100 in the place of the H200.
fn a100() -> SimServer {
    let mut spec: ServerSpec = crate::room::specs("h200-mig", 1).expect("a room").swap_remove(0);
    let gpu = spec.functions.iter_mut().find(|function| function.gpu.is_some()).expect("a GPU");
    gpu.numbers = models::A100.numbers;
    spec.drivers.iter_mut().filter(|driver| driver.name == "nvidia").for_each(|driver| {
        driver.ids.push((0x10de, 0x20b5));
    });
    SimServer::new(spec, Delays::none())
}

#[test]
fn ampere_needs_a_reset_for_its_mode_and_keeps_it_over_a_reboot() {
    let server = a100();
    let gpu = server.gpus()[0].address.to_string();
    let said = |args: &[&str]| {
        let all: Vec<&str> = ["-i", &gpu].into_iter().chain(args.iter().copied()).collect();
        let ran = divvy_host::sysfs::Sysfs::run(
            &*server.sysfs(),
            "nvidia-smi",
            &all,
            crate::testing::lab::PATIENCE,
        );
        String::from_utf8(ran.expect("ran").stdout).expect("text")
    };
    let mode = ["--query-gpu=mig.mode.current", "--format=csv,noheader"];
    assert_eq!(said(&mode), "Enabled\n");
    assert!(said(&["-mig", "0"]).contains("pending disable"));
    assert_eq!(said(&mode), "Enabled\n");
    said(&["--gpu-reset"]);
    assert_eq!(said(&mode), "Disabled\n");
    assert!(said(&["-mig", "1"]).contains("pending enable"));
    server.reboot(Addresses::Kept);
    assert_eq!(said(&mode), "Enabled\n");
    server.reboot(Addresses::Kept);
    assert_eq!(said(&mode), "Enabled\n");
}
