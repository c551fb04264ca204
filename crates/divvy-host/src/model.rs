//! Make and model of a GPU, for people and for equality: numbers from the tree, names from the catalogue
//! of models or else from the PCI database that is built in. What a model can do is in the catalogue.

use divvy_core::catalogue::CatalogueEntry;
use divvy_core::gpu::GpuModel;

use crate::pci::{Numbers, Window};
use crate::pci_names;

/// Vendors whose name in the PCI database is longer than anybody calls them.
const SHORT_VENDORS: &[(u16, &str)] = &[(0x10de, "NVIDIA"), (0x1002, "AMD"), (0x8086, "Intel")];

pub fn model(numbers: Numbers, entry: Option<&CatalogueEntry>) -> GpuModel {
    let Numbers { vendor, device, subsystem_vendor, subsystem_device } = numbers;
    GpuModel {
        vendor_id: vendor,
        device_id: device,
        subsystem_vendor_id: subsystem_vendor,
        subsystem_device_id: subsystem_device,
        vendor: entry.map_or_else(|| vendor_name(vendor), |entry| entry.vendor.to_owned()),
        name: entry.map_or_else(|| name(vendor, device), |entry| entry.name.to_owned()),
    }
}

fn vendor_name(vendor: u16) -> String {
    if let Some((_, name)) = SHORT_VENDORS.iter().find(|(id, _)| *id == vendor) {
        return (*name).to_owned();
    }
    pci_names::vendor(vendor).map_or_else(|| format!("{vendor:04x}"), ToOwned::to_owned)
}

fn name(vendor: u16, device: u16) -> String {
    pci_names::device(vendor, device).map_or_else(|| format!("{vendor:04x}:{device:04x}"), ToOwned::to_owned)
}

/// The GPU's memory: of the catalogue, else as large as the largest prefetchable window, which shows all
/// of it on GPUs with a resizable one and a part of it on others.
pub fn memory_bytes(entry: Option<&CatalogueEntry>, windows: &[Window]) -> Option<u64> {
    let shown = || {
        let own = windows.iter().filter(|window| window.is_own() && window.is_prefetchable);
        own.map(|window| window.bytes).max()
    };
    entry.map(|entry| entry.memory_bytes).or_else(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use divvy_core::catalogue;

    fn named(vendor: u16, device: u16, subsystem_device: u16) -> (String, String) {
        let numbers = Numbers { vendor, device, subsystem_vendor: vendor, subsystem_device };
        let model = model(numbers, catalogue::find(vendor, device, subsystem_device));
        (model.vendor, model.name)
    }

    #[test]
    fn the_catalogue_names_what_it_knows() {
        assert_eq!(named(0x10de, 0x25b6, 0x14a9), ("NVIDIA".into(), "A16".into()));
    }

    #[test]
    fn the_pci_database_names_the_rest() {
        assert_eq!(named(0x10de, 0x25b6, 0).1, "GA107GL [A2 / A16]");
    }

    #[test]
    fn what_nobody_knows_is_named_by_its_numbers() {
        assert_eq!(named(0xfff0, 0x0001, 0), ("fff0".into(), "fff0:0001".into()));
    }
}
