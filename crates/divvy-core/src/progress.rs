//! How far a job has come, told from the state alone, so that it can be told again after a crash.

use alloc::format;
use alloc::string::String;

use crate::assignment::{Assignment, Hold, gpus_in_words};
use crate::desired::{DesiredServer, PartitionSetting};
use crate::device::DeviceHandle;
use crate::finding::Subject;
use crate::given::Given;
use crate::id::{GpuId, PartitionId, VmId};
use crate::job::{JobTarget, Wanted};
use crate::observed::Observed;
use crate::plan::{Waiting, gifts};
use crate::rules::{same_scheme, sizes};
use crate::split::Split;
use crate::state::State;

/// Where one target of a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Done,
    /// Not yet; what it waits for, if it waits.
    Pending {
        why: Option<String>,
    },
    /// Something later changed what was asked for.
    Overtaken,
}

/// `waiting` is what the plan for the target's server could not take yet.
pub fn standing(state: &State, target: &JobTarget, waiting: &[Waiting]) -> Standing {
    let Some(desired) = state.desired_of(&target.server) else {
        return Standing::Overtaken;
    };
    let Some(observed) = state.observed.get(&target.server) else {
        return Standing::Pending { why: Some(format!("server {} has not reported yet", target.server)) };
    };
    match &target.wanted {
        Wanted::Count { gpu, setting, .. } => count(desired, observed, gpu, *setting, waiting),
        Wanted::Assigned { vm, partition, .. } => {
            assigned(desired, observed, vm, |now| now.partition() == Some(partition), waiting)
        }
        Wanted::AssignedDda { vm, gpus, .. } | Wanted::ClaimFilled { vm, gpus, .. } => {
            assigned(desired, observed, vm, |now| now.whole_ids().eq(gpus), waiting)
        }
        Wanted::Claimed { vm, claim, .. } => {
            is_done(desired.assignments.get(vm).and_then(Assignment::claim) == Some(claim))
        }
        Wanted::Unclaimed { vm, .. } => is_done(!desired.assignments.contains_key(vm)),
        Wanted::UnassignedDda { vm, gpus, .. } => unassigned_dda(desired, vm, gpus, waiting),
        Wanted::Cured { partition, .. } => cured(desired, partition, waiting),
        Wanted::Unassigned { partition, vm, .. } => unassigned(desired, partition, vm, waiting),
    }
}

/// Of what needs no hardware: it is so, or it was changed since.
fn is_done(is_so: bool) -> Standing {
    if is_so { Standing::Done } else { Standing::Overtaken }
}

fn pending(waiting: &[Waiting], subject: &Subject) -> Standing {
    Standing::Pending { why: waiting.iter().find(|one| one.subject == *subject).map(|one| one.why.clone()) }
}

fn count(
    desired: &DesiredServer,
    observed: &Observed,
    gpu: &GpuId,
    setting: PartitionSetting,
    waiting: &[Waiting],
) -> Standing {
    if desired.settings.get(gpu) != Some(&setting) {
        return Standing::Overtaken;
    }
    let wanted = setting.as_number();
    let has = |seen| sizes::has(setting, seen) == Ok(true);
    match observed.gpu(gpu) {
        Some(seen)
            if seen.is_healthy()
                && has(seen)
                && (wanted > 0 || seen.is_off())
                && same_scheme::holds(desired, seen).is_ok()
                && seen.partitions.len() == usize::from(wanted) =>
        {
            Standing::Done
        }
        _ => pending(waiting, &Subject::Gpu(gpu.clone())),
    }
}

fn assigned(
    desired: &DesiredServer,
    observed: &Observed,
    vm: &VmId,
    still_so: impl Fn(&Assignment) -> bool,
    waiting: &[Waiting],
) -> Standing {
    let Some(assignment) = desired.assignments.get(vm).filter(|assignment| still_so(assignment)) else {
        return Standing::Overtaken;
    };
    let (Ok(gifts), Some(vm)) = (gifts(desired, observed, assignment), observed.vm(vm)) else {
        return pending(waiting, &Subject::Vm(vm.clone()));
    };
    let is_in = |(_, device): &(Given, DeviceHandle)| {
        vm.device(*device).is_some_and(|device| device.defined && (vm.is_off() || device.live))
    };
    let done = gifts.iter().all(|gift| gift.prepare.is_none() && gift.devices.iter().all(is_in));
    if done && !assignment.restart && !assignment.start {
        return Standing::Done;
    }
    pending(waiting, &Subject::Vm(vm.id.clone()))
}

fn unassigned_dda(desired: &DesiredServer, vm: &VmId, gpus: &[GpuId], waiting: &[Waiting]) -> Standing {
    if desired.assignments.get(vm).is_some_and(|assignment| assignment.whole_ids().eq(gpus)) {
        return Standing::Overtaken;
    }
    let returning = |gpu: &&GpuId| desired.returns.get(*gpu).is_some_and(|returning| returning.vm == *vm);
    match gpus.iter().find(returning) {
        Some(gpu) => pending(waiting, &Subject::Gpu(gpu.clone())),
        None => Standing::Done,
    }
}

fn cured(desired: &DesiredServer, partition: &PartitionId, waiting: &[Waiting]) -> Standing {
    match desired.holds.get(partition) {
        None => Standing::Done,
        Some(Hold::Quarantined { .. } | Hold::Releasing { .. }) => Standing::Overtaken,
        Some(Hold::Curing { .. }) => pending(waiting, &Subject::Partition(partition.clone())),
        Some(Hold::Remaking { .. }) => pending(waiting, &Subject::Gpu(partition.gpu.clone())),
    }
}

fn unassigned(desired: &DesiredServer, partition: &PartitionId, vm: &VmId, waiting: &[Waiting]) -> Standing {
    match desired.holds.get(partition) {
        Some(Hold::Releasing { vm: holder, .. }) if holder == vm => {
            pending(waiting, &Subject::Partition(partition.clone()))
        }
        Some(Hold::Quarantined { reason }) => {
            Standing::Pending { why: Some(format!("quarantined: {reason}")) }
        }
        _ if desired
            .assignments
            .get(vm)
            .is_some_and(|assignment| assignment.partition() == Some(partition)) =>
        {
            Standing::Overtaken
        }
        _ => Standing::Done,
    }
}

/// A target in words.
pub fn in_words(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Count { gpu, setting: PartitionSetting::Off, .. } => format!("GPU {gpu} without partitions"),
        Wanted::Count { gpu, setting: PartitionSetting::Count(asked), .. } => match asked.split {
            Split::Equal(count) => format!("GPU {gpu} split into {count}"),
            Split::Sizes(_) => format!("GPU {gpu} split into {}", asked.split),
        },
        Wanted::Assigned { vm_name, partition, .. } => {
            format!("partition {partition} assigned to VM {vm_name}")
        }
        Wanted::Unassigned { vm_name, partition, .. } => {
            format!("partition {partition} taken back from VM {vm_name}")
        }
        Wanted::AssignedDda { vm_name, gpus, .. } => {
            format!("{} given whole to VM {vm_name}", gpus_in_words(gpus))
        }
        Wanted::Claimed { vm_name, claim, .. } => format!("{claim} promised to VM {vm_name} at its start"),
        Wanted::Unclaimed { vm_name, .. } => format!("VM {vm_name} without its claim"),
        Wanted::ClaimFilled { vm_name, gpus, .. } => {
            format!("VM {vm_name} started with {}", gpus_in_words(gpus))
        }
        Wanted::UnassignedDda { vm_name, gpus, .. } => {
            format!("{} taken back from VM {vm_name}", gpus_in_words(gpus))
        }
        Wanted::Cured { partition, remake: false } => format!("partition {partition} clean again"),
        Wanted::Cured { partition, remake: true } => {
            format!("partition {partition} and all others of its GPU made again")
        }
    }
}
