//! Every reason to say no that is about partitions of different sizes, and about how much memory one has.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::gpu::ValidPartitionCounts;
use crate::id::{GpuId, ServerId};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizesRefusal {
    #[error("GPU {gpu} cannot have partitions of different sizes: {why}")]
    NotPossible { gpu: GpuId, why: String, valid: ValidPartitionCounts },
    /// `fit`: the option for as many of them as do.
    #[error("partitions of the sizes {sizes} do not fit together on GPU {gpu} ({model})")]
    DoNotFit { gpu: GpuId, model: String, sizes: String, fit: Option<String> },
    #[error("no free partition for VM {vm} on server {server} has {asked}: {}", why.join("; "))]
    NoneLargeEnough { vm: String, server: ServerId, asked: String, why: Vec<String>, largest: Option<u64> },
}

/// As an option takes it: what is left of a MiB is left out.
fn typed(bytes: u64) -> String {
    match bytes % (1 << 30) {
        0 => format!("{}GiB", bytes >> 30),
        _ => format!("{}MiB", bytes >> 20),
    }
}

impl SizesRefusal {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotPossible { .. } => "sizes_not_possible",
            Self::DoNotFit { .. } => "sizes_do_not_fit",
            Self::NoneLargeEnough { .. } => "no_partition_large_enough",
        }
    }

    pub(super) fn hint(&self) -> String {
        match self {
            Self::NotPossible { valid, .. } => {
                format!("split it into equal partitions: --count with one of {valid}")
            }
            Self::DoNotFit { fit: Some(fit), .. } => format!("what of it fits: {fit}"),
            Self::DoNotFit { fit: None, .. } => "divvy gpu show GPU lists the sizes".to_string(),
            Self::NoneLargeEnough { largest: Some(bytes), .. } => {
                format!("ask for what the largest free one has: --memory {}", typed(*bytes))
            }
            Self::NoneLargeEnough { largest: None, .. } => "leave --memory out".to_string(),
        }
    }
}
