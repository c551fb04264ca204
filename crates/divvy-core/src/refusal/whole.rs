//! Every reason to say no that is about whole GPUs and their pools. Partitions are not known here.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::id::{GpuId, PoolName, ServerId};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WholeRefusal {
    #[error("GPU {gpu} cannot be used whole: {why}")]
    GpuPartitioned { gpu: GpuId, why: String },
    #[error("GPU {gpu} is in pool {pool}, whose GPUs are given whole")]
    GpuInPool { gpu: GpuId, pool: PoolName },
    #[error("VM {vm} has whole GPUs: {}", gpus.iter().map(GpuId::to_string).collect::<Vec<_>>().join(", "))]
    VmHasWholeGpu { vm: String, gpus: Vec<GpuId> },
    #[error("VM {vm} has no whole GPU")]
    VmHasNoWholeGpu { vm: String },
    #[error("pool {pool} has not {count} free GPUs for VM {vm} on server {server}: {}", why.join("; "))]
    NoFreeGpu { vm: String, server: ServerId, pool: PoolName, count: u16, why: Vec<String> },
    #[error("there is no pool called {pool:?}")]
    PoolNotFound { pool: String },
    #[error("there is a pool called {pool} already")]
    PoolExists { pool: PoolName },
    #[error("{name:?} cannot be the name of a pool: {why}")]
    PoolNameMalformed { name: String, why: String },
    #[error("GPUs of pool {pool} are given to VMs: {}", list(owners))]
    PoolInUse { pool: PoolName, owners: Vec<(GpuId, String)> },
    #[error("GPU {gpu} is not in pool {pool}")]
    GpuNotInPool { gpu: GpuId, pool: PoolName },
}

fn list(owners: &[(GpuId, String)]) -> String {
    let words: Vec<String> = owners.iter().map(|(gpu, vm)| format!("{gpu} ({vm})")).collect();
    words.join(", ")
}

impl WholeRefusal {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::GpuPartitioned { .. } => "gpu_partitioned",
            Self::GpuInPool { .. } => "gpu_in_pool",
            Self::VmHasWholeGpu { .. } => "vm_has_whole_gpu",
            Self::VmHasNoWholeGpu { .. } => "vm_has_no_whole_gpu",
            Self::NoFreeGpu { .. } => "no_free_gpu",
            Self::PoolNotFound { .. } => "pool_not_found",
            Self::PoolExists { .. } => "pool_exists",
            Self::PoolNameMalformed { .. } => "pool_name_malformed",
            Self::PoolInUse { .. } => "pool_in_use",
            Self::GpuNotInPool { .. } => "gpu_not_in_pool",
        }
    }

    pub(super) fn hint(&self) -> String {
        match self {
            Self::GpuPartitioned { gpu, .. } => {
                format!("divvy gpu partition {gpu} --off, when no VM has a partition of it")
            }
            Self::GpuInPool { gpu, pool } => format!("divvy pool take {pool} {gpu}"),
            Self::VmHasWholeGpu { vm, .. } => format!("divvy dda unassign {vm}"),
            Self::VmHasNoWholeGpu { .. } => "divvy vm list shows who has what".to_string(),
            Self::NoFreeGpu { pool, .. } => {
                format!("divvy dda unassign a VM that does not need its GPUs, or divvy pool add {pool} GPU")
            }
            Self::PoolNotFound { .. } | Self::GpuNotInPool { .. } => {
                "divvy pool list shows every pool with its GPUs".to_string()
            }
            Self::PoolExists { pool } => format!("divvy pool add {pool} GPU puts more GPUs into it"),
            Self::PoolNameMalformed { .. } => {
                "letters, digits, hyphens, underscores and dots make a name".to_string()
            }
            Self::PoolInUse { owners, .. } => {
                let vms: BTreeSet<&str> = owners.iter().map(|(_, vm)| vm.as_str()).collect();
                let commands: Vec<String> = vms.iter().map(|vm| format!("divvy dda unassign {vm}")).collect();
                commands.join(", ")
            }
        }
    }
}
