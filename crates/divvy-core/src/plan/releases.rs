//! Partitions that their VM gave up: out of the VM, then reset and proved clean; and quarantined ones
//! whose reset is tried once more. Nothing is cleaned
//! while the VMs cannot be seen, or while anything has it open.

use alloc::format;
use alloc::string::ToString;

use super::Plan;
use crate::assignment::Hold;
use crate::desired::DesiredServer;
use crate::finding::Subject;
use crate::id::{PartitionId, VmId};
use crate::observed::{Observed, ObservedPartition};
use crate::step::{DeviceScope, HostStep, Step, VmStep};

pub fn plan_releases(desired: &DesiredServer, observed: &Observed, plan: &mut Plan) {
    for (id, hold) in &desired.holds {
        match hold {
            Hold::Releasing { vm, .. } => release(observed, id, Some(vm), plan),
            Hold::Curing { .. } => release(observed, id, None, plan),
            Hold::Quarantined { .. } | Hold::Remaking { .. } => {}
        }
    }
}

fn release(observed: &Observed, id: &PartitionId, vm: Option<&VmId>, plan: &mut Plan) {
    let subject = Subject::Partition(id.clone());
    let gpu = observed.gpu(&id.gpu).filter(|gpu| gpu.is_healthy());
    let found = gpu.and_then(|gpu| Some((gpu.scheme?, gpu.partition(id.index)?)));
    let Some((scheme, partition)) = found else {
        return plan.wait(subject, "the partition is not there now".to_string());
    };
    if !observed.hypervisor_is_connected() {
        return plan.wait(subject, "the server's VMs cannot be seen now".to_string());
    }
    if vm.is_some_and(|vm| take_out_of_vm(observed, id, partition, vm, plan)) {
        return;
    }
    if let Some(other) = observed.vms_with_device(partition.device).find(|other| Some(&other.id) != vm) {
        return plan.wait(subject, format!("VM {} has it, and not by Divvy", other.name));
    }
    if partition.open {
        return plan.wait(subject, "a process still has it open".to_string());
    }
    let (partition, address) = (id.clone(), partition.address);
    plan.steps.push(Step::Host(HostStep::CleanPartition { partition, address, scheme }));
}

/// Takes the device out of the VM that gave it up; answers whether it was still in.
fn take_out_of_vm(
    observed: &Observed,
    id: &PartitionId,
    partition: &ObservedPartition,
    vm: &VmId,
    plan: &mut Plan,
) -> bool {
    let Some(seen) = observed.vm(vm) else { return false };
    let Some(device) = seen.device(partition.device) else { return false };
    plan.steps.push(Step::Vm(VmStep::RemoveDevice {
        vm: vm.clone(),
        vm_name: seen.name.clone(),
        given: Some(id.clone().into()),
        device: partition.device,
        scope: DeviceScope { defined: device.defined, live: device.live },
    }));
    true
}
