//! A GPU is used whole or partitioned, never both, whoever uses it.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::assignment::Assignment;
use crate::desired::DesiredServer;
use crate::device::DeviceHandle;
use crate::id::GpuId;
use crate::observed::{Observed, ObservedGpu};
use crate::pci_address::PciAddress;
use crate::refusal::{Refusal, WholeRefusal};
use crate::vm::ObservedVm;

/// The driver that hands a whole device to a VM.
pub const VFIO_DRIVER: &str = "vfio-pci";

/// Who uses a GPU whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsedBy {
    /// Divvy gave it to this VM.
    Owner { vm: String },
    /// This VM gave it up, and it is on its way back.
    Returning { vm: String },
    /// This VM has it by another hand.
    Vm { vm: String },
    /// Nobody is known, but it is ready to be handed out.
    Driver,
}

impl fmt::Display for UsedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner { vm } | Self::Vm { vm } => write!(f, "VM {vm}"),
            Self::Returning { vm } => write!(f, "VM {vm} until it is back"),
            Self::Driver => write!(f, "driver {VFIO_DRIVER}"),
        }
    }
}

impl UsedBy {
    /// How it becomes free.
    pub fn mend(&self) -> String {
        match self {
            Self::Owner { vm } => format!("divvy dda unassign {vm}"),
            Self::Returning { .. } => {
                "wait until it is back; divvy explain GPU says what it waits for".to_string()
            }
            Self::Vm { .. } | Self::Driver => format!("take the GPU back from {self} first"),
        }
    }
}

/// Who uses which GPU of one server whole, looked up once for many questions.
pub struct Whole<'s> {
    desired: Option<&'s DesiredServer>,
    owners: Vec<&'s Assignment>,
    in_vms: BTreeMap<DeviceHandle, &'s ObservedVm>,
}

impl<'s> Whole<'s> {
    pub fn of(desired: Option<&'s DesiredServer>, observed: &'s Observed) -> Self {
        let assignments = desired.into_iter().flat_map(|desired| desired.assignments.values());
        let mut in_vms = BTreeMap::new();
        for vm in &observed.vms {
            for device in &vm.devices {
                in_vms.entry(device.device).or_insert(vm);
            }
        }
        Self { desired, owners: assignments.filter(|one| !one.whole_gpus().is_empty()).collect(), in_vms }
    }

    /// A VM with this device.
    pub fn vm_with(&self, device: impl Into<DeviceHandle>) -> Option<&'s ObservedVm> {
        self.in_vms.get(&device.into()).copied()
    }

    /// Who uses this GPU whole, if anybody does.
    pub fn used_by(&self, gpu: &ObservedGpu) -> Option<UsedBy> {
        if let Some(owner) = self.owners.iter().find(|owner| owner.has_whole(&gpu.id)) {
            return Some(UsedBy::Owner { vm: owner.vm_name.clone() });
        }
        if let Some(returning) = self.desired.and_then(|desired| desired.returns.get(&gpu.id)) {
            return Some(UsedBy::Returning { vm: returning.vm_name.clone() });
        }
        if let Some(vm) = slot(gpu).find_map(|address| self.vm_with(address)) {
            return Some(UsedBy::Vm { vm: vm.name.clone() });
        }
        (gpu.driver.as_deref() == Some(VFIO_DRIVER)).then_some(UsedBy::Driver)
    }

    /// The GPU may be partitioned, and its partitions may be given to VMs.
    pub fn may_partition(&self, gpu: &ObservedGpu) -> Result<(), Refusal> {
        if let Some(by) = self.used_by(gpu) {
            return Err(Refusal::GpuUsedWhole { gpu: gpu.id.clone(), by });
        }
        match self.desired.and_then(|desired| desired.pools.get(&gpu.id)) {
            Some(pool) => Err(WholeRefusal::GpuInPool { gpu: gpu.id.clone(), pool: pool.clone() }.into()),
            None => Ok(()),
        }
    }
}

/// The GPU and all else of its slot.
fn slot(gpu: &ObservedGpu) -> impl Iterator<Item = PciAddress> {
    gpu.slot.functions.iter().map(|function| function.address).chain([gpu.address])
}

/// VMs with the GPU itself or anything of its slot.
pub fn vms_with<'o>(observed: &'o Observed, gpu: &'o ObservedGpu) -> impl Iterator<Item = &'o ObservedVm> {
    observed.vms.iter().filter(|vm| has(vm, gpu))
}

/// This VM has the GPU itself or anything of its slot.
pub fn has(vm: &ObservedVm, gpu: &ObservedGpu) -> bool {
    !vm.devices.is_empty() && slot(gpu).any(|address| vm.device(address).is_some())
}

/// Divvy was asked to keep this GPU for use as a whole.
pub fn is_kept_whole(desired: Option<&DesiredServer>, gpu: &GpuId) -> bool {
    desired.is_some_and(|desired| {
        desired.pools.contains_key(gpu)
            || desired.returns.contains_key(gpu)
            || desired.whole_owner(gpu).is_some()
    })
}

/// The GPU is not split.
pub fn may_use_whole(gpu: &ObservedGpu) -> Result<(), Refusal> {
    match gpu.partition_count {
        Some(0) => Ok(()),
        Some(count) => {
            let why = format!("it is split into {count} partitions");
            Err(WholeRefusal::GpuPartitioned { gpu: gpu.id.clone(), why }.into())
        }
        None => Err(Refusal::GpuUnknown {
            gpu: gpu.id.clone(),
            reason: "its partition count cannot be read".to_string(),
        }),
    }
}

/// No VM has it. That it is ready to be handed out is no obstacle to handing it out.
pub fn nobody_has_it(
    desired: Option<&DesiredServer>,
    observed: &Observed,
    gpu: &ObservedGpu,
) -> Result<(), Refusal> {
    match Whole::of(desired, observed).used_by(gpu) {
        None | Some(UsedBy::Driver) => Ok(()),
        Some(by) => Err(Refusal::GpuUsedWhole { gpu: gpu.id.clone(), by }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, vm_with_device};

    fn may_partition(world: &World) -> Result<(), Refusal> {
        let (desired, observed) = &world.servers[0];
        Whole::of(Some(desired), observed).may_partition(world.gpu())
    }

    #[test]
    fn a_gpu_in_a_vm_is_not_partitioned() {
        let mut world = World::one_a2(0);
        assert_eq!(may_partition(&world), Ok(()));
        let address = world.gpu().address;
        world.observed_mut().vms.push(vm_with_device("whole", address));
        let refusal = may_partition(&world).expect_err("used whole");
        assert_eq!(refusal.code(), "gpu_used_whole");
        assert!(refusal.hint().contains("whole"));
    }

    #[test]
    fn a_gpu_that_is_handed_out_by_its_driver_is_not_partitioned() {
        let mut world = World::one_a2(0);
        world.gpu_mut().driver = Some(VFIO_DRIVER.to_string());
        assert_eq!(may_partition(&world).expect_err("whole").code(), "gpu_used_whole");
    }

    #[test]
    fn a_partitioned_gpu_is_not_used_whole() {
        assert_eq!(may_use_whole(World::one_a2(0).gpu()), Ok(()));
        assert!(may_use_whole(World::one_a2(4).gpu()).is_err());
        let mut unreadable = World::one_a2(4);
        unreadable.gpu_mut().partition_count = None;
        assert_eq!(may_use_whole(unreadable.gpu()).expect_err("unknown").code(), "gpu_unknown");
    }

    #[test]
    fn a_gpu_that_divvy_gave_whole_or_keeps_for_that_is_not_partitioned() {
        let table = [
            (World::one_a2(0).whole("vm-001"), "gpu_used_whole", "divvy dda unassign vm-001"),
            (World::one_a2(0).returning("vm-001"), "gpu_used_whole", "wait until it is back"),
            (World::one_a2(0).pooled("ml"), "gpu_in_pool", "divvy pool take ml gpu-1"),
        ];
        for (world, code, hint) in table {
            let refusal = may_partition(&world).expect_err("kept whole");
            assert_eq!(refusal.code(), code);
            assert!(refusal.hint().contains(hint), "{}", refusal.hint());
            assert!(is_kept_whole(Some(&world.servers[0].0), &world.gpu().id));
        }
    }

    proptest::proptest! {
        /// No state of a GPU allows both uses while one of them is taken.
        #[test]
        fn a_gpu_in_use_one_way_never_passes_for_the_other(partitions in proptest::sample::select(&[0u16, 1, 4, 16][..]), whole: bool) {
            let mut world = World::one_a2(partitions);
            if whole {
                let address = world.gpu().address;
                world.observed_mut().vms.push(vm_with_device("whole", address));
            }
            let partition_too = may_partition(&world).is_ok();
            proptest::prop_assert_eq!(partition_too, !whole);
            proptest::prop_assert_eq!(may_use_whole(world.gpu()).is_ok(), partitions == 0);
        }
    }
}
