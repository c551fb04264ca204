//! What people are shown, made from one moment's state. Nothing is decided here; a view only joins what
//! was asked for with what was observed.

use divvy_api::views::{
    AssignmentView, ExplainView, FindingView, GpuView, PartitionView, PlanStepView, VmView,
};
use divvy_api::words::{AssignmentKind, PartitionState};
use divvy_core::assignment::Hold;
use divvy_core::check::check;
use divvy_core::explain::Explanation;
use divvy_core::finding::{Finding, FindingCode, Severity, Subject};
use divvy_core::id::{PartitionId, ServerId};
use divvy_core::observed::{Observed, ObservedGpu, ObservedPartition};
use divvy_core::plan::plan;
use divvy_core::rules::homogeneous;
use divvy_core::state::State;
use divvy_core::status::{self, PartitionState as CorePartitionState};
use divvy_core::step::Step;
use divvy_core::vm::ObservedVm;

pub fn gpus(state: &State) -> Vec<GpuView> {
    state.gpus().filter_map(|(server, gpu)| gpu_view(state, server, gpu)).collect()
}

pub fn gpu_view(state: &State, server: &ServerId, gpu: &ObservedGpu) -> Option<GpuView> {
    let observed = state.observed.get(server)?;
    let desired = state.desired_of(server);
    let (mode, reason) = status::gpu_mode(desired, observed, gpu);
    let is_free = |one: &&ObservedPartition| {
        status::partition(desired, observed, gpu, one).state == CorePartitionState::Free
    };
    let free = gpu.partitions.iter().filter(is_free).count();
    Some(GpuView {
        id: gpu.id.to_string(),
        name: format!("{server}/{}", gpu.address),
        server: server.to_string(),
        vendor: gpu.model.vendor.clone(),
        model: gpu.model.name.clone(),
        memory_bytes: gpu.memory_bytes,
        pci_address: gpu.address.to_string(),
        numa_node: gpu.numa_node,
        serial: gpu.serial.clone(),
        driver: gpu.driver.clone(),
        driver_version: gpu.driver_version.clone(),
        mode: mode.into(),
        reason: Some(reason),
        scheme: gpu.scheme.map(|scheme| scheme.to_string()),
        partition_count: gpu.partition_count,
        valid_partition_counts: gpu.valid_counts.as_slice().iter().map(|count| count.get()).collect(),
        max_partitions: gpu.scheme.map(|_| gpu.max_partitions),
        free_partitions: gpu.partition_count.map(|_| u16::try_from(free).unwrap_or(u16::MAX)),
        memory_per_partition_bytes: partition_memory(gpu),
        findings: count_findings(observed, |subject| match subject {
            Subject::Gpu(id) => *id == gpu.id,
            Subject::Partition(id) => id.gpu == gpu.id,
            _ => false,
        }),
    })
}

/// Equal shares of the memory that the catalogue or the driver tells.
fn partition_memory(gpu: &ObservedGpu) -> Option<u64> {
    let count = gpu.partition_count.filter(|count| *count > 0)?;
    Some(gpu.memory_bytes? / u64::from(count))
}

fn count_findings(observed: &Observed, about: impl Fn(&Subject) -> bool) -> u32 {
    let count = observed.findings.iter().filter(|finding| about(&finding.subject)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub fn partitions(state: &State) -> Vec<PartitionView> {
    let mut views = Vec::new();
    for (server, gpu) in state.gpus() {
        let Some(observed) = state.observed.get(server) else { continue };
        views.extend(
            gpu.partitions.iter().map(|partition| partition_view(state, server, observed, gpu, partition)),
        );
    }
    views
}

fn partition_view(
    state: &State,
    server: &ServerId,
    observed: &Observed,
    gpu: &ObservedGpu,
    partition: &ObservedPartition,
) -> PartitionView {
    let desired = state.desired_of(server);
    let status = status::partition(desired, observed, gpu, partition);
    let id = PartitionId::new(&gpu.id, partition.index);
    let vm_name = status.vm.as_ref().and_then(|vm| {
        let seen = observed.vm(vm).map(|vm| vm.name.clone());
        seen.or_else(|| desired?.assignments.get(vm).map(|assignment| assignment.vm_name.clone()))
    });
    let reason = match desired.and_then(|desired| desired.holds.get(&id)) {
        Some(Hold::Quarantined { reason }) => Some(reason.clone()),
        Some(Hold::Releasing { vm_name, .. }) => {
            Some(format!("given up by VM {vm_name}, not proved clean yet"))
        }
        None => None,
    };
    PartitionView {
        id: id.to_string(),
        gpu: gpu.id.to_string(),
        server: server.to_string(),
        index: partition.index.0,
        memory_bytes: partition.memory_bytes.or_else(|| partition_memory(gpu)),
        state: state_word(status.state),
        vm: status.vm.map(|vm| vm.to_string()),
        vm_name,
        reason,
    }
}

fn state_word(state: CorePartitionState) -> PartitionState {
    match state {
        CorePartitionState::Free => PartitionState::Free,
        CorePartitionState::Assigned => PartitionState::Assigned,
        CorePartitionState::InUse => PartitionState::InUse,
        CorePartitionState::Releasing => PartitionState::Releasing,
        CorePartitionState::Quarantined => PartitionState::Quarantined,
        CorePartitionState::Unknown => PartitionState::Unknown,
    }
}

/// By server and name: ids say nothing to whoever reads the list.
pub fn vms(state: &State) -> Vec<VmView> {
    let mut views: Vec<VmView> = state.vms().map(|(server, vm)| vm_view(state, server, vm)).collect();
    views.sort_by(|one, two| (&one.server, &one.name, &one.id).cmp(&(&two.server, &two.name, &two.id)));
    views
}

pub fn vm_view(state: &State, server: &ServerId, vm: &ObservedVm) -> VmView {
    let assignment = state.desired.assignment(&vm.id).map(|(_, assignment)| AssignmentView {
        kind: AssignmentKind::Partition,
        gpu: assignment.partition.gpu.to_string(),
        partition: Some(assignment.partition.to_string()),
    });
    let about = |subject: &Subject| *subject == Subject::Vm(vm.id.clone());
    VmView {
        id: vm.id.to_string(),
        name: vm.name.clone(),
        server: server.to_string(),
        power: vm.power.into(),
        managed: assignment.is_some(),
        assignment,
        guest_os: vm.settings.guest_os.clone(),
        findings: state.observed.get(server).map_or(0, |observed| count_findings(observed, about)),
    }
}

/// Everything that somebody should know, the worst first.
pub fn findings(state: &State) -> Vec<FindingView> {
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
    for (server, observed) in &state.observed {
        all.extend(observed.findings.iter().cloned());
        all.extend(failures(observed));
        all.extend(waiting(state, server, observed));
        all.extend(gone_vms(state, server, observed));
    }
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all.iter().map(FindingView::from).collect()
}

fn failures(observed: &Observed) -> Vec<Finding> {
    let finding = |failure: &divvy_core::observed::Failure| Finding {
        code: FindingCode::of("step_failed"),
        severity: Severity::Error,
        subject: match (&failure.vm, &failure.gpu) {
            (Some(vm), _) => Subject::Vm(vm.clone()),
            (None, Some(gpu)) => Subject::Gpu(gpu.clone()),
            (None, None) => Subject::Server(observed.server.clone()),
        },
        text: format!("{}: {}", failure.step, failure.error),
        mend: failure.hint.clone(),
    };
    observed.failures.iter().map(finding).collect()
}

fn waiting(state: &State, server: &ServerId, observed: &Observed) -> Vec<Finding> {
    let Some(desired) = state.desired_of(server) else { return Vec::new() };
    let finding = |one: divvy_core::plan::Waiting| Finding {
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

/// VMs that have a partition and are not there any more.
fn gone_vms(state: &State, server: &ServerId, observed: &Observed) -> Vec<Finding> {
    let Some(desired) = state.desired_of(server).filter(|_| observed.hypervisor_is_connected()) else {
        return Vec::new();
    };
    let gone = desired.assignments.values().filter(|assignment| observed.vm(&assignment.vm).is_none());
    gone.map(|assignment| Finding {
        code: FindingCode::of("assigned_vm_gone"),
        severity: Severity::Warning,
        subject: Subject::Partition(assignment.partition.clone()),
        text: format!(
            "partition {} belongs to VM {}, which is not on server {server}",
            assignment.partition, assignment.vm_name
        ),
        mend: format!("divvy unassign {}", assignment.vm),
    })
    .collect()
}

pub fn explanation(subject: &Subject, explanation: Explanation) -> ExplainView {
    ExplainView {
        subject: subject.into(),
        sentences: explanation.sentences,
        findings: explanation.findings.iter().map(FindingView::from).collect(),
    }
}

pub fn plan_steps(steps: &[(ServerId, Step)]) -> Vec<PlanStepView> {
    steps
        .iter()
        .map(|(server, step)| PlanStepView { server: server.to_string(), text: step.to_string() })
        .collect()
}
