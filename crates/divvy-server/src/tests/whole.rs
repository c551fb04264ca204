//! Whole GPUs in a room whose GPU has audio in its slot: to a VM, through a boot, and back; and what
//! keeps them from it.

use std::sync::Arc;

use divvy_core::finding::FindingCode;
use divvy_core::pci_address::PciAddress;
use divvy_core::request::{PoolWish, Request, WholeWish};
use divvy_host::sysfs::Sysfs;
use divvy_sim::room::{self, Room};
use divvy_sim::server::SimServer;
use divvy_sim::spec::{Delays, FunctionSpec, ServerSpec};
use divvy_store::Store;

use super::*;

const AUDIO: &str = "snd_hda_intel";
const AUDIO_DEVICE: u16 = 0x22ba;

/// Puts audio beside the GPU, and its driver into the kernel.
fn with_audio(mut spec: ServerSpec) -> ServerSpec {
    let gpu = spec.functions.iter().find(|function| function.class >> 16 == 0x03).expect("a GPU").clone();
    let vendor = gpu.numbers.0;
    // A driver without partitions, as the ports' own is.
    let mut driver = spec.drivers.iter().find(|driver| driver.name == "pcieport").expect("a driver").clone();
    AUDIO.clone_into(&mut driver.name);
    AUDIO.clone_into(&mut driver.module);
    driver.ids = vec![(vendor, AUDIO_DEVICE)];
    spec.drivers.push(driver);
    spec.functions.push(FunctionSpec {
        function: 1,
        class: 0x04_0300,
        numbers: (vendor, AUDIO_DEVICE, vendor, 0),
        serial: None,
        sriov: None,
        gpu: None,
        bars: vec![(0, 1 << 14)],
        isolated: false,
        slot: None,
        ..gpu
    });
    spec
}

fn daemon() -> Daemon {
    let mut room = Room::open("a2-edge", 1, Delays::none()).expect("a room");
    let spec = room::specs("a2-edge", 1).expect("a room").swap_remove(0);
    room.servers[0] = SimServer::new(with_audio(spec), Delays::none());
    Daemon::with_store(room, Arc::new(Store::memory()))
}

fn dda(vm: &str) -> Request {
    let wish = WholeWish::Gpus(vec!["gpu-48b02db7b700001d".to_owned()]);
    Request::AssignDda { vm: vm.to_owned(), wish, accept: Default::default() }
}

fn undo(vm: &str) -> Request {
    Request::UnassignDda { vm: vm.to_owned() }
}

fn gpu_address(daemon: &Daemon) -> PciAddress {
    daemon.state().gpus().next().expect("one GPU").1.address
}

/// Driver and override of the GPU and of its audio.
fn held_by(daemon: &Daemon) -> Vec<(Option<String>, String)> {
    let (sysfs, gpu) = (daemon.server().sysfs(), gpu_address(daemon));
    [0, 1]
        .map(|function| {
            let folder = format!("sys/bus/pci/devices/{}", PciAddress { function, ..gpu });
            let link = sysfs.link(&format!("{folder}/driver")).ok();
            let kept_for = sysfs.read(&format!("{folder}/driver_override")).expect("is read");
            let driver = link.and_then(|link| link.rsplit('/').next().map(str::to_owned));
            (driver, String::from_utf8_lossy(&kept_for).trim().to_owned())
        })
        .into()
}

fn by(gpu: &str, audio: &str, kept_for: &str) -> Vec<(Option<String>, String)> {
    [gpu, audio].map(|driver| (Some(driver.to_owned()), kept_for.to_owned())).into()
}

fn live_devices(daemon: &Daemon, vm: &str) -> usize {
    let (id, state) = (vm_id(daemon, vm), daemon.state());
    state.vm(&id).expect("is there").1.devices.iter().filter(|device| device.live).count()
}

#[test]
fn a_whole_gpu_goes_to_its_vm_with_its_audio_and_comes_back_clean_to_what_it_had() {
    let mut daemon = daemon();
    assert_eq!(daemon.carry_out(dda("vm-001")).progress, Progress::Succeeded);
    assert_eq!(held_by(&daemon), by("vfio-pci", "vfio-pci", "vfio-pci"));
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_on(&vm).expect("starts");
    daemon.turn();
    assert_eq!(live_devices(&daemon, "vm-001"), 2);
    assert_eq!(daemon.server().residue(gpu_address(&daemon)), Some(vm));
    assert_eq!(daemon.carry_out(undo("vm-001")).progress, Progress::Succeeded);
    assert_eq!(held_by(&daemon), by("nvidia", AUDIO, "(null)"));
    assert_eq!(daemon.server().residue(gpu_address(&daemon)), None);
    assert_eq!(daemon.carry_out(count(&[GPU], 4)).progress, Progress::Succeeded);
    assert_eq!(check(&daemon.state()), []);
}

#[test]
fn a_running_vm_gets_the_whole_gpu_while_it_runs() {
    let mut daemon = daemon();
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_on(&vm).expect("starts");
    daemon.turn();
    assert_eq!(daemon.carry_out(dda("vm-001")).progress, Progress::Succeeded);
    assert_eq!(live_devices(&daemon, "vm-001"), 2);
}

/// A VM that runs and has fewer free ports than it gets GPUs.
#[test]
fn a_restart_that_was_accepted_starts_the_vm_when_the_hook_is_answered() {
    let mut daemon = Daemon::in_room("a16-octet");
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_on(&vm).expect("starts");
    daemon.turn();
    let gpus = daemon.server().gpus()[..5].iter().map(|gpu| gpu.address.to_string()).collect();
    let accept = ["vm_will_restart", "vm_mmio_window"].map(FindingCode::of).into();
    let request = Request::AssignDda { vm: "vm-001".to_owned(), wish: WholeWish::Gpus(gpus), accept };
    daemon.ask(request).expect("accepted");
    let power = |daemon: &Daemon| daemon.state().vm(&vm).expect("is there").1.power;
    let (room, store) = daemon.end();
    let mut daemon = Daemon::not_ready(room, store);
    daemon.turn();
    assert_eq!((power(&daemon), live_devices(&daemon, "vm-001")), (Power::Off, 0), "it was shut down");
    daemon.hub.open_starts();
    daemon.turn();
    assert_eq!((power(&daemon), live_devices(&daemon, "vm-001")), (Power::Running, 5));
}

#[test]
fn after_a_boot_the_gpu_is_the_vms_again_under_its_new_address() {
    let mut daemon = daemon();
    daemon.carry_out(dda("vm-001"));
    let before = gpu_address(&daemon);
    let (room, store) = daemon.end();
    room.servers[0].reboot(Addresses::Renumbered);
    let mut daemon = Daemon::with_store(room, store);
    daemon.turn();
    assert_ne!(gpu_address(&daemon), before, "the test needs a move");
    assert_eq!(held_by(&daemon), by("vfio-pci", "vfio-pci", "vfio-pci"));
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_on(&vm).expect("starts with its GPU");
    daemon.turn();
    assert_eq!(live_devices(&daemon, "vm-001"), 2);
    assert_eq!(check(&daemon.state()), []);
}

#[test]
fn a_crash_in_the_middle_ends_where_it_was_asked_for() {
    for there in [true, false] {
        let mut daemon = daemon();
        if there {
            daemon.ask(dda("vm-001")).expect("accepted");
        } else {
            daemon.carry_out(dda("vm-001"));
            daemon.ask(undo("vm-001")).expect("accepted");
        }
        let (room, store) = daemon.end();
        let mut daemon = Daemon::with_store(room, store);
        daemon.turn();
        let expected =
            if there { by("vfio-pci", "vfio-pci", "vfio-pci") } else { by("nvidia", AUDIO, "(null)") };
        assert_eq!(held_by(&daemon), expected);
        assert!(daemon.hub.published().running_jobs.is_empty(), "the job has ended");
    }
}

#[test]
fn a_gpu_that_a_program_uses_stays_with_the_server_and_the_program_is_named() {
    let mut daemon = daemon();
    daemon.server().use_gpu(gpu_address(&daemon), 4711, "Xorg");
    let job = daemon.carry_out(dda("vm-001"));
    let detail = job.targets[0].detail.as_deref().unwrap_or_default();
    assert!(job.progress == Progress::Failed && detail.contains("process 4711 (Xorg)"), "{job:?}");
    daemon.turn();
    assert_eq!(held_by(&daemon), by("nvidia", AUDIO, "(null)"));
    assert_eq!(daemon.state().desired.assignment(&vm_id(&daemon, "vm-001")), None);
    daemon.server().end_process(4711);
    daemon.turn();
    assert_eq!(daemon.carry_out(dda("vm-001")).progress, Progress::Succeeded);
}

#[test]
fn a_gpu_that_another_hand_gave_to_a_vm_is_neither_split_nor_given() {
    let mut daemon = daemon();
    let (foreign, device) = (vm_id(&daemon, "vm-005"), gpu_address(&daemon).into());
    let device = DefinedDevice { device, alias: None };
    daemon.server().edit(&foreign, |definition| definition.devices.push(device)).expect("another hand");
    daemon.turn();
    assert_eq!(daemon.refusal(dda("vm-001")), "gpu_used_whole");
    assert_eq!(daemon.refusal(count(&[GPU], 4)), "gpu_used_whole");
    assert_eq!(daemon.refusal(dda("vm-005")), "vm_has_whole_gpu");
}

#[test]
fn a_gpu_that_does_not_reset_goes_to_nobody_until_it_does() {
    let mut daemon = daemon();
    daemon.carry_out(dda("vm-001"));
    daemon.server().set_fault(serial(&daemon), Fault::ResetFails);
    daemon.ask(undo("vm-001")).expect("accepted");
    daemon.turn();
    assert_eq!(daemon.refusal(dda("vm-002")), "gpu_used_whole");
    assert_eq!(daemon.refusal(count(&[GPU], 4)), "gpu_used_whole");
    assert!(findings::findings(&daemon.state()).iter().any(|(_, one)| one.code.as_str() == "step_failed"));
    daemon.server().clear_faults(serial(&daemon));
    daemon.turn();
    assert_eq!(held_by(&daemon), by("nvidia", AUDIO, "(null)"));
    assert_eq!(daemon.carry_out(dda("vm-002")).progress, Progress::Succeeded);
}

#[test]
fn a_pool_is_shown_with_who_has_its_gpus() {
    let mut daemon = daemon();
    let gpus = vec![GPU.to_owned()];
    daemon.ask(Request::Pool { pool: "ml".to_owned(), wish: PoolWish::Create { gpus } }).expect("accepted");
    let wish = WholeWish::Pool { pool: "ml".to_owned(), count: 1, at_start: false };
    let request = Request::AssignDda { vm: "vm-001".to_owned(), wish, accept: Default::default() };
    assert_eq!(daemon.carry_out(request).progress, Progress::Succeeded);
    let pools = views::pools(&daemon.state());
    let [pool] = pools.as_slice() else { panic!("{pools:?}") };
    assert_eq!(
        (pool.name.as_str(), pool.gpus[0].vm_name.as_deref(), pool.gpus[0].free),
        ("ml", Some("vm-001"), false)
    );
}

#[test]
fn remaking_the_partitions_cures_the_one_that_does_not_reset() {
    let mut daemon = plain_daemon_with(4);
    let gpu = gpu_address(&daemon);
    daemon.carry_out(assign(&["vm-001"]));
    daemon.server().set_fault(serial(&daemon), Fault::ResetFails);
    assert_eq!(daemon.carry_out(unassign(&["vm-001"])).progress, Progress::Failed);
    let cure = |remake| Request::Cure { partition: format!("{gpu}.0"), remake };
    let job = daemon.carry_out(cure(false));
    let hint = job.targets[0].hint.as_deref().unwrap_or_default();
    assert!(job.progress == Progress::Failed && hint.contains("--remake-siblings"), "{job:?}");
    assert_eq!(states(&daemon)[0], PartitionState::Quarantined);
    assert_eq!(daemon.carry_out(cure(true)).progress, Progress::Succeeded);
    assert_eq!(states(&daemon)[0], PartitionState::Free);
}
