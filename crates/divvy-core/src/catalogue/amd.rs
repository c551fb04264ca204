//! AMD's models. The memory is that of the vendor's data sheets; no source tells how a share is rounded, so
//! it is not: the driver has the last word about the size of a partition.
//!
//! Source of the lists, but one: release notes 8.5 to 9.4 of AMD's driver for virtualization (GIM), which
//! name the modes that it supports for each model; device numbers: that driver and PCI databases. An
//! Instinct splits by its compute mode, so only few counts exist.

use super::{CatalogueEntry, GIB, Series, Source};

const NOTES: Source = Source::Document("release notes of AMD's GIM driver, 8.5 to 9.4");
const SOLD: Source = Source::Others("sizes that Azure sells, as a third party lists them");

const fn gpu(
    device_ids: &'static [u16],
    name: &'static str,
    series: Series,
    gib: u64,
    counts: &'static [u16],
    source: Source,
) -> CatalogueEntry {
    CatalogueEntry {
        vendor_id: 0x1002,
        device_ids,
        subsystem_device_id: None,
        vendor: "AMD",
        name,
        series,
        memory_bytes: gib * GIB,
        grain_bytes: 1,
        counts,
        mig_counts: &[],
        source,
    }
}

const V710_COUNTS: &[u16] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

pub const ENTRIES: &[CatalogueEntry] = &[
    gpu(&[0x73a1], "Radeon PRO V620", Series::RadeonPro, 32, &[1, 2, 4], SOLD),
    gpu(&[0x7460], "Radeon PRO V710", Series::RadeonPro, 28, V710_COUNTS, NOTES),
    gpu(&[0x740f], "Instinct MI210", Series::Instinct, 64, &[1], NOTES),
    gpu(&[0x74a1, 0x74a9], "Instinct MI300X", Series::Instinct, 192, &[1, 8], NOTES),
    gpu(&[0x74a5], "Instinct MI325X", Series::Instinct, 256, &[1], NOTES),
    gpu(&[0x75a0], "Instinct MI350X", Series::Instinct, 288, &[1, 2, 8], NOTES),
    gpu(&[0x75a3], "Instinct MI355X", Series::Instinct, 288, &[1, 2, 8], NOTES),
];
