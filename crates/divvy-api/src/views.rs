//! What is answered: one document for every kind of thing, as people and scripts see it. Scripts lean on
//! every member's name. Ids are plain text here, counts are plain integers, sizes are bytes, times are
//! milliseconds since 1970; a value that is not there is null and never left out. How a view is made
//! from what was asked for and what was observed is the server's business.

use serde::{Deserialize, Serialize};

mod usage;
mod webhooks;

pub use usage::{PartitionUsageView, UsageView};
pub use webhooks::{WebhookTestView, WebhookView};

use crate::words::{
    AssignmentKind, AssignmentState, JobKind, Mode, PartitionState, Power, Progress, Severity, StepOutcome,
    SubjectKind,
};

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GpuView {
    pub id: String,
    /// What people call it: no other GPU answers to it now, but it may be another after a boot.
    pub name: String,
    pub server: String,
    pub vendor: String,
    pub model: String,
    pub memory_bytes: Option<u64>,
    pub pci_address: String,
    pub numa_node: Option<u32>,
    pub serial: Option<String>,
    pub driver: Option<String>,
    pub driver_version: Option<String>,
    /// Its memory corrects errors (ECC) now; null when nobody tells.
    #[serde(default)]
    pub ecc: Option<bool>,
    pub mode: Mode,
    /// Why it is in this mode; null when the mode says it all.
    pub reason: Option<String>,
    /// The pool whose GPUs are given whole, if it is in one.
    #[serde(default)]
    pub pool: Option<String>,
    /// By which mechanism it is split; null when it cannot be.
    pub scheme: Option<String>,
    /// Zero when it is not split, null when that cannot be read.
    pub partition_count: Option<u16>,
    /// The size of each partition, by index, where they are not equal: as large as one of so many equal
    /// ones. Null when they are equal.
    #[serde(default)]
    pub sizes: Option<Vec<u16>>,
    /// Partitions of different sizes can be asked for.
    #[serde(default)]
    pub takes_sizes: bool,
    /// Ascending; empty when it cannot be split.
    pub valid_partition_counts: Vec<u16>,
    /// Hardware limit of the number of partitions.
    pub max_partitions: Option<u16>,
    pub free_partitions: Option<u16>,
    /// Of each of equal partitions; null when it is not split, or into partitions of different sizes.
    pub memory_per_partition_bytes: Option<u64>,
    /// For each valid partition count, ascending: what a partition would have.
    #[serde(default)]
    pub memory_by_count: Vec<CountMemoryView>,
    /// Address space that a VM needs for it as a whole, with everything in its slot.
    #[serde(default)]
    pub mmio_bytes: Option<u64>,
    /// How many findings are about it or its partitions.
    pub findings: u32,
}

/// What each partition of a GPU has when the GPU is split into so many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CountMemoryView {
    pub partition_count: u16,
    /// Null when neither the driver nor the catalogue tells.
    pub memory_per_partition_bytes: Option<u64>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionView {
    pub id: String,
    /// The GPU's id.
    pub gpu: String,
    pub server: String,
    pub index: u16,
    pub memory_bytes: Option<u64>,
    pub state: PartitionState,
    /// The id of the VM that it belongs to, or that uses it, or that it is being taken back from.
    pub vm: Option<String>,
    pub vm_name: Option<String>,
    /// Why it is in this state; null when the state says it all.
    pub reason: Option<String>,
}

/// One VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VmView {
    pub id: String,
    pub name: String,
    pub server: String,
    pub power: Power,
    /// Divvy has given it something.
    pub managed: bool,
    pub assignment: Option<AssignmentView>,
    /// The libosinfo id that its definition names.
    pub guest_os: Option<String>,
    /// How many findings are about it.
    pub findings: u32,
}

/// What a VM has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AssignmentView {
    pub kind: AssignmentKind,
    /// The GPU's id; the first one's if there are several; null while it has none.
    pub gpu: Option<String>,
    /// The ids of all its GPUs: more than one only of a VM that has them whole.
    #[serde(default)]
    pub gpus: Vec<String>,
    /// The partition's id; null when the VM has the whole GPU.
    pub partition: Option<String>,
    /// The pool of which its GPUs are picked at each start; null when it keeps what it has.
    #[serde(default)]
    pub pool: Option<String>,
    /// How many of the pool it is promised.
    #[serde(default)]
    pub count: Option<u16>,
    #[serde(default)]
    pub state: AssignmentState,
}

/// A pool of whole GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PoolView {
    pub name: String,
    /// By server and id; never empty.
    pub gpus: Vec<PoolGpuView>,
    /// How many of them are promised to VMs at their start; more than there are, if not all run at once.
    #[serde(default)]
    pub promised: u32,
}

/// One GPU of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PoolGpuView {
    pub id: String,
    pub server: String,
    /// Null while the GPU is not in its server.
    pub pci_address: Option<String>,
    pub model: Option<String>,
    /// Can be given to a VM now.
    pub free: bool,
    /// The id of the VM that it belongs to.
    pub vm: Option<String>,
    pub vm_name: Option<String>,
}

/// What a finding or an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubjectView {
    pub kind: SubjectKind,
    /// Null for the cluster, of which there is one.
    pub id: Option<String>,
}

/// Something that somebody should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FindingView {
    /// Says which finding it is: by code, subject and text.
    #[serde(default)]
    pub id: String,
    pub code: String,
    pub severity: Severity,
    pub subject: SubjectView,
    pub text: String,
    /// What to do about it.
    pub mend: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    pub number: u64,
    pub at_ms: u64,
    pub code: String,
    pub server: Option<String>,
    pub subject: SubjectView,
    pub text: String,
    /// Who asked for it; null for what the hardware did.
    pub principal: Option<String>,
    pub job: Option<u64>,
}

/// One accepted change, until the hardware has followed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobView {
    pub id: u64,
    pub kind: JobKind,
    pub principal: String,
    pub created_ms: u64,
    pub finished_ms: Option<u64>,
    pub progress: Progress,
    pub targets: Vec<JobTargetView>,
}

impl JobView {
    pub fn is_finished(&self) -> bool {
        self.progress != Progress::Running
    }
}

/// One GPU or one VM that a job changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobTargetView {
    pub server: String,
    pub gpu: Option<String>,
    /// The ids of all GPUs that a VM gets or gives back whole; empty when the job is about something else.
    #[serde(default)]
    pub gpus: Vec<String>,
    pub vm: Option<String>,
    pub vm_name: Option<String>,
    pub partition: Option<String>,
    /// The count that the GPU shall have, zero for none; null when the job is about something else.
    pub partition_count: Option<u16>,
    /// What `partition_count` is made up of, where the partitions shall not be equal.
    #[serde(default)]
    pub sizes: Option<Vec<u16>>,
    pub progress: Progress,
    pub steps: Vec<JobStepView>,
    /// What it waits for, or what went wrong.
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// One step that was taken for a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobStepView {
    pub text: String,
    pub outcome: StepOutcome,
    pub at_ms: u64,
}

/// Why something is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainView {
    pub subject: SubjectView,
    /// In reading order, each complete in itself.
    pub sentences: Vec<String>,
    pub findings: Vec<FindingView>,
}

/// Something that goes wrong in a simulated room until it is cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FaultView {
    /// In the words that cause it, the GPU by its id.
    pub fault: String,
}

/// Which server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionView {
    pub version: String,
    /// The server's name.
    pub server: String,
    /// The simulated room that it runs on; null for real hardware.
    pub room: Option<String>,
    /// The SHA-256 fingerprint of the certificate that it shows; null without a listener with TLS.
    #[serde(default)]
    pub certificate_fingerprint: Option<String>,
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanView {
    /// In the order in which each server takes them; empty when none has to be taken now.
    pub steps: Vec<PlanStepView>,
    pub warnings: Vec<FindingView>,
}

/// One step that a server would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanStepView {
    pub server: String,
    pub text: String,
}

/// The answer to a change that was not refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Accepted {
    /// Null when it was so already and there is nothing to do.
    pub job: Option<JobView>,
    pub warnings: Vec<FindingView>,
}

/// The answer to a change: a plan to a dry run, acceptance to a real one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Plan(PlanView),
    Accepted(Accepted),
}

#[cfg(test)]
mod tests;
