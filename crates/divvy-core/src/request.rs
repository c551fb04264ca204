//! Every request that changes what is asked for: one enum, one page. People, jobs, agents and (later)
//! failover use the same door. Names are as the asker typed them; `resolve` turns them into ids.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::desired::PartitionSetting;
use crate::finding::FindingCode;
use crate::id::{GpuId, PartitionId, ServerId, VmId};

/// Which GPUs a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuSelection {
    /// By id, name or address.
    Named(Vec<String>),
    /// Every GPU that can be partitioned, on every server.
    All,
}

/// The partition count that somebody asks for, valid or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CountWish {
    /// No partitions any more.
    Off,
    Count(u16),
    /// One partition of each of these sizes, in any order.
    Sizes(Vec<u16>),
}

/// Which GPUs a VM shall get whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WholeWish {
    /// These, by id, name or address.
    Gpus(Vec<String>),
    /// So many of a pool, on the VM's server; Divvy picks them.
    /// At start: they are picked when the VM starts, and are the pool's again when it is off.
    Pool { pool: String, count: u16, at_start: bool },
}

/// What shall become of a pool of whole GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolWish {
    /// A new one of these GPUs.
    Create {
        gpus: Vec<String>,
    },
    Rename {
        to: String,
    },
    /// Its GPUs are in no pool any more.
    Remove,
    Add {
        gpus: Vec<String>,
    },
    /// These GPUs leave it.
    Take {
        gpus: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Split GPUs into a number of partitions, or stop partitioning them.
    SetPartitionCount { gpus: GpuSelection, wish: CountWish },
    /// Give each VM one partition. Divvy picks it; the GPU may be wished for, and how much of its memory
    /// each needs.
    Assign {
        vms: Vec<String>,
        gpu: Option<String>,
        memory_bytes: Option<u64>,
        /// Always refused: the partition is Divvy's choice.
        partition: Option<String>,
        accept: BTreeSet<FindingCode>,
    },
    /// Take each VM's partition back.
    Unassign { vms: Vec<String> },
    /// Give a VM whole GPUs.
    AssignDda { vm: String, wish: WholeWish, accept: BTreeSet<FindingCode> },
    /// Take a VM's whole GPUs back.
    UnassignDda { vm: String },
    /// Make or change a pool.
    Pool { pool: String, wish: PoolWish },
    /// Try to get a quarantined partition clean again: by its reset once more, or by making all
    /// partitions of its GPU again.
    Cure { partition: String, remake: bool },

    // From agents and jobs: what the hardware made of a decision.
    /// A count could not be reached; the GPU goes back to what it had.
    RevertCount { server: ServerId, gpu: GpuId, failed: PartitionSetting, back_to: Option<PartitionSetting> },
    /// An assignment could not be carried out.
    RevertAssignment { server: ServerId, vm: VmId, partition: PartitionId },
    /// A VM that Divvy restarted or started runs.
    RestartDone { server: ServerId, vm: VmId },
    /// A partition that was given up is proved clean.
    PartitionClean { server: ServerId, partition: PartitionId },
    /// A partition that was given up could not be proved clean.
    Quarantine { server: ServerId, partition: PartitionId, reason: String },
    /// Whole GPUs could not be given to their VM.
    RevertDda { server: ServerId, vm: VmId, gpus: Vec<GpuId> },
    /// A VM with a claim starts: pick its GPUs, and start it when it has them.
    FillClaim { server: ServerId, vm: VmId },
    /// A VM with a claim is off again, or its start failed: its GPUs go back to the pool.
    EmptyClaim { server: ServerId, vm: VmId, gpus: Vec<GpuId>, failed: bool },
    /// A whole GPU that was given up is the server's again.
    GpuReturned { server: ServerId, gpu: GpuId },
    /// All partitions of a GPU were made again to cure one of them.
    PartitionsRemade { server: ServerId, gpu: GpuId },
}
