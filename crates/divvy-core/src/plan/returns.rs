//! Whole GPUs that their VM gave up: out of the VM, then reset and back to the drivers that they had.
//! Nothing is taken back while the VMs cannot be seen, or while anything has the GPU open.

use alloc::format;
use alloc::string::ToString;

use super::Plan;
use super::gifts::whole_gpu;
use crate::assignment::Returning;
use crate::desired::DesiredServer;
use crate::finding::Subject;
use crate::given::Given;
use crate::id::GpuId;
use crate::observed::{Observed, ObservedGpu};
use crate::rules::whole_or_partitions;
use crate::step::{DeviceScope, HostStep, Step, VmStep};

pub fn plan_returns(desired: &DesiredServer, observed: &Observed, plan: &mut Plan) {
    for (id, returning) in &desired.returns {
        take_back(observed, id, returning, plan);
    }
}

fn take_back(observed: &Observed, id: &GpuId, returning: &Returning, plan: &mut Plan) {
    let subject = Subject::Gpu(id.clone());
    let gpu = match whole_gpu(observed, &returning.functions, id) {
        Ok(gpu) => gpu,
        Err(why) => return plan.wait(subject, why),
    };
    if !observed.hypervisor_is_connected() {
        return plan.wait(subject, "the server's VMs cannot be seen now".to_string());
    }
    if take_out_of_vm(observed, gpu, returning, plan) {
        return;
    }
    if let Some(other) = whole_or_partitions::vms_with(observed, gpu).next() {
        return plan.wait(subject, format!("VM {} has it, and not by Divvy", other.name));
    }
    if gpu.slot.open {
        return plan.wait(subject, "a process still has it open".to_string());
    }
    plan.steps.push(Step::Host(HostStep::TakeGpuBack {
        gpu: id.clone(),
        address: gpu.address,
        functions: returning.functions.clone(),
    }));
}

/// Takes everything of the slot out of the VM that gave it up; answers whether anything was still in.
fn take_out_of_vm(observed: &Observed, gpu: &ObservedGpu, returning: &Returning, plan: &mut Plan) -> bool {
    let Some(vm) = observed.vm(&returning.vm) else { return false };
    let before = plan.steps.len();
    for function in &gpu.slot.functions {
        let Some(device) = vm.device(function.address) else { continue };
        plan.steps.push(Step::Vm(VmStep::RemoveDevice {
            vm: vm.id.clone(),
            vm_name: vm.name.clone(),
            given: Some(Given::Function { gpu: gpu.id.clone(), function: function.address.function }),
            device: function.address.into(),
            scope: DeviceScope { defined: device.defined, live: device.live },
        }));
    }
    plan.steps.len() > before
}
