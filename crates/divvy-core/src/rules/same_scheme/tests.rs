use alloc::vec::Vec;

use super::*;
use crate::gpu::PartitionCount;
use crate::testing::{World, gpu, gpu_id};

fn asked(count: u16, scheme: impl Into<Option<Scheme>>) -> PartitionSetting {
    PartitionSetting::from_number(count).by(scheme.into())
}

/// An H200 with this scheme and so many partitions, of which `setting` was asked.
fn world(scheme: Scheme, has: u16, setting: PartitionSetting) -> World {
    let mut h200 = gpu("gpu-1", (0x10de, 0x2335, 0x18be), has);
    h200.scheme = Some(scheme);
    let mut world = World::of_gpus(&[("a", h200)]);
    world.desired_mut().settings.insert(gpu_id("gpu-1"), setting);
    world
}

#[test]
fn a_gpu_is_split_by_the_scheme_that_it_was_asked_with_or_not_at_all() {
    use Scheme::{IntelI915, IntelXe, NvidiaMdev, NvidiaMdevPf, NvidiaMig, NvidiaVfio, Sriov};
    type Row = (Option<Scheme>, Scheme, u16, Option<Scheme>);
    let table: &[Row] = &[
        (None, NvidiaVfio, 0, Some(NvidiaVfio)),
        (Some(Sriov), Sriov, 0, Some(Sriov)),
        (Some(NvidiaMig), NvidiaMig, 0, Some(NvidiaMig)),
        // The mode is lost: it comes back with the partitions, and only where none are.
        (Some(NvidiaMig), NvidiaVfio, 0, Some(NvidiaMig)),
        (Some(NvidiaMig), NvidiaVfio, 4, None),
        (Some(NvidiaMig), NvidiaMdev, 0, None),
        // The interface shows with the first function.
        (Some(NvidiaVfio), NvidiaMdev, 4, Some(NvidiaMdev)),
        (Some(NvidiaMdev), NvidiaVfio, 0, Some(NvidiaVfio)),
        (Some(NvidiaVfio), NvidiaMig, 0, None),
        (Some(NvidiaMdevPf), NvidiaVfio, 0, None),
        (Some(IntelI915), IntelXe, 0, None),
    ];
    for (remembered, now, has, splits_by) in table {
        let world = world(*now, *has, asked(4, *remembered));
        let found = to_split_by(asked(4, *remembered), world.gpu());
        assert_eq!(found.ok().flatten(), *splits_by, "{remembered:?} {now} {has}");
    }
}

#[test]
fn what_waits_says_what_was_asked_what_is_there_and_the_mend() {
    for (remembered, now, mend) in [
        (Scheme::NvidiaMig, Scheme::NvidiaVfio, "turns MIG on by itself"),
        (Scheme::NvidiaVfio, Scheme::NvidiaMig, "-mig 0"),
        (Scheme::IntelXe, Scheme::Sriov, "the driver again that has the scheme intel_xe"),
    ] {
        let world = world(now, 4, asked(4, remembered));
        let found = finding(&world.servers[0].0, world.gpu()).expect("waits");
        assert!(found.mend.contains(mend) && found.mend.contains("--count"), "{found:?}");
        let text = found.text;
        let schemes = [remembered, now].map(|scheme| alloc::format!("the scheme {scheme}"));
        assert!(schemes.iter().all(|scheme| text.contains(scheme.as_str())), "{text}");
    }
}

#[test]
fn no_partitions_are_asked_for_by_no_scheme() {
    let world = world(Scheme::NvidiaVfio, 4, PartitionSetting::Off);
    assert_eq!(holds(&world.servers[0].0, world.gpu()), Ok(()));
}

#[test]
fn another_count_of_a_gpu_that_lost_the_mode_is_one_of_the_mode() {
    let world = world(Scheme::NvidiaVfio, 0, asked(4, Scheme::NvidiaMig));
    let seen = as_it_will_be(Some(asked(4, Scheme::NvidiaMig)), world.gpu());
    assert_eq!(seen.scheme, Some(Scheme::NvidiaMig));
    let counts: Vec<u16> =
        seen.valid_counts.as_slice().iter().map(|count: &PartitionCount| count.get()).collect();
    assert_eq!(counts, [1, 2, 3, 4, 7]);
    assert_eq!(*as_it_will_be(None, world.gpu()), *world.gpu());
}
