//! Seeded sequences of sysfs verbs, to be run on the simulated kernel and on a real one and compared.
//! Which kernel it is is not known here: an operation works on any [`Sysfs`].

use std::io;

use divvy_core::pci_address::PciAddress;
use divvy_host::sysfs::Sysfs;
use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// One verb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum SysOp {
    Write { path: String, value: String },
    Read { path: String },
    List { path: String },
    Link { path: String },
}

/// What it answered. Lists are one name a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpResult {
    Ok(String),
    Err(i32),
    /// A refusal without an error number, such as a deadline.
    Other(String),
}

/// What the operations are about: one PF, and where its VFs are when they are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    pub pf: PciAddress,
    pub vfs: Vec<PciAddress>,
    pub total_vfs: u16,
    /// Drivers to bind and unbind, the one of the PF first.
    pub drivers: Vec<String>,
}

/// `n` operations, most of them meaningful, the same for the same seed.
pub fn generate(seed: u64, n: usize, targets: &Targets) -> Vec<SysOp> {
    let mut generator = Generator { rng: Rng::new(seed), targets, last_count: "0".to_owned() };
    (0..n).map(|_| generator.next()).collect()
}

/// Does it. An answer never panics and never is lost.
pub fn apply(sysfs: &dyn Sysfs, op: &SysOp) -> OpResult {
    let answer = match op {
        SysOp::Write { path, value } => sysfs.write(path, value).map(|()| String::new()),
        SysOp::Read { path } => sysfs.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        SysOp::List { path } => sysfs.list(path).map(|names| names.join("\n")),
        SysOp::Link { path } => sysfs.link(path),
    };
    answer.map_or_else(refused, OpResult::Ok)
}

fn refused(error: io::Error) -> OpResult {
    match error.raw_os_error() {
        Some(errno) => OpResult::Err(errno),
        None => OpResult::Other(error.kind().to_string()),
    }
}

/// Whether two kernels answered the same, as far as they have to.
pub fn agree(op: &SysOp, one: &OpResult, other: &OpResult) -> bool {
    normalise(op, one) == normalise(op, other)
}

/// An answer without what may differ between two kernels that both are right: numbers of IOMMU groups,
/// boot ids, where memory windows lie, where in the topology a link's target lies, and files that say
/// nothing about SR-IOV.
pub fn normalise(op: &SysOp, result: &OpResult) -> OpResult {
    let OpResult::Ok(text) = result else { return result.clone() };
    OpResult::Ok(match op {
        SysOp::Write { .. } => text.clone(),
        SysOp::Link { path } if path.ends_with("/iommu_group") => "GROUP".to_owned(),
        SysOp::Link { .. } => text.rsplit('/').next().unwrap_or(text).to_owned(),
        SysOp::Read { path } if path.ends_with("/boot_id") => "BOOT".to_owned(),
        SysOp::Read { path } if path.ends_with("/resource") => sizes(text),
        SysOp::Read { .. } => text.clone(),
        SysOp::List { path } if path.ends_with("/iommu_groups") || path == "dev/vfio" => {
            format!("{} names", text.lines().count())
        }
        SysOp::List { .. } => text.lines().filter(|name| is_compared(name)).collect::<Vec<_>>().join("\n"),
    })
}

/// The sizes of a function's windows, one a line. A line is first byte, last byte and flags.
fn sizes(table: &str) -> String {
    let size = |line: &str| {
        let mut words = line.split(' ').map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16));
        match (words.next(), words.next()) {
            (Some(Ok(first)), Some(Ok(last))) if last > first => (last - first + 1).to_string(),
            (Some(Ok(_)), Some(Ok(_))) => "none".to_owned(),
            _ => line.to_owned(),
        }
    };
    table.lines().map(size).collect::<Vec<_>>().join("\n")
}

const COMPARED: [&str; 11] = [
    "class",
    "config",
    "device",
    "driver",
    "driver_override",
    "iommu_group",
    "physfn",
    "reset",
    "reset_method",
    "resource",
    "vendor",
];

fn is_compared(name: &str) -> bool {
    COMPARED.contains(&name)
        || name.starts_with("sriov_")
        || name.starts_with("virtfn")
        || name.parse::<PciAddress>().is_ok()
}

const COUNTS: [&str; 14] =
    ["0", "0\n", "1", "2", "3", "0x2", "+1", "-1", "abc", "", "\n", "1 ", "65535", "99999999999999999999"];
const BOOLEANS: [&str; 10] = ["0", "1", "1\n", "y", "N", "off", "on", "2", "garbage", ""];
const OVERRIDES: [&str; 5] = ["vfio-pci", "vfio-pci\n", "\n", "", "no-such-driver"];
const RESETS: [&str; 5] = ["1", "1\n", "0", "abc", ""];
const METHODS: [&str; 5] = ["flr", "default", "\n", "no-such-method", ""];
const FILES: [&str; 18] = [
    "sriov_numvfs",
    "sriov_totalvfs",
    "sriov_offset",
    "sriov_stride",
    "sriov_vf_device",
    "sriov_drivers_autoprobe",
    "driver_override",
    "reset_method",
    "vendor",
    "device",
    "subsystem_vendor",
    "subsystem_device",
    "class",
    "resource",
    "numa_node",
    "sriov_vf_msix_count",
    "reset",
    "no_such_file",
];
const LINKS: [&str; 6] = ["driver", "iommu_group", "physfn", "subsystem", "vendor", "no_such_link"];

struct Generator<'a> {
    rng: Rng,
    targets: &'a Targets,
    last_count: String,
}

impl Generator<'_> {
    fn next(&mut self) -> SysOp {
        match self.rng.below(100) {
            0..30 => self.count(),
            30..38 => self.write(self.targets.pf, "sriov_drivers_autoprobe", &BOOLEANS),
            38..46 => self.some_function_write("driver_override", &OVERRIDES),
            46..56 => self.bind(),
            56..60 => self.probe(),
            60..64 => self.some_function_write("reset", &RESETS),
            64..66 => self.some_function_write("reset_method", &METHODS),
            66..68 => self.some_function_write("vendor", &["0x1234"]),
            68..80 => SysOp::Read { path: self.some_file(&FILES) },
            80..84 => self.list(),
            84..94 => self.bring_home(),
            _ => self.link(),
        }
    }

    fn count(&mut self) -> SysOp {
        let total = self.targets.total_vfs;
        let value = match self.rng.below(10) {
            0..3 => "0".to_owned(),
            3 => self.last_count.clone(),
            4 => total.to_string(),
            5 => (u32::from(total) + 1).to_string(),
            6 => (1 + self.rng.below(u64::from(total))).to_string(),
            _ => self.one_of(&COUNTS),
        };
        self.last_count.clone_from(&value);
        SysOp::Write { path: file(self.targets.pf, "sriov_numvfs"), value }
    }

    fn one_of(&mut self, values: &[&str]) -> String {
        self.rng.pick(values).copied().unwrap_or_default().to_owned()
    }

    /// A VF most of the time, the first ones most of all: those are there.
    fn some_function(&mut self) -> PciAddress {
        let few = self.targets.vfs.len().min(3);
        let vfs = match self.rng.below(8) {
            0 => return self.targets.pf,
            1 => &self.targets.vfs[..],
            _ => &self.targets.vfs[..few],
        };
        self.rng.pick(vfs).copied().unwrap_or(self.targets.pf)
    }

    fn write(&mut self, address: PciAddress, name: &str, values: &[&str]) -> SysOp {
        SysOp::Write { path: file(address, name), value: self.one_of(values) }
    }

    fn some_function_write(&mut self, name: &str, values: &[&str]) -> SysOp {
        let address = self.some_function();
        self.write(address, name, values)
    }

    fn some_file(&mut self, names: &[&str]) -> String {
        let name = self.one_of(names);
        file(self.some_function(), &name)
    }

    fn bind(&mut self) -> SysOp {
        let verb = self.one_of(&["bind", "bind", "unbind"]);
        let drivers: Vec<&str> = self.targets.drivers.iter().map(String::as_str).collect();
        let driver = self.one_of(&drivers);
        let value = self.address_text();
        SysOp::Write { path: format!("sys/bus/pci/drivers/{driver}/{verb}"), value }
    }

    /// A step on the PF's way back to its own driver: without it a sequence that took the driver off
    /// would answer ENOENT for ever.
    fn bring_home(&mut self) -> SysOp {
        let Some((own, others)) = self.targets.drivers.split_first() else { return self.link() };
        let (pf, other) = (self.targets.pf, self.rng.pick(others).unwrap_or(own).clone());
        let (path, value) = match self.rng.below(4) {
            0 => (file(pf, "driver_override"), "\n".to_owned()),
            1 => (format!("sys/bus/pci/drivers/{other}/unbind"), pf.to_string()),
            _ => (format!("sys/bus/pci/drivers/{own}/bind"), pf.to_string()),
        };
        SysOp::Write { path, value }
    }

    fn probe(&mut self) -> SysOp {
        SysOp::Write { path: "sys/bus/pci/drivers_probe".to_owned(), value: self.address_text() }
    }

    fn address_text(&mut self) -> String {
        match self.rng.below(12) {
            0 => "garbage".to_owned(),
            1 => "0000:ff:1f.7".to_owned(),
            2 => format!("{}\n", self.some_function()),
            _ => self.some_function().to_string(),
        }
    }

    fn list(&mut self) -> SysOp {
        let path = match self.rng.below(6) {
            0 => "sys/kernel/iommu_groups".to_owned(),
            1 => "sys/bus/pci/drivers/vfio-pci".to_owned(),
            2 => file(self.targets.pf, "vendor"),
            3 => file(self.some_function(), "iommu_group/devices"),
            _ => format!("sys/bus/pci/devices/{}", self.some_function()),
        };
        SysOp::List { path }
    }

    fn link(&mut self) -> SysOp {
        let path = match self.rng.below(2) {
            0 => {
                let index = self.rng.below(u64::from(self.targets.total_vfs) + 1);
                file(self.targets.pf, &format!("virtfn{index}"))
            }
            _ => self.some_file(&LINKS),
        };
        SysOp::Link { path }
    }
}

fn file(address: PciAddress, name: &str) -> String {
    format!("sys/bus/pci/devices/{address}/{name}")
}

#[cfg(test)]
mod tests;
