//! What people are shown, made from one moment's state. Nothing is decided here; a view only joins what
//! was asked for with what was observed.

use std::collections::BTreeMap;

use divvy_api::views::{
    AssignmentView, ExplainView, FindingView, GpuView, PartitionView, PlanStepView, PoolGpuView, PoolView,
    VmView,
};
use divvy_api::words::{AssignmentKind, PartitionState};
use divvy_core::assignment::{Assignment, Hold, Holding};
use divvy_core::catalogue;
use divvy_core::desired::DesiredServer;
use divvy_core::explain::Explanation;
use divvy_core::finding::Subject;
use divvy_core::id::{PartitionId, PoolName, ServerId};
use divvy_core::observed::{Observed, ObservedGpu, ObservedPartition};
use divvy_core::rules::whole_gpu;
use divvy_core::state::State;
use divvy_core::status::{self, PartitionState as CorePartitionState, PartitionStatus};
use divvy_core::step::Step;
use divvy_core::vm::ObservedVm;

pub fn gpus(state: &State) -> Vec<GpuView> {
    state.gpus().filter_map(|(server, gpu)| gpu_view(state, server, gpu)).collect()
}

pub fn gpu_view(state: &State, server: &ServerId, gpu: &ObservedGpu) -> Option<GpuView> {
    let observed = state.observed.get(server)?;
    let desired = state.desired_of(server);
    let (mode, reason) = status::gpu_mode(desired, observed, gpu);
    let partitions = status::Partitions::of(desired, observed);
    let free = gpu.partitions.iter().filter(|one| partitions.is_free(gpu, one)).count();
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
        pool: desired.and_then(|desired| desired.pools.get(&gpu.id)).map(ToString::to_string),
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

/// The size that the catalogue tells, or an equal share of what the driver tells.
pub fn partition_memory(gpu: &ObservedGpu) -> Option<u64> {
    let count = gpu.partition_count.filter(|count| *count > 0)?;
    let known = catalogue::of_model(&gpu.model);
    known
        .and_then(|entry| catalogue::memory_per_partition(entry, count))
        .or_else(|| Some(gpu.memory_bytes? / u64::from(count)))
}

fn count_findings(observed: &Observed, about: impl Fn(&Subject) -> bool) -> u32 {
    let count = observed.findings.iter().filter(|finding| about(&finding.subject)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

pub fn partitions(state: &State) -> Vec<PartitionView> {
    state.observed.keys().flat_map(|server| partitions_of(state, server)).collect()
}

/// The partitions of one server.
pub fn partitions_of(state: &State, server: &ServerId) -> Vec<PartitionView> {
    let Some(observed) = state.observed.get(server) else { return Vec::new() };
    let desired = state.desired_of(server);
    let partitions = &status::Partitions::of(desired, observed);
    let of_gpu = |gpu| move |one| partition_view(desired, observed, gpu, one, partitions.status(gpu, one));
    observed.gpus.iter().flat_map(|gpu| gpu.partitions.iter().map(of_gpu(gpu))).collect()
}

fn partition_view(
    desired: Option<&DesiredServer>,
    observed: &Observed,
    gpu: &ObservedGpu,
    partition: &ObservedPartition,
    status: PartitionStatus,
) -> PartitionView {
    let id = PartitionId::new(&gpu.id, partition.index);
    let vm_name = status.vm.as_ref().and_then(|vm| {
        let seen = observed.vm(vm).map(|vm| vm.name.clone());
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
        server: observed.server.to_string(),
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
    let assignment = state.desired.assignment(&vm.id).map(|(_, assignment)| assignment_view(assignment));
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

fn assignment_view(assignment: &Assignment) -> AssignmentView {
    let (kind, gpus, partition) = match &assignment.holding {
        Holding::Partition { partition } => {
            (AssignmentKind::Partition, vec![partition.gpu.to_string()], Some(partition.to_string()))
        }
        Holding::Dda { gpus } => {
            (AssignmentKind::Dda, gpus.iter().map(|whole| whole.gpu.to_string()).collect(), None)
        }
    };
    let gpu = gpus.first().cloned().unwrap_or_default();
    AssignmentView { kind, gpu, gpus, partition }
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
    let view = |(name, gpus): (&PoolName, Vec<PoolGpuView>)| PoolView { name: name.to_string(), gpus };
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
