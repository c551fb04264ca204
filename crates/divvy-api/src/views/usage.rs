//! What GPUs and partitions use. These values change by themselves, so they are in a document of their own
//! and not in those of GPUs and partitions, which say the same until something is changed.

use serde::{Deserialize, Serialize};

use crate::words::Scheduler;

/// What one GPU and its partitions use, as its vendor's library tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageView {
    /// The GPU's id.
    pub gpu: String,
    pub server: String,
    /// When it was so; null when nothing is told.
    pub at_ms: Option<u64>,
    pub memory_bytes: Option<u64>,
    /// Also what the driver keeps to itself.
    pub memory_used_bytes: Option<u64>,
    /// Null for a GPU that is cut into pieces of hardware: each of these is busy by itself.
    pub utilization_percent: Option<u8>,
    /// Of all engines for encoding video.
    #[serde(default)]
    pub encoder_utilization_percent: Option<u8>,
    #[serde(default)]
    pub decoder_utilization_percent: Option<u8>,
    /// How much of the encoders there is for new work (H.264).
    #[serde(default)]
    pub encoder_capacity_percent: Option<u8>,
    /// The memory corrects errors.
    pub ecc: Option<bool>,
    /// How partitions share the GPU's time; null when they do not.
    pub scheduler: Option<Scheduler>,
    /// Why nothing is told; null when something is.
    pub reason: Option<String>,
    /// Those that a VM uses now, by index.
    pub partitions: Vec<PartitionUsageView>,
}

/// What one partition uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionUsageView {
    /// The partition's id.
    pub partition: String,
    /// The id of the VM that uses it.
    pub vm: Option<String>,
    pub vm_name: Option<String>,
    pub memory_bytes: Option<u64>,
    pub memory_used_bytes: Option<u64>,
    /// Of the GPU's time; of its own piece of hardware, where it has one.
    pub utilization_percent: Option<u8>,
    /// Of the GPU's engines for encoding video; of its own, where it has some.
    #[serde(default)]
    pub encoder_utilization_percent: Option<u8>,
    /// The same for decoding; of several engines of its own, the busiest.
    #[serde(default)]
    pub decoder_utilization_percent: Option<u8>,
    /// How much of the GPU's encoders it may have.
    #[serde(default)]
    pub encoder_capacity_percent: Option<u8>,
    /// What it has of its own to compute with; null when it shares the GPU's.
    #[serde(default)]
    pub multiprocessors: Option<u32>,
    /// Engines of its own for encoding video.
    #[serde(default)]
    pub encoders: Option<u32>,
    #[serde(default)]
    pub decoders: Option<u32>,
}
