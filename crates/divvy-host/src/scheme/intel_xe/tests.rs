//! Shares below `sriov_admin`: counted from 1, zero before and after, equal in between.

use divvy_core::gpu::Scheme;

use super::*;
use crate::testing::steps::{create, observed, remove};
use crate::testing::{Reacting, Tree, gpu_address};

const XE: Scheme = Scheme::IntelXe;

/// The first GPU, with shares of four partitions to be.
fn with_shares(bytes: [u64; 4]) -> Reacting {
    let tree = Tree::server();
    tree.gpu(0);
    tree.driver(gpu_address(0), "xe");
    for (nth, bytes) in (1..).zip(bytes) {
        tree.file(&memory(gpu_address(0), &format!("vf{nth}")), &format!("{bytes}\n"));
    }
    tree.dir(&format!("{}/pf/profile", paths::sriov_admin(gpu_address(0))));
    Reacting::on(tree)
}

fn shares(kernel: &Reacting) -> Vec<u64> {
    let path = |nth| memory(gpu_address(0), &format!("vf{nth}"));
    (1..=4).map(|nth| intel::share(kernel, &path(nth)).expect("readable").expect("is there")).collect()
}

#[test]
fn it_is_detected_and_its_first_partition_has_the_share_of_number_one() {
    let kernel = with_shares([0; 4]);
    create(&kernel, XE, 2).expect("creates");
    kernel.tree.file(&memory(gpu_address(0), "vf1"), "7390363648\n");
    let gpu = observed(&kernel);
    assert_eq!((gpu.scheme, gpu.partition_count), (Some(XE), Some(2)));
    assert_eq!(gpu.partitions[0].memory_bytes, Some(7_390_363_648));
    assert_eq!(gpu.partitions[1].memory_bytes, None);
}

#[test]
fn what_somebody_left_is_taken_back_before_the_partitions_are_made() {
    let kernel = with_shares([0, 2 << 30, 0, 0]);
    create(&kernel, XE, 2).expect("creates");
    assert_eq!(kernel.writes(), ["profile/vram_quota = 0", "0000:41:00.0/sriov_numvfs = 2"]);
}

#[test]
fn nothing_is_written_where_nothing_was_left() {
    let kernel = with_shares([0; 4]);
    create(&kernel, XE, 2).expect("creates");
    assert_eq!(kernel.writes(), ["0000:41:00.0/sriov_numvfs = 2"]);
}

#[test]
fn shares_that_are_not_equal_are_a_failure() {
    let kernel = with_shares([0; 4]);
    kernel.tree.make_partitions(gpu_address(0), 2);
    kernel.tree.file(&memory(gpu_address(0), "vf2"), "2097152\n");
    let error = create(&kernel, XE, 2).expect_err("unequal");
    assert!(matches!(&error, HostError::OtherType { path, .. } if path.contains("/vf2/")), "{error}");
}

#[test]
fn no_share_is_left_after_the_partitions() {
    let kernel = with_shares([0; 4]);
    create(&kernel, XE, 2).expect("creates");
    for nth in 1..=2 {
        kernel.tree.file(&memory(gpu_address(0), &format!("vf{nth}")), "2097152\n");
    }
    remove(&kernel, XE, 2).expect("removes");
    assert_eq!(shares(&kernel), [0; 4]);
}

#[test]
fn a_share_that_does_not_go_stops_the_step_before_any_partition_is_made() {
    let mut kernel = with_shares([2097152, 0, 0, 0]);
    kernel.faults.forgets.insert("vram_quota");
    assert!(matches!(create(&kernel, XE, 2), Err(HostError::ReadBack { .. })));
    assert_eq!(observed(&kernel).partition_count, Some(0));
}

#[test]
fn a_driver_without_shares_makes_plain_partitions() {
    let kernel = with_shares([0; 4]);
    kernel.tree.remove(&paths::sriov_admin(gpu_address(0)));
    kernel.tree.dir(&paths::sriov_admin(gpu_address(0)));
    create(&kernel, XE, 2).expect("creates");
    assert_eq!(observed(&kernel).partitions.len(), 2);
}
