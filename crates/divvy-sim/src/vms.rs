//! The VMs of one server: definitions, running VMs, and the devices that these hold. Refusals say what
//! libvirt says. Connections, deadlines and callbacks are not known here.
//!
//! ```text
//! definition ── start ─▶ opens the group of every device ── stop ─▶ closes and resets them
//! ```

use std::collections::BTreeMap;

use divvy_core::device::{DeviceHandle, MdevUuid};
use divvy_core::id::VmId;
use divvy_core::pci_address::PciAddress;
use divvy_core::vm::{ObservedVm, Power, VmDevice, VmSettings};
use serde::{Deserialize, Serialize};

use crate::kernel::Function;
use crate::machine::State;
use crate::tree::Entry;

/// Why libvirt, or the QEMU below it, said no: its own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LibvirtError {
    #[error("Cannot recv data: Connection reset by peer")]
    ConnectionLost,
    #[error("Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory")]
    NoConnection,
    #[error("Domain not found: no domain with matching uuid '{vm}'")]
    NoSuchVm { vm: VmId },
    #[error("operation failed: domain '{name}' already exists with uuid {vm}")]
    Exists { vm: VmId, name: String },
    #[error("Requested operation is not valid: domain is not running")]
    NotRunning,
    #[error("Requested operation is not valid: domain is already running")]
    AlreadyRunning,
    #[error("Requested operation is not valid: domain is transient")]
    Transient,
    #[error(
        "Device {address} not found: could not access /sys/bus/pci/devices/{address}/config: No such file or directory"
    )]
    NoSuchDevice { address: PciAddress },
    #[error("mediated device '{uuid}' not found")]
    NoSuchMdev { uuid: MdevUuid },
    #[error(
        "Requested operation is not valid: mediated device {uuid} is in use by driver QEMU, domain {name}"
    )]
    MdevInUse { uuid: MdevUuid, name: String },
    #[error("internal error: Unknown PCI header type '127' for device '{address}'")]
    DeviceLost { address: PciAddress },
    #[error("Requested operation is not valid: PCI device {address} is in use by driver QEMU, domain {name}")]
    InUse { address: PciAddress, name: String },
    #[error(
        "Requested operation is not valid: Unmanaged PCI device {address} must be manually detached from the host"
    )]
    NotOnVfio { address: PciAddress },
    #[error(
        "internal error: qemu unexpectedly closed the monitor: vfio {address}: group {group} is not viable\nPlease ensure all devices within the iommu_group are bound to their vfio bus driver."
    )]
    NotViable { address: PciAddress, group: u32 },
    #[error(
        "internal error: qemu unexpectedly closed the monitor: vfio {address}: Could not open '/dev/vfio/{group}': Device or resource busy"
    )]
    GroupBusy { address: PciAddress, group: u32 },
    #[error("internal error: No more available PCI slots")]
    NoFreePort,
    #[error("unsupported configuration: non unique alias detected: ua-{alias}")]
    AliasTaken { alias: String },
    #[error("operation failed: target {} device {device} already exists", kind(device))]
    AlreadyDefined { device: DeviceHandle },
    #[error("device not found: host {} device {device} not found", kind(device))]
    NotAttached { device: DeviceHandle },
}

/// A device in a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinedDevice {
    pub device: DeviceHandle,
    /// The name that its owner left with it.
    pub alias: Option<String>,
}

/// What a VM is when it is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmDefinition {
    pub id: VmId,
    pub name: String,
    pub settings: VmSettings,
    pub devices: Vec<DefinedDevice>,
}

/// How a VM answers when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manners {
    /// Lets go of a device that is to be unplugged.
    pub lets_go: bool,
    /// Powers off when it is asked to.
    pub powers_off: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self { lets_go: true, powers_off: true }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LiveDevice {
    pub device: DeviceHandle,
    pub alias: Option<String>,
    pub group: u32,
    /// Came while the VM ran, into a free port.
    pub hot: bool,
    /// The VM was asked to let it go, and has not yet.
    pub unplug_asked: bool,
}

/// A VM that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Live {
    pub pid: u32,
    pub paused: bool,
    pub devices: Vec<LiveDevice>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vm {
    pub definition: VmDefinition,
    pub live: Option<Live>,
    pub manners: Manners,
}

impl Vm {
    pub fn new(definition: VmDefinition) -> Self {
        Self { definition, live: None, manners: Manners::default() }
    }

    pub fn live_device(&self, device: DeviceHandle) -> Option<&LiveDevice> {
        self.live.as_ref()?.devices.iter().find(|known| known.device == device)
    }

    pub fn defined_device(&self, device: DeviceHandle) -> Option<&DefinedDevice> {
        self.definition.devices.iter().find(|known| known.device == device)
    }

    fn free_ports(&self) -> u32 {
        let used = self.live.iter().flat_map(|live| &live.devices).filter(|device| device.hot).count();
        self.definition.settings.free_hotplug_ports.saturating_sub(used as u32)
    }

    pub fn observed(&self) -> ObservedVm {
        let mut devices: BTreeMap<DeviceHandle, VmDevice> = BTreeMap::new();
        for DefinedDevice { device, alias } in self.definition.devices.iter().cloned() {
            devices.insert(device, VmDevice { device, alias, defined: true, live: false });
        }
        for LiveDevice { device, alias, .. } in self.live.iter().flat_map(|live| &live.devices).cloned() {
            let fresh = VmDevice { device, alias, defined: false, live: true };
            devices.entry(device).or_insert(fresh).live = true;
        }
        let power = match &self.live {
            None => Power::Off,
            Some(live) if live.paused => Power::Paused,
            Some(_) => Power::Running,
        };
        let mut settings = self.definition.settings.clone();
        settings.free_hotplug_ports = self.free_ports();
        let devices = devices.into_values().collect();
        ObservedVm {
            id: self.definition.id.clone(),
            name: self.definition.name.clone(),
            power,
            settings,
            devices,
        }
    }
}

impl State {
    pub(crate) fn vm(&self, id: &VmId) -> Result<&Vm, LibvirtError> {
        self.vms.get(id).ok_or_else(|| LibvirtError::NoSuchVm { vm: id.clone() })
    }

    pub(crate) fn vm_mut(&mut self, id: &VmId) -> Result<&mut Vm, LibvirtError> {
        self.vms.get_mut(id).ok_or_else(|| LibvirtError::NoSuchVm { vm: id.clone() })
    }

    /// Starts a VM with every device of its definition, or not at all. Answers how many were reset.
    pub(crate) fn start_vm(&mut self, id: &VmId) -> Result<u32, LibvirtError> {
        let vm = self.vm(id)?;
        if vm.live.is_some() {
            return Err(LibvirtError::AlreadyRunning);
        }
        let wanted = vm.definition.devices.clone();
        let pid = self.next_pid;
        self.next_pid += 1;
        let mut devices = Vec::new();
        for device in &wanted {
            match self.open_device(id, pid, device.device) {
                Ok(group) => devices.push(live_device(device, group, false)),
                Err(error) => {
                    self.close_devices(pid, &devices);
                    return Err(error);
                }
            }
        }
        let resets = devices.len() as u32;
        let vm = self.vm_mut(id)?;
        vm.live = Some(Live { pid, paused: false, devices });
        vm.definition.settings.saved_state = false;
        self.wake = true;
        Ok(resets)
    }

    /// The VM is off after it. Answers how many devices were reset.
    pub(crate) fn stop_vm(&mut self, id: &VmId) -> Result<u32, LibvirtError> {
        let vm = self.vm_mut(id)?;
        let live = vm.live.take().ok_or(LibvirtError::NotRunning)?;
        if !vm.definition.settings.persistent {
            self.vms.remove(id);
        }
        self.close_devices(live.pid, &live.devices);
        self.wake = true;
        Ok(live.devices.len() as u32)
    }

    /// Somebody presses the power button of a running VM: it powers off if it listens. Answers how many
    /// devices were reset.
    pub(crate) fn power_button(&mut self, id: &VmId) -> u32 {
        let listens = self
            .vms
            .get(id)
            .is_some_and(|vm| vm.manners.powers_off && vm.live.as_ref().is_some_and(|live| !live.paused));
        if listens { self.stop_vm(id).unwrap_or(0) } else { 0 }
    }

    pub(crate) fn plug_live(&mut self, id: &VmId, device: &DefinedDevice) -> Result<(), LibvirtError> {
        let vm = self.vm(id)?;
        let live = vm.live.as_ref().ok_or(LibvirtError::NotRunning)?;
        let pid = live.pid;
        refuse_alias(device, live.devices.iter().map(|known| &known.alias))?;
        if vm.free_ports() == 0 {
            return Err(LibvirtError::NoFreePort);
        }
        let group = self.open_device(id, pid, device.device)?;
        if let Some(live) = self.vm_mut(id)?.live.as_mut() {
            live.devices.push(live_device(device, group, true));
        }
        self.wake = true;
        Ok(())
    }

    /// Asks the VM to let go. Answers whether it did at once.
    pub(crate) fn unplug_live(&mut self, id: &VmId, device: DeviceHandle) -> Result<bool, LibvirtError> {
        let vm = self.vm_mut(id)?;
        let lets_go = vm.manners.lets_go;
        let live = vm.live.as_mut().ok_or(LibvirtError::NotRunning)?;
        let paused = live.paused;
        let plugged = live.devices.iter_mut().find(|plugged| plugged.device == device);
        plugged.ok_or(LibvirtError::NotAttached { device })?.unplug_asked = true;
        if lets_go && !paused {
            self.let_go(id);
            return Ok(true);
        }
        Ok(false)
    }

    pub(crate) fn add_to_definition(
        &mut self,
        id: &VmId,
        device: &DefinedDevice,
    ) -> Result<(), LibvirtError> {
        let vm = self.vm_mut(id)?;
        if !vm.definition.settings.persistent {
            return Err(LibvirtError::Transient);
        }
        if vm.defined_device(device.device).is_some() {
            return Err(LibvirtError::AlreadyDefined { device: device.device });
        }
        refuse_alias(device, vm.definition.devices.iter().map(|known| &known.alias))?;
        vm.definition.devices.push(device.clone());
        self.wake = true;
        Ok(())
    }

    pub(crate) fn remove_from_definition(
        &mut self,
        id: &VmId,
        device: DeviceHandle,
    ) -> Result<(), LibvirtError> {
        let vm = self.vm_mut(id)?;
        vm.defined_device(device).ok_or(LibvirtError::NotAttached { device })?;
        vm.definition.devices.retain(|known| known.device != device);
        self.wake = true;
        Ok(())
    }

    /// The kernel asks whoever has a function open to give it back. A VM that does loses it for good;
    /// its definition still names it.
    pub(crate) fn ask_for_device(&mut self, address: PciAddress) {
        let mut willing = Vec::new();
        for (id, vm) in &mut self.vms {
            let Some(live) = &mut vm.live else { continue };
            for device in live.devices.iter_mut().filter(|device| device.device == address.into()) {
                device.unplug_asked = true;
            }
            willing.push(id.clone());
        }
        for id in willing {
            self.let_go(&id);
        }
    }

    /// The VM gives back every device that it was asked for, when it is willing and able to.
    pub(crate) fn let_go(&mut self, id: &VmId) {
        let Some(vm) = self.vms.get_mut(id) else { return };
        let lets_go = vm.manners.lets_go;
        let Some(live) = vm.live.as_mut() else { return };
        if !lets_go || live.paused {
            return;
        }
        let pid = live.pid;
        let (gone, kept) = live.devices.drain(..).partition(|device| device.unplug_asked);
        live.devices = kept;
        let gone: Vec<LiveDevice> = gone;
        self.wake |= !gone.is_empty();
        self.close_devices(pid, &gone);
    }

    fn open_device(&mut self, id: &VmId, pid: u32, device: DeviceHandle) -> Result<u32, LibvirtError> {
        match device {
            DeviceHandle::Pci(address) => self.open_function(id, pid, address),
            DeviceHandle::Mdev(uuid) => self.open_mdev(pid, uuid),
        }
    }

    /// A mediated device stands in the tree with a group of its own.
    fn open_mdev(&mut self, pid: u32, uuid: MdevUuid) -> Result<u32, LibvirtError> {
        let link = format!("sys/bus/mdev/devices/{uuid}/iommu_group");
        let group = match self.kernel.tree.resolve(&link, false) {
            Ok(Entry::Link(target)) => target.rsplit('/').next().and_then(|number| number.parse().ok()),
            _ => None,
        };
        let group: u32 = group.ok_or(LibvirtError::NoSuchMdev { uuid })?;
        if let Some(holder) = self.vms.values().find(|vm| vm.live_device(uuid.into()).is_some()) {
            return Err(LibvirtError::MdevInUse { uuid, name: holder.definition.name.clone() });
        }
        self.kernel.open_group(group, pid);
        Ok(group)
    }

    fn open_function(&mut self, id: &VmId, pid: u32, address: PciAddress) -> Result<u32, LibvirtError> {
        let function = self.kernel.functions.get(&address);
        let function = function.ok_or(LibvirtError::NoSuchDevice { address })?;
        if self.faults_of(address).lost {
            return Err(LibvirtError::DeviceLost { address });
        }
        if let Some(holder) = self.vms.values().find(|vm| vm.live_device(address.into()).is_some()) {
            return Err(LibvirtError::InUse { address, name: holder.definition.name.clone() });
        }
        let group = match function.group {
            Some(group) if self.kernel.is_on_vfio(address) => group,
            _ => return Err(LibvirtError::NotOnVfio { address }),
        };
        if !self.kernel.is_viable(group) {
            return Err(LibvirtError::NotViable { address, group });
        }
        let others = self.kernel.open.get(&group).into_iter().flatten();
        if others.into_iter().any(|other| *other != pid) {
            return Err(LibvirtError::GroupBusy { address, group });
        }
        self.kernel.open_group(group, pid);
        // A reset that fails does not stop the kernel from opening the function.
        let _ = self.reset_function(address);
        if let Some(function) = self.kernel.functions.get_mut(&address) {
            function.residue.get_or_insert_with(|| id.clone());
        }
        Ok(group)
    }

    fn close_devices(&mut self, pid: u32, devices: &[LiveDevice]) {
        for device in devices {
            // As at the opening: the kernel tries, and goes on.
            if let DeviceHandle::Pci(address) = device.device {
                let _ = self.reset_function(address);
            }
        }
        for device in devices {
            let still_used =
                self.vms.values().filter_map(|vm| vm.live.as_ref()).any(|live| {
                    live.pid == pid && live.devices.iter().any(|other| other.group == device.group)
                });
            if !still_used {
                self.kernel.close_group(device.group, pid);
            }
        }
    }

    /// The VM whose data a function's memory holds.
    pub(crate) fn residue(&self, address: PciAddress) -> Option<VmId> {
        self.kernel.functions.get(&address).and_then(|function: &Function| function.residue.clone())
    }
}

fn kind(device: &DeviceHandle) -> &'static str {
    match device {
        DeviceHandle::Pci(_) => "pci",
        DeviceHandle::Mdev(_) => "mdev",
    }
}

fn live_device(device: &DefinedDevice, group: u32, hot: bool) -> LiveDevice {
    let DefinedDevice { device, alias } = device.clone();
    LiveDevice { device, alias, group, hot, unplug_asked: false }
}

fn refuse_alias<'a>(
    device: &DefinedDevice,
    mut known: impl Iterator<Item = &'a Option<String>>,
) -> Result<(), LibvirtError> {
    match &device.alias {
        Some(alias) if known.any(|other| other.as_deref() == Some(alias)) => {
            Err(LibvirtError::AliasTaken { alias: alias.clone() })
        }
        _ => Ok(()),
    }
}
