//! Which parts of MIG fit side by side. A GPU has units of compute (7 or 4) and pieces of memory (8 or 4);
//! a part takes some of both, and its memory starts at a multiple of its own length. What the driver's
//! program tells of the same is not known here.

use alloc::vec::Vec;

use super::extent::{Extent, place};
use super::{CatalogueEntry, MigCount, of_own_parts, units};
use crate::gpu::PartitionCount;

/// The part that each partition of this count has for itself.
pub fn part_of(entry: &CatalogueEntry, size: PartitionCount) -> Option<&MigCount> {
    of_own_parts(entry).find(|one| one.count == size.get())
}

/// Whether parts of these sizes fit together; None: the model or a size of it is not known.
pub fn parts_fit(entry: &CatalogueEntry, sizes: &[PartitionCount]) -> Option<bool> {
    let units = u32::from(units(entry)?);
    let pieces = units.next_power_of_two();
    let parts: Vec<&MigCount> = sizes.iter().map(|size| part_of(entry, *size)).collect::<Option<_>>()?;
    let compute: u32 = parts.iter().map(|part| u32::from(part.compute)).sum();
    let extent = |part: &&MigCount| {
        let count = u32::from(part.count).max(1);
        // The largest power of two of which so many are there.
        let length = (pieces / count).checked_ilog2().map_or(1, |log| 1 << log);
        Extent { starts: (0..count).map(|nth| nth * length).collect(), length }
    };
    let extents: Vec<Extent> = parts.iter().map(extent).collect();
    Some(compute <= units && place(&extents).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::find;

    fn fit(entry: &CatalogueEntry, sizes: &[u16]) -> Option<bool> {
        let sizes: Vec<_> = sizes.iter().filter_map(|size| PartitionCount::new(*size)).collect();
        parts_fit(entry, &sizes)
    }

    #[test]
    fn parts_fit_as_nvidias_table_of_placements_has_it() {
        let h200 = find(0x10de, 0x2335, 0).expect("a known model");
        for (sizes, fits) in [
            (&[2, 4, 4][..], true),
            (&[2, 2], true),
            (&[2, 3, 3], true),
            (&[2, 3, 4], true),
            (&[2, 3, 7], true),
            (&[2, 7, 7, 7, 7], true),
            (&[3, 3, 3, 7], true),
            (&[3, 3, 3, 4], true),
            (&[3, 4, 4, 4], true),
            (&[4, 7, 7, 7, 7, 7, 7], true),
            (&[3, 3, 7, 7, 7], true),
            (&[1, 7], false),
            (&[2, 2, 7], false),
            (&[2, 4, 4, 7], false),
            (&[2, 3, 3, 7], false),
            (&[3, 3, 3, 7, 7], false),
            (&[2, 3, 4, 7], false),
            (&[4, 4, 4, 4, 7], false),
            (&[7, 7, 7, 7, 7, 7, 7, 7], false),
        ] {
            assert_eq!(fit(h200, sizes), Some(fits), "{sizes:?}");
        }
        assert_eq!(fit(h200, &[2, 5]), None);
    }

    #[test]
    fn a_gpu_of_four_units_has_four_pieces() {
        let a30 = find(0x10de, 0x20b7, 0).expect("a known model");
        for (sizes, fits) in
            [(&[2, 4, 4][..], true), (&[2, 2], true), (&[2, 4, 4, 4], false), (&[1, 4], false)]
        {
            assert_eq!(fit(a30, sizes), Some(fits), "{sizes:?}");
        }
    }

    #[test]
    fn every_count_of_the_catalogue_fits_with_itself() {
        for entry in crate::catalogue::entries().filter(|entry| !entry.mig_counts.is_empty()) {
            let counts = crate::catalogue::mig_partition_counts(entry).expect("it has counts");
            for count in counts.as_slice() {
                let sizes = alloc::vec![*count; usize::from(count.get())];
                assert_eq!(parts_fit(entry, &sizes), Some(true), "{} {count}", entry.name);
            }
        }
    }

    proptest::proptest! {
        /// With less asked for, it never fits worse.
        #[test]
        fn what_fits_still_fits_without_one_of_it(
            sizes in proptest::collection::vec(proptest::sample::select(&[1u16, 2, 3, 4, 7][..]), 1..8),
            left_out in 0usize..8,
        ) {
            let h200 = find(0x10de, 0x2335, 0).expect("a known model");
            let mut fewer = sizes.clone();
            fewer.remove(left_out % sizes.len());
            if fit(h200, &sizes) == Some(true) {
                proptest::prop_assert_eq!(fit(h200, &fewer), Some(true));
            }
        }
    }
}
