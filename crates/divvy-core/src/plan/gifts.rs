//! What an assignment stands for now: which devices the VM gets, and the step that makes them ready.
//! Whether it is time to give them is not known here.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::assignment::{Assignment, FormerDriver, Holding, WholeGpu};
use crate::desired::DesiredServer;
use crate::device::DeviceHandle;
use crate::given::Given;
use crate::gpu::{Carrier, Scheme};
use crate::id::PartitionId;
use crate::observed::{Observed, ObservedGpu, ObservedPartition, SlotFunction};
use crate::rules::whole_or_partitions::VFIO_DRIVER;
use crate::rules::{same_scheme, sizes};
use crate::step::HostStep;
use crate::vm::ObservedVm;

/// One partition, or one whole GPU with all of its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gift {
    /// For people.
    pub name: String,
    pub devices: Vec<(Given, DeviceHandle)>,
    /// A process has it open.
    pub open: bool,
    /// What makes it ready for a VM; None: it is.
    pub prepare: Option<HostStep>,
}

impl Gift {
    /// Whether any device of it is in the running VM.
    pub fn is_live_in(&self, vm: &ObservedVm) -> bool {
        self.devices.iter().any(|(_, device)| vm.device(*device).is_some_and(|known| known.live))
    }
}

/// Everything of an assignment as it is now, if it may be touched.
pub fn gifts(
    desired: &DesiredServer,
    observed: &Observed,
    assignment: &Assignment,
) -> Result<Vec<Gift>, String> {
    match &assignment.holding {
        Holding::Partition { partition } => {
            let (gpu, seen) = partition_of(desired, observed, partition)?;
            Ok(Vec::from([of_partition(partition, gpu, seen)?]))
        }
        Holding::Claim { .. } => Ok(Vec::new()),
        Holding::Dda { gpus, .. } => gpus.iter().map(|whole| of_whole(observed, whole)).collect(),
    }
}

fn partition_of<'o>(
    desired: &DesiredServer,
    observed: &'o Observed,
    id: &PartitionId,
) -> Result<(&'o ObservedGpu, &'o ObservedPartition), String> {
    let gpu = observed.gpu(&id.gpu).ok_or_else(|| format!("GPU {} is not in the server", id.gpu))?;
    if !gpu.is_healthy() {
        return Err(format!("GPU {} does not answer", id.gpu));
    }
    same_scheme::holds(desired, gpu).map_err(|why| format!("GPU {}: {why}", id.gpu))?;
    sizes::holds(desired, gpu)
        .map_err(|why| format!("GPU {} does not have its partitions yet: {why}", id.gpu))?;
    let partition = gpu.partition(id.index).ok_or_else(|| format!("partition {id} is not there"))?;
    Ok((gpu, partition))
}

fn of_partition(id: &PartitionId, gpu: &ObservedGpu, partition: &ObservedPartition) -> Result<Gift, String> {
    let step =
        |scheme| HostStep::PreparePartition { partition: id.clone(), address: partition.address, scheme };
    let prepare = match (is_prepared(gpu, partition), gpu.scheme) {
        (true, _) => None,
        (false, Some(scheme)) => Some(step(scheme)),
        (false, None) => return Err(format!("GPU {} has no driver that makes partitions now", gpu.id)),
    };
    Ok(Gift {
        name: format!("partition {id}"),
        devices: Vec::from([(id.clone().into(), partition.device)]),
        open: partition.open,
        prepare,
    })
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

fn is_kept_for_vfio(driver: Option<&String>, kept_for: Option<&String>) -> bool {
    [driver, kept_for].iter().all(|name| name.is_some_and(|name| name == VFIO_DRIVER))
}

fn of_whole(observed: &Observed, whole: &WholeGpu) -> Result<Gift, String> {
    let gpu = whole_gpu(observed, &whole.functions, &whole.gpu)?;
    let functions = &gpu.slot.functions;
    let given = |function: &SlotFunction| {
        let number = function.address.function;
        (Given::Function { gpu: gpu.id.clone(), function: number }, function.address.into())
    };
    let prepare = HostStep::GiveGpu {
        gpu: gpu.id.clone(),
        address: gpu.address,
        functions: functions.iter().map(|function| function.address.function).collect(),
    };
    let is_ready = functions
        .iter()
        .all(|function| is_kept_for_vfio(function.driver.as_ref(), function.driver_override.as_ref()));
    Ok(Gift {
        name: format!("GPU {}", gpu.id),
        devices: functions.iter().map(given).collect(),
        open: gpu.slot.open,
        prepare: (!is_ready).then_some(prepare),
    })
}

/// A GPU that is given whole or on its way back, if it is as it was when it was given.
pub fn whole_gpu<'o>(
    observed: &'o Observed,
    functions: &[FormerDriver],
    id: &crate::id::GpuId,
) -> Result<&'o ObservedGpu, String> {
    let gpu = observed.gpu(id).ok_or_else(|| format!("GPU {id} is not in the server"))?;
    if !gpu.is_healthy() {
        return Err(format!("GPU {id} does not answer"));
    }
    match gpu.partition_count {
        Some(0) => {}
        Some(count) => return Err(format!("GPU {id} was split into {count} partitions by another hand")),
        None => return Err(format!("the partition count of GPU {id} cannot be read")),
    }
    let now = gpu.slot.functions.iter().map(|function| function.address.function);
    if !now.eq(functions.iter().map(|former| former.function)) {
        return Err(format!("the slot of GPU {id} has other functions than when it was given"));
    }
    if gpu.slot.strangers.is_empty() {
        Ok(gpu)
    } else {
        let names: Vec<String> = gpu.slot.strangers.iter().map(ToString::to_string).collect();
        Err(format!("GPU {id} shares its IOMMU group with {}", names.join(", ")))
    }
}
