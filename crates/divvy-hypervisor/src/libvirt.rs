//! The VMs of this server through libvirt: what "put a device in", "take it out", "start" and "shut
//! down" mean, when each is done, and how that is proved. Calls and threads are in `connection.rs`, the
//! texts in `domain_xml.rs`; what is a GPU is not known here.
//!
//! A yes of libvirt is not taken for the deed. After every change the VM is read again; and a running
//! VM that was asked to let go of a device has let go when its live description says so, not before:
//!
//! ```text
//!   ask ─▶ read ─ gone? ──────────────▶ Changed
//!           ▲      │ not yet
//!           │      ├ the VM refused ──▶ Detach
//!           │      ├ deadline passed ─▶ StillHeld
//!           └ any event, or a moment ◀┘
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use divvy_core::device::DeviceHandle;
use divvy_core::finding::Finding;
use divvy_core::id::VmId;
use divvy_core::observed::HypervisorHealth;
use divvy_core::readiness::Ready;
use divvy_core::step::{DeviceScope, Outcome};
use divvy_core::vm::{ObservedVm, Power};

use crate::connection::Connection;
use crate::domain_xml::{self, Definition, Device, DeviceKind};
use crate::driver::Driver;
use crate::error::Cause;
use crate::failure::{CallError, chain, code};
use crate::observe::{self, Seen};
use crate::signals::Signals;
use crate::{Hypervisor, HypervisorError};

/// How long each kind of call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// A question, or a change of a definition. Longer than keep-alive needs to notice a dead libvirt.
    pub call: Duration,
    /// A start, or a device for a running VM: the VM's whole memory is pinned then.
    pub long_call: Duration,
    /// The question whether libvirt is there.
    pub health: Duration,
    /// A running VM letting go of a device.
    pub removal: Duration,
    /// Between two looks at a VM when no event comes.
    pub look_again: Duration,
    /// Seconds between two keep-alive messages; 0 or less: none.
    pub keep_alive_s: i32,
    /// Messages without an answer after which the connection counts as dead.
    pub keep_alive_count: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
            long_call: Duration::from_secs(300),
            health: Duration::from_secs(10),
            removal: Duration::from_secs(30),
            look_again: Duration::from_secs(1),
            keep_alive_s: 5,
            keep_alive_count: 3,
        }
    }
}

/// What stands in the way inside the VM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("the VM has the device as {}, which Divvy did not write and leaves alone", form(.0))]
    OtherForm(DeviceKind),
    #[error("the VM refused to let go of the device")]
    Refused,
}

fn form(kind: &DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Hostdev => "a device",
        DeviceKind::Interface => "a network interface",
        DeviceKind::Disk => "a disk",
        DeviceKind::CommandLine => "an argument for QEMU",
    }
}

/// The VMs of one libvirt.
pub struct LibvirtHypervisor {
    driver: Box<dyn Driver>,
    signals: Arc<Signals>,
    timeouts: Timeouts,
    findings: Vec<Finding>,
}

impl LibvirtHypervisor {
    /// Makes it; nothing is opened before the first call. `uri` is libvirt's, `qemu:///system` mostly.
    pub fn new(uri: &str, timeouts: Timeouts) -> Self {
        let signals = Arc::new(Signals::default());
        Self::with(Box::new(Connection::new(uri, timeouts, Arc::clone(&signals))), signals, timeouts)
    }

    fn with(driver: Box<dyn Driver>, signals: Arc<Signals>, timeouts: Timeouts) -> Self {
        Self { driver, signals, timeouts, findings: Vec::new() }
    }

    /// The VM now. None: there is none.
    fn look(&mut self, vm: &VmId, failed: Failed<'_>) -> Result<Option<Seen>, HypervisorError> {
        let facts = self.driver.read(vm).map_err(|error| refuse(vm, error, failed))?;
        match facts.and_then(observe::see) {
            Some(Seen { problem: Some(source), .. }) => {
                Err(HypervisorError::Definition { vm: vm.clone(), source: source.into() })
            }
            seen => Ok(seen),
        }
    }

    fn look_at(&mut self, vm: &VmId, failed: Failed<'_>) -> Result<Seen, HypervisorError> {
        self.look(vm, failed)?.ok_or_else(|| HypervisorError::NoSuchVm { vm: vm.clone() })
    }

    /// Waits until the running VM has let go of the device, which it was asked to do after `asked`.
    fn wait_until_let_go(
        &mut self,
        vm: &VmId,
        device: DeviceHandle,
        alias: Option<&str>,
        asked: crate::signals::Mark,
    ) -> Result<(), HypervisorError> {
        let failed = detach_failed(vm, device);
        let deadline = after(self.timeouts.removal);
        loop {
            let mark = self.signals.mark();
            // A VM that is off, or gone, holds nothing.
            let seen = self.look(vm, &failed)?;
            if seen.is_none_or(|seen| held_by(seen.live.as_ref(), device).is_none()) {
                return Ok(());
            }
            if alias.is_some_and(|alias| self.signals.removal_was_refused(asked, vm.as_str(), alias)) {
                return Err(failed(Obstacle::Refused.into()));
            }
            if Instant::now() >= deadline {
                let seconds = self.timeouts.removal.as_secs();
                return Err(HypervisorError::StillHeld { vm: vm.clone(), device, seconds });
            }
            self.signals.wait_past(mark, deadline.min(after(self.timeouts.look_again)));
        }
    }

    fn take_out_of_definition(&mut self, vm: &VmId, device: DeviceHandle) -> Result<(), HypervisorError> {
        let failed = detach_failed(vm, device);
        let scope = DeviceScope { defined: true, live: false };
        let fragment = domain_xml::fragment(device, None);
        self.driver.detach(vm, &fragment, scope).map_err(|error| refuse(vm, error, &failed))?;
        let seen = self.look_at(vm, &failed)?;
        match held_by(seen.defined.as_ref(), device) {
            None => Ok(()),
            Some(_) => Err(not_as_written(vm, "the device is still in its definition")),
        }
    }

    fn take_out_of_running(
        &mut self,
        vm: &VmId,
        device: DeviceHandle,
        alias: Option<&str>,
    ) -> Result<(), HypervisorError> {
        let failed = detach_failed(vm, device);
        let scope = DeviceScope { defined: false, live: true };
        let asked = self.signals.mark();
        match self.driver.detach(vm, &domain_xml::fragment(device, None), scope) {
            Ok(()) => {}
            // Somebody asked before.
            Err(error) if error.removal_is_under_way() => {}
            // It may have gone by itself in the meantime; looking tells.
            Err(error) if error.is_refusal() => {
                let seen = self.look(vm, &failed)?;
                if seen.is_some_and(|seen| held_by(seen.live.as_ref(), device).is_some()) {
                    return Err(refuse(vm, error, &failed));
                }
            }
            Err(error) => return Err(refuse(vm, error, &failed)),
        }
        self.wait_until_let_go(vm, device, alias, asked)
    }
}

/// Says what was tried, around its cause.
type Failed<'a> = &'a dyn Fn(Cause) -> HypervisorError;

fn attach_failed(vm: &VmId, device: DeviceHandle) -> impl Fn(Cause) -> HypervisorError {
    let vm = vm.clone();
    move |source| HypervisorError::Attach { vm: vm.clone(), device, source }
}

fn detach_failed(vm: &VmId, device: DeviceHandle) -> impl Fn(Cause) -> HypervisorError {
    let vm = vm.clone();
    move |source| HypervisorError::Detach { vm: vm.clone(), device, source }
}

fn refuse(vm: &VmId, error: CallError, failed: Failed<'_>) -> HypervisorError {
    match &error {
        CallError::Refused(refusal) if refusal.code == code::NO_DOMAIN => {
            HypervisorError::NoSuchVm { vm: vm.clone() }
        }
        CallError::Refused(_) | CallError::NoAnswer { .. } | CallError::Ended => failed(error.into()),
        CallError::Load(_)
        | CallError::Open { .. }
        | CallError::Hanging { .. }
        | CallError::Thread { .. } => HypervisorError::Connect { source: error.into() },
    }
}

/// A moment so far away that the clock cannot say it is as good as a year.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600))
}

fn not_as_written(vm: &VmId, what: &'static str) -> HypervisorError {
    HypervisorError::NotAsWritten { vm: vm.clone(), what }
}

fn held_by(definition: Option<&Definition>, device: DeviceHandle) -> Option<&Device> {
    definition?.devices.iter().find(|known| known.handle == device)
}

/// Which parts of `scope` have the device. A device in a form that Divvy does not write is an obstacle.
fn holding(seen: &Seen, device: DeviceHandle, scope: DeviceScope) -> Result<DeviceScope, Obstacle> {
    let held = |wanted: bool, definition: &Option<Definition>| match held_by(
        definition.as_ref().filter(|_| wanted),
        device,
    ) {
        None => Ok(false),
        Some(Device { kind: DeviceKind::Hostdev, .. }) => Ok(true),
        Some(device) => Err(Obstacle::OtherForm(device.kind)),
    };
    Ok(DeviceScope { defined: held(scope.defined, &seen.defined)?, live: held(scope.live, &seen.live)? })
}

impl Hypervisor for LibvirtHypervisor {
    fn health(&mut self) -> HypervisorHealth {
        match self.driver.version(self.timeouts.health) {
            Ok(version) => HypervisorHealth::Connected { version },
            Err(error) => HypervisorHealth::Unavailable { reason: chain(&error) },
        }
    }

    fn list(&mut self) -> Result<Vec<ObservedVm>, HypervisorError> {
        let listed = self.driver.list().map_err(|error| match error {
            CallError::Load(_) | CallError::Open { .. } => HypervisorError::Connect { source: error.into() },
            error => HypervisorError::List { source: error.into() },
        })?;
        let (mut vms, findings): (Vec<_>, Vec<_>) = listed.into_iter().filter_map(observe::report).unzip();
        vms.sort_by(|a, b| a.id.cmp(&b.id));
        self.findings = findings.into_iter().flatten().collect();
        Ok(vms)
    }

    fn findings(&self) -> Vec<Finding> {
        self.findings.clone()
    }

    fn attach(&mut self, ready: &Ready, scope: DeviceScope) -> Result<Outcome, HypervisorError> {
        let (vm, device) = (ready.vm(), ready.device());
        let failed = attach_failed(vm, device);
        let seen = self.look_at(vm, &failed)?;
        let held = holding(&seen, device, scope).map_err(|obstacle| failed(obstacle.into()))?;
        let missing = DeviceScope { defined: scope.defined && !held.defined, live: scope.live && !held.live };
        if !missing.defined && !missing.live {
            return Ok(Outcome::Already);
        }
        let alias = domain_xml::alias(ready.given());
        let fragment = domain_xml::fragment(device, Some(&alias));
        self.driver.attach(vm, &fragment, missing).map_err(|error| refuse(vm, error, &failed))?;
        let seen = self.look_at(vm, &failed)?;
        let written = |wanted: bool, definition: &Option<Definition>, what| {
            let held = held_by(definition.as_ref(), device);
            let right = held.is_some_and(|device| device.alias.as_ref() == Some(&alias) && !device.managed);
            if wanted && !right { Err(not_as_written(vm, what)) } else { Ok(()) }
        };
        written(missing.defined, &seen.defined, "the device is not in its definition as it was written")?;
        written(missing.live, &seen.live, "the device is not in the running VM as it was written")?;
        Ok(Outcome::Changed)
    }

    fn detach(
        &mut self,
        vm: &VmId,
        device: DeviceHandle,
        scope: DeviceScope,
    ) -> Result<Outcome, HypervisorError> {
        let failed = detach_failed(vm, device);
        let seen = self.look_at(vm, &failed)?;
        let held = holding(&seen, device, scope).map_err(|obstacle| failed(obstacle.into()))?;
        // The definition first: if the running VM does not let go, its power-off releases the device
        // for good.
        if held.defined {
            self.take_out_of_definition(vm, device)?;
        }
        if held.live {
            let alias = held_by(seen.live.as_ref(), device).and_then(|device| device.alias.clone());
            self.take_out_of_running(vm, device, alias.as_deref())?;
        }
        Ok(if held.defined || held.live { Outcome::Changed } else { Outcome::Already })
    }

    fn start(&mut self, vm: &VmId) -> Result<Outcome, HypervisorError> {
        let failed = |source| HypervisorError::Start { vm: vm.clone(), source };
        // A paused VM has started; somebody else paused it and goes on with it.
        let is_on = |seen: &Seen| matches!(seen.vm.power, Power::Running | Power::Paused);
        if is_on(&self.look_at(vm, &failed)?) {
            return Ok(Outcome::Already);
        }
        if let Err(error) = self.driver.start(vm) {
            // Somebody else may have been faster; looking tells.
            let is_on = error.is_refusal() && is_on(&self.look_at(vm, &failed)?);
            return if is_on { Ok(Outcome::Already) } else { Err(refuse(vm, error, &failed)) };
        }
        if is_on(&self.look_at(vm, &failed)?) {
            Ok(Outcome::Changed)
        } else {
            Err(not_as_written(vm, "it does not run right after its start"))
        }
    }

    fn shut_down(&mut self, vm: &VmId, deadline: Duration) -> Result<Outcome, HypervisorError> {
        let failed = |source| HypervisorError::ShutDown { vm: vm.clone(), source };
        let until = after(deadline);
        if self.look_at(vm, &failed)?.vm.is_off() {
            return Ok(Outcome::Already);
        }
        match self.driver.shut_down(vm) {
            Ok(()) => {}
            // It may have gone off, or away, by itself in the meantime; looking tells.
            Err(error) if error.is_refusal() => {
                if self.look(vm, &failed)?.is_some_and(|seen| !seen.vm.is_off()) {
                    return Err(refuse(vm, error, &failed));
                }
            }
            Err(error) => return Err(refuse(vm, error, &failed)),
        }
        loop {
            let mark = self.signals.mark();
            // A VM without a definition is gone when it is off.
            if self.look(vm, &failed)?.is_none_or(|seen| seen.vm.is_off()) {
                return Ok(Outcome::Changed);
            }
            if Instant::now() >= until {
                return Err(HypervisorError::StillRunning { vm: vm.clone(), seconds: deadline.as_secs() });
            }
            self.signals.wait_past(mark, until.min(after(self.timeouts.look_again)));
        }
    }

    fn on_change(&mut self, wake: Box<dyn Fn() + Send + Sync>) {
        self.signals.set_wake(wake);
    }
}

#[cfg(test)]
mod tests;
