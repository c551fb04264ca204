//! Giving VMs a partition each. The partition is picked here: the GPU with the fewest free partitions
//! that still has one, so that whole GPUs stay idle and can change their count; in it the lowest index.

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::assignment::{Assignment, Holding};
use crate::change::{Change, Edit};
use crate::desired::PartitionSetting;
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::id::{PartitionId, PartitionIndex, ServerId};
use crate::observed::{Observed, ObservedGpu, ObservedPartition};
use crate::readiness;
use crate::refusal::Refusal;
use crate::resolve;
use crate::rules::vm_settings::Need;
use crate::rules::whole_or_partitions::Whole;
use crate::rules::{divvy_chooses, guest_os, one_partition, same_server, vm_settings};
use crate::state::State;
use crate::status;
use crate::vm::ObservedVm;

pub fn assign(
    state: &State,
    vms: &[String],
    gpu: Option<&str>,
    partition: Option<&str>,
    accept: &BTreeSet<FindingCode>,
) -> Result<Change, Refusal> {
    divvy_chooses::check(partition)?;
    if vms.is_empty() {
        return Err(Refusal::NothingSelected);
    }
    let gpu = gpu.map(|name| resolve::gpu(state, name)).transpose()?;
    let vms = vms.iter().map(|name| resolve::vm(state, name)).collect::<Result<Vec<_>, _>>()?;
    one_partition::named_once(vms.iter().map(|(_, vm)| *vm))?;
    // Each VM is decided on what the ones before it left: the picks of one request never collide.
    let mut ahead = Cow::Borrowed(state);
    let mut edits = Vec::new();
    let mut warnings = Vec::new();
    let mut left = vms.len();
    for (server, vm) in vms {
        let (more, warn) = assign_one(&ahead, server, vm, gpu, accept)?;
        left -= 1;
        if left > 0 {
            let change = Change::of(more.clone(), &ahead.desired);
            change.apply(&mut ahead.to_mut().desired).map_err(|_| Refusal::Busy { attempts: 1 })?;
        }
        edits.extend(more);
        warnings.extend(warn);
    }
    let mut change = Change::of(edits, &state.desired);
    change.warnings = warnings;
    Ok(change)
}

fn assign_one(
    state: &State,
    server: &ServerId,
    vm: &ObservedVm,
    gpu: Option<(&ServerId, &ObservedGpu)>,
    accept: &BTreeSet<FindingCode>,
) -> Result<(Vec<Edit>, Vec<Finding>), Refusal> {
    let Some(observed) = state.observed.get(server) else {
        return Err(Refusal::VmNotFound { name: vm.name.clone() });
    };
    if let Some((gpu_server, gpu)) = gpu {
        same_server::check(server, vm, gpu_server, &gpu.id)?;
        Whole::of(state.desired_of(server), observed).may_partition(gpu)?;
    }
    if let Some(reason) = observed.hypervisor.unavailable() {
        return Err(Refusal::HypervisorUnavailable { server: server.clone(), reason: reason.into() });
    }
    one_partition::check(state, observed, vm)?;
    let (picked_gpu, picked) = pick(state, server, observed, vm, gpu.map(|(_, gpu)| gpu))?;
    let id = PartitionId::new(&picked_gpu.id, picked.index);
    let findings = findings_for(observed, vm, picked_gpu, picked);
    ready(vm, "a partition", &findings, accept)?;
    let mut edits = Vec::new();
    let asked = state.desired_of(server).and_then(|desired| desired.settings.get(&picked_gpu.id)).copied();
    if asked.is_none() {
        // Its count was set by another hand; from now on Divvy keeps it, so that it is there after a boot.
        let setting =
            PartitionSetting::from_number(picked_gpu.partition_count.unwrap_or(0)).by(picked_gpu.scheme);
        edits.push(Edit::SetCount {
            server: server.clone(),
            gpu: picked_gpu.id.clone(),
            setting: Some(setting),
            before: None,
        });
    }
    let restart = findings.iter().any(|finding| finding.code == vm_settings::WILL_RESTART);
    let used = findings.iter().filter(|finding| finding.severity == Severity::NeedsAccept);
    let accepted = used.map(|finding| finding.code.clone()).collect();
    let holding = Holding::Partition { partition: id };
    let assignment = Assignment { vm: vm.id.clone(), vm_name: vm.name.clone(), holding, accepted, restart };
    edits.push(Edit::SetAssignment { server: server.clone(), assignment });
    Ok((edits, findings.into_iter().filter(|finding| finding.severity != Severity::Info).collect()))
}

/// Every finding that can stop this VM from getting this partition.
pub fn findings_for(
    observed: &Observed,
    vm: &ObservedVm,
    gpu: &ObservedGpu,
    partition: &ObservedPartition,
) -> Vec<Finding> {
    let subjects = [
        Subject::Server(observed.server.clone()),
        Subject::Gpu(gpu.id.clone()),
        Subject::Partition(PartitionId::new(&gpu.id, partition.index)),
        Subject::Vm(vm.id.clone()),
    ];
    let mut findings: Vec<Finding> =
        observed.findings.iter().filter(|finding| subjects.contains(&finding.subject)).cloned().collect();
    findings.extend(guest_os::finding(vm));
    findings.extend(vm_settings::findings(vm, Need::of_partition(partition), observed.memory_bytes));
    findings
}

/// Nothing stops the VM from getting `what`, or it was accepted.
pub fn ready(
    vm: &ObservedVm,
    what: &'static str,
    findings: &[Finding],
    accept: &BTreeSet<FindingCode>,
) -> Result<(), Refusal> {
    let stopping = readiness::blocking(findings, accept);
    let errors: Vec<Finding> = stopping.iter().filter(|f| f.severity == Severity::Error).cloned().collect();
    if !errors.is_empty() {
        return Err(Refusal::NotReady { vm: vm.name.clone(), what, findings: errors });
    }
    if !stopping.is_empty() {
        return Err(Refusal::NotAccepted { vm: vm.name.clone(), what, findings: stopping });
    }
    Ok(())
}

fn pick<'o>(
    state: &State,
    server: &ServerId,
    observed: &'o Observed,
    vm: &ObservedVm,
    wished: Option<&ObservedGpu>,
) -> Result<(&'o ObservedGpu, &'o ObservedPartition), Refusal> {
    let mut why = Vec::new();
    let desired = state.desired_of(server);
    let partitions = status::Partitions::of(desired, observed);
    let mut best: Option<(usize, &ObservedGpu, &ObservedPartition)> = None;
    for gpu in observed.gpus.iter().filter(|gpu| wished.is_none_or(|wish| wish.id == gpu.id)) {
        match free_partitions(&partitions, observed, gpu) {
            Err(reason) => why.push(format!("GPU {}: {reason}", gpu.id)),
            Ok(free) => {
                if best.is_none_or(|(fewest, ..)| free.len() < fewest)
                    && let Some(lowest) = free.first()
                {
                    best = Some((free.len(), gpu, lowest));
                }
            }
        }
    }
    if let Some((_, gpu, partition)) = best {
        return Ok((gpu, partition));
    }
    if why.is_empty() {
        why.push("the server has no GPU".to_string());
    }
    Err(Refusal::NoFreePartition { vm: vm.name.clone(), server: server.clone(), why })
}

/// The free partitions of a GPU by index, or why it has none.
fn free_partitions<'o>(
    partitions: &status::Partitions<'_>,
    observed: &'o Observed,
    gpu: &'o ObservedGpu,
) -> Result<Vec<&'o ObservedPartition>, String> {
    partitions.gives(gpu)?;
    // Another hand can have made some with gaps; what lies beyond the count is not Divvy's to keep.
    let counts = |one: &ObservedPartition| gpu.partition_count.is_some_and(|count| one.index.0 < count);
    let errors = errors_of_partitions(observed, gpu);
    let (mut fit, mut unfit) = (Vec::new(), None);
    for one in gpu.partitions.iter().filter(|one| counts(one) && partitions.is_free(gpu, one)) {
        match errors.get(&one.index) {
            None => fit.push(one),
            Some(finding) => {
                let id = PartitionId::new(&gpu.id, one.index);
                unfit.get_or_insert_with(|| format!("{id} is free, but {}", finding.text));
            }
        }
    }
    if fit.is_empty() {
        return Err(
            unfit.unwrap_or_else(|| format!("none of its {} partitions is free", gpu.partitions.len()))
        );
    }
    fit.sort_by_key(|partition| partition.index);
    Ok(fit)
}

/// What is wrong with partitions of this GPU, so that no VM gets them: of each the first that was found.
fn errors_of_partitions<'o>(
    observed: &'o Observed,
    gpu: &ObservedGpu,
) -> BTreeMap<PartitionIndex, &'o Finding> {
    let errors = observed.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let of_gpu = errors.filter_map(|finding| match &finding.subject {
        Subject::Partition(id) if id.gpu == gpu.id => Some((id.index, finding)),
        _ => None,
    });
    // Of two with one index the later one stays.
    of_gpu.rev().collect()
}
