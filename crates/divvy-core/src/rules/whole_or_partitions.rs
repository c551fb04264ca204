//! A GPU is used whole or partitioned, never both, whoever uses it.

use alloc::format;
use alloc::string::{String, ToString};

use crate::observed::{Observed, ObservedGpu};
use crate::refusal::Refusal;

/// The driver that hands a whole device to a VM.
pub const VFIO_DRIVER: &str = "vfio-pci";

/// Who uses this GPU whole, if anybody does.
pub fn used_whole_by(observed: &Observed, gpu: &ObservedGpu) -> Option<String> {
    if let Some(vm) = observed.vms_with_device(gpu.address).next() {
        return Some(format!("VM {}", vm.name));
    }
    (gpu.driver.as_deref() == Some(VFIO_DRIVER)).then(|| format!("driver {VFIO_DRIVER}"))
}

/// The GPU may be partitioned, and its partitions may be given to VMs.
pub fn may_partition(observed: &Observed, gpu: &ObservedGpu) -> Result<(), Refusal> {
    match used_whole_by(observed, gpu) {
        Some(by) => Err(Refusal::GpuUsedWhole { gpu: gpu.id.clone(), by }),
        None => Ok(()),
    }
}

/// The GPU may be given whole to a VM.
pub fn may_use_whole(gpu: &ObservedGpu) -> Result<(), Refusal> {
    match gpu.partition_count {
        Some(0) => Ok(()),
        Some(count) => Err(Refusal::GpuNotPartitionable {
            gpu: gpu.id.clone(),
            why: format!("it is split into {count} partitions and cannot be used whole too"),
        }),
        None => Err(Refusal::GpuUnknown {
            gpu: gpu.id.clone(),
            reason: "its partition count cannot be read".to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, vm_with_device};

    #[test]
    fn a_gpu_in_a_vm_is_not_partitioned() {
        let mut world = World::one_a2(0);
        assert_eq!(may_partition(world.observed(), world.gpu()), Ok(()));
        let address = world.gpu().address;
        world.observed_mut().vms.push(vm_with_device("whole", address));
        let refusal = may_partition(world.observed(), world.gpu()).expect_err("used whole");
        assert_eq!(refusal.code(), "gpu_used_whole");
        assert!(refusal.hint().contains("whole"));
    }

    #[test]
    fn a_gpu_that_is_handed_out_by_its_driver_is_not_partitioned() {
        let mut world = World::one_a2(0);
        world.gpu_mut().driver = Some(VFIO_DRIVER.to_string());
        assert_eq!(may_partition(world.observed(), world.gpu()).expect_err("whole").code(), "gpu_used_whole");
    }

    #[test]
    fn a_partitioned_gpu_is_not_used_whole() {
        assert_eq!(may_use_whole(World::one_a2(0).gpu()), Ok(()));
        assert!(may_use_whole(World::one_a2(4).gpu()).is_err());
        let mut unreadable = World::one_a2(4);
        unreadable.gpu_mut().partition_count = None;
        assert_eq!(may_use_whole(unreadable.gpu()).expect_err("unknown").code(), "gpu_unknown");
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
            let partition_too = may_partition(world.observed(), world.gpu()).is_ok();
            proptest::prop_assert_eq!(partition_too, !whole);
            proptest::prop_assert_eq!(may_use_whole(world.gpu()).is_ok(), partitions == 0);
        }
    }
}
