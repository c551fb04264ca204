//! What libvirt answers, and what becomes of partitions when VMs start, stop, plug and hang on to
//! them: one promise a test.

use std::error::Error;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};

use divvy_core::vm::Power;
use divvy_host::sysfs::Sysfs;

use super::*;
use crate::fault::GpuFault;
use crate::server::SimServer;
use crate::testing::{
    GPU, at, file, gpu_file, group, partition, read, ready, server, server_with, set_count, to_vfio, vm,
};
use crate::vms::Manners;

const VF: &str = "0000:41:00.4";
const OTHER_VF: &str = "0000:41:00.5";
const DEFINED: DeviceScope = DeviceScope { defined: true, live: false };
const LIVE: DeviceScope = DeviceScope { defined: false, live: true };
const BOTH: DeviceScope = DeviceScope { defined: true, live: true };
const RUDE: Manners = Manners { lets_go: false, powers_off: false };

/// A server with two partitions ready for VMs.
fn prepared() -> (SimServer, SimHypervisor, VmId, VmId) {
    let server = server();
    let sysfs = server.sysfs();
    partition(&sysfs, 2);
    to_vfio(&sysfs, VF);
    to_vfio(&sysfs, OTHER_VF);
    let vms = (vm(&server, "vm-001"), vm(&server, "vm-002"));
    let hypervisor = server.hypervisor();
    (server, hypervisor, vms.0, vms.1)
}

fn observed(server: &SimServer, vm: &VmId) -> ObservedVm {
    server.vms().into_iter().find(|known| known.id == *vm).expect("the VM")
}

/// The text of the cause.
fn cause<T: std::fmt::Debug>(result: Result<T, HypervisorError>) -> String {
    result.expect_err("a refusal").source().expect("a cause").to_string()
}

/// A VM that runs with the first partition.
fn running() -> (SimServer, SimHypervisor, VmId, VmId) {
    let (server, mut hypervisor, one, other) = prepared();
    hypervisor.attach(&ready(&one, VF, 0), DEFINED).expect("defined");
    hypervisor.start(&one).expect("started");
    (server, hypervisor, one, other)
}

#[test]
fn a_defined_partition_is_live_after_the_start() {
    let (server, _hypervisor, one, _) = running();
    let seen = observed(&server, &one);
    let device = seen.device(at(VF)).expect("the device");
    assert_eq!((seen.power, device.defined, device.live), (Power::Running, true, true));
    assert_eq!(device.alias.as_deref(), Some("gpu-1.0"));
}

#[test]
fn a_mediated_device_is_open_while_its_vm_runs_and_goes_to_one_vm_only() {
    const MDEV: &str = "4b20d080-1b54-4048-85b3-a6a62d165c01";
    let (server, mut hypervisor, one, other) = prepared();
    hypervisor.attach(&ready(&one, MDEV, 0), DEFINED).expect("defined");
    let text = cause(hypervisor.start(&one));
    assert!(text.contains("mediated device") && text.contains("not found"), "{text}");
    hypervisor.machine.with(|state| {
        let link = format!("sys/bus/mdev/devices/{MDEV}/iommu_group");
        state.kernel.tree.link(&link, "sys/kernel/iommu_groups/77");
    });
    hypervisor.start(&one).expect("started");
    assert!(server.sysfs().open_vfio_groups().expect("known").contains_key(&77));
    hypervisor.attach(&ready(&other, MDEV, 0), DEFINED).expect("a definition may say so");
    let text = cause(hypervisor.start(&other));
    assert!(text.contains("is in use by driver QEMU, domain vm-001"), "{text}");
    server.power_off(&one).expect("off");
    assert!(server.sysfs().open_vfio_groups().expect("known").is_empty());
}

#[test]
fn attaching_detaching_starting_and_stopping_twice_is_quiet() {
    let (_server, mut hypervisor, one, _) = prepared();
    for expected in [Outcome::Changed, Outcome::Already] {
        assert_eq!(hypervisor.attach(&ready(&one, VF, 0), DEFINED).expect("defined"), expected);
    }
    for expected in [Outcome::Changed, Outcome::Already] {
        assert_eq!(hypervisor.start(&one).expect("started"), expected);
    }
    for expected in [Outcome::Changed, Outcome::Already] {
        assert_eq!(hypervisor.shut_down(&one, Duration::ZERO).expect("off"), expected);
    }
    for expected in [Outcome::Changed, Outcome::Already] {
        assert_eq!(hypervisor.detach(&one, at(VF).into(), DEFINED).expect("taken out"), expected);
    }
}

#[test]
fn a_running_vm_has_its_group_open_and_closes_it_when_it_stops() {
    let (server, mut hypervisor, one, _) = running();
    let sysfs = server.sysfs();
    let open = sysfs.open_vfio_groups().expect("known");
    assert_eq!(open.keys().copied().collect::<Vec<_>>(), [group(&sysfs, VF)]);
    hypervisor.shut_down(&one, Duration::ZERO).expect("off");
    assert!(sysfs.open_vfio_groups().expect("known").is_empty());
}

#[test]
fn a_partition_is_reset_when_a_vm_opens_and_when_it_closes_it() {
    let (server, _hypervisor, one, _) = running();
    assert_eq!((server.resets(at(VF)), server.residue(at(VF))), (1, Some(one.clone())));
    server.power_off(&one).expect("off");
    assert_eq!((server.resets(at(VF)), server.residue(at(VF))), (2, None));
}

#[test]
fn a_reset_that_fails_leaves_the_data_of_the_last_vm_for_the_next() {
    let (server, mut hypervisor, one, other) = running();
    server.set_fault(server.gpus()[0].serial, GpuFault::ResetFails);
    server.power_off(&one).expect("off");
    hypervisor.attach(&ready(&other, VF, 0), DEFINED).expect("defined");
    hypervisor.start(&other).expect("the kernel lets it");
    assert_eq!(server.residue(at(VF)), Some(one));
}

#[test]
fn a_second_vm_with_the_same_partition_does_not_start() {
    let (_server, mut hypervisor, _one, other) = running();
    hypervisor.attach(&ready(&other, VF, 0), DEFINED).expect("a definition may say so");
    assert_eq!(
        cause(hypervisor.start(&other)),
        "Requested operation is not valid: PCI device 0000:41:00.4 is in use by driver QEMU, domain vm-001"
    );
}

#[test]
fn a_second_vm_cannot_take_the_same_partition_while_it_runs() {
    let (_server, mut hypervisor, _one, other) = running();
    hypervisor.start(&other).expect("started");
    let text = cause(hypervisor.attach(&ready(&other, VF, 0), BOTH));
    assert!(text.contains("in use by driver QEMU, domain vm-001"), "{text}");
    assert_eq!(hypervisor.detach(&other, at(VF).into(), BOTH).expect("nothing there"), Outcome::Already);
}

#[test]
fn a_group_that_another_process_holds_is_busy() {
    let (server, mut hypervisor, one, _) = prepared();
    let number = group(&server.sysfs(), VF);
    server.hold_group(number, 77);
    hypervisor.attach(&ready(&one, VF, 0), DEFINED).expect("defined");
    let text = cause(hypervisor.start(&one));
    assert!(
        text.ends_with(&format!("Could not open '/dev/vfio/{number}': Device or resource busy")),
        "{text}"
    );
}

#[test]
fn a_partition_that_is_not_there_stops_the_start() {
    let (server, mut hypervisor, one, _) = prepared();
    hypervisor.attach(&ready(&one, VF, 0), DEFINED).expect("defined");
    set_count(&server.sysfs(), "0").expect("removed");
    assert_eq!(
        cause(hypervisor.start(&one)),
        "Device 0000:41:00.4 not found: could not access /sys/bus/pci/devices/0000:41:00.4/config: No such file or directory"
    );
}

#[test]
fn a_partition_without_vfio_stops_the_start() {
    let (server, mut hypervisor, one, _) = prepared();
    hypervisor.attach(&ready(&one, VF, 0), DEFINED).expect("defined");
    server.sysfs().write("sys/bus/pci/drivers/vfio-pci/unbind", VF).expect("unbound");
    let text = cause(hypervisor.start(&one));
    assert!(text.contains("must be manually detached from the host"), "{text}");
    assert_eq!(observed(&server, &one).power, Power::Off);
}

#[test]
fn a_start_that_fails_half_way_leaves_nothing_open() {
    let (server, mut hypervisor, one, _) = prepared();
    hypervisor.attach(&ready(&one, VF, 0), DEFINED).expect("defined");
    hypervisor.attach(&ready(&one, OTHER_VF, 1), DEFINED).expect("defined");
    server.sysfs().write("sys/bus/pci/drivers/vfio-pci/unbind", OTHER_VF).expect("unbound");
    hypervisor.start(&one).expect_err("the second one is not ready");
    assert!(server.sysfs().open_vfio_groups().expect("known").is_empty());
}

#[test]
fn a_group_with_a_member_on_another_driver_is_not_viable() {
    let server = server_with(|spec| spec.functions[3].isolated = false);
    let sysfs = server.sysfs();
    partition(&sysfs, 1);
    to_vfio(&sysfs, VF);
    let (mut hypervisor, one) = (server.hypervisor(), vm(&server, "vm-001"));
    hypervisor.attach(&ready(&one, VF, 0), DEFINED).expect("defined");
    let text = cause(hypervisor.start(&one));
    assert!(text.contains("is not viable\nPlease ensure all devices within"), "{text}");
}

#[test]
fn a_gpu_that_is_lost_stops_the_start() {
    let (server, mut hypervisor, one, _) = prepared();
    hypervisor.attach(&ready(&one, VF, 0), DEFINED).expect("defined");
    server.set_fault(server.gpus()[0].serial, GpuFault::Lost);
    let text = cause(hypervisor.start(&one));
    assert_eq!(text, "internal error: Unknown PCI header type '127' for device '0000:41:00.4'");
}

#[test]
fn a_running_vm_takes_a_partition_and_gives_it_back() {
    let (server, mut hypervisor, one, _) = prepared();
    hypervisor.start(&one).expect("started");
    assert_eq!(hypervisor.attach(&ready(&one, VF, 0), BOTH).expect("plugged"), Outcome::Changed);
    assert_eq!(observed(&server, &one).settings.free_hotplug_ports, 3);
    assert_eq!(hypervisor.detach(&one, at(VF).into(), BOTH).expect("unplugged"), Outcome::Changed);
    let seen = observed(&server, &one);
    assert_eq!((seen.devices.len(), seen.settings.free_hotplug_ports), (0, 4));
}

#[test]
fn a_vm_that_is_off_takes_nothing_live() {
    let (_server, mut hypervisor, one, _) = prepared();
    let text = cause(hypervisor.attach(&ready(&one, VF, 0), LIVE));
    assert_eq!(text, "Requested operation is not valid: domain is not running");
}

#[test]
fn without_a_free_port_a_running_vm_takes_nothing_and_its_definition_stays() {
    let (server, mut hypervisor, one, _) = prepared();
    server.edit(&one, |vm| vm.settings.free_hotplug_ports = 0).expect("edited");
    hypervisor.start(&one).expect("started");
    let text = cause(hypervisor.attach(&ready(&one, VF, 0), BOTH));
    assert_eq!(text, "internal error: No more available PCI slots");
    assert!(observed(&server, &one).devices.is_empty());
}

#[test]
fn the_same_alias_twice_is_refused() {
    let (_server, mut hypervisor, one, _) = prepared();
    hypervisor.attach(&ready(&one, VF, 0), DEFINED).expect("defined");
    let text = cause(hypervisor.attach(&ready(&one, OTHER_VF, 0), DEFINED));
    assert_eq!(text, "unsupported configuration: non unique alias detected: ua-gpu-1.0");
}

#[test]
fn a_transient_vm_has_no_definition_to_change_and_is_gone_when_it_is_off() {
    let (server, mut hypervisor, one, _) = prepared();
    server.edit(&one, |vm| vm.settings.persistent = false).expect("edited");
    hypervisor.start(&one).expect("started");
    let text = cause(hypervisor.attach(&ready(&one, VF, 0), DEFINED));
    assert_eq!(text, "Requested operation is not valid: domain is transient");
    hypervisor.shut_down(&one, Duration::ZERO).expect("off");
    assert!(server.vms().iter().all(|vm| vm.id != one));
}

#[test]
fn a_vm_that_does_not_let_go_keeps_the_partition_until_it_does() {
    let (server, mut hypervisor, one, _) = running();
    server.set_manners(&one, RUDE).expect("known");
    let refusal = hypervisor.detach(&one, at(VF).into(), BOTH).expect_err("held");
    assert!(matches!(refusal, HypervisorError::StillHeld { .. }), "{refusal}");
    let device = observed(&server, &one).device(at(VF)).cloned().expect("still there");
    assert_eq!((device.defined, device.live), (false, true));
    server.set_manners(&one, Manners::default()).expect("known");
    assert!(observed(&server, &one).devices.is_empty());
}

#[test]
fn a_paused_vm_lets_go_when_it_goes_on() {
    let (server, mut hypervisor, one, _) = running();
    server.pause(&one).expect("paused");
    assert_eq!(observed(&server, &one).power, Power::Paused);
    hypervisor.detach(&one, at(VF).into(), LIVE).expect_err("it cannot answer");
    server.resume(&one).expect("resumed");
    assert!(!observed(&server, &one).device(at(VF)).expect("defined").live);
}

#[test]
fn a_vm_that_does_not_listen_goes_on_running() {
    let (server, mut hypervisor, one, _) = running();
    server.set_manners(&one, RUDE).expect("known");
    let refusal = hypervisor.shut_down(&one, Duration::from_secs(30)).expect_err("it goes on");
    assert!(matches!(refusal, HypervisorError::StillRunning { seconds: 30, .. }), "{refusal}");
}

#[test]
fn zero_partitions_under_a_running_vm_succeeds_and_the_vm_loses_its_own() {
    let (server, _hypervisor, one, _) = running();
    set_count(&server.sysfs(), "0").expect("the kernel does not refuse");
    let seen = observed(&server, &one);
    let device = seen.device(at(VF)).expect("its definition still names it");
    assert_eq!((seen.power, device.defined, device.live), (Power::Running, true, false));
}

#[test]
fn zero_partitions_under_a_vm_that_does_not_let_go_hangs_until_it_is_off() {
    let (server, _hypervisor, one, _) = running();
    server.set_manners(&one, RUDE).expect("known");
    let (sysfs, path) = (server.sysfs(), gpu_file("sriov_numvfs"));
    let hour = Duration::from_secs(3600);
    assert_eq!(sysfs.write_within(&path, "0", hour).expect_err("hangs").kind(), ErrorKind::TimedOut);
    assert_eq!(sysfs.read_within(&path, hour).expect_err("hangs").kind(), ErrorKind::TimedOut);
    server.power_off(&one).expect("off");
    assert_eq!(read(&sysfs, &path), "0\n");
    assert!(!sysfs.exists(&file(VF, "vendor")));
}

#[test]
fn zero_partitions_while_they_are_on_vfio_and_unused_succeeds() {
    let (server, ..) = prepared();
    set_count(&server.sysfs(), "0").expect("removed");
    assert_eq!(server.sysfs().list("dev/vfio").expect("listed"), ["vfio"]);
}

#[test]
fn a_partition_in_use_can_be_reset_under_its_vm() {
    let (server, ..) = running();
    server.sysfs().write(&file(VF, "reset"), "1").expect("the kernel does not refuse");
    assert_eq!(server.residue(at(VF)), None);
}

#[test]
fn taking_the_gpus_driver_off_under_a_running_vm_takes_the_partition_from_it() {
    let (server, _hypervisor, one, _) = running();
    server.sysfs().write("sys/bus/pci/drivers/simgpu/unbind", GPU).expect("unbound");
    assert!(!observed(&server, &one).device(at(VF)).expect("defined").live);
}

#[test]
fn a_vm_that_is_not_known_is_named_as_such() {
    let (_server, mut hypervisor, ..) = prepared();
    let nobody = VmId::new("00000000-0000-4000-8000-000000000000").expect("an id");
    let refusal = hypervisor.start(&nobody).expect_err("nobody");
    assert!(matches!(refusal, HypervisorError::NoSuchVm { .. }), "{refusal}");
}

#[test]
fn a_connection_that_dropped_is_there_again_at_the_next_call() {
    let (server, mut hypervisor, ..) = prepared();
    server.set_connection(Connection::DropsOnce);
    assert!(matches!(hypervisor.list(), Err(HypervisorError::Connect { .. })));
    assert_eq!(hypervisor.list().expect("connected again").len(), 20);
}

#[test]
fn a_hypervisor_that_is_down_stays_unavailable() {
    let (server, mut hypervisor, one, _) = prepared();
    server.set_connection(Connection::Down);
    hypervisor.start(&one).expect_err("down");
    assert!(matches!(hypervisor.health(), HypervisorHealth::Unavailable { .. }));
    server.set_connection(Connection::Up);
    assert!(matches!(hypervisor.health(), HypervisorHealth::Connected { .. }));
}

#[test]
fn every_change_wakes_whoever_watches_and_reading_does_not() {
    let (server, mut hypervisor, one, _) = prepared();
    let woken = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&woken);
    hypervisor.on_change(Box::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    }));
    let wakes = |action: &mut dyn FnMut()| {
        let before = woken.load(Ordering::Relaxed);
        action();
        woken.load(Ordering::Relaxed) - before
    };
    assert_eq!(wakes(&mut || drop(server.vms())), 0);
    assert_eq!(wakes(&mut || server.power_on(&one).expect("on")), 1);
    assert_eq!(wakes(&mut || server.pause(&one).expect("paused")), 1);
    assert_eq!(wakes(&mut || server.set_connection(Connection::Down)), 1);
    assert_eq!(wakes(&mut || server.delete(&one).expect("deleted")), 1);
    // Somebody opens, and closes, a partition without libvirt.
    assert_eq!(wakes(&mut || server.hold_group(7, 4242)), 1);
    assert_eq!(wakes(&mut || server.release_group(7, 4242)), 1);
}

#[test]
fn a_watcher_may_look_at_the_server_and_hears_of_what_the_kernel_takes() {
    let (server, mut hypervisor, one, _) = running();
    let (seen, inner) = (Arc::new(AtomicU32::new(99)), server.clone());
    let live = Arc::clone(&seen);
    hypervisor.on_change(Box::new(move || {
        let devices = observed(&inner, &one).devices;
        live.store(devices.iter().filter(|device| device.live).count() as u32, Ordering::Relaxed);
    }));
    set_count(&server.sysfs(), "0").expect("removed");
    assert_eq!(seen.load(Ordering::Relaxed), 0);
}
