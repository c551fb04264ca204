//! Shares below `drm/cardN/iov`: all of them before the partitions, none of them after.

use divvy_core::gpu::Scheme;

use super::*;
use crate::testing::steps::{create, create_sizes, observed, remove};
use crate::testing::{Reacting, Tree, gpu_address};

const I915: Scheme = Scheme::IntelI915;
const FREE: u64 = 16_777_216_000;

fn with_tiles(tiles: &[&str]) -> Reacting {
    let tree = Tree::server();
    tree.gpu(0);
    tree.driver(gpu_address(0), "i915");
    let iov = paths::iov(gpu_address(0), "card1");
    tree.dir(&format!("{}/renderD128", paths::drm(gpu_address(0))));
    for tile in tiles {
        let free = [
            ("lmem_free", FREE),
            ("ggtt_free", 3840 << 20),
            ("doorbells_free", 240),
            ("contexts_free", 65536),
        ];
        for (name, free) in free {
            tree.file(&format!("{iov}/pf/{tile}/available/{name}"), &format!("{free}\n"));
        }
        for nth in 1..=4 {
            for resource in RESOURCES {
                tree.file(&format!("{iov}/vf{nth}/{tile}/{}", resource.share), "0\n");
            }
        }
    }
    Reacting::on(tree)
}

fn share(kernel: &Reacting, nth: u16, name: &str) -> u64 {
    let path = format!("{}/vf{nth}/gt/{name}", paths::iov(gpu_address(0), "card1"));
    intel::share(kernel, &path).expect("readable").expect("is there")
}

#[test]
fn each_partition_gets_the_same_part_of_what_is_free_in_the_drivers_steps() {
    let kernel = with_tiles(&["gt"]);
    create(&kernel, I915, 3).expect("creates");
    let each = FREE / 3 / (2 << 20) * (2 << 20);
    for nth in 1..=3 {
        assert_eq!(share(&kernel, nth, "lmem_quota"), each);
        assert_eq!(share(&kernel, nth, "ggtt_quota"), 1280 << 20);
        assert_eq!(share(&kernel, nth, "doorbells_quota"), 80);
        assert_eq!(share(&kernel, nth, "contexts_quota"), 1024);
    }
    assert_eq!(share(&kernel, 4, "lmem_quota"), 0);
    let gpu = observed(&kernel);
    assert_eq!((gpu.scheme, gpu.partition_count), (Some(I915), Some(3)));
    assert_eq!(gpu.partitions[0].memory_bytes, Some(each));
}

#[test]
fn the_number_of_partitions_is_written_last() {
    let kernel = with_tiles(&["gt"]);
    create(&kernel, I915, 2).expect("creates");
    let writes = kernel.writes();
    assert_eq!(writes.last().map(String::as_str), Some("0000:41:00.0/sriov_numvfs = 2"));
    assert_eq!(writes.len(), 9);
}

#[test]
fn each_tile_has_shares_of_its_own() {
    let kernel = with_tiles(&["gt0", "gt1"]);
    create(&kernel, I915, 2).expect("creates");
    assert_eq!(observed(&kernel).partitions[1].memory_bytes, Some(FREE / 2 / (2 << 20) * (2 << 20) * 2));
}

#[test]
fn no_share_is_left_after_the_partitions() {
    let kernel = with_tiles(&["gt"]);
    create(&kernel, I915, 2).expect("creates");
    remove(&kernel, I915, 2).expect("removes");
    let left: u64 = (1..=4)
        .flat_map(|nth| RESOURCES.iter().map(move |r| (nth, r.share)))
        .map(|(nth, name)| share(&kernel, nth, name))
        .sum();
    assert_eq!(left, 0);
}

#[test]
fn taking_the_step_again_is_quiet() {
    let kernel = with_tiles(&["gt"]);
    create(&kernel, I915, 2).expect("creates");
    let written = kernel.writes();
    assert_eq!(create(&kernel, I915, 2).expect("again"), Outcome::Already);
    assert_eq!(kernel.writes(), written);
}

#[test]
fn a_share_that_is_not_kept_stops_the_step_before_any_partition_is_made() {
    let mut kernel = with_tiles(&["gt"]);
    kernel.faults.forgets.insert("doorbells_quota");
    assert!(matches!(create(&kernel, I915, 2), Err(HostError::ReadBack { .. })));
    assert_eq!(observed(&kernel).partition_count, Some(0));
}

#[test]
fn no_memory_left_to_share_is_refused() {
    let kernel = with_tiles(&["gt"]);
    let path = format!("{}/pf/gt/available/lmem_free", paths::iov(gpu_address(0), "card1"));
    kernel.tree.file(&path, "4096\n");
    assert!(matches!(create(&kernel, I915, 2), Err(HostError::NoType { .. })));
}

/// As the driver: what is left is what was not given.
fn take_from_free(kernel: &Reacting, given: u64) {
    let path = format!("{}/pf/gt/available/lmem_free", paths::iov(gpu_address(0), "card1"));
    kernel.tree.file(&path, &format!("{}\n", FREE - given));
}

fn sizes(kernel: &Reacting) -> Vec<Option<u16>> {
    observed(kernel).partitions.iter().map(|one| one.size.map(PartitionCount::get)).collect()
}

#[test]
fn partitions_of_different_sizes_get_what_those_of_their_counts_have() {
    let kernel = with_tiles(&["gt"]);
    assert_eq!(create_sizes(&kernel, I915, &[2, 4, 4]).expect("creates"), Outcome::Changed);
    let part = |of: u64| FREE / of / (2 << 20) * (2 << 20);
    let memory = [1, 2, 3, 4].map(|nth| share(&kernel, nth, "lmem_quota"));
    assert_eq!(memory, [part(2), part(4), part(4), 0]);
    assert_eq!([1, 2].map(|nth| share(&kernel, nth, "doorbells_quota")), [120, 60]);
    take_from_free(&kernel, memory.iter().sum());
    assert_eq!(sizes(&kernel), [Some(2), Some(4), Some(4)]);
    let written = kernel.writes();
    assert_eq!(create_sizes(&kernel, I915, &[2, 4, 4]).expect("again"), Outcome::Already);
    assert_eq!(kernel.writes(), written);
}

#[test]
fn a_size_is_told_also_where_not_all_of_the_gpu_is_given() {
    let kernel = with_tiles(&["gt"]);
    create_sizes(&kernel, I915, &[4, 4]).expect("creates");
    take_from_free(&kernel, share(&kernel, 1, "lmem_quota") * 2);
    assert_eq!(sizes(&kernel), [Some(4), Some(4)]);
}

#[test]
fn equal_partitions_have_the_size_of_their_count() {
    let kernel = with_tiles(&["gt"]);
    create(&kernel, I915, 4).expect("creates");
    take_from_free(&kernel, share(&kernel, 1, "lmem_quota") * 4);
    assert_eq!(sizes(&kernel), [Some(4); 4]);
}

#[test]
fn partitions_of_other_sizes_are_not_taken_for_those_that_are_asked_for() {
    let kernel = with_tiles(&["gt"]);
    create(&kernel, I915, 3).expect("creates");
    take_from_free(&kernel, share(&kernel, 1, "lmem_quota") * 3);
    let refused = create_sizes(&kernel, I915, &[2, 4, 4]);
    assert!(matches!(refused, Err(HostError::OtherSize { .. })), "{refused:?}");
}
