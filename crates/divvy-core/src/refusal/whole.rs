//! Every reason to say no that is about whole GPUs and their pools. Partitions are not known here.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::assignment::{Assignment, Claim, Holding, gpus_in_words};
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
    #[error("pool {pool} has {} for VM {vm} on server {server}: {}", too_few(*count), why.join("; "))]
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
    #[error("VM {vm} gets {claim} whenever it starts")]
    VmHasClaim { vm: String, claim: Claim },
    #[error("pool {pool} cannot give {count} GPUs to VM {vm} on server {server}: {}", why.join("; "))]
    PoolTooSmall { vm: String, server: ServerId, pool: PoolName, count: u16, why: Vec<String> },
    #[error("VMs are promised more GPUs of pool {pool} than would be left on their server: {}", list(claims))]
    PoolClaimed { pool: PoolName, claims: Vec<(Claim, String)> },
    #[error(
        "VM {vm} gets {} of pool {pool} now, and Divvy starts it as soon as it has them",
        gpus_in_words(gpus)
    )]
    StartFollows { vm: String, pool: PoolName, gpus: Vec<GpuId> },
}

fn too_few(count: u16) -> String {
    if count == 1 { "no free GPU".to_string() } else { format!("fewer than {count} free GPUs") }
}

fn list<T: fmt::Display>(owners: &[(T, String)]) -> String {
    let words: Vec<String> = owners.iter().map(|(what, vm)| format!("{what} ({vm})")).collect();
    words.join(", ")
}

/// What takes everything of these VMs back, as it is typed.
fn unassigns<T>(owners: &[(T, String)]) -> String {
    let vms: BTreeSet<&str> = owners.iter().map(|(_, vm)| vm.as_str()).collect();
    let commands: Vec<String> = vms.iter().map(|vm| format!("divvy dda unassign {vm}")).collect();
    commands.join(", ")
}

impl WholeRefusal {
    /// Of a VM that has whole GPUs, or claims them.
    pub(crate) fn of_holder(assignment: &Assignment) -> Self {
        let vm = assignment.vm_name.clone();
        match &assignment.holding {
            Holding::Claim { claim } => Self::VmHasClaim { vm, claim: claim.clone() },
            _ => Self::VmHasWholeGpu { vm, gpus: assignment.whole_ids().cloned().collect() },
        }
    }

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
            Self::VmHasClaim { .. } => "vm_has_claim",
            Self::PoolTooSmall { .. } => "pool_too_small",
            Self::PoolClaimed { .. } => "pool_claimed",
            Self::StartFollows { .. } => "start_follows",
        }
    }

    pub(super) fn hint(&self) -> String {
        match self {
            Self::GpuPartitioned { gpu, .. } => {
                format!("divvy gpu partition {gpu} --off, when no VM has a partition of it")
            }
            Self::GpuInPool { gpu, pool } => format!("divvy pool take {pool} {gpu}"),
            Self::VmHasWholeGpu { vm, .. } | Self::VmHasClaim { vm, .. } => {
                format!("divvy dda unassign {vm}")
            }
            Self::VmHasNoWholeGpu { .. } => "divvy vm list shows who has what".to_string(),
            Self::NoFreeGpu { pool, .. } => {
                format!(
                    "divvy dda unassign a VM that does not need its GPUs, shut one down that has them only \
                     while it runs, or divvy pool add {pool} GPU"
                )
            }
            Self::PoolNotFound { .. } | Self::GpuNotInPool { .. } => {
                "divvy pool list shows every pool with its GPUs".to_string()
            }
            Self::PoolExists { pool } => format!("divvy pool add {pool} GPU puts more GPUs into it"),
            Self::PoolNameMalformed { .. } => {
                "letters, digits, hyphens, underscores and dots make a name".to_string()
            }
            Self::PoolInUse { owners, .. } => unassigns(owners),
            Self::PoolClaimed { claims, .. } => unassigns(claims),
            Self::PoolTooSmall { pool, .. } => {
                format!("divvy pool add {pool} GPU, with a GPU of that server")
            }
            Self::StartFollows { vm, .. } => {
                format!("nothing is left to do; divvy explain {vm} says how far it is")
            }
        }
    }
}
