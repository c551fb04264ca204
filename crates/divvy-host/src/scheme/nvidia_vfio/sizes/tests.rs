//! Types of different sizes side by side, and the way back to equal ones.

use divvy_core::gpu::Scheme;

use super::*;
use crate::testing::nvidia::{Nvidia, fresh, made, ready};
use crate::testing::steps::{clean, create, create_sizes, observed, remove};
use crate::testing::{Reacting, partition_address};

const VFIO: Scheme = Scheme::NvidiaVfio;

fn a2() -> Nvidia {
    Nvidia::a2(VFIO)
}

fn ids(kernel: &Reacting) -> Vec<u32> {
    made(kernel).into_iter().map(|(_, id)| id).collect()
}

fn sizes(kernel: &Reacting) -> Vec<Option<u16>> {
    observed(kernel).partitions.iter().map(|one| one.size.map(PartitionCount::get)).collect()
}

#[test]
fn each_function_gets_the_type_of_its_size_after_the_driver_was_told_to_mix() {
    let kernel = fresh(a2());
    assert_eq!(create_sizes(&kernel, VFIO, &[2, 4, 4]).expect("creates"), Outcome::Changed);
    assert_eq!(ids(&kernel), [748, 747, 747]);
    let writes = kernel.writes();
    let told = writes.iter().position(|one| one.ends_with("-shm 1")).expect("was told");
    let first = writes.iter().position(|one| one.contains("current_vgpu_type")).expect("was made");
    assert!(told < first, "{writes:?}");
    let gpu = observed(&kernel);
    let memory: Vec<Option<u64>> = gpu.partitions.iter().map(|one| one.memory_bytes).collect();
    assert_eq!(memory, [Some(8 << 30), Some(4 << 30), Some(4 << 30)]);
    assert_eq!(sizes(&kernel), [Some(2), Some(4), Some(4)]);
}

#[test]
fn taking_the_step_again_is_quiet_and_one_that_is_missing_comes_back_in_its_size() {
    let kernel = ready(a2());
    create_sizes(&kernel, VFIO, &[2, 4, 4]).expect("creates");
    assert_eq!(create_sizes(&kernel, VFIO, &[2, 4, 4]).expect("again"), Outcome::Already);
    let gone = paths::current_type(partition_address(0, 1));
    kernel.write(&gone, "0").expect("is taken off");
    assert_eq!(sizes(&kernel), [Some(2), Some(4)]);
    assert_eq!(observed(&kernel).sizes_on_offer.first().map(|size| size.get()), Some(4));
    assert_eq!(create_sizes(&kernel, VFIO, &[2, 4, 4]).expect("again"), Outcome::Changed);
    assert_eq!(ids(&kernel), [748, 747, 747]);
}

#[test]
fn a_clean_one_has_its_own_type_again() {
    let kernel = ready(a2());
    create_sizes(&kernel, VFIO, &[2, 4, 8]).expect("creates");
    clean(&kernel, VFIO, (1, partition_address(0, 1))).expect("is clean");
    assert_eq!(ids(&kernel), [748, 747, 746]);
}

#[test]
fn equal_ones_that_leave_room_need_no_mixing() {
    let kernel = ready(a2());
    create_sizes(&kernel, VFIO, &[4, 4]).expect("creates");
    assert!(!kernel.writes().iter().any(|one| one.contains("-shm")), "{:?}", kernel.writes());
    assert_eq!(sizes(&kernel), [Some(4), Some(4)]);
}

#[test]
fn after_different_ones_equal_ones_have_all_of_the_gpu_again() {
    let kernel = ready(a2());
    create_sizes(&kernel, VFIO, &[2, 4, 4]).expect("creates");
    assert_eq!(remove(&kernel, VFIO, 3).expect("removes"), Outcome::Changed);
    assert_eq!(observed(&kernel).partition_count, Some(0));
    create(&kernel, VFIO, 16).expect("creates");
    assert_eq!(ids(&kernel), [745; 16]);
}

#[test]
fn partitions_of_other_sizes_are_not_taken_for_those_that_are_asked_for() {
    let kernel = ready(a2());
    create_sizes(&kernel, VFIO, &[2, 8, 8]).expect("creates");
    let refused = create_sizes(&kernel, VFIO, &[2, 4, 4]);
    assert!(matches!(refused, Err(HostError::OtherSize { .. })), "{refused:?}");
}

#[test]
fn with_mediated_devices_sizes_are_refused() {
    let kernel = ready(Nvidia::a2(Scheme::NvidiaMdev));
    let refused = create_sizes(&kernel, VFIO, &[2, 4, 4]);
    assert!(matches!(refused, Err(HostError::EqualOnly { .. })), "{refused:?}");
}

#[test]
fn sizes_that_could_not_be_made_leave_no_driver_that_mixes() {
    let mut kernel = ready(a2());
    kernel.faults.forgets.insert("current_vgpu_type");
    let failed = create_sizes(&kernel, VFIO, &[2, 4, 4]);
    assert!(matches!(failed, Err(HostError::ReadBack { .. })), "{failed:?}");
    assert_eq!(observed(&kernel).carriers, 0, "its functions are off");
    kernel.faults.forgets.clear();
    create(&kernel, VFIO, 16).expect("creates");
    assert_eq!(ids(&kernel), [745; 16]);
}
