//! The forced order of MIG, and what is read of NVIDIA's program.

use std::time::Duration;

use divvy_core::gpu::{CountSource, Scheme};

use super::*;
use crate::scheme::nvidia::modes::Modes;
use crate::testing::nvidia::{Nvidia, fresh, made, ready};
use crate::testing::steps::{clean, create, observed, remove};
use crate::testing::{Program, Reacting, partition_address, partition_group};

const MIG: Scheme = Scheme::NvidiaMig;

fn ids(kernel: &Reacting) -> Vec<u32> {
    made(kernel).into_iter().map(|(_, id)| id).collect()
}

#[test]
fn a_gpu_in_the_mode_is_told_from_one_that_is_not() {
    assert_eq!(observed(&fresh(Nvidia::h100(true))).scheme, Some(MIG));
    assert_eq!(observed(&ready(Nvidia::h100(true))).scheme, Some(MIG));
    assert_eq!(observed(&fresh(Nvidia::h100(false))).scheme, Some(Scheme::NvidiaVfio));
    assert_eq!(observed(&ready(Nvidia::a2(Scheme::NvidiaVfio))).scheme, Some(Scheme::NvidiaVfio));
}

#[test]
fn each_count_gets_the_largest_part_and_the_type_that_takes_all_of_it() {
    for (count, profile, id) in [(1, 0, 15), (2, 9, 14), (3, 14, 13), (4, 15, 12), (7, 19, 11)] {
        let kernel = ready(Nvidia::h100(true));
        create(&kernel, MIG, count).expect("creates");
        let parts = kernel.nvidia.as_ref().expect("NVIDIA's").mig.lock().expect("whole").parts.clone();
        assert_eq!(parts, vec![profile; usize::from(count)], "{count}");
        assert_eq!(ids(&kernel), vec![id; usize::from(count)], "{count}");
        assert_eq!(observed(&kernel).partition_count, Some(count));
    }
}

#[test]
fn everything_is_done_again_after_a_boot_in_the_order_that_is_forced() {
    let kernel = fresh(Nvidia::h100(false));
    create(&kernel, MIG, 2).expect("creates");
    let gpu = "0000:41:00.0";
    assert_eq!(
        kernel.writes(),
        [
            format!("nvidia-smi -i {gpu} -mig 1"),
            format!("sriov-manage -e {gpu}"),
            format!("nvidia-smi mig -i {gpu} -dci"),
            format!("nvidia-smi mig -i {gpu} -dgi"),
            format!("nvidia-smi mig -i {gpu} -cgi 9,9 -C"),
            "nvidia/current_vgpu_type = 14".to_owned(),
            "nvidia/current_vgpu_type = 14".to_owned(),
        ]
    );
}

#[test]
fn functions_that_are_in_the_way_of_the_mode_go_first() {
    let kernel = ready(Nvidia::h100(false));
    create(&kernel, MIG, 2).expect("creates");
    let first = kernel.writes().into_iter().take(3).collect::<Vec<_>>();
    assert!(first[0].starts_with("sriov-manage -d") && first[1].ends_with("-mig 1"), "{first:?}");
    assert!(first[2].starts_with("sriov-manage -e"), "{first:?}");
}

#[test]
fn removal_takes_the_parts_away_too() {
    let kernel = ready(Nvidia::h100(true));
    create(&kernel, MIG, 3).expect("creates");
    assert_eq!(remove(&kernel, MIG, 3).expect("removes"), Outcome::Changed);
    assert!(kernel.nvidia.as_ref().expect("NVIDIA's").mig.lock().expect("whole").parts.is_empty());
    assert_eq!(remove(&kernel, MIG, 3).expect("again"), Outcome::Already);
}

#[test]
fn taking_the_step_again_is_quiet() {
    let kernel = ready(Nvidia::h100(true));
    create(&kernel, MIG, 3).expect("creates");
    let written = kernel.writes();
    assert_eq!(create(&kernel, MIG, 3).expect("again"), Outcome::Already);
    assert_eq!(kernel.writes(), written);
}

#[test]
fn a_partition_is_made_anew_on_its_part() {
    let kernel = ready(Nvidia::h100(true));
    create(&kernel, MIG, 2).expect("creates");
    let before = kernel.writes().len();
    assert_eq!(clean(&kernel, MIG, (1, partition_address(0, 1))).expect("cleans"), Outcome::Changed);
    assert_eq!(kernel.writes()[before..], ["nvidia/current_vgpu_type = 0", "nvidia/current_vgpu_type = 14"]);
}

#[test]
fn a_part_that_lost_its_type_gets_it_again_while_the_others_are_in_use() {
    let kernel = ready(Nvidia::h100(true));
    create(&kernel, MIG, 4).expect("creates");
    assert_eq!(observed(&kernel).sized_for, None);
    kernel.write(&paths::current_type(partition_address(0, 1)), "0").expect("deleted");
    let gpu = observed(&kernel);
    assert_eq!((gpu.partition_count, gpu.sized_for.map(PartitionCount::get)), (Some(3), Some(4)));
    kernel.tree.open_group(41, partition_group(0, 0));
    let before = kernel.writes().len();
    create(&kernel, MIG, 4).expect("creates");
    assert_eq!(kernel.writes()[before..], ["nvidia/current_vgpu_type = 12"]);
}

#[test]
fn a_count_that_no_part_allows_is_refused() {
    let kernel = ready(Nvidia::h100(true));
    assert!(matches!(create(&kernel, MIG, 8), Err(HostError::NoType { .. })));
}

#[test]
fn the_table_of_the_program_is_read() {
    let text = "\
+-----------------------------------------------------------------------------+
| GPU instance profiles:                                                      |
| GPU   Name             ID    Instances   Memory     P2P    SM    DEC   ENC  |
|   0  MIG 1g.12gb       19     7/7        10.62      No     16     1     0   |
|                                                             1     1     0   |
|   0  MIG 1g.12gb+me    20     1/1        10.62      No     16     1     0   |
|   0  MIG 3g.47gb        9     2/2        46.38      No     60     3     0   |
+-----------------------------------------------------------------------------+
";
    let rows = profiles(text);
    assert_eq!(rows.iter().map(|row| (row.id, row.most)).collect::<Vec<_>>(), [(19, 7), (20, 1), (9, 2)]);
    assert_eq!(best(&rows, 2).map(|row| row.id), Some(9));
    let others =
        profiles("| 0 MIG 1g.24gb 14 4/4 23.12 No 46 1 1 |\n| 0 MIG 1g.24gb-me 67 4/4 23.12 No 46 0 0 |");
    assert_eq!((others.len(), best(&others, 4).map(|row| row.id)), (2, Some(14)));
    assert_eq!(best(&rows, 7).map(|row| row.id), Some(19));
    assert_eq!(best(&rows, 8), None);
}

#[test]
fn a_model_that_the_catalogue_knows_has_its_counts_and_another_what_the_program_tells() {
    let kernel = ready(Nvidia::h100(true));
    let address = crate::testing::gpu_address(0);
    let numbers = |split: Split| {
        let counts = split.valid_counts;
        (counts.as_slice().iter().map(|count| count.get()).collect::<Vec<_>>(), counts.source())
    };
    let pro_6000 = catalogue::find(0x10de, 0x2bb5, 0);
    let modes = Modes::default();
    for (entry, counts, source) in [
        (pro_6000, vec![1, 2, 4], CountSource::Catalogue),
        (None, vec![1, 2, 3, 4, 7], CountSource::Driver),
        (catalogue::find(0x10de, 0x2235, 0), vec![1, 2, 3, 4, 7], CountSource::Driver),
    ] {
        let gpu = Gpu { address, entry, total: 16, deadline: Duration::from_secs(60) };
        let split = super::look(&kernel, &gpu, Some(&modes)).expect("reads");
        assert_eq!(numbers(split), (counts, source), "{:?}", entry.map(|entry| entry.name));
    }
    // What was told once is not asked for again.
    let gpu = Gpu { address, entry: None, total: 16, deadline: Duration::from_secs(60) };
    kernel.faults.programs.lock().expect("whole").push_back(Program::Missing);
    assert!(modes.part_counts(&kernel, &gpu).is_some());
    assert_eq!(Modes::default().part_counts(&kernel, &gpu), None);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text: String, rows in "[|] 0 MIG [0-9g.a-z+]{0,8} [0-9/. |]{0,30}") {
        let _ = profiles(&text);
        let _ = best(&profiles(&rows), 2);
    }
}
