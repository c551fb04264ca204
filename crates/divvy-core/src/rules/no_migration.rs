//! A VM with a partition or a whole GPU does not migrate: their state is in the hardware, and no driver has
//! proved yet that it can carry it over.

use crate::id::VmId;
use crate::refusal::Refusal;
use crate::state::State;

pub fn check(state: &State, vm: &VmId, name: &str) -> Result<(), Refusal> {
    match state.desired.assignment(vm) {
        None => Ok(()),
        Some((_, assignment)) => Err(Refusal::NoMigration { vm: name.into(), has: assignment.in_words() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, vm};

    #[test]
    fn a_vm_migrates_only_without_a_partition() {
        let (world, one) = (World::one_a2(4), vm("vm-001"));
        assert_eq!(check(&world.state(), &one.id, &one.name), Ok(()));
        let world = world.assigned("vm-001", 0);
        assert_eq!(check(&world.state(), &one.id, &one.name).expect_err("has one").code(), "no_migration");
    }

    proptest::proptest! {
        /// A VM is held back exactly if it has a partition, whichever.
        #[test]
        fn a_vm_is_held_back_exactly_if_it_has_a_partition(owner in 1u8..5, asker in 1u8..5, index in 0u16..8) {
            let name = |number: u8| alloc::format!("vm-{number:03}");
            let world = World::one_a2(8).assigned(&name(owner), index);
            let asking = vm(&name(asker));
            proptest::prop_assert_eq!(check(&world.state(), &asking.id, &asking.name).is_err(), owner == asker);
        }
    }
}
