//! What goes wrong below Divvy (`docs/faults.md`), in rooms without delays: one promise per test.

use divvy_core::finding::FindingCode;
use divvy_core::id::GpuId;
use divvy_core::request::{CountWish, GpuSelection, Request};
use divvy_host::sysfs::Sysfs;

use super::*;

fn cause(daemon: &Daemon, fault: &str) {
    daemon.room.apply_fault(&fault.parse().expect("a fault")).expect("happens");
}

fn codes(daemon: &Daemon) -> Vec<String> {
    let found = findings::findings(&daemon.state());
    found.iter().map(|(_, finding)| finding.code.as_str().to_owned()).collect()
}

fn events(daemon: &Daemon, code: &str) -> usize {
    let events = daemon.store.events(0, 1000).expect("the store answers");
    events.iter().filter(|event| event.event.code == code).count()
}

fn gpu_at(daemon: &Daemon, address: &str) -> GpuId {
    let state = daemon.state();
    let found = state.gpus().find(|(_, gpu)| gpu.address.to_string() == address);
    found.expect("the room has it").1.id.clone()
}

/// Whatever the VM's firmware says of the size.
fn assign_large(vm: &str, gpu: &str) -> Request {
    let accept = [FindingCode::of("vm_mmio_window")].into();
    Request::Assign {
        vms: vec![vm.to_owned()],
        gpu: Some(gpu.to_owned()),
        memory_bytes: None,
        partition: None,
        accept,
    }
}

fn partitions(daemon: &Daemon, gpu: &GpuId) -> usize {
    daemon.state().gpu(gpu).expect("is there").1.partitions.len()
}

#[test]
fn a_reboot_that_nobody_saw_is_known_by_the_boots_identity_and_partitions_are_back() {
    let mut daemon = plain_daemon_with(4);
    daemon.carry_out(assign(&["vm-001"]));
    daemon.server().reboot(Addresses::Kept);
    daemon.turn();
    assert_eq!(events(&daemon, "server_booted"), 1);
    assert_eq!(states(&daemon)[0], PartitionState::Assigned);
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_on(&vm).expect("starts with its partition");
}

#[test]
fn vms_that_start_by_themselves_after_a_reboot_find_their_partitions() {
    let mut daemon = plain_daemon_with(2);
    daemon.carry_out(assign(&["vm-001", "vm-002"]));
    for name in ["vm-001", "vm-002"] {
        let vm = vm_id(&daemon, name);
        daemon.server().edit(&vm, |definition| definition.settings.autostart = true).expect("is there");
    }
    let (room, store) = daemon.end();
    room.servers[0].reboot(Addresses::Kept);
    room.servers[0].set_connection(divvy_sim::machine::Connection::Down);
    let daemon = Daemon::with_store(room, store);
    assert_eq!(daemon.server().start_autostart(), []);
}

#[test]
fn of_fewer_partitions_than_asked_for_none_is_given_out() {
    let mut daemon = Daemon::in_room("a16-octet");
    let gpu = daemon.server().gpus()[0].address.to_string();
    daemon.server().set_fault(serial(&daemon), Fault::Partial { count: 3 });
    let job = daemon.carry_out(count(&[&gpu], 4));
    assert_eq!(job.progress, Progress::Failed);
    let detail = job.targets[0].detail.clone().unwrap_or_default();
    assert!(detail.contains("4 partitions were asked for and the driver made 3"), "{detail}");
    daemon.turn();
    assert_eq!(partitions(&daemon, &gpu_at(&daemon, &gpu)), 0);
    assert_eq!(daemon.refusal(assign(&["vm-001"])), "no_free_partition");
}

#[test]
fn of_a_gpu_that_hangs_nothing_is_guessed_and_it_goes_on_by_itself() {
    let mut daemon = plain_daemon_with(2);
    let [sick, well] = [0, 1].map(|nth| daemon.server().gpus()[nth].address.to_string());
    let id = gpu_at(&daemon, &sick);
    daemon.server().set_fault(serial(&daemon), Fault::Hang);
    let job = daemon.carry_out(count(&[&sick], 4));
    assert_eq!(job.progress, Progress::Failed);
    assert!(codes(&daemon).contains(&"gpu_hangs".to_owned()), "{:?}", codes(&daemon));
    assert_eq!(daemon.refusal(count(&[&sick], 8)), "gpu_unknown");
    assert_eq!(daemon.carry_out(count(&[&well], 4)).progress, Progress::Succeeded);
    daemon.server().clear_faults(serial(&daemon));
    for _turn in 0..3 {
        daemon.turn();
    }
    assert!(!codes(&daemon).contains(&"gpu_hangs".to_owned()));
    assert_eq!(partitions(&daemon, &id), 2, "the count that was asked for before");
}

#[test]
fn partitions_and_assignments_are_back_after_the_driver_was_loaded_anew() {
    let mut daemon = daemon_with(4);
    daemon.carry_out(assign(&["vm-001"]));
    cause(&daemon, "server edge-1 reload-driver");
    daemon.turn();
    assert_eq!(states(&daemon).len(), 4);
    assert_eq!(states(&daemon)[0], PartitionState::Assigned);
    daemon.server().power_on(&vm_id(&daemon, "vm-001")).expect("starts with its partition");
    assert_eq!(check(&daemon.state()), []);
}

#[test]
fn types_that_a_reset_of_the_gpu_took_are_given_again() {
    let mut daemon = daemon_with(4);
    daemon.carry_out(assign(&["vm-001"]));
    cause(&daemon, "gpu edge-1/0000:41:00.0 lose-profiles");
    daemon.turn();
    assert_eq!(states(&daemon).len(), 4);
    daemon.server().power_on(&vm_id(&daemon, "vm-001")).expect("starts with its partition");
}

#[test]
fn partitions_that_lost_their_share_in_a_reset_are_found_and_no_vm_starts_with_one() {
    for gpu in ["0000:42:00.0", "0000:c1:00.0"] {
        let mut daemon = Daemon::in_room("mixed-lab");
        assert_eq!(daemon.carry_out(count(&[gpu], 2)).progress, Progress::Succeeded);
        let job = daemon.carry_out(assign_large("vm-001", gpu));
        assert_eq!(job.progress, Progress::Succeeded, "{gpu}: {:?}", job.targets);
        daemon.knock("vm-001").expect("nothing is wrong yet");
        cause(&daemon, &format!("gpu lab-1/{gpu} lose-profiles"));
        daemon.turn();
        let lost = codes(&daemon).iter().filter(|code| *code == "partition_share_lost").count();
        assert_eq!(lost, 2, "{gpu}: {:?}", codes(&daemon));
        let refusal = daemon.knock("vm-001").expect_err("it has no memory").to_string();
        assert!(refusal.contains("lost its share"), "{refusal}");
        // What the finding says to do helps.
        daemon.carry_out(unassign(&["vm-001"]));
        let gpus = GpuSelection::Named(vec![gpu.to_owned()]);
        daemon.carry_out(Request::SetPartitionCount { gpus, wish: CountWish::Off });
        daemon.carry_out(count(&[gpu], 2));
        assert!(!codes(&daemon).contains(&"partition_share_lost".to_owned()), "{gpu}");
    }
}

#[test]
fn partitions_that_another_hand_took_away_are_made_again_for_their_vms() {
    let mut daemon = plain_daemon_with(2);
    daemon.carry_out(assign(&["vm-001"]));
    let gpu = daemon.server().gpus()[0].address;
    let file = format!("sys/bus/pci/devices/{gpu}/sriov_numvfs");
    daemon.server().sysfs().write(&file, "0").expect("the kernel does it");
    daemon.turn();
    assert_eq!(states(&daemon), [PartitionState::Assigned, PartitionState::Free]);
    daemon.server().power_on(&vm_id(&daemon, "vm-001")).expect("starts with its partition");
}

/// A server after a boot under other addresses, before its libvirt answers; vm-001 and vm-002 have a
/// partition, and vm-001 starts by itself.
fn booted_elsewhere() -> Daemon {
    let mut daemon = daemon_with(2);
    daemon.carry_out(assign(&["vm-001", "vm-002"]));
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().edit(&vm, |definition| definition.settings.autostart = true).expect("is there");
    let (room, store) = daemon.end();
    room.servers[0].reboot(Addresses::Renumbered);
    room.servers[0].set_connection(divvy_sim::machine::Connection::Down);
    Daemon::with_store(room, store)
}

fn power(daemon: &Daemon, name: &str) -> Power {
    let vms = daemon.server().vms();
    vms.iter().find(|vm| vm.name == name).expect("is there").power
}

#[test]
fn a_vm_that_would_start_by_itself_and_came_too_early_is_started_once_by_divvy() {
    let mut daemon = booted_elsewhere();
    daemon.knock("vm-001").expect_err("its partition is elsewhere");
    daemon.server().set_connection(divvy_sim::machine::Connection::Up);
    daemon.turn();
    assert_eq!(power(&daemon, "vm-001"), Power::Running);
    assert_eq!(events(&daemon, "vm_started"), 1);
    daemon.server().power_off(&vm_id(&daemon, "vm-001")).expect("runs");
    daemon.turn();
    assert_eq!(power(&daemon, "vm-001"), Power::Off, "one start was owed");
}

#[test]
fn a_vm_that_does_not_start_by_itself_is_not_started_by_divvy() {
    let mut daemon = booted_elsewhere();
    daemon.knock("vm-002").expect_err("its partition is elsewhere");
    daemon.server().set_connection(divvy_sim::machine::Connection::Up);
    daemon.turn();
    daemon.knock("vm-002").expect("it could start now");
    assert_eq!(power(&daemon, "vm-002"), Power::Off);
}

#[test]
fn a_vm_that_somebody_tried_to_start_in_vain_is_not_started_by_divvy() {
    let mut daemon = booted_elsewhere();
    daemon.server().set_connection(divvy_sim::machine::Connection::Up);
    daemon.turn();
    daemon.server().reboot(Addresses::Renumbered);
    daemon.knock("vm-001").expect_err("its partition is elsewhere");
    daemon.turn();
    daemon.knock("vm-001").expect("it could start now");
    assert_eq!(power(&daemon, "vm-001"), Power::Off);
}
