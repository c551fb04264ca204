//! Executing the steps of one plan: GPUs side by side, because the kernel makes each of them wait and
//! none of them wait for another; then VMs one after the other. What fails stops the steps that lean on
//! it and nothing else. A VM gets a partition or a whole GPU only with a fresh proof that it is ready.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use divvy_core::decide;
use divvy_core::desired::DesiredServer;
use divvy_core::device::DeviceHandle;
use divvy_core::finding::Finding;
use divvy_core::given::Given;
use divvy_core::id::{GpuId, PartitionId, VmId};
use divvy_core::observed::{Failure, Observed, ObservedGpu};
use divvy_core::readiness::{self, Ready};
use divvy_core::rules::whole_or_partitions::VFIO_DRIVER;
use divvy_core::step::{HostStep, Outcome, Step, VmStep};
use divvy_host::error::HostError;
use divvy_hypervisor::{Hypervisor, HypervisorError};

use crate::chain::chain;
use crate::clock::now_ms;
use crate::host_side::HostSide;
use crate::jobs::StepNote;
use crate::starts::Starts;

/// How long a VM may take to power off when it is restarted for its partition.
const SHUT_DOWN_DEADLINE: Duration = Duration::from_secs(120);

/// What steps are carried out on, and what they were planned from.
#[derive(Clone, Copy)]
pub struct Basis<'a> {
    pub host: &'a HostSide,
    pub starts: &'a Starts,
    pub desired: &'a DesiredServer,
    pub observed: &'a Observed,
}

pub fn execute(basis: Basis<'_>, hypervisor: &mut dyn Hypervisor, steps: &[Step]) -> Vec<StepNote> {
    let mut by_gpu: BTreeMap<&GpuId, Vec<&HostStep>> = BTreeMap::new();
    let mut for_vms: Vec<&VmStep> = Vec::new();
    for step in steps {
        match step {
            Step::Host(step) => by_gpu.entry(step.gpu()).or_default().push(step),
            Step::Vm(step) => for_vms.push(step),
        }
    }
    let mut notes = on_gpus(basis.host, &by_gpu);
    let failed_gpus: BTreeSet<GpuId> =
        notes.iter().filter_map(|note| note.result.as_ref().err()?.gpu.clone()).collect();
    notes.extend(on_vms(basis, hypervisor, &for_vms, &failed_gpus));
    notes
}

fn on_gpus(host: &HostSide, by_gpu: &BTreeMap<&GpuId, Vec<&HostStep>>) -> Vec<StepNote> {
    if let Some(steps) = by_gpu.values().next().filter(|_| by_gpu.len() == 1) {
        return on_one_gpu(host, steps);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = by_gpu.values().map(|steps| scope.spawn(|| on_one_gpu(host, steps))).collect();
        // A panic in a step is a defect; it must not pass for a step that was taken.
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// A GPU's steps in order, up to the first that fails. A partition that cannot be cleaned stops only
/// itself.
fn on_one_gpu(host: &HostSide, steps: &[&HostStep]) -> Vec<StepNote> {
    let mut notes = Vec::new();
    for step in steps {
        // None: whoever looks does not end, and the step says that the GPU is in use.
        let takes = matches!(step, HostStep::GiveGpu { .. });
        let _nobody_looks = takes.then(|| host.gate.close(host.limits.write));
        let result = divvy_host::execute::execute(host.sysfs.as_ref(), step, &host.limits);
        let cleaning = matches!(step, HostStep::CleanPartition { .. });
        let unclean = cleaning && result.as_ref().is_err_and(proves_unclean);
        let result = result.map_err(|error| Failure {
            gpu: Some(step.gpu().clone()),
            vm: None,
            step: step.to_string(),
            error: chain(&error),
            hint: error.hint().to_string(),
        });
        let stop = result.is_err() && !cleaning;
        notes.push(StepNote { step: Step::Host((*step).clone()), result, unclean, at_ms: now_ms() });
        if stop {
            break;
        }
    }
    notes
}

/// Whether a failed cleaning says something about the partition. One that was not tried (it is open
/// again, it moved, nobody could look) does not: it is tried again.
fn proves_unclean(error: &HostError) -> bool {
    !matches!(
        error,
        HostError::PartitionOpen { .. }
            | HostError::OpenUnknown { .. }
            | HostError::Moved { .. }
            | HostError::OtherGpu { .. }
            | HostError::Unreadable { .. }
    )
}

fn on_vms(
    basis: Basis<'_>,
    hypervisor: &mut dyn Hypervisor,
    steps: &[&VmStep],
    failed_gpus: &BTreeSet<GpuId>,
) -> Vec<StepNote> {
    let mut failed_vms: BTreeSet<&VmId> = BTreeSet::new();
    let mut notes = Vec::new();
    for step in steps {
        let leans_on_failed =
            matches!(step, VmStep::AddDevice { given, .. } if failed_gpus.contains(given.gpu()));
        if leans_on_failed || failed_vms.contains(step.vm()) {
            failed_vms.insert(step.vm());
            continue;
        }
        // Divvy has begun to end since it was planned: the next one gives the start.
        let begun = matches!(step, VmStep::Start { .. }).then(|| basis.starts.begin());
        if matches!(begun, Some(None)) {
            continue;
        }
        let result = on_vm(basis, hypervisor, step);
        if result.is_err() {
            failed_vms.insert(step.vm());
        }
        notes.push(StepNote { step: Step::Vm((*step).clone()), result, unclean: false, at_ms: now_ms() });
    }
    notes
}

fn on_vm(basis: Basis<'_>, hypervisor: &mut dyn Hypervisor, step: &VmStep) -> Result<Outcome, Failure> {
    let failed = |error: &HypervisorError| failure(step, chain(error), error.hint().to_string());
    match step {
        VmStep::AddDevice { vm, given, device, scope, .. } => {
            let ready = prove(&Proving { basis, step, vm }, given, *device)?;
            hypervisor.attach(&ready, *scope).map_err(|error| failed(&error))
        }
        VmStep::RemoveDevice { vm, device, scope, .. } => {
            hypervisor.detach(vm, *device, *scope).map_err(|error| failed(&error))
        }
        VmStep::ShutDown { vm, .. } => {
            hypervisor.shut_down(vm, SHUT_DOWN_DEADLINE).map_err(|error| failed(&error))
        }
        VmStep::Start { vm, .. } => hypervisor.start(vm).map_err(|error| failed(&error)),
    }
}

fn failure(step: &VmStep, error: String, hint: String) -> Failure {
    Failure { gpu: None, vm: Some(step.vm().clone()), step: step.to_string(), error, hint }
}

/// What a proof is made from.
struct Proving<'a> {
    basis: Basis<'a>,
    step: &'a VmStep,
    vm: &'a VmId,
}

impl Proving<'_> {
    fn gone(&self, given: &Given, device: DeviceHandle) -> Failure {
        failure(
            self.step,
            format!("{} is not at {device} any more", given.in_words()),
            "divvyd looks again and tries again".to_owned(),
        )
    }
}

/// Looks at what is given again, now, and makes the proof that the hypervisor asks for.
fn prove(proving: &Proving<'_>, given: &Given, device: DeviceHandle) -> Result<Ready, Failure> {
    let findings = match given {
        Given::Partition(partition) => partition_findings(proving, partition, device)?,
        Given::Function { .. } => whole_findings(proving, given, device)?,
    };
    let assignment = proving.basis.desired.assignments.get(proving.vm);
    let accepted = assignment.map(|assignment| assignment.accepted.clone()).unwrap_or_default();
    readiness::prove(given, device, proving.vm, &findings, &accepted).map_err(|stopping| {
        let texts: Vec<String> =
            stopping.iter().map(|finding| format!("{} [{}]", finding.text, finding.code)).collect();
        let mends: Vec<&str> = stopping.iter().map(|finding| finding.mend.as_str()).collect();
        failure(proving.step, texts.join("; "), mends.join("; "))
    })
}

fn partition_findings(
    proving: &Proving<'_>,
    partition: &PartitionId,
    device: DeviceHandle,
) -> Result<Vec<Finding>, Failure> {
    let observed = proving.basis.observed;
    let gone = || proving.gone(&partition.clone().into(), device);
    let gpu = observed.gpu(&partition.gpu).ok_or_else(gone)?;
    let seen = gpu.partition(partition.index).filter(|seen| seen.device == device).ok_or_else(gone)?;
    let own = observed.vm(proving.vm).ok_or_else(gone)?;
    let mut findings: Vec<Finding> = decide::findings_for(observed, own, gpu, seen);
    findings.extend(proving.basis.host.readiness_to_assign(gpu, seen));
    Ok(findings)
}

/// The VM's whole GPUs are looked at anew, all of them: what stops one stops the VM.
fn whole_findings(
    proving: &Proving<'_>,
    given: &Given,
    device: DeviceHandle,
) -> Result<Vec<Finding>, Failure> {
    let gone = || proving.gone(given, device);
    let own = proving.basis.observed.vm(proving.vm).ok_or_else(gone)?;
    let assignment = proving.basis.desired.assignments.get(proving.vm).ok_or_else(gone)?;
    let seen = proving.basis.host.look().map_err(|_| gone())?;
    let gpus = assignment.whole_gpus().iter().map(|whole| {
        let ready = |gpu: &&ObservedGpu| {
            let on_vfio = |name: &Option<String>| name.as_deref() == Some(VFIO_DRIVER);
            let mut slot = gpu.slot.functions.iter();
            gpu.is_healthy() && slot.all(|one| on_vfio(&one.driver) && on_vfio(&one.driver_override))
        };
        seen.gpu(&whole.gpu).filter(ready)
    });
    let gpus: Vec<&ObservedGpu> = gpus.collect::<Option<_>>().ok_or_else(gone)?;
    let is_it = |gpu: &&&ObservedGpu| gpu.id == *given.gpu();
    let slot = gpus.iter().find(is_it).map(|gpu| &gpu.slot).ok_or_else(gone)?;
    if !slot.functions.iter().any(|function| device == function.address.into()) {
        return Err(gone());
    }
    let mut findings = decide::whole_findings_for(proving.basis.observed, own, &gpus);
    findings.extend(proving.basis.host.server_readiness());
    Ok(findings)
}
