//! What a GPU tells of itself only through its vendor's library: serial number, memory, how busy it is.
//! Values that change by themselves are no part of what is observed, or no two reports would be the same;
//! they are asked for when somebody wants to see them. Every value may be missing: a library that is not
//! there or does not answer is nothing to complain about. Which library it is, is not known here.

use divvy_core::id::VmId;
use divvy_core::pci_address::PciAddress;

/// Answers for GPUs. Nothing about a GPU's partitions depends on it.
pub trait Telemetry: Send + Sync {
    /// What can be told of these GPUs; those that nothing can be told of are left out.
    fn look(&self, gpus: &[PciAddress]) -> Vec<GpuTelemetry>;
}

/// One GPU at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuTelemetry {
    pub address: PciAddress,
    /// Of the board: the GPUs of one board may have one number.
    pub serial: Option<String>,
    pub uuid: Option<String>,
    pub driver_version: Option<String>,
    /// All of it, also what the driver keeps to itself. Less while ECC is on, on some models.
    pub memory_bytes: Option<u64>,
    pub memory_used_bytes: Option<u64>,
    pub utilization_percent: Option<u8>,
    pub ecc: Option<bool>,
    pub scheduler: Option<Scheduler>,
    /// Partitions that a VM uses now.
    pub partitions: Vec<PartitionTelemetry>,
}

impl GpuTelemetry {
    /// Nothing is known but where it is.
    pub fn nothing_of(address: PciAddress) -> Self {
        Self {
            address,
            serial: None,
            uuid: None,
            driver_version: None,
            memory_bytes: None,
            memory_used_bytes: None,
            utilization_percent: None,
            ecc: None,
            scheduler: None,
            partitions: Vec::new(),
        }
    }
}

/// How the GPU shares its time among partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduler {
    /// Who has nothing to do leaves its time to the others.
    BestEffort,
    /// Equal shares among the partitions in use.
    EqualShare,
    /// Equal shares among all partitions that there could be.
    FixedShare,
}

/// One partition in use. A VM has at most one of a GPU, so its VM says which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTelemetry {
    pub vm: Option<VmId>,
    pub uuid: Option<String>,
    pub memory_used_bytes: Option<u64>,
    pub utilization_percent: Option<u8>,
}
