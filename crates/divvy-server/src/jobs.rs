//! Jobs: made with the change they stand for, advanced by what agents report, ended when the hardware is
//! as asked for or a step failed. A failed target is taken back by a request like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use divvy_core::assignment::{Assignment, Hold, Holding};
use divvy_core::change::{Change, Edit};
use divvy_core::desired::PartitionSetting;
use divvy_core::id::{GpuId, ServerId};
use divvy_core::job::{Job, JobId, JobKind, JobTarget, Progress, StepRecord, Wanted};
use divvy_core::observed::{Failure, GpuHealth};
use divvy_core::plan::Waiting;
use divvy_core::progress::{Standing, standing};
use divvy_core::refusal::Refusal;
use divvy_core::request::Request;
use divvy_core::rules::sizes;
use divvy_core::split::Split;
use divvy_core::state::State;
use divvy_core::step::{HostStep, Outcome, Step, VmStep};

/// One step that an agent took.
#[derive(Debug, Clone)]
pub struct StepNote {
    pub step: Step,
    pub result: Result<Outcome, Failure>,
    /// A partition was tried to be cleaned, and it is not clean.
    pub unclean: bool,
    pub at_ms: u64,
}

pub fn kind(request: &Request) -> Option<JobKind> {
    match request {
        Request::SetPartitionCount { .. } => Some(JobKind::SetPartitionCount),
        Request::Assign { .. } => Some(JobKind::Assign),
        Request::Unassign { .. } => Some(JobKind::Unassign),
        Request::AssignDda { .. } => Some(JobKind::AssignDda),
        Request::UnassignDda { .. } => Some(JobKind::UnassignDda),
        Request::FillClaim { .. } => Some(JobKind::FillClaim),
        Request::Cure { .. } => Some(JobKind::Cure),
        _ => None,
    }
}

/// What the job of a change has to see done, and what each target had before.
pub fn targets(state: &State, change: &Change, request: &Request) -> Vec<JobTarget> {
    let count_asked = matches!(request, Request::SetPartitionCount { .. });
    change.edits.iter().filter_map(|edit| target(state, edit, count_asked)).collect()
}

fn target(state: &State, edit: &Edit, count_asked: bool) -> Option<JobTarget> {
    let wanted = match edit {
        Edit::SetCount { server, gpu, setting: Some(setting), before } if count_asked => {
            let seen = state.observed.get(server).and_then(|observed| observed.gpu(gpu));
            let observed_before = seen.and_then(|gpu| gpu.partition_count);
            let sizes_before = seen.and_then(sizes::seen).and_then(|split| split.sizes());
            let (gpu, setting, before) = (gpu.clone(), *setting, *before);
            Wanted::Count { gpu, setting, before, observed_before, sizes_before }
        }
        Edit::SetAssignment { assignment, .. } => {
            let (vm, vm_name) = (assignment.vm.clone(), assignment.vm_name.clone());
            match &assignment.holding {
                Holding::Partition { partition } => {
                    Wanted::Assigned { vm, vm_name, partition: partition.clone() }
                }
                Holding::Claim { claim } => Wanted::Claimed { vm, vm_name, claim: claim.clone() },
                Holding::Dda { .. } if assignment.start => {
                    Wanted::ClaimFilled { vm, vm_name, gpus: whole(assignment) }
                }
                Holding::Dda { .. } => Wanted::AssignedDda { vm, vm_name, gpus: whole(assignment) },
            }
        }
        Edit::RemoveClaim { vm, vm_name, .. } => {
            Wanted::Unclaimed { vm: vm.clone(), vm_name: vm_name.clone() }
        }
        Edit::RemoveAssignment { server, vm } => {
            let had = state.desired_of(server).and_then(|desired| desired.assignments.get(vm))?;
            let (vm, vm_name) = (vm.clone(), had.vm_name.clone());
            match had.partition() {
                Some(partition) => Wanted::Unassigned { vm, vm_name, partition: partition.clone() },
                None => Wanted::UnassignedDda { vm, vm_name, gpus: whole(had) },
            }
        }
        Edit::SetHold { partition, hold: Hold::Curing { .. }, .. } => {
            Wanted::Cured { partition: partition.clone(), remake: false }
        }
        Edit::SetHold { partition, hold: Hold::Remaking { .. }, .. } => {
            Wanted::Cured { partition: partition.clone(), remake: true }
        }
        _ => return None,
    };
    let server = edit.server().clone();
    Some(JobTarget {
        server,
        wanted,
        progress: Progress::Running,
        steps: Vec::new(),
        detail: None,
        hint: None,
    })
}

fn whole(assignment: &Assignment) -> Vec<GpuId> {
    assignment.whole_ids().cloned().collect()
}

pub fn new_job(id: JobId, kind: JobKind, principal: &str, now_ms: u64, targets: Vec<JobTarget>) -> Job {
    Job {
        id,
        kind,
        principal: principal.to_owned(),
        created_ms: now_ms,
        finished_ms: None,
        progress: Progress::Running,
        targets,
    }
}

/// What a report did to the running jobs.
#[derive(Debug, Default)]
pub struct Advanced {
    pub changed: Vec<Job>,
    /// Of those, the ones whose progress must survive a crash.
    pub keep: BTreeSet<JobId>,
    /// What takes failed targets back.
    pub requests: Vec<Request>,
}

pub fn advance(
    running: &BTreeMap<JobId, Arc<Job>>,
    state: &State,
    server: &ServerId,
    notes: &[StepNote],
    waiting: &[Waiting],
    now_ms: u64,
) -> Advanced {
    let mut advanced = Advanced::default();
    let concerned = running.values().filter(|job| job.targets.iter().any(|target| target.server == *server));
    for job in concerned {
        let mut after = Job::clone(job);
        for target in after.targets.iter_mut().filter(|target| target.server == *server) {
            if target.progress == Progress::Running {
                take_notes(target, notes, &mut advanced.requests);
            }
            if target.progress == Progress::Running {
                stand(target, standing(state, target, waiting));
                give_up_on_unknown_gpu(target, state, &mut advanced.requests);
            }
        }
        finish(&mut after, now_ms);
        if after != **job {
            let moved = |(one, two): (&JobTarget, &JobTarget)| one.progress != two.progress;
            if after.targets.iter().zip(&job.targets).any(moved) {
                advanced.keep.insert(after.id);
            }
            advanced.changed.push(after);
        }
    }
    advanced
}

fn take_notes(target: &mut JobTarget, notes: &[StepNote], requests: &mut Vec<Request>) {
    for note in notes.iter().filter(|note| concerns(&target.wanted, &note.step)) {
        let outcome = match &note.result {
            Ok(Outcome::Changed) => "changed",
            Ok(Outcome::Already) => "already",
            Err(_) => "failed",
        };
        target.steps.push(StepRecord {
            text: note.step.to_string(),
            outcome: outcome.to_owned(),
            at_ms: note.at_ms,
        });
        if let Err(failure) = &note.result {
            target.progress = Progress::Failed;
            target.detail = Some(failure.error.clone());
            target.hint = Some(hint(&target.wanted, &failure.hint));
            requests.extend(take_back(target));
            return;
        }
    }
}

/// What to do about a failed step. A reset that does not help has one thing left to try.
fn hint(wanted: &Wanted, of_step: &str) -> String {
    match wanted {
        Wanted::Cured { partition, remake: false } => format!(
            "make all partitions of the GPU again, when none is assigned: \
             divvy partition cure {partition} --remake-siblings"
        ),
        Wanted::Cured { remake: true, .. } => {
            format!("{of_step}; if it stays so, power the server off and on")
        }
        _ => of_step.to_owned(),
    }
}

/// Whether a step was taken for this target.
fn concerns(wanted: &Wanted, step: &Step) -> bool {
    match (wanted, step) {
        (
            Wanted::Count { gpu, .. },
            Step::Host(
                HostStep::ReservePartitions { gpu: of, .. }
                | HostStep::RemovePartitions { gpu: of, .. }
                | HostStep::CreatePartitions { gpu: of, .. }
                | HostStep::TurnOff { gpu: of, .. },
            ),
        ) => gpu == of,
        (Wanted::Count { .. }, _) => false,
        (
            Wanted::Cured { partition, remake: false },
            Step::Host(HostStep::CleanPartition { partition: of, .. }),
        ) => partition == of,
        (
            Wanted::Cured { partition, remake: true },
            Step::Host(
                HostStep::ReservePartitions { gpu: of, .. }
                | HostStep::RemovePartitions { gpu: of, .. }
                | HostStep::CreatePartitions { gpu: of, .. },
            ),
        ) => partition.gpu == *of,
        (Wanted::Cured { .. }, _) => false,
        (
            Wanted::AssignedDda { gpus, .. } | Wanted::ClaimFilled { gpus, .. },
            Step::Host(HostStep::GiveGpu { gpu, .. }),
        )
        | (Wanted::UnassignedDda { gpus, .. }, Step::Host(HostStep::TakeGpuBack { gpu, .. })) => {
            gpus.contains(gpu)
        }
        (
            Wanted::Assigned { partition, .. } | Wanted::Unassigned { partition, .. },
            Step::Host(
                HostStep::PreparePartition { partition: of, .. }
                | HostStep::CleanPartition { partition: of, .. },
            ),
        ) => partition == of,
        (
            Wanted::Assigned { vm, .. } | Wanted::AssignedDda { vm, .. } | Wanted::ClaimFilled { vm, .. },
            Step::Vm(step),
        ) => step.vm() == vm && !matches!(step, VmStep::RemoveDevice { given: Some(_), .. }),
        (Wanted::Unassigned { vm, .. } | Wanted::UnassignedDda { vm, .. }, Step::Vm(step)) => {
            step.vm() == vm && matches!(step, VmStep::RemoveDevice { .. })
        }
        (Wanted::Claimed { .. } | Wanted::Unclaimed { .. }, _) | (_, Step::Host(_)) => false,
    }
}

/// The request that takes a failed target back. A partition that is being taken back already is not
/// given again: the agent goes on trying.
fn take_back(target: &JobTarget) -> Option<Request> {
    let server = target.server.clone();
    match &target.wanted {
        Wanted::Count { gpu, setting, before, observed_before, sizes_before } => {
            let sizes = sizes_before.map(|sizes| PartitionSetting::of(Some(Split::Sizes(sizes))));
            let seen = sizes.or_else(|| observed_before.map(PartitionSetting::from_number));
            let back_to = before.or_else(|| Some(seen?.by(setting.scheme())));
            Some(Request::RevertCount { server, gpu: gpu.clone(), failed: *setting, back_to })
        }
        Wanted::Assigned { vm, partition, .. } => {
            Some(Request::RevertAssignment { server, vm: vm.clone(), partition: partition.clone() })
        }
        Wanted::AssignedDda { vm, gpus, .. } => {
            Some(Request::RevertDda { server, vm: vm.clone(), gpus: gpus.clone() })
        }
        Wanted::Cured { partition, .. } => {
            let reason = target.detail.clone().unwrap_or_default();
            Some(Request::Quarantine { server, partition: partition.clone(), reason })
        }
        Wanted::ClaimFilled { vm, gpus, .. } => {
            Some(Request::EmptyClaim { server, vm: vm.clone(), gpus: gpus.clone(), failed: true })
        }
        Wanted::Claimed { .. }
        | Wanted::Unclaimed { .. }
        | Wanted::Unassigned { .. }
        | Wanted::UnassignedDda { .. } => None,
    }
}

/// Ends a job before its time: what it has not reached is taken back. What is being taken back from a VM
/// already goes on, because a partition that may not be clean is not given again.
pub fn cancel(job: &Job, by: &str, now_ms: u64) -> Result<(Job, Vec<Request>), Refusal> {
    if job.finished_ms.is_some() {
        return Err(Refusal::JobFinished { id: job.id });
    }
    if matches!(job.kind, JobKind::Unassign | JobKind::UnassignDda) {
        return Err(Refusal::JobNotCancellable { id: job.id });
    }
    let mut job = job.clone();
    let mut requests = Vec::new();
    for target in job.targets.iter_mut().filter(|target| target.progress == Progress::Running) {
        target.progress = Progress::Failed;
        target.detail = Some(format!("cancelled by {by}"));
        target.hint = None;
        requests.extend(take_back(target));
    }
    finish(&mut job, now_ms);
    Ok((job, requests))
}

/// A GPU that stopped answering after the change was accepted: nobody knows for how long, so the change
/// is taken back and the asker is told now.
fn give_up_on_unknown_gpu(target: &mut JobTarget, state: &State, requests: &mut Vec<Request>) {
    let gpus: Vec<&GpuId> = match &target.wanted {
        Wanted::Count { gpu, .. } => vec![gpu],
        Wanted::Assigned { partition, .. } | Wanted::Cured { partition, .. } => vec![&partition.gpu],
        Wanted::AssignedDda { gpus, .. } | Wanted::ClaimFilled { gpus, .. } => gpus.iter().collect(),
        Wanted::Claimed { .. }
        | Wanted::Unclaimed { .. }
        | Wanted::Unassigned { .. }
        | Wanted::UnassignedDda { .. } => return,
    };
    let observed = state.observed.get(&target.server);
    let unknown = |gpu: &GpuId| match &observed?.gpu(gpu)?.health {
        GpuHealth::Unknown { reason } => Some((gpu.clone(), reason)),
        GpuHealth::Ok => None,
    };
    let Some((gpu, reason)) = gpus.into_iter().find_map(unknown) else { return };
    target.progress = Progress::Failed;
    target.detail = Some(format!("GPU {gpu} does not answer: {reason}"));
    target.hint = Some("divvy explain GPU says what was tried; the server's kernel log says why".to_owned());
    requests.extend(take_back(target));
}

fn stand(target: &mut JobTarget, standing: Standing) {
    match standing {
        Standing::Done => {
            target.progress = Progress::Succeeded;
            target.detail = None;
        }
        Standing::Pending { why } => target.detail = why,
        Standing::Overtaken => {
            target.progress = Progress::Failed;
            target.detail = Some("a later change asked for something else".to_owned());
        }
    }
}

fn finish(job: &mut Job, now_ms: u64) {
    let is = |progress: Progress| job.targets.iter().any(|target| target.progress == progress);
    if job.finished_ms.is_some() || is(Progress::Running) {
        return;
    }
    job.progress = if is(Progress::Failed) { Progress::Failed } else { Progress::Succeeded };
    job.finished_ms = Some(now_ms);
}
