//! Make and model of a GPU, for people and for equality: numbers from the tree, names from the catalogue
//! of models or else from the server's PCI database. What a model can do is in the catalogue.

use divvy_core::catalogue::CatalogueEntry;
use divvy_core::gpu::GpuModel;

use crate::pci::{Numbers, Window};
use crate::pci_names::Names;

/// Vendors whose name in the PCI database is longer than anybody calls them.
const SHORT_VENDORS: &[(u16, &str)] = &[(0x10de, "NVIDIA"), (0x1002, "AMD"), (0x8086, "Intel")];

/// `names` is asked only for what the catalogue does not know.
pub fn model(
    numbers: Numbers,
    entry: Option<&CatalogueEntry>,
    names: impl FnOnce(u16, u16) -> Names,
) -> GpuModel {
    let Numbers { vendor, device, subsystem_vendor, subsystem_device } = numbers;
    let (make, name) = match entry {
        Some(entry) => (entry.vendor.to_owned(), entry.name.to_owned()),
        None => named(vendor, device, names(vendor, device)),
    };
    GpuModel {
        vendor_id: vendor,
        device_id: device,
        subsystem_vendor_id: subsystem_vendor,
        subsystem_device_id: subsystem_device,
        vendor: make,
        name,
    }
}

/// What has no name is named by its numbers.
fn named(vendor: u16, device: u16, names: Names) -> (String, String) {
    let short = SHORT_VENDORS.iter().find(|(id, _)| *id == vendor).map(|(_, name)| (*name).to_owned());
    let make = short.or(names.vendor).unwrap_or_else(|| format!("{vendor:04x}"));
    (make, names.device.unwrap_or_else(|| format!("{vendor:04x}:{device:04x}")))
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

    fn named(vendor: u16, device: u16, subsystem_device: u16, names: Names) -> (String, String) {
        let numbers = Numbers { vendor, device, subsystem_vendor: vendor, subsystem_device };
        let entry = catalogue::find(vendor, device, subsystem_device);
        let model = model(numbers, entry, |_, _| names);
        (model.vendor, model.name)
    }

    fn database(vendor: &str, device: &str) -> Names {
        Names { vendor: Some(vendor.to_owned()), device: Some(device.to_owned()) }
    }

    #[test]
    fn the_catalogue_names_what_it_knows() {
        let names = database("NVIDIA Corporation", "GA107GL [A2 / A16]");
        assert_eq!(named(0x10de, 0x25b6, 0x14a9, names), ("NVIDIA".into(), "A16".into()));
    }

    #[test]
    fn the_pci_database_names_the_rest() {
        let names = database("Matrox Electronics Systems Ltd.", "G200eR2");
        assert_eq!(
            named(0x102b, 0x0534, 0, names),
            ("Matrox Electronics Systems Ltd.".into(), "G200eR2".into())
        );
    }

    #[test]
    fn vendors_are_called_as_everybody_calls_them() {
        let names = database("NVIDIA Corporation", "GA107GL [A2 / A16]");
        assert_eq!(named(0x10de, 0x25b6, 0, names), ("NVIDIA".into(), "GA107GL [A2 / A16]".into()));
    }

    #[test]
    fn what_nobody_knows_is_named_by_its_numbers() {
        assert_eq!(named(0xfff0, 0x0001, 0, Names::default()), ("fff0".into(), "fff0:0001".into()));
    }
}
