//! The start gate for whole GPUs: the VM that was given one starts only with all of its slot, and no other
//! VM starts with any of it.

use alloc::format;

use super::{StartingVm, explain, refused};
use crate::desired::DesiredServer;
use crate::device::DeviceHandle;
use crate::id::GpuId;
use crate::observed::{GpuHealth, Observed, ObservedGpu, SlotFunction};
use crate::refusal::Refusal;
use crate::rules::whole_or_partitions::{self, VFIO_DRIVER};

/// The GPU itself, or something else in its slot.
pub fn is_part_of(gpu: &ObservedGpu, device: DeviceHandle) -> bool {
    let is_it = |function: &SlotFunction| device == DeviceHandle::Pci(function.address);
    device == DeviceHandle::Pci(gpu.address) || gpu.slot.functions.iter().any(is_it)
}

/// The GPU that the VM was given is there, ready and closed, and all of its slot is in the definition.
pub fn has(observed: &Observed, id: &GpuId, vm: &StartingVm<'_>) -> Result<(), Refusal> {
    let refuse = |why| Err(refused(vm, why, &explain(vm, "dda unassign")));
    let Some(gpu) = observed.gpu(id) else {
        return refuse(&format!("its GPU {id} is not in the server"));
    };
    if let GpuHealth::Unknown { reason } = &gpu.health {
        return refuse(&format!("its GPU {id} does not answer: {reason}"));
    }
    for function in &gpu.slot.functions {
        let address = function.address;
        if !vm.devices.contains(&address.into()) {
            return refuse(&format!("its GPU {id} at {address} is not in its definition yet"));
        }
        let ready = [&function.driver, &function.driver_override];
        if ready.iter().any(|name| name.as_deref() != Some(VFIO_DRIVER)) {
            return refuse(&format!("its GPU {id} at {address} is not ready yet"));
        }
    }
    if gpu.slot.open {
        return refuse(&format!("its GPU {id} is open by another process"));
    }
    Ok(())
}

/// The VM may have something of this GPU's slot: the GPU is not split, not another VM's, and not kept.
pub fn may_have(
    desired: Option<&DesiredServer>,
    gpu: &ObservedGpu,
    vm: &StartingVm<'_>,
    device: DeviceHandle,
) -> Result<(), Refusal> {
    let id = &gpu.id;
    if whole_or_partitions::may_use_whole(gpu).is_err() {
        let why = format!("its definition has GPU {id} at {device} as a whole, and the GPU is partitioned");
        let hint = "a GPU is used whole or partitioned, never both: take one of them away";
        return Err(refused(vm, &why, hint));
    }
    let Some(desired) = desired else { return Ok(()) };
    let take_out =
        format!("take the device out of its definition; divvy dda assign {} gives it a GPU", vm.name);
    let refuse = |why| Err(refused(vm, why, &take_out));
    if let Some(owner) = desired.whole_owner(id) {
        if owner.vm == *vm.id {
            return Ok(());
        }
        return refuse(&format!("GPU {id} in its definition belongs to VM {}", owner.vm_name));
    }
    if let Some(returning) = desired.returns.get(id) {
        return refuse(&format!("GPU {id} in its definition is not back from VM {} yet", returning.vm_name));
    }
    match desired.pools.get(id) {
        Some(pool) => refuse(&format!("GPU {id} in its definition is kept by pool {pool}")),
        // Divvy was never asked about this GPU: whoever gave it may use it.
        None => Ok(()),
    }
}
