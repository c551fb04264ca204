//! NVIDIA's models: the types that their driver publishes, with ids, sizes and the most of each, and the
//! MIG profiles. Sizes and counts are those of the vendor's guide. Ids are per product: A2 742-756, A10
//! 588-605, A40 555-576, L40S 1145-1166, H200 1414-1428; in each of these ranges the series B, Q, A
//! (and C where they have to fill it) stand one after the other by size, which makes every id that was
//! ever seen come out right. Other ids are chosen.

use super::{GIB, Model, Table, Vfs};
use crate::spec::Numbers;

/// What the driver knows of one model.
#[derive(Debug)]
pub(crate) struct Nvidia {
    /// Names of its types begin with it.
    pub brand: &'static str,
    pub series: &'static [Series],
    pub mig: &'static [MigProfile],
    /// The generation keeps its MIG mode over a reboot (and needs a reset for a change of it).
    pub keeps_mig_mode: bool,
}

/// Types of one kind, by size.
#[derive(Debug)]
pub(crate) struct Series {
    pub letter: char,
    pub first_id: u32,
    /// Frame buffer in GiB, and how many of it a GPU holds.
    pub sizes: &'static [(u16, u16)],
}

/// What a MIG GPU can be cut into, and the type that goes with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MigProfile {
    pub id: u32,
    pub name: &'static str,
    /// Of seven.
    pub compute: u32,
    /// Of eight.
    pub memory: u32,
    pub most: u32,
    pub memory_gib: &'static str,
    pub type_id: u32,
    pub type_name: &'static str,
    pub frame_buffer_mib: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VgpuType {
    pub id: u32,
    pub name: String,
    pub frame_buffer_mib: u32,
    /// Of this type on one GPU, or on one part of a MIG GPU.
    pub most: u16,
    /// The MIG profile that it needs.
    pub profile: Option<u32>,
}

impl Nvidia {
    /// In the order of their ids.
    pub fn types(&self) -> Vec<VgpuType> {
        let plain = self.series.iter().flat_map(|series| {
            series.sizes.iter().zip(series.first_id..).map(|(&(gib, most), id)| VgpuType {
                id,
                name: format!("{}-{gib}{}", self.brand, series.letter),
                frame_buffer_mib: u32::from(gib) * 1024,
                most,
                profile: None,
            })
        });
        let mig = self.mig.iter().map(|profile| VgpuType {
            id: profile.type_id,
            name: format!("{}-{}", self.brand, profile.type_name),
            frame_buffer_mib: profile.frame_buffer_mib,
            most: 1,
            profile: Some(profile.id),
        });
        let mut types: Vec<VgpuType> = plain.chain(mig).collect();
        types.sort_by_key(|known| known.id);
        types
    }
}

const OF_16: &[(u16, u16)] = &[(1, 16), (2, 8), (4, 4), (8, 2), (16, 1)];
const OF_16_B: &[(u16, u16)] = &[(1, 16), (2, 8)];
const OF_16_C: &[(u16, u16)] = &[(4, 4), (8, 2), (16, 1)];
const OF_24: &[(u16, u16)] = &[(1, 24), (2, 12), (3, 8), (4, 6), (6, 4), (8, 3), (12, 2), (24, 1)];
const OF_24_B: &[(u16, u16)] = &[(1, 24), (2, 12)];
/// The driver caps one GiB at 32.
const OF_48: &[(u16, u16)] =
    &[(1, 32), (2, 24), (3, 16), (4, 12), (6, 8), (8, 6), (12, 4), (16, 3), (24, 2), (48, 1)];
const OF_48_B: &[(u16, u16)] = &[(1, 32), (2, 24)];
const OF_80_C: &[(u16, u16)] = &[(4, 20), (8, 10), (10, 8), (16, 5), (20, 4), (40, 2), (80, 1)];
const OF_96: &[(u16, u16)] =
    &[(3, 32), (4, 24), (6, 16), (8, 12), (12, 8), (16, 6), (24, 4), (32, 3), (48, 2), (96, 1)];
const OF_96_B: &[(u16, u16)] = &[(3, 32)];
const OF_141_C: &[(u16, u16)] =
    &[(4, 32), (7, 20), (8, 16), (14, 10), (17, 8), (28, 5), (35, 4), (70, 2), (141, 1)];

const fn series(letter: char, first_id: u32, sizes: &'static [(u16, u16)]) -> Series {
    Series { letter, first_id, sizes }
}

const fn table(brand: &'static str, series: &'static [Series]) -> Table {
    Table::Nvidia(Nvidia { brand, series, mig: &[], keeps_mig_mode: false })
}

/// First VF at .4, one after the other, with the numbers of the PF.
const fn vfs(total: u16, device_id: u16) -> Option<Vfs> {
    Some(Vfs { total, offset: 4, stride: 1, device_id })
}

const fn model(
    name: &'static str,
    (device, subsystem): (u16, u16),
    gib: u64,
    most_partitions: u16,
    vfs: Option<Vfs>,
    table: Table,
) -> Model {
    let numbers: Numbers = (0x10de, device, 0x10de, subsystem);
    Model { name, numbers, class: 0x03_0200, memory_bytes: gib * GIB, most_partitions, vfs, table }
}

pub static A2: Model = model("A2", (0x25b6, 0x157e), 16, 16, vfs(16, 0x25b6), table("NVIDIA A2", A2_SERIES));
const A2_SERIES: &[Series] =
    &[series('B', 742, OF_16_B), series('Q', 744, OF_16), series('A', 749, OF_16), series('C', 754, OF_16_C)];

/// Ids: chosen, in the order of the A2's.
pub static A16: Model =
    model("A16", (0x25b6, 0x14a9), 16, 16, vfs(16, 0x25b6), table("NVIDIA A16", A16_SERIES));
const A16_SERIES: &[Series] =
    &[series('B', 694, OF_16_B), series('Q', 696, OF_16), series('A', 701, OF_16), series('C', 706, OF_16_C)];

pub static A10: Model =
    model("A10", (0x2236, 0x1482), 24, 24, vfs(32, 0x2236), table("NVIDIA A10", A10_SERIES));
const A10_SERIES: &[Series] = &[series('B', 588, OF_24_B), series('Q', 590, OF_24), series('A', 598, OF_24)];

pub static A40: Model =
    model("A40", (0x2235, 0x145a), 48, 32, vfs(32, 0x2235), table("NVIDIA A40", A40_SERIES));
const A40_SERIES: &[Series] = &[series('B', 555, OF_48_B), series('Q', 557, OF_48), series('A', 567, OF_48)];

/// Subsystem: chosen. The newest software has 3B too, far from the others.
pub static L40S: Model =
    model("L40S", (0x26b9, 0x1851), 48, 32, vfs(32, 0x26b9), table("NVIDIA L40S", L40S_SERIES));
const L40S_SERIES: &[Series] = &[
    series('B', 1145, OF_48_B),
    series('Q', 1147, OF_48),
    series('A', 1157, OF_48),
    series('B', 2164, &[(3, 16)]),
];

/// First VF at .2, 48 of them expected. Ids: chosen, so that 1519 to 1523 are among them.
pub static RTX_PRO_6000: Model = model(
    "RTX PRO 6000 Blackwell Server Edition",
    (0x2bb5, 0x204e),
    96,
    32,
    Some(Vfs { total: 48, offset: 2, stride: 1, device_id: 0x2bb5 }),
    table("NVIDIA RTX Pro 6000 Blackwell DC", RTX_PRO_6000_SERIES),
);
const RTX_PRO_6000_SERIES: &[Series] =
    &[series('B', 1513, OF_96_B), series('Q', 1514, OF_96), series('A', 1524, OF_96)];

/// Mediated devices on the GPU itself, no VFs. Subsystem and ids: chosen.
pub static T4: Model = model("T4", (0x1eb8, 0x12a2), 16, 16, None, table("GRID T4", T4_SERIES));
const T4_SERIES: &[Series] =
    &[series('B', 222, OF_16_B), series('Q', 230, OF_16), series('A', 235, OF_16), series('C', 319, OF_16_C)];

/// Subsystem, VFs and ids: chosen.
pub static A100: Model = model("A100 80GB PCIe", (0x20b5, 0x1533), 80, 20, vfs(20, 0x20b5), {
    let series = &[series('C', 1000, OF_80_C)];
    Table::Nvidia(Nvidia { brand: "NVIDIA A100X", series, mig: A100_MIG, keeps_mig_mode: true })
});
const A100_MIG: &[MigProfile] = &[
    mig((19, "1g.10gb"), (1, 1, 7), "9.50", (1010, "1-10C"), 10),
    mig((15, "1g.20gb"), (1, 2, 4), "19.50", (1011, "1-20C"), 20),
    mig((14, "2g.20gb"), (2, 2, 3), "19.50", (1012, "2-20C"), 20),
    mig((9, "3g.40gb"), (3, 4, 2), "39.25", (1013, "3-40C"), 40),
    mig((5, "4g.40gb"), (4, 4, 1), "39.25", (1014, "4-40C"), 40),
    mig((0, "7g.80gb"), (7, 8, 1), "78.75", (1015, "7-80C"), 80),
];

/// Subsystem: chosen. VFs: at least 32; chosen.
pub static H200: Model = model("H200", (0x2335, 0x18be), 141, 32, vfs(32, 0x2335), {
    let series = &[series('C', 1420, OF_141_C)];
    Table::Nvidia(Nvidia { brand: "NVIDIA H200X", series, mig: H200_MIG, keeps_mig_mode: false })
});
const H200_MIG: &[MigProfile] = &[
    mig((19, "1g.18gb"), (1, 1, 7), "16.00", (1414, "1-18C"), 18),
    mig((15, "1g.35gb"), (1, 2, 4), "32.50", (1415, "1-35C"), 35),
    mig((14, "2g.35gb"), (2, 2, 3), "32.50", (1416, "2-35C"), 35),
    mig((9, "3g.71gb"), (3, 4, 2), "65.25", (1417, "3-71C"), 71),
    mig((5, "4g.71gb"), (4, 4, 1), "65.25", (1418, "4-71C"), 71),
    mig((0, "7g.141gb"), (7, 8, 1), "131.00", (1419, "7-141C"), 141),
];

const fn mig(
    (id, name): (u32, &'static str),
    (compute, memory, most): (u32, u32, u32),
    memory_gib: &'static str,
    (type_id, type_name): (u32, &'static str),
    frame_buffer_gib: u32,
) -> MigProfile {
    let frame_buffer_mib = frame_buffer_gib * 1024;
    MigProfile { id, name, compute, memory, most, memory_gib, type_id, type_name, frame_buffer_mib }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(model: &Model) -> Vec<VgpuType> {
        match &model.table {
            Table::Nvidia(nvidia) => nvidia.types(),
            _ => Vec::new(),
        }
    }

    /// Facts 2.5: the ranges of ids, and single ids that were seen.
    #[test]
    fn ids_are_those_that_were_seen() {
        for (model, first, last, seen, name) in [
            (&A2, 742, 756, 744, "NVIDIA A2-1Q"),
            (&A10, 588, 605, 590, "NVIDIA A10-1Q"),
            (&A40, 555, 576, 557, "NVIDIA A40-1Q"),
            (&L40S, 1145, 2164, 1145, "NVIDIA L40S-1B"),
            (&H200, 1414, 1428, 1428, "NVIDIA H200X-141C"),
            (&H200, 1414, 1428, 1414, "NVIDIA H200X-1-18C"),
        ] {
            let types = types(model);
            let ids: Vec<u32> = types.iter().map(|known| known.id).collect();
            assert_eq!((ids.first(), ids.last()), (Some(&first), Some(&last)), "{}", model.name);
            assert!(ids.is_sorted_by(|a, b| a < b), "{}: {ids:?}", model.name);
            assert_eq!(types.iter().find(|known| known.id == seen).map(|known| &*known.name), Some(name));
        }
    }

    /// Facts 2.3, row 6, and 2.10: all VFs are enabled at once, and there are enough.
    #[test]
    fn no_type_fits_more_often_than_there_are_vfs_or_memory() {
        for model in [&A2, &A10, &A16, &A40, &A100, &H200, &L40S, &RTX_PRO_6000, &T4] {
            for known in types(model) {
                let total = model.vfs.map_or(u16::MAX, |vfs| vfs.total);
                assert!(known.most <= total && known.most <= 32, "{known:?}");
                let used = (u64::from(known.most) * u64::from(known.frame_buffer_mib)) << 20;
                assert!(used <= model.memory_bytes, "{known:?}");
            }
        }
    }
}
