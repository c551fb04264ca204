//! Which partition is picked, of equal and of different ones.

use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::change::Edit;
use crate::decide::decide;
use crate::desired::PartitionSetting;
use crate::refusal::Refusal;
use crate::request::{CountWish, GpuSelection, Request};
use crate::rules::sizes;
use crate::testing::{World, gpu_a2, gpu_id, mig, vm};

const GIB: u64 = 1 << 30;

/// GPU `gpu-1` with different partitions, `gpu-2` with three equal ones of the same model, and VMs.
fn world() -> World {
    let mut world = World::of_gpus(&[("a", mig("gpu-1", &[2, 4, 4]))]);
    world.observed_mut().gpus.push(mig("gpu-2", &[3, 3, 3]));
    world.observed_mut().vms = (1..=8).map(|number| vm(&alloc::format!("vm-{number}"))).collect();
    for gpu in world.servers[0].1.gpus.clone() {
        world.desired_mut().settings.insert(gpu.id.clone(), sizes::adopted(&gpu).expect("told"));
    }
    world
}

fn request(vms: &[&str], memory_gib: Option<u64>) -> Request {
    Request::Assign {
        vms: vms.iter().map(ToString::to_string).collect(),
        gpu: None,
        memory_bytes: memory_gib.map(|gib| gib * GIB),
        partition: None,
        accept: BTreeSet::new(),
    }
}

fn picked(world: &World, request: &Request) -> Result<Vec<alloc::string::String>, Refusal> {
    let change = decide(&world.state(), request)?;
    let of = |edit: &Edit| match edit {
        Edit::SetAssignment { assignment, .. } => assignment.partition().map(ToString::to_string),
        _ => None,
    };
    Ok(change.edits.iter().filter_map(of).collect())
}

#[test]
fn without_a_wish_equal_partitions_go_first_and_then_the_smallest_of_different_ones() {
    let vms = ["vm-1", "vm-2", "vm-3", "vm-4", "vm-5", "vm-6"];
    let expected = ["gpu-2.0", "gpu-2.1", "gpu-2.2", "gpu-1.1", "gpu-1.2", "gpu-1.0"];
    assert_eq!(picked(&world(), &request(&vms, None)).expect("six are free"), expected);
}

#[test]
fn the_smallest_that_has_as_much_memory_is_picked_of_whatever_gpu() {
    for (gib, partition) in [(1, "gpu-2.0"), (35, "gpu-2.0"), (36, "gpu-1.0"), (71, "gpu-1.0")] {
        assert_eq!(picked(&world(), &request(&["vm-1"], Some(gib))).expect("one fits"), [partition], "{gib}");
    }
}

#[test]
fn memory_counts_on_equal_gpus_too() {
    let mut world = World::one_a2(4);
    world.observed_mut().gpus.push(gpu_a2("gpu-2", 2));
    world.desired_mut().settings.insert(gpu_id("gpu-2"), PartitionSetting::from_number(2));
    assert_eq!(picked(&world, &request(&["vm-001"], Some(4))).expect("fits"), ["gpu-1.0"]);
    assert_eq!(picked(&world, &request(&["vm-001"], Some(5))).expect("fits"), ["gpu-2.0"]);
}

#[test]
fn where_none_is_large_enough_the_refusal_names_the_free_sizes() {
    let refusal = picked(&world(), &request(&["vm-1"], Some(100))).expect_err("none has 100 GiB");
    assert_eq!(refusal.code(), "no_partition_large_enough");
    for size in ["GPU gpu-1 has 1 free of 71 GiB", "GPU gpu-1 has 2 free of 35 GiB", "3 free of 35 GiB"] {
        assert!(refusal.to_string().contains(size), "{refusal}");
    }
    assert_eq!(refusal.hint(), "ask for what the largest free one has: --memory 71GiB");
}

#[test]
fn each_vm_of_one_request_has_as_much_as_asked_for_or_none_gets_any() {
    let refusal = picked(&world(), &request(&["vm-1", "vm-2"], Some(60))).expect_err("one alone has 60 GiB");
    assert_eq!(refusal.code(), "no_partition_large_enough");
}

#[test]
fn partitions_that_another_hand_made_in_different_sizes_are_kept_so() {
    let mut world = world();
    world.desired_mut().settings.clear();
    let change = decide(&world.state(), &request(&["vm-1"], Some(60))).expect("one has 60 GiB");
    let kept = change.edits.iter().find_map(|edit| match edit {
        Edit::SetCount { setting: Some(setting), .. } => setting.split(),
        _ => None,
    });
    assert_eq!(kept.map(|split| split.as_option()), Some("--sizes 2,4,4".into()));
}

#[test]
fn different_sizes_are_set_as_counts_are_and_only_while_nobody_has_a_partition() {
    let set = |sizes: &[u16]| Request::SetPartitionCount {
        gpus: GpuSelection::Named(Vec::from(["gpu-1".into()])),
        wish: CountWish::Sizes(sizes.to_vec()),
    };
    let options = |world: &World, sizes: &[u16]| -> Result<Vec<_>, Refusal> {
        let change = decide(&world.state(), &set(sizes))?;
        let of = |edit: &Edit| match edit {
            Edit::SetCount { setting: Some(setting), .. } => setting.split().map(|split| split.as_option()),
            _ => None,
        };
        Ok(change.edits.iter().filter_map(of).collect())
    };
    let mut world = world();
    assert_eq!(options(&world, &[4, 2, 4]).expect("so already"), Vec::<alloc::string::String>::new());
    assert_eq!(options(&world, &[3, 2, 3]).expect("fits"), ["--sizes 2,3,3"]);
    assert_eq!(options(&world, &[2, 2]).expect("fits"), ["--count 2"]);
    world = world.assigned("vm-1", 0);
    assert_eq!(options(&world, &[3, 2, 3]).expect_err("assigned").code(), "partitions_assigned");
}
