//! What was asked for, per server, with a generation that only grows. Nothing here was observed; no
//! PCI address can stand here.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, Hold, Returning};
use crate::gpu::PartitionCount;
use crate::id::{GpuId, PartitionId, PoolName, ServerId, VmId};

/// Grows by one with every change of one server's desired state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// What one GPU shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionSetting {
    /// Not partitioned.
    Off,
    /// Split into this many.
    Count(PartitionCount),
}

impl PartitionSetting {
    /// Zero for off, as the kernel has it.
    pub fn as_number(self) -> u16 {
        match self {
            Self::Off => 0,
            Self::Count(count) => count.get(),
        }
    }

    pub fn from_number(number: u16) -> Self {
        PartitionCount::new(number).map_or(Self::Off, Self::Count)
    }
}

/// What one server shall be. A GPU without a setting is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredServer {
    pub generation: Generation,
    pub settings: BTreeMap<GpuId, PartitionSetting>,
    pub assignments: BTreeMap<VmId, Assignment>,
    pub holds: BTreeMap<PartitionId, Hold>,
    /// Whole GPUs on their way back from a VM.
    #[serde(default)]
    pub returns: BTreeMap<GpuId, Returning>,
    /// The pool of each GPU that is in one. A pool is there while a GPU is in it.
    #[serde(default)]
    pub pools: BTreeMap<GpuId, PoolName>,
}

impl DesiredServer {
    /// The assignment that holds this partition.
    pub fn owner(&self, partition: &PartitionId) -> Option<&Assignment> {
        self.assignments.values().find(|assignment| assignment.partition() == Some(partition))
    }

    /// The assignment that holds this GPU as a whole.
    pub fn whole_owner(&self, gpu: &GpuId) -> Option<&Assignment> {
        self.assignments.values().find(|assignment| assignment.has_whole(gpu))
    }
}

/// What all servers shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    pub servers: BTreeMap<ServerId, Arc<DesiredServer>>,
}

impl Desired {
    pub fn server(&self, id: &ServerId) -> Option<&DesiredServer> {
        self.servers.get(id).map(Arc::as_ref)
    }

    pub fn server_mut(&mut self, id: &ServerId) -> &mut DesiredServer {
        Arc::make_mut(self.servers.entry(id.clone()).or_default())
    }

    /// The server on which a VM has its assignment, and that assignment.
    pub fn assignment(&self, vm: &VmId) -> Option<(&ServerId, &Assignment)> {
        self.servers.iter().find_map(|(id, server)| Some((id, server.assignments.get(vm)?)))
    }
}
