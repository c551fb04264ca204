//! Where a PCI device is right now: `DDDD:BB:DD.F`, as Linux prints it in `/sys/bus/pci/devices`.
//!
//! An address names concrete hardware inside one observation and inside one step. It is never kept as
//! an identity and never trusted across a boot. Domains wider than four digits exist (VMD), so the
//! domain is 32 bits; Linux prints at least four digits.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::Deserialize;

use crate::as_text::as_text;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct PciAddress {
    pub domain: u32,
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

/// A text that is not a PCI address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a PCI address written DDDD:BB:DD.F")]
pub struct InvalidPciAddress {
    pub text: String,
}

impl PciAddress {
    /// The address `distance` routing ids further on, carried into the bus number.
    pub fn routing_id_plus(self, distance: u32) -> Option<Self> {
        let id = u32::from(self.bus) << 8 | u32::from(self.device) << 3 | u32::from(self.function);
        let id = u16::try_from(id.checked_add(distance)?).ok()?;
        Some(Self {
            domain: self.domain,
            bus: (id >> 8) as u8,
            device: (id >> 3) as u8 & 0x1f,
            function: id as u8 & 7,
        })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        f.pad(&alloc::format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
    }
}

impl fmt::Debug for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hex(text: &str, digits: core::ops::RangeInclusive<usize>) -> Option<u32> {
    let plain = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u32::from_str_radix(text, 16).ok() } else { None }
}

fn parse(text: &str) -> Option<PciAddress> {
    let (domain, rest) = text.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let device = hex(device, 2..=2).filter(|d| *d < 32)?;
    let function = hex(function, 1..=1).filter(|f| *f < 8)?;
    Some(PciAddress {
        domain: hex(domain, 4..=8)?,
        bus: hex(bus, 2..=2)? as u8,
        device: device as u8,
        function: function as u8,
    })
}

impl FromStr for PciAddress {
    type Err = InvalidPciAddress;
    fn from_str(text: &str) -> Result<Self, InvalidPciAddress> {
        parse(text).ok_or_else(|| InvalidPciAddress { text: text.to_owned() })
    }
}

as_text!(PciAddress);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_address_reads_back_what_it_prints() {
        for text in ["0000:41:00.0", "0001:c1:1f.7", "10000:e1:00.2"] {
            assert_eq!(text.parse::<PciAddress>().expect("parses").to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        for text in
            ["", "41:00.0", "0000:41:20.0", "0000:41:00.8", "0000:41:00", "g000:41:00.0", "0000:+1:00.0"]
        {
            assert!(text.parse::<PciAddress>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_routing_id_carries_into_the_bus_number() {
        let first: PciAddress = "0000:41:00.0".parse().expect("parses");
        let last = first.routing_id_plus(4 + 31).expect("on the bus");
        assert_eq!(last.to_string(), "0000:41:04.3");
        assert_eq!(first.routing_id_plus(0x1_0000), None);
    }
}
