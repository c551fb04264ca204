//! Names of vendors and models, from the PCI database that comes with the server's distribution
//! (`pci.ids`, as `lspci` uses it). It is read when a name is asked for the first time, and only for
//! hardware that the catalogue does not know; where the server has none, numbers do. Nothing is decided by a
//! name.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::paths;
use crate::sysfs::Sysfs;

/// What the database calls a device; None for what it does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub vendor: Option<String>,
    pub device: Option<String>,
}

/// Names that were looked up, by vendor and device number: the database is as long as a book.
#[derive(Debug, Default)]
pub struct PciNames(Mutex<BTreeMap<(u16, u16), Names>>);

impl PciNames {
    pub fn of(&self, sys: &dyn Sysfs, vendor: u16, device: u16) -> Names {
        // Whole after every statement, so a poisoned lock is still good.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((vendor, device)).or_insert_with(|| look_up(sys, vendor, device)).clone()
    }
}

fn look_up(sys: &dyn Sysfs, vendor: u16, device: u16) -> Names {
    let database = paths::PCI_NAMES.iter().find_map(|path| sys.read(path).ok()).unwrap_or_default();
    find(&String::from_utf8_lossy(&database), vendor, device)
}

/// `10de  NVIDIA Corporation`; below it, after one tab, its devices, after two their subsystems. Classes,
/// after a `C`, come last.
fn find(database: &str, vendor: u16, device: u16) -> Names {
    let mut lines = database.lines().filter(|line| !line.starts_with('#'));
    let Some(name) = lines.find_map(|line| entry(line, vendor)) else { return Names::default() };
    let model = lines
        .take_while(|line| line.is_empty() || line.starts_with('\t'))
        .find_map(|line| entry(line.strip_prefix('\t')?, device));
    Names { vendor: Some(name.to_owned()), device: model.map(ToOwned::to_owned) }
}

/// The name in the line of this number.
fn entry(line: &str, number: u16) -> Option<&str> {
    let (id, name) = line.split_once("  ")?;
    (id.len() == 4 && u16::from_str_radix(id, 16) == Ok(number)).then(|| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Tree;

    const DATABASE: &str = "\
#	List of PCI ID's

1002  Advanced Micro Devices, Inc. [AMD/ATI]
	10de  A device numbered like a vendor
		1002 10de  A subsystem
10de  NVIDIA Corporation
	2b85  GB202 [GeForce RTX 5090]
# a note between two devices
		1043 2b85  A subsystem numbered like the device
	2b87  GB202
C 03  Display controller
	00  VGA compatible controller
";

    fn named(vendor: u16, device: u16) -> (Option<String>, Option<String>) {
        let Names { vendor, device } = find(DATABASE, vendor, device);
        (vendor, device)
    }

    #[test]
    fn a_device_has_the_name_that_stands_below_its_vendor() {
        let nvidia = Some("NVIDIA Corporation".to_owned());
        assert_eq!(named(0x10de, 0x2b85), (nvidia.clone(), Some("GB202 [GeForce RTX 5090]".into())));
        assert_eq!(named(0x10de, 0x2b87), (nvidia, Some("GB202".into())));
    }

    #[test]
    fn neither_a_subsystem_nor_a_class_nor_another_vendors_device_lends_its_name() {
        assert_eq!(named(0x10de, 0x1043), (Some("NVIDIA Corporation".into()), None));
        assert_eq!(named(0x1043, 0x2b85), (None, None));
        assert_eq!(named(0x1002, 0x2b85).1, None);
        assert_eq!(named(0x0003, 0x0000), (None, None));
    }

    #[test]
    fn the_servers_database_is_read_wherever_its_distribution_has_it() {
        for path in paths::PCI_NAMES {
            let tree = Tree::with_partitions(0);
            tree.file(path, DATABASE);
            let names = PciNames::default().of(&tree.sys(), 0x10de, 0x2b87);
            assert_eq!(names.device.as_deref(), Some("GB202"), "{path}");
        }
    }

    #[test]
    fn a_server_without_a_database_has_no_names() {
        let tree = Tree::with_partitions(0);
        assert_eq!(PciNames::default().of(&tree.sys(), 0x10de, 0x2b87), Names::default());
    }

    proptest::proptest! {
        #[test]
        fn no_database_makes_the_reader_panic(
            database in "([#C\t]{0,2}[0-9a-f]{0,5} {0,3}[^\n]{0,9}\n){0,9}", vendor: u16, device: u16,
        ) {
            let _ = find(&database, vendor, device);
        }
    }
}
