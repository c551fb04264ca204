//! Which sizes are taken, and when partitions are those that were asked for.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::testing::{World, gpu_a2, gpu_id, mig, sized};

fn counts(numbers: &[u16]) -> Vec<PartitionCount> {
    numbers.iter().filter_map(|number| PartitionCount::new(*number)).collect()
}

fn split(numbers: &[u16]) -> Split {
    Split::of_sizes(counts(numbers)).expect("a split")
}

#[test]
fn sizes_are_taken_where_they_fit_and_in_any_order() {
    let gpu = mig("gpu-1", &[]);
    for (sizes, option) in
        [(&[4, 2, 4][..], "--sizes 2,4,4"), (&[2, 2], "--count 2"), (&[3, 3, 2], "--sizes 2,3,3")]
    {
        assert_eq!(check(&gpu, sizes).map(|split| split.as_option()), Ok(option.into()), "{sizes:?}");
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused_and_the_hint_says_what_would() {
    let gpu = mig("gpu-1", &[]);
    for (sizes, hint) in [
        (&[2, 2, 4][..], "what of it fits: --count 2"),
        (&[4, 4, 2, 4], "what of it fits: --sizes 2,4,4"),
        (&[1, 7], "what of it fits: --count 1"),
        (&[7; 9], "what of it fits: --count 7"),
    ] {
        let refusal = check(&gpu, sizes).expect_err("does not fit");
        assert_eq!((refusal.code(), refusal.hint().as_str()), ("sizes_do_not_fit", hint), "{sizes:?}");
    }
}

#[test]
fn a_size_is_a_valid_count() {
    for sizes in [&[2, 5][..], &[0, 2], &[2, 64]] {
        assert_eq!(
            check(&mig("gpu-1", &[]), sizes).expect_err("no size").code(),
            "count_not_valid",
            "{sizes:?}"
        );
    }
}

#[test]
fn only_mig_makes_different_sizes() {
    for scheme in Scheme::ALL.into_iter().filter(|scheme| !scheme.takes_sizes()) {
        let gpu = ObservedGpu { scheme: Some(scheme), ..gpu_a2("gpu-1", 0) };
        let refusal = check(&gpu, &[2, 4, 4]).expect_err("equal ones only");
        assert_eq!(refusal.code(), "sizes_not_possible", "{scheme}");
        assert!(refusal.hint().contains("1, 2, 4, 8, 16"), "{}", refusal.hint());
        assert_eq!(check(&gpu, &[2, 2]), Ok(split(&[2, 2])), "{scheme}");
    }
}

#[test]
fn of_a_model_that_nobody_knows_the_shares_make_up_no_more_than_the_whole() {
    let mut gpu = mig("gpu-1", &[]);
    gpu.model.device_id = 0xffff;
    for (sizes, fits) in [(&[2, 4, 4][..], true), (&[2, 3, 7], true), (&[2, 3, 3], false), (&[1, 7], false)] {
        assert_eq!(check(&gpu, sizes).is_ok(), fits, "{sizes:?}");
    }
}

#[test]
fn partitions_are_as_asked_for_in_number_and_in_each_size() {
    for (asked, there, has) in [
        (&[2, 4, 4][..], &[2, 4, 4][..], true),
        (&[2, 4, 4], &[4, 2, 4], false),
        (&[2, 4, 4], &[2, 4], false),
        (&[2, 4, 4], &[3, 3, 3], false),
        (&[3, 3, 3], &[3, 3, 3], true),
        (&[3, 3, 3], &[2, 4, 4], false),
    ] {
        let setting = PartitionSetting::of(Some(split(asked)));
        assert_eq!(super::has(setting, &mig("gpu-1", there)), Ok(has), "{asked:?} {there:?}");
    }
}

#[test]
fn a_size_that_is_not_told_is_no_other_size() {
    let mut gpu = mig("gpu-1", &[2, 4, 4]);
    gpu.partitions[1].size = None;
    assert!(has(PartitionSetting::of(Some(split(&[2, 4, 4]))), &gpu).is_err());
    gpu.partitions.iter_mut().for_each(|partition| partition.size = None);
    assert_eq!(has(PartitionSetting::from_number(3), &gpu), Ok(true));
}

#[test]
fn a_missing_partition_comes_back_beside_the_others_only_if_its_own_size_is_on_offer() {
    let mut gpu = mig("gpu-1", &[2, 4, 4]);
    let asked = split(&[2, 4, 4]);
    assert!(!only_some_are_missing(asked, &gpu));
    gpu.partitions.remove(0);
    gpu.partition_count = Some(2);
    for (offered, can) in [(&[2][..], true), (&[4], false), (&[], false), (&[2, 4], true)] {
        gpu.sizes_on_offer = counts(offered);
        assert_eq!(only_some_are_missing(asked, &gpu), can, "{offered:?}");
    }
    gpu.partitions[0].size = PartitionCount::new(7);
    assert!(!only_some_are_missing(asked, &gpu), "one that is there is another one");
}

#[test]
fn what_another_hand_made_is_kept_as_it_is_or_not_at_all() {
    let option =
        |gpu: &ObservedGpu| adopted(gpu).ok().and_then(PartitionSetting::split).map(|one| one.as_option());
    assert_eq!(option(&mig("gpu-1", &[4, 2, 4])), Some("--sizes 4,2,4".into()));
    assert_eq!(option(&mig("gpu-1", &[3, 3, 3])), Some("--count 3".into()));
    assert_eq!(option(&gpu_a2("gpu-1", 4)), Some("--count 4".into()));
    let mut gapped = mig("gpu-1", &[2, 4, 4]);
    gapped.partitions[1].index = PartitionIndex(9);
    assert_eq!(option(&gapped), None);
}

#[test]
fn a_gpu_with_other_sizes_than_asked_for_is_not_to_be_used() {
    let mut world = World::of_gpus(&[("a", mig("gpu-1", &[2, 4, 4]))]);
    world.desired_mut().settings.insert(gpu_id("gpu-1"), PartitionSetting::of(Some(split(&[2, 4, 4]))));
    let holds = |world: &World| super::holds(&world.servers[0].0, world.gpu());
    assert_eq!(holds(&world), Ok(()));
    sized(world.gpu_mut(), &[4, 2, 4]);
    assert_eq!(holds(&world), Err("its partitions have other sizes than asked for".into()));
}

proptest::proptest! {
    /// Whatever is typed, in whatever order, is the same split; and what is taken is at most the whole.
    #[test]
    fn the_order_that_is_typed_makes_no_difference(
        sizes in proptest::collection::vec(proptest::sample::select(&[1u16, 2, 3, 4, 7][..]), 1..9),
        by in 0usize..8,
    ) {
        let gpu = mig("gpu-1", &[]);
        let mut turned = sizes.clone();
        turned.rotate_left(by % sizes.len());
        proptest::prop_assert_eq!(check(&gpu, &sizes).is_ok(), check(&gpu, &turned).is_ok());
        if let Ok(split) = check(&gpu, &sizes) {
            proptest::prop_assert_eq!(Ok(split), check(&gpu, &turned));
            let mut left: Vec<u16> = (0..8).filter_map(|index| split.size_of(PartitionIndex(index))).map(PartitionCount::get).collect();
            proptest::prop_assert!(left.is_sorted());
            let mut typed = sizes;
            typed.sort_unstable();
            left.sort_unstable();
            proptest::prop_assert_eq!(left, typed);
        }
    }

    #[test]
    fn no_sizes_make_the_rule_panic(sizes in proptest::collection::vec(proptest::num::u16::ANY, 0..20), known: bool) {
        let mut gpu = mig("gpu-1", &[]);
        if !known {
            gpu.model.device_id = 0xffff;
            let valid = counts(&sizes);
            gpu.valid_counts = crate::gpu::ValidPartitionCounts::new(valid, crate::gpu::CountSource::Driver);
        }
        let _ = check(&gpu, &sizes);
        let _ = check(&gpu, &vec![7; sizes.len()]);
    }
}
