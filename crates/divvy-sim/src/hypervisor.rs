//! The simulated libvirt behind the same verbs as the real one. Every call reads back what it changed;
//! a call on a lost connection fails, and the next one connects again. It holds nothing but a handle:
//! the VMs are the server's.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use divvy_core::device::DeviceHandle;
use divvy_core::id::VmId;
use divvy_core::observed::HypervisorHealth;
use divvy_core::readiness::Ready;
use divvy_core::step::{DeviceScope, Outcome};
use divvy_core::vm::ObservedVm;
use divvy_hypervisor::{Hypervisor, HypervisorError};

use crate::machine::{Connection, Machine, State};
use crate::vms::{DefinedDevice, LibvirtError, Vm};

const VERSION: &str = "libvirt 11.3.0 (simulated)";

/// A connection to one simulated server's hypervisor. There can be several.
pub struct SimHypervisor {
    machine: Arc<Machine>,
    id: u64,
}

impl SimHypervisor {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        let id = machine.ticket();
        Self { machine, id }
    }

    fn call<R>(
        &self,
        action: impl FnOnce(&mut State) -> Result<R, HypervisorError>,
    ) -> Result<R, HypervisorError> {
        self.machine.with(|state| {
            connect(state).map_err(|lost| HypervisorError::Connect { source: lost.into() })?;
            action(state)
        })
    }

    /// QEMU resets a device when it opens and when it closes it; the caller waits for it.
    fn sleep_for_resets(&self, resets: u32) {
        let time = self.machine.with(|state| state.delays.reset) * resets;
        if !time.is_zero() {
            thread::sleep(time);
        }
    }

    /// Waits until the VM has given the device back; its answer may come at any time.
    fn gives_back(&self, vm: &VmId, device: DeviceHandle) -> Result<(), u64> {
        let limit = self.machine.with(|state| state.delays.unplug);
        let is_gone = |state: &mut State| state.vms.get(vm).is_none_or(|vm| vm.live_device(device).is_none());
        if self.machine.wait_until(limit, is_gone) { Ok(()) } else { Err(limit.as_secs()) }
    }
}

impl Drop for SimHypervisor {
    fn drop(&mut self) {
        self.machine.unwatch(self.id);
    }
}

impl Hypervisor for SimHypervisor {
    fn health(&mut self) -> HypervisorHealth {
        match self.machine.with(connect) {
            Ok(()) => HypervisorHealth::Connected { version: VERSION.to_owned() },
            Err(lost) => HypervisorHealth::Unavailable { reason: lost.to_string() },
        }
    }

    fn list(&mut self) -> Result<Vec<ObservedVm>, HypervisorError> {
        self.call(|state| Ok(state.vms.values().map(Vm::observed).collect()))
    }

    fn attach(&mut self, ready: &Ready, scope: DeviceScope) -> Result<Outcome, HypervisorError> {
        let (vm, device) = (ready.vm(), ready.device());
        let defined = DefinedDevice { device, alias: Some(ready.given().to_string()) };
        let plugged = self.call(|state| {
            known(state, vm)?;
            let failed = |source: LibvirtError| HypervisorError::Attach {
                vm: vm.clone(),
                device,
                source: source.into(),
            };
            attach(state, vm, &defined, scope).map_err(failed)
        })?;
        self.sleep_for_resets(u32::from(plugged.live));
        Ok(outcome(plugged))
    }

    fn detach(
        &mut self,
        vm: &VmId,
        device: DeviceHandle,
        scope: DeviceScope,
    ) -> Result<Outcome, HypervisorError> {
        let removed = self.call(|state| {
            known(state, vm)?;
            let failed = |source: LibvirtError| HypervisorError::Detach {
                vm: vm.clone(),
                device,
                source: source.into(),
            };
            detach(state, vm, device, scope).map_err(failed)
        })?;
        if removed.live {
            self.gives_back(vm, device).map_err(|seconds| HypervisorError::StillHeld {
                vm: vm.clone(),
                device,
                seconds,
            })?;
        }
        self.sleep_for_resets(u32::from(removed.live));
        Ok(outcome(removed))
    }

    fn start(&mut self, vm: &VmId) -> Result<Outcome, HypervisorError> {
        let resets = self.call(|state| {
            known(state, vm)?;
            match state.start_vm(vm) {
                Ok(resets) => Ok(Some(resets)),
                Err(LibvirtError::AlreadyRunning) => Ok(None),
                Err(error) => Err(HypervisorError::Start { vm: vm.clone(), source: error.into() }),
            }
        })?;
        match resets {
            Some(resets) => {
                self.sleep_for_resets(resets);
                Ok(Outcome::Changed)
            }
            None => Ok(Outcome::Already),
        }
    }

    fn shut_down(&mut self, vm: &VmId, deadline: Duration) -> Result<Outcome, HypervisorError> {
        let is_off = self.call(|state| {
            known(state, vm)?;
            Ok(state.vms.get(vm).is_none_or(|vm| vm.live.is_none()))
        })?;
        if is_off {
            return Ok(Outcome::Already);
        }
        let resets = self.call(|state| Ok(state.power_button(vm)))?;
        let powered_off = |state: &mut State| state.vms.get(vm).is_none_or(|vm| vm.live.is_none());
        if !self.machine.wait_until(deadline, powered_off) {
            let seconds = deadline.as_secs();
            return Err(HypervisorError::StillRunning { vm: vm.clone(), seconds });
        }
        self.sleep_for_resets(resets);
        Ok(Outcome::Changed)
    }

    fn on_change(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        self.machine.watch(self.id, Arc::from(wake));
    }
}

fn connect(state: &mut State) -> Result<(), LibvirtError> {
    match state.connection {
        Connection::Up => Ok(()),
        Connection::DropsOnce => {
            state.connection = Connection::Up;
            Err(LibvirtError::ConnectionLost)
        }
        Connection::Down => Err(LibvirtError::NoConnection),
    }
}

fn known(state: &State, vm: &VmId) -> Result<(), HypervisorError> {
    match state.vms.contains_key(vm) {
        true => Ok(()),
        false => Err(HypervisorError::NoSuchVm { vm: vm.clone() }),
    }
}

/// Both or neither, as in one call of libvirt. Answers what had to be changed.
fn attach(
    state: &mut State,
    id: &VmId,
    device: &DefinedDevice,
    scope: DeviceScope,
) -> Result<DeviceScope, LibvirtError> {
    let vm = state.vm(id)?;
    let is_ours = |known: Option<&Option<String>>| known == Some(&device.alias);
    let live = scope.live && !is_ours(vm.live_device(device.device).map(|known| &known.alias));
    let defined = scope.defined && !is_ours(vm.defined_device(device.device).map(|known| &known.alias));
    if defined {
        state.add_to_definition(id, device)?;
    }
    if live && let Err(error) = state.plug_live(id, device) {
        if defined {
            state.remove_from_definition(id, device.device)?;
        }
        return Err(error);
    }
    Ok(DeviceScope { defined, live })
}

fn detach(
    state: &mut State,
    id: &VmId,
    device: DeviceHandle,
    scope: DeviceScope,
) -> Result<DeviceScope, LibvirtError> {
    let vm = state.vm(id)?;
    let defined = scope.defined && vm.defined_device(device).is_some();
    let live = scope.live && vm.live_device(device).is_some();
    if defined {
        state.remove_from_definition(id, device)?;
    }
    if live {
        state.unplug_live(id, device)?;
    }
    Ok(DeviceScope { defined, live })
}

fn outcome(changed: DeviceScope) -> Outcome {
    if changed.defined || changed.live { Outcome::Changed } else { Outcome::Already }
}

#[cfg(test)]
mod tests;
