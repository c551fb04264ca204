//! Every reason to say no to a request: a stable code, a text that names the offenders, and a hint that
//! says what to do. Nothing that the machine did to us stands here; those are errors of the layer that
//! met them.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::finding::Finding;
use crate::gpu::ValidPartitionCounts;
use crate::id::{GpuId, PartitionId, ServerId};
use crate::job::JobId;
use crate::rules::whole_or_partitions::UsedBy;

mod sizes;
mod whole;

pub use sizes::SizesRefusal;
pub use whole::WholeRefusal;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no GPU called {name:?}")]
    GpuNotFound { name: String },
    #[error("{name:?} names more than one GPU: {}", candidates.join(", "))]
    GpuAmbiguous { name: String, candidates: Vec<String> },
    #[error("there is no VM called {name:?}")]
    VmNotFound { name: String },
    #[error("{name:?} names more than one VM: {}", candidates.join(", "))]
    VmAmbiguous { name: String, candidates: Vec<String> },
    #[error("the request names nothing to change")]
    NothingSelected,

    #[error("{count} is not a valid partition count of GPU {gpu} ({model}): {why}; valid are {valid}")]
    CountNotValid { gpu: GpuId, model: String, count: u16, valid: ValidPartitionCounts, why: String },
    #[error("GPU {gpu} cannot be partitioned: {why}")]
    GpuNotPartitionable { gpu: GpuId, why: String },
    #[error("the partition count cannot change while partitions are assigned: {}", list(owners))]
    PartitionsAssigned { owners: Vec<(PartitionId, String)> },
    #[error("the partition count cannot change while partitions are in use: {}", list(users))]
    PartitionsOpen { users: Vec<(PartitionId, String)> },
    #[error("the GPUs are of different models: {}", models.join("; "))]
    ModelsDiffer { models: Vec<String> },
    #[error("GPU {gpu} does not answer: {reason}")]
    GpuUnknown { gpu: GpuId, reason: String },

    #[error("a VM cannot choose its partition: {partition:?} was asked for")]
    PartitionNotChosenByUser { partition: String },
    #[error("VM {vm} has partition {partition} already; a VM has at most one")]
    VmHasPartition { vm: String, partition: PartitionId },
    #[error("VM {vm} is named twice; a VM has at most one partition")]
    VmNamedTwice { vm: String },
    #[error("VM {vm} has no partition")]
    VmHasNoPartition { vm: String },
    #[error("VM {vm} is on server {vm_server}, GPU {gpu} on server {gpu_server}")]
    OtherServer { vm: String, vm_server: ServerId, gpu: GpuId, gpu_server: ServerId },
    #[error("GPU {gpu} is used whole; a GPU is used whole or partitioned, never both")]
    GpuUsedWhole { gpu: GpuId, by: UsedBy },
    #[error("no partition is free for VM {vm} on server {server}: {}", why.join("; "))]
    NoFreePartition { vm: String, server: ServerId, why: Vec<String> },
    /// `what`: "a partition", "whole GPUs".
    #[error("VM {vm} cannot get {what}: {}", texts(findings))]
    NotReady { vm: String, what: &'static str, findings: Vec<Finding> },
    #[error("VM {vm} can get {what} only if this is accepted: {}", texts(findings))]
    NotAccepted { vm: String, what: &'static str, findings: Vec<Finding> },
    #[error("the VMs of server {server} cannot be seen: {reason}")]
    HypervisorUnavailable { server: ServerId, reason: String },
    #[error("VM {vm} has {has}, and a VM with a GPU or a partition of one does not migrate")]
    NoMigration { vm: String, has: String },
    #[error("VM {vm} shall not start: {why}")]
    StartRefused { vm: String, why: String, hint: String },

    #[error(transparent)]
    Whole(#[from] WholeRefusal),
    #[error(transparent)]
    Sizes(#[from] SizesRefusal),

    #[error("there is no partition called {name:?}")]
    PartitionNotFound { name: String },
    #[error("partition {partition} is not quarantined: {why}")]
    PartitionNotQuarantined { partition: PartitionId, why: String },
    #[error("partition {partition} cannot be cured while others of its GPU are in the way: {}", list(users))]
    SiblingsInTheWay { partition: PartitionId, users: Vec<(PartitionId, String)> },
    #[error("there is no job {name:?}")]
    JobNotFound { name: String },
    #[error("job {id} has ended already")]
    JobFinished { id: JobId },
    #[error("job {id} takes back what was given, and what is being taken back is not given again")]
    JobNotCancellable { id: JobId },

    #[error("what was asked for changed meanwhile; it was tried {attempts} times")]
    Busy { attempts: u32 },
}

fn list(pairs: &[(PartitionId, String)]) -> String {
    let words: Vec<String> = pairs.iter().map(|(partition, who)| format!("{partition} ({who})")).collect();
    words.join(", ")
}

fn texts(findings: &[Finding]) -> String {
    let words: Vec<String> =
        findings.iter().map(|finding| format!("{} [{}]", finding.text, finding.code)).collect();
    words.join("; ")
}

fn mends(findings: &[Finding]) -> String {
    let words: Vec<&str> = findings.iter().map(|finding| finding.mend.as_str()).collect();
    words.join("\n")
}

fn accept_options(findings: &[Finding]) -> String {
    let mut options: Vec<String> = findings.iter().map(|f| format!("--accept {}", f.code)).collect();
    options.sort();
    options.dedup();
    options.join(" ")
}

/// The valid counts next to one that is not, as they are typed.
fn other_counts(count: u16, valid: &ValidPartitionCounts) -> String {
    let numbers = || valid.as_slice().iter().map(|count| count.get());
    let below = numbers().filter(|number| *number < count).max();
    let above = numbers().filter(|number| *number > count).min();
    match (below, above) {
        _ if count == 0 => "--off ends the partitioning of a GPU".to_string(),
        (Some(below), Some(above)) => {
            format!("choose one of the nearest: --count {below} or --count {above}")
        }
        (Some(largest), None) => format!("choose the largest: --count {largest}"),
        (None, Some(smallest)) => format!("choose the smallest: --count {smallest}"),
        (None, None) => KEPT_FROM_PARTITIONS.to_string(),
    }
}

const KEPT_FROM_PARTITIONS: &str = "divvy check lists what keeps a GPU from being partitioned, with the mend";

impl Refusal {
    /// The stable name of this reason. Scripts lean on it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::GpuNotFound { .. } => "gpu_not_found",
            Self::GpuAmbiguous { .. } => "gpu_ambiguous",
            Self::VmNotFound { .. } => "vm_not_found",
            Self::VmAmbiguous { .. } => "vm_ambiguous",
            Self::NothingSelected => "nothing_selected",
            Self::CountNotValid { .. } => "count_not_valid",
            Self::GpuNotPartitionable { .. } => "gpu_not_partitionable",
            Self::PartitionsAssigned { .. } => "partitions_assigned",
            Self::PartitionsOpen { .. } => "partitions_open",
            Self::ModelsDiffer { .. } => "models_differ",
            Self::GpuUnknown { .. } => "gpu_unknown",
            Self::PartitionNotChosenByUser { .. } => "partition_not_chosen_by_user",
            Self::VmHasPartition { .. } => "vm_has_partition",
            Self::VmNamedTwice { .. } => "vm_named_twice",
            Self::VmHasNoPartition { .. } => "vm_has_no_partition",
            Self::OtherServer { .. } => "other_server",
            Self::GpuUsedWhole { .. } => "gpu_used_whole",
            Self::NoFreePartition { .. } => "no_free_partition",
            Self::NotReady { .. } => "not_ready",
            Self::NotAccepted { .. } => "not_accepted",
            Self::HypervisorUnavailable { .. } => "hypervisor_unavailable",
            Self::NoMigration { .. } => "no_migration",
            Self::StartRefused { .. } => "start_refused",
            Self::Whole(refusal) => refusal.code(),
            Self::Sizes(refusal) => refusal.code(),
            Self::PartitionNotFound { .. } => "partition_not_found",
            Self::PartitionNotQuarantined { .. } => "partition_not_quarantined",
            Self::SiblingsInTheWay { .. } => "siblings_in_the_way",
            Self::JobNotFound { .. } => "job_not_found",
            Self::JobFinished { .. } => "job_finished",
            Self::JobNotCancellable { .. } => "job_not_cancellable",
            Self::Busy { .. } => "busy",
        }
    }

    /// Whether the thing that was named does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::GpuNotFound { .. }
                | Self::VmNotFound { .. }
                | Self::JobNotFound { .. }
                | Self::PartitionNotFound { .. }
                | Self::Whole(WholeRefusal::PoolNotFound { .. })
        )
    }

    /// Whether the request itself is wrong, whatever the state.
    pub fn is_bad_request(&self) -> bool {
        matches!(
            self,
            Self::NothingSelected
                | Self::VmNamedTwice { .. }
                | Self::PartitionNotChosenByUser { .. }
                | Self::Whole(WholeRefusal::PoolNameMalformed { .. })
        )
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::GpuNotFound { .. } => "divvy gpu list shows every GPU".to_string(),
            Self::VmNotFound { .. } => "divvy vm list shows every VM".to_string(),
            Self::GpuAmbiguous { .. } => "name it by its id, or write SERVER/ADDRESS".to_string(),
            Self::VmAmbiguous { .. } => "name it by its id".to_string(),
            Self::NothingSelected => "name at least one".to_string(),
            Self::CountNotValid { count, valid, .. } => other_counts(*count, valid),
            Self::GpuNotPartitionable { .. } => KEPT_FROM_PARTITIONS.to_string(),
            Self::PartitionsAssigned { owners } => {
                let vms: Vec<&str> = owners.iter().map(|(_, vm)| vm.as_str()).collect();
                format!("divvy unassign {}", vms.join(" "))
            }
            Self::PartitionsOpen { .. } => {
                "shut these VMs down and take the device out of their definition, or end the process that \
                 has it open; then try again"
                    .to_string()
            }
            Self::ModelsDiffer { .. } => "set the count for the GPUs of one model at a time".to_string(),
            Self::GpuUnknown { .. } => "divvy explain GPU says what was tried; the server's kernel log says why".to_string(),
            Self::PartitionNotChosenByUser { .. } => {
                "leave it out: Divvy picks a free partition; --gpu chooses the GPU".to_string()
            }
            Self::VmHasPartition { vm, .. } => format!("divvy unassign {vm} first"),
            Self::VmNamedTwice { .. } => "name each VM once".to_string(),
            Self::VmHasNoPartition { .. } => "divvy partition list shows who has which".to_string(),
            Self::OtherServer { .. } => "choose a GPU of the VM's own server, or leave --gpu out".to_string(),
            Self::GpuUsedWhole { by, .. } => by.mend(),
            Self::NoFreePartition { .. } => {
                "unassign a VM that does not need its partition, or set a larger partition count on an idle GPU"
                    .to_string()
            }
            Self::NotReady { findings, .. } => mends(findings),
            Self::NotAccepted { findings, .. } => {
                format!("{}\nor repeat the command with {}", mends(findings), accept_options(findings))
            }
            Self::HypervisorUnavailable { .. } => "systemctl start libvirtd (or virtqemud) on that server; divvyd connects by itself within seconds".to_string(),
            Self::NoMigration { vm, .. } => {
                format!("shut the VM down and divvy unassign {vm}; it can get a partition where it runs next")
            }
            Self::StartRefused { hint, .. } => hint.clone(),
            Self::Whole(refusal) => refusal.hint(),
            Self::Sizes(refusal) => refusal.hint(),
            Self::PartitionNotFound { .. } | Self::PartitionNotQuarantined { .. } => {
                "divvy partition list shows every partition with its state".to_string()
            }
            Self::SiblingsInTheWay { .. } => {
                "shut these VMs down, and divvy unassign them if all partitions have to be made again".to_string()
            }
            Self::JobNotFound { .. } => "divvy job list shows every job that is kept".to_string(),
            Self::JobFinished { id } => format!("divvy job show {id} says how it ended; ask for what shall be instead"),
            Self::JobNotCancellable { .. } => "wait for its end, then assign again".to_string(),
            Self::Busy { .. } => "try again".to_string(),
        }
    }
}
