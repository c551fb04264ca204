//! Finding places in a GPU's memory for partitions of different sizes. Where one may start, those know who
//! split the GPU.

use alloc::vec::Vec;

/// Where the memory of one may start, and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    pub starts: Vec<u32>,
    pub length: u32,
}

/// A place for each, so that no two overlap, or None.
pub fn place(extents: &[Extent]) -> Option<Vec<u32>> {
    let mut placed = Vec::new();
    place_rest(extents, &mut placed).then_some(placed)
}

fn place_rest(extents: &[Extent], placed: &mut Vec<u32>) -> bool {
    let Some(next) = extents.get(placed.len()) else { return true };
    // Of two that are alike, which is where makes no difference.
    let before = placed.len().checked_sub(1);
    let like = before.filter(|nth| extents.get(*nth) == Some(next)).and_then(|nth| placed.get(nth)).copied();
    for start in next.starts.iter().copied().filter(|start| like.is_none_or(|like| like < *start)) {
        let is_free = placed.iter().zip(extents).all(|(other, extent)| {
            start.saturating_add(next.length) <= *other || other.saturating_add(extent.length) <= start
        });
        if is_free {
            placed.push(start);
            if place_rest(extents, placed) {
                return true;
            }
            placed.pop();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_placed_does_not_overlap(
            lengths in proptest::collection::vec(proptest::sample::select(&[1u32, 2, 4][..]), 1..7),
        ) {
            let extent = |length: &u32| Extent { starts: (0..8 / length).map(|nth| nth * length).collect(), length: *length };
            let extents: Vec<Extent> = lengths.iter().map(extent).collect();
            let mut pieces = std::collections::BTreeSet::new();
            for (start, length) in place(&extents).unwrap_or_default().into_iter().zip(&lengths) {
                for piece in start..start + length {
                    proptest::prop_assert!(pieces.insert(piece), "{extents:?}");
                }
            }
        }
    }
}
