//! Where types of different sizes may begin on one NVIDIA GPU, in GiB, by the GPU's memory. The tables are
//! the vendor's; where a size that divides the memory evenly is not listed, every multiple of it is a
//! place. Memories without a table have no such mode here.

/// Size, most of it, and where they begin; nothing listed: at every multiple.
type Row = (u16, usize, &'static [u16]);

const OF_16: &[Row] = &[(16, 1, &[]), (8, 2, &[]), (4, 4, &[]), (2, 8, &[]), (1, 16, &[])];
const OF_24: &[Row] = &[
    (24, 1, &[]),
    (12, 2, &[]),
    (8, 2, &[0, 16]),
    (6, 4, &[]),
    (4, 4, &[0, 8, 12, 20]),
    (3, 8, &[]),
    (2, 8, &[0, 4, 6, 10, 12, 16, 18, 22]),
    (1, 16, &[0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23]),
];
/// The places of 1 GiB are not listed: chosen.
const OF_48: &[Row] = &[
    (48, 1, &[]),
    (24, 2, &[]),
    (16, 2, &[0, 32]),
    (12, 4, &[]),
    (8, 4, &[0, 16, 24, 40]),
    (6, 8, &[]),
    (4, 8, &[0, 8, 12, 20, 24, 32, 36, 44]),
    (3, 16, &[]),
    (2, 16, &[0, 4, 6, 10, 12, 16, 18, 22, 24, 28, 30, 34, 36, 40, 42, 46]),
    (1, 30, &[]),
];
/// The places of 8 and 4 GiB are not listed: chosen like those of half the memory.
const OF_80: &[Row] = &[
    (80, 1, &[]),
    (40, 2, &[]),
    (20, 4, &[]),
    (16, 4, &[0, 24, 40, 64]),
    (10, 8, &[]),
    (8, 8, &[0, 12, 20, 32, 40, 52, 60, 72]),
    (5, 16, &[]),
    (4, 16, &[0, 6, 10, 16, 20, 26, 30, 36, 40, 46, 50, 56, 60, 66, 70, 76]),
];

/// Where one of this size may begin; nothing where sizes cannot be mixed, or not with this one.
pub(crate) fn places(memory_gib: u16, size_gib: u16) -> Vec<u16> {
    let rows = match memory_gib {
        16 => OF_16,
        24 => OF_24,
        48 => OF_48,
        80 => OF_80,
        _ => return Vec::new(),
    };
    match rows.iter().find(|(size, ..)| *size == size_gib) {
        Some((_, _, listed)) if !listed.is_empty() => listed.to_vec(),
        Some((size, most, _)) => (0..*most as u16).map(|nth| nth * size).collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_of_one_size_overlap_and_all_are_inside_of_the_memory() {
        for (memory, rows) in [(16, OF_16), (24, OF_24), (48, OF_48), (80, OF_80)] {
            for (size, most, _) in rows {
                let places = places(memory, *size);
                assert_eq!(places.len(), *most, "{size} of {memory}");
                assert!(
                    places.is_sorted_by(|one, next| one + size <= *next),
                    "{size} of {memory}: {places:?}"
                );
                assert!(places.last().is_some_and(|last| last + size <= memory), "{size} of {memory}");
            }
        }
    }
}
