//! How far a job has come, told from the state alone, so that it can be told again after a crash.

use alloc::format;
use alloc::string::String;

use crate::assignment::Hold;
use crate::desired::{DesiredServer, PartitionSetting};
use crate::finding::Subject;
use crate::id::{GpuId, PartitionId, VmId};
use crate::job::{JobTarget, Wanted};
use crate::observed::Observed;
use crate::plan::{Waiting, is_prepared};
use crate::rules::same_scheme;
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
        Wanted::Assigned { vm, partition, .. } => assigned(desired, observed, vm, partition, waiting),
        Wanted::Unassigned { partition, vm, .. } => unassigned(desired, partition, vm, waiting),
    }
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
    match observed.gpu(gpu) {
        Some(seen)
            if seen.is_healthy()
                && seen.partition_count == Some(wanted)
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
    partition: &PartitionId,
    waiting: &[Waiting],
) -> Standing {
    let Some(assignment) =
        desired.assignments.get(vm).filter(|assignment| assignment.partition == *partition)
    else {
        return Standing::Overtaken;
    };
    let gpu = observed.gpu(&partition.gpu);
    let seen = gpu.and_then(|gpu| Some((gpu, gpu.partition(partition.index)?)));
    let (Some((gpu, seen)), Some(vm)) = (seen, observed.vm(vm)) else {
        return pending(waiting, &Subject::Vm(vm.clone()));
    };
    let device = vm.device(seen.device);
    let in_definition = device.is_some_and(|device| device.defined);
    let live_if_running = vm.is_off() || device.is_some_and(|device| device.live);
    if in_definition && live_if_running && is_prepared(gpu, seen) && !assignment.restart {
        return Standing::Done;
    }
    pending(waiting, &Subject::Vm(vm.id.clone()))
}

fn unassigned(desired: &DesiredServer, partition: &PartitionId, vm: &VmId, waiting: &[Waiting]) -> Standing {
    match desired.holds.get(partition) {
        Some(Hold::Releasing { vm: holder, .. }) if holder == vm => {
            pending(waiting, &Subject::Partition(partition.clone()))
        }
        Some(Hold::Quarantined { reason }) => {
            Standing::Pending { why: Some(format!("quarantined: {reason}")) }
        }
        _ if desired.assignments.get(vm).is_some_and(|assignment| assignment.partition == *partition) => {
            Standing::Overtaken
        }
        _ => Standing::Done,
    }
}

/// A target in words.
pub fn in_words(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Count { gpu, setting: PartitionSetting::Off, .. } => format!("GPU {gpu} without partitions"),
        Wanted::Count { gpu, setting: PartitionSetting::Count(asked), .. } => {
            format!("GPU {gpu} split into {}", asked.count)
        }
        Wanted::Assigned { vm_name, partition, .. } => {
            format!("partition {partition} assigned to VM {vm_name}")
        }
        Wanted::Unassigned { vm_name, partition, .. } => {
            format!("partition {partition} taken back from VM {vm_name}")
        }
    }
}
