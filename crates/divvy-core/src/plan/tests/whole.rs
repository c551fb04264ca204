//! Plans for whole GPUs and for partitions that have to be cured.

use proptest::prelude::*;

use super::*;

#[test]
fn a_whole_gpu_is_taken_from_the_server_and_enters_its_vm_with_all_of_its_slot() {
    let mut world = with_audio(World::one_a2(0)).whole("vm-001");
    assert_eq!(kinds(&planned(&world)), ["give", "add", "add"]);
    for step in planned(&world).steps {
        execute(&mut world, &step);
    }
    assert_eq!(planned(&world), Plan::default());
}

#[test]
fn a_whole_gpu_is_taken_from_the_server_before_the_hypervisor_answers() {
    let mut world = World::one_a2(0).whole("vm-001");
    world.observed_mut().hypervisor = HypervisorHealth::Unavailable { reason: "not started".into() };
    assert_eq!(kinds(&planned(&world)), ["give"]);
}

#[test]
fn a_whole_gpu_is_not_given_while_its_slot_is_not_as_it_was_or_somebody_has_it() {
    type Spoil = fn(&mut World);
    let table: &[Spoil] = &[
        |world| world.gpu_mut().slot.open = true,
        |world| world.gpu_mut().slot.functions.clear(),
        |world| world.gpu_mut().partition_count = Some(4),
        |world| world.gpu_mut().partition_count = None,
        |world| world.gpu_mut().health = GpuHealth::Unknown { reason: "hangs".into() },
        |world| world.observed_mut().gpus.clear(),
        |world| {
            let address = world.gpu().address;
            world.gpu_mut().slot.strangers.push(address);
        },
        |world| {
            let foreign = vm_with_device("foreign", world.gpu().address);
            world.observed_mut().vms.push(foreign);
        },
    ];
    for spoil in table {
        let mut world = World::one_a2(0).whole("vm-001");
        spoil(&mut world);
        let plan = planned(&world);
        assert_eq!((plan.steps.len(), plan.waiting.len()), (0, 1), "{plan:?}");
    }
}

#[test]
fn a_vm_without_ports_for_all_of_the_slot_is_restarted_once_if_that_was_accepted() {
    let mut world = with_audio(World::one_a2(0)).whole("vm-001");
    give(&mut world);
    world.vm_mut("vm-001").power = Power::Running;
    world.vm_mut("vm-001").settings.free_hotplug_ports = 1;
    assert_eq!((kinds(&planned(&world)), planned(&world).waiting.len()), (Vec::from(["add", "add"]), 1));
    for assignment in world.desired_mut().assignments.values_mut() {
        assignment.restart = true;
    }
    assert_eq!(kinds(&planned(&world)), ["shut", "add", "add", "start"]);
}

/// The VM has what it claims, and its start is owed.
fn to_be_started() -> World {
    let mut world = World::one_a2(0).pooled("ml").whole("vm-001").claimed("vm-001", "ml", 1);
    world.desired_mut().assignments.values_mut().for_each(|one| one.start = true);
    world
}

#[test]
fn a_vm_with_an_open_claim_has_nothing_to_be_done() {
    for power in [Power::Off, Power::Running, Power::Paused] {
        let mut world = World::one_a2(0).pooled("ml").claimed("vm-001", "ml", 1);
        world.vm_mut("vm-001").power = power;
        assert_eq!(planned(&world), Plan::default());
    }
}

#[test]
fn a_vm_whose_start_is_owed_gets_its_gpu_and_is_started() {
    let mut world = to_be_started();
    assert_eq!(kinds(&planned(&world)), ["give", "add", "start"]);
    for step in planned(&world).steps {
        execute(&mut world, &step);
    }
    assert_eq!(planned(&world), Plan::default());
}

#[test]
fn a_vm_whose_start_is_owed_is_neither_changed_nor_shut_down_while_it_is_not_off() {
    for (power, ports) in [(Power::Running, 0), (Power::Running, 2), (Power::Paused, 2), (Power::Unknown, 2)]
    {
        let mut world = to_be_started();
        give(&mut world);
        world.vm_mut("vm-001").power = power;
        world.vm_mut("vm-001").settings.free_hotplug_ports = ports;
        assert_eq!((kinds(&planned(&world)).len(), planned(&world).waiting.len()), (0, 1), "{power}");
    }
}

#[test]
fn a_gpu_that_was_given_up_leaves_the_vm_first_and_is_the_servers_then() {
    let mut world = World::one_a2(0).returning("vm-001");
    give(&mut world);
    let address = world.gpu().address;
    *world.vm_mut("vm-001") = vm_with_device("vm-001", address);
    assert_eq!(kinds(&planned(&world)), ["take"]);
    *world.vm_mut("vm-001") = crate::testing::vm("vm-001");
    assert_eq!(kinds(&planned(&world)), ["back"]);
    world.gpu_mut().slot.open = true;
    assert_eq!((kinds(&planned(&world)).len(), planned(&world).waiting.len()), (0, 1));
    world.gpu_mut().slot.open = false;
    world.observed_mut().hypervisor = HypervisorHealth::Unavailable { reason: "down".into() };
    assert_eq!((kinds(&planned(&world)).len(), planned(&world).waiting.len()), (0, 1));
}

#[test]
fn a_whole_gpu_under_a_new_address_replaces_the_old_one_in_its_vm() {
    let mut world = World::one_a2(0).whole("vm-001");
    give(&mut world);
    let old = crate::pci_address::PciAddress { bus: 0x10, ..world.gpu().address };
    let stale = VmDevice { device: old.into(), alias: Some("gpu-1:0".into()), defined: true, live: false };
    let mut moved = world.clone();
    moved.vm_mut("vm-001").devices.push(stale);
    assert_eq!(kinds(&planned(&moved)), ["take", "add"]);
}

#[test]
fn a_quarantined_partition_is_reset_once_more_only_when_it_is_asked_for() {
    let id = PartitionId::new(&gpu_id("gpu-1"), PartitionIndex(2));
    let mut world = World::one_a2(4);
    let reason = || "dirty".to_string();
    world.desired_mut().holds.insert(id.clone(), Hold::Quarantined { reason: reason() });
    assert_eq!(planned(&world), Plan::default());
    world.desired_mut().holds.insert(id.clone(), Hold::Curing { reason: reason() });
    assert_eq!(kinds(&planned(&world)), ["clean"]);
    world.desired_mut().holds.insert(id, Hold::Remaking { reason: reason() });
    assert_eq!(kinds(&planned(&world)), ["remove", "create"]);
    world.gpu_mut().partitions[0].open = true;
    assert_eq!((kinds(&planned(&world)).len(), planned(&world).waiting.len()), (0, 1));
}

proptest! {
    /// From any use of a GPU, taking the planned steps ends in a plan without steps, with the GPU
    /// where it was asked for.
    #[test]
    fn a_whole_gpu_reaches_its_vm_and_comes_back(
        audio: bool,
        given: bool,
        running: bool,
        ports in 0u32..3,
        restart: bool,
        assigned: bool,
    ) {
        let mut world = World::one_a2(0);
        if audio {
            world = with_audio(world);
        }
        world = if assigned { world.whole("vm-001") } else { world.returning("vm-001") };
        if given {
            give(&mut world);
        }
        world.vm_mut("vm-001").power = if running { Power::Running } else { Power::Off };
        world.vm_mut("vm-001").settings.free_hotplug_ports = ports;
        for assignment in world.desired_mut().assignments.values_mut() {
            assignment.restart = restart;
        }
        for _turn in 0..5 {
            for step in planned(&world).steps {
                execute(&mut world, &step);
            }
            if world.vm_mut("vm-001").power == Power::Running {
                world.desired_mut().assignments.values_mut().for_each(|one| one.restart = false);
            }
        }
        let last = planned(&world);
        prop_assert!(last.steps.is_empty(), "{:?}", last);
        let address = world.gpu().address;
        prop_assert_eq!(world.vm_mut("vm-001").device(address).is_some(), assigned);
        prop_assert_eq!(world.servers[0].0.returns.len(), 0);
    }
}
