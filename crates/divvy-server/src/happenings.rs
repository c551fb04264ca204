//! Events: what was asked for and by whom, what the hardware did by itself, what a step could not do.
//! Made by comparing, never by listening: an event that nobody could see was missed is not told twice.

use std::collections::BTreeMap;

use divvy_core::assignment::{Assignment, Hold};
use divvy_core::change::{Change, Edit};
use divvy_core::desired::{Desired, PartitionSetting};
use divvy_core::event::Event;
use divvy_core::finding::{Finding, Severity, Subject};
use divvy_core::id::{PartitionId, ServerId, VmId};
use divvy_core::job::{Job, JobId, Progress};
use divvy_core::observed::{HypervisorHealth, Observed, ObservedGpu};
use divvy_core::progress;
use divvy_core::rules::sizes;
use divvy_core::split::Split;
use divvy_core::step::{Outcome, Step, VmStep};
use divvy_core::vm::ObservedVm;

use crate::jobs::StepNote;

mod codes;

pub use codes::CODES;

/// The record of a change, written in the same transaction and so before its effect.
pub fn of_change(
    before: &Desired,
    change: &Change,
    warnings: &[Finding],
    principal: &str,
    job: Option<JobId>,
    now_ms: u64,
) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for edit in change.edits.iter().filter(|edit| !is_known(before, edit)) {
        let (code, subject, text) = edit_in_words(change, edit);
        events.push(Event {
            at_ms: now_ms,
            code: code.to_owned(),
            server: Some(edit.server().clone()),
            subject,
            text,
            principal: Some(principal.to_owned()),
            job,
        });
    }
    // What had to be accepted is part of the record of who did it.
    for finding in warnings.iter().filter(|finding| finding.severity == Severity::NeedsAccept) {
        events.push(Event {
            at_ms: now_ms,
            code: "finding_accepted".to_owned(),
            server: None,
            subject: finding.subject.clone(),
            text: format!("accepted {}: {}", finding.code, finding.text),
            principal: Some(principal.to_owned()),
            job,
        });
    }
    events
}

/// The VM has the same as before: only how far it is with that is written down.
fn is_known(before: &Desired, edit: &Edit) -> bool {
    let Edit::SetAssignment { server, assignment } = edit else { return false };
    let known = before.server(server).and_then(|desired| desired.assignments.get(&assignment.vm));
    known.is_some_and(|known| {
        let has = |one: &Assignment| !one.waits_for_start();
        has(known)
            && has(assignment)
            && known.partition() == assignment.partition()
            && known.whole_gpus() == assignment.whole_gpus()
    })
}

fn edit_in_words(change: &Change, edit: &Edit) -> (&'static str, Subject, String) {
    match edit {
        Edit::SetCount { gpu, setting, .. } => {
            let text = match setting {
                Some(PartitionSetting::Count(asked)) => {
                    format!("GPU {gpu} shall have {}", asked.split)
                }
                Some(PartitionSetting::Off) => format!("GPU {gpu} shall have no partitions"),
                None => format!("GPU {gpu} is left as it is"),
            };
            ("count_set", Subject::Gpu(gpu.clone()), text)
        }
        Edit::SetAssignment { assignment, .. } if assignment.waits_for_start() => {
            claim_in_words(change, assignment)
        }
        Edit::RemoveClaim { vm, vm_name, .. } => {
            ("unclaimed", Subject::Vm(vm.clone()), format!("VM {vm_name} claims no GPU any more"))
        }
        Edit::SetAssignment { assignment, .. } => {
            let verb = if assignment.whole_gpus().len() > 1 { "belong" } else { "belongs" };
            let text = format!("{} {verb} to VM {}", assignment.in_words(), assignment.vm_name);
            ("assigned", Subject::Vm(assignment.vm.clone()), text)
        }
        Edit::RemoveAssignment { vm, .. } => {
            let name = name_of(change, vm);
            let returns = change.edits.iter().any(|edit| matches!(edit, Edit::SetReturning { .. }));
            let what = if returns { "whole GPU" } else { "partition" };
            ("unassigned", Subject::Vm(vm.clone()), format!("VM {name} has no {what} any more"))
        }
        Edit::SetHold { partition, hold, .. } => {
            let (code, text) = hold_in_words(partition, hold);
            (code, Subject::Partition(partition.clone()), text)
        }
        Edit::RemoveHold { partition, .. } => (
            "partition_free",
            Subject::Partition(partition.clone()),
            format!("partition {partition} is free again"),
        ),
        Edit::SetReturning { gpu, returning, .. } => {
            let text = format!("GPU {gpu} is taken back from VM {}", returning.vm_name);
            ("returning", Subject::Gpu(gpu.clone()), text)
        }
        Edit::RemoveReturning { gpu, .. } => {
            ("gpu_returned", Subject::Gpu(gpu.clone()), format!("GPU {gpu} is the server's again"))
        }
        Edit::SetPool { gpu, pool: Some(pool), .. } => {
            ("pooled", Subject::Gpu(gpu.clone()), format!("GPU {gpu} is in pool {pool}"))
        }
        Edit::SetPool { gpu, pool: None, before, .. } => {
            let pool = before.as_ref().map(|pool| format!(" {pool}")).unwrap_or_default();
            ("unpooled", Subject::Gpu(gpu.clone()), format!("GPU {gpu} left pool{pool}"))
        }
    }
}

/// A claim without GPUs: a new one, or one whose VM is off again.
fn claim_in_words(change: &Change, assignment: &Assignment) -> (&'static str, Subject, String) {
    let (subject, name) = (Subject::Vm(assignment.vm.clone()), &assignment.vm_name);
    let returns =
        |edit: &Edit| matches!(edit, Edit::SetReturning { returning, .. } if returning.vm == assignment.vm);
    if change.edits.iter().any(returns) {
        return ("unassigned", subject, format!("VM {name} has no whole GPU any more until it starts"));
    }
    let claim = assignment.claim().map(ToString::to_string).unwrap_or_default();
    ("claimed", subject, format!("VM {name} is promised {claim} when it starts"))
}

fn hold_in_words(partition: &PartitionId, hold: &Hold) -> (&'static str, String) {
    match hold {
        Hold::Releasing { vm_name, .. } => {
            ("releasing", format!("partition {partition} is taken back from VM {vm_name}"))
        }
        Hold::Quarantined { reason } => {
            ("quarantined", format!("partition {partition} is quarantined: {reason}"))
        }
        Hold::Curing { .. } => ("curing", format!("the reset of partition {partition} is tried once more")),
        Hold::Remaking { .. } => {
            let text = format!("all partitions of GPU {} are made again, to cure {partition}", partition.gpu);
            ("remaking", text)
        }
    }
}

/// The name of a VM that gives its partition up: the same change holds the partition and names it.
fn name_of(change: &Change, vm: &VmId) -> String {
    let held = change.edits.iter().find_map(|edit| match edit {
        Edit::SetHold { hold: Hold::Releasing { vm: of, vm_name }, .. } if of == vm => Some(vm_name.clone()),
        Edit::SetReturning { returning, .. } if returning.vm == *vm => Some(returning.vm_name.clone()),
        _ => None,
    });
    held.unwrap_or_else(|| vm.to_string())
}

/// What changed between two reports of a server. The first report tells nothing new.
pub fn of_observation(before: Option<&Observed>, after: &Observed, now_ms: u64) -> Vec<Event> {
    let Some(before) = before else { return Vec::new() };
    let mut told: Vec<(&'static str, Subject, String)> = Vec::new();
    let server = Subject::Server(after.server.clone());
    match (&before.hypervisor, &after.hypervisor) {
        (HypervisorHealth::Connected { .. }, HypervisorHealth::Unavailable { reason }) => {
            told.push(("hypervisor_lost", server.clone(), format!("the VMs cannot be seen: {reason}")));
        }
        (HypervisorHealth::Unavailable { .. }, HypervisorHealth::Connected { version }) => {
            told.push(("hypervisor_connected", server.clone(), format!("connected to {version}")));
        }
        _ => {}
    }
    if let (Some(was), Some(is)) = (&before.boot_id, &after.boot_id)
        && was != is
    {
        let text = format!("server {} was started anew; its partitions are made again", after.server);
        told.push(("server_booted", server.clone(), text));
    }
    gpu_events(before, after, &mut told);
    vm_events(before, after, &mut told);
    for finding in &after.findings {
        let known =
            before.findings.iter().any(|one| one.code == finding.code && one.subject == finding.subject);
        if !known && finding.severity >= Severity::Warning {
            told.push(("finding", finding.subject.clone(), format!("{}: {}", finding.code, finding.text)));
        }
    }
    let event = |(code, subject, text): (&str, Subject, String)| Event {
        at_ms: now_ms,
        code: code.to_owned(),
        server: Some(after.server.clone()),
        subject,
        text,
        principal: None,
        job: None,
    };
    told.into_iter().map(event).collect()
}

fn gpu_events(before: &Observed, after: &Observed, told: &mut Vec<(&'static str, Subject, String)>) {
    for gpu in after.gpus.iter() {
        let subject = Subject::Gpu(gpu.id.clone());
        match before.gpu(&gpu.id) {
            None => told.push((
                "gpu_appeared",
                subject,
                format!("GPU {} ({}) appeared at {}", gpu.id, gpu.model, gpu.address),
            )),
            Some(was) => changed_gpu(was, gpu, told),
        }
    }
    for gpu in before.gpus.iter().filter(|gpu| after.gpu(&gpu.id).is_none()) {
        told.push((
            "gpu_disappeared",
            Subject::Gpu(gpu.id.clone()),
            format!("GPU {} at {} disappeared", gpu.id, gpu.address),
        ));
    }
}

fn changed_gpu(was: &ObservedGpu, gpu: &ObservedGpu, told: &mut Vec<(&'static str, Subject, String)>) {
    let subject = || Subject::Gpu(gpu.id.clone());
    let (split, before) = (sizes::seen(gpu), sizes::seen(was));
    if was.partition_count != gpu.partition_count || split != before {
        let number =
            |count: Option<u16>| count.map_or("an unknown number of".to_owned(), |count| count.to_string());
        let of_sizes = |split: Option<Split>| {
            let sizes = split.and_then(|split| split.sizes());
            sizes.map(|sizes| format!(" (sizes {sizes})")).unwrap_or_default()
        };
        let text = format!(
            "GPU {} has {} partitions{}, had {}{}",
            gpu.id,
            number(gpu.partition_count),
            of_sizes(split),
            number(was.partition_count),
            of_sizes(before)
        );
        told.push(("count_changed", subject(), text));
    }
    if was.health != gpu.health {
        let code = if gpu.is_healthy() { "gpu_answers" } else { "gpu_unknown" };
        told.push((code, subject(), format!("GPU {}: {:?}", gpu.id, gpu.health)));
    }
    if was.address != gpu.address {
        told.push((
            "gpu_moved",
            subject(),
            format!("GPU {} is at {} now, was at {}", gpu.id, gpu.address, was.address),
        ));
    }
    for partition in &gpu.partitions {
        let was_open = was.partition(partition.index).is_some_and(|one| one.open);
        if was_open != partition.open {
            let id = PartitionId::new(&gpu.id, partition.index);
            let (code, word) =
                if partition.open { ("partition_opened", "open") } else { ("partition_closed", "closed") };
            told.push((code, Subject::Partition(id.clone()), format!("partition {id} is {word}")));
        }
    }
}

fn by_id(vms: &[ObservedVm]) -> BTreeMap<&VmId, &ObservedVm> {
    vms.iter().map(|vm| (&vm.id, vm)).collect()
}

fn vm_events(before: &Observed, after: &Observed, told: &mut Vec<(&'static str, Subject, String)>) {
    let (were, are) = (by_id(&before.vms), by_id(&after.vms));
    for vm in &after.vms {
        let subject = || Subject::Vm(vm.id.clone());
        match were.get(&vm.id) {
            None if before.hypervisor_is_connected() => {
                told.push(("vm_appeared", subject(), format!("VM {} appeared", vm.name)))
            }
            Some(was) if was.power != vm.power => {
                told.push((
                    "vm_power",
                    subject(),
                    format!("VM {} is {}, was {}", vm.name, vm.power, was.power),
                ));
            }
            _ => {}
        }
    }
    if after.hypervisor_is_connected() {
        for vm in before.vms.iter().filter(|vm| !are.contains_key(&vm.id)) {
            told.push(("vm_disappeared", Subject::Vm(vm.id.clone()), format!("VM {} disappeared", vm.name)));
        }
    }
}

/// Steps that failed, and VMs that Divvy started: nobody else did.
pub fn of_notes(server: &ServerId, notes: &[StepNote], now_ms: u64) -> Vec<Event> {
    let told = notes.iter().filter_map(|note| match (&note.result, &note.step) {
        (Err(failure), _) => {
            let text = format!("{}: {}", failure.step, failure.error);
            Some(("step_failed", failure.subject(server), text))
        }
        (Ok(Outcome::Changed), Step::Vm(VmStep::Start { vm, vm_name })) => {
            let text = format!("VM {vm_name} is started by Divvy, now that it has what it was given");
            Some(("vm_started", Subject::Vm(vm.clone()), text))
        }
        (Ok(_), _) => None,
    });
    let event = |(code, subject, text): (&str, Subject, String)| Event {
        at_ms: now_ms,
        code: code.to_owned(),
        server: Some(server.clone()),
        subject,
        text,
        principal: None,
        job: None,
    };
    told.map(event).collect()
}

/// The end of a job by somebody's order.
pub fn of_cancelling(job: &Job, principal: &str, now_ms: u64) -> Event {
    let taken_back = job.targets.iter().filter(|target| target.progress == Progress::Failed);
    let taken_back: Vec<String> = taken_back.map(|target| progress::in_words(&target.wanted)).collect();
    Event {
        at_ms: now_ms,
        code: "job_cancelled".to_owned(),
        server: None,
        subject: Subject::Cluster,
        text: format!("job {} is cancelled; taken back: {}", job.id, taken_back.join(", ")),
        principal: Some(principal.to_owned()),
        job: Some(job.id),
    }
}

/// The end of a job.
pub fn of_job(job: &Job, now_ms: u64) -> Option<Event> {
    job.finished_ms?;
    let done: Vec<String> = job.targets.iter().map(|target| progress::in_words(&target.wanted)).collect();
    let (code, word) = match job.progress {
        Progress::Failed => ("job_failed", "failed"),
        Progress::Succeeded | Progress::Running => ("job_succeeded", "done"),
    };
    Some(Event {
        at_ms: now_ms,
        code: code.to_owned(),
        server: None,
        subject: Subject::Cluster,
        text: format!("job {} is {word}: {}", job.id, done.join(", ")),
        principal: Some(job.principal.clone()),
        job: Some(job.id),
    })
}
