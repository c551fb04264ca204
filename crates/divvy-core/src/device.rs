//! What a VM is given: a PCI function, or a mediated device that a driver made on one. Both have a name
//! that the kernel, the hypervisor and a VM's definition all know; for both it is good for one boot of
//! one server and never an identity. How one is made, and what a VM does with it, is not known here.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use serde::Deserialize;
use uuid::Uuid;

use crate::as_text::as_text;
use crate::id::PartitionId;
use crate::pci_address::PciAddress;

/// Under which the names of partitions become UUIDs. Never to be changed: VMs' definitions lean on it.
const NAMESPACE: Uuid = Uuid::from_u128(0xa1f0_ec57_6e66_45da_ad31_540c_c07a_c695);

/// How long a UUID is with its hyphens, the only form that the kernel prints.
const UUID_CHARS: usize = 36;

/// The name of a mediated device. A partition's is derived from the partition, not stored: it is the
/// same after each boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct MdevUuid(Uuid);

/// A text that is not the name of a mediated device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a UUID written 8-4-4-4-12")]
pub struct InvalidMdevUuid {
    pub text: String,
}

impl MdevUuid {
    /// The name of the mediated device that a partition is.
    pub fn of(partition: &PartitionId) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, partition.to_string().as_bytes()))
    }
}

impl fmt::Display for MdevUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl fmt::Debug for MdevUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MdevUuid {
    type Err = InvalidMdevUuid;
    fn from_str(text: &str) -> Result<Self, InvalidMdevUuid> {
        let hyphenated = Some(text).filter(|text| text.len() == UUID_CHARS);
        let parsed = hyphenated.and_then(|text| Uuid::try_parse(text).ok());
        parsed.map(Self).ok_or_else(|| InvalidMdevUuid { text: text.to_owned() })
    }
}

as_text!(MdevUuid);

/// What a VM is given. Written as its text: `0000:41:00.4`, or the UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum DeviceHandle {
    Pci(PciAddress),
    Mdev(MdevUuid),
}

/// A text that is no handle of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither a PCI address written DDDD:BB:DD.F nor a UUID")]
pub struct InvalidDeviceHandle {
    pub text: String,
}

impl fmt::Display for DeviceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(address) => address.fmt(f),
            Self::Mdev(uuid) => uuid.fmt(f),
        }
    }
}

impl fmt::Debug for DeviceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DeviceHandle {
    type Err = InvalidDeviceHandle;
    fn from_str(text: &str) -> Result<Self, InvalidDeviceHandle> {
        let pci = text.parse().map(Self::Pci).ok();
        let handle = pci.or_else(|| text.parse().map(Self::Mdev).ok());
        handle.ok_or_else(|| InvalidDeviceHandle { text: text.to_owned() })
    }
}

as_text!(DeviceHandle);

impl From<PciAddress> for DeviceHandle {
    fn from(address: PciAddress) -> Self {
        Self::Pci(address)
    }
}

impl From<MdevUuid> for DeviceHandle {
    fn from(uuid: MdevUuid) -> Self {
        Self::Mdev(uuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::partition_id;

    const UUID: &str = "4b4e2ee5-3335-4a02-b7d8-410897f78e6f";

    #[test]
    fn a_handle_reads_back_what_it_prints() {
        for text in ["0000:41:00.4", "10000:e1:00.0", UUID] {
            let handle: DeviceHandle = text.parse().expect("parses");
            assert_eq!(handle.to_string(), text);
            assert_eq!(serde_json::to_string(&handle).expect("a text"), alloc::format!("\"{text}\""));
        }
    }

    #[test]
    fn the_uuid_of_a_partition_never_changes() {
        let uuid = MdevUuid::of(&partition_id("gpu-48b02db7b700001d", 3));
        assert_eq!(uuid.to_string(), "1db40e38-d316-5831-8d68-3f1855106189");
    }

    #[test]
    fn each_partition_has_a_uuid_of_its_own() {
        let uuids = [("gpu-1", 1), ("gpu-1", 2), ("gpu-11", 1), ("gpu-1", 11)];
        let uuids = uuids.map(|(gpu, index)| MdevUuid::of(&partition_id(gpu, index)));
        assert!(uuids.iter().enumerate().all(|(at, uuid)| !uuids[..at].contains(uuid)), "{uuids:?}");
    }

    #[test]
    fn other_ways_to_write_a_uuid_are_refused() {
        for text in [
            "4b4e2ee533354a02b7d8410897f78e6f",
            "{4b4e2ee5-3335-4a02-b7d8-410897f78e6f}",
            "urn:uuid:4b4e2ee5-3335-4a02-b7d8-410897f78e6f",
            "4b4e2ee5-3335-4a02-b7d8-410897f78e6",
            "gggggggg-3335-4a02-b7d8-410897f78e6f",
            "",
        ] {
            assert!(text.parse::<DeviceHandle>().is_err(), "{text:?} was accepted");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = text.parse::<DeviceHandle>();
        }
    }
}
