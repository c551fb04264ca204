//! Giving VMs a partition each. Which one is picked beside this (`pick`); here is asked whether the VM may
//! get it, and what is kept of it.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::pick;
use crate::assignment::{Assignment, Holding};
use crate::change::{Change, Edit};
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::id::{PartitionId, ServerId};
use crate::observed::{Observed, ObservedGpu, ObservedPartition};
use crate::readiness;
use crate::refusal::Refusal;
use crate::resolve;
use crate::rules::vm_settings::Need;
use crate::rules::whole_or_partitions::Whole;
use crate::rules::{divvy_chooses, guest_os, one_partition, same_server, sizes, vm_settings};
use crate::state::State;
use crate::vm::ObservedVm;

/// What is wished for of the partitions.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'r> {
    pub gpu: Option<&'r str>,
    pub memory_bytes: Option<u64>,
}

pub fn assign(
    state: &State,
    vms: &[String],
    wish: Wish<'_>,
    partition: Option<&str>,
    accept: &BTreeSet<FindingCode>,
) -> Result<Change, Refusal> {
    divvy_chooses::check(partition)?;
    if vms.is_empty() {
        return Err(Refusal::NothingSelected);
    }
    let gpu = wish.gpu.map(|name| resolve::gpu(state, name)).transpose()?;
    let vms = vms.iter().map(|name| resolve::vm(state, name)).collect::<Result<Vec<_>, _>>()?;
    one_partition::named_once(vms.iter().map(|(_, vm)| *vm))?;
    // Each VM is decided on what the ones before it left: the picks of one request never collide.
    let mut ahead = Cow::Borrowed(state);
    let mut edits = Vec::new();
    let mut warnings = Vec::new();
    let mut left = vms.len();
    for (server, vm) in vms {
        let (more, warn) = assign_one(&ahead, server, vm, (gpu, wish.memory_bytes), accept)?;
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
    (gpu, memory_bytes): (Option<(&ServerId, &ObservedGpu)>, Option<u64>),
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
    let wish = pick::Wish { gpu: gpu.map(|(_, gpu)| gpu), memory_bytes };
    let (picked_gpu, picked) = pick::pick(state, server, observed, vm, wish)?;
    let id = PartitionId::new(&picked_gpu.id, picked.index);
    let findings = findings_for(observed, vm, picked_gpu, picked);
    ready(vm, "a partition", &findings, accept)?;
    let mut edits = Vec::new();
    let asked = state.desired_of(server).and_then(|desired| desired.settings.get(&picked_gpu.id)).copied();
    if asked.is_none() {
        // Its count was set by another hand; from now on Divvy keeps it, so that it is there after a boot.
        let refused = |why| {
            let (vm, server, why) = (vm.name.clone(), server.clone(), alloc::vec![why]);
            Refusal::NoFreePartition { vm, server, why }
        };
        let setting = sizes::adopted(picked_gpu).map_err(refused)?;
        edits.push(Edit::SetCount {
            server: server.clone(),
            gpu: picked_gpu.id.clone(),
            setting: Some(setting),
            before: None,
        });
    }
    let assignment = assigned(vm, Holding::Partition { partition: id }, &findings);
    edits.push(Edit::SetAssignment { server: server.clone(), assignment });
    Ok((edits, to_be_said(findings)))
}

/// What the VM has from now on, with what had to be accepted.
pub fn assigned(vm: &ObservedVm, holding: Holding, findings: &[Finding]) -> Assignment {
    let accepted = findings.iter().filter(|finding| finding.severity == Severity::NeedsAccept);
    Assignment {
        vm: vm.id.clone(),
        vm_name: vm.name.clone(),
        holding,
        accepted: accepted.map(|finding| finding.code.clone()).collect(),
        restart: findings.iter().any(|finding| finding.code == vm_settings::WILL_RESTART),
        start: false,
    }
}

/// All but what is only of interest.
pub fn to_be_said(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().filter(|finding| finding.severity != Severity::Info).collect()
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
