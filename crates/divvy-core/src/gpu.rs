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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// `sriov_numvfs` of a driver that implements it.
    Sriov,
    /// The same, with the share of each partition below `sriov_admin` (Intel's xe).
    IntelXe,
    /// The same, with the share of each partition below `drm/cardN/iov` (Intel's i915 for servers).
    IntelI915,
    /// NVIDIA: a type is written into a virtual function, which NVIDIA's own driver hands to a VM.
    NvidiaVfio,
    /// NVIDIA: a mediated device is made on a virtual function.
    NvidiaMdev,
    /// NVIDIA: mediated devices are made on the GPU itself, which has no virtual functions.
    NvidiaMdevPf,
    /// As [`Scheme::NvidiaVfio`], each partition on a part of the GPU that hardware keeps apart.
    NvidiaMig,
    /// AMD: the count is said when the module `gim` is loaded.
    AmdGim,
}

impl Scheme {
    pub const ALL: [Self; 8] = [
        Self::Sriov,
        Self::IntelXe,
        Self::IntelI915,
        Self::NvidiaVfio,
        Self::NvidiaMdev,
        Self::NvidiaMdevPf,
        Self::NvidiaMig,
        Self::AmdGim,
    ];

    /// What hands a partition to a VM.
    pub fn carrier(self) -> Carrier {
        match self {
            Self::Sriov | Self::IntelXe | Self::IntelI915 | Self::AmdGim => Carrier::Vfio,
            Self::NvidiaVfio | Self::NvidiaMig => Carrier::Vendor("nvidia"),
            Self::NvidiaMdev | Self::NvidiaMdevPf => Carrier::Mediated,
        }
    }

    /// The server's own drivers have to be kept off new partitions. NVIDIA's driver has to get them.
    pub fn keeps_drivers_off(self) -> bool {
        self.carrier() == Carrier::Vfio
    }

    /// Whether partitions of one are like those of the other. NVIDIA's driver shows which interface it has
    /// only once there are virtual functions, and a later driver has another one.
    pub fn is_like(self, other: Self) -> bool {
        let plain = |scheme: Self| matches!(scheme, Self::NvidiaVfio | Self::NvidiaMdev);
        self == other || plain(self) && plain(other)
    }

    /// Whether making partitions by this scheme turns on what makes it this one, on a GPU that has no
    /// partitions and looks like the other. MIG's mode does not outlive a boot on every model.
    pub fn comes_back_from(self, other: Self) -> bool {
        self == Self::NvidiaMig && other == Self::NvidiaVfio
    }

    /// Its functions are made all at once, and stay when the partitions on them are gone.
    pub fn keeps_carriers(self) -> bool {
        matches!(self, Self::NvidiaVfio | Self::NvidiaMdev | Self::NvidiaMig)
    }

    /// Partitions of different sizes can stand side by side, and Divvy knows how to make them.
    pub fn takes_sizes(self) -> bool {
        matches!(self, Self::NvidiaMig | Self::NvidiaVfio | Self::IntelI915)
    }

    /// From one count to another there is no way but through no partitions at all. GIM is told all
    /// counts of a server at once, and none cannot be said for one GPU among several.
    pub fn goes_through_zero(self) -> bool {
        self != Self::AmdGim
    }
}

/// What hands a partition to a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// `vfio-pci`, which Divvy gives the partition to.
    Vfio,
    /// The vendor's own driver, which must keep it.
    Vendor(&'static str),
    /// The vendor's own driver, through a mediated device that it made.
    Mediated,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sriov => "sriov",
            Self::IntelXe => "intel_xe",
            Self::IntelI915 => "intel_i915",
            Self::NvidiaVfio => "nvidia_vfio",
            Self::NvidiaMdev => "nvidia_mdev",
            Self::NvidiaMdevPf => "nvidia_mdev_pf",
            Self::NvidiaMig => "nvidia_mig",
            Self::AmdGim => "amd_gim",
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_scheme_is_called_the_same_on_the_wire_and_by_people() {
        for scheme in Scheme::ALL {
            assert_eq!(serde_json::to_string(&scheme).expect("a text"), format!("\"{scheme}\""));
        }
    }
}
