//! VMs that share a pool of two GPUs: each has them while it runs, whatever happens in between.

use divvy_core::assignment::Assignment;
use divvy_core::job::{Job, JobKind};
use divvy_core::pci_address::PciAddress;
use divvy_core::request::{PoolWish, Request, WholeWish};
use divvy_sim::machine::Connection;

use super::*;
use crate::gate::NoStart;

fn claim(vm: &str, count: u16) -> Request {
    let wish = WholeWish::Pool { pool: "ml".to_owned(), count, at_start: true };
    Request::AssignDda { vm: vm.to_owned(), wish, accept: Default::default() }
}

/// Two GPUs in a pool, and three VMs that claim one each.
fn daemon() -> Daemon {
    let mut daemon = Daemon::in_room("a16-octet");
    let gpus = daemon.server().gpus()[..2].iter().map(|gpu| gpu.address.to_string()).collect();
    daemon.ask(Request::Pool { pool: "ml".to_owned(), wish: PoolWish::Create { gpus } }).expect("accepted");
    daemon.turn();
    for vm in ["vm-001", "vm-002", "vm-003"] {
        assert_eq!(daemon.carry_out(claim(vm, 1)).progress, Progress::Succeeded);
    }
    daemon
}

fn again((room, store): (divvy_sim::room::Room, std::sync::Arc<divvy_store::Store>)) -> Daemon {
    Daemon::with_store(room, store)
}

fn power(daemon: &Daemon, name: &str) -> Power {
    let vms = daemon.server().vms();
    vms.iter().find(|vm| vm.name == name).expect("is there").power
}

fn live_devices(daemon: &Daemon, name: &str) -> usize {
    let vms = daemon.server().vms();
    let vm = vms.iter().find(|vm| vm.name == name).expect("is there");
    vm.devices.iter().filter(|device| device.live).count()
}

fn of(daemon: &Daemon, vm: &str) -> Assignment {
    daemon.state().desired.assignment(&vm_id(daemon, vm)).expect("is assigned").1.clone()
}

fn returning(daemon: &Daemon) -> usize {
    daemon.state().desired.servers.values().map(|server| server.returns.len()).sum()
}

/// What somebody is told who starts the VM.
fn told(daemon: &Daemon, vm: &str) -> &'static str {
    match daemon.knock(vm) {
        Err(NoStart::Refused(refusal)) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Somebody starts the VM, and Divvy takes its turns.
fn start(daemon: &mut Daemon, vm: &str) {
    assert_eq!(told(daemon, vm), "start_follows");
    daemon.turn();
    assert_eq!((power(daemon, vm), live_devices(daemon, vm)), (Power::Running, 1), "{vm}");
}

/// Takes turns until nothing changes any more.
fn come_to_rest(daemon: &mut Daemon) {
    for _turn in 0..4 {
        daemon.turn();
    }
    assert_eq!(check(&daemon.state()), []);
}

fn shut_down(daemon: &mut Daemon, vm: &str) {
    daemon.server().power_off(&vm_id(daemon, vm)).expect("runs");
    come_to_rest(daemon);
}

fn starts_by_itself(daemon: &Daemon, vm: &str) {
    let id = vm_id(daemon, vm);
    daemon.server().edit(&id, |definition| definition.settings.autostart = true).expect("is there");
}

fn fills(daemon: &Daemon) -> Vec<Job> {
    let jobs = (1..20).filter_map(|id| daemon.store.job(divvy_core::job::JobId(id)).expect("answers"));
    jobs.filter(|job| job.kind == JobKind::FillClaim).collect()
}

fn drivers(daemon: &Daemon) -> Vec<Option<String>> {
    daemon.state().gpus().take(2).map(|(_, gpu)| gpu.driver.clone()).collect()
}

#[test]
fn a_vm_that_is_started_gets_its_gpu_and_is_started_once_with_it() {
    let mut daemon = daemon();
    assert!(of(&daemon, "vm-001").waits_for_start());
    start(&mut daemon, "vm-001");
    come_to_rest(&mut daemon);
    let has = of(&daemon, "vm-001");
    assert!(has.whole_gpus().len() == 1 && !has.start, "{has:?}");
    assert_eq!(fills(&daemon).iter().map(|job| job.progress).collect::<Vec<_>>(), [Progress::Succeeded]);
}

#[test]
fn a_vm_that_is_off_gives_its_gpu_back_with_its_former_driver_and_keeps_its_claim() {
    let mut daemon = daemon();
    let before = drivers(&daemon);
    start(&mut daemon, "vm-001");
    assert_ne!(drivers(&daemon), before);
    shut_down(&mut daemon, "vm-001");
    assert!(of(&daemon, "vm-001").waits_for_start());
    assert_eq!((returning(&daemon), drivers(&daemon)), (0, before));
    let vms = daemon.server().vms();
    assert!(vms.iter().all(|vm| vm.devices.is_empty()), "no definition has it any more");
    start(&mut daemon, "vm-001");
}

#[test]
fn the_third_vm_of_a_pool_of_two_starts_when_another_is_off() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    start(&mut daemon, "vm-002");
    assert_eq!(told(&daemon, "vm-003"), "no_free_gpu");
    come_to_rest(&mut daemon);
    assert_eq!(power(&daemon, "vm-003"), Power::Off);
    shut_down(&mut daemon, "vm-001");
    assert_eq!(power(&daemon, "vm-003"), Power::Off, "nobody starts it but its owner");
    start(&mut daemon, "vm-003");
}

#[test]
fn a_start_that_fails_is_tried_once_and_gives_the_gpu_back() {
    let mut daemon = daemon();
    let nothing: PciAddress = "0009:09:09.0".parse().expect("an address");
    let vm = vm_id(&daemon, "vm-001");
    let device = DefinedDevice { device: nothing.into(), alias: None };
    daemon.server().edit(&vm, |definition| definition.devices.push(device)).expect("is there");
    daemon.turn();
    assert_eq!(told(&daemon, "vm-001"), "start_follows");
    come_to_rest(&mut daemon);
    assert_eq!((power(&daemon, "vm-001"), returning(&daemon)), (Power::Off, 0));
    let [job] = &fills(&daemon)[..] else { panic!("{:?}", fills(&daemon)) };
    let tries = job.targets[0].steps.iter().filter(|step| step.text.starts_with("start VM")).count();
    assert_eq!((job.progress, tries), (Progress::Failed, 1), "{job:?}");
    assert!(of(&daemon, "vm-001").waits_for_start());
    start(&mut daemon, "vm-002");
}

#[test]
fn a_gpu_that_a_program_uses_is_not_taken_and_the_vm_stays_off() {
    let mut daemon = daemon();
    for gpu in &daemon.server().gpus()[..2] {
        daemon.server().use_gpu(gpu.address, 4711, "Xorg");
    }
    assert_eq!(told(&daemon, "vm-001"), "start_follows");
    come_to_rest(&mut daemon);
    assert_eq!(power(&daemon, "vm-001"), Power::Off);
    assert!(of(&daemon, "vm-001").waits_for_start());
}

#[test]
fn a_vm_that_is_paused_or_restarts_inside_keeps_its_gpu() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().pause(&vm).expect("runs");
    come_to_rest(&mut daemon);
    daemon.server().resume(&vm).expect("is paused");
    come_to_rest(&mut daemon);
    assert_eq!(live_devices(&daemon, "vm-001"), 1);
}

#[test]
fn a_vm_that_runs_gets_its_gpu_at_once_and_gives_it_back_when_it_is_off() {
    let mut daemon = daemon();
    daemon.server().power_on(&vm_id(&daemon, "vm-004")).expect("starts");
    daemon.turn();
    assert_eq!(daemon.carry_out(claim("vm-004", 1)).progress, Progress::Succeeded);
    assert_eq!(live_devices(&daemon, "vm-004"), 1);
    shut_down(&mut daemon, "vm-004");
    assert!(of(&daemon, "vm-004").waits_for_start());
}

#[test]
fn a_claim_is_given_up_while_its_vm_runs_and_while_it_is_off() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    for vm in ["vm-001", "vm-002"] {
        let undo = Request::UnassignDda { vm: vm.to_owned() };
        assert_eq!(daemon.carry_out(undo).progress, Progress::Succeeded);
        assert!(daemon.state().desired.assignment(&vm_id(&daemon, vm)).is_none());
    }
    assert_eq!((live_devices(&daemon, "vm-001"), returning(&daemon)), (0, 0));
}

#[test]
fn a_start_that_was_let_through_keeps_its_gpu_until_it_is_seen() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    // Off and on again before anybody looked: the same GPU, and no detour.
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_off(&vm).expect("runs");
    daemon.knock("vm-001").expect("it has its GPU still");
    come_to_rest(&mut daemon);
    assert!(!of(&daemon, "vm-001").waits_for_start(), "it was let through");
    daemon.server().power_on(&vm).expect("starts with it");
    come_to_rest(&mut daemon);
    assert_eq!(live_devices(&daemon, "vm-001"), 1);
    shut_down(&mut daemon, "vm-001");
    assert!(of(&daemon, "vm-001").waits_for_start(), "it was seen, and is off");
}

#[test]
fn a_vm_that_runs_before_divvy_started_it_is_neither_shut_down_nor_started_again() {
    let mut daemon = daemon();
    assert_eq!(told(&daemon, "vm-001"), "start_follows");
    // By a way around the hook.
    daemon.server().power_on(&vm_id(&daemon, "vm-001")).expect("starts without");
    come_to_rest(&mut daemon);
    assert_eq!((power(&daemon, "vm-001"), live_devices(&daemon, "vm-001")), (Power::Running, 1));
    shut_down(&mut daemon, "vm-001");
    assert_eq!(power(&daemon, "vm-001"), Power::Off);
}

#[test]
fn a_vm_that_is_not_there_any_more_gives_its_gpu_back() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_off(&vm).expect("runs");
    daemon.server().delete(&vm).expect("is off");
    come_to_rest(&mut daemon);
    let has = daemon.state().desired.assignment(&vm).expect("is claimed").1.clone();
    assert!(has.waits_for_start() && returning(&daemon) == 0, "{has:?}");
}

#[test]
fn a_daemon_that_ended_right_after_the_gpu_was_picked_starts_the_vm_once() {
    let daemon = daemon();
    assert_eq!(told(&daemon, "vm-001"), "start_follows");
    let mut daemon = again(daemon.end());
    come_to_rest(&mut daemon);
    assert_eq!((power(&daemon, "vm-001"), live_devices(&daemon, "vm-001")), (Power::Running, 1));
    shut_down(&mut daemon, "vm-001");
    assert_eq!(power(&daemon, "vm-001"), Power::Off);
}

#[test]
fn a_start_that_is_owed_waits_until_the_hook_is_answered() {
    let daemon = daemon();
    assert_eq!(told(&daemon, "vm-001"), "start_follows");
    let (room, store) = daemon.end();
    let mut daemon = Daemon::not_ready(room, store);
    come_to_rest(&mut daemon);
    assert_eq!(power(&daemon, "vm-001"), Power::Off, "libvirt would have been told no");
    assert!(!of(&daemon, "vm-001").waits_for_start(), "what was picked stays picked");
    daemon.hub.open_starts();
    daemon.turn();
    assert_eq!((power(&daemon, "vm-001"), live_devices(&daemon, "vm-001")), (Power::Running, 1));
}

#[test]
fn what_happened_to_a_vm_while_no_daemon_ran_is_followed() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    start(&mut daemon, "vm-002");
    let (off, kept) = (vm_id(&daemon, "vm-001"), vm_id(&daemon, "vm-002"));
    let (room, store) = daemon.end();
    room.servers[0].power_off(&off).expect("runs");
    let mut daemon = again((room, store));
    come_to_rest(&mut daemon);
    assert!(of(&daemon, "vm-001").waits_for_start());
    assert_eq!((returning(&daemon), live_devices(&daemon, "vm-002")), (0, 1), "{kept}");
}

#[test]
fn a_daemon_that_ended_while_a_gpu_was_on_its_way_back_brings_it_back() {
    let mut daemon = daemon();
    let before = drivers(&daemon);
    start(&mut daemon, "vm-001");
    daemon.server().power_off(&vm_id(&daemon, "vm-001")).expect("runs");
    let gpus = of(&daemon, "vm-001").whole_gpus().iter().map(|whole| whole.gpu.clone()).collect();
    let (server, vm) = (daemon.server().id().clone(), vm_id(&daemon, "vm-001"));
    daemon.ask(Request::EmptyClaim { server, vm, gpus, failed: false }).expect("accepted");
    assert_eq!(returning(&daemon), 1);
    let mut daemon = again(daemon.end());
    come_to_rest(&mut daemon);
    assert_eq!((returning(&daemon), drivers(&daemon)), (0, before));
}

/// A server after a boot, before its libvirt answers; vm-001 had its GPU and starts by itself.
fn booted(daemon: Daemon, addresses: Addresses) -> Daemon {
    starts_by_itself(&daemon, "vm-001");
    let (room, store) = daemon.end();
    room.servers[0].reboot(addresses);
    room.servers[0].set_connection(Connection::Down);
    again((room, store))
}

/// As soon as Divvy sees libvirt again.
fn assert_is_started_once_by_divvy(daemon: &mut Daemon) {
    daemon.server().set_connection(Connection::Up);
    come_to_rest(daemon);
    assert_eq!((power(daemon, "vm-001"), live_devices(daemon, "vm-001")), (Power::Running, 1));
    shut_down(daemon, "vm-001");
    assert_eq!(power(daemon, "vm-001"), Power::Off, "one start was owed");
}

#[test]
fn after_a_power_cut_a_vm_that_starts_by_itself_has_its_gpu_when_libvirt_starts_it() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    let mut daemon = booted(daemon, Addresses::Kept);
    daemon.knock("vm-001").expect("it may start");
    assert_eq!(daemon.server().start_autostart(), []);
    daemon.server().set_connection(Connection::Up);
    come_to_rest(&mut daemon);
    assert_eq!(live_devices(&daemon, "vm-001"), 1);
}

#[test]
fn after_a_boot_under_other_addresses_a_vm_that_starts_by_itself_is_started_once_by_divvy() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    let mut daemon = booted(daemon, Addresses::Renumbered);
    daemon.knock("vm-001").expect_err("its GPU is elsewhere");
    assert_is_started_once_by_divvy(&mut daemon);
}

#[test]
fn after_a_boot_a_vm_with_an_open_claim_that_starts_by_itself_is_started_once_by_divvy() {
    let mut daemon = booted(daemon(), Addresses::Kept);
    daemon.knock("vm-001").expect_err("nothing was picked, and nothing can be");
    come_to_rest(&mut daemon);
    assert_eq!(power(&daemon, "vm-001"), Power::Off);
    assert_is_started_once_by_divvy(&mut daemon);
}

#[test]
fn after_a_boot_the_gpus_of_vms_that_stay_off_are_given_to_those_that_start() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-002");
    start(&mut daemon, "vm-003");
    let mut daemon = booted(daemon, Addresses::Kept);
    daemon.knock("vm-001").expect_err("nothing was picked, and nothing can be");
    daemon.server().set_connection(Connection::Up);
    come_to_rest(&mut daemon);
    come_to_rest(&mut daemon);
    assert_eq!((power(&daemon, "vm-001"), live_devices(&daemon, "vm-001")), (Power::Running, 1));
    assert!(of(&daemon, "vm-002").waits_for_start() && of(&daemon, "vm-003").waits_for_start());
}

#[test]
fn a_claim_and_its_pool_are_shown_as_they_are() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    let shown = |name: &str| {
        let state = daemon.state();
        let (server, vm) = divvy_core::resolve::vm(&state, name).expect("is there");
        views::vm_view(&state, server, vm).assignment.expect("has one")
    };
    let (has, waits) = (shown("vm-001"), shown("vm-002"));
    assert_eq!((has.state.word(), has.gpus.len(), has.pool.as_deref()), ("assigned", 1, Some("ml")));
    assert_eq!((waits.state.word(), waits.gpu, waits.count), ("waiting_for_start", None, Some(1)));
    let [pool] = &views::pools(&daemon.state())[..] else { panic!("one pool") };
    assert_eq!((pool.promised, pool.gpus.iter().filter(|gpu| gpu.free).count()), (3, 1));
}

#[test]
fn a_vm_that_was_given_its_gpu_and_runs_is_told_of_once() {
    let mut daemon = daemon();
    start(&mut daemon, "vm-001");
    come_to_rest(&mut daemon);
    assert!(!of(&daemon, "vm-001").start, "it is written down that it runs");
    let events = daemon.store.events(0, 1_000).expect("are kept");
    let codes = || events.iter().map(|one| one.event.code.as_str());
    assert_eq!(codes().filter(|code| *code == "assigned").count(), 1, "{:?}", codes().collect::<Vec<_>>());
}
