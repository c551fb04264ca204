//! Which GPU it is, by something that stays with the hardware. The Device Serial Number is the best that
//! a kernel without vendor tools offers; where it is missing or shared, the place in the machine stands
//! in, and the identity says so. The PCI address never gets into an id: it changes at a boot.
//!
//! ```text
//! gpu-48b02d0a41c70001                  serial number, function 0
//! gpu-48b02d0a41c70001-f1               the same board's other function (one number by specification)
//! gpu-48b02d0a41c70001-r1-010-080-000   several GPUs show this number: and the way to this one
//! gpu-10de25b6-slot-4-0                 no serial number: model, slot, way below the slot
//! gpu-10de25b6-r1-010-000               no slot either: model and way
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use divvy_core::id::GpuId;
use divvy_core::pci_address::PciAddress;

use crate::pci::{self, Config};
use crate::sysfs::Sysfs;
use crate::topology::Position;

/// Longest piece of a slot's name in an id.
const SLOT_CHARS: usize = 32;

/// What one GPU shows of itself.
#[derive(Debug, Clone)]
pub struct Traits {
    pub address: PciAddress,
    pub vendor: u16,
    pub device: u16,
    pub serial: Option<u64>,
    /// Which step upward of the way the slot is at, and the slot's name.
    pub slot: Option<(usize, String)>,
    pub position: Option<Position>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub id: GpuId,
    /// The id changes when the GPU is put into another slot.
    pub by_place: bool,
}

/// Serial number and function: what two GPUs of one server must not have in common.
pub type SerialKey = (u64, u8);

/// Serial numbers that more than one of these GPUs show.
pub fn shared_serials(gpus: &[Traits]) -> BTreeSet<SerialKey> {
    let mut seen: BTreeMap<SerialKey, usize> = BTreeMap::new();
    for key in gpus.iter().filter_map(serial_key) {
        *seen.entry(key).or_default() += 1;
    }
    seen.into_iter().filter(|(_, times)| *times > 1).map(|(key, _)| key).collect()
}

fn serial_key(gpu: &Traits) -> Option<SerialKey> {
    gpu.serial.map(|serial| (serial, gpu.address.function))
}

/// The identity of a GPU; None: it shows nothing that stays. `shared` are the numbers known to be shared,
/// also by GPUs that are gone by now, so that the last one of a board keeps its id.
pub fn identify(gpu: &Traits, shared: &BTreeSet<SerialKey>) -> Option<Identity> {
    let way = gpu.position.as_ref().map(Position::slug);
    let (text, by_place) = match (serial_key(gpu), &gpu.slot) {
        (Some(key), _) if shared.contains(&key) => {
            (format!("gpu-{}-{}", pci::format_serial(key.0), way?), true)
        }
        (Some((serial, 0)), _) => (format!("gpu-{}", pci::format_serial(serial)), false),
        (Some((serial, function)), _) => (format!("gpu-{}-f{function}", pci::format_serial(serial)), false),
        (None, Some((nth, slot))) => {
            let below = gpu.position.as_ref()?.slug_below(*nth);
            (format!("gpu-{:04x}{:04x}-slot-{}-{below}", gpu.vendor, gpu.device, slug(slot)), true)
        }
        (None, None) => (format!("gpu-{:04x}{:04x}-{}", gpu.vendor, gpu.device, way?), true),
    };
    GpuId::new(&text).ok().map(|id| Identity { id, by_place })
}

/// The identities of all GPUs of a server, each once: where two slots' names come out the same, the ways
/// tell them apart.
pub fn identify_all(gpus: &[Traits], shared: &BTreeSet<SerialKey>) -> Vec<Option<Identity>> {
    let mut found: Vec<Option<Identity>> = gpus.iter().map(|gpu| identify(gpu, shared)).collect();
    let mut times: BTreeMap<GpuId, usize> = BTreeMap::new();
    for identity in found.iter().flatten() {
        *times.entry(identity.id.clone()).or_default() += 1;
    }
    for (gpu, identity) in gpus.iter().zip(&mut found) {
        let is_shared = identity.as_ref().is_some_and(|identity| times[&identity.id] > 1);
        if is_shared {
            *identity = identify(&Traits { slot: None, ..gpu.clone() }, shared);
        }
    }
    found
}

fn slug(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(allowed).take(SLOT_CHARS).collect()
}

/// What an id says about the hardware it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Serial(u64),
    Model(u16, u16),
    Nothing,
}

fn claim(id: &GpuId) -> Claim {
    let word = id.as_str().strip_prefix("gpu-").and_then(|rest| rest.split('-').next()).unwrap_or_default();
    match (word.len(), crate::attribute::parse_hex(word)) {
        (16, Some(serial)) => Claim::Serial(serial),
        (8, Some(numbers)) => Claim::Model((numbers >> 16) as u16, numbers as u16),
        _ => Claim::Nothing,
    }
}

/// What speaks against the GPU at this address being that one; None: nothing does. Addresses go stale
/// between a look and a step, and the hardware behind one can be replaced.
pub fn contradiction(sys: &dyn Sysfs, address: PciAddress, id: &GpuId, deadline: Duration) -> Option<String> {
    match claim(id) {
        Claim::Nothing => None,
        Claim::Serial(wanted) => match pci::config(sys, address, deadline) {
            Err(error) => Some(error.chain()),
            Ok(Config::Lost) => Some("it does not answer".to_owned()),
            Ok(Config::Answers { serial: Some(found) }) if found == wanted => None,
            Ok(Config::Answers { serial: Some(found) }) => {
                Some(format!("its serial number is {}", pci::format_serial(found)))
            }
            Ok(Config::Answers { serial: None }) => Some("it shows no serial number".to_owned()),
        },
        Claim::Model(vendor, device) => match pci::numbers(sys, address) {
            Err(error) => Some(error.chain()),
            Ok(found) if (found.vendor, found.device) == (vendor, device) => None,
            Ok(found) => Some(format!("it is a {:04x}:{:04x}", found.vendor, found.device)),
        },
    }
}

#[cfg(test)]
mod tests;
