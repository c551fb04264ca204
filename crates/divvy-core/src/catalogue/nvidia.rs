//! NVIDIA's models. The counts are the numbers of partitions of one size that the vendor's software for
//! virtual GPUs puts on one physical GPU: what its guide calls the maximum of a type. Partitions have
//! whole GiB; a GPU takes at most 32 of them without MIG. Models for graphics have sizes from 1 GiB on
//! (types Q and A), models for compute from 4 GiB on (type C).
//!
//! Source of all lists: NVIDIA virtual GPU software user guide, branch 17, appendix A, and for models that are
//! younger the examples of NVIDIA's `vgpu-device-manager`. Device numbers: NVIDIA's open kernel modules and PCI database.

use super::{CatalogueEntry, GIB, MigCount, Series, Source};

const GUIDE: Source = Source::Document(
    "NVIDIA virtual GPU software user guide 17, appendix A, and examples of `vgpu-device-manager`",
);
const SIZES_OF_16: Source = Source::Rule(
    "no list of the model at hand; a GPU with 16 GiB has partitions of 16, 8, 4, 2 and 1 GiB \
     (user guide 17, appendix A.3)",
);
const SIZES_OF_32: Source = Source::Rule(
    "no list of the model at hand; a GPU with 32 GiB has partitions of 32, 16, 8, 4, 2 and 1 GiB \
     (user guide 17, appendix A.3)",
);

/// Counts of models for graphics, by their memory in GiB.
const GRAPHICS_16: &[u16] = &[1, 2, 4, 8, 16];
const GRAPHICS_24: &[u16] = &[1, 2, 3, 4, 6, 8, 12, 24];
const GRAPHICS_32: &[u16] = &[1, 2, 4, 8, 16, 32];
/// The last one has 1 GiB, and leaves 16 GiB unused.
const GRAPHICS_48: &[u16] = &[1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const GRAPHICS_96: &[u16] = &[1, 2, 3, 4, 6, 8, 12, 16, 24, 32];

/// Counts of models for compute.
const COMPUTE_24: &[u16] = &[1, 2, 3, 4, 6];
const COMPUTE_40: &[u16] = &[1, 2, 4, 5, 8, 10];
const COMPUTE_80_AMPERE: &[u16] = &[1, 2, 4, 5, 8, 10, 20];
const COMPUTE_80_HOPPER: &[u16] = &[1, 2, 4, 5, 8, 10, 16, 20];
const COMPUTE_94: &[u16] = &[1, 2, 4, 6, 8, 15, 23];
const COMPUTE_96: &[u16] = &[1, 2, 3, 4, 6, 8, 12, 16, 24];
const COMPUTE_141: &[u16] = &[1, 2, 4, 5, 8, 10, 16, 20, 32];

const fn mig(compute: u8, count: u16, memory_gib: u16) -> MigCount {
    MigCount { compute, count, memory_gib }
}

const MIG_24: &[MigCount] = &[mig(1, 4, 6), mig(2, 2, 12), mig(4, 1, 24)];
const MIG_40: &[MigCount] = &[mig(1, 7, 5), mig(1, 4, 10), mig(2, 3, 10), mig(3, 2, 20), mig(7, 1, 40)];
const MIG_80: &[MigCount] = &[mig(1, 7, 10), mig(1, 4, 20), mig(2, 3, 20), mig(3, 2, 40), mig(7, 1, 80)];
const MIG_94: &[MigCount] = &[mig(1, 7, 12), mig(1, 4, 24), mig(2, 3, 24), mig(3, 2, 47), mig(7, 1, 94)];
const MIG_141: &[MigCount] = &[mig(1, 7, 18), mig(1, 4, 35), mig(2, 3, 35), mig(3, 2, 71), mig(7, 1, 141)];
/// Here several partitions share one part of MIG.
const MIG_96: &[MigCount] = &[
    mig(1, 4, 24),
    mig(1, 8, 12),
    mig(1, 12, 8),
    mig(1, 16, 6),
    mig(1, 24, 4),
    mig(1, 32, 3),
    mig(1, 48, 2),
    mig(2, 2, 48),
    mig(2, 4, 24),
    mig(2, 6, 16),
    mig(2, 8, 12),
    mig(4, 1, 96),
    mig(4, 2, 48),
    mig(4, 3, 32),
    mig(4, 4, 24),
];

const fn gpu(
    device_ids: &'static [u16],
    name: &'static str,
    series: Series,
    gib: u64,
    counts: &'static [u16],
) -> CatalogueEntry {
    CatalogueEntry {
        vendor_id: 0x10de,
        device_ids,
        subsystem_device_id: None,
        vendor: "NVIDIA",
        name,
        series,
        memory_bytes: gib * GIB,
        grain_bytes: GIB,
        counts,
        mig_counts: &[],
        source: GUIDE,
    }
}

const fn with_mig(gpu: CatalogueEntry, mig_counts: &'static [MigCount]) -> CatalogueEntry {
    CatalogueEntry { mig_counts, ..gpu }
}

const fn of_subsystem(gpu: CatalogueEntry, subsystem: u16) -> CatalogueEntry {
    CatalogueEntry { subsystem_device_id: Some(subsystem), ..gpu }
}

const fn by(gpu: CatalogueEntry, source: Source) -> CatalogueEntry {
    CatalogueEntry { source, ..gpu }
}

/// A GPU of 94 GiB reports a little less: the guide gives 96246 MiB to its largest partition.
const fn of_94(device_id: &'static [u16], name: &'static str) -> CatalogueEntry {
    let gpu = gpu(device_id, name, Series::Hopper, 94, COMPUTE_94);
    CatalogueEntry { memory_bytes: 96246 << 20, mig_counts: MIG_94, ..gpu }
}

pub const ENTRIES: &[CatalogueEntry] = &[
    // A2 and A16 have one device number; the subsystem tells them apart.
    of_subsystem(gpu(&[0x25b6], "A2", Series::Ampere, 16, GRAPHICS_16), 0x157e),
    of_subsystem(gpu(&[0x25b6], "A16", Series::Ampere, 16, GRAPHICS_16), 0x14a9),
    gpu(&[0x2236], "A10", Series::Ampere, 24, GRAPHICS_24),
    gpu(&[0x2235], "A40", Series::Ampere, 48, GRAPHICS_48),
    gpu(&[0x2231], "RTX A5000", Series::Ampere, 24, GRAPHICS_24),
    gpu(&[0x2233], "RTX A5500", Series::Ampere, 24, GRAPHICS_24),
    gpu(&[0x2230], "RTX A6000", Series::Ampere, 48, GRAPHICS_48),
    gpu(&[0x27b6], "L2", Series::Ada, 24, GRAPHICS_24),
    gpu(&[0x27b8], "L4", Series::Ada, 24, GRAPHICS_24),
    gpu(&[0x26ba], "L20", Series::Ada, 48, GRAPHICS_48),
    gpu(&[0x26b5], "L40", Series::Ada, 48, GRAPHICS_48),
    gpu(&[0x26b9], "L40S", Series::Ada, 48, GRAPHICS_48),
    gpu(&[0x26b2], "RTX 5000 Ada", Series::Ada, 32, GRAPHICS_32),
    gpu(&[0x26b1], "RTX 6000 Ada", Series::Ada, 48, GRAPHICS_48),
    with_mig(gpu(&[0x2bb5], "RTX PRO 6000", Series::Blackwell, 96, GRAPHICS_96), MIG_96),
    with_mig(gpu(&[0x20b7], "A30", Series::Ampere, 24, COMPUTE_24), MIG_24),
    with_mig(gpu(&[0x20b0], "A100 SXM 40GB", Series::Ampere, 40, COMPUTE_40), MIG_40),
    with_mig(gpu(&[0x20f1], "A100 PCIe 40GB", Series::Ampere, 40, COMPUTE_40), MIG_40),
    with_mig(gpu(&[0x20b2], "A100 SXM 80GB", Series::Ampere, 80, COMPUTE_80_AMPERE), MIG_80),
    with_mig(gpu(&[0x20b5], "A100 PCIe 80GB", Series::Ampere, 80, COMPUTE_80_AMPERE), MIG_80),
    with_mig(gpu(&[0x2331], "H100 PCIe", Series::Hopper, 80, COMPUTE_80_HOPPER), MIG_80),
    with_mig(gpu(&[0x2330], "H100 SXM", Series::Hopper, 80, COMPUTE_80_HOPPER), MIG_80),
    of_94(&[0x2321], "H100 NVL"),
    of_94(&[0x2339], "H100 SXM 94GB"),
    with_mig(gpu(&[0x2335], "H200 SXM", Series::Hopper, 141, COMPUTE_141), MIG_141),
    with_mig(gpu(&[0x233b], "H200 NVL", Series::Hopper, 141, COMPUTE_141), MIG_141),
    gpu(&[0x2329], "H20", Series::Hopper, 96, COMPUTE_96),
    gpu(&[0x1eb8], "T4", Series::Turing, 16, GRAPHICS_16),
    by(gpu(&[0x1db1, 0x1db3, 0x1db4], "V100 16GB", Series::Volta, 16, GRAPHICS_16), SIZES_OF_16),
    by(gpu(&[0x1db5, 0x1db6, 0x1df6], "V100 32GB", Series::Volta, 32, GRAPHICS_32), SIZES_OF_32),
];
