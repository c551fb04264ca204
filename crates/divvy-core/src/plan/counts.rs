//! Partition counts and sizes. The kernel goes from one number to another only through zero, and takes
//! partitions away under running VMs without a word; so nothing is planned while one is open, unless those that are
//! there stay and only the missing ones are made. The same steps make all partitions
//! again when one of them has to be cured so.

use alloc::format;
use alloc::string::String;

use super::Plan;
use crate::assignment::Hold;
use crate::desired::{DesiredServer, PartitionSetting};
use crate::finding::Subject;
use crate::gpu::Scheme;
use crate::id::GpuId;
use crate::observed::{GpuHealth, Observed, ObservedGpu};
use crate::rules::whole_or_partitions::Whole;
use crate::rules::{same_scheme, sizes};
use crate::split::Split;
use crate::step::{HostStep, Step};

pub fn plan_counts(desired: &DesiredServer, observed: &Observed, plan: &mut Plan) {
    let whole = Whole::of(Some(desired), observed);
    for (id, setting) in &desired.settings {
        match steps_needed(desired, observed, &whole, id, *setting) {
            Ok(None) => {}
            Ok(Some(change)) => change.plan(plan),
            Err(why) => plan.wait(Subject::Gpu(id.clone()), why),
        }
    }
}

/// From so many partitions to so many.
struct Change<'o> {
    gpu: &'o ObservedGpu,
    scheme: Scheme,
    has: u16,
    wanted: Option<Split>,
    /// Also those that are there.
    remake: bool,
}

/// None: it is as it was asked for. An error says what has to be waited for.
fn steps_needed<'o>(
    desired: &DesiredServer,
    observed: &'o Observed,
    whole: &Whole<'_>,
    id: &GpuId,
    setting: PartitionSetting,
) -> Result<Option<Change<'o>>, String> {
    let gpu = observed.gpu(id).ok_or("the GPU is not in the server")?;
    if let GpuHealth::Unknown { reason } = &gpu.health {
        return Err(reason.clone());
    }
    let has = gpu.partition_count.ok_or("its partition count cannot be read")?;
    let remake = shall_be_remade(desired, id);
    let scheme = same_scheme::to_split_by(setting, gpu)?;
    if sizes::has(setting, gpu)? && !remake && (has > 0 || gpu.is_off()) {
        return Ok(None);
    }
    if let Some(by) = whole.used_by(gpu) {
        return Err(format!("the GPU is used whole by {by}"));
    }
    let scheme = scheme.ok_or("its driver makes no partitions now")?;
    let wanted = setting.split();
    let change = Change { gpu, scheme, has, wanted, remake };
    match in_use(observed, gpu).filter(|_| !change.only_adds()) {
        Some(who) => Err(who),
        None => Ok(Some(change)),
    }
}

impl Change<'_> {
    /// Those that are there have the right size already, so that they can stay, and stay in use.
    fn only_adds(&self) -> bool {
        !self.remake && self.wanted.is_some_and(|split| sizes::only_some_are_missing(split, self.gpu))
    }

    fn plan(&self, plan: &mut Plan) {
        let mut step = |step: HostStep| plan.steps.push(Step::Host(step));
        let (gpu, address, scheme) = (self.gpu.id.clone(), self.gpu.address, self.scheme);
        if self.wanted.is_some() && self.gpu.autoprobe && scheme.keeps_drivers_off() {
            step(HostStep::ReservePartitions { gpu: gpu.clone(), address, scheme });
        }
        let directly =
            self.only_adds() || (!self.remake && self.wanted.is_some() && !scheme.goes_through_zero());
        if self.has > 0 && !directly {
            step(HostStep::RemovePartitions { gpu: gpu.clone(), address, scheme, count: self.has });
        }
        if self.wanted.is_none() && scheme.keeps_carriers() && self.gpu.carriers > 0 {
            step(HostStep::TurnOff { gpu: gpu.clone(), address, scheme });
        }
        if let Some(split) = self.wanted {
            step(HostStep::CreatePartitions { gpu, address, scheme, split });
        }
    }
}

fn shall_be_remade(desired: &DesiredServer, gpu: &GpuId) -> bool {
    let mut holds = desired.holds.iter();
    holds.any(|(partition, hold)| partition.gpu == *gpu && matches!(hold, Hold::Remaking { .. }))
}

/// Whoever has one of the GPU's partitions open or live.
fn in_use(observed: &Observed, gpu: &ObservedGpu) -> Option<String> {
    gpu.partitions.iter().find_map(|partition| {
        let live = observed
            .vms_with_device(partition.device)
            .find(|vm| vm.device(partition.device).is_some_and(|device| device.live));
        match live {
            Some(vm) => Some(format!("partition {} is in running VM {}", partition.index, vm.name)),
            None if partition.open => Some(format!("partition {} is open", partition.index)),
            None => None,
        }
    })
}
