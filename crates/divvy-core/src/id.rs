//! Names of things. A GPU's name never contains its PCI address: addresses change at a boot and on a
//! slot change, names must not. Everything here parses, prints, compares, and knows nothing else.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::as_text::as_text;

/// Longest name accepted, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("{what} has {bytes} bytes, more than {MAX_NAME_BYTES}")]
    TooLong { what: &'static str, bytes: usize },
    #[error("{what} {text:?} has a character that is not allowed: {found:?}")]
    Character { what: &'static str, text: String, found: char },
    #[error("partition {text:?} is not written GPU.INDEX")]
    Partition { text: String },
}

fn checked(what: &'static str, text: &str, allowed: fn(char) -> bool) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty { what });
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(InvalidId::TooLong { what, bytes: text.len() });
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(found) => Err(InvalidId::Character { what, text: text.to_owned(), found }),
        None => Ok(()),
    }
}

/// Names are copied far more often than they are made: copies share the text.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name; the error says what is wrong with it.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                checked($what, text, $allowed)?;
                Ok(Self(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        as_text!($name);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// A server: its host name.
    ServerId, "server name", |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
);
name_type!(
    /// A GPU, by something that stays with the hardware: `gpu-` and its serial number, or its model
    /// and physical slot where it has none.
    GpuId, "GPU id", |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'
);
name_type!(
    /// A VM, by the UUID that its hypervisor keeps for it.
    VmId, "VM id", |c| c.is_ascii_hexdigit() || c == '-'
);
name_type!(
    /// A pool of whole GPUs.
    PoolName, "pool name", |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
);
name_type!(
    /// The kernel's identity of one boot of one server.
    BootId, "boot id", |c| c.is_ascii_hexdigit() || c == '-'
);

/// Which of a GPU's partitions: 0 to count - 1. An index is not a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionIndex(pub u16);

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One partition of one GPU. Printed and parsed as `GPU.INDEX`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct PartitionId {
    pub gpu: GpuId,
    pub index: PartitionIndex,
}

impl PartitionId {
    pub fn new(gpu: &GpuId, index: PartitionIndex) -> Self {
        Self { gpu: gpu.clone(), index }
    }
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&alloc::format!("{}.{}", self.gpu, self.index))
    }
}

impl FromStr for PartitionId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let wrong = || InvalidId::Partition { text: text.to_owned() };
        let (gpu, index) = text.rsplit_once('.').ok_or_else(wrong)?;
        let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
        let canonical = digits && (index == "0" || !index.starts_with('0'));
        if !canonical {
            return Err(wrong());
        }
        let index = index.parse().map_err(|_| wrong())?;
        Ok(Self { gpu: GpuId::new(gpu)?, index: PartitionIndex(index) })
    }
}

as_text!(PartitionId);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_partition_id_reads_back_what_it_prints() {
        let id: PartitionId = "gpu-48b02d0a41c7.12".parse().expect("parses");
        assert_eq!(id.index, PartitionIndex(12));
        assert_eq!(id.to_string(), "gpu-48b02d0a41c7.12");
    }

    #[test]
    fn a_malformed_name_is_refused_and_named() {
        for text in ["gpu", "gpu.", "gpu.+1", "gpu.01", "gpu.70000", "GPU.1", ".1", "gpu.1.x"] {
            assert!(text.parse::<PartitionId>().is_err(), "{text:?} was accepted");
        }
        assert!(ServerId::new("a b").is_err());
        assert!(VmId::new("not-a-uuid").is_err());
        assert!(GpuId::new(&"x".repeat(129)).is_err());
        assert_eq!(GpuId::new(""), Err(InvalidId::Empty { what: "GPU id" }));
    }
}
