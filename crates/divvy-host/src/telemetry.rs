//! What a GPU tells of itself only through its vendor's library: serial number, memory, how busy it is and
//! its encoder and decoder are.
//! Values that change by themselves are no part of what is observed, or no two reports would be the same;
//! they are asked for when somebody wants to see them. Every value may be missing: a library that is not
//! there or does not answer is a reason to tell to who asked, and nothing to complain about otherwise.
//! Which library it is, is not known here.

use std::error::Error;
use std::io;

use divvy_core::id::VmId;
use divvy_core::pci_address::PciAddress;

/// Answers for GPUs. Nothing about a GPU's partitions depends on it.
pub trait Telemetry: Send + Sync {
    /// What can be told of these GPUs; those that nothing can be told of are left out.
    fn look(&self, gpus: &[PciAddress]) -> Result<Vec<GpuTelemetry>, TelemetryError>;
}

/// A question and its answer.
#[derive(Debug)]
pub struct Asked {
    /// The GPUs that a library could know, by address. Of others nothing is ever told.
    pub gpus: Vec<PciAddress>,
    pub told: Result<Vec<GpuTelemetry>, TelemetryError>,
}

/// Why nothing is told of any GPU.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("{library} cannot be opened")]
    Library { library: String, source: Box<dyn Error + Send + Sync> },
    /// Looking would hold GPUs that a scheme works on, or an earlier look has not ended yet.
    #[error("the GPUs are being worked on, and a look at them would be in the way")]
    Busy,
    #[error("{library} did not answer within {waited_ms} ms")]
    Silent { library: String, waited_ms: u64 },
    #[error("a thread to ask {library} cannot be started")]
    Thread { library: String, source: io::Error },
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
    pub media: Media,
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
            media: Media::default(),
            ecc: None,
            scheduler: None,
            partitions: Vec::new(),
        }
    }
}

/// The engines for video, of a GPU or of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Media {
    /// How busy encoding and decoding are, of all of the GPU's engines; of those of its own, where a partition
    /// has some.
    pub encoder_percent: Option<u8>,
    pub decoder_percent: Option<u8>,
    /// How much of the GPU's encoders there is for new work; for a partition, how much of them it may have.
    pub encoder_capacity_percent: Option<u8>,
}

/// The hardware of a partition that has some of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engines {
    pub multiprocessors: u32,
    pub encoders: u32,
    pub decoders: u32,
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
    /// Of the GPU's time; of its own part of the hardware, where it has one of its own.
    pub utilization_percent: Option<u8>,
    pub media: Media,
    /// None: it shares all of the GPU's, or nobody tells.
    pub engines: Option<Engines>,
}
