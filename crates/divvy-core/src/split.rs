//! How a GPU is split: into equal partitions, or, where somebody asked for it in so many words, into
//! partitions of different sizes. A size is named by the partition count that has it: of the sizes 2,4,4
//! the first is as large as each of two partitions, the others as large as each of four. So whatever is
//! known of counts is known of sizes. Which sizes fit together is not known here (`rules::sizes`).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::gpu::PartitionCount;
use crate::id::PartitionIndex;

/// The size of each partition, by index. Assignments name partitions by index, so an index keeps its size
/// through boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<PartitionCount>", into = "Vec<PartitionCount>")]
pub struct Sizes([Option<PartitionCount>; Sizes::MOST]);

/// Of how many sizes a list cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a GPU has 1 to {} partitions of different sizes, not {number}", Sizes::MOST)]
pub struct NotSoMany {
    pub number: usize,
}

impl Sizes {
    /// No GPU is cut into more parts of different sizes.
    pub const MOST: usize = 8;

    pub fn iter(&self) -> impl Iterator<Item = PartitionCount> + '_ {
        self.0.iter().flatten().copied()
    }

    pub fn count(&self) -> PartitionCount {
        let number = u16::try_from(self.iter().count()).ok().and_then(PartitionCount::new);
        number.expect("there are 1 to MOST of them")
    }
}

impl TryFrom<Vec<PartitionCount>> for Sizes {
    type Error = NotSoMany;

    fn try_from(list: Vec<PartitionCount>) -> Result<Self, NotSoMany> {
        let number = list.len();
        let mut sizes = [None; Self::MOST];
        if number == 0 || number > sizes.len() {
            return Err(NotSoMany { number });
        }
        sizes.iter_mut().zip(list).for_each(|(place, size)| *place = Some(size));
        Ok(Self(sizes))
    }
}

impl From<Sizes> for Vec<PartitionCount> {
    fn from(sizes: Sizes) -> Self {
        sizes.iter().collect()
    }
}

/// As it is typed: `2,4,4`.
impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&typed(self.iter()))
    }
}

/// `2,4,4`.
pub fn typed(sizes: impl IntoIterator<Item = PartitionCount>) -> String {
    let words: Vec<_> = sizes.into_iter().map(|size| size.to_string()).collect();
    words.join(",")
}

/// How many partitions, and how large each of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Sizes(Sizes),
    /// Comes last, so that of as many GPUs of both kinds those with different sizes are the odd ones.
    Equal(PartitionCount),
}

impl Split {
    /// What a list of sizes stands for: the largest first, and a plain count where the sizes are all equal
    /// and make up that count.
    pub fn of_sizes(mut sizes: Vec<PartitionCount>) -> Result<Self, NotSoMany> {
        sizes.sort_unstable();
        let equal = sizes.first().copied().filter(|first| sizes.iter().all(|size| size == first));
        match equal {
            Some(count) if usize::from(count.get()) == sizes.len() => Ok(Self::Equal(count)),
            _ => Ok(Self::Sizes(Sizes::try_from(sizes)?)),
        }
    }

    pub fn count(&self) -> PartitionCount {
        match self {
            Self::Equal(count) => *count,
            Self::Sizes(sizes) => sizes.count(),
        }
    }

    /// None where the partitions are equal.
    pub fn sizes(&self) -> Option<Sizes> {
        match self {
            Self::Equal(_) => None,
            Self::Sizes(sizes) => Some(*sizes),
        }
    }

    /// None: there is no partition with this index.
    pub fn size_of(&self, index: PartitionIndex) -> Option<PartitionCount> {
        match self {
            Self::Equal(count) => (index.0 < count.get()).then_some(*count),
            Self::Sizes(sizes) => sizes.iter().nth(usize::from(index.0)),
        }
    }

    /// The option that asks for it.
    pub fn as_option(&self) -> String {
        match self {
            Self::Equal(count) => format!("--count {count}"),
            Self::Sizes(sizes) => format!("--sizes {sizes}"),
        }
    }
}

/// `4 partitions`, `3 partitions (sizes 2,4,4)`.
impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partitions", self.count())?;
        match self {
            Self::Equal(_) => Ok(()),
            Self::Sizes(sizes) => write!(f, " (sizes {sizes})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(numbers: &[u16]) -> Vec<PartitionCount> {
        numbers.iter().filter_map(|number| PartitionCount::new(*number)).collect()
    }

    fn split(numbers: &[u16]) -> Result<Split, NotSoMany> {
        Split::of_sizes(counts(numbers))
    }

    #[test]
    fn the_largest_comes_first_in_whatever_order_they_are_typed() {
        for typed in [[2, 4, 4], [4, 2, 4], [4, 4, 2]] {
            assert_eq!(split(&typed).expect("sizes").as_option(), "--sizes 2,4,4");
        }
    }

    #[test]
    fn equal_sizes_that_make_up_a_count_are_that_count() {
        for (typed, option) in [
            (&[2, 2][..], "--count 2"),
            (&[1], "--count 1"),
            (&[7; 7], "--count 7"),
            (&[4, 4, 4], "--sizes 4,4,4"),
            (&[7, 7], "--sizes 7,7"),
        ] {
            assert_eq!(split(typed).expect("sizes").as_option(), option);
        }
    }

    #[test]
    fn none_and_too_many_are_no_sizes() {
        assert_eq!(split(&[]), Err(NotSoMany { number: 0 }));
        assert_eq!(split(&[8; 9]), Err(NotSoMany { number: 9 }));
    }

    #[test]
    fn each_index_has_the_size_in_its_place_and_no_other_index_has_one() {
        let split = split(&[4, 2, 4]).expect("sizes");
        let sizes: Vec<_> = (0..4).map(|index| split.size_of(PartitionIndex(index))).collect();
        let expected: Vec<_> = counts(&[2, 4, 4]).into_iter().map(Some).chain([None]).collect();
        assert_eq!(sizes, expected);
    }
}
