//! Which claims are over for now: their VMs are off, and the GPUs that were picked for them go back to the
//! pool. Whether a start of such a VM is on its way is for others to know.

use alloc::vec::Vec;

use crate::assignment::{Assignment, WholeGpu};
use crate::desired::DesiredServer;
use crate::observed::Observed;

/// Assignments with GPUs of a claim whose VMs do not use them. Nobody's are, while the VMs cannot be seen.
pub fn over<'d>(desired: &'d DesiredServer, observed: &Observed) -> Vec<&'d Assignment> {
    if !observed.hypervisor_is_connected() {
        return Vec::new();
    }
    let has_some = |one: &&Assignment| one.claim().is_some() && !one.whole_gpus().is_empty();
    desired.assignments.values().filter(has_some).filter(|one| is_over(one, observed)).collect()
}

fn is_over(assignment: &Assignment, observed: &Observed) -> bool {
    let is_open =
        |whole: &WholeGpu| observed.gpu(&whole.gpu).is_some_and(|gpu| gpu.is_healthy() && gpu.slot.open);
    if assignment.whole_gpus().iter().any(is_open) {
        return false;
    }
    match observed.vm(&assignment.vm) {
        // What is not there any more does not start either.
        None => true,
        Some(vm) => {
            let is_started = assignment.start || assignment.restart;
            vm.is_off() && !vm.settings.saved_state && !is_started
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::HypervisorHealth;
    use crate::testing::{World, vm_id};
    use crate::vm::Power;

    fn filled() -> World {
        World::one_a2(0).pooled("ml").whole("vm-001").claimed("vm-001", "ml", 1)
    }

    fn is_over(world: &World) -> bool {
        let (desired, observed) = &world.servers[0];
        !over(desired, observed).is_empty()
    }

    #[test]
    fn the_claim_of_a_vm_that_is_off_or_gone_is_over() {
        let mut world = filled();
        assert!(is_over(&world));
        world.observed_mut().vms.clear();
        assert!(is_over(&world));
    }

    #[test]
    fn a_claim_is_not_over_while_its_vm_may_still_use_what_it_has() {
        type Spoil = fn(&mut World);
        let starts = |world: &mut World, restart: bool| {
            let own = world.desired_mut().assignments.get_mut(&vm_id("vm-001")).expect("is there");
            (own.restart, own.start) = (restart, !restart);
        };
        for restart in [true, false] {
            let mut world = filled();
            starts(&mut world, restart);
            assert!(!is_over(&world), "Divvy starts it");
        }
        let table: &[Spoil] = &[
            |world| world.vm_mut("vm-001").power = Power::Running,
            |world| world.vm_mut("vm-001").power = Power::Paused,
            |world| world.vm_mut("vm-001").power = Power::Unknown,
            |world| world.vm_mut("vm-001").settings.saved_state = true,
            |world| world.gpu_mut().slot.open = true,
            |world| world.observed_mut().hypervisor = HypervisorHealth::NotAsked,
            |world| {
                world.observed_mut().hypervisor = HypervisorHealth::Unavailable { reason: "down".into() };
            },
            |world| *world = World::one_a2(0).pooled("ml").whole("vm-001"),
            |world| *world = World::one_a2(0).pooled("ml").claimed("vm-001", "ml", 1),
        ];
        for spoil in table {
            let mut world = filled();
            spoil(&mut world);
            assert!(!is_over(&world), "{:?}", world.servers[0]);
        }
    }
}
