//! Partition counts. The kernel goes from one number to another only through zero, and takes partitions
//! away under running VMs without a word; so nothing is planned while one is open.

use alloc::format;
use alloc::string::{String, ToString};

use super::Plan;
use crate::desired::{DesiredServer, PartitionSetting};
use crate::finding::Subject;
use crate::gpu::PartitionCount;
use crate::id::GpuId;
use crate::observed::{GpuHealth, Observed, ObservedGpu};
use crate::rules::whole_or_partitions;
use crate::step::{HostStep, Step};

pub fn plan_counts(desired: &DesiredServer, observed: &Observed, plan: &mut Plan) {
    for (id, setting) in &desired.settings {
        match steps_needed(observed, id, *setting) {
            Needed::Nothing => {}
            Needed::Change(gpu, has) => change_count(gpu, has, *setting, plan),
            Needed::Blocked(why) => plan.wait(Subject::Gpu(id.clone()), why),
        }
    }
}

enum Needed<'o> {
    Nothing,
    Change(&'o ObservedGpu, u16),
    Blocked(String),
}

fn steps_needed<'o>(observed: &'o Observed, id: &GpuId, setting: PartitionSetting) -> Needed<'o> {
    let Some(gpu) = observed.gpu(id) else {
        return Needed::Blocked("the GPU is not in the server".to_string());
    };
    if let GpuHealth::Unknown { reason } = &gpu.health {
        return Needed::Blocked(reason.clone());
    }
    let Some(has) = gpu.partition_count else {
        return Needed::Blocked("its partition count cannot be read".to_string());
    };
    if has == setting.as_number() {
        return Needed::Nothing;
    }
    if let Some(by) = whole_or_partitions::used_whole_by(observed, gpu) {
        return Needed::Blocked(format!("the GPU is used whole by {by}"));
    }
    match in_use(observed, gpu) {
        Some(who) => Needed::Blocked(who),
        None => Needed::Change(gpu, has),
    }
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

fn change_count(gpu: &ObservedGpu, has: u16, setting: PartitionSetting, plan: &mut Plan) {
    let mut step = |step: HostStep| plan.steps.push(Step::Host(step));
    let (id, address) = (&gpu.id, gpu.address);
    let wanted: Option<PartitionCount> = PartitionCount::new(setting.as_number());
    if wanted.is_some() && gpu.autoprobe {
        step(HostStep::ReservePartitions { gpu: id.clone(), address });
    }
    if has > 0 {
        step(HostStep::RemovePartitions { gpu: id.clone(), address, count: has });
    }
    if let Some(count) = wanted {
        step(HostStep::CreatePartitions { gpu: id.clone(), address, count });
    }
}
