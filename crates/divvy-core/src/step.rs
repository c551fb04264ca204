//! One step toward what was asked for, on one server. A step names concrete addresses and values and
//! leaves no choice; executing it answers [`Outcome::Changed`] or [`Outcome::Already`].

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::assignment::FormerDriver;
use crate::device::DeviceHandle;
use crate::given::Given;
use crate::gpu::Scheme;
use crate::id::{GpuId, PartitionId, VmId};
use crate::pci_address::PciAddress;
use crate::split::Split;

/// What executing a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Changed,
    Already,
}

/// A step on the server's GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HostStep {
    /// Keep the server's own drivers off the partitions that come next.
    ReservePartitions { gpu: GpuId, address: PciAddress, scheme: Scheme },
    /// Remove all partitions and wait until the last one is gone.
    RemovePartitions { gpu: GpuId, address: PciAddress, scheme: Scheme, count: u16 },
    /// Make partitions, those that are missing where some are there already, read the count back, wait
    /// until each one is there.
    CreatePartitions { gpu: GpuId, address: PciAddress, scheme: Scheme, split: Split },
    /// Take away the functions that carried partitions, where the driver leaves them when those are gone.
    TurnOff { gpu: GpuId, address: PciAddress, scheme: Scheme },
    /// Give one partition the driver that hands it to a VM.
    PreparePartition { partition: PartitionId, address: PciAddress, scheme: Scheme },
    /// Reset a partition that a VM gave up, and prove it.
    CleanPartition { partition: PartitionId, address: PciAddress, scheme: Scheme },
    /// Take a GPU and everything in its slot from the server's drivers, and give it the driver that hands
    /// it to a VM.
    GiveGpu { gpu: GpuId, address: PciAddress, functions: Vec<u8> },
    /// Reset a GPU that a VM gave up, and give it and everything in its slot the drivers that it had.
    TakeGpuBack { gpu: GpuId, address: PciAddress, functions: Vec<FormerDriver> },
}

/// Which of a VM's two descriptions a step changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceScope {
    /// The definition that the next start uses.
    pub defined: bool,
    /// The VM that runs now.
    pub live: bool,
}

/// A step on the server's VMs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum VmStep {
    AddDevice {
        vm: VmId,
        vm_name: String,
        given: Given,
        device: DeviceHandle,
        scope: DeviceScope,
    },
    RemoveDevice {
        vm: VmId,
        vm_name: String,
        given: Option<Given>,
        device: DeviceHandle,
        scope: DeviceScope,
    },
    /// Ask the VM to power off, and wait until it did.
    ShutDown {
        vm: VmId,
        vm_name: String,
    },
    Start {
        vm: VmId,
        vm_name: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "layer", rename_all = "snake_case")]
pub enum Step {
    Host(HostStep),
    Vm(VmStep),
}

impl HostStep {
    pub fn gpu(&self) -> &GpuId {
        match self {
            Self::ReservePartitions { gpu, .. }
            | Self::RemovePartitions { gpu, .. }
            | Self::CreatePartitions { gpu, .. }
            | Self::TurnOff { gpu, .. }
            | Self::GiveGpu { gpu, .. }
            | Self::TakeGpuBack { gpu, .. } => gpu,
            Self::PreparePartition { partition, .. } | Self::CleanPartition { partition, .. } => {
                &partition.gpu
            }
        }
    }
}

impl VmStep {
    pub fn vm(&self) -> &VmId {
        match self {
            Self::AddDevice { vm, .. }
            | Self::RemoveDevice { vm, .. }
            | Self::ShutDown { vm, .. }
            | Self::Start { vm, .. } => vm,
        }
    }
}

impl fmt::Display for DeviceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.defined, self.live) {
            (true, true) => "definition and running VM",
            (true, false) => "definition",
            (false, true) => "running VM",
            (false, false) => "nothing",
        })
    }
}

impl fmt::Display for HostStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservePartitions { gpu, .. } => {
                write!(f, "keep the server's drivers off new partitions of {gpu}")
            }
            Self::RemovePartitions { gpu, address, count, .. } => {
                write!(f, "remove {count} partitions of {gpu} at {address} and wait until they are gone")
            }
            Self::CreatePartitions { gpu, address, split, .. } => {
                write!(f, "make {split} of {gpu} at {address} and read the count back")
            }
            Self::TurnOff { gpu, address, .. } => {
                write!(f, "make {gpu} at {address} a whole GPU again")
            }
            Self::PreparePartition { partition, address, .. } => {
                write!(f, "prepare partition {partition} at {address} for a VM")
            }
            Self::CleanPartition { partition, address, .. } => {
                write!(f, "reset partition {partition} at {address} and prove it clean")
            }
            Self::GiveGpu { gpu, address, functions } => {
                write!(f, "take GPU {gpu} at {address} from the server")?;
                with_the_others(f, functions.len())
            }
            Self::TakeGpuBack { gpu, address, functions } => {
                write!(f, "reset GPU {gpu} at {address} and give it back to the server")?;
                with_the_others(f, functions.len())
            }
        }
    }
}

fn with_the_others(f: &mut fmt::Formatter<'_>, functions: usize) -> fmt::Result {
    match functions.saturating_sub(1) {
        0 => Ok(()),
        others => write!(f, ", with {others} more of its slot"),
    }
}

impl fmt::Display for VmStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddDevice { vm_name, given, device, scope, .. } => {
                let given = given.in_words();
                write!(f, "put {given} at {device} into VM {vm_name} ({scope})")
            }
            Self::RemoveDevice { vm_name, given: Some(given), device, scope, .. } => {
                let given = given.in_words();
                write!(f, "take {given} at {device} out of VM {vm_name} ({scope})")
            }
            Self::RemoveDevice { vm_name, given: None, device, scope, .. } => {
                write!(f, "take the device at {device} out of VM {vm_name} ({scope})")
            }
            Self::ShutDown { vm_name, .. } => write!(f, "shut VM {vm_name} down"),
            Self::Start { vm_name, .. } => write!(f, "start VM {vm_name}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(step) => step.fmt(f),
            Self::Vm(step) => step.fmt(f),
        }
    }
}
