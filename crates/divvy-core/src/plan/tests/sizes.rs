//! Partitions of different sizes: made, missed, found wrong.

use super::*;
use crate::testing::{mig, sized};

fn world(asked: &[u16], there: &[u16]) -> World {
    let mut world = World::of_gpus(&[("a", mig("gpu-1", there))]);
    let list = asked.iter().filter_map(|size| PartitionCount::new(*size)).collect();
    let split = crate::split::Split::of_sizes(list).expect("a split");
    let setting = PartitionSetting::of(Some(split)).by(Some(Scheme::NvidiaMig));
    world.desired_mut().settings.insert(gpu_id("gpu-1"), setting);
    world
}

#[test]
fn partitions_with_their_sizes_are_left_alone() {
    assert_eq!(planned(&world(&[2, 4, 4], &[2, 4, 4])), Plan::default());
}

#[test]
fn after_a_boot_they_are_made_in_their_sizes() {
    let plan = planned(&world(&[2, 4, 4], &[]));
    assert_eq!(kinds(&plan), ["create"]);
    let text = plan.steps[0].to_string();
    assert!(text.starts_with("make 3 partitions (sizes 2,4,4) of gpu-1"), "{text}");
}

#[test]
fn other_sizes_are_what_another_count_is() {
    for (asked, there) in
        [(&[2, 4, 4][..], &[4, 4, 2][..]), (&[2, 4, 4], &[3, 3, 3]), (&[3, 3, 3], &[2, 4, 4])]
    {
        assert_eq!(kinds(&planned(&world(asked, there))), ["remove", "create"], "{asked:?} {there:?}");
    }
}

#[test]
fn other_sizes_are_left_while_one_of_them_is_open() {
    let mut world = world(&[2, 4, 4], &[3, 3, 3]);
    world.gpu_mut().partitions[1].open = true;
    let plan = planned(&world);
    assert_eq!((plan.steps.len(), plan.waiting.len()), (0, 1), "{plan:?}");
}

#[test]
fn sizes_that_are_not_told_are_waited_for() {
    let mut world = world(&[2, 4, 4], &[2, 4, 4]);
    world.gpu_mut().partitions[0].size = None;
    let plan = planned(&world);
    assert_eq!((plan.steps.len(), plan.waiting.len()), (0, 1), "{plan:?}");
}

#[test]
fn the_one_that_is_missing_comes_back_while_the_others_are_in_use() {
    let mut world = world(&[2, 4, 4], &[2, 4, 4]);
    world.gpu_mut().partitions.remove(1);
    world.gpu_mut().partitions[0].open = true;
    world.gpu_mut().partition_count = Some(2);
    assert_eq!(planned(&world).steps, []);
    world.gpu_mut().sizes_on_offer = PartitionCount::new(4).into_iter().collect();
    assert_eq!(kinds(&planned(&world)), ["create"]);
}

#[test]
fn no_vm_gets_its_partition_while_the_sizes_are_others() {
    let mut world = world(&[2, 4, 4], &[2, 4, 4]);
    world.observed_mut().vms.push(crate::testing::vm("vm-001"));
    let mut world = world.assigned("vm-001", 1);
    assert!(kinds(&planned(&world)).contains(&"add"));
    sized(world.gpu_mut(), &[4, 2, 4]);
    assert!(!kinds(&planned(&world)).contains(&"add"));
}

#[test]
fn all_that_are_made_again_have_their_sizes_again() {
    let mut world = world(&[2, 4, 4], &[2, 4, 4]);
    let id = PartitionId::new(&gpu_id("gpu-1"), PartitionIndex(1));
    world.desired_mut().holds.insert(id, Hold::Remaking { reason: "no reset".into() });
    let plan = planned(&world);
    assert_eq!(kinds(&plan), ["remove", "create"]);
    assert!(plan.steps[1].to_string().contains("(sizes 2,4,4)"), "{}", plan.steps[1]);
}
