//! Which type and which part of the GPU belong to which size of partition, as NVIDIA's program tells: of a
//! type the profile of its part, of a profile how many of it fill the GPU. One table for making and for
//! looking, so that what was made is what is seen. What is there now is not known here.

use divvy_core::catalogue::Extent;
use divvy_core::gpu::{PartitionCount, ValidPartitionCounts};
use divvy_core::pci_address::PciAddress;

use super::{Profile, best, profiles};
use crate::attribute::parse_decimal;
use crate::scheme::nvidia::types::{Type, best_first, parse_supported};
use crate::scheme::nvidia::{parts_question, types_question};

/// All types that take a part, and all parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kinds {
    /// With the number of the part's profile.
    types: Vec<(u32, Type)>,
    profiles: Vec<Profile>,
}

impl Kinds {
    /// Those of one GPU, from the program's answers.
    pub fn ask<E>(gpu: PciAddress, answer: impl Fn(&[&str]) -> Result<String, E>) -> Result<Self, E> {
        let gpu = gpu.to_string();
        Ok(Self::read(&answer(&types_question(&gpu))?, &answer(&parts_question(&gpu))?))
    }

    /// From what `vgpu -s -v` and `mig -lgip` print.
    pub fn read(supported_types: &str, listed_profiles: &str) -> Self {
        let takes_part = |(profile, one): (Option<u32>, Type)| Some((profile?, one));
        let types = parse_supported(supported_types).into_iter().filter_map(takes_part);
        Self { types: types.collect(), profiles: profiles(listed_profiles) }
    }

    pub fn is_empty(&self) -> bool {
        self.types.is_empty() || self.profiles.is_empty()
    }

    /// What a type's number stands for.
    pub fn of_type(&self, id: u32) -> Option<&Type> {
        self.types.iter().map(|(_, one)| one).find(|one| one.id == id)
    }

    /// Of all parts.
    pub fn names(&self) -> String {
        self.profiles.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The part of which exactly so many fill the GPU. An older driver lacks some: four equal partitions
    /// are four sevenths there.
    pub fn profile(&self, size: PartitionCount) -> Option<&Profile> {
        best(&self.profiles, size.get()).filter(|profile| profile.most == size.get())
    }

    /// The size of a partition with this type, of those that there can be.
    pub fn size(&self, id: u32, sizes: &[PartitionCount]) -> Option<PartitionCount> {
        let (profile, _) = self.types.iter().find(|(_, one)| one.id == id)?;
        sizes.iter().copied().find(|size| self.profile(*size).is_some_and(|own| own.id == *profile))
    }

    /// Equal partitions of a count that no part has are not told from those of the next smaller size.
    pub fn is_unclear(&self, made: &[u32], valid: &ValidPartitionCounts) -> bool {
        let count = u16::try_from(made.len()).ok().and_then(PartitionCount::new);
        let is_valid_without_a_part =
            count.is_some_and(|count| valid.contains(count) && self.profile(count).is_none());
        is_valid_without_a_part && made.iter().all(|id| made.first() == Some(id))
    }

    /// The types of this size, the best first: as much memory as there is, for the widest use.
    pub fn types(&self, size: PartitionCount) -> Vec<&Type> {
        let Some(profile) = self.profile(size) else { return Vec::new() };
        let own = self.types.iter().filter(|(of, _)| *of == profile.id);
        best_first(own.map(|(_, one)| one))
    }
}

/// Where the parts of a profile may be, as `mig -lgipp` prints it:
/// `GPU  0 Profile ID 14 Placements: {0,2,4}:2`.
pub fn extent(text: &str, profile: u32) -> Option<Extent> {
    let of_line = |line: &str| {
        let (_, rest) = line.split_once("Profile ID")?;
        let (head, places) = rest.split_once('{')?;
        if parse_decimal(head.split_whitespace().next()?) != Some(profile) {
            return None;
        }
        let (starts, length) = places.split_once('}')?;
        let starts =
            starts.split(',').map(|start| parse_decimal(start.trim())).collect::<Option<Vec<u32>>>()?;
        Some(Extent { starts, length: parse_decimal(length.trim().strip_prefix(':')?.trim())? })
    };
    text.lines().find_map(of_line)
}

#[cfg(test)]
mod tests {
    use divvy_core::gpu::CountSource;

    use super::*;

    const SUPPORTED: &str = "\
GPU 00000000:41:00.0
    vGPU Type ID                      : 0x586
        Name                          : NVIDIA H200X-1-18C
        GPU Instance Profile ID       : 19
        Max Instances                 : 7
        FB Memory                     : 18432 MiB
    vGPU Type ID                      : 0x588
        Name                          : NVIDIA H200X-2-35C
        GPU Instance Profile ID       : 14
    vGPU Type ID                      : 0x58a
        Name                          : NVIDIA H200X-4-71C
        GPU Instance Profile ID       : 5
    vGPU Type ID                      : 0x594
        Name                          : NVIDIA H200X-141C
        GPU Instance Profile ID       : N/A
";
    const PROFILES: &str = "\
|   0  MIG 1g.18gb  19  7/7  16.00  No  16  1  0  |
|   0  MIG 2g.35gb  14  0/3  32.50  No  32  1  0  |
|   0  MIG 4g.71gb   5  0/1  65.25  No  64  1  0  |
|   0  MIG 7g.141gb  0  0/1 131.00  No 112  1  0  |
";

    fn count(number: u16) -> PartitionCount {
        PartitionCount::new(number).expect("a count")
    }

    #[test]
    fn a_size_has_the_part_of_which_so_many_fill_the_gpu_and_the_type_for_it() {
        let kinds = Kinds::read(SUPPORTED, PROFILES);
        let types = |size| kinds.types(count(size)).iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!((types(7), types(3), types(1)), (vec![1414], vec![1416], vec![]));
        assert_eq!(kinds.profile(count(3)).map(|profile| profile.id), Some(14));
    }

    #[test]
    fn a_type_has_the_size_of_its_part_and_some_have_none() {
        let kinds = Kinds::read(SUPPORTED, PROFILES);
        let sizes = [1, 2, 3, 4, 7].map(count);
        let size = |id| kinds.size(id, &sizes).map(PartitionCount::get);
        // Four units are more than a third and less than the whole: no count has that.
        assert_eq!((size(1414), size(1416), size(1418), size(1428)), (Some(7), Some(3), None, None));
    }

    #[test]
    fn four_sevenths_may_be_four_equal_ones_where_no_part_is_a_quarter() {
        let kinds = Kinds::read(SUPPORTED, PROFILES);
        let valid = ValidPartitionCounts::new([1, 2, 3, 4, 7].map(count).into(), CountSource::Catalogue);
        for (made, is_unclear) in [
            (&[1414; 4][..], true),
            (&[1414; 7], false),
            (&[1416; 3], false),
            (&[1414, 1414, 1416, 1414], false),
            (&[], false),
        ] {
            assert_eq!(kinds.is_unclear(made, &valid), is_unclear, "{made:?}");
        }
    }

    #[test]
    fn places_are_read_whether_there_are_several_or_one() {
        let text = "GPU  0 Profile ID 14 Placements: {0,2,4}:2\nGPU  0 Profile ID  0 Placement : {0}:8\n";
        assert_eq!(extent(text, 14), Some(Extent { starts: vec![0, 2, 4], length: 2 }));
        assert_eq!(extent(text, 0), Some(Extent { starts: vec![0], length: 8 }));
        assert_eq!(extent(text, 9), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(types: String, rows: String, places in "Profile ID [0-9 ]{0,4}[{}:,0-9]{0,20}") {
            let kinds = Kinds::read(&types, &rows);
            let _ = (kinds.is_empty(), kinds.types(count(2)), extent(&places, 1));
        }
    }
}
