//! Counts out of names: the catalogue's where there is a type for them, the driver's where there is not.

use super::*;
use divvy_core::catalogue;

fn listed(sizes: &[u32]) -> Vec<Type> {
    let parse = |gib: &u32| Type::parse(*gib, &format!("X-{gib}Q")).expect("a type");
    sizes.iter().map(parse).collect()
}

fn counts(entry: Option<&CatalogueEntry>, sizes: &[u32], total: u16) -> (Vec<u16>, Option<String>) {
    let (valid, difference) = counts_of_names(entry, &listed(sizes), total);
    (valid.as_slice().iter().map(|count| count.get()).collect(), difference)
}

fn a40() -> Option<&'static CatalogueEntry> {
    catalogue::find(0x10de, 0x2235, 0x145a)
}

#[test]
fn a_driver_that_lists_what_the_catalogue_knows_makes_no_difference() {
    let all = [48, 24, 16, 12, 8, 6, 4, 3, 2, 1];
    assert_eq!(counts(a40(), &all, 32), (vec![1, 2, 3, 4, 6, 8, 12, 16, 24, 32], None));
}

#[test]
fn a_size_that_the_driver_does_not_list_takes_its_count_away() {
    let (counts, difference) = counts(a40(), &[48, 24, 16, 12, 8, 6, 4, 2, 1], 32);
    assert_eq!(counts, [1, 2, 3, 4, 6, 8, 12, 24, 32]);
    assert_eq!(difference.as_deref(), Some("its driver does not offer 16"));
}

#[test]
fn a_size_that_the_catalogue_does_not_know_gives_the_count_that_fits() {
    let (counts, difference) = counts(a40(), &[48, 24, 16, 12, 8, 6, 5, 4, 3, 2, 1], 32);
    assert!(counts.contains(&9), "{counts:?}");
    assert_eq!(difference.as_deref(), Some("its driver also offers 9"));
}

#[test]
fn no_more_than_the_gpu_has_functions() {
    assert_eq!(counts(a40(), &[48, 24, 16, 12, 8, 6, 4, 3, 2, 1], 8).0, [1, 2, 3, 4, 6, 8]);
}

#[test]
fn a_model_that_nobody_knows_has_the_counts_of_its_sizes() {
    assert_eq!(counts(None, &[141, 70, 35, 17], 32), (vec![1, 2, 4, 8], None));
}

#[test]
fn without_a_list_the_catalogue_is_all_there_is() {
    assert_eq!(counts(a40(), &[], 4), (vec![1, 2, 3, 4], None));
    let (valid, _) = counts_of_names(a40(), &[], 32);
    assert_eq!(valid.source(), CountSource::Catalogue);
}

proptest::proptest! {
    #[test]
    fn every_count_has_a_type_that_fits(
        sizes in proptest::collection::vec(1_u32..60, 1..12), total in 0_u16..40, known: bool,
    ) {
        let entry = a40().filter(|_| known);
        let types = listed(&sizes);
        let whole = whole_gib(entry, &types).expect("there are types");
        let (valid, _) = counts_of_names(entry, &types, total);
        for count in valid.as_slice() {
            proptest::prop_assert!(types::best(&types, count.get(), whole).is_some(), "{}", count);
            proptest::prop_assert!(count.get() <= total);
        }
    }
}
