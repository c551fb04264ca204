//! Getting a quarantined partition clean again: its reset is tried once more, or all partitions of its
//! GPU are made again. A GPU with a partition that does not reset is not trusted to leave the others
//! alone, so nothing is tried while one of them is open; making them again takes assigned ones away too.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::assignment::Hold;
use crate::change::{Change, Edit};
use crate::id::{PartitionId, ServerId};
use crate::observed::GpuHealth;
use crate::refusal::Refusal;
use crate::resolve;
use crate::rules::count_change::blockers;
use crate::state::State;

pub fn cure(state: &State, name: &str, remake: bool) -> Result<Change, Refusal> {
    let (server, gpu, partition) = resolve::partition(state, name)?;
    let Some(observed) = state.observed.get(server) else {
        return Err(Refusal::PartitionNotFound { name: name.to_string() });
    };
    let Some(reason) = why_quarantined(state, server, &partition)? else {
        return Ok(Change::default());
    };
    if let GpuHealth::Unknown { reason } = &gpu.health {
        return Err(Refusal::GpuUnknown { gpu: gpu.id.clone(), reason: reason.clone() });
    }
    if let Some(reason) = observed.hypervisor.unavailable() {
        return Err(Refusal::HypervisorUnavailable { server: server.clone(), reason: reason.into() });
    }
    let in_the_way = blockers(state.desired_of(server), observed, gpu);
    let mut users: Vec<(PartitionId, String)> = in_the_way.open;
    users.extend(in_the_way.assigned.into_iter().filter_map(|(id, vm)| {
        let open = gpu.partition(id.index).is_some_and(|one| one.open);
        let how = if open { "open in" } else { "assigned to" };
        (remake || open).then(|| (id, format!("{how} VM {vm}")))
    }));
    users.sort();
    if !users.is_empty() {
        return Err(Refusal::SiblingsInTheWay { partition, users });
    }
    let hold = if remake { Hold::Remaking { reason } } else { Hold::Curing { reason } };
    let edit = Edit::SetHold { server: server.clone(), partition, hold };
    Ok(Change::of(Vec::from([edit]), &state.desired))
}

/// None: there is nothing to cure, or it is under way.
fn why_quarantined(
    state: &State,
    server: &ServerId,
    partition: &PartitionId,
) -> Result<Option<String>, Refusal> {
    let not = |why: String| Err(Refusal::PartitionNotQuarantined { partition: partition.clone(), why });
    let Some(desired) = state.desired_of(server) else { return Ok(None) };
    if let Some(owner) = desired.owner(partition) {
        return not(format!("it belongs to VM {}", owner.vm_name));
    }
    match desired.holds.get(partition) {
        Some(Hold::Quarantined { reason }) => Ok(Some(reason.clone())),
        Some(Hold::Releasing { vm_name, .. }) => not(format!("it is still being released by VM {vm_name}")),
        Some(Hold::Curing { .. } | Hold::Remaking { .. }) | None => Ok(None),
    }
}
