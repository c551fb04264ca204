//! What the files of one PCI device say: numbers, class, memory windows, serial number, slot. The formats
//! are those of `Documentation/ABI/testing/sysfs-bus-pci` and of the PCI Express specification (extended
//! capabilities, Device Serial Number). What makes a device a GPU is told by its class; what Divvy does
//! with it is not known here.

use std::time::Duration;

use divvy_core::pci_address::PciAddress;

use crate::attribute::{self, AttributeError, hex, hex16, optional, text};
use crate::paths;
use crate::sysfs::Sysfs;

pub mod interrupts;

/// The numbers that say which make and model it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    pub vendor: u16,
    pub device: u16,
    pub subsystem_vendor: u16,
    pub subsystem_device: u16,
}

pub fn numbers(sys: &dyn Sysfs, address: PciAddress) -> Result<Numbers, AttributeError> {
    let number = |name| hex16(sys, &paths::attribute(address, name));
    Ok(Numbers {
        vendor: number("vendor")?,
        device: number("device")?,
        subsystem_vendor: number("subsystem_vendor")?,
        subsystem_device: number("subsystem_device")?,
    })
}

/// The class: base class, subclass, programming interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class(pub u32);

impl Class {
    /// VGA controller, 3D controller, other display controller, processing accelerator.
    pub fn is_gpu(self) -> bool {
        matches!(self.0 >> 8, 0x0300 | 0x0302 | 0x0380 | 0x1200)
    }

    /// A bridge does not take part in VFIO's rule for groups: PCI-PCI, CardBus, semi-transparent.
    pub fn is_bridge(self) -> bool {
        matches!(self.0 >> 8, 0x0604 | 0x0607 | 0x0609)
    }
}

pub fn class(sys: &dyn Sysfs, address: PciAddress) -> Result<Class, AttributeError> {
    let path = paths::attribute(address, "class");
    let value = hex(sys, &path)?;
    match u32::try_from(value) {
        Ok(class) if class <= 0x00ff_ffff => Ok(Class(class)),
        _ => Err(AttributeError::malformed(&path, &format!("{value:#x}"), "a PCI class")),
    }
}

/// One line of `resource`: a window that the device wants in an address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// 0 to 5 are the device's own, 6 its ROM, 7 to 12 those of its virtual functions.
    pub number: usize,
    pub bytes: u64,
    pub is_memory: bool,
    pub is_prefetchable: bool,
    /// The firmware and the kernel found no address for it.
    pub is_unplaced: bool,
}

impl Window {
    pub fn is_own(&self) -> bool {
        self.number < 6
    }

    pub fn is_for_partitions(&self) -> bool {
        (7..13).contains(&self.number)
    }
}

// include/linux/ioport.h
const IORESOURCE_MEM: u64 = 0x0000_0200;
const IORESOURCE_PREFETCH: u64 = 0x0000_2000;
const IORESOURCE_UNSET: u64 = 0x2000_0000;

/// The windows of a device; none where the file is not there.
pub fn windows(sys: &dyn Sysfs, address: PciAddress) -> Result<Vec<Window>, AttributeError> {
    let path = paths::attribute(address, "resource");
    let Some(text) = optional(text(sys, &path))? else { return Ok(Vec::new()) };
    parse_windows(&text)
        .map_err(|line| AttributeError::malformed(&path, line, "START END FLAGS in hexadecimal"))
}

/// The windows in the text of `resource`, or the line that is none.
pub fn parse_windows(text: &str) -> Result<Vec<Window>, &str> {
    let mut windows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut fields = line.split_ascii_whitespace().map(attribute::parse_hex);
        let (Some(Some(start)), Some(Some(end)), Some(Some(flags)), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(line);
        };
        if flags == 0 && end == 0 {
            continue;
        }
        let bytes = end.checked_sub(start).and_then(|span| span.checked_add(1)).ok_or(line)?;
        windows.push(Window {
            number,
            bytes,
            is_memory: flags & IORESOURCE_MEM != 0,
            is_prefetchable: flags & IORESOURCE_PREFETCH != 0,
            is_unplaced: flags & IORESOURCE_UNSET != 0,
        });
    }
    Ok(windows)
}

/// What the configuration space says of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Config {
    /// Nothing but ones: nobody answers on the bus.
    Lost,
    Answers {
        serial: Option<u64>,
    },
}

/// Reads the configuration space. A device that hangs can hold the reader, hence the deadline.
pub fn config(sys: &dyn Sysfs, address: PciAddress, deadline: Duration) -> Result<Config, AttributeError> {
    let path = paths::config(address);
    let bytes = attribute::bytes_within(sys, &path, deadline)?;
    parse_config(&bytes).ok_or_else(|| {
        AttributeError::malformed(&path, &format!("{} bytes", bytes.len()), "a configuration space")
    })
}

const HEADER_BYTES: usize = 64;
const EXTENDED_START: usize = 0x100;
const CONFIG_BYTES: usize = 4096;
const SERIAL_CAPABILITY: u32 = 3;

/// None: too short to be one. A virtual function answers with ones for its ids, by the specification,
/// so only a header of nothing but ones means that the device is lost.
pub fn parse_config(bytes: &[u8]) -> Option<Config> {
    let header = bytes.get(..HEADER_BYTES)?;
    if header.iter().all(|byte| *byte == 0xff) {
        return Some(Config::Lost);
    }
    Some(Config::Answers { serial: serial(bytes) })
}

/// Walks the list of extended capabilities. Without privileges only 64 bytes are there, a conventional
/// device has 256: no serial number then.
fn serial(bytes: &[u8]) -> Option<u64> {
    let word = |at: usize| {
        let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(u32::from_le_bytes(four))
    };
    let mut at = EXTENDED_START;
    // Every capability has at least eight bytes; a list that is longer than that runs in a circle.
    for _ in 0..(CONFIG_BYTES - EXTENDED_START) / 8 {
        let header = word(at)?;
        if header == 0 || header == u32::MAX {
            return None;
        }
        if header & 0xffff == SERIAL_CAPABILITY {
            let serial = u64::from(word(at + 8)?) << 32 | u64::from(word(at + 4)?);
            return Some(serial).filter(|serial| !matches!(*serial, 0 | u64::MAX));
        }
        at = (header >> 20) as usize & !3;
        if at < EXTENDED_START {
            return None;
        }
    }
    None
}

/// How many virtual functions the kernel says there are. Reading waits behind a write that hangs.
pub fn function_count(sys: &dyn Sysfs, gpu: PciAddress, deadline: Duration) -> Result<u16, AttributeError> {
    let path = paths::num_vfs(gpu);
    let bytes = attribute::bytes_within(sys, &path, deadline)?;
    attribute::decimal_of(&path, &bytes)
}

/// What a kernel without `reset_method` (before 5.15) says of the way in which it resets.
const UNKNOWN_RESET: &str = "unknown";

/// The ways in which the kernel resets a device, best first; none where it cannot.
pub fn reset_methods(sys: &dyn Sysfs, address: PciAddress) -> Result<Vec<String>, AttributeError> {
    if !sys.exists(&paths::reset(address)) {
        return Ok(Vec::new());
    }
    let methods = optional(text(sys, &paths::reset_method(address)))?;
    Ok(match methods {
        Some(methods) => methods.split_ascii_whitespace().map(str::to_owned).collect(),
        None => vec![UNKNOWN_RESET.to_owned()],
    })
}

/// A serial number as it is printed and as it stands in a GPU's id.
pub fn format_serial(serial: u64) -> String {
    format!("{serial:016x}")
}

/// The name of the physical slot at one of these addresses, and which of them it is.
pub fn slot(sys: &dyn Sysfs, addresses: &[PciAddress]) -> Option<(usize, String)> {
    let names = sys.list(paths::PCI_SLOTS).ok()?;
    let slots: Vec<(String, String)> = names
        .into_iter()
        .filter_map(|name| Some((text(sys, &format!("{}/{name}/address", paths::PCI_SLOTS)).ok()?, name)))
        .collect();
    addresses.iter().enumerate().find_map(|(nth, address)| {
        let place = address.to_string();
        let place = place.rsplit_once('.').map_or(place.as_str(), |(place, _function)| place);
        let (_, name) = slots.iter().find(|(slot, _)| slot == place)?;
        Some((nth, name.clone()))
    })
}

#[cfg(test)]
mod tests;
