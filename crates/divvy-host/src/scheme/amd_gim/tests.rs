//! Counts by the module's parameters: the other GPUs keep theirs, and yes of the module is not believed.

use divvy_core::gpu::Scheme;

use super::*;
use crate::testing::gim::with;
use crate::testing::steps::{create, look, remove};
use crate::testing::{Program, Reacting, partition_group};

const GIM: Scheme = Scheme::AmdGim;

fn counts_of(kernel: &Reacting) -> Vec<Option<u16>> {
    look(kernel).iter().map(|gpu| gpu.partition_count).collect()
}

#[test]
fn it_is_detected_also_while_its_module_is_unloaded() {
    let kernel = with(&[1]);
    assert_eq!(look(&kernel)[0].scheme, Some(GIM));
    remove(&kernel, GIM, 1).expect("removes");
    assert_eq!((look(&kernel)[0].scheme, counts_of(&kernel)), (Some(GIM), vec![Some(0)]));
    create(&kernel, GIM, 8).expect("creates");
    assert_eq!(counts_of(&kernel), [Some(8)]);
}

#[test]
fn a_count_changes_without_a_way_through_zero_and_the_other_gpus_keep_theirs() {
    let kernel = with(&[1, 4, 2]);
    assert_eq!(create(&kernel, GIM, 8).expect("creates"), Outcome::Changed);
    assert_eq!(kernel.writes()[..2], ["modprobe -r gim", "modprobe gim vf_num=8,4,2"]);
    assert_eq!(counts_of(&kernel), [Some(8), Some(4), Some(2)]);
}

#[test]
fn the_modes_that_go_with_a_count_are_set_and_read_back() {
    let kernel = with(&[1]);
    create(&kernel, GIM, 8).expect("creates");
    let writes = kernel.writes();
    assert_eq!(
        writes[2..],
        ["0000:41:00.0/accelerator_partition_profile = 3", "0000:41:00.0/memory_partition_mode = NPS4"]
    );
    assert_eq!(create(&kernel, GIM, 8).expect("again"), Outcome::Already);
    assert_eq!(kernel.writes(), writes);
}

#[test]
fn a_mode_that_the_module_took_and_did_not_set_is_a_failure() {
    for lie in ["accelerator_partition_profile", "memory_partition_mode"] {
        let mut kernel = with(&[1]);
        kernel.faults.forgets.insert(lie);
        assert!(matches!(create(&kernel, GIM, 8), Err(HostError::ReadBack { .. })), "{lie}");
    }
}

#[test]
fn an_open_partition_of_any_gpu_keeps_the_module_where_it_is() {
    let kernel = with(&[1, 4]);
    kernel.tree.open_group(41, partition_group(1, 2));
    assert!(matches!(create(&kernel, GIM, 8), Err(HostError::PartitionOpen { .. })));
    assert!(kernel.writes().is_empty());
}

#[test]
fn one_gpu_among_several_cannot_have_none() {
    let kernel = with(&[1, 4]);
    let error = remove(&kernel, GIM, 1).expect_err("shared");
    assert!(matches!(&error, HostError::ModuleShared { others, .. } if others == "0000:42:00.0"), "{error}");
    assert!(kernel.writes().is_empty());
}

#[test]
fn a_module_that_does_not_go_or_come_is_a_failure_that_says_so() {
    for programs in [vec![Program::Fails], vec![Program::Works, Program::Fails]] {
        let kernel = with(&[1]);
        *kernel.faults.programs.lock().expect("whole") = programs.into();
        assert_eq!(create(&kernel, GIM, 8).expect_err("fails").code(), "program_failed");
    }
}

#[test]
fn a_module_that_makes_fewer_than_it_was_told_is_not_believed() {
    let kernel = with(&[1]);
    *kernel.faults.programs.lock().expect("whole") = [Program::Works, Program::Lies].into();
    assert!(matches!(create(&kernel, GIM, 8), Err(HostError::TooFew { asked: 8, came: 0, .. })));
}

#[test]
fn the_number_of_a_mode_is_the_one_of_its_line() {
    let offered = "0: SPX\n1: DPX (NPS1, NPS2)\n12: CPX\nCPXX\n";
    assert_eq!(index_of(offered, "DPX").as_deref(), Some("1"));
    assert_eq!(index_of(offered, "CPX").as_deref(), Some("12"));
    assert_eq!(index_of(offered, "QPX"), None);
}

proptest::proptest! {
    #[test]
    fn no_list_of_modes_makes_the_parser_panic(text: String) {
        let _ = index_of(&text, "CPX");
    }
}
