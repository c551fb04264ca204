//! The GPU models of the rooms, as their hardware and their drivers' tables have them: numbers, windows
//! for partitions, memory, types. What Divvy's catalogue says of them is not known here, so that the two
//! can contradict each other as a driver and a catalogue do.
//!
//! Where the sources give ranges or nothing at all, the values are chosen to be consistent with what they
//! give, and a comment says `chosen`.

mod amd;
mod intel;
mod mixed;
mod nvidia;

pub(crate) use mixed::places as mixed_places;
pub(crate) use nvidia::{MigProfile, Nvidia, VgpuType};

pub use amd::{MI300X, V710};
pub use intel::{ARC_PRO_B50, FLEX_170};
pub use nvidia::{A2, A10, A16, A40, A100, H200, L40S, RTX_PRO_6000, T4};

use crate::spec::Numbers;

pub(crate) const GIB: u64 = 1 << 30;

/// One model.
#[derive(Debug)]
pub struct Model {
    pub name: &'static str,
    pub numbers: Numbers,
    pub class: u32,
    pub memory_bytes: u64,
    /// The most partitions that it is sold with: so many VMs a room has at least.
    pub most_partitions: u16,
    /// None: it has no SR-IOV capability.
    pub vfs: Option<Vfs>,
    pub(crate) table: Table,
}

impl Model {
    /// Its memory corrects errors without giving some of itself away for that, as what MIG GPUs have does.
    pub(crate) fn has_ecc_memory(&self) -> bool {
        matches!(&self.table, Table::Nvidia(nvidia) if !nvidia.mig.is_empty())
    }

    /// It can encode video, and its partitions share what does that. Models that are cut into pieces decode only.
    pub(crate) fn has_encoders(&self) -> bool {
        matches!(&self.table, Table::Nvidia(nvidia) if nvidia.mig.is_empty())
    }
}

/// Where a model's VFs are.
#[derive(Debug, Clone, Copy)]
pub struct Vfs {
    pub total: u16,
    pub offset: u16,
    pub stride: u16,
    pub device_id: u16,
}

/// What the vendor's driver knows of a model.
#[derive(Debug)]
pub(crate) enum Table {
    Nvidia(Nvidia),
    /// Memory that partitions can share.
    Intel {
        vram_free_bytes: u64,
    },
    /// The counts that its firmware allows.
    Amd {
        counts: &'static [u16],
        modes: &'static [&'static str],
    },
}

static ALL: [&Model; 13] =
    [&A2, &A10, &A16, &A40, &A100, &H200, &L40S, &RTX_PRO_6000, &T4, &ARC_PRO_B50, &FLEX_170, &MI300X, &V710];

/// The model with these numbers, as a driver finds it: the subsystem tells an A16 from an A2.
pub(crate) fn find(numbers: Numbers) -> Option<&'static Model> {
    ALL.into_iter().find(|model| model.numbers == numbers)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_models_have_the_same_numbers() {
        let numbers: BTreeSet<Numbers> = ALL.iter().map(|model| model.numbers).collect();
        assert_eq!(numbers.len(), ALL.len());
    }

    #[test]
    fn a_model_has_as_many_vfs_as_its_largest_count_needs() {
        for model in ALL {
            let Some(vfs) = model.vfs else { continue };
            assert!(vfs.total >= model.most_partitions, "{}", model.name);
        }
    }
}
