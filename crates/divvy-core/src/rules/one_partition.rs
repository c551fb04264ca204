//! A VM has at most one partition, or whole GPUs, whoever gave them.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{GpuId, PartitionId, VmId};
use crate::observed::Observed;
use crate::refusal::{Refusal, WholeRefusal};
use crate::rules::whole_or_partitions;
use crate::state::State;
use crate::vm::ObservedVm;

/// No VM may stand twice in one request.
pub fn named_once<'a>(vms: impl IntoIterator<Item = &'a ObservedVm>) -> Result<(), Refusal> {
    let mut seen: BTreeSet<&VmId> = BTreeSet::new();
    for vm in vms {
        if !seen.insert(&vm.id) {
            return Err(Refusal::VmNamedTwice { vm: vm.name.clone() });
        }
    }
    Ok(())
}

/// The VM has nothing yet: nothing assigned by Divvy, nothing in its definition by any other hand.
pub fn check(state: &State, observed: &Observed, vm: &ObservedVm) -> Result<(), Refusal> {
    let has_partition = |partition| Err(Refusal::VmHasPartition { vm: String::from(&vm.name), partition });
    let has_whole = |gpus| Err(WholeRefusal::VmHasWholeGpu { vm: String::from(&vm.name), gpus }.into());
    if let Some((_, assignment)) = state.desired.assignment(&vm.id) {
        return match assignment.partition() {
            Some(partition) => has_partition(partition.clone()),
            None => Err(WholeRefusal::of_holder(assignment).into()),
        };
    }
    if let Some(partition) = partition_in(observed, vm) {
        return has_partition(partition);
    }
    let gpus = whole_gpus_in(observed, vm);
    if gpus.is_empty() { Ok(()) } else { has_whole(gpus) }
}

/// The whole GPUs among a VM's devices.
pub fn whole_gpus_in(observed: &Observed, vm: &ObservedVm) -> Vec<GpuId> {
    observed.gpus.iter().filter(|gpu| whole_or_partitions::has(vm, gpu)).map(|gpu| gpu.id.clone()).collect()
}

/// The partition among a VM's devices.
pub fn partition_in(observed: &Observed, vm: &ObservedVm) -> Option<PartitionId> {
    observed.gpus.iter().find_map(|gpu| {
        let mine = gpu.partitions.iter().find(|partition| vm.device(partition.device).is_some())?;
        Some(PartitionId::new(&gpu.id, mine.index))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, vm, vm_with_device};

    #[test]
    fn a_vm_without_a_partition_may_get_one() {
        let world = World::one_a2(4);
        assert_eq!(check(&world.state(), world.observed(), &vm("vm-001")), Ok(()));
    }

    #[test]
    fn a_second_partition_is_refused() {
        let world = World::one_a2(4).assigned("vm-001", 0);
        let refusal = check(&world.state(), world.observed(), &vm("vm-001")).expect_err("has one");
        assert_eq!(refusal.code(), "vm_has_partition");
    }

    #[test]
    fn a_partition_that_another_hand_put_in_counts() {
        let world = World::one_a2(4);
        let foreign = vm_with_device("vm-001", world.partition_address(2));
        let refusal = check(&world.state(), world.observed(), &foreign).expect_err("has one");
        assert!(refusal.hint().contains("unassign"), "{}", refusal.hint());
    }

    #[test]
    fn a_vm_with_a_whole_gpu_is_refused_whoever_gave_it() {
        let world = World::one_a2(0).whole("vm-001");
        let refusal = check(&world.state(), world.observed(), &vm("vm-001")).expect_err("has one");
        assert_eq!(refusal.code(), "vm_has_whole_gpu");
        let world = World::one_a2(0);
        let foreign = vm_with_device("vm-009", world.gpu().address);
        let mut seen = world.clone();
        seen.observed_mut().vms.push(foreign.clone());
        let refusal = check(&seen.state(), seen.observed(), &foreign).expect_err("has one");
        assert_eq!(refusal.code(), "vm_has_whole_gpu");
    }

    #[test]
    fn a_vm_that_is_named_twice_is_refused() {
        let one = vm("vm-001");
        assert_eq!(named_once([&one, &one]).expect_err("twice").code(), "vm_named_twice");
        assert_eq!(named_once([&one, &vm("vm-002")]), Ok(()));
    }

    proptest::proptest! {
        /// A VM passes exactly if it owns nothing and has no partition among its devices.
        #[test]
        fn a_vm_passes_exactly_if_it_has_none(owner in 1u8..5, index in 0usize..8, by_another_hand: bool, asker in 1u8..5) {
            let mut world = World::one_a2(8);
            let name = |number: u8| alloc::format!("vm-{number:03}");
            if by_another_hand {
                let address = world.partition_address(index);
                *world.vm_mut(&name(owner)) = vm_with_device(&name(owner), address);
            } else {
                world = world.assigned(&name(owner), index as u16);
            }
            let state = world.state();
            let asking = world.observed().vms.iter().find(|vm| vm.name == name(asker)).expect("exists");
            proptest::prop_assert_eq!(check(&state, world.observed(), asking).is_ok(), asker != owner);
        }
    }
}
