//! What a decision changes, as data: edits, the generations it relied on, and what to warn about. A
//! change is applied whole or not at all.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, Hold, Returning};
use crate::desired::{Desired, Generation, PartitionSetting};
use crate::finding::Finding;
use crate::id::{GpuId, PartitionId, PoolName, ServerId, VmId};

/// One edit of one server's desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Edit {
    /// None: Divvy does not say any more what this GPU shall be.
    SetCount {
        server: ServerId,
        gpu: GpuId,
        setting: Option<PartitionSetting>,
        before: Option<PartitionSetting>,
    },
    SetAssignment {
        server: ServerId,
        assignment: Assignment,
    },
    RemoveAssignment {
        server: ServerId,
        vm: VmId,
    },
    /// Of a VM that has nothing of what it claims.
    RemoveClaim {
        server: ServerId,
        vm: VmId,
        vm_name: String,
    },
    SetHold {
        server: ServerId,
        partition: PartitionId,
        hold: Hold,
    },
    RemoveHold {
        server: ServerId,
        partition: PartitionId,
    },
    SetReturning {
        server: ServerId,
        gpu: GpuId,
        returning: Returning,
    },
    RemoveReturning {
        server: ServerId,
        gpu: GpuId,
    },
    /// None: the GPU is in no pool any more.
    SetPool {
        server: ServerId,
        gpu: GpuId,
        pool: Option<PoolName>,
        before: Option<PoolName>,
    },
}

impl Edit {
    pub fn server(&self) -> &ServerId {
        match self {
            Self::SetCount { server, .. }
            | Self::SetAssignment { server, .. }
            | Self::RemoveAssignment { server, .. }
            | Self::RemoveClaim { server, .. }
            | Self::SetHold { server, .. }
            | Self::RemoveHold { server, .. }
            | Self::SetReturning { server, .. }
            | Self::RemoveReturning { server, .. }
            | Self::SetPool { server, .. } => server,
        }
    }
}

/// The outcome of `decide`. No edits: it is so already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub edits: Vec<Edit>,
    /// The generation that each touched server must still have when this is committed.
    pub guards: BTreeMap<ServerId, Generation>,
    pub warnings: Vec<Finding>,
}

/// The desired state is not what the change relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("server {server} is at generation {found:?}, the change relied on {expected:?}", found = found.0, expected = expected.0)]
pub struct Conflict {
    pub server: ServerId,
    pub expected: Generation,
    pub found: Generation,
}

impl Change {
    /// A change of these edits, relying on the generations that `desired` has now.
    pub fn of(edits: Vec<Edit>, desired: &Desired) -> Self {
        let guards = edits
            .iter()
            .map(|edit| {
                let generation = desired.server(edit.server()).map_or(Generation(0), |s| s.generation);
                (edit.server().clone(), generation)
            })
            .collect();
        Self { edits, guards, warnings: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Applies the change, or leaves `desired` as it was.
    pub fn apply(&self, desired: &mut Desired) -> Result<(), Conflict> {
        for (server, expected) in &self.guards {
            let found = desired.server(server).map_or(Generation(0), |s| s.generation);
            if found != *expected {
                return Err(Conflict { server: server.clone(), expected: *expected, found });
            }
        }
        for edit in &self.edits {
            apply_edit(desired, edit);
        }
        for server in self.guards.keys() {
            desired.server_mut(server).generation.0 += 1;
        }
        Ok(())
    }
}

fn apply_edit(desired: &mut Desired, edit: &Edit) {
    let server = desired.server_mut(edit.server());
    match edit {
        Edit::SetCount { gpu, setting: Some(setting), .. } => {
            server.settings.insert(gpu.clone(), *setting);
        }
        Edit::SetCount { gpu, setting: None, .. } => {
            server.settings.remove(gpu);
        }
        Edit::SetAssignment { assignment, .. } => {
            server.assignments.insert(assignment.vm.clone(), assignment.clone());
        }
        Edit::RemoveAssignment { vm, .. } | Edit::RemoveClaim { vm, .. } => {
            server.assignments.remove(vm);
        }
        Edit::SetHold { partition, hold, .. } => {
            server.holds.insert(partition.clone(), hold.clone());
        }
        Edit::RemoveHold { partition, .. } => {
            server.holds.remove(partition);
        }
        Edit::SetReturning { gpu, returning, .. } => {
            server.returns.insert(gpu.clone(), returning.clone());
        }
        Edit::RemoveReturning { gpu, .. } => {
            server.returns.remove(gpu);
        }
        Edit::SetPool { gpu, pool: Some(pool), .. } => {
            server.pools.insert(gpu.clone(), pool.clone());
        }
        Edit::SetPool { gpu, pool: None, .. } => {
            server.pools.remove(gpu);
        }
    }
}
