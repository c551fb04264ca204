//! One simulated server, as the people around it use it: power buttons, cables, reboots, an
//! administrator with virsh. Divvy itself sees only [`SimServer::sysfs`] and
//! [`SimServer::hypervisor`].

use std::sync::Arc;

use divvy_core::id::{ServerId, VmId};
use divvy_core::pci_address::PciAddress;
use divvy_core::vm::ObservedVm;

use crate::fault::GpuFault;
use crate::hypervisor::SimHypervisor;
use crate::kernel::Function;
use crate::machine::{Connection, Machine};
use crate::saved::SavedServer;
use crate::spec::{Delays, ServerSpec};
use crate::sysfs::SimSysfs;
use crate::telemetry::SimTelemetry;
use crate::vms::{DefinedDevice, LibvirtError, Manners, Vm, VmDefinition};

/// What happens to PCI addresses at a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    Kept,
    /// Somebody plugged something in: every bus behind a bridge moves on by one, so that an address may
    /// name another GPU than before.
    Renumbered,
}

/// A GPU as the room knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuPlace {
    pub serial: u64,
    pub address: PciAddress,
}

#[derive(Clone)]
pub struct SimServer {
    id: ServerId,
    pub(crate) machine: Arc<Machine>,
}

impl SimServer {
    pub fn new(spec: ServerSpec, delays: Delays) -> Self {
        Self { id: spec.id.clone(), machine: Arc::new(Machine::new(spec, delays)) }
    }

    pub fn id(&self) -> &ServerId {
        &self.id
    }

    pub fn sysfs(&self) -> Arc<SimSysfs> {
        Arc::new(SimSysfs::new(Arc::clone(&self.machine)))
    }

    /// What the GPUs' vendor tells beside the kernel.
    pub fn telemetry(&self) -> Arc<SimTelemetry> {
        Arc::new(SimTelemetry::new(Arc::clone(&self.machine)))
    }

    pub fn hypervisor(&self) -> SimHypervisor {
        SimHypervisor::new(Arc::clone(&self.machine))
    }

    /// GPUs by address. The serial number stays with a GPU, the address need not.
    pub fn gpus(&self) -> Vec<GpuPlace> {
        let is_gpu = |function: &Function| matches!(function.class >> 8, 0x0300 | 0x0302 | 0x0380 | 0x1200);
        let place =
            |function: &Function| Some((function.serial.filter(|_| is_gpu(function))?, function.address));
        let places = self.machine.with(|state| {
            state.kernel.functions.values().filter_map(place).collect::<Vec<(u64, PciAddress)>>()
        });
        places.into_iter().map(|(serial, address)| GpuPlace { serial, address }).collect()
    }

    pub fn boot_id(&self) -> String {
        self.machine.with(|state| state.kernel.boot_id.clone())
    }

    /// Power off and on again: partitions, overrides, bindings and running VMs are gone. VMs that start
    /// by themselves wait for [`SimServer::start_autostart`].
    pub fn reboot(&self, addresses: Addresses) {
        self.machine.with(|state| {
            let shift = match addresses {
                Addresses::Kept => state.bus_shift,
                Addresses::Renumbered => (state.bus_shift + 1) % 8,
            };
            state.reboot(shift);
        });
    }

    /// What libvirt does when it comes up: starts every VM marked so. Answers those that did not start.
    pub fn start_autostart(&self) -> Vec<(VmId, LibvirtError)> {
        self.machine.with(|state| {
            let marked: Vec<VmId> = state
                .vms
                .values()
                .filter(|vm| vm.definition.settings.autostart && vm.live.is_none())
                .map(|vm| vm.definition.id.clone())
                .collect();
            let start = |id: VmId| Some((id.clone(), state.start_vm(&id).err()?));
            marked.into_iter().filter_map(start).collect()
        })
    }

    pub fn vms(&self) -> Vec<ObservedVm> {
        self.machine.with(|state| state.vms.values().map(Vm::observed).collect())
    }

    /// Somebody starts a VM, not Divvy.
    pub fn power_on(&self, vm: &VmId) -> Result<(), LibvirtError> {
        self.machine.with(|state| state.start_vm(vm).map(|_| ()))
    }

    /// Somebody pulls a VM's plug.
    pub fn power_off(&self, vm: &VmId) -> Result<(), LibvirtError> {
        self.machine.with(|state| state.stop_vm(vm).map(|_| ()))
    }

    pub fn pause(&self, vm: &VmId) -> Result<(), LibvirtError> {
        self.set_paused(vm, true)
    }

    pub fn resume(&self, vm: &VmId) -> Result<(), LibvirtError> {
        self.set_paused(vm, false)
    }

    fn set_paused(&self, id: &VmId, paused: bool) -> Result<(), LibvirtError> {
        self.machine.with(|state| {
            state.vm_mut(id)?.live.as_mut().ok_or(LibvirtError::NotRunning)?.paused = paused;
            state.wake = true;
            state.let_go(id);
            Ok(())
        })
    }

    /// Somebody makes a VM.
    pub fn define(&self, definition: VmDefinition) -> Result<(), LibvirtError> {
        self.machine.with(|state| {
            let taken = |vm: &&Vm| vm.definition.id == definition.id || vm.definition.name == definition.name;
            if let Some(other) = state.vms.values().find(taken) {
                let VmDefinition { id, name, .. } = other.definition.clone();
                return Err(LibvirtError::Exists { vm: id, name });
            }
            state.vms.insert(definition.id.clone(), Vm::new(definition));
            state.wake = true;
            Ok(())
        })
    }

    /// Somebody deletes a VM's definition. A VM that runs goes on until it is off.
    pub fn delete(&self, id: &VmId) -> Result<(), LibvirtError> {
        self.machine.with(|state| {
            let vm = state.vm_mut(id)?;
            match vm.live {
                Some(_) => {
                    vm.definition.settings.persistent = false;
                    vm.definition.devices.clear();
                }
                None => {
                    state.vms.remove(id);
                }
            }
            state.wake = true;
            Ok(())
        })
    }

    /// Somebody edits a VM.
    pub fn edit(&self, id: &VmId, change: impl FnOnce(&mut VmDefinition)) -> Result<(), LibvirtError> {
        self.machine.with(|state| {
            change(&mut state.vm_mut(id)?.definition);
            state.wake = true;
            Ok(())
        })
    }

    /// Somebody puts a device into a running VM with virsh.
    pub fn plug(&self, id: &VmId, address: PciAddress) -> Result<(), LibvirtError> {
        let device = DefinedDevice { device: address.into(), alias: None };
        self.machine.with(|state| state.plug_live(id, &device))
    }

    /// How the VM answers from now on. A willing one gives back at once what it was asked for.
    pub fn set_manners(&self, id: &VmId, manners: Manners) -> Result<(), LibvirtError> {
        self.machine.with(|state| {
            state.vm_mut(id)?.manners = manners;
            state.let_go(id);
            Ok(())
        })
    }

    pub fn set_connection(&self, connection: Connection) {
        self.machine.with(|state| {
            state.connection = connection;
            state.wake = true;
        });
    }

    pub fn set_fault(&self, serial: u64, fault: GpuFault) {
        self.machine.with(|state| {
            if fault == GpuFault::Busy {
                state.kernel.clients.insert(serial);
                state.kernel.start_client(serial);
            }
            state.faults.entry(serial).or_default().set(fault);
        });
    }

    /// The GPU is well again; what hung goes on.
    pub fn clear_faults(&self, serial: u64) {
        self.machine.with(|state| {
            state.kernel.clients.remove(&serial);
            state.kernel.end_client(serial);
            state.faults.remove(&serial);
        });
    }

    /// How many writes and resets wait in the kernel now, with somebody waiting for them.
    pub fn awaited(&self) -> usize {
        self.machine.with(|state| state.awaited())
    }

    /// A process that is no VM opens a group; the kernel tells whoever watches the group's file.
    pub fn hold_group(&self, group: u32, pid: u32) {
        self.machine.with(|state| {
            state.kernel.open_group(group, pid);
            state.wake = true;
        });
    }

    /// A process of the server draws or computes on the GPU.
    pub fn use_gpu(&self, address: PciAddress, pid: u32, name: &str) {
        self.machine.with(|state| state.kernel.use_function(address, pid, name));
    }

    pub fn end_process(&self, pid: u32) {
        self.machine.with(|state| state.kernel.end_process(pid));
    }

    pub fn release_group(&self, group: u32, pid: u32) {
        self.machine.with(|state| {
            state.kernel.close_group(group, pid);
            state.wake = true;
        });
    }

    /// The VM whose data the memory of this partition holds: None when it is clean.
    pub fn residue(&self, address: PciAddress) -> Option<VmId> {
        self.machine.with(|state| state.residue(address))
    }

    /// How often a function was reset since it came.
    pub fn resets(&self, address: PciAddress) -> u64 {
        self.machine.with(|state| state.kernel.functions.get(&address).map_or(0, |known| known.resets))
    }

    pub(crate) fn save(&self) -> SavedServer {
        self.machine.with(|state| SavedServer::of(state))
    }

    pub(crate) fn load(&self, saved: SavedServer) {
        self.machine.with(|state| saved.into_state(state));
    }
}

#[cfg(test)]
mod tests;
