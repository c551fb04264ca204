//! Who has what: a partition belongs to one VM, a VM has at most one partition.

use alloc::collections::BTreeSet;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::finding::FindingCode;
use crate::id::{PartitionId, VmId};

/// An assignment as it was decided. It names the partition; only `decide` makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    pub vm: VmId,
    /// The VM's name when it was assigned, so that a VM that is gone can still be named.
    pub vm_name: String,
    pub partition: PartitionId,
    /// Findings that the administrator accepted for this assignment.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accepted: BTreeSet<FindingCode>,
    /// The VM was running, cannot take the partition while running, and its owner accepted a restart:
    /// it is shut down, changed and started, and this is cleared when it runs again.
    #[serde(default)]
    pub restart: bool,
}

/// Why a partition that belongs to no VM is not free either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Hold {
    /// Its last VM gave it up; it goes to another one only after it was proved clean.
    Releasing { vm: VmId, vm_name: String },
    /// It could not be proved clean, or failed.
    Quarantined { reason: String },
}
