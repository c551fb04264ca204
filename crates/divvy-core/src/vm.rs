//! A VM as its hypervisor describes it, reduced to what matters for a GPU. The definition itself (the
//! XML) never comes here.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::device::DeviceHandle;
use crate::id::VmId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    Off,
    Running,
    Paused,
    Unknown,
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Off => "off",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Unknown => "unknown",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Firmware {
    Bios,
    Uefi,
    /// The VM boots a kernel that its server hands it; firmware does not place devices for it.
    DirectKernel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Machine {
    Q35,
    I440fx,
    Other,
}

/// A device of the server in a VM: in its definition, in the running VM, or in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmDevice {
    pub device: DeviceHandle,
    /// The partition that Divvy put in as this device, by the name that it left with it; None: another
    /// hand put it in.
    pub alias: Option<String>,
    /// In the definition that the next start uses.
    pub defined: bool,
    /// In the running VM.
    pub live: bool,
}

/// Settings of a VM that can conflict with a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSettings {
    pub firmware: Firmware,
    pub machine: Machine,
    /// Memory that the VM may have, bytes.
    pub memory_bytes: u64,
    /// Memory that it has now; less than `memory_bytes` means ballooning. Bytes.
    pub current_memory_bytes: u64,
    /// Ports that can take one more PCI Express device while the VM runs.
    pub free_hotplug_ports: u32,
    pub snapshots: u32,
    /// A saved memory image exists: the next start restores it instead of booting.
    pub saved_state: bool,
    /// The hypervisor starts the VM when the server boots.
    pub autostart: bool,
    /// Has a definition that outlives a power-off.
    pub persistent: bool,
    /// The libosinfo id in its metadata (`http://ubuntu.com/ubuntu/22.04`).
    pub guest_os: Option<String>,
}

/// One VM on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedVm {
    pub id: VmId,
    pub name: String,
    pub power: Power,
    pub settings: VmSettings,
    pub devices: Vec<VmDevice>,
}

impl ObservedVm {
    pub fn device(&self, device: impl Into<DeviceHandle>) -> Option<&VmDevice> {
        let device = device.into();
        self.devices.iter().find(|known| known.device == device)
    }

    pub fn is_off(&self) -> bool {
        self.power == Power::Off
    }
}
