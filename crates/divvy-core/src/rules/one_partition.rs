//! A VM has at most one partition, whoever gave it.

use alloc::collections::BTreeSet;
use alloc::string::String;

use crate::id::{PartitionId, VmId};
use crate::observed::Observed;
use crate::refusal::Refusal;
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

/// The VM has none yet: none assigned by Divvy, none in its definition by any other hand.
pub fn check(state: &State, observed: &Observed, vm: &ObservedVm) -> Result<(), Refusal> {
    let partition = match state.desired.assignment(&vm.id) {
        Some((_, assignment)) => Some(assignment.partition.clone()),
        None => partition_in(observed, vm),
    };
    match partition {
        Some(partition) => Err(Refusal::VmHasPartition { vm: String::from(&vm.name), partition }),
        None => Ok(()),
    }
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
