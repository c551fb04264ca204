//! The models that Divvy knows, as data: what the driver cannot tell of itself. What the driver says
//! wins over this. Sources: vendor guides for the valid counts (NVIDIA vGPU software user guide,
//! appendix A; Intel xpu-smi presets; AMD GIM release notes), PCI databases for the numbers.

use crate::gpu::GpuModel;

const GIB: u64 = 1 << 30;

/// One model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueEntry {
    pub vendor_id: u16,
    pub device_id: u16,
    /// Some models differ in the subsystem alone.
    pub subsystem_device_id: Option<u16>,
    pub vendor: &'static str,
    pub name: &'static str,
    pub memory_bytes: u64,
    /// Counts that split it into equal partitions, ascending.
    pub counts: &'static [u16],
}

const fn nvidia(
    device_id: u16,
    subsystem: u16,
    name: &'static str,
    gib: u64,
    counts: &'static [u16],
) -> CatalogueEntry {
    CatalogueEntry {
        vendor_id: 0x10de,
        device_id,
        subsystem_device_id: Some(subsystem),
        vendor: "NVIDIA",
        name,
        memory_bytes: gib * GIB,
        counts,
    }
}

const fn other(
    vendor_id: u16,
    vendor: &'static str,
    device_id: u16,
    name: &'static str,
    memory_bytes: u64,
    counts: &'static [u16],
) -> CatalogueEntry {
    CatalogueEntry { vendor_id, device_id, subsystem_device_id: None, vendor, name, memory_bytes, counts }
}

/// Every model, by vendor and then by size.
pub const ENTRIES: &[CatalogueEntry] = &[
    nvidia(0x25b6, 0x157e, "A2", 16, &[1, 2, 4, 8, 16]),
    nvidia(0x25b6, 0x14a9, "A16", 16, &[1, 2, 4, 8, 16]),
    nvidia(0x2236, 0x1482, "A10", 24, &[1, 2, 3, 4, 6, 8, 12, 24]),
    nvidia(0x2235, 0x145a, "A40", 48, &[1, 2, 3, 4, 6, 8, 12, 16, 24, 32]),
    other(0x8086, "Intel", 0x56c1, "Data Center GPU Flex 140", 6_039_797_760, &[1, 3, 6, 12]),
    other(0x8086, "Intel", 0x56c0, "Data Center GPU Flex 170", 16_777_216_000, &[1, 2, 4, 5, 8, 16]),
    other(0x1002, "AMD", 0x7460, "Radeon PRO V710", 28 * GIB, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    other(0x1002, "AMD", 0x74a1, "Instinct MI300X", 192 * GIB, &[1, 8]),
];

/// The entry for these numbers.
pub fn find(vendor_id: u16, device_id: u16, subsystem_device_id: u16) -> Option<&'static CatalogueEntry> {
    ENTRIES.iter().find(|entry| {
        entry.vendor_id == vendor_id
            && entry.device_id == device_id
            && entry.subsystem_device_id.is_none_or(|wanted| wanted == subsystem_device_id)
    })
}

/// The entry for a model.
pub fn of_model(model: &GpuModel) -> Option<&'static CatalogueEntry> {
    find(model.vendor_id, model.device_id, model.subsystem_device_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subsystem_tells_an_a16_from_an_a2() {
        assert_eq!(find(0x10de, 0x25b6, 0x14a9).map(|e| e.name), Some("A16"));
        assert_eq!(find(0x10de, 0x25b6, 0x157e).map(|e| e.name), Some("A2"));
        assert_eq!(find(0x10de, 0x25b6, 0x0000), None);
    }

    #[test]
    fn every_entry_lists_its_counts_once_and_ascending() {
        for entry in ENTRIES {
            assert!(entry.counts.is_sorted_by(|a, b| a < b), "{}", entry.name);
            assert!(!entry.counts.contains(&0), "{}", entry.name);
        }
    }
}
