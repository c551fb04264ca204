//! Types on virtual functions: what is written, what is believed, and the driver's known lies.

use divvy_core::gpu::CountSource;
use divvy_core::id::ServerId;
use nix::errno::Errno;

use super::*;
use crate::observe::{Observer, Settings};
use crate::testing::nvidia::{Nvidia, fresh, made, ready};
use crate::testing::steps::{self, observed, turn_off};
use crate::testing::{Program, Reacting, gpu_address, partition_address, partition_group};

const VFIO: Scheme = Scheme::NvidiaVfio;

fn create(kernel: &Reacting, count: u16) -> Result<Outcome, HostError> {
    steps::create(kernel, VFIO, count)
}

fn remove(kernel: &Reacting, count: u16) -> Result<Outcome, HostError> {
    steps::remove(kernel, VFIO, count)
}

fn clean(kernel: &Reacting, index: u16) -> Result<Outcome, HostError> {
    steps::clean(kernel, VFIO, (index, partition_address(0, index)))
}

fn ids(kernel: &Reacting) -> Vec<u32> {
    made(kernel).into_iter().map(|(_, id)| id).collect()
}

fn with_partitions(count: u16) -> Reacting {
    let kernel = ready(Nvidia::a2(VFIO));
    create(&kernel, count).expect("creates");
    kernel
}

fn programs(kernel: &Reacting, does: &[Program]) {
    *kernel.faults.programs.lock().expect("whole") = does.iter().copied().collect();
}

fn runs(kernel: &Reacting) -> usize {
    kernel.writes().iter().filter(|what| what.starts_with("sriov-manage")).count()
}

#[test]
fn functions_without_a_type_are_no_partitions() {
    let gpu = observed(&ready(Nvidia::a2(VFIO)));
    assert_eq!((gpu.scheme, gpu.partition_count, gpu.partitions.len()), (Some(VFIO), Some(0), 0));
    assert_eq!(gpu.valid_counts.to_string(), "1, 2, 4, 8, 16");
    assert_eq!(gpu.valid_counts.source(), CountSource::Driver);
}

#[test]
fn every_valid_count_gets_the_largest_type_that_fits() {
    for number_last in [false, true] {
        for (count, id) in [(1, 749), (2, 748), (4, 747), (8, 746), (16, 745)] {
            let kernel = ready(Nvidia { number_last, ..Nvidia::a2(VFIO) });
            assert_eq!(create(&kernel, count).expect("creates"), Outcome::Changed);
            assert_eq!(ids(&kernel), vec![id; usize::from(count)], "{count}");
            assert_eq!(observed(&kernel).partition_count, Some(count));
        }
    }
}

#[test]
fn a_gpu_after_a_boot_gets_its_functions_and_its_partitions_in_one_step() {
    let kernel = fresh(Nvidia::a2(VFIO));
    create(&kernel, 4).expect("creates");
    assert_eq!((runs(&kernel), ids(&kernel)), (1, vec![747; 4]));
}

#[test]
fn functions_that_are_on_are_not_turned_on_again() {
    assert_eq!(runs(&with_partitions(4)), 0);
}

#[test]
fn the_interface_that_shows_only_then_is_the_one_that_is_used() {
    let kernel = fresh(Nvidia::a2(Scheme::NvidiaMdev));
    create(&kernel, 4).expect("creates");
    let gpu = observed(&kernel);
    assert_eq!((gpu.scheme, gpu.partition_count), (Some(Scheme::NvidiaMdev), Some(4)));
}

#[test]
fn every_step_is_quiet_when_it_is_taken_again() {
    let kernel = with_partitions(4);
    let written = kernel.writes();
    assert_eq!(create(&kernel, 4).expect("again"), Outcome::Already);
    assert_eq!(kernel.writes(), written);
    assert_eq!(remove(&kernel, 4).expect("removes"), Outcome::Changed);
    assert_eq!(remove(&kernel, 4).expect("again"), Outcome::Already);
}

#[test]
fn another_size_begins_with_no_partition() {
    let kernel = with_partitions(4);
    assert!(matches!(create(&kernel, 2), Err(HostError::OtherCount { .. })));
    remove(&kernel, 4).expect("removes");
    create(&kernel, 2).expect("creates");
    assert_eq!(ids(&kernel), [748, 748]);
}

#[test]
fn partitions_of_one_size_show_for_which_count_they_are() {
    let kernel = with_partitions(4);
    kernel.write(&paths::current_type(partition_address(0, 1)), "0").expect("deleted");
    let gpu = observed(&kernel);
    assert_eq!((gpu.partition_count, gpu.sized_for.map(PartitionCount::get)), (Some(3), Some(4)));
    assert_eq!(gpu.partitions.iter().map(|one| one.index.0).collect::<Vec<_>>(), [0, 2, 3]);
    assert_eq!(gpu.partitions[0].memory_bytes, Some(4 << 30));
}

#[test]
fn what_is_missing_is_made_while_the_others_are_in_use() {
    let kernel = with_partitions(4);
    kernel.tree.open_group(41, partition_group(0, 0));
    kernel.write(&paths::current_type(partition_address(0, 1)), "0").expect("deleted");
    let before = kernel.writes().len();
    assert_eq!(create(&kernel, 4).expect("creates"), Outcome::Changed);
    assert_eq!(kernel.writes()[before..], ["nvidia/current_vgpu_type = 747"]);
}

#[test]
fn partitions_of_several_sizes_are_nobodys_choice() {
    let kernel = with_partitions(2);
    kernel.tree.file(&paths::current_type(partition_address(0, 1)), "747\n");
    assert!(matches!(create(&kernel, 4), Err(HostError::OtherType { .. })));
    assert_eq!(observed(&kernel).sized_for, None);
}

#[test]
fn a_count_without_a_type_is_refused_with_what_is_offered() {
    let kernel = ready(Nvidia { types: &[(742, "NVIDIA A2-16Q", 16, 1)], ..Nvidia::a2(VFIO) });
    let error = create(&kernel, 2).expect_err("no type");
    assert!(matches!(&error, HostError::NoType { offered, .. } if offered == "NVIDIA A2-16Q"), "{error}");
}

#[test]
fn a_busy_gpu_is_tried_again_and_then_given_up() {
    let kernel = fresh(Nvidia::a2(VFIO));
    programs(&kernel, &[Program::Busy, Program::Busy]);
    create(&kernel, 4).expect("creates");
    assert_eq!(runs(&kernel), 3);
    let kernel = fresh(Nvidia::a2(VFIO));
    programs(&kernel, &[Program::Busy; 9]);
    let error = create(&kernel, 4).expect_err("busy");
    assert!(
        matches!(&error, HostError::ProgramFailed { said, .. } if said.contains("unbindLock")),
        "{error}"
    );
    assert_eq!(runs(&kernel), 5);
}

#[test]
fn a_gpu_that_is_turned_off_has_no_functions_and_its_driver() {
    let kernel = with_partitions(4);
    assert!(matches!(turn_off(&kernel, VFIO), Err(HostError::OtherCount { .. })), "partitions are there");
    remove(&kernel, 4).expect("removes");
    assert_eq!(turn_off(&kernel, VFIO).expect("turns off"), Outcome::Changed);
    let gpu = observed(&kernel);
    assert_eq!((gpu.carriers, gpu.driver.as_deref(), gpu.is_off()), (0, Some("nvidia"), true));
    let written = kernel.writes();
    assert_eq!(turn_off(&kernel, VFIO).expect("again"), Outcome::Already);
    assert_eq!(kernel.writes(), written);
    create(&kernel, 2).expect("creates again");
}

#[test]
fn nothing_is_turned_off_while_a_function_is_open_or_by_a_program_that_only_says_so() {
    let kernel = ready(Nvidia::a2(VFIO));
    kernel.tree.open_group(41, partition_group(0, 3));
    assert!(matches!(turn_off(&kernel, VFIO), Err(HostError::PartitionOpen { .. })));
    assert_eq!(runs(&kernel), 0);
    let kernel = ready(Nvidia::a2(VFIO));
    programs(&kernel, &[Program::Lies]);
    assert!(matches!(turn_off(&kernel, VFIO), Err(HostError::NotSettled { .. })));
    programs(&kernel, &[Program::Busy]);
    assert_eq!(turn_off(&kernel, VFIO).expect("the second time"), Outcome::Changed);
}

#[test]
fn some_functions_of_another_hand_are_turned_off_before_all_are_made() {
    let kernel = ready(Nvidia::a2(VFIO));
    kernel.tree.attribute(gpu_address(0), "sriov_totalvfs", "32\n");
    create(&kernel, 4).expect("creates");
    let programs: Vec<String> =
        kernel.writes().into_iter().filter(|line| line.starts_with("sriov-manage")).collect();
    assert!(programs[0].contains("-d") && programs[1].contains("-e"), "{programs:?}");
}

#[test]
fn a_program_that_ends_well_and_did_nothing_is_not_believed() {
    let kernel = fresh(Nvidia::a2(VFIO));
    programs(&kernel, &[Program::Lies]);
    let error = create(&kernel, 4).expect_err("no functions");
    assert!(
        matches!(&error, HostError::ProgramFailed { code: Some(0), said, .. } if said.contains("Enabling VFs")),
        "{error}"
    );
}

#[test]
fn a_gpu_that_is_left_half_way_goes_back_to_its_driver() {
    let kernel = fresh(Nvidia::a2(VFIO));
    programs(&kernel, &[Program::DiesHalfWay]);
    create(&kernel, 4).expect("creates");
    let gpu = observed(&kernel);
    assert_eq!((gpu.driver.as_deref(), gpu.partition_count), (Some("nvidia"), Some(4)));
}

#[test]
fn a_program_that_fails_or_is_missing_or_hangs_says_so() {
    type Expected = fn(&HostError) -> bool;
    let table: &[(Program, Expected)] = &[
        (Program::Fails, |error| {
            error.code() == "program_failed" && error.to_string().contains("No such device")
        }),
        (Program::Missing, |error| {
            error.code() == "program_missing" && error.to_string().contains(paths::SRIOV_MANAGE)
        }),
        (Program::Hangs, |error| error.code() == "gpu_hangs"),
    ];
    for (does, expected) in table {
        let kernel = fresh(Nvidia::a2(VFIO));
        programs(&kernel, &[*does]);
        let error = create(&kernel, 4).expect_err("fails");
        assert!(expected(&error), "{does:?}: {error}");
    }
}

#[test]
fn a_type_that_is_refused_or_not_kept_is_an_error() {
    let mut kernel = ready(Nvidia::a2(VFIO));
    kernel.faults.fails.insert("current_vgpu_type", Errno::EIO);
    assert_eq!(create(&kernel, 4).expect_err("refused").code(), "kernel_refused");
    let mut kernel = ready(Nvidia::a2(VFIO));
    kernel.faults.forgets.insert("current_vgpu_type");
    assert!(matches!(create(&kernel, 4), Err(HostError::ReadBack { .. })));
}

#[test]
fn nothing_is_removed_while_a_partition_is_open() {
    let kernel = with_partitions(4);
    kernel.tree.open_group(41, partition_group(0, 2));
    let before = kernel.writes();
    assert!(matches!(remove(&kernel, 4), Err(HostError::PartitionOpen { .. })));
    assert_eq!(kernel.writes(), before);
}

#[test]
fn a_driver_that_still_lets_go_of_a_vm_is_waited_for() {
    let kernel = with_partitions(1);
    let busy = |times| {
        kernel.faults.fails_first.lock().expect("whole").insert("current_vgpu_type", (Errno::EPERM, times))
    };
    busy(9);
    assert_eq!(remove(&kernel, 1).expect("removes"), Outcome::Changed);
    create(&kernel, 1).expect("creates");
    busy(10);
    assert!(matches!(remove(&kernel, 1), Err(HostError::Kernel { .. })));
}

#[test]
fn a_partition_is_made_anew_with_its_own_type() {
    let kernel = with_partitions(4);
    let before = kernel.writes().len();
    assert_eq!(clean(&kernel, 2).expect("cleans"), Outcome::Changed);
    assert_eq!(kernel.writes()[before..], ["nvidia/current_vgpu_type = 0", "nvidia/current_vgpu_type = 747"]);
}

#[test]
fn an_open_partition_is_not_made_anew() {
    let kernel = with_partitions(4);
    kernel.tree.open_group(41, partition_group(0, 2));
    assert!(matches!(clean(&kernel, 2), Err(HostError::PartitionOpen { .. })));
}

#[test]
fn a_partition_whose_type_does_not_go_or_come_is_not_clean() {
    let mut kernel = with_partitions(4);
    kernel.faults.forgets.insert("current_vgpu_type");
    assert!(matches!(clean(&kernel, 2), Err(HostError::ReadBack { .. })));
}

#[test]
fn a_partition_that_lost_its_type_is_tried_again_and_not_called_unclean() {
    let kernel = with_partitions(4);
    kernel.write(&paths::current_type(partition_address(0, 2)), "0").expect("deleted");
    assert!(matches!(clean(&kernel, 2), Err(HostError::Unreadable { .. })));
}

#[test]
fn a_partition_stays_on_its_driver_and_is_never_given_to_vfio() {
    let kernel = with_partitions(4);
    let before = kernel.writes();
    let place = (1, partition_address(0, 1));
    assert_eq!(steps::prepare(&kernel, VFIO, place).expect("is prepared"), Outcome::Already);
    assert_eq!(kernel.writes(), before);
    kernel.tree.remove(&paths::driver(place.1));
    assert!(matches!(steps::prepare(&kernel, VFIO, place), Err(HostError::NotSettled { .. })));
}

#[test]
fn no_bytes_in_the_drivers_files_stop_the_look() {
    use proptest::collection::vec;
    let kernel = ready(Nvidia::a2(VFIO));
    let config = proptest::test_runner::Config::with_cases(64);
    let texts = (vec(proptest::num::u8::ANY, 0..60), vec(proptest::num::u8::ANY, 0..6));
    let look = |(list, current): (Vec<u8>, Vec<u8>)| {
        kernel.tree.bytes(&paths::creatable_types(partition_address(0, 0)), &list);
        kernel.tree.bytes(&paths::current_type(partition_address(0, 1)), &current);
        let observer = Observer::new(ServerId::new("edge-1").expect("a name"), Settings::default());
        let seen = observer.observe_gpus(&kernel).expect("observes");
        proptest::prop_assert_eq!(seen.gpus.len(), 1);
        Ok(())
    };
    proptest::test_runner::TestRunner::new(config).run(&texts, look).expect("no look stops");
}
