//! Claims while the daemon runs: filled when the hook asks about a start, emptied when the agent sees the VM
//! off. Which GPUs a VM gets and whether a claim is over is not decided here.
//!
//! ```text
//!  hook ── open claim ─▶ FillClaim ─▶ refused, "is started in a moment" ─▶ agent: prepare, add, start
//!    └──── filled ─────▶ let through                     agent: seen off ─▶ EmptyClaim ─▶ back to the pool
//! ```
//!
//! A start that is let through is not seen at once, and what the VM starts with must not be taken back
//! meanwhile: the verdict and the taking back exclude each other by a lock, and who was let through keeps
//! what it has until it was seen running, or was not for a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use divvy_core::assignment::Assignment;
use divvy_core::claims::over;
use divvy_core::desired::DesiredServer;
use divvy_core::id::{ServerId, VmId};
use divvy_core::observed::Observed;
use divvy_core::refusal::{Refusal, WholeRefusal};
use divvy_core::request::Request;

use crate::door::{AskError, DIVVY};
use crate::host_side::HostSide;
use crate::hub::Hub;

/// libvirt shows a VM that was let through long before, if it starts at all.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// The starts that the gate let through and that were not seen yet.
#[derive(Debug, Default)]
pub struct Passes(Mutex<BTreeMap<VmId, Instant>>);

/// While it is held, nothing is let through and nothing is taken back.
pub struct HeldPasses<'p>(MutexGuard<'p, BTreeMap<VmId, Instant>>);

impl Passes {
    pub fn hold(&self) -> HeldPasses<'_> {
        // Whole after every statement, so a poisoned lock is still good.
        HeldPasses(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HeldPasses<'_> {
    pub fn let_through(&mut self, vm: &VmId) {
        self.0.insert(vm.clone(), Instant::now());
    }

    /// Forgets whom a look that began then saw running, and who was not seen for too long.
    fn forget(&mut self, observed: &Observed, looked_at: Instant) {
        let runs = |vm: &VmId| observed.vm(vm).is_some_and(|vm| !vm.is_off());
        self.0.retain(|vm, at| at.elapsed() < SHOWN_WITHIN && !(*at <= looked_at && runs(vm)));
    }

    fn is_starting(&self, vm: &VmId) -> bool {
        self.0.contains_key(vm)
    }
}

/// The VM that asks has an open claim: it is filled, and the VM started when it has its GPUs. Answers what
/// the asker is told.
pub fn fill(hub: &Hub, server: &ServerId, vm: &VmId) -> Result<Refusal, AskError> {
    let request = Request::FillClaim { server: server.clone(), vm: vm.clone() };
    match hub.ask_blocking(request, DIVVY) {
        Ok(_) => {}
        Err(AskError::Refused(refusal)) => return Ok(refusal),
        Err(other) => return Err(other),
    }
    let state = hub.state();
    let filled = state.desired_of(server).and_then(|desired| desired.assignments.get(vm));
    let told = filled.and_then(|one| {
        let gpus = one.whole_ids().cloned().collect();
        Some(WholeRefusal::StartFollows { vm: one.vm_name.clone(), pool: one.claim()?.pool.clone(), gpus })
    });
    Ok(told.map_or(Refusal::Busy { attempts: 1 }, Refusal::from))
}

/// Empties the claims that are over. `looked_at`: when the look began. Answers whether anything changed.
pub fn empty(
    host: &HostSide,
    hub: &Hub,
    desired: &DesiredServer,
    observed: &Observed,
    looked_at: Instant,
) -> bool {
    let mut passes = host.passes.hold();
    passes.forget(observed, looked_at);
    let is_meant = |one: &&Assignment| {
        let is_owed = has_all(one, observed) && host.owed.is_owed(observed, &one.vm);
        !is_owed && !passes.is_starting(&one.vm)
    };
    let over: Vec<&Assignment> = over(desired, observed).into_iter().filter(is_meant).collect();
    let mut changed = false;
    for assignment in over {
        let gpus = assignment.whole_ids().cloned().collect();
        // A VM that is not there any more never comes to its start.
        let failed = observed.vm(&assignment.vm).is_none();
        let (server, vm) = (host.server.clone(), assignment.vm.clone());
        changed |= ask(hub, host, Request::EmptyClaim { server, vm, gpus, failed }).is_ok();
    }
    changed
}

/// Whether a start can come to a good end with what was picked before.
fn has_all(assignment: &Assignment, observed: &Observed) -> bool {
    assignment.whole_ids().all(|gpu| observed.gpu(gpu).is_some_and(|gpu| gpu.is_healthy()))
}

/// Fills the claims of VMs whose own start came before libvirt answered. Each is tried once; again only while
/// GPUs are on their way back, which may be the ones that are missing. What was observed is reported before.
pub fn fill_owed(host: &HostSide, hub: &Hub, desired: &DesiredServer, owed: &[VmId]) {
    for vm in owed {
        let request = Request::FillClaim { server: host.server.clone(), vm: vm.clone() };
        if ask(hub, host, request).is_ok() || desired.returns.is_empty() {
            host.owed.forget(vm);
        }
    }
}

fn ask(hub: &Hub, host: &HostSide, request: Request) -> Result<(), AskError> {
    let answer = hub.ask_blocking(request, DIVVY).map(|_| ());
    if let Err(error) = &answer {
        tracing::warn!(server = %host.server, error = %crate::chain::chain(error), "a claim stays as it is");
    }
    answer
}
