//! The catalogue against itself: numbers that lead to one entry, counts that the sizes agree with, and
//! sentences that are true.

use alloc::collections::BTreeSet;
use alloc::vec;

use super::*;

fn named(name: &str) -> &'static CatalogueEntry {
    entries().find(|entry| entry.name == name).expect("is in the catalogue")
}

/// The sizes of a model's partitions in GiB, by its counts.
fn sizes(name: &str) -> Vec<u64> {
    let entry = named(name);
    let each = entry.counts.iter().map(|count| memory_per_partition(entry, *count).expect("is listed"));
    each.map(|bytes| bytes / GIB).collect()
}

#[test]
fn the_subsystem_tells_an_a16_from_an_a2() {
    assert_eq!(find(0x10de, 0x25b6, 0x14a9).map(|e| e.name), Some("A16"));
    assert_eq!(find(0x10de, 0x25b6, 0x157e).map(|e| e.name), Some("A2"));
    assert_eq!(find(0x10de, 0x25b6, 0x0000), None);
}

#[test]
fn every_number_of_a_model_leads_to_it() {
    for number in [0xe211, 0xe216] {
        assert_eq!(find(0x8086, number, 0x1234).map(|e| e.name), Some("Arc Pro B60"));
    }
    assert_eq!(find(0x1002, 0xe211, 0), None);
}

#[test]
fn no_two_entries_have_the_same_numbers_or_the_same_name() {
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for entry in entries() {
        assert!(names.insert((entry.vendor, entry.name)), "{}", entry.name);
        assert!(!entry.device_ids.is_empty(), "{}", entry.name);
        for number in entry.device_ids {
            let key = (entry.vendor_id, *number, entry.subsystem_device_id);
            assert!(numbers.insert(key), "{}", entry.name);
        }
    }
}

#[test]
fn every_entry_lists_its_counts_once_and_ascending() {
    for entry in entries() {
        assert!(entry.counts.is_sorted_by(|a, b| a < b), "{}", entry.name);
        assert_eq!(entry.counts.first(), Some(&1), "{}", entry.name);
    }
}

#[test]
fn partitions_of_a_count_have_less_memory_than_those_of_the_count_before_and_fit() {
    for entry in entries() {
        let shares: Vec<u64> =
            entry.counts.iter().filter_map(|count| memory_per_partition(entry, *count)).collect();
        assert!(shares.is_sorted_by(|a, b| a > b), "{}", entry.name);
        for (count, share) in entry.counts.iter().zip(&shares) {
            let together = u64::from(*count) * share;
            // Nominal shares of a GPU that is a little short of its nominal memory.
            assert!(together < entry.memory_bytes + entry.grain_bytes, "{} {count}", entry.name);
        }
    }
}

/// As the vendor's guide lists sizes and numbers for each model.
#[test]
fn sizes_are_those_of_the_vendors_lists() {
    let lists = [
        ("A16", vec![16, 8, 4, 2, 1]),
        ("L4", vec![24, 12, 8, 6, 4, 3, 2, 1]),
        ("A40", vec![48, 24, 16, 12, 8, 6, 4, 3, 2, 1]),
        ("RTX 5000 Ada", vec![32, 16, 8, 4, 2, 1]),
        ("RTX PRO 6000", vec![96, 48, 32, 24, 16, 12, 8, 6, 4, 3]),
        ("A30", vec![24, 12, 8, 6, 4]),
        ("A100 SXM 40GB", vec![40, 20, 10, 8, 5, 4]),
        ("A100 PCIe 80GB", vec![80, 40, 20, 16, 10, 8, 4]),
        ("H100 PCIe", vec![80, 40, 20, 16, 10, 8, 5, 4]),
        ("H200 NVL", vec![141, 70, 35, 28, 17, 14, 8, 7, 4]),
        ("H20", vec![96, 48, 32, 24, 16, 12, 8, 6, 4]),
    ];
    for (name, expected) in lists {
        assert_eq!(sizes(name), expected, "{name}");
    }
}

#[test]
fn a_gpu_a_little_short_of_its_nominal_memory_is_shared_by_the_nominal_one() {
    let entry = named("H100 NVL");
    let mib: Vec<u64> = entry
        .counts
        .iter()
        .filter_map(|count| memory_per_partition(entry, *count))
        .map(|b| b >> 20)
        .collect();
    assert_eq!(mib, [96246, 48128, 23552, 15360, 11264, 6144, 4096]);
}

#[test]
fn a_share_of_an_intel_gpu_is_rounded_down_to_the_drivers_grain() {
    let share = memory_per_partition(named("Data Center GPU Max 1100"), 63).expect("is listed");
    assert_eq!((share % (2 << 20), share >> 20), (0, 714));
}

#[test]
fn a_count_that_is_not_listed_has_no_share() {
    assert_eq!(memory_per_partition(named("A2"), 3), None);
    assert_eq!(memory_per_partition(named("A2"), 0), None);
}

#[test]
fn parts_of_mig_fit_into_the_gpu() {
    for entry in entries() {
        for mig in entry.mig_counts {
            let together = u64::from(mig.count) * u64::from(mig.memory_gib);
            // Nominal sizes are rounded up, each by less than 1 GiB.
            let most = entry.memory_bytes.div_ceil(GIB) + u64::from(mig.count);
            assert!(together < most, "{} {mig:?}", entry.name);
            assert!(mig.compute > 0 && mig.count > 0, "{} {mig:?}", entry.name);
        }
    }
}

#[test]
fn the_sentence_names_the_sizes_and_the_size_that_there_is_not() {
    let why = why_not(named("A16"), 5).expect("not listed");
    assert_eq!(
        why,
        "its 16 GiB make partitions of 16, 8, 4, 2 or 1 GiB, and 5 equal ones would have 3.2 GiB"
    );
    assert!(why_not(named("Data Center GPU Flex 140"), 2).expect("not listed").contains("5.63, 1.88"));
}

#[test]
fn more_than_the_smallest_size_allows_is_said_so() {
    let why = why_not(named("A40"), 40).expect("not listed");
    assert_eq!(why, "its smallest partition has 1 GiB, and it makes at most 32");
    let why = why_not(named("Instinct MI210"), 2).expect("not listed");
    assert!(why.ends_with("64 GiB, and it makes at most 1"), "{why}");
}

/// Else the sentence would say that a size is missing which it has just listed.
#[test]
fn a_count_that_is_not_listed_would_have_a_size_that_is_not_listed() {
    for entry in entries() {
        let sizes: Vec<String> =
            entry.counts.iter().filter_map(|count| memory_per_partition(entry, *count)).map(in_gib).collect();
        for count in (1..entry.largest_count().unwrap_or(0)).filter(|count| !entry.counts.contains(count)) {
            let asked = in_gib(entry.memory_bytes / u64::from(count));
            assert!(!sizes.contains(&asked), "{} {count} {asked}", entry.name);
        }
    }
}

proptest::proptest! {
    #[test]
    fn there_is_a_reason_exactly_for_the_counts_that_are_not_listed(count in 0u16..=u16::MAX) {
        for entry in entries() {
            proptest::prop_assert_eq!(why_not(entry, count).is_none(), entry.counts.contains(&count));
        }
    }
}

#[test]
fn with_a_part_of_mig_for_each_partition_a_model_takes_these_counts() {
    let counts = |name: &str| {
        let entry = entries().find(|entry| entry.name == name).expect(name);
        let counts = mig_partition_counts(entry)?;
        Some(counts.as_slice().iter().map(|count| count.get()).collect::<Vec<u16>>())
    };
    assert_eq!(counts("H200 SXM"), Some([1, 2, 3, 4, 7].into()));
    assert_eq!(counts("A30"), Some([1, 2, 4].into()));
    assert_eq!(counts("RTX PRO 6000"), Some([1, 2, 4].into()), "the others share parts");
    assert_eq!(counts("A40"), None);
}

#[test]
fn partitions_by_mig_have_the_memory_of_their_part_and_not_an_equal_share() {
    let h200 = named("H200 SXM");
    let by = |scheme, count| memory_by(h200, Some(scheme), count).map(|bytes| bytes >> 30);
    let each = [7, 4, 3, 2, 1].map(|count| by(Scheme::NvidiaMig, count));
    assert_eq!(each, [Some(18), Some(35), Some(35), Some(71), Some(141)]);
    assert_eq!((by(Scheme::NvidiaMig, 5), by(Scheme::NvidiaVfio, 5)), (None, Some(28)));
    // The driver keeps some of what is printed on the box.
    let whole = memory_by(named("H100 NVL"), Some(Scheme::NvidiaMig), 1);
    assert_eq!(whole, Some(named("H100 NVL").memory_bytes));
}
