//! Everything that somebody should know at one moment: what the checks of each server found, what failed,
//! what waits, what may never be. Who is told, and in which order, is not known here.

use divvy_core::assignment::{Hold, Holding};
use divvy_core::check::check;
use divvy_core::finding::{Finding, FindingCode, Severity, Subject};
use divvy_core::id::ServerId;
use divvy_core::observed::{Failure, Observed};
use divvy_core::plan::{Waiting, plan};
use divvy_core::rules::{homogeneous, same_scheme};
use divvy_core::state::State;

/// A finding and the server that it is about, or that has what it is about.
pub type Located = (Option<ServerId>, Finding);

/// Everything that somebody should know.
pub fn findings(state: &State) -> Vec<Located> {
    let mut all = of_cluster(state);
    for server in state.observed.keys() {
        all.extend(of_server(state, server).into_iter().map(|finding| (Some(server.clone()), finding)));
    }
    all
}

/// What is told by comparing servers, or by what may never be.
pub fn of_cluster(state: &State) -> Vec<Located> {
    let mut all: Vec<Finding> = Vec::new();
    for violation in check(state) {
        all.push(Finding {
            code: FindingCode::of(violation.code()),
            severity: Severity::Error,
            subject: Subject::Cluster,
            text: violation.to_string(),
            mend: violation.mend(),
        });
    }
    all.extend(homogeneous::findings(state));
    let server_of = |subject: &Subject| match subject {
        Subject::Gpu(gpu) => state.gpu(gpu).map(|(server, _)| server.clone()),
        Subject::Vm(vm) => state.vm(vm).map(|(server, _)| server.clone()),
        Subject::Server(server) => Some(server.clone()),
        Subject::Partition(_) | Subject::Cluster => None,
    };
    all.into_iter().map(|finding| (server_of(&finding.subject), finding)).collect()
}

/// What one server's own report and plan tell.
pub fn of_server(state: &State, server: &ServerId) -> Vec<Finding> {
    let Some(observed) = state.observed.get(server) else { return Vec::new() };
    let mut all: Vec<Finding> = observed.findings.to_vec();
    all.extend(failures(observed));
    let other_schemes = other_schemes(state, server, observed);
    let is_told = |finding: &Finding| other_schemes.iter().any(|told| told.subject == finding.subject);
    all.extend(waiting(state, server, observed).into_iter().filter(|finding| !is_told(finding)));
    all.extend(other_schemes);
    all.extend(gone_vms(state, server, observed));
    all.extend(quarantined(state, server));
    all
}

/// GPUs that are split by another scheme than their counts were asked with.
fn other_schemes(state: &State, server: &ServerId, observed: &Observed) -> Vec<Finding> {
    let Some(desired) = state.desired_of(server) else { return Vec::new() };
    observed.gpus.iter().filter_map(|gpu| same_scheme::finding(desired, gpu)).collect()
}

fn failures(observed: &Observed) -> Vec<Finding> {
    let finding = |failure: &Failure| Finding {
        code: FindingCode::of("step_failed"),
        severity: Severity::Error,
        subject: failure.subject(&observed.server),
        text: format!("{}: {}", failure.step, failure.error),
        mend: failure.hint.clone(),
    };
    observed.failures.iter().map(finding).collect()
}

fn waiting(state: &State, server: &ServerId, observed: &Observed) -> Vec<Finding> {
    let Some(desired) = state.desired_of(server) else { return Vec::new() };
    let finding = |one: Waiting| Finding {
        code: FindingCode::of("not_as_asked_for"),
        severity: Severity::Warning,
        text: format!("{} is not as asked for: {}", one.subject, one.why),
        mend: format!(
            "divvy explain {}",
            match &one.subject {
                Subject::Gpu(id) => id.to_string(),
                Subject::Partition(id) => id.gpu.to_string(),
                Subject::Vm(id) => id.to_string(),
                Subject::Server(_) | Subject::Cluster => String::new(),
            }
        ),
        subject: one.subject,
    };
    plan(desired, observed).waiting.into_iter().map(finding).collect()
}

/// Partitions that nobody gets because they were not proved clean.
fn quarantined(state: &State, server: &ServerId) -> Vec<Finding> {
    let holds = state.desired_of(server).into_iter().flat_map(|desired| &desired.holds);
    holds
        .filter_map(|(partition, hold)| {
            let Hold::Quarantined { reason } = hold else { return None };
            Some(Finding {
                code: FindingCode::of("partition_quarantined"),
                severity: Severity::Warning,
                subject: Subject::Partition(partition.clone()),
                text: format!("partition {partition} is quarantined and goes to no VM: {reason}"),
                mend: format!("divvy partition cure {partition}"),
            })
        })
        .collect()
}

/// VMs that have a partition and are not there any more.
fn gone_vms(state: &State, server: &ServerId, observed: &Observed) -> Vec<Finding> {
    let Some(desired) = state.desired_of(server).filter(|_| observed.hypervisor_is_connected()) else {
        return Vec::new();
    };
    let gone = desired.assignments.values().filter(|assignment| observed.vm(&assignment.vm).is_none());
    gone.map(|assignment| Finding {
        code: FindingCode::of("assigned_vm_gone"),
        severity: Severity::Warning,
        subject: match &assignment.holding {
            Holding::Partition { partition } => Subject::Partition(partition.clone()),
            Holding::Dda { .. } | Holding::Claim { .. } => Subject::Vm(assignment.vm.clone()),
        },
        text: format!(
            "{} belongs to VM {}, which is not on server {server}",
            assignment.in_words(),
            assignment.vm_name
        ),
        mend: match &assignment.holding {
            Holding::Partition { .. } => format!("divvy unassign {}", assignment.vm),
            Holding::Dda { .. } | Holding::Claim { .. } => format!("divvy dda unassign {}", assignment.vm),
        },
    })
    .collect()
}
