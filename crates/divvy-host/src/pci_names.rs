//! Names of vendors and models in the PCI database, which is built in (`build.rs`). It knows no GPU from
//! any other device.

include!(concat!(env!("OUT_DIR"), "/pci_names.rs"));

/// Names by number; no pointers, so that nothing of it is written at a start.
struct Names<const COUNT: usize> {
    /// Ascending.
    ids: [u32; COUNT],
    /// Where in `names` each one's name ends; it begins where the one before ends.
    ends: [u32; COUNT],
    names: &'static str,
}

impl<const COUNT: usize> Names<COUNT> {
    fn of(&self, id: u32) -> Option<&'static str> {
        let place = self.ids.binary_search(&id).ok()?;
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.names.get(start as usize..self.ends[place] as usize)
    }
}

pub fn vendor(vendor: u16) -> Option<&'static str> {
    VENDORS.of(u32::from(vendor))
}

pub fn device(vendor: u16, device: u16) -> Option<&'static str> {
    DEVICES.of(u32::from(vendor) << 16 | u32::from(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_database_is_found_by_its_number() {
        for known in pci_ids::Vendors::iter() {
            assert_eq!(vendor(known.id()), Some(known.name()));
            for model in known.devices() {
                assert_eq!(device(known.id(), model.id()), Some(model.name()), "{:04x}", known.id());
            }
        }
    }

    #[test]
    fn what_is_not_in_the_database_has_no_name() {
        assert_eq!(vendor(0xfff0), None);
        assert_eq!(device(0x10de, 0), None);
    }
}
