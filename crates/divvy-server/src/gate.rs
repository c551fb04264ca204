//! The start gate: what libvirt's hook asks is answered from the GPUs as they are at this moment, because
//! what was true at the last report may not be true now. The VMs are those of the last report: asking the
//! hypervisor from inside its own hook would wait for itself.
//!
//! libvirt starts VMs by itself before it answers anybody. One that is refused then, because its partition
//! is not back yet, would stay off: it is owed a start, and the agent gives it once.
//!
//! A VM with an open claim is refused, and started by the agent when it has what it claims.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use divvy_core::assignment::Assignment;
use divvy_core::desired::DesiredServer;
use divvy_core::device::DeviceHandle;
use divvy_core::id::{ServerId, VmId};
use divvy_core::observed::Observed;
use divvy_core::refusal::Refusal;
use divvy_core::rules::no_migration;
use divvy_core::start_gate::{self, StartingVm};
use divvy_core::state::State;
use divvy_core::step::VmStep;
use divvy_core::vm::ObservedVm;
use divvy_host::observe::ObserveError;

use crate::claims;
use crate::door::AskError;
use crate::hook::Gate;
use crate::host_side::HostSide;
use crate::hub::Hub;

/// Why a VM does not start.
#[derive(Debug, thiserror::Error)]
pub enum NoStart {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the server's GPUs cannot be read")]
    Unseen(#[from] ObserveError),
    #[error("what the VM claims cannot be picked")]
    NotFilled(#[from] AskError),
}

/// VMs that libvirt would have started by itself, and that were not ready for it.
#[derive(Debug, Default)]
pub struct OwedStarts(Mutex<BTreeSet<VmId>>);

impl OwedStarts {
    fn vms(&self) -> MutexGuard<'_, BTreeSet<VmId>> {
        // Whole after every statement, so a poisoned lock is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever asks while libvirt answers nobody else is libvirt itself, at its own start.
    fn note(&self, state: &State, server: &ServerId, vm: &VmId) {
        let is_answering = state.observed.get(server).is_some_and(|seen| seen.hypervisor_is_connected());
        let is_given = state.desired_of(server).is_some_and(|desired| desired.assignments.contains_key(vm));
        if is_given && !is_answering {
            self.vms().insert(vm.clone());
        }
    }

    /// The VM's own start was refused, and may still be given.
    pub fn is_owed(&self, observed: &Observed, vm: &VmId) -> bool {
        self.vms().contains(vm) && observed.vm(vm).is_some_and(|vm| vm.settings.autostart)
    }

    pub fn forget(&self, vm: &VmId) {
        self.vms().remove(vm);
    }

    /// The VMs whose start waits for GPUs that they claim and that are not picked yet.
    pub fn claims(&self, desired: &DesiredServer, observed: &Observed) -> Vec<VmId> {
        let waits = |vm: &VmId| {
            let is_open = desired.assignments.get(vm).is_some_and(Assignment::waits_for_start);
            is_open && observed.vm(vm).is_some_and(|vm| vm.is_off() && vm.settings.autostart)
        };
        let vms = self.vms();
        if !observed.hypervisor_is_connected() {
            return Vec::new();
        }
        vms.iter().filter(|vm| waits(vm)).cloned().collect()
    }

    /// The starts that can be given now. Each is given out once; what is not owed any more is forgotten.
    pub fn due(&self, state: &State, observed: &Observed) -> Vec<VmStep> {
        let mut vms = self.vms();
        if vms.is_empty() || !observed.hypervisor_is_connected() {
            return Vec::new();
        }
        let mut state = state.clone();
        state.observed.insert(observed.server.clone(), Arc::new(observed.clone()));
        let desired = state.desired_of(&observed.server);
        let is_given = |vm: &VmId| desired.is_some_and(|desired| desired.assignments.contains_key(vm));
        let waits = |vm: &&ObservedVm| vm.is_off() && vm.settings.autostart && is_given(&vm.id);
        vms.retain(|vm| observed.vm(vm).filter(waits).is_some());
        let ready: Vec<&ObservedVm> = observed
            .vms
            .iter()
            .filter(|vm| vms.contains(&vm.id) && may_start_as_defined(&state, observed, vm))
            .collect();
        for vm in &ready {
            vms.remove(&vm.id);
        }
        ready.into_iter().map(|vm| VmStep::Start { vm: vm.id.clone(), vm_name: vm.name.clone() }).collect()
    }
}

fn may_start_as_defined(state: &State, observed: &Observed, vm: &ObservedVm) -> bool {
    let defined = vm.devices.iter().filter(|device| device.defined);
    let devices: Vec<DeviceHandle> = defined.map(|device| device.device).collect();
    let vm = StartingVm { id: &vm.id, name: &vm.name, devices: &devices };
    start_gate::may_start(state, &observed.server, &vm).is_ok()
}

/// Answers the hook.
pub fn may_start(hub: &Hub, host: &HostSide, gate: &Gate) -> Result<(), NoStart> {
    let seen = host.observe()?;
    let mut passes = host.passes.hold();
    let mut state = State::clone(&hub.state());
    if let Some(observed) = state.observed.get_mut(&host.server) {
        let observed = Arc::make_mut(observed);
        observed.gpus = seen.gpus;
        observed.boot_id = Some(seen.boot_id);
        observed.findings = seen.findings;
    }
    if gate.migration {
        no_migration::check(&state, &gate.vm, &gate.name)?;
    }
    let vm = StartingVm { id: &gate.vm, name: &gate.name, devices: &gate.devices };
    let verdict = start_gate::may_start(&state, &host.server, &vm);
    let own = state.desired_of(&host.server).and_then(|desired| desired.assignments.get(&gate.vm));
    match &verdict {
        Ok(()) if own.is_some_and(|own| own.claim().is_some()) => passes.let_through(&gate.vm),
        Ok(()) => {}
        Err(_) => host.owed.note(&state, &host.server, &gate.vm),
    }
    drop(passes);
    // The hypervisor is there, and one of its VMs changes: at boot this is the first that is heard of it.
    hub.bell(&host.server).ring();
    let sees_vms = state.observed.get(&host.server).is_some_and(|seen| seen.hypervisor_is_connected());
    if sees_vms && own.is_some_and(Assignment::waits_for_start) {
        return Err(claims::fill(hub, &host.server, &gate.vm)?.into());
    }
    Ok(verdict?)
}
