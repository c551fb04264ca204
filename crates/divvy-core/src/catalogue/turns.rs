//! Which sizes of partitions that take turns at an NVIDIA GPU fit side by side, once its driver was told to
//! mix them. Memory is given in halves of halves: a size takes the smallest of these that has room for it,
//! at its beginning in every other one and at its end in those between, so that the rest of two neighbours
//! is in one piece. So a size that is no half of a half costs what is left of its piece.
//!
//! ```text
//! 24 GiB, sizes of 8:  │8       ·   ·       8│   of 4:  │4 ·  ·4│4 ·  ·4│
//! ```
//!
//! Source: NVIDIA virtual GPU software user guide 17, appendix A.3, whose tables come out by this rule.

use alloc::vec::Vec;

use super::extent::{Extent, place};
use super::{CatalogueEntry, GIB, memory_per_partition};
use crate::gpu::PartitionCount;

/// Where partitions of this size may begin, in GiB. None: in a piece that is not a whole number of GiB, of
/// which the tables say nothing.
fn starts(whole_gib: u64, size_gib: u64) -> Option<Vec<u32>> {
    let mut pieces = 1;
    while whole_gib >= 2 * pieces * size_gib && size_gib > 0 {
        pieces *= 2;
    }
    let start = |piece: u64| {
        // Of every other piece the beginning, else the end: that falls on a whole number more often.
        let (edge, back) = if piece.is_multiple_of(2) { (piece, 0) } else { (piece + 1, size_gib) };
        let at = (edge * whole_gib).is_multiple_of(pieces).then_some(edge * whole_gib / pieces)?;
        u32::try_from(at.checked_sub(back)?).ok()
    };
    (0..pieces).map(start).collect()
}

/// Whether partitions of these sizes fit together; None: of a size it is not known, or all are alike and
/// nothing has to be mixed.
pub fn turns_fit(entry: &CatalogueEntry, sizes: &[PartitionCount]) -> Option<bool> {
    if sizes.iter().all(|size| sizes.first() == Some(size)) {
        return None;
    }
    let whole = entry.memory_bytes.div_ceil(GIB);
    let extent = |size: &PartitionCount| {
        let gib = memory_per_partition(entry, size.get())? / GIB;
        Some(Extent { starts: starts(whole, gib)?, length: u32::try_from(gib).ok()? })
    };
    let extents = sizes.iter().map(extent).collect::<Option<Vec<Extent>>>()?;
    Some(place(&extents).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::entries;

    #[test]
    fn places_are_those_of_the_vendors_tables() {
        let table: &[(u64, u64, &[u32])] = &[
            (16, 16, &[0]),
            (16, 4, &[0, 4, 8, 12]),
            (24, 12, &[0, 12]),
            (24, 8, &[0, 16]),
            (24, 4, &[0, 8, 12, 20]),
            (24, 3, &[0, 3, 6, 9, 12, 15, 18, 21]),
            (24, 2, &[0, 4, 6, 10, 12, 16, 18, 22]),
            (24, 1, &[0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23]),
            (40, 8, &[0, 12, 20, 32]),
            (40, 4, &[0, 6, 10, 16, 20, 26, 30, 36]),
            (48, 16, &[0, 32]),
            (48, 8, &[0, 16, 24, 40]),
            (48, 4, &[0, 8, 12, 20, 24, 32, 36, 44]),
            (48, 2, &[0, 4, 6, 10, 12, 16, 18, 22, 24, 28, 30, 34, 36, 40, 42, 46]),
            (80, 16, &[0, 24, 40, 64]),
            (94, 47, &[0, 47]),
            (94, 23, &[0, 24, 47, 71]),
        ];
        for (whole, size, places) in table {
            assert_eq!(starts(*whole, *size).as_deref(), Some(*places), "{size} of {whole}");
        }
        assert_eq!(starts(94, 11), None);
    }

    fn fit(name: &str, sizes: &[u16]) -> Option<bool> {
        let entry = entries().find(|entry| entry.name == name).expect("is in the catalogue");
        let sizes: Vec<PartitionCount> = sizes.iter().filter_map(|size| PartitionCount::new(*size)).collect();
        turns_fit(entry, &sizes)
    }

    #[test]
    fn sizes_that_are_no_half_of_a_half_leave_less_room_than_their_sum_says() {
        assert_eq!(fit("A10", &[2, 4, 4]), Some(true));
        assert_eq!(fit("A10", &[2, 3, 6]), Some(true));
        assert_eq!(fit("A10", &[3, 3, 6, 6]), Some(true));
        assert_eq!(fit("A10", &[3, 3, 4]), Some(false));
        assert_eq!(fit("A10", &[2, 2, 4]), Some(false));
    }

    #[test]
    fn where_nothing_is_mixed_or_the_tables_say_nothing_nothing_is_said() {
        assert_eq!(fit("A10", &[3, 3]), None);
        assert_eq!(fit("A10", &[2, 5]), None);
        assert_eq!(fit("H100 NVL", &[2, 8]), None);
    }
}
