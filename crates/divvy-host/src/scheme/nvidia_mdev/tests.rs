//! Mediated devices, on virtual functions and on the GPU itself: one table of promises for both.

use divvy_core::gpu::Scheme;
use nix::errno::Errno;

use super::*;
use crate::testing::nvidia::{Nvidia, ready};
use crate::testing::steps::{clean, create, observed, prepare, remove};
use crate::testing::{Reacting, gpu_address, partition_address};

const BOTH: [Scheme; 2] = [Scheme::NvidiaMdev, Scheme::NvidiaMdevPf];

fn with_partitions(scheme: Scheme, count: u16) -> Reacting {
    let kernel = ready(Nvidia::a2(scheme));
    create(&kernel, scheme, count).expect("creates");
    kernel
}

fn place(scheme: Scheme, index: u16) -> (u16, PciAddress) {
    let address = if scheme == Scheme::NvidiaMdev { partition_address(0, index) } else { gpu_address(0) };
    (index, address)
}

fn uuid(kernel: &Reacting, index: u16) -> MdevUuid {
    MdevUuid::of(&PartitionId::new(&observed(kernel).id, PartitionIndex(index)))
}

fn types(kernel: &Reacting, count: u16) -> Vec<String> {
    let name = |index| link_name(kernel, &paths::mdev(uuid(kernel, index), "mdev_type")).expect("is there");
    (0..count).map(name).collect()
}

#[test]
fn a_gpu_without_any_has_the_counts_that_its_driver_tells() {
    for scheme in BOTH {
        let gpu = observed(&ready(Nvidia::a2(scheme)));
        assert_eq!((gpu.scheme, gpu.partition_count), (Some(scheme), Some(0)), "{scheme}");
        assert_eq!(gpu.valid_counts.to_string(), "1, 2, 4, 8, 16");
        assert_eq!(gpu.valid_counts.source(), CountSource::Driver);
        assert_eq!(gpu.max_partitions, 16);
    }
}

#[test]
fn every_valid_count_gets_the_largest_type_that_there_can_be_so_many_of() {
    for scheme in BOTH {
        for (count, id) in [(1, 749), (2, 748), (4, 747), (8, 746), (16, 745)] {
            let kernel = with_partitions(scheme, count);
            assert_eq!(types(&kernel, count), vec![format!("nvidia-{id}"); usize::from(count)]);
        }
    }
}

#[test]
fn a_partition_is_known_by_the_uuid_that_its_name_gives() {
    for scheme in BOTH {
        let kernel = with_partitions(scheme, 4);
        let gpu = observed(&kernel);
        for (index, partition) in (0..).zip(&gpu.partitions) {
            assert_eq!(partition.index, PartitionIndex(index), "{scheme}");
            assert_eq!(partition.device, uuid(&kernel, index).into());
            assert_eq!(partition.address, place(scheme, index).1);
            assert_eq!(partition.memory_bytes, Some(4 << 30));
            assert!(partition.iommu_group.is_some_and(|group| group >= 1000), "{partition:?}");
        }
        assert_eq!(gpu.partitions.len(), 4);
    }
}

#[test]
fn an_open_partition_is_told_by_the_group_of_its_mediated_device() {
    for scheme in BOTH {
        let kernel = with_partitions(scheme, 4);
        let group = observed(&kernel).partitions[2].iommu_group.expect("a group");
        kernel.tree.open_group(41, group);
        let open: Vec<bool> = observed(&kernel).partitions.iter().map(|partition| partition.open).collect();
        assert_eq!(open, [false, false, true, false]);
        assert!(matches!(remove(&kernel, scheme, 4), Err(HostError::PartitionOpen { .. })));
        assert!(matches!(clean(&kernel, scheme, place(scheme, 2)), Err(HostError::PartitionOpen { .. })));
    }
}

#[test]
fn every_step_is_quiet_when_it_is_taken_again() {
    for scheme in BOTH {
        let kernel = with_partitions(scheme, 4);
        assert_eq!(create(&kernel, scheme, 4).expect("again"), Outcome::Already);
        assert_eq!(prepare(&kernel, scheme, place(scheme, 1)).expect("is prepared"), Outcome::Already);
        assert_eq!(remove(&kernel, scheme, 4).expect("removes"), Outcome::Changed);
        assert_eq!(remove(&kernel, scheme, 4).expect("again"), Outcome::Already);
        assert_eq!(observed(&kernel).partition_count, Some(0));
    }
}

#[test]
fn what_is_missing_is_made_with_the_type_of_the_others() {
    for scheme in BOTH {
        let kernel = with_partitions(scheme, 4);
        kernel.write(&paths::mdev(uuid(&kernel, 1), "remove"), "1").expect("removed");
        let gpu = observed(&kernel);
        assert_eq!((gpu.partition_count, gpu.sized_for.map(PartitionCount::get)), (Some(3), Some(4)));
        assert_eq!(gpu.partitions.iter().map(|one| one.index.0).collect::<Vec<_>>(), [0, 2, 3], "{scheme}");
        assert_eq!(create(&kernel, scheme, 4).expect("creates"), Outcome::Changed);
        assert_eq!(types(&kernel, 4), vec!["nvidia-747"; 4]);
    }
}

#[test]
fn another_size_begins_with_no_partition() {
    for scheme in BOTH {
        let kernel = with_partitions(scheme, 4);
        assert!(matches!(create(&kernel, scheme, 2), Err(HostError::OtherCount { .. })));
    }
}

#[test]
fn one_that_another_hand_made_is_shown_as_it_is() {
    let foreign: MdevUuid = "4b20d080-1b54-4048-85b3-a6a62d165c01".parse().expect("parses");
    for scheme in BOTH {
        let kernel = ready(Nvidia::a2(scheme));
        let parent = place(scheme, 0).1;
        let path = paths::mdev_type(parent, "nvidia-748", "create");
        kernel.write(&path, &foreign.to_string()).expect("created");
        let gpu = observed(&kernel);
        assert_eq!((gpu.partitions.len(), gpu.partitions[0].device), (1, foreign.into()));
        assert_eq!(gpu.partitions[0].index, PartitionIndex(0));
    }
}

#[test]
fn a_partition_is_made_anew_under_its_own_uuid() {
    for scheme in BOTH {
        let kernel = with_partitions(scheme, 4);
        let before = kernel.writes().len();
        assert_eq!(clean(&kernel, scheme, place(scheme, 2)).expect("cleans"), Outcome::Changed);
        let uuid = uuid(&kernel, 2);
        let expected = [format!("{uuid}/remove = 1"), format!("nvidia-747/create = {uuid}")];
        assert_eq!(kernel.writes()[before..], expected);
    }
}

#[test]
fn a_driver_that_removed_it_already_is_no_failure() {
    for scheme in BOTH {
        let mut kernel = with_partitions(scheme, 1);
        kernel.write(&paths::mdev(uuid(&kernel, 0), "remove"), "1").expect("removed");
        kernel.faults.fails.insert("remove", Errno::ENOENT);
        let limits = crate::testing::steps::limits();
        let kernel = Kernel { sys: &kernel, limits: &limits };
        let gone = MdevUuid::of(&"gpu-1.0".parse().expect("parses"));
        remove_one(&kernel, Verb::Remove, gone).expect("it is gone");
    }
}

#[test]
fn a_create_that_is_refused_or_does_nothing_is_an_error() {
    for scheme in BOTH {
        let mut kernel = ready(Nvidia::a2(scheme));
        kernel.faults.fails.insert("create", Errno::ENOSPC);
        assert_eq!(create(&kernel, scheme, 4).expect_err("refused").code(), "kernel_refused");
        let mut kernel = ready(Nvidia::a2(scheme));
        kernel.faults.forgets.insert("create");
        assert!(matches!(create(&kernel, scheme, 4), Err(HostError::NotSettled { .. })));
    }
}

#[test]
fn one_that_is_in_use_is_tried_for_a_while() {
    for scheme in BOTH {
        let kernel = with_partitions(scheme, 1);
        let busy =
            |times| kernel.faults.fails_first.lock().expect("whole").insert("remove", (Errno::EBUSY, times));
        busy(10);
        assert!(matches!(remove(&kernel, scheme, 1), Err(HostError::Kernel { .. })));
        busy(9);
        assert_eq!(remove(&kernel, scheme, 1).expect("removes"), Outcome::Changed);
    }
}

#[test]
fn more_than_there_can_be_of_any_size_is_refused() {
    let kernel = ready(Nvidia { types: &[(749, "NVIDIA A2-16Q", 16, 1)], ..Nvidia::a2(Scheme::NvidiaMdev) });
    assert!(matches!(create(&kernel, Scheme::NvidiaMdev, 2), Err(HostError::NoType { .. })));
}

#[test]
fn a_driver_that_offers_other_counts_than_the_catalogue_wins_and_is_found() {
    let kernel = ready(Nvidia { types: &[(749, "NVIDIA A2-16Q", 16, 1)], ..Nvidia::a2(Scheme::NvidiaMdev) });
    let observer = crate::observe::Observer::new("edge-1".parse().expect("a name"), Default::default());
    let seen = observer.observe_gpus(&kernel).expect("observes");
    assert_eq!(seen.gpus[0].valid_counts.to_string(), "1");
    let text = &seen.findings[0].text;
    assert!(text.contains("does not offer 2, 4, 8, 16"), "{text}");
    assert_eq!(seen.findings[0].code, crate::codes::COUNTS_DIFFER);
}
