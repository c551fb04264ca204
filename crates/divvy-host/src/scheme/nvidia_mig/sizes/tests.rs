//! Partitions of different sizes on a GPU that reacts: made, kept, missed, found wrong.

use divvy_core::desired::PartitionSetting;
use divvy_core::gpu::Scheme;
use divvy_core::rules::sizes;
use divvy_core::split::Split;

use divvy_core::gpu::PartitionCount;

use super::*;
use crate::sysfs::Sysfs;
use crate::testing::nvidia::{Nvidia, fresh, made, ready};
use crate::testing::steps::{clean, create, create_sizes, observed, remove};
use crate::testing::{Reacting, partition_address, partition_group};

const MIG: Scheme = Scheme::NvidiaMig;

fn ids(kernel: &Reacting) -> Vec<u32> {
    made(kernel).into_iter().map(|(_, id)| id).collect()
}

fn seen(kernel: &Reacting) -> Option<String> {
    sizes::seen(&observed(kernel)).map(|split| split.as_option())
}

#[test]
fn each_index_gets_the_type_of_its_size_on_a_part_that_was_cut_for_it() {
    for (sizes, cut, types) in [
        (&[2, 4, 4][..], "9:0,15:4,15:6", &[14, 12, 12][..]),
        (&[2, 3, 3], "9:4,14:0,14:2", &[14, 13, 13]),
        (&[2, 3, 7], "9:0,14:4,19:6", &[14, 13, 11]),
        (&[4, 2], "9:0,15:4", &[12, 14]),
    ] {
        let kernel = ready(Nvidia::h100(true));
        assert_eq!(create_sizes(&kernel, MIG, sizes).expect("creates"), Outcome::Changed);
        let cutting = kernel.writes().into_iter().find(|one| one.contains("-cgi")).expect("it was cut");
        assert!(cutting.ends_with(&format!("-cgi {cut} -C")), "{cutting}");
        assert_eq!(ids(&kernel), types, "{sizes:?}");
    }
}

#[test]
fn after_a_boot_the_same_index_has_the_same_size() {
    let before = ready(Nvidia::h100(true));
    create_sizes(&before, MIG, &[2, 4, 4]).expect("creates");
    let booted = fresh(Nvidia::h100(false));
    create_sizes(&booted, MIG, &[2, 4, 4]).expect("creates again");
    assert_eq!(made(&booted), made(&before));
}

#[test]
fn what_is_there_is_told_with_its_sizes_and_their_memory() {
    let kernel = ready(Nvidia::h100(true));
    create_sizes(&kernel, MIG, &[2, 4, 4]).expect("creates");
    assert_eq!(seen(&kernel), Some("--sizes 2,4,4".to_owned()));
    let gib: Vec<_> =
        observed(&kernel).partitions.iter().map(|one| one.memory_bytes.map(|b| b >> 30)).collect();
    assert_eq!(gib, [Some(40), Some(20), Some(20)]);
}

#[test]
fn sizes_that_another_hand_made_are_seen_as_others() {
    let kernel = ready(Nvidia::h100(true));
    create_sizes(&kernel, MIG, &[4, 2, 4]).expect("creates");
    let gpu = observed(&kernel);
    let list: Vec<_> = [2, 4, 4].into_iter().filter_map(PartitionCount::new).collect();
    let asked = Split::of_sizes(list).expect("sizes");
    assert_eq!(sizes::has(PartitionSetting::of(Some(asked)), &gpu), Ok(false));
    assert_eq!(sizes::has(PartitionSetting::from_number(3), &gpu), Ok(false));
}

#[test]
fn one_that_lost_its_type_gets_its_own_again_while_the_others_are_in_use() {
    let kernel = ready(Nvidia::h100(true));
    create_sizes(&kernel, MIG, &[2, 3, 7]).expect("creates");
    kernel.write(&paths::current_type(partition_address(0, 1)), "0").expect("deleted");
    let gpu = observed(&kernel);
    let list: Vec<_> = [2, 3, 7].into_iter().filter_map(PartitionCount::new).collect();
    assert!(sizes::only_some_are_missing(Split::of_sizes(list).expect("sizes"), &gpu));
    kernel.tree.open_group(41, partition_group(0, 0));
    let before = kernel.writes().len();
    assert_eq!(create_sizes(&kernel, MIG, &[2, 3, 7]).expect("creates"), Outcome::Changed);
    assert_eq!(kernel.writes()[before..], ["nvidia/current_vgpu_type = 13"]);
}

#[test]
fn a_partition_that_is_cleaned_keeps_its_own_type() {
    let kernel = ready(Nvidia::h100(true));
    create_sizes(&kernel, MIG, &[2, 4, 4]).expect("creates");
    let before = kernel.writes().len();
    clean(&kernel, MIG, (1, partition_address(0, 1))).expect("cleans");
    assert_eq!(kernel.writes()[before..], ["nvidia/current_vgpu_type = 0", "nvidia/current_vgpu_type = 12"]);
}

#[test]
fn taking_the_step_again_is_quiet_and_removal_takes_the_parts_away() {
    let kernel = ready(Nvidia::h100(true));
    create_sizes(&kernel, MIG, &[2, 4, 4]).expect("creates");
    let written = kernel.writes();
    assert_eq!(create_sizes(&kernel, MIG, &[2, 4, 4]).expect("again"), Outcome::Already);
    assert_eq!(kernel.writes(), written);
    assert_eq!(remove(&kernel, MIG, 3).expect("removes"), Outcome::Changed);
    create(&kernel, MIG, 4).expect("equal ones");
    assert_eq!(seen(&kernel), Some("--count 4".to_owned()));
}

#[test]
fn a_partition_of_another_size_is_not_written_over() {
    let kernel = ready(Nvidia::h100(true));
    create_sizes(&kernel, MIG, &[3, 3]).expect("creates");
    let written = kernel.writes();
    let refused = create_sizes(&kernel, MIG, &[2, 3, 3]);
    assert!(matches!(refused, Err(HostError::OtherSize { .. })), "{refused:?}");
    assert_eq!(kernel.writes(), written);
}

#[test]
fn a_scheme_with_equal_partitions_makes_no_others() {
    let kernel = ready(Nvidia::a2(Scheme::NvidiaMdev));
    let refused = create_sizes(&kernel, Scheme::NvidiaMdev, &[2, 4, 4]);
    assert!(matches!(refused, Err(HostError::EqualOnly { .. })), "{refused:?}");
    assert_eq!(kernel.writes(), Vec::<String>::new());
}
