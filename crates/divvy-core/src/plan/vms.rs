//! Assigned partitions: the driver that hands them over, then the VM. After a boot the same steps put a
//! partition under its new address into the VM that it belongs to.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Plan;
use crate::assignment::Assignment;
use crate::desired::DesiredServer;
use crate::device::DeviceHandle;
use crate::finding::Subject;
use crate::gpu::{Carrier, Scheme};
use crate::id::PartitionId;
use crate::observed::{Observed, ObservedGpu, ObservedPartition};
use crate::rules::whole_or_partitions::VFIO_DRIVER;
use crate::rules::{same_scheme, vm_settings};
use crate::step::{DeviceScope, HostStep, Step, VmStep};
use crate::vm::{ObservedVm, VmDevice};

pub fn plan_assignments(desired: &DesiredServer, observed: &Observed, plan: &mut Plan) {
    // All of them first: GPUs that changed places leave their partitions in each other's VMs.
    let stale = stale_devices(desired, observed);
    if observed.hypervisor_is_connected() {
        plan.steps.extend(stale.iter().map(take_stale_out));
    }
    for assignment in desired.assignments.values() {
        match partition_of(desired, observed, assignment) {
            Err(why) => plan.wait(Subject::Vm(assignment.vm.clone()), why),
            Ok((gpu, partition)) => give(observed, assignment, (gpu, partition), &stale, plan),
        }
    }
}

/// The assigned partition as it is now, if it may be touched.
fn partition_of<'o>(
    desired: &DesiredServer,
    observed: &'o Observed,
    assignment: &Assignment,
) -> Result<(&'o ObservedGpu, &'o ObservedPartition), String> {
    let id = &assignment.partition;
    let gpu = observed.gpu(&id.gpu).ok_or_else(|| format!("GPU {} is not in the server", id.gpu))?;
    if !gpu.is_healthy() {
        return Err(format!("GPU {} does not answer", id.gpu));
    }
    same_scheme::holds(desired, gpu).map_err(|why| format!("GPU {}: {why}", id.gpu))?;
    let asked = desired.settings.get(&id.gpu).map(|setting| setting.as_number());
    if asked.is_some() && asked != gpu.partition_count {
        return Err(format!("GPU {} does not have its partitions yet", id.gpu));
    }
    let partition = gpu.partition(id.index).ok_or_else(|| format!("partition {id} is not there"))?;
    Ok((gpu, partition))
}

fn give(
    observed: &Observed,
    assignment: &Assignment,
    (gpu, partition): (&ObservedGpu, &ObservedPartition),
    stale: &[Stale<'_>],
    plan: &mut Plan,
) {
    let subject = Subject::Vm(assignment.vm.clone());
    let (address, device) = (partition.address, partition.device);
    let own = observed.vm(&assignment.vm);
    let has_it_live = own.and_then(|vm| vm.device(device)).is_some_and(|device| device.live);
    if partition.open && !has_it_live {
        return plan.wait(subject, format!("partition {} is open by another process", assignment.partition));
    }
    let leaves = |vm: &ObservedVm| {
        stale.iter().any(|one| one.vm.id == vm.id && one.device.device == device && !one.device.live)
    };
    let mut others = observed.vms_with_device(device).filter(|vm| vm.id != assignment.vm);
    if let Some(other) = others.find(|vm| !leaves(vm)) {
        return plan.wait(
            subject,
            format!("partition {} is in VM {}, not by Divvy", assignment.partition, other.name),
        );
    }
    if !partition.open && !is_prepared(gpu, partition) {
        let Some(scheme) = gpu.scheme else {
            return plan.wait(subject, format!("GPU {} has no driver that makes partitions now", gpu.id));
        };
        let partition = assignment.partition.clone();
        plan.steps.push(Step::Host(HostStep::PreparePartition { partition, address, scheme }));
    }
    if !observed.hypervisor_is_connected() {
        return plan.wait(subject, "the server's VMs cannot be seen now".to_string());
    }
    match own {
        None => plan.wait(subject, format!("VM {} is not on this server", assignment.vm_name)),
        Some(vm) => give_to_vm(vm, assignment, device, plan),
    }
}

/// What hands it to a VM has it, and will have it again after a probe.
pub fn is_prepared(gpu: &ObservedGpu, partition: &ObservedPartition) -> bool {
    let (driver, kept_for) = (partition.driver.as_deref(), partition.driver_override.as_deref());
    match gpu.scheme.map_or(Carrier::Vfio, Scheme::carrier) {
        Carrier::Vfio => driver == Some(VFIO_DRIVER) && kept_for == Some(VFIO_DRIVER),
        Carrier::Vendor(vendors) => driver == Some(vendors) && kept_for.is_none_or(|name| name == vendors),
        Carrier::Mediated => matches!(partition.device, DeviceHandle::Mdev(_)),
    }
}

fn give_to_vm(vm: &ObservedVm, assignment: &Assignment, device: DeviceHandle, plan: &mut Plan) {
    let defined = vm.device(device).is_some_and(|known| known.defined);
    let live = vm.device(device).is_some_and(|known| known.live);
    let want_live = !vm.is_off() && !live;
    let takes_it = vm_settings::takes_it_running(vm);
    let step = |step: VmStep| Step::Vm(step);
    let id = || (vm.id.clone(), vm.name.clone());
    let add = |scope: DeviceScope| {
        let (vm, vm_name) = id();
        step(VmStep::AddDevice { vm, vm_name, partition: assignment.partition.clone(), device, scope })
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

/// A device that Divvy put into a VM's definition and that is not what its alias says any more.
struct Stale<'o> {
    vm: &'o ObservedVm,
    device: &'o VmDevice,
}

fn stale_devices<'o>(desired: &DesiredServer, observed: &'o Observed) -> Vec<Stale<'o>> {
    let of_vm = |vm: &'o ObservedVm| vm.devices.iter().map(move |device| Stale { vm, device });
    let all = observed.vms.iter().flat_map(of_vm);
    all.filter(|one| one.device.defined && is_stale(desired, observed, one)).collect()
}

/// The partition of the alias is elsewhere now, or another one has its handle, or the VM was given
/// another one since. A handle alone proves nothing: it may be a partition that is not restored yet.
fn is_stale(desired: &DesiredServer, observed: &Observed, one: &Stale<'_>) -> bool {
    let alias = one.device.alias.as_deref();
    let Some(named) = alias.and_then(|name| name.parse::<PartitionId>().ok()) else { return false };
    let has_another =
        desired.assignments.get(&one.vm.id).is_some_and(|assignment| assignment.partition != named);
    if has_another && !desired.holds.contains_key(&named) {
        return true;
    }
    let now = observed.gpu(&named.gpu).and_then(|gpu| gpu.partition(named.index));
    match now {
        Some(partition) => partition.device != one.device.device,
        None => observed
            .gpus
            .iter()
            .any(|gpu| gpu.partitions.iter().any(|partition| partition.device == one.device.device)),
    }
}

fn take_stale_out(one: &Stale<'_>) -> Step {
    Step::Vm(VmStep::RemoveDevice {
        vm: one.vm.id.clone(),
        vm_name: one.vm.name.clone(),
        partition: None,
        device: one.device.device,
        scope: DeviceScope { defined: true, live: false },
    })
}
