//! Intel's models. The memory is what Intel's own presets share among partitions with ECC off; it is less
//! than is built in, as the GPU keeps some to itself. The driver rounds a share down to 2 MiB.
//!
//! Source of all lists: the presets of xpu-smi (intel/xpumanager 1.3.7, `vgpu.conf`), and for the
//! battlemage models its table of limits; device numbers: `pciids.h` of the kernel. GPUs with two tiles
//! take even counts only, and 1.

use super::{CatalogueEntry, Series, Source};

const PRESETS: Source = Source::Program("presets of xpu-smi 1.3.7");
/// Any number of partitions has a preset, up to a limit.
const LIMITS: Source = Source::Program("limits of xpu-smi 1.3.7");

const UP_TO_24: &[u16] =
    &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24];

const fn gpu(
    device_ids: &'static [u16],
    name: &'static str,
    series: Series,
    memory_bytes: u64,
    counts: &'static [u16],
    source: Source,
) -> CatalogueEntry {
    CatalogueEntry {
        vendor_id: 0x8086,
        device_ids,
        subsystem_device_id: None,
        vendor: "Intel",
        name,
        series,
        memory_bytes,
        grain_bytes: 2 << 20,
        counts,
        mig_counts: &[],
        source,
    }
}

/// One GPU of the two that sit on a board.
const FLEX_140: CatalogueEntry =
    gpu(&[0x56c1], "Data Center GPU Flex 140", Series::Flex, 6_039_797_760, &[1, 3, 6, 12], PRESETS);
const FLEX_170: CatalogueEntry =
    gpu(&[0x56c0], "Data Center GPU Flex 170", Series::Flex, 16_777_216_000, &[1, 2, 4, 5, 8, 16], PRESETS);
const MAX_1100: CatalogueEntry = gpu(
    &[0x0bd9, 0x0bda, 0x0bdb],
    "Data Center GPU Max 1100",
    Series::Max,
    47_244_640_256,
    &[1, 2, 3, 4, 8, 16, 32, 63],
    PRESETS,
);
const MAX_1550: CatalogueEntry = gpu(
    &[0x0bd4, 0x0bd5, 0x0bd6],
    "Data Center GPU Max 1550",
    Series::Max,
    128_849_018_880,
    &[1, 2, 4, 6, 8, 16, 32, 62],
    PRESETS,
);
const ARC_PRO_B50: CatalogueEntry =
    gpu(&[0xe212], "Arc Pro B50", Series::ArcPro, 16_911_433_728, UP_TO_24, LIMITS);
const ARC_PRO_B60: CatalogueEntry =
    gpu(&[0xe211, 0xe216], "Arc Pro B60", Series::ArcPro, 25_367_150_592, UP_TO_24, LIMITS);

pub const ENTRIES: &[CatalogueEntry] = &[FLEX_140, FLEX_170, MAX_1100, MAX_1550, ARC_PRO_B50, ARC_PRO_B60];
