//! GPUs that lose their scheme at a boot or to another hand: one promise per test.

use std::time::Duration;

use divvy_core::gpu::Scheme;
use divvy_core::job::Progress;
use divvy_core::observed::ObservedGpu;
use divvy_core::request::{CountWish, GpuSelection, Request};
use divvy_core::rules::sizes::seen;
use divvy_host::paths;
use divvy_host::sysfs::Sysfs;
use divvy_sim::fault::GpuFault;
use divvy_sim::server::Addresses;

use crate::findings;
use crate::testing::{Daemon, assign, count};

const GPU: &str = "0000:41:00.0";

/// The room of MIG with one GPU split.
fn split(partitions: u16) -> Daemon {
    let mut daemon = Daemon::in_room("h200-mig");
    let job = daemon.carry_out(count(&[GPU], partitions));
    assert_eq!(job.progress, Progress::Succeeded, "{job:?}");
    daemon
}

fn gpu(daemon: &Daemon) -> ObservedGpu {
    let state = daemon.state();
    let found = state.gpus().find(|(_, gpu)| gpu.address.to_string() == GPU);
    found.expect("the room has it").1.clone()
}

fn run(daemon: &Daemon, program: &str, args: &[&str]) {
    let ran = daemon.server().sysfs().run(program, args, Duration::from_secs(60)).expect("runs");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// The server after a boot that took the mode, and another hand that had the GPU split without it.
fn split_without_mig_after_a_boot() -> Daemon {
    let mut daemon = split(4);
    daemon.carry_out(assign(&["vm-001"]));
    let (room, store) = daemon.end();
    room.servers[0].reboot(Addresses::Kept);
    let sys = room.servers[0].sysfs();
    let told = sys.run(paths::SRIOV_MANAGE, &["-e", GPU], Duration::from_secs(60)).expect("runs");
    assert_eq!(told.code, Some(0), "{told:?}");
    let function = |nth: u16| {
        let link = sys.link(&format!("sys/bus/pci/devices/{GPU}/virtfn{nth}")).expect("is there");
        format!("sys/bus/pci/devices/{}/nvidia", link.rsplit('/').next().expect("a name"))
    };
    let listed = sys.read(&format!("{}/creatable_vgpu_types", function(0))).expect("lists");
    let listed = String::from_utf8(listed).expect("a text");
    let quarter = listed.lines().find(|line| line.trim_end().ends_with("-35C")).expect("a quarter of it");
    let id = quarter.split(':').next().expect("a number").trim();
    for nth in 0..4 {
        sys.write(&format!("{}/current_vgpu_type", function(nth)), id).expect("makes one");
    }
    Daemon::with_store(room, store)
}

#[test]
fn an_nvidia_gpu_that_is_off_is_whole_again_and_takes_a_count_anew() {
    let mut daemon = Daemon::in_room("mixed-lab");
    let of_nvidia = |daemon: &Daemon| {
        let state = daemon.state();
        let gpus = state.gpus().filter(|(_, gpu)| gpu.scheme.is_some_and(Scheme::keeps_carriers));
        gpus.map(|(_, gpu)| gpu.clone()).collect::<Vec<ObservedGpu>>()
    };
    assert!(of_nvidia(&daemon).len() >= 3, "the room has several schemes");
    for gpu in of_nvidia(&daemon) {
        let name = gpu.id.to_string();
        let now = |daemon: &Daemon| daemon.state().gpu(&gpu.id).expect("is there").1.clone();
        assert_eq!(daemon.carry_out(count(&[&name], 2)).progress, Progress::Succeeded);
        assert!(now(&daemon).carriers >= 2);
        let off = Request::SetPartitionCount {
            gpus: GpuSelection::Named(vec![name.clone()]),
            wish: CountWish::Off,
        };
        let job = daemon.carry_out(off);
        assert_eq!(job.progress, Progress::Succeeded, "{job:?}");
        let seen = now(&daemon);
        assert_eq!((seen.carriers, seen.driver.as_deref()), (0, Some("nvidia")), "{:?}", gpu.scheme);
        assert_eq!(daemon.carry_out(count(&[&name], 2)).progress, Progress::Succeeded);
    }
}

#[test]
fn after_a_boot_that_lost_the_mode_of_mig_its_partitions_are_back_by_mig() {
    let mut daemon = split(4);
    daemon.carry_out(assign(&["vm-001"]));
    let (room, store) = daemon.end();
    room.servers[0].reboot(Addresses::Kept);
    let mode = ["-i", GPU, "--query-gpu=mig.mode.current", "--format=csv,noheader"];
    let told = room.servers[0].sysfs().run(paths::NVIDIA_SMI, &mode, Duration::from_secs(60)).expect("runs");
    assert_eq!(told.stdout, b"Disabled\n", "the test needs a mode that is lost");
    let mut daemon = Daemon::with_store(room, store);
    daemon.turn();
    let seen = gpu(&daemon);
    assert_eq!((seen.scheme, seen.partition_count), (Some(Scheme::NvidiaMig), Some(4)));
    let state = daemon.state();
    let vm = divvy_core::resolve::vm(&state, "vm-001").expect("is there").1;
    daemon.server().power_on(&vm.id).expect("starts with its partition");
}

fn sizes(gpu: &str, sizes: &[u16]) -> Request {
    let gpus = GpuSelection::Named(vec![gpu.to_owned()]);
    Request::SetPartitionCount { gpus, wish: CountWish::Sizes(sizes.to_vec()) }
}

fn split_now(daemon: &Daemon) -> Option<String> {
    seen(&gpu(daemon)).map(|split| split.as_option())
}

#[test]
fn after_a_boot_each_partition_has_its_size_and_its_owner_again() {
    sizes_outlive_a_boot("h200-mig", [(60, 71), (30, 35)]);
    sizes_outlive_a_boot("a2-edge", [(7, 8), (3, 4)]);
}

/// In GiB: what each of two VMs asks for, and what it gets of a half and two quarters.
fn sizes_outlive_a_boot(room: &str, [first, second]: [(u64, u64); 2]) {
    let mut daemon = Daemon::in_room(room);
    assert_eq!(daemon.carry_out(sizes(GPU, &[4, 2, 4])).progress, Progress::Succeeded);
    let with_memory = |vm: &str, gib: u64| Request::Assign {
        vms: vec![vm.to_owned()],
        gpu: None,
        memory_bytes: Some(gib << 30),
        partition: None,
        accept: Default::default(),
    };
    for (vm, gib) in [("vm-001", first.0), ("vm-002", second.0)] {
        assert_eq!(daemon.carry_out(with_memory(vm, gib)).progress, Progress::Succeeded);
    }
    let owners = |daemon: &Daemon| {
        let state = daemon.state();
        let desired = state.desired.servers.values().next().expect("one server");
        let of = |assignment: &divvy_core::assignment::Assignment| {
            let partition = assignment.partition().expect("has one");
            let memory = gpu(daemon).partition(partition.index).and_then(|one| one.memory_bytes);
            (assignment.vm_name.clone(), partition.index.0, memory.map(|bytes| bytes >> 30))
        };
        let mut owners: Vec<_> = desired.assignments.values().map(of).collect();
        owners.sort();
        owners
    };
    let before = owners(&daemon);
    let expected = [("vm-001".to_owned(), 0, Some(first.1)), ("vm-002".to_owned(), 1, Some(second.1))];
    assert_eq!(before, expected);
    let (room, store) = daemon.end();
    room.servers[0].reboot(Addresses::Kept);
    let mut daemon = Daemon::with_store(room, store);
    daemon.turn();
    assert_eq!((split_now(&daemon), owners(&daemon)), (Some("--sizes 2,4,4".to_owned()), before));
    for name in ["vm-001", "vm-002"] {
        let state = daemon.state();
        let vm = divvy_core::resolve::vm(&state, name).expect("is there").1;
        daemon.server().power_on(&vm.id).expect("starts with its partition");
    }
}

#[test]
fn sizes_that_cannot_be_reached_give_back_the_ones_before() {
    let mut daemon = Daemon::in_room("h200-mig");
    assert_eq!(daemon.carry_out(sizes(GPU, &[2, 4, 4])).progress, Progress::Succeeded);
    let serial = daemon.server().gpus()[0].serial;
    daemon.server().set_fault(serial, GpuFault::WriteFails { errno: 5 });
    let job = daemon.carry_out(sizes(GPU, &[2, 3, 3]));
    assert_eq!(job.progress, Progress::Failed, "{job:?}");
    daemon.server().clear_faults(serial);
    daemon.turn();
    let state = daemon.state();
    let id = gpu(&daemon).id;
    let asked = state.desired.servers.values().find_map(|desired| desired.settings.get(&id)?.split());
    assert_eq!(asked.map(|split| split.as_option()), Some("--sizes 2,4,4".to_owned()));
    assert_eq!(split_now(&daemon), Some("--sizes 2,4,4".to_owned()));
}

#[test]
fn the_same_count_without_mig_is_left_alone_and_told() {
    let mut daemon = split_without_mig_after_a_boot();
    daemon.turn();
    let seen = gpu(&daemon);
    assert_eq!((seen.scheme, seen.partition_count), (Some(Scheme::NvidiaVfio), Some(4)));
    let told = findings::findings(&daemon.state());
    let told = told.iter().find(|(_, finding)| finding.code.as_str() == "scheme_differs").expect("is told");
    assert!(told.1.text.contains("nvidia_mig") && told.1.text.contains("nvidia_vfio"), "{told:?}");
    assert_eq!(daemon.refusal(assign(&["vm-002"])), "no_free_partition");
}

#[test]
fn mig_is_back_by_itself_once_the_partitions_without_it_are_gone() {
    let mut daemon = split_without_mig_after_a_boot();
    run(&daemon, paths::SRIOV_MANAGE, &["-d", GPU]);
    daemon.turn();
    daemon.turn();
    let seen = gpu(&daemon);
    assert_eq!((seen.scheme, seen.partition_count), (Some(Scheme::NvidiaMig), Some(4)));
}
