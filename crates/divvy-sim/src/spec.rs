//! The hardware and software of one simulated server, as data: PCI functions, drivers, VMs. What it
//! does when it runs is not known here. Everything in it outlives a reboot.

use std::time::Duration;

use divvy_core::gpu::Scheme;
use divvy_core::id::ServerId;

use crate::vms::VmDefinition;

/// How long the kernel sleeps. Nothing sleeps with [`Delays::none`], and a call with a deadline that
/// would have to wait gives up at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// In a write of a count to `sriov_numvfs`.
    pub enable: Duration,
    /// In a write of 0 to it.
    pub disable: Duration,
    /// In a reset of one function, also when a VM opens or closes it.
    pub reset: Duration,
    /// How long a hot-unplug waits for the VM.
    pub unplug: Duration,
}

impl Delays {
    pub fn none() -> Self {
        Self {
            enable: Duration::ZERO,
            disable: Duration::ZERO,
            reset: Duration::ZERO,
            unplug: Duration::ZERO,
        }
    }

    /// What Linux takes, whatever the hardware.
    pub fn kernel() -> Self {
        Self {
            enable: Duration::from_millis(100),
            disable: Duration::from_secs(1),
            reset: Duration::from_millis(100),
            unplug: Duration::from_secs(5),
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::none()
    }
}

/// What a driver does with `sriov_numvfs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SriovSupport {
    /// No function for it: every change is ENOENT.
    None,
    /// Takes its partitions away when it leaves the function.
    RemovesOnUnbind,
    /// Leaves them there (`pci-pf-stub`).
    LeavesOnUnbind,
    /// No function for it, and what was made by other ways goes with it (nvidia, gim).
    OnlyRemoves,
}

/// How `creatable_vgpu_types` is written: real servers and the vendor's guide differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeText {
    /// A head line, then `1145  : NVIDIA L40S-1B`.
    IdFirst,
    /// `NVIDIA A40-1Q 557`, no head line.
    NameFirst,
}

/// What only a GPU has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuSpec {
    /// One with [`Scheme::NvidiaMig`] is delivered with its MIG mode on.
    pub scheme: Scheme,
    pub type_text: TypeText,
}

impl GpuSpec {
    /// The driver that splits it.
    pub fn driver(self) -> &'static str {
        driver_of(self.scheme)
    }
}

/// The driver that splits GPUs so.
pub fn driver_of(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Sriov => crate::hardware::GPU_DRIVER,
        Scheme::IntelXe => "xe",
        Scheme::IntelI915 => "i915",
        Scheme::NvidiaVfio | Scheme::NvidiaMdev | Scheme::NvidiaMdevPf | Scheme::NvidiaMig => "nvidia",
        Scheme::AmdGim => "gim",
    }
}

#[derive(Debug, Clone)]
pub struct DriverSpec {
    pub name: String,
    pub module: String,
    pub version: Option<String>,
    /// Vendor and device numbers that it takes by itself.
    pub ids: Vec<(u16, u16)>,
    pub sriov: SriovSupport,
    /// The most VFs that it makes, where that is fewer than the hardware could (`pci_sriov_set_totalvfs`).
    pub most_vfs: Option<u16>,
    /// Hands functions to VMs.
    pub vfio: bool,
    /// Refuses VFs, also those with its numbers.
    pub physical_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SriovSpec {
    pub total: u16,
    pub offset: u16,
    pub stride: u16,
    pub vf_device_id: u16,
    pub vf_subsystem_id: u16,
    /// Memory windows of one VF: number of the BAR and size.
    pub vf_bars: Vec<(usize, u64)>,
}

/// Vendor, device, subsystem vendor, subsystem device.
pub type Numbers = (u16, u16, u16, u16);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Index of the bridge above it; None: on the root bus.
    pub parent: Option<usize>,
    pub domain: u32,
    pub root_bus: u8,
    pub bus: u8,
    pub device: u8,
    pub function: u8,
    /// Bus numbers beyond its own that the bridge above it lets through.
    pub spare_buses: u8,
    pub bridge: bool,
    pub numbers: Numbers,
    pub class: u32,
    /// PCI Device Serial Number.
    pub serial: Option<u64>,
    pub sriov: Option<SriovSpec>,
    /// Memory windows: number of the BAR and size.
    pub bars: Vec<(usize, u64)>,
    pub numa_node: i32,
    /// Its bridge keeps its functions apart (ACS): a group for each.
    pub isolated: bool,
    /// The physical slot.
    pub slot: Option<u32>,
    /// Best first.
    pub reset_methods: Vec<&'static str>,
    pub gpu: Option<GpuSpec>,
}

#[derive(Debug, Clone)]
pub struct ServerSpec {
    pub id: ServerId,
    pub seed: u64,
    pub memory_bytes: u64,
    pub iommu: bool,
    /// A bridge stands before what is behind it.
    pub functions: Vec<FunctionSpec>,
    pub drivers: Vec<DriverSpec>,
    pub vms: Vec<VmDefinition>,
}
