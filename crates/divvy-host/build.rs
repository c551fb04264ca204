//! Writes the PCI database's names of vendors and devices as two sorted tables of numbers and one text.
//! The crate's own tables are a pointer to each name: relocated at every start, they are some megabytes
//! of each running daemon, for two names that it looks up.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use pci_ids::Vendors;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let mut vendors = Table::default();
    let mut devices = Table::default();
    for vendor in Vendors::iter() {
        vendors.add(u32::from(vendor.id()), vendor.name());
        for device in vendor.devices() {
            devices.add(u32::from(vendor.id()) << 16 | u32::from(device.id()), device.name());
        }
    }
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let code = vendors.code("VENDORS") + &devices.code("DEVICES");
    fs::write(folder.join("pci_names.rs"), code).expect("cargo's folder for it can be written");
}

#[derive(Default)]
struct Table(Vec<(u32, String)>);

impl Table {
    fn add(&mut self, id: u32, name: &str) {
        self.0.push((id, name.to_owned()));
    }

    /// The ids, ascending; where each one's name ends; and the names, one after the other.
    fn code(mut self, table: &str) -> String {
        self.0.sort();
        self.0.dedup_by_key(|(id, _)| *id);
        let (mut ids, mut ends, mut names) = (String::new(), String::new(), String::new());
        for (id, name) in &self.0 {
            names.push_str(name);
            write!(ids, "{id},").expect("a text takes it");
            write!(ends, "{},", names.len()).expect("a text takes it");
        }
        let count = self.0.len();
        format!(
            "static {table}: Names<{count}> = Names {{ ids: [{ids}], ends: [{ends}], names: {names:?} }};\n"
        )
    }
}
