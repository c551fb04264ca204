//! What is assigned: the driver that hands it over, then the VM. After a boot the same steps put it
//! under its new address into the VM that it belongs to.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::Plan;
use super::gifts::{Gift, gifts};
use crate::assignment::Assignment;
use crate::desired::DesiredServer;
use crate::finding::Subject;
use crate::given::Given;
use crate::observed::Observed;
use crate::rules::vm_settings;
use crate::step::{DeviceScope, Step, VmStep};
use crate::vm::{ObservedVm, VmDevice};

pub fn plan_assignments(desired: &DesiredServer, observed: &Observed, plan: &mut Plan) {
    // All of them first: GPUs that changed places leave their partitions in each other's VMs.
    let stale = stale_devices(desired, observed);
    if observed.hypervisor_is_connected() {
        plan.steps.extend(stale.iter().map(take_stale_out));
    }
    for assignment in desired.assignments.values() {
        match gifts(desired, observed, assignment) {
            Err(why) => plan.wait(Subject::Vm(assignment.vm.clone()), why),
            Ok(gifts) => give(observed, assignment, &gifts, &stale, plan),
        }
    }
}

fn give(observed: &Observed, assignment: &Assignment, gifts: &[Gift], stale: &[Stale<'_>], plan: &mut Plan) {
    let subject = Subject::Vm(assignment.vm.clone());
    let own = observed.vm(&assignment.vm);
    for gift in gifts {
        if gift.open && !own.is_some_and(|vm| gift.is_live_in(vm)) {
            return plan.wait(subject, format!("{} is open by another process", gift.name));
        }
        if let Some(other) = other_vm(observed, assignment, gift, stale) {
            return plan.wait(subject, format!("{} is in VM {}, not by Divvy", gift.name, other.name));
        }
    }
    for gift in gifts.iter().filter(|gift| !gift.open) {
        plan.steps.extend(gift.prepare.clone().map(Step::Host));
    }
    if !observed.hypervisor_is_connected() {
        return plan.wait(subject, "the server's VMs cannot be seen now".to_string());
    }
    match own {
        None => plan.wait(subject, format!("VM {} is not on this server", assignment.vm_name)),
        Some(vm) => give_to_vm(vm, assignment, gifts, plan),
    }
}

/// A VM that has a device of the gift, is not its owner, and is not about to lose it.
fn other_vm<'o>(
    observed: &'o Observed,
    assignment: &Assignment,
    gift: &Gift,
    stale: &[Stale<'_>],
) -> Option<&'o ObservedVm> {
    gift.devices.iter().find_map(|(_, device)| {
        let leaves = |vm: &ObservedVm| {
            stale.iter().any(|one| one.vm.id == vm.id && one.device.device == *device && !one.device.live)
        };
        observed.vms_with_device(*device).find(|vm| vm.id != assignment.vm && !leaves(vm))
    })
}

fn give_to_vm(vm: &ObservedVm, assignment: &Assignment, gifts: &[Gift], plan: &mut Plan) {
    let id = || (vm.id.clone(), vm.name.clone());
    let devices: Vec<_> = gifts.iter().flat_map(|gift| &gift.devices).collect();
    let is = |device, part: fn(&VmDevice) -> bool| vm.device(device).is_some_and(part);
    let missing = devices.iter().filter(|(_, device)| !is(*device, |known| known.live)).count();
    let want_live = !vm.is_off() && missing > 0;
    let takes_it = vm_settings::takes_running(vm, u32::try_from(missing).unwrap_or(u32::MAX));
    if assignment.start && want_live {
        // The start that was held up is not over yet, or somebody else's goes on: seen again in a moment.
        let why = format!("VM {} is {} and not off yet; its start is to come", vm.name, vm.power);
        return plan.wait(Subject::Vm(vm.id.clone()), why);
    }
    if want_live && !takes_it && assignment.restart {
        let (vm, vm_name) = id();
        plan.steps.push(Step::Vm(VmStep::ShutDown { vm, vm_name }));
    }
    for (given, device) in devices {
        let live = want_live && takes_it && !is(*device, |known| known.live);
        let scope = DeviceScope { defined: !is(*device, |known| known.defined), live };
        if scope.defined || scope.live {
            let ((vm, vm_name), given) = (id(), given.clone());
            plan.steps.push(Step::Vm(VmStep::AddDevice { vm, vm_name, given, device: *device, scope }));
        }
    }
    let starts = assignment.restart && (vm.is_off() || !takes_it) || assignment.start;
    if starts && missing > 0 {
        let (vm, vm_name) = id();
        plan.steps.push(Step::Vm(VmStep::Start { vm, vm_name }));
    } else if want_live && !takes_it {
        let has = if assignment.partition().is_some() { "partition" } else { "whole GPUs" };
        let why = format!("VM {} runs without its {has} and gets it at its next start", vm.name);
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

/// What the alias names is elsewhere now, or something else has its handle, or the VM was given something
/// else since. A handle alone proves nothing: it may be a partition that is not restored yet.
fn is_stale(desired: &DesiredServer, observed: &Observed, one: &Stale<'_>) -> bool {
    let alias = one.device.alias.as_deref();
    let Some(named) = alias.and_then(|name| name.parse::<Given>().ok()) else { return false };
    let assignment = desired.assignments.get(&one.vm.id);
    let has_another = assignment.is_some_and(|assignment| !has(assignment, &named));
    if has_another && !is_given_up(desired, &named) {
        return true;
    }
    let gpu = observed.gpu(named.gpu());
    let now = gpu.and_then(|gpu| match &named {
        Given::Partition(id) => gpu.partition(id.index).map(|partition| partition.device),
        Given::Function { function, .. } => gpu.function(*function).map(|own| own.address.into()),
    });
    match now {
        Some(device) => device != one.device.device,
        None => observed.gpus.iter().any(|gpu| {
            let partitions = gpu.partitions.iter().map(|partition| partition.device);
            let functions = gpu.slot.functions.iter().map(|function| function.address.into());
            partitions.chain(functions).any(|device| device == one.device.device)
        }),
    }
}

fn has(assignment: &Assignment, named: &Given) -> bool {
    match named {
        Given::Partition(id) => assignment.partition() == Some(id),
        Given::Function { gpu, .. } => assignment.has_whole(gpu),
    }
}

/// On its way back from a VM, which has steps of its own.
fn is_given_up(desired: &DesiredServer, named: &Given) -> bool {
    match named {
        Given::Partition(id) => desired.holds.contains_key(id),
        Given::Function { gpu, .. } => desired.returns.contains_key(gpu),
    }
}

fn take_stale_out(one: &Stale<'_>) -> Step {
    Step::Vm(VmStep::RemoveDevice {
        vm: one.vm.id.clone(),
        vm_name: one.vm.name.clone(),
        given: None,
        device: one.device.device,
        scope: DeviceScope { defined: true, live: false },
    })
}
