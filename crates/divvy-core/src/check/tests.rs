use super::*;
use crate::assignment::Hold;
use crate::testing::{World, gpu_a2, partition_id, vm_id, vm_with_device};

fn codes(world: &World) -> Vec<&'static str> {
    check(&world.state()).iter().map(Violation::code).collect()
}

#[test]
fn a_sound_state_has_no_violation() {
    let world = World::one_a2(4).assigned("vm-001", 0).assigned("vm-002", 1).releasing("vm-003", 2);
    assert_eq!(codes(&world), [""; 0]);
}

#[test]
fn each_violation_is_found_alone() {
    type Spoil = fn(&mut World);
    let table: &[(&str, Spoil)] = &[
        ("violation_two_owners", |world| *world = world.clone().assigned("vm-002", 0)),
        ("violation_beyond_count", |world| *world = world.clone().assigned("vm-002", 4)),
        ("violation_owned_while_held", |world| {
            let hold = Hold::Quarantined { reason: "dirty".into() };
            world.desired_mut().holds.insert(partition_id("gpu-1", 0), hold);
        }),
        ("violation_wrong_key", |world| {
            let own = world.desired_mut().assignments.remove(&vm_id("vm-001")).expect("assigned");
            world.desired_mut().assignments.insert(vm_id("vm-009"), own);
        }),
        ("violation_device_in_two_vms", |world| {
            let address = world.partition_address(3);
            let vms = [vm_with_device("x", address), vm_with_device("y", address)];
            world.observed_mut().vms.extend(vms);
        }),
        ("violation_uses_anothers", |world| {
            let mut thief = vm_with_device("thief", world.partition_address(0));
            thief.devices[0].live = true;
            world.observed_mut().vms.push(thief);
        }),
        ("violation_whole_and_partitioned", |world| {
            let address = world.gpu().address;
            world.observed_mut().vms.push(vm_with_device("whole", address));
        }),
        ("violation_two_partitions", |world| {
            let mut other = World::of_gpus(&[("b", gpu_a2("gpu-2", 4))]);
            other
                .desired_mut()
                .settings
                .insert(crate::testing::gpu_id("gpu-2"), PartitionSetting::from_number(4));
            world.servers.extend(other.assigned("vm-001", 0).servers);
        }),
        ("violation_same_gpu_id", |world| {
            world.servers.extend(World::of_gpus(&[("b", gpu_a2("gpu-1", 0))]).servers);
        }),
    ];
    for (code, spoil) in table {
        let mut world = World::one_a2(4).assigned("vm-001", 0);
        spoil(&mut world);
        assert_eq!(codes(&world), [*code]);
        for violation in check(&world.state()) {
            assert!(!violation.mend().is_empty() && !violation.to_string().is_empty());
        }
    }
}

#[test]
fn each_violation_about_a_whole_gpu_is_found_alone() {
    type Spoil = fn(&mut World);
    let table: &[(&str, Spoil)] = &[
        ("violation_gpu_two_owners", |world| *world = World::one_a2(0).whole("vm-001").whole("vm-002")),
        ("violation_owned_while_returning", |world| {
            *world = World::one_a2(0).whole("vm-001").returning("vm-002");
        }),
        ("violation_whole_and_count", |world| *world = World::one_a2(4).whole("vm-001")),
        ("violation_whole_and_count", |world| *world = World::one_a2(4).returning("vm-001")),
        ("violation_whole_and_count", |world| *world = World::one_a2(4).pooled("ml")),
        ("violation_uses_anothers_gpu", |world| {
            *world = World::one_a2(0).whole("vm-001");
            let mut thief = vm_with_device("thief", world.gpu().address);
            thief.devices[0].live = true;
            world.observed_mut().vms.push(thief);
        }),
    ];
    for (code, spoil) in table {
        let mut world = World::one_a2(0).whole("vm-001");
        assert_eq!(codes(&world), [""; 0]);
        spoil(&mut world);
        assert_eq!(codes(&world), [*code]);
        for violation in check(&world.state()) {
            assert!(!violation.mend().is_empty() && !violation.to_string().is_empty());
        }
    }
}

#[test]
fn each_violation_about_a_claim_is_found_alone() {
    type Spoil = fn(World) -> World;
    let sound = || World::one_a2(0).pooled("ml");
    let table: &[(&str, Spoil)] = &[
        ("violation_beyond_pool", |world| world.claimed("vm-001", "ml", 2)),
        ("violation_beyond_pool", |world| world.claimed("vm-001", "vdi", 1)),
        ("violation_other_than_claimed", |world| {
            let mut world = world.whole("vm-001").claimed("vm-001", "ml", 1);
            let own = world.desired_mut().assignments.get_mut(&vm_id("vm-001")).expect("is there");
            let Holding::Dda { gpus, .. } = &mut own.holding else { panic!("{own:?}") };
            gpus.clear();
            world
        }),
        ("violation_other_than_claimed", |world| {
            let mut world = world.whole("vm-001").claimed("vm-001", "vdi", 1);
            let other = crate::id::PoolName::new("vdi").expect("a name");
            world.desired_mut().pools.insert(crate::testing::gpu_id("gpu-2"), other);
            world
        }),
    ];
    for (code, spoil) in table {
        assert_eq!(codes(&sound().claimed("vm-001", "ml", 1).claimed("vm-002", "ml", 1)), [""; 0]);
        assert_eq!(codes(&sound().whole("vm-001").claimed("vm-001", "ml", 1)), [""; 0]);
        let world = spoil(sound());
        assert_eq!(codes(&world), [*code]);
        for violation in check(&world.state()) {
            assert!(!violation.mend().is_empty() && !violation.to_string().is_empty());
        }
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A state in which every VM has its own existing partition is sound, and giving one of them away
        /// a second time is found, wherever it is.
        #[test]
        fn a_partition_with_two_owners_is_found_wherever_it_is(owners in 1u16..8, stolen in 0u16..8) {
            let mut world = World::one_a2(8);
            for index in 0..owners {
                world = world.assigned(&alloc::format!("vm-{index:03}"), index);
            }
            prop_assert_eq!(check(&world.state()), []);
            let world = world.assigned("thief", stolen);
            let doubled = stolen < owners;
            prop_assert_eq!(codes(&world).contains(&"violation_two_owners"), doubled);
        }

        /// An assignment beyond the count that was asked for is found, whatever the count.
        #[test]
        fn an_assignment_beyond_the_count_is_found(count in 0u16..16, index in 0u16..16) {
            let mut world = World::one_a2(16).assigned("vm-001", index);
            world.desired_mut().settings.insert(crate::testing::gpu_id("gpu-1"), PartitionSetting::from_number(count));
            prop_assert_eq!(codes(&world).contains(&"violation_beyond_count"), index >= count);
        }
    }
}
