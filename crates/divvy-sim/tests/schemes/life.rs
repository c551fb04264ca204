//! What holds for every scheme alike: counts come and go, a step twice is quiet, and a partition passes
//! every check before a VM gets it. Each test is played on every GPU of the rooms that have one for each
//! scheme.

use divvy_core::desired::PartitionSetting;
use divvy_core::finding::Severity;
use divvy_core::gpu::Scheme;
use divvy_core::observed::ObservedGpu;
use divvy_core::plan::is_prepared;
use divvy_core::rules::sizes;
use divvy_core::step::Outcome;
use divvy_host::readiness;

use crate::bench::{Bench, clean, create, prepare, remove, scheme};

/// Where the GPUs of `mixed-lab` are, what splits them, and into how many.
const LAB: [(&str, Scheme, &str); 9] = [
    ("0000:41:00.0", Scheme::Sriov, "1, 2, 4, 8, 16"),
    (
        "0000:42:00.0",
        Scheme::IntelXe,
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24",
    ),
    ("0000:43:00.0", Scheme::NvidiaMdev, "1, 2, 3, 4, 6, 8, 12, 24"),
    ("0000:44:00.0", Scheme::NvidiaMdevPf, "1, 2, 4, 8, 16"),
    ("0000:c1:00.0", Scheme::IntelI915, "1, 2, 4, 5, 8, 16"),
    ("0000:c2:00.0", Scheme::NvidiaVfio, "1, 2, 3, 4, 6, 8, 12, 16, 24, 32"),
    ("0000:c3:00.0", Scheme::NvidiaMig, "1, 2, 3, 4, 7"),
    ("0000:c4:00.0", Scheme::AmdGim, "1, 8"),
    ("0001:81:00.0", Scheme::NvidiaVfio, "1, 2, 3, 4, 6, 8, 12, 16, 24, 32"),
];

/// Plays on each GPU of a room of its own, with a count from the middle of those that are valid.
fn on_each_gpu(play: impl Fn(&Bench, &ObservedGpu, u16)) {
    for room in ["mixed-lab", "h200-mig"] {
        for gpu in Bench::in_room(room).gpus() {
            let counts = gpu.valid_counts.as_slice();
            let count = counts[counts.len() / 2].get();
            play(&Bench::in_room(room), &gpu, count);
        }
    }
}

fn brought(bench: &Bench, gpu: &ObservedGpu, count: u16) -> ObservedGpu {
    bench.bring(&gpu.id, count).unwrap_or_else(|error| panic!("{} to {count}: {error}", gpu.model))
}

#[test]
fn every_scheme_is_known_by_what_its_driver_shows_and_offers_its_counts() {
    let bench = Bench::in_room("mixed-lab");
    let found: Vec<(String, Scheme, String)> = bench
        .gpus()
        .iter()
        .map(|gpu| brought(&bench, gpu, gpu.valid_counts.as_slice()[0].get()))
        .map(|gpu| (gpu.address.to_string(), scheme(&gpu), gpu.valid_counts.to_string()))
        .collect();
    assert_eq!(found, LAB.map(|(at, scheme, counts)| (at.to_owned(), scheme, counts.to_owned())));
}

#[test]
fn every_valid_count_can_follow_the_one_before() {
    on_each_gpu(|bench, gpu, _| {
        let valid = gpu.valid_counts.as_slice();
        for count in valid.iter().chain(valid.iter().rev()).map(|count| count.get()) {
            let now = brought(bench, gpu, count);
            let shown = (now.partition_count, now.partitions.len());
            assert_eq!(shown, (Some(count), usize::from(count)), "{}", gpu.model);
        }
    });
}

/// Each multiset of sizes that the rule lets pass is one that the driver makes, by index and memory.
#[test]
fn whatever_sizes_the_rule_takes_the_driver_makes() {
    let bench = Bench::in_room("h200-mig");
    let gpu = bench.gpus().swap_remove(0);
    for sizes in
        [&[2, 4, 4][..], &[2, 3, 3], &[2, 3, 7], &[2, 7, 7, 7, 7], &[3, 3, 7, 7, 7], &[4, 7, 7], &[2]]
    {
        let split = sizes::check(&gpu, sizes).expect("the rule lets it pass");
        let now = bench.bring_to(&gpu.id, PartitionSetting::of(Some(split)).by(gpu.scheme)).expect("is made");
        assert_eq!(sizes::seen(&now), Some(split));
        let memory: Vec<_> = now.partitions.iter().map(|partition| partition.memory_bytes).collect();
        assert!(memory.is_sorted_by(|one, next| one >= next) && memory[0].is_some(), "{memory:?}");
    }
}

#[test]
fn partitions_that_are_there_are_not_made_again() {
    on_each_gpu(|bench, gpu, count| {
        let before = brought(bench, gpu, count);
        let again = bench.take(&create(&before, count)).expect("is quiet");
        assert_eq!(again, Outcome::Already, "{}", gpu.model);
        assert_eq!(bench.gpu(&gpu.id), before);
    });
}

#[test]
fn partitions_of_one_gpu_have_one_size_and_fit_into_it() {
    on_each_gpu(|bench, gpu, count| {
        let now = brought(bench, gpu, count);
        let sizes: Vec<Option<u64>> = now.partitions.iter().map(|one| one.memory_bytes).collect();
        assert!(sizes.iter().all(|size| *size == sizes[0]), "{}: {sizes:?}", gpu.model);
        let all = sizes[0].unwrap_or(0) * u64::from(count);
        assert!(now.memory_bytes.is_none_or(|whole| all <= whole), "{}: {sizes:?}", gpu.model);
    });
}

#[test]
fn a_prepared_partition_passes_every_check() {
    on_each_gpu(|bench, gpu, count| {
        let now = brought(bench, gpu, count);
        bench.take(&prepare(&now, 0)).expect("prepared");
        let now = bench.gpu(&gpu.id);
        let first = &now.partitions[0];
        assert!(is_prepared(&now, first), "{}: {first:?}", gpu.model);
        let sys = bench.sys();
        let mut findings = readiness::partition_findings(&*sys, &now, first, &readiness::Settings::default());
        findings.retain(|finding| finding.severity == Severity::Error);
        assert_eq!(findings, [], "{}", gpu.model);
    });
}

#[test]
fn a_prepared_partition_is_not_prepared_again() {
    on_each_gpu(|bench, gpu, count| {
        let now = brought(bench, gpu, count);
        bench.take(&prepare(&now, 0)).expect("prepared");
        assert_eq!(bench.take(&prepare(&now, 0)).expect("is quiet"), Outcome::Already, "{}", gpu.model);
    });
}

/// A partition that is made anew has the index, the size and the name that it had.
#[test]
fn a_cleaned_partition_is_the_partition_that_it_was() {
    on_each_gpu(|bench, gpu, count| {
        let now = brought(bench, gpu, count);
        bench.take(&prepare(&now, 0)).expect("prepared");
        let before = bench.gpu(&gpu.id);
        assert_eq!(bench.take(&clean(&before, 0)).expect("cleaned"), Outcome::Changed, "{}", gpu.model);
        let mut after = bench.gpu(&gpu.id);
        // A mediated device that is made anew is in a new group.
        after.partitions[0].iommu_group = before.partitions[0].iommu_group;
        assert_eq!(after, before);
    });
}

/// GIM gives each of its GPUs one partition at least, as long as it is loaded.
#[test]
fn partitions_that_are_taken_away_are_gone() {
    on_each_gpu(|bench, gpu, count| {
        let now = brought(bench, gpu, count);
        if scheme(&now) == Scheme::AmdGim {
            return;
        }
        assert_eq!(bench.take(&remove(&now)).expect("removed"), Outcome::Changed, "{}", gpu.model);
        let now = bench.gpu(&gpu.id);
        assert_eq!((now.partition_count, now.partitions.len()), (Some(0), 0), "{}", gpu.model);
    });
}
