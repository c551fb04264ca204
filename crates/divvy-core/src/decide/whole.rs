//! Giving VMs whole GPUs and taking them back. Named GPUs are given as named; of a pool they are picked
//! here: all from one NUMA node if one has enough, the lowest addresses first.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::assign::ready;
use crate::assignment::{Assignment, FormerDriver, Holding, Returning, WholeGpu};
use crate::change::{Change, Edit};
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::id::{GpuId, PoolName, ServerId};
use crate::observed::{Observed, ObservedGpu, SlotFunction};
use crate::refusal::{Refusal, WholeRefusal};
use crate::request::WholeWish;
use crate::resolve;
use crate::rules::vm_settings::Need;
use crate::rules::{one_partition, same_server, vm_settings, whole_gpu};
use crate::state::State;
use crate::vm::ObservedVm;

pub fn assign(
    state: &State,
    vm: &str,
    wish: &WholeWish,
    accept: &BTreeSet<FindingCode>,
) -> Result<Change, Refusal> {
    let (server, vm) = resolve::vm(state, vm)?;
    let Some(observed) = state.observed.get(server) else {
        return Err(Refusal::VmNotFound { name: vm.name.clone() });
    };
    if let Some(reason) = observed.hypervisor.unavailable() {
        return Err(Refusal::HypervisorUnavailable { server: server.clone(), reason: reason.into() });
    }
    one_partition::check(state, observed, vm)?;
    let gpus = match wish {
        WholeWish::Gpus(names) => named(state, server, observed, vm, names)?,
        WholeWish::Pool { pool, count } => of_pool(state, server, observed, vm, pool, *count)?,
    };
    let findings = findings_for(observed, vm, &gpus);
    ready(vm, "whole GPUs", &findings, accept)?;
    let accepted = findings.iter().filter(|finding| finding.severity == Severity::NeedsAccept);
    let assignment = Assignment {
        vm: vm.id.clone(),
        vm_name: vm.name.clone(),
        holding: Holding::Dda { gpus: gpus.iter().map(|gpu| whole(gpu)).collect() },
        accepted: accepted.map(|finding| finding.code.clone()).collect(),
        restart: findings.iter().any(|finding| finding.code == vm_settings::WILL_RESTART),
    };
    let edit = Edit::SetAssignment { server: server.clone(), assignment };
    let mut change = Change::of(Vec::from([edit]), &state.desired);
    change.warnings = findings.into_iter().filter(|finding| finding.severity != Severity::Info).collect();
    Ok(change)
}

/// Every finding that can stop this VM from getting these GPUs whole. What is said of a GPU's driver and
/// of its partitions does not matter then.
pub fn findings_for(observed: &Observed, vm: &ObservedVm, gpus: &[&ObservedGpu]) -> Vec<Finding> {
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
    let need = Need::of_whole(gpus.iter().copied());
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

fn named<'s>(
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

fn of_pool<'s>(
    state: &'s State,
    server: &ServerId,
    observed: &'s Observed,
    vm: &ObservedVm,
    pool: &str,
    count: u16,
) -> Result<Vec<&'s ObservedGpu>, Refusal> {
    let pool = resolve::pool(state, pool)?;
    if count == 0 {
        return Err(Refusal::NothingSelected);
    }
    let (free, mut why) = free_of_pool(state, observed, &pool);
    let wanted = usize::from(count);
    if free.len() >= wanted {
        return Ok(pick(free, wanted));
    }
    why.insert(0, format!("server {server} has {} free", free.len()));
    for (other, seen) in state.observed.iter().filter(|(other, _)| *other != server) {
        let (free, _) = free_of_pool(state, seen, &pool);
        if !free.is_empty() {
            why.push(format!("server {other} has {} free", free.len()));
        }
    }
    Err(WholeRefusal::NoFreeGpu { vm: vm.name.clone(), server: server.clone(), pool, count, why }.into())
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

/// The VM loses its GPUs at once; each is on its way back until it is the server's again.
pub fn unassign(state: &State, vm: &str) -> Result<Change, Refusal> {
    let none = |vm: &str| Refusal::from(WholeRefusal::VmHasNoWholeGpu { vm: vm.to_string() });
    let (server, assignment) = match resolve::assignment(state, vm) {
        Err(Refusal::VmHasNoPartition { vm }) => return Err(none(&vm)),
        found => found?,
    };
    if assignment.whole_gpus().is_empty() {
        return Err(none(&assignment.vm_name));
    }
    Ok(Change::of(returns(server, assignment), &state.desired))
}

/// What takes an assignment of whole GPUs back.
pub fn returns(server: &ServerId, assignment: &Assignment) -> Vec<Edit> {
    let mut edits = Vec::from([Edit::RemoveAssignment { server: server.clone(), vm: assignment.vm.clone() }]);
    edits.extend(assignment.whole_gpus().iter().map(|whole| {
        let returning = Returning {
            vm: assignment.vm.clone(),
            vm_name: assignment.vm_name.clone(),
            functions: whole.functions.clone(),
        };
        Edit::SetReturning { server: server.clone(), gpu: whole.gpu.clone(), returning }
    }));
    edits
}

#[cfg(test)]
mod tests;
