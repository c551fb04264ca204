//! Claims: a VM is promised so many GPUs of a pool of its server, and gets them while it runs. What can be
//! said before is checked when the claim is made, against the neediest GPUs that it could get; which ones they
//! are is picked when the VM starts, as for a VM that keeps them. More may be promised than there are: who
//! starts first has them.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::assign::ready;
use super::pool;
use super::whole::{findings_of, given, kept, of_pool, returning};
use crate::assignment::{Assignment, Claim, Holding};
use crate::change::{Change, Edit};
use crate::finding::{FindingCode, Severity};
use crate::id::{GpuId, ServerId, VmId};
use crate::observed::{Observed, ObservedGpu};
use crate::refusal::{Refusal, WholeRefusal};
use crate::rules::vm_settings::Need;
use crate::rules::whole_gpu;
use crate::state::State;
use crate::vm::{ObservedVm, Power};

/// The claim of a VM that has nothing yet. A VM that runs gets its GPUs at once, if so many are free.
pub fn assign(
    state: &State,
    server: &ServerId,
    observed: &Observed,
    vm: &ObservedVm,
    (claim, accept): (Claim, &BTreeSet<FindingCode>),
) -> Result<Change, Refusal> {
    let could_get = could_get(state, server, observed, vm, &claim)?;
    if !vm.is_off() {
        match of_pool(state, server, observed, vm, &claim.pool, claim.count) {
            Ok(gpus) => return given(state, server, observed, vm, (&gpus, Some(claim), accept)),
            Err(Refusal::Whole(WholeRefusal::NoFreeGpu { .. })) => {}
            Err(other) => return Err(other),
        }
    }
    let need = Need::of_whole(neediest(&could_get, claim.count));
    let mut findings = findings_of(observed, &starting(vm), &could_get, need);
    // Who uses a GPU now says nothing about then.
    findings.retain(|finding| finding.code != whole_gpu::IN_USE);
    ready(vm, "whole GPUs", &findings, accept)?;
    Ok(kept(state, server, vm, Holding::Claim { claim }, findings))
}

/// The GPUs of the pool that the VM could get one day: they are in its server, and nothing in their slots
/// keeps them from every VM.
fn could_get<'o>(
    state: &State,
    server: &ServerId,
    observed: &'o Observed,
    vm: &ObservedVm,
    claim: &Claim,
) -> Result<Vec<&'o ObservedGpu>, Refusal> {
    let members = pool::members(state, &claim.pool).filter(|(on, _)| *on == server);
    let (mut could, mut why) = (Vec::new(), Vec::new());
    for (_, id) in members {
        let Some(gpu) = observed.gpu(id) else {
            why.push(format!("GPU {id} is not in the server"));
            continue;
        };
        let mut findings = whole_gpu::findings(gpu).into_iter();
        match findings.find(|finding| finding.severity == Severity::Error) {
            Some(finding) => why.push(finding.text),
            None => could.push(gpu),
        }
    }
    if could.len() >= usize::from(claim.count) {
        return Ok(could);
    }
    why.insert(0, format!("it has {} there", could.len()));
    let (vm, server, pool) = (vm.name.clone(), server.clone(), claim.pool.clone());
    Err(WholeRefusal::PoolTooSmall { vm, server, pool, count: claim.count, why }.into())
}

/// So many of these GPUs that no others of them need more address space.
fn neediest<'o>(gpus: &[&'o ObservedGpu], count: u16) -> impl Iterator<Item = &'o ObservedGpu> {
    let mut gpus = gpus.to_vec();
    gpus.sort_by_key(|gpu| Reverse(gpu.slot.mmio_bytes));
    gpus.into_iter().take(usize::from(count))
}

/// The VM as it is when it starts, whatever was last seen of it.
fn starting(vm: &ObservedVm) -> ObservedVm {
    ObservedVm { power: Power::Off, ..vm.clone() }
}

/// The VM starts: its GPUs are picked, and its start is owed until it has them. Nothing changes for a VM
/// that has them already, or claims none.
pub fn fill(state: &State, server: &ServerId, vm: &VmId) -> Result<Change, Refusal> {
    let of_vm = state.desired_of(server).and_then(|desired| desired.assignments.get(vm));
    let Some(Assignment { vm_name, holding: Holding::Claim { claim }, accepted, .. }) = of_vm else {
        return Ok(Change::default());
    };
    let gone = || Refusal::VmNotFound { name: vm_name.clone() };
    let observed = state.observed.get(server).ok_or_else(gone)?;
    if let Some(reason) = observed.hypervisor.unavailable() {
        return Err(Refusal::HypervisorUnavailable { server: server.clone(), reason: reason.to_string() });
    }
    let vm = starting(observed.vm(vm).ok_or_else(gone)?);
    let gpus = of_pool(state, server, observed, &vm, &claim.pool, claim.count)?;
    let given = given(state, server, observed, &vm, (&gpus, Some(claim.clone()), accepted));
    let mut change = given.map_err(|refusal| start_refused(&vm, claim, accepted, refusal))?;
    for edit in &mut change.edits {
        if let Edit::SetAssignment { assignment, .. } = edit {
            assignment.accepted.clone_from(accepted);
            assignment.start = true;
        }
    }
    // They were told when the claim was made.
    change.warnings.clear();
    Ok(change)
}

/// What was not there when the claim was made stops the start, with a way to accept it.
fn start_refused(
    vm: &ObservedVm,
    claim: &Claim,
    accepted: &BTreeSet<FindingCode>,
    refusal: Refusal,
) -> Refusal {
    let Refusal::NotAccepted { findings, .. } = &refusal else { return refusal };
    let mut codes: BTreeSet<&str> = accepted.iter().map(FindingCode::as_str).collect();
    codes.extend(findings.iter().map(|finding| finding.code.as_str()));
    let accept: String = codes.iter().map(|code| format!(" --accept {code}")).collect();
    let (name, pool, count) = (&vm.name, &claim.pool, claim.count);
    let hint = format!(
        "mend it, or accept it: divvy dda unassign {name}, then \
         divvy dda assign {name} --pool {pool} --count {count} --at-start{accept}"
    );
    Refusal::StartRefused { vm: vm.name.clone(), why: refusal.to_string(), hint }
}

/// What was picked goes back to the pool, and the VM has its claim. `failed`: its start did; else it is off
/// again, and no start of it may be owed.
pub fn empty(state: &State, server: &ServerId, vm: &VmId, gpus: &[GpuId], failed: bool) -> Change {
    let of_vm = state.desired_of(server).and_then(|desired| desired.assignments.get(vm));
    let is_meant = |assignment: &&Assignment| {
        let is_over = failed || !(assignment.start || assignment.restart);
        is_over && assignment.whole_ids().eq(gpus)
    };
    let Some(before) = of_vm.filter(is_meant) else { return Change::default() };
    let Holding::Dda { claim: Some(claim), .. } = &before.holding else { return Change::default() };
    let assignment = Assignment {
        holding: Holding::Claim { claim: claim.clone() },
        restart: false,
        start: false,
        ..before.clone()
    };
    let mut edits = Vec::from([Edit::SetAssignment { server: server.clone(), assignment }]);
    edits.extend(returning(server, before));
    Change::of(edits, &state.desired)
}

#[cfg(test)]
mod tests;
