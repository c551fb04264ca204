//! What one server reports it is, at one moment. Concrete addresses and group numbers stand here and
//! are good for that moment only.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::catalogue;
use crate::desired::Generation;
use crate::device::DeviceHandle;
use crate::finding::{Finding, Subject};
use crate::gpu::{GpuModel, PartitionCount, Scheme, ValidPartitionCounts};
use crate::id::{BootId, GpuId, PartitionIndex, ServerId, VmId};
use crate::pci_address::PciAddress;
use crate::vm::ObservedVm;

/// One partition as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedPartition {
    pub index: PartitionIndex,
    /// The PCI function that carries it: its own, or its GPU's.
    pub address: PciAddress,
    /// What a VM is given.
    pub device: DeviceHandle,
    pub iommu_group: Option<u32>,
    /// Other endpoints in its IOMMU group; not empty means not isolated.
    pub group_peers: Vec<PciAddress>,
    pub driver: Option<String>,
    pub driver_override: Option<String>,
    /// A process has it open.
    pub open: bool,
    /// Reset methods, best first; empty: it cannot be reset.
    pub reset_methods: Vec<String>,
    /// Address space its memory windows need, bytes.
    pub mmio_bytes: Option<u64>,
    /// The GPU's memory that it has, where the driver tells, bytes.
    pub memory_bytes: Option<u64>,
    /// As large as each of so many, where partitions of one GPU can differ and the driver tells.
    #[serde(default)]
    pub size: Option<PartitionCount>,
}

/// One function of a GPU's slot: the GPU itself, its audio, its USB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFunction {
    pub address: PciAddress,
    pub driver: Option<String>,
    pub driver_override: Option<String>,
    pub iommu_group: Option<u32>,
}

/// What matters when a GPU is given away whole: everything in its slot goes along.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// By address; the GPU's own among them. Empty: not read.
    pub functions: Vec<SlotFunction>,
    /// Endpoints of other slots in the IOMMU groups of these functions; not empty means not isolated.
    pub strangers: Vec<PciAddress>,
    /// The firmware drew the server's console on it.
    pub is_boot_display: bool,
    /// A process has one of the functions open by VFIO.
    pub open: bool,
    /// Reset methods of the GPU's own function, best first; empty: it cannot be reset.
    pub reset_methods: Vec<String>,
    /// Address space that the memory windows of all functions need, bytes.
    pub mmio_bytes: Option<u64>,
}

/// Whether a GPU answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GpuHealth {
    Ok,
    /// A write or a read hangs, the device has gone from the bus, or what is read contradicts itself.
    Unknown {
        reason: String,
    },
}

/// One GPU as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedGpu {
    pub id: GpuId,
    pub model: GpuModel,
    pub address: PciAddress,
    pub serial: Option<String>,
    pub numa_node: Option<u32>,
    pub driver: Option<String>,
    pub driver_version: Option<String>,
    /// Its memory corrects errors (ECC) now. None: nobody tells.
    #[serde(default)]
    pub ecc: Option<bool>,
    pub memory_bytes: Option<u64>,
    pub iommu_group: Option<u32>,
    /// None: it cannot be partitioned as it is.
    pub scheme: Option<Scheme>,
    pub valid_counts: ValidPartitionCounts,
    /// Hardware limit of the number of partitions.
    pub max_partitions: u16,
    /// How many there are now, zero included; None when it cannot be read. A function that the driver
    /// gave no share of the GPU is no partition.
    pub partition_count: Option<u16>,
    /// The count for which its partitions have the right size, where they come one by one: if there
    /// are fewer, the missing ones can be made while the others are in use.
    pub sized_for: Option<PartitionCount>,
    /// Sizes of which one more can be made now, where partitions can differ.
    #[serde(default)]
    pub sizes_on_offer: Vec<PartitionCount>,
    /// PCI functions that are there to carry partitions, whether they do or not.
    #[serde(default)]
    pub carriers: u16,
    /// The server's own drivers take new partitions (`sriov_drivers_autoprobe`).
    pub autoprobe: bool,
    pub partitions: Vec<ObservedPartition>,
    #[serde(default)]
    pub slot: Slot,
    pub health: GpuHealth,
}

impl ObservedGpu {
    /// Nothing of a split is left: neither partitions nor what carried them.
    pub fn is_off(&self) -> bool {
        let has_carriers = self.scheme.is_some_and(Scheme::keeps_carriers) && self.carriers > 0;
        self.partition_count == Some(0) && !has_carriers
    }

    pub fn partition(&self, index: PartitionIndex) -> Option<&ObservedPartition> {
        self.partitions.iter().find(|partition| partition.index == index)
    }

    /// What one of its partitions has: as the driver tells, or by its size, or an equal share.
    pub fn memory_of(&self, partition: &ObservedPartition) -> Option<u64> {
        let size = || partition.size.map(PartitionCount::get).or(self.partition_count);
        partition.memory_bytes.or_else(|| self.memory_of_each(size()?))
    }

    /// The function of its slot with this number.
    pub fn function(&self, number: u8) -> Option<&SlotFunction> {
        self.slot.functions.iter().find(|function| function.address.function == number)
    }

    pub fn is_healthy(&self) -> bool {
        self.health == GpuHealth::Ok
    }

    /// What each of so many equal partitions has, in bytes: as the driver tells it of one of that size, as
    /// the catalogue has it for the GPU's scheme, or an equal share. None: it cannot be told, or it is 0.
    pub fn memory_of_each(&self, count: u16) -> Option<u64> {
        let size = |one: &ObservedPartition| one.size.map(PartitionCount::get).or(self.partition_count);
        let of_size = self.partitions.iter().filter(|one| size(one) == Some(count));
        let told = of_size.filter_map(|one| one.memory_bytes).next();
        let listed = || catalogue::memory_by(catalogue::of_model(&self.model)?, self.scheme, count);
        let share = || self.memory_bytes?.checked_div(u64::from(count));
        let is_cut = self.scheme == Some(Scheme::NvidiaMig);
        told.or_else(listed).or_else(|| if is_cut { None } else { share() })
    }
}

/// Whether the server's VMs can be seen and changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HypervisorHealth {
    /// Nobody has looked yet: the agent has just started.
    NotAsked,
    Connected {
        version: String,
    },
    Unavailable {
        reason: String,
    },
}

impl HypervisorHealth {
    /// Why the server's VMs cannot be seen and changed; None: they can.
    pub fn unavailable(&self) -> Option<&str> {
        match self {
            Self::Connected { .. } => None,
            Self::Unavailable { reason } => Some(reason),
            Self::NotAsked => Some("divvyd has just started and has not asked it yet"),
        }
    }
}

/// What the last turn of the agent could not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub gpu: Option<GpuId>,
    pub vm: Option<VmId>,
    /// The step, in words.
    pub step: String,
    /// What went wrong, the whole chain of causes in one text.
    pub error: String,
    pub hint: String,
}

impl Failure {
    /// What it is about.
    pub fn subject(&self, server: &ServerId) -> Subject {
        match (&self.vm, &self.gpu) {
            (Some(vm), _) => Subject::Vm(vm.clone()),
            (None, Some(gpu)) => Subject::Gpu(gpu.clone()),
            (None, None) => Subject::Server(server.clone()),
        }
    }
}

/// One server's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub server: ServerId,
    /// None: it could not be read yet.
    pub boot_id: Option<BootId>,
    /// The desired generation that the agent had planned from when it reported this.
    pub generation: Generation,
    pub hypervisor: HypervisorHealth,
    pub memory_bytes: Option<u64>,
    pub gpus: Vec<ObservedGpu>,
    pub vms: Vec<ObservedVm>,
    pub findings: Vec<Finding>,
    pub failures: Vec<Failure>,
}

impl Observed {
    pub fn gpu(&self, id: &GpuId) -> Option<&ObservedGpu> {
        self.gpus.iter().find(|gpu| gpu.id == *id)
    }

    pub fn vm(&self, id: &VmId) -> Option<&ObservedVm> {
        self.vms.iter().find(|vm| vm.id == *id)
    }

    /// VMs that have this device, in their definition or live.
    pub fn vms_with_device(&self, device: impl Into<DeviceHandle>) -> impl Iterator<Item = &ObservedVm> {
        let device = device.into();
        self.vms.iter().filter(move |vm| vm.device(device).is_some())
    }

    pub fn hypervisor_is_connected(&self) -> bool {
        matches!(self.hypervisor, HypervisorHealth::Connected { .. })
    }
}
