//! Assigned partitions: the driver that hands them over, then the VM. After a boot the same steps put a
//! partition under its new address into the VM that it belongs to.

use alloc::format;
use alloc::string::{String, ToString};

use super::Plan;
use crate::assignment::Assignment;
use crate::desired::DesiredServer;
use crate::finding::Subject;
use crate::id::PartitionId;
use crate::observed::{Observed, ObservedPartition};
use crate::pci_address::PciAddress;
use crate::rules::vm_settings;
use crate::rules::whole_or_partitions::VFIO_DRIVER;
use crate::step::{DeviceScope, HostStep, Step, VmStep};
use crate::vm::ObservedVm;

pub fn plan_assignments(desired: &DesiredServer, observed: &Observed, plan: &mut Plan) {
    for assignment in desired.assignments.values() {
        match partition_of(desired, observed, assignment) {
            Err(why) => plan.wait(Subject::Vm(assignment.vm.clone()), why),
            Ok(partition) => give(observed, assignment, partition, plan),
        }
    }
}

/// The assigned partition as it is now, if it may be touched.
fn partition_of<'o>(
    desired: &DesiredServer,
    observed: &'o Observed,
    assignment: &Assignment,
) -> Result<&'o ObservedPartition, String> {
    let id = &assignment.partition;
    let gpu = observed.gpu(&id.gpu).ok_or_else(|| format!("GPU {} is not in the server", id.gpu))?;
    if !gpu.is_healthy() {
        return Err(format!("GPU {} does not answer", id.gpu));
    }
    let asked = desired.settings.get(&id.gpu).map(|setting| setting.as_number());
    if asked.is_some() && asked != gpu.partition_count {
        return Err(format!("GPU {} does not have its partitions yet", id.gpu));
    }
    gpu.partition(id.index).ok_or_else(|| format!("partition {id} is not there"))
}

fn give(observed: &Observed, assignment: &Assignment, partition: &ObservedPartition, plan: &mut Plan) {
    let subject = Subject::Vm(assignment.vm.clone());
    let address = partition.address;
    let own = observed.vm(&assignment.vm);
    let has_it_live = own.and_then(|vm| vm.device(address)).is_some_and(|device| device.live);
    if partition.open && !has_it_live {
        return plan.wait(subject, format!("partition {} is open by another process", assignment.partition));
    }
    if let Some(other) = observed.vms_with_device(address).find(|vm| vm.id != assignment.vm) {
        return plan.wait(
            subject,
            format!("partition {} is in VM {}, not by Divvy", assignment.partition, other.name),
        );
    }
    if !partition.open && !is_prepared(partition) {
        let partition = assignment.partition.clone();
        plan.steps.push(Step::Host(HostStep::PreparePartition { partition, address }));
    }
    if !observed.hypervisor_is_connected() {
        return plan.wait(subject, "the server's VMs cannot be seen now".to_string());
    }
    match own {
        None => plan.wait(subject, format!("VM {} is not on this server", assignment.vm_name)),
        Some(vm) => give_to_vm(vm, assignment, address, plan),
    }
}

/// The driver that hands it to a VM has it, and will have it again after a probe.
pub fn is_prepared(partition: &ObservedPartition) -> bool {
    partition.driver.as_deref() == Some(VFIO_DRIVER)
        && partition.driver_override.as_deref() == Some(VFIO_DRIVER)
}

fn give_to_vm(vm: &ObservedVm, assignment: &Assignment, address: PciAddress, plan: &mut Plan) {
    take_stale_out(vm, address, plan);
    let defined = vm.device(address).is_some_and(|device| device.defined);
    let live = vm.device(address).is_some_and(|device| device.live);
    let want_live = !vm.is_off() && !live;
    let takes_it = vm_settings::takes_it_running(vm);
    let step = |step: VmStep| Step::Vm(step);
    let id = || (vm.id.clone(), vm.name.clone());
    let add = |scope: DeviceScope| {
        let (vm, vm_name) = id();
        step(VmStep::AddDevice { vm, vm_name, partition: assignment.partition.clone(), address, scope })
    };
    if want_live && !takes_it && assignment.restart {
        let (vm, vm_name) = id();
        plan.steps.push(step(VmStep::ShutDown { vm, vm_name }));
    }
    let scope = DeviceScope { defined: !defined, live: want_live && takes_it };
    if scope.defined || scope.live {
        plan.steps.push(add(scope));
    }
    if assignment.restart && !live && (vm.is_off() || !takes_it) {
        let (vm, vm_name) = id();
        plan.steps.push(step(VmStep::Start { vm, vm_name }));
    } else if want_live && !takes_it {
        let why = format!("VM {} runs without its partition and gets it at its next start", vm.name);
        plan.wait(Subject::Vm(vm.id.clone()), why);
    }
}

/// Devices that Divvy put into this VM under an address that is not the partition's any more.
fn take_stale_out(vm: &ObservedVm, address: PciAddress, plan: &mut Plan) {
    let by_divvy =
        |alias: &Option<String>| alias.as_deref().is_some_and(|name| name.parse::<PartitionId>().is_ok());
    for device in &vm.devices {
        if device.address != address && device.defined && by_divvy(&device.alias) {
            plan.steps.push(Step::Vm(VmStep::RemoveDevice {
                vm: vm.id.clone(),
                vm_name: vm.name.clone(),
                partition: None,
                address: device.address,
                scope: DeviceScope { defined: true, live: false },
            }));
        }
    }
}
