//! Which whole GPUs a VM gets, and what is kept of them until they are back. Named GPUs are given as named;
//! of a pool they are picked here: all from one NUMA node if one has enough, the lowest addresses first.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::assign::{assigned, ready, to_be_said};
use crate::assignment::{Assignment, Claim, FormerDriver, Holding, Returning, WholeGpu};
use crate::change::{Change, Edit};
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::id::{GpuId, PoolName, ServerId};
use crate::observed::{Observed, ObservedGpu, SlotFunction};
use crate::refusal::{Refusal, WholeRefusal};
use crate::resolve;
use crate::rules::vm_settings::Need;
use crate::rules::{same_server, vm_settings, whole_gpu};
use crate::state::State;
use crate::vm::ObservedVm;

/// These GPUs belong to the VM, unless something stops that.
pub fn given(
    state: &State,
    server: &ServerId,
    observed: &Observed,
    vm: &ObservedVm,
    (gpus, claim, accept): (&[&ObservedGpu], Option<Claim>, &BTreeSet<FindingCode>),
) -> Result<Change, Refusal> {
    let findings = findings_for(observed, vm, gpus);
    ready(vm, "whole GPUs", &findings, accept)?;
    let holding = Holding::Dda { gpus: gpus.iter().map(|gpu| whole(gpu)).collect(), claim };
    Ok(kept(state, server, vm, holding, findings))
}

/// What the VM has from now on, and what has to be said of that.
pub fn kept(
    state: &State,
    server: &ServerId,
    vm: &ObservedVm,
    holding: Holding,
    findings: Vec<Finding>,
) -> Change {
    let edit = Edit::SetAssignment { server: server.clone(), assignment: assigned(vm, holding, &findings) };
    let mut change = Change::of(Vec::from([edit]), &state.desired);
    change.warnings = to_be_said(findings);
    change
}

/// Every finding that can stop this VM from getting these GPUs whole. What is said of a GPU's driver and
/// of its partitions does not matter then.
pub fn findings_for(observed: &Observed, vm: &ObservedVm, gpus: &[&ObservedGpu]) -> Vec<Finding> {
    findings_of(observed, vm, gpus, Need::of_whole(gpus.iter().copied()))
}

/// The same for a VM that needs this much.
pub fn findings_of(observed: &Observed, vm: &ObservedVm, gpus: &[&ObservedGpu], need: Need) -> Vec<Finding> {
    let subjects = [Subject::Server(observed.server.clone()), Subject::Vm(vm.id.clone())];
    let matters = |finding: &&Finding| {
        let of_gpu = |gpu: &&ObservedGpu| finding.subject == Subject::Gpu(gpu.id.clone());
        let in_use = finding.code == whole_gpu::IN_USE && gpus.iter().any(of_gpu);
        in_use || subjects.contains(&finding.subject)
    };
    let mut findings: Vec<Finding> = observed.findings.iter().filter(matters).cloned().collect();
    for finding in findings.iter_mut().filter(|finding| finding.code == whole_gpu::IN_USE) {
        finding.severity = Severity::Warning;
    }
    findings.extend(gpus.iter().flat_map(|gpu| whole_gpu::findings(gpu)));
    findings.extend(vm_settings::findings(vm, need, observed.memory_bytes));
    findings
}

/// The GPU with what holds its slot now: that is what it gets back.
fn whole(gpu: &ObservedGpu) -> WholeGpu {
    let former = |function: &SlotFunction| FormerDriver {
        function: function.address.function,
        driver: function.driver.clone(),
        driver_override: function.driver_override.clone(),
    };
    WholeGpu { gpu: gpu.id.clone(), functions: gpu.slot.functions.iter().map(former).collect() }
}

pub fn named<'s>(
    state: &'s State,
    server: &ServerId,
    observed: &Observed,
    vm: &ObservedVm,
    names: &[String],
) -> Result<Vec<&'s ObservedGpu>, Refusal> {
    let mut gpus: Vec<&ObservedGpu> = Vec::new();
    for name in names {
        let (on, gpu) = resolve::gpu(state, name)?;
        same_server::check(server, vm, on, &gpu.id)?;
        whole_gpu::is_free(state.desired_of(server), observed, gpu)?;
        if gpus.iter().all(|known| known.id != gpu.id) {
            gpus.push(gpu);
        }
    }
    if gpus.is_empty() { Err(Refusal::NothingSelected) } else { Ok(gpus) }
}

/// So many free GPUs of a pool on the VM's server.
pub fn of_pool<'s>(
    state: &'s State,
    server: &ServerId,
    observed: &'s Observed,
    vm: &ObservedVm,
    pool: &PoolName,
    count: u16,
) -> Result<Vec<&'s ObservedGpu>, Refusal> {
    let (free, mut why) = free_of_pool(state, observed, pool);
    let wanted = usize::from(count);
    if free.len() >= wanted {
        return Ok(pick(free, wanted));
    }
    why.insert(0, format!("server {server} has {} free", free.len()));
    for (other, seen) in state.observed.iter().filter(|(other, _)| *other != server) {
        let (free, _) = free_of_pool(state, seen, pool);
        if !free.is_empty() {
            why.push(format!("server {other} has {} free", free.len()));
        }
    }
    let (vm, server, pool) = (vm.name.clone(), server.clone(), pool.clone());
    Err(WholeRefusal::NoFreeGpu { vm, server, pool, count, why }.into())
}

/// The GPUs of a pool on one server that can be given, by address; and why the others cannot.
fn free_of_pool<'o>(
    state: &State,
    observed: &'o Observed,
    pool: &PoolName,
) -> (Vec<&'o ObservedGpu>, Vec<String>) {
    let desired = state.desired_of(&observed.server);
    let members = desired.into_iter().flat_map(|desired| desired.pools.iter());
    let (mut free, mut why) = (Vec::new(), Vec::new());
    for (id, _) in members.filter(|(_, of)| *of == pool) {
        match giveable(state, observed, id) {
            Ok(gpu) => free.push(gpu),
            Err(reason) => why.push(reason),
        }
    }
    free.sort_by_key(|gpu| gpu.address);
    (free, why)
}

fn giveable<'o>(state: &State, observed: &'o Observed, id: &GpuId) -> Result<&'o ObservedGpu, String> {
    let gpu = observed.gpu(id).ok_or_else(|| format!("GPU {id} is not in the server"))?;
    whole_gpu::is_free(state.desired_of(&observed.server), observed, gpu).map_err(|no| match no {
        Refusal::GpuUsedWhole { by, .. } => format!("GPU {id} is used whole by {by}"),
        other => other.to_string(),
    })?;
    let errors = whole_gpu::findings(gpu).into_iter().find(|finding| finding.severity == Severity::Error);
    errors.map_or(Ok(gpu), |finding| Err(finding.text))
}

/// So many of the free GPUs, which come by address: from one NUMA node if one has enough of them.
fn pick(free: Vec<&ObservedGpu>, wanted: usize) -> Vec<&ObservedGpu> {
    let mut by_numa: BTreeMap<Option<u32>, Vec<&ObservedGpu>> = BTreeMap::new();
    for gpu in &free {
        by_numa.entry(gpu.numa_node).or_default().push(gpu);
    }
    let enough = by_numa.into_values().filter(|gpus| gpus.len() >= wanted);
    let lowest = enough.min_by_key(|gpus| gpus.first().map(|gpu| gpu.address));
    lowest.unwrap_or(free).into_iter().take(wanted).collect()
}

/// What takes an assignment of whole GPUs, or a claim to them, back.
pub fn returns(server: &ServerId, assignment: &Assignment) -> Vec<Edit> {
    let (server, vm) = (server.clone(), assignment.vm.clone());
    if assignment.waits_for_start() {
        let vm_name = assignment.vm_name.clone();
        return Vec::from([Edit::RemoveClaim { server, vm, vm_name }]);
    }
    let mut edits = Vec::from([Edit::RemoveAssignment { server: server.clone(), vm }]);
    edits.extend(returning(&server, assignment));
    edits
}

/// Each GPU of the assignment is on its way back.
pub fn returning(server: &ServerId, assignment: &Assignment) -> impl Iterator<Item = Edit> {
    assignment.whole_gpus().iter().map(|whole| {
        let returning = Returning {
            vm: assignment.vm.clone(),
            vm_name: assignment.vm_name.clone(),
            functions: whole.functions.clone(),
        };
        Edit::SetReturning { server: server.clone(), gpu: whole.gpu.clone(), returning }
    })
}

#[cfg(test)]
mod tests;
