//! A job: the durable record of one accepted change until the hardware has followed it. It is also the
//! journal: it is written before the first step and says what each target had before, so that a turn
//! after a crash can finish the change or take it back.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::assignment::Claim;
use crate::desired::PartitionSetting;
use crate::id::{GpuId, PartitionId, ServerId, VmId};
use crate::split::Sizes;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    SetPartitionCount,
    Assign,
    Unassign,
    AssignDda,
    UnassignDda,
    FillClaim,
    Cure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    Running,
    Succeeded,
    Failed,
}

/// What one target of a job shall become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Wanted {
    Count {
        gpu: GpuId,
        setting: PartitionSetting,
        before: Option<PartitionSetting>,
        observed_before: Option<u16>,
        /// With `observed_before`, where those were of different sizes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sizes_before: Option<Sizes>,
    },
    Assigned {
        vm: VmId,
        vm_name: String,
        partition: PartitionId,
    },
    Unassigned {
        vm: VmId,
        vm_name: String,
        partition: PartitionId,
    },
    AssignedDda {
        vm: VmId,
        vm_name: String,
        gpus: Vec<GpuId>,
    },
    UnassignedDda {
        vm: VmId,
        vm_name: String,
        gpus: Vec<GpuId>,
    },
    /// So many GPUs of a pool, when it starts.
    Claimed {
        vm: VmId,
        vm_name: String,
        claim: Claim,
    },
    Unclaimed {
        vm: VmId,
        vm_name: String,
    },
    /// The VM runs with the GPUs that were picked for its claim.
    ClaimFilled {
        vm: VmId,
        vm_name: String,
        gpus: Vec<GpuId>,
    },
    Cured {
        partition: PartitionId,
        remake: bool,
    },
}

/// One step that was taken for a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    pub text: String,
    /// `changed`, `already` or `failed`.
    pub outcome: String,
    pub at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTarget {
    pub server: ServerId,
    pub wanted: Wanted,
    pub progress: Progress,
    pub steps: Vec<StepRecord>,
    /// What it waits for, or what went wrong.
    pub detail: Option<String>,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub kind: JobKind,
    pub principal: String,
    pub created_ms: u64,
    pub finished_ms: Option<u64>,
    pub progress: Progress,
    pub targets: Vec<JobTarget>,
}
