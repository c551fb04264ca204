//! What agents and jobs ask for after the hardware answered. Each is guarded by what it is about: if the
//! desired state has moved on meanwhile, it changes nothing.

use alloc::string::String;
use alloc::vec::Vec;

use super::whole;
use crate::assignment::{Assignment, Hold};
use crate::change::{Change, Edit};
use crate::desired::PartitionSetting;
use crate::id::{GpuId, PartitionId, ServerId, VmId};
use crate::state::State;

/// The GPU goes back to what it had before a count that could not be reached.
pub fn revert_count(
    state: &State,
    server: &ServerId,
    gpu: &GpuId,
    failed: PartitionSetting,
    back_to: Option<PartitionSetting>,
) -> Change {
    let now = state.desired_of(server).and_then(|desired| desired.settings.get(gpu)).copied();
    if now != Some(failed) || back_to == now {
        return Change::default();
    }
    let edit = Edit::SetCount { server: server.clone(), gpu: gpu.clone(), setting: back_to, before: now };
    Change::of(Vec::from([edit]), &state.desired)
}

/// The VM loses an assignment that could not be carried out; its partition is held until proved clean.
pub fn revert_assignment(state: &State, server: &ServerId, vm: &VmId, partition: &PartitionId) -> Change {
    let now = state.desired_of(server).and_then(|desired| desired.assignments.get(vm));
    let Some(assignment) = now.filter(|assignment| assignment.partition() == Some(partition)) else {
        return Change::default();
    };
    let hold = Hold::Releasing { vm: vm.clone(), vm_name: assignment.vm_name.clone() };
    let edits = [
        Edit::RemoveAssignment { server: server.clone(), vm: vm.clone() },
        Edit::SetHold { server: server.clone(), partition: partition.clone(), hold },
    ];
    Change::of(edits.into(), &state.desired)
}

pub fn restart_done(state: &State, server: &ServerId, vm: &VmId) -> Change {
    let now = state.desired_of(server).and_then(|desired| desired.assignments.get(vm));
    let Some(assignment) = now.filter(|assignment| assignment.restart || assignment.start) else {
        return Change::default();
    };
    let mut assignment = assignment.clone();
    (assignment.restart, assignment.start) = (false, false);
    Change::of(Vec::from([Edit::SetAssignment { server: server.clone(), assignment }]), &state.desired)
}

/// Its reset is under way: after its VM gave it up, or once more.
fn is_releasing(state: &State, server: &ServerId, partition: &PartitionId) -> bool {
    let hold = state.desired_of(server).and_then(|desired| desired.holds.get(partition));
    matches!(hold, Some(Hold::Releasing { .. } | Hold::Curing { .. }))
}

/// A partition that was given up is free again.
pub fn partition_clean(state: &State, server: &ServerId, partition: &PartitionId) -> Change {
    if !is_releasing(state, server, partition) {
        return Change::default();
    }
    let edit = Edit::RemoveHold { server: server.clone(), partition: partition.clone() };
    Change::of(Vec::from([edit]), &state.desired)
}

/// A partition that was given up could not be proved clean: no VM gets it.
pub fn quarantine(state: &State, server: &ServerId, partition: &PartitionId, reason: &str) -> Change {
    let hold = state.desired_of(server).and_then(|desired| desired.holds.get(partition));
    if matches!(hold, None | Some(Hold::Quarantined { .. })) {
        return Change::default();
    }
    let hold = Hold::Quarantined { reason: String::from(reason) };
    let edit = Edit::SetHold { server: server.clone(), partition: partition.clone(), hold };
    Change::of(Vec::from([edit]), &state.desired)
}

/// The VM loses whole GPUs that it could not be given; they go back to the server.
pub fn revert_dda(state: &State, server: &ServerId, vm: &VmId, gpus: &[GpuId]) -> Change {
    let now = state.desired_of(server).and_then(|desired| desired.assignments.get(vm));
    let same = |assignment: &&Assignment| !gpus.is_empty() && assignment.whole_ids().eq(gpus);
    match now.filter(same) {
        Some(assignment) => Change::of(whole::returns(server, assignment), &state.desired),
        None => Change::default(),
    }
}

/// A whole GPU that was given up is free again.
pub fn gpu_returned(state: &State, server: &ServerId, gpu: &GpuId) -> Change {
    if !state.desired_of(server).is_some_and(|desired| desired.returns.contains_key(gpu)) {
        return Change::default();
    }
    let edit = Edit::RemoveReturning { server: server.clone(), gpu: gpu.clone() };
    Change::of(Vec::from([edit]), &state.desired)
}

/// New partitions are clean ones: what was quarantined is gone with the old ones.
pub fn partitions_remade(state: &State, server: &ServerId, gpu: &GpuId) -> Change {
    let Some(desired) = state.desired_of(server) else { return Change::default() };
    let of_gpu: Vec<_> = desired.holds.iter().filter(|(partition, _)| partition.gpu == *gpu).collect();
    if !of_gpu.iter().any(|(_, hold)| matches!(hold, Hold::Remaking { .. })) {
        return Change::default();
    }
    let gone = |hold: &Hold| matches!(hold, Hold::Remaking { .. } | Hold::Quarantined { .. });
    let edits = of_gpu
        .into_iter()
        .filter(|(_, hold)| gone(hold))
        .map(|(partition, _)| Edit::RemoveHold { server: server.clone(), partition: partition.clone() });
    Change::of(edits.collect(), &state.desired)
}
