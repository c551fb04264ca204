//! What people are shown, made from one moment's state. Nothing is decided here; a view only joins what
//! was asked for with what was observed.

use std::collections::{BTreeMap, HashMap};

use divvy_api::views::{
    AssignmentView, CountMemoryView, ExplainView, FindingView, GpuView, PartitionView, PlanStepView,
    PoolGpuView, PoolView, VmView,
};
use divvy_api::words::{AssignmentKind, AssignmentState, PartitionState};
use divvy_core::assignment::{Assignment, Hold, Holding};
use divvy_core::decide;
use divvy_core::desired::DesiredServer;
use divvy_core::explain::Explanation;
use divvy_core::finding::{Finding, Subject};
use divvy_core::gpu::{PartitionCount, Scheme};
use divvy_core::id::{PartitionId, PoolName, ServerId, VmId};
use divvy_core::observed::{Observed, ObservedGpu, ObservedPartition};
use divvy_core::rules::{same_scheme, sizes, whole_gpu};
use divvy_core::state::State;
use divvy_core::status::{self, PartitionState as CorePartitionState, PartitionStatus};
use divvy_core::step::Step;
use divvy_core::vm::ObservedVm;

/// The GPUs of one server.
pub fn gpus_of(state: &State, server: &ServerId) -> Vec<GpuView> {
    let Some(observed) = state.observed.get(server) else { return Vec::new() };
    let desired = state.desired_of(server);
    let partitions = status::Partitions::of(desired, observed);
    observed.gpus.iter().map(|gpu| gpu_of(desired, observed, gpu, &partitions)).collect()
}

pub fn gpu_view(state: &State, server: &ServerId, gpu: &ObservedGpu) -> Option<GpuView> {
    let observed = state.observed.get(server)?;
    let desired = state.desired_of(server);
    Some(gpu_of(desired, observed, gpu, &status::Partitions::of(desired, observed)))
}

fn gpu_of(
    desired: Option<&DesiredServer>,
    observed: &Observed,
    gpu: &ObservedGpu,
    partitions: &status::Partitions<'_>,
) -> GpuView {
    let server = &observed.server;
    let (mode, reason) = partitions.mode(gpu);
    let free = gpu.partitions.iter().filter(|one| partitions.is_free(gpu, one)).count();
    let sizes = sizes::seen(gpu).and_then(|split| split.sizes());
    let asked = desired.and_then(|desired| desired.settings.get(&gpu.id)).copied();
    GpuView {
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
        ecc: gpu.ecc,
        mode: mode.into(),
        reason: Some(reason),
        pool: desired.and_then(|desired| desired.pools.get(&gpu.id)).map(ToString::to_string),
        scheme: gpu.scheme.map(|scheme| scheme.to_string()),
        partition_count: gpu.partition_count,
        sizes: sizes.map(|sizes| sizes.iter().map(PartitionCount::get).collect()),
        takes_sizes: same_scheme::as_it_will_be(asked, gpu).scheme.is_some_and(Scheme::takes_sizes),
        valid_partition_counts: gpu.valid_counts.as_slice().iter().map(|count| count.get()).collect(),
        max_partitions: gpu.scheme.map(|_| gpu.max_partitions),
        free_partitions: gpu.partition_count.map(|_| u16::try_from(free).unwrap_or(u16::MAX)),
        memory_per_partition_bytes: gpu
            .partition_count
            .and_then(|count| gpu.memory_of_each(count))
            .filter(|_| sizes.is_none()),
        memory_by_count: gpu.valid_counts.as_slice().iter().map(|count| by_count(gpu, count.get())).collect(),
        mmio_bytes: gpu.slot.mmio_bytes,
        findings: count_findings(&observed.findings, |subject| match subject {
            Subject::Gpu(id) => *id == gpu.id,
            Subject::Partition(id) => id.gpu == gpu.id,
            _ => false,
        }),
    }
}

fn by_count(gpu: &ObservedGpu, count: u16) -> CountMemoryView {
    CountMemoryView { partition_count: count, memory_per_partition_bytes: gpu.memory_of_each(count) }
}

fn count_findings(findings: &[Finding], about: impl Fn(&Subject) -> bool) -> u32 {
    let count = findings.iter().filter(|finding| about(&finding.subject)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The partitions of one server by their GPUs, of those GPUs that are meant.
pub fn partitions_of<'s>(
    state: &'s State,
    server: &ServerId,
    is_meant: impl Fn(&ObservedGpu) -> bool,
) -> Vec<(&'s ObservedGpu, Vec<PartitionView>)> {
    let Some(observed) = state.observed.get(server) else { return Vec::new() };
    let meant: Vec<&ObservedGpu> = observed.gpus.iter().filter(|gpu| is_meant(gpu)).collect();
    if meant.is_empty() {
        return Vec::new();
    }
    let desired = state.desired_of(server);
    let partitions = status::Partitions::of(desired, observed);
    let names: BTreeMap<&VmId, &str> = observed.vms.iter().map(|vm| (&vm.id, vm.name.as_str())).collect();
    let views = |gpu: &ObservedGpu| {
        let view = |one| partition_view(desired, &names, (server, gpu, one), partitions.status(gpu, one));
        gpu.partitions.iter().map(view).collect()
    };
    meant.into_iter().map(|gpu| (gpu, views(gpu))).collect()
}

fn partition_view(
    desired: Option<&DesiredServer>,
    names: &BTreeMap<&VmId, &str>,
    (server, gpu, partition): (&ServerId, &ObservedGpu, &ObservedPartition),
    status: PartitionStatus,
) -> PartitionView {
    let id = PartitionId::new(&gpu.id, partition.index);
    let vm_name = status.vm.as_ref().and_then(|vm| {
        let seen = names.get(vm).map(|name| (*name).to_owned());
        seen.or_else(|| desired?.assignments.get(vm).map(|assignment| assignment.vm_name.clone()))
    });
    let reason = match desired.and_then(|desired| desired.holds.get(&id)) {
        Some(Hold::Quarantined { reason }) => Some(reason.clone()),
        Some(Hold::Curing { reason }) => Some(format!("its reset is tried once more ({reason})")),
        Some(Hold::Remaking { reason }) => {
            Some(format!("all partitions of its GPU are made again ({reason})"))
        }
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
        memory_bytes: gpu.memory_of(partition),
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

/// Which VM has what, on whatever server, looked up once for many VMs.
pub struct Assignments<'s>(HashMap<&'s VmId, &'s Assignment>);

impl<'s> Assignments<'s> {
    pub fn of(state: &'s State) -> Self {
        Self(state.desired.servers.values().flat_map(|server| &server.assignments).collect())
    }
}

/// The VMs of one server.
pub fn vms_of(state: &State, server: &ServerId, assignments: &Assignments<'_>) -> Vec<VmView> {
    let Some(observed) = state.observed.get(server) else { return Vec::new() };
    let view = |vm: &ObservedVm| vm_of(server, &observed.findings, vm, assignments.0.get(&vm.id).copied());
    observed.vms.iter().map(view).collect()
}

pub fn vm_view(state: &State, server: &ServerId, vm: &ObservedVm) -> VmView {
    let findings = state.observed.get(server).map_or(&[][..], |observed| &observed.findings);
    vm_of(server, findings, vm, state.desired.assignment(&vm.id).map(|(_, assignment)| assignment))
}

fn vm_of(
    server: &ServerId,
    findings: &[Finding],
    vm: &ObservedVm,
    assignment: Option<&Assignment>,
) -> VmView {
    let assignment = assignment.map(assignment_view);
    VmView {
        id: vm.id.to_string(),
        name: vm.name.clone(),
        server: server.to_string(),
        power: vm.power.into(),
        managed: assignment.is_some(),
        assignment,
        guest_os: vm.settings.guest_os.clone(),
        findings: count_findings(findings, |subject| matches!(subject, Subject::Vm(id) if *id == vm.id)),
    }
}

fn assignment_view(assignment: &Assignment) -> AssignmentView {
    let (kind, gpus, partition) = match &assignment.holding {
        Holding::Partition { partition } => {
            (AssignmentKind::Partition, vec![partition.gpu.to_string()], Some(partition.to_string()))
        }
        Holding::Dda { gpus, .. } => {
            (AssignmentKind::Dda, gpus.iter().map(|whole| whole.gpu.to_string()).collect(), None)
        }
        Holding::Claim { .. } => (AssignmentKind::Dda, Vec::new(), None),
    };
    let claim = assignment.claim();
    AssignmentView {
        kind,
        gpu: gpus.first().cloned(),
        gpus,
        partition,
        pool: claim.map(|claim| claim.pool.to_string()),
        count: claim.map(|claim| claim.count),
        state: match (assignment.waits_for_start(), assignment.start) {
            (true, _) => AssignmentState::WaitingForStart,
            (false, true) => AssignmentState::Starting,
            (false, false) => AssignmentState::Assigned,
        },
    }
}

/// Every pool with its GPUs, by name.
pub fn pools(state: &State) -> Vec<PoolView> {
    let mut pools: BTreeMap<&PoolName, Vec<PoolGpuView>> = BTreeMap::new();
    for (server, desired) in &state.desired.servers {
        for (gpu, pool) in &desired.pools {
            let seen = state.observed.get(server).and_then(|observed| Some((observed, observed.gpu(gpu)?)));
            let owner = desired.whole_owner(gpu);
            let free =
                seen.is_some_and(|(observed, gpu)| whole_gpu::is_free(Some(desired), observed, gpu).is_ok());
            pools.entry(pool).or_default().push(PoolGpuView {
                id: gpu.to_string(),
                server: server.to_string(),
                pci_address: seen.map(|(_, gpu)| gpu.address.to_string()),
                model: seen.map(|(_, gpu)| gpu.model.to_string()),
                free,
                vm: owner.map(|owner| owner.vm.to_string()),
                vm_name: owner.map(|owner| owner.vm_name.clone()),
            });
        }
    }
    let view = |(name, gpus): (&PoolName, Vec<PoolGpuView>)| PoolView {
        name: name.to_string(),
        promised: decide::pool_promised(state, name),
        gpus,
    };
    pools.into_iter().map(view).collect()
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
