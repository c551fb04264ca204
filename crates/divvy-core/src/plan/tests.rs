use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::assignment::Hold;
use crate::desired::PartitionSetting;
use crate::device::MdevUuid;
use crate::gpu::{PartitionCount, Scheme};
use crate::id::{PartitionId, PartitionIndex};
use crate::observed::{GpuHealth, HypervisorHealth};
use crate::step::{HostStep, VmStep};
use crate::testing::{World, gpu_id, partition, slot_function, vm_with_device};
use crate::vm::{Power, VmDevice};

mod sizes;
mod whole;

fn planned(world: &World) -> Plan {
    plan(&world.servers[0].0, &world.servers[0].1)
}

fn kinds(plan: &Plan) -> Vec<&'static str> {
    let kind = |step: &Step| match step {
        Step::Host(HostStep::ReservePartitions { .. }) => "reserve",
        Step::Host(HostStep::RemovePartitions { .. }) => "remove",
        Step::Host(HostStep::CreatePartitions { .. }) => "create",
        Step::Host(HostStep::TurnOff { .. }) => "off",
        Step::Host(HostStep::PreparePartition { .. }) => "prepare",
        Step::Host(HostStep::CleanPartition { .. }) => "clean",
        Step::Host(HostStep::GiveGpu { .. }) => "give",
        Step::Host(HostStep::TakeGpuBack { .. }) => "back",
        Step::Vm(VmStep::AddDevice { .. }) => "add",
        Step::Vm(VmStep::RemoveDevice { .. }) => "take",
        Step::Vm(VmStep::ShutDown { .. }) => "shut",
        Step::Vm(VmStep::Start { .. }) => "start",
    };
    plan.steps.iter().map(kind).collect()
}

fn wants(world: &mut World, count: u16) {
    world.desired_mut().settings.insert(gpu_id("gpu-1"), PartitionSetting::from_number(count));
}

fn prepare(world: &mut World) {
    for partition in &mut world.gpu_mut().partitions {
        partition.driver = Some("vfio-pci".into());
        partition.driver_override = Some("vfio-pci".into());
    }
}

#[test]
fn a_count_goes_through_zero_and_keeps_the_servers_drivers_off() {
    let mut world = World::one_a2(8);
    world.gpu_mut().autoprobe = true;
    wants(&mut world, 4);
    assert_eq!(kinds(&planned(&world)), ["reserve", "remove", "create"]);
    wants(&mut world, 0);
    assert_eq!(kinds(&planned(&world)), ["remove"]);
    wants(&mut world, 8);
    assert_eq!(planned(&world), Plan::default());
}

#[test]
fn no_count_step_is_planned_while_a_partition_is_in_use_or_the_gpu_is_unknown() {
    type Spoil = fn(&mut World);
    let table: &[Spoil] = &[
        |world| world.gpu_mut().partitions[1].open = true,
        |world| world.gpu_mut().health = GpuHealth::Unknown { reason: "hangs".into() },
        |world| world.gpu_mut().partition_count = None,
        |world| world.gpu_mut().driver = Some("vfio-pci".into()),
        |world| world.observed_mut().gpus.clear(),
        |world| {
            let mut running = vm_with_device("x", world.partition_address(0));
            running.devices[0].live = true;
            world.observed_mut().vms.push(running);
        },
    ];
    for spoil in table {
        let mut world = World::one_a2(8);
        wants(&mut world, 4);
        spoil(&mut world);
        let plan = planned(&world);
        assert_eq!((plan.steps.len(), plan.waiting.len()), (0, 1), "{plan:?}");
    }
}

#[test]
fn missing_partitions_of_the_right_size_are_made_while_the_others_are_in_use() {
    let mut world = World::one_a2(4);
    world.gpu_mut().scheme = Some(Scheme::NvidiaVfio);
    world.gpu_mut().partitions.remove(1);
    world.gpu_mut().partition_count = Some(3);
    world.gpu_mut().partitions[0].open = true;
    let waits = planned(&world);
    assert_eq!((waits.steps.len(), waits.waiting.len()), (0, 1), "{waits:?}");
    world.gpu_mut().sized_for = PartitionCount::new(4);
    assert_eq!(kinds(&planned(&world)), ["create"]);
}

#[test]
fn partitions_of_another_size_go_before_the_new_ones_come() {
    let mut world = World::one_a2(2);
    world.gpu_mut().scheme = Some(Scheme::NvidiaVfio);
    world.gpu_mut().sized_for = PartitionCount::new(2);
    wants(&mut world, 4);
    assert_eq!(kinds(&planned(&world)), ["remove", "create"]);
}

#[test]
fn after_a_new_start_of_its_driver_a_gpu_gets_all_of_its_partitions_again() {
    let mut world = World::one_a2(0);
    world.gpu_mut().scheme = Some(Scheme::NvidiaVfio);
    world.gpu_mut().autoprobe = true;
    wants(&mut world, 4);
    assert_eq!(kinds(&planned(&world)), ["create"], "NVIDIA's driver has to get its functions");
}

#[test]
fn gim_goes_from_one_count_to_another_directly_and_only_off_through_none() {
    let mut world = World::one_a2(4);
    world.gpu_mut().scheme = Some(Scheme::AmdGim);
    wants(&mut world, 8);
    assert_eq!(kinds(&planned(&world)), ["create"]);
    wants(&mut world, 0);
    assert_eq!(kinds(&planned(&world)), ["remove"]);
}

fn wants_by(world: &mut World, count: u16, scheme: Scheme) {
    let setting = PartitionSetting::from_number(count).by(Some(scheme));
    world.desired_mut().settings.insert(gpu_id("gpu-1"), setting);
}

#[test]
fn a_count_that_was_asked_for_by_another_scheme_is_left_as_it_is_and_given_to_nobody() {
    for (has, asked, now) in [
        (4, Scheme::NvidiaMig, Scheme::NvidiaVfio),
        (2, Scheme::NvidiaMig, Scheme::NvidiaVfio),
        (0, Scheme::NvidiaVfio, Scheme::NvidiaMig),
        (0, Scheme::IntelI915, Scheme::IntelXe),
    ] {
        let mut world = World::one_a2(has).assigned("vm-001", 1);
        wants_by(&mut world, 4, asked);
        world.gpu_mut().scheme = Some(now);
        let plan = planned(&world);
        assert_eq!(plan.steps, [], "{asked} {now}");
        assert_eq!(plan.waiting.len(), 2, "{asked} {now}: {plan:?}");
    }
}

#[test]
fn a_gpu_that_lost_the_mode_of_mig_gets_its_partitions_by_mig() {
    let mut world = World::one_a2(0);
    wants_by(&mut world, 4, Scheme::NvidiaMig);
    world.gpu_mut().scheme = Some(Scheme::NvidiaVfio);
    let plan = planned(&world);
    let [Step::Host(HostStep::CreatePartitions { scheme, .. })] = plan.steps.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(*scheme, Scheme::NvidiaMig);
}

#[test]
fn a_gpu_that_is_off_is_whole_again_also_after_a_stop_half_way() {
    for (scheme, with_partitions, without) in [
        (Scheme::Sriov, &["remove"][..], &[][..]),
        (Scheme::NvidiaMdevPf, &["remove"], &[]),
        (Scheme::NvidiaVfio, &["remove", "off"], &["off"]),
        (Scheme::NvidiaMdev, &["remove", "off"], &["off"]),
        (Scheme::NvidiaMig, &["remove", "off"], &["off"]),
    ] {
        let mut world = World::one_a2(4);
        world.gpu_mut().scheme = Some(scheme);
        wants(&mut world, 0);
        assert_eq!(kinds(&planned(&world)), with_partitions, "{scheme}");
        world.gpu_mut().partitions.clear();
        world.gpu_mut().partition_count = Some(0);
        assert_eq!(kinds(&planned(&world)), without, "{scheme}");
        world.gpu_mut().carriers = 0;
        assert_eq!(planned(&world), Plan::default(), "{scheme}");
    }
}

#[test]
fn a_gpu_without_a_scheme_waits_for_its_driver() {
    let mut world = World::one_a2(0);
    world.gpu_mut().scheme = None;
    wants(&mut world, 4);
    let plan = planned(&world);
    assert_eq!((plan.steps.len(), plan.waiting.len()), (0, 1), "{plan:?}");
}

#[test]
fn what_is_prepared_is_what_the_scheme_hands_to_a_vm() {
    let uuid = MdevUuid::of(&PartitionId::new(&gpu_id("gpu-1"), PartitionIndex(0)));
    let table: &[(Scheme, Option<&str>, Option<&str>, bool)] = &[
        (Scheme::Sriov, Some("vfio-pci"), Some("vfio-pci"), true),
        (Scheme::IntelXe, Some("vfio-pci"), None, false),
        (Scheme::AmdGim, None, Some("vfio-pci"), false),
        (Scheme::NvidiaVfio, Some("nvidia"), None, true),
        (Scheme::NvidiaMig, Some("nvidia"), Some("nvidia"), true),
        (Scheme::NvidiaVfio, Some("nvidia"), Some("vfio-pci"), false),
        (Scheme::NvidiaVfio, Some("vfio-pci"), Some("vfio-pci"), false),
        (Scheme::NvidiaMdev, Some("nvidia"), None, false),
    ];
    for (scheme, driver, kept_for, prepared) in table {
        let mut world = World::one_a2(1);
        world.gpu_mut().scheme = Some(*scheme);
        world.gpu_mut().partitions[0].driver = driver.map(Into::into);
        world.gpu_mut().partitions[0].driver_override = kept_for.map(Into::into);
        assert_eq!(is_prepared(world.gpu(), &world.gpu().partitions[0]), *prepared, "{scheme} {driver:?}");
    }
    let mut world = World::one_a2(1);
    world.gpu_mut().scheme = Some(Scheme::NvidiaMdev);
    world.gpu_mut().partitions[0].device = uuid.into();
    assert!(is_prepared(world.gpu(), &world.gpu().partitions[0]));
}

#[test]
fn a_gpu_that_nobody_asked_about_is_left_as_it_is() {
    let mut world = World::one_a2(8);
    world.desired_mut().settings.clear();
    assert_eq!(planned(&world), Plan::default());
}

#[test]
fn an_assignment_prepares_the_partition_and_changes_the_definition_of_a_vm_that_is_off() {
    let world = World::one_a2(4).assigned("vm-001", 2);
    let plan = planned(&world);
    assert_eq!(kinds(&plan), ["prepare", "add"]);
    let Some(Step::Vm(VmStep::AddDevice { scope, device, .. })) = plan.steps.last() else {
        panic!("{plan:?}")
    };
    assert_eq!((scope.defined, scope.live), (true, false));
    assert_eq!(*device, world.partition_device(2));
}

#[test]
fn a_vm_is_given_what_the_partition_is_and_not_the_function_that_carries_it() {
    let mut world = World::one_a2(4).assigned("vm-001", 2);
    let uuid = MdevUuid::of(&PartitionId::new(&gpu_id("gpu-1"), PartitionIndex(2)));
    world.gpu_mut().partitions[2].device = uuid.into();
    let plan = planned(&world);
    let Some(Step::Vm(VmStep::AddDevice { device, .. })) = plan.steps.last() else { panic!("{plan:?}") };
    assert_eq!(*device, uuid.into());
}

#[test]
fn a_running_vm_with_a_free_port_gets_it_while_it_runs() {
    let mut world = World::one_a2(4).assigned("vm-001", 2);
    prepare(&mut world);
    world.vm_mut("vm-001").power = Power::Running;
    let plan = planned(&world);
    let Some(Step::Vm(VmStep::AddDevice { scope, .. })) = plan.steps.first() else { panic!("{plan:?}") };
    assert_eq!((scope.defined, scope.live), (true, true));
}

#[test]
fn a_running_vm_without_a_port_is_restarted_if_that_was_accepted_and_waits_otherwise() {
    let mut world = World::one_a2(4).assigned("vm-001", 2);
    prepare(&mut world);
    world.vm_mut("vm-001").power = Power::Running;
    world.vm_mut("vm-001").settings.free_hotplug_ports = 0;
    let waiting = planned(&world);
    assert_eq!((kinds(&waiting), waiting.waiting.len()), (Vec::from(["add"]), 1));
    for assignment in world.desired_mut().assignments.values_mut() {
        assignment.restart = true;
    }
    assert_eq!(kinds(&planned(&world)), ["shut", "add", "start"]);
}

#[test]
fn a_restart_that_was_cut_off_after_the_shutdown_is_finished() {
    let mut world = World::one_a2(4).assigned("vm-001", 2);
    prepare(&mut world);
    for assignment in world.desired_mut().assignments.values_mut() {
        assignment.restart = true;
    }
    assert_eq!(kinds(&planned(&world)), ["add", "start"]);
    let device = VmDevice { device: world.partition_device(2), alias: None, defined: true, live: false };
    world.vm_mut("vm-001").devices.push(device);
    assert_eq!(kinds(&planned(&world)), ["start"]);
}

#[test]
fn partitions_are_restored_before_the_hypervisor_answers() {
    let mut world = World::one_a2(4).assigned("vm-001", 2);
    world.observed_mut().hypervisor = HypervisorHealth::Unavailable { reason: "not started".into() };
    world.observed_mut().vms.clear();
    assert_eq!(kinds(&planned(&world)), ["prepare"]);
    world.gpu_mut().partitions.clear();
    world.gpu_mut().partition_count = Some(0);
    assert_eq!(kinds(&planned(&world)), ["create"]);
}

#[test]
fn after_a_boot_the_device_under_the_old_address_leaves_the_definition_and_the_new_one_enters() {
    let mut world = World::one_a2(4).assigned("vm-001", 0);
    prepare(&mut world);
    let old = world.partition_address(3).routing_id_plus(32).expect("on the bus");
    let stale = VmDevice { device: old.into(), alias: Some("gpu-1.0".into()), defined: true, live: false };
    world.vm_mut("vm-001").devices.push(stale);
    assert_eq!(kinds(&planned(&world)), ["take", "add"]);
}

#[test]
fn vms_whose_partitions_changed_places_do_not_wait_for_each_other() {
    let mut world = World::one_a2(4).assigned("vm-001", 0).assigned("vm-002", 1);
    prepare(&mut world);
    for (vm, named, at) in [("vm-001", "gpu-1.0", 1), ("vm-002", "gpu-1.1", 0)] {
        let device = world.partition_device(at);
        let stale = VmDevice { device, alias: Some(named.into()), defined: true, live: false };
        world.vm_mut(vm).devices.push(stale);
    }
    let plan = planned(&world);
    assert_eq!(kinds(&plan), ["take", "take", "add", "add"]);
    assert_eq!(plan.waiting, []);
}

#[test]
fn a_device_whose_partition_is_not_restored_yet_stays_in_its_vm() {
    let mut world = World::one_a2(4).assigned("vm-001", 0);
    let device = world.partition_device(0);
    let own = VmDevice { device, alias: Some("gpu-1.0".into()), defined: true, live: false };
    world.vm_mut("vm-001").devices.push(own);
    world.gpu_mut().partitions.clear();
    world.gpu_mut().partition_count = Some(0);
    assert!(!kinds(&planned(&world)).contains(&"take"));
}

#[test]
fn a_device_that_divvy_did_not_put_in_is_never_taken_out() {
    let mut world = World::one_a2(4).assigned("vm-001", 0);
    prepare(&mut world);
    let old = world.partition_address(3).routing_id_plus(32).expect("on the bus");
    let foreign = VmDevice { device: old.into(), alias: Some("hostdev0".into()), defined: true, live: false };
    world.vm_mut("vm-001").devices.push(foreign);
    assert_eq!(kinds(&planned(&world)), ["add"]);
}

#[test]
fn what_was_given_up_leaves_the_vm_first_and_is_cleaned_then() {
    let mut world = World::one_a2(4).releasing("vm-001", 0);
    assert_eq!(kinds(&planned(&world)), ["clean"]);
    let address = world.partition_address(0);
    *world.vm_mut("vm-001") = vm_with_device("vm-001", address);
    assert_eq!(kinds(&planned(&world)), ["take"]);
}

#[test]
fn nothing_is_cleaned_while_it_is_open_or_while_the_vms_cannot_be_seen() {
    let mut open = World::one_a2(4).releasing("vm-001", 0);
    open.gpu_mut().partitions[0].open = true;
    assert_eq!((kinds(&planned(&open)).len(), planned(&open).waiting.len()), (0, 1));
    let mut blind = World::one_a2(4).releasing("vm-001", 0);
    blind.observed_mut().hypervisor = HypervisorHealth::Unavailable { reason: "down".into() };
    assert_eq!((kinds(&planned(&blind)).len(), planned(&blind).waiting.len()), (0, 1));
}

#[test]
fn a_partition_in_another_vm_is_not_given() {
    let mut world = World::one_a2(4).assigned("vm-001", 0);
    let foreign = vm_with_device("foreign", world.partition_address(0));
    world.observed_mut().vms.push(foreign);
    let plan = planned(&world);
    assert_eq!(kinds(&plan), [""; 0]);
    assert!(plan.waiting[0].why.contains("foreign"), "{plan:?}");
}

/// All of the slot is with the driver that hands it over.
fn give(world: &mut World) {
    for function in &mut world.gpu_mut().slot.functions {
        function.driver = Some("vfio-pci".into());
        function.driver_override = Some("vfio-pci".into());
    }
}

fn with_audio(mut world: World) -> World {
    let address = crate::pci_address::PciAddress { function: 1, ..world.gpu().address };
    world.gpu_mut().slot.functions.push(slot_function(address, "snd", 1));
    world
}

/// The smallest server that believes every step: what the planner promises must hold on it.
fn execute(world: &mut World, step: &Step) {
    let address = world.gpu().address;
    match step {
        Step::Host(HostStep::ReservePartitions { .. }) => world.gpu_mut().autoprobe = false,
        Step::Host(HostStep::RemovePartitions { .. }) => {
            world.gpu_mut().partitions.clear();
            world.gpu_mut().partition_count = Some(0);
        }
        Step::Host(HostStep::CreatePartitions { split, .. }) => {
            let count = split.count().get();
            world.gpu_mut().partitions = (0..count).map(|index| partition(address, index)).collect();
            world.gpu_mut().partition_count = Some(count);
        }
        Step::Host(HostStep::TurnOff { .. }) => world.gpu_mut().carriers = 0,
        Step::Host(HostStep::PreparePartition { partition, .. }) => {
            let gpu = world.gpu_mut();
            let one = gpu.partitions.iter_mut().find(|p| p.index == partition.index).expect("exists");
            one.driver = Some("vfio-pci".into());
            one.driver_override = Some("vfio-pci".into());
        }
        Step::Host(HostStep::CleanPartition { partition, .. }) => {
            world.desired_mut().holds.remove(partition);
        }
        Step::Host(HostStep::GiveGpu { .. }) => give(world),
        Step::Host(HostStep::TakeGpuBack { gpu, .. }) => {
            world.desired_mut().returns.remove(gpu);
            for function in &mut world.gpu_mut().slot.functions {
                (function.driver, function.driver_override) = (Some("simgpu".into()), None);
            }
        }
        Step::Vm(VmStep::AddDevice { vm_name, device, scope, .. }) => {
            let device = VmDevice { device: *device, alias: None, defined: scope.defined, live: scope.live };
            world.vm_mut(vm_name).devices.push(device);
        }
        Step::Vm(VmStep::RemoveDevice { vm_name, device: gone, .. }) => {
            world.vm_mut(vm_name).devices.retain(|device| device.device != *gone);
        }
        Step::Vm(VmStep::ShutDown { vm_name, .. }) => world.vm_mut(vm_name).power = Power::Off,
        Step::Vm(VmStep::Start { vm_name, .. }) => {
            let vm = world.vm_mut(vm_name);
            vm.power = Power::Running;
            vm.devices.iter_mut().for_each(|device| device.live = device.defined);
        }
    }
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn any_scheme() -> impl Strategy<Value = Scheme> {
        prop::sample::select(&Scheme::ALL[..])
    }

    proptest! {
        /// Whatever a GPU has become, its count is only ever made by what it was asked with.
        #[test]
        fn partitions_are_made_by_the_scheme_that_they_were_asked_with(
            has in prop::sample::select(&[0u16, 2, 4][..]),
            asked in any_scheme(),
            now in any_scheme(),
        ) {
            let mut world = World::one_a2(has).assigned("vm-001", 0);
            wants_by(&mut world, 4, asked);
            world.gpu_mut().scheme = Some(now);
            let plan = planned(&world);
            for step in &plan.steps {
                if let Step::Host(HostStep::RemovePartitions { scheme, .. } | HostStep::CreatePartitions { scheme, .. }) = step {
                    prop_assert!(scheme.is_like(asked), "{:?}", plan);
                }
            }
            if !asked.is_like(now) && has > 0 {
                prop_assert!(plan.steps.is_empty() && !plan.waiting.is_empty(), "{:?}", plan);
            }
        }

        /// From any count and any ownership, taking the planned steps ends in a plan without steps.
        #[test]
        fn taking_the_steps_reaches_what_was_asked_for(
            has in prop::sample::select(&[0u16, 1, 2, 4, 8, 16][..]),
            wanted in prop::sample::select(&[4u16, 8, 16][..]),
            autoprobe: bool,
            running: bool,
            ports in 0u32..2,
            restart: bool,
            release: bool,
        ) {
            let mut world = World::one_a2(has);
            wants(&mut world, wanted);
            world.gpu_mut().autoprobe = autoprobe;
            world = world.assigned("vm-001", 1);
            if release {
                world = world.releasing("vm-002", 2);
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
                if world.vm_mut("vm-001").power == Power::Running && restart {
                    world.desired_mut().assignments.values_mut().for_each(|one| one.restart = false);
                }
            }
            let last = planned(&world);
            prop_assert!(last.steps.is_empty(), "{:?}", last);
            prop_assert_eq!(world.gpu().partition_count, Some(wanted));
            let address = world.gpu().partition(PartitionIndex(1)).expect("exists").address;
            prop_assert!(world.vm_mut("vm-001").device(address).is_some(), "{}", address.to_string());
        }
    }
}
