//! What a GPU is: its model, what it can be split into, and how it is used now.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU16;

use serde::{Deserialize, Serialize};

/// Make and model, by the numbers in its PCI configuration. Names are for people; equality of two
/// models is equality of the numbers ([`GpuModel::same_model`]): an A2 and an A16 differ in the
/// subsystem alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuModel {
    pub vendor_id: u16,
    pub device_id: u16,
    pub subsystem_vendor_id: u16,
    pub subsystem_device_id: u16,
    /// `NVIDIA`, `AMD`, `Intel`, or the name in the PCI database.
    pub vendor: String,
    /// `A16`, or the name in the PCI database.
    pub name: String,
}

impl GpuModel {
    pub fn same_model(&self, other: &Self) -> bool {
        self.numbers() == other.numbers()
    }

    pub fn numbers(&self) -> (u16, u16, u16, u16) {
        (self.vendor_id, self.device_id, self.subsystem_vendor_id, self.subsystem_device_id)
    }
}

impl fmt::Display for GpuModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.vendor, self.name)
    }
}

/// Into how many equal partitions a GPU is split. Never zero: a GPU without partitions has no count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionCount(pub NonZeroU16);

impl PartitionCount {
    pub fn new(count: u16) -> Option<Self> {
        NonZeroU16::new(count).map(Self)
    }

    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for PartitionCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who says which counts are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountSource {
    /// The driver, at run time.
    Driver,
    /// The catalogue of models, bounded by what the driver says.
    Catalogue,
}

/// The counts a GPU can be split into, ascending, each once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidPartitionCounts {
    counts: Vec<PartitionCount>,
    source: CountSource,
}

impl ValidPartitionCounts {
    pub fn new(mut counts: Vec<PartitionCount>, source: CountSource) -> Self {
        counts.sort_unstable();
        counts.dedup();
        Self { counts, source }
    }

    /// Nothing is valid: the GPU cannot be partitioned.
    pub fn none() -> Self {
        Self::new(Vec::new(), CountSource::Driver)
    }

    pub fn contains(&self, count: PartitionCount) -> bool {
        self.counts.binary_search(&count).is_ok()
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    pub fn as_slice(&self) -> &[PartitionCount] {
        &self.counts
    }

    pub fn source(&self) -> CountSource {
        self.source
    }
}

impl fmt::Display for ValidPartitionCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counts.is_empty() {
            return f.write_str("none");
        }
        for (nth, count) in self.counts.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{count}")?;
        }
        Ok(())
    }
}

/// By which mechanism a GPU is split. Detected by what the tree shows, never by model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// `sriov_numvfs` of a driver that implements it.
    Sriov,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sriov => "sriov",
        })
    }
}

/// How a GPU is used now. A GPU is used whole or partitioned, never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Split into partitions.
    Partitioned,
    /// Could be split, is not.
    Partitionable,
    /// Whole: given, or ready to be given, to one VM.
    Dda,
    /// The server itself uses it.
    Host,
    /// Nothing can be given from it to a VM.
    NotAssignable,
    /// Cannot be told.
    Unknown,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Partitioned => "partitioned",
            Self::Partitionable => "partitionable",
            Self::Dda => "dda",
            Self::Host => "host",
            Self::NotAssignable => "not_assignable",
            Self::Unknown => "unknown",
        })
    }
}
