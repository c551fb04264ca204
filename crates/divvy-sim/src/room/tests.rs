//! Rooms are as promised, the same every time, and found again as they were left. The numbers are those
//! of the table in the room's own file.

use std::collections::BTreeSet;

use divvy_core::step::DeviceScope;
use divvy_core::vm::Power;
use divvy_host::sysfs::Sysfs;
use divvy_hypervisor::Hypervisor;

use super::*;
use crate::server::Addresses;
use crate::testing::{driver, file, partition, read, ready, to_vfio, vm};

fn open(name: &str) -> Room {
    Room::open(name, 1, Delays::none()).expect("a room")
}

#[test]
fn rooms_have_the_servers_gpus_and_vms_that_are_promised() {
    for (name, servers, gpus, total, vms) in [
        ("a2-edge", 1, 1, "16\n", 20),
        ("a16-pair", 2, 4, "16\n", 68),
        ("a10-trio", 3, 2, "32\n", 52),
        ("a40-rack", 8, 4, "32\n", 132),
    ] {
        let room = open(name);
        assert_eq!(room.servers.len(), servers, "{name}");
        for server in &room.servers {
            assert_eq!((server.gpus().len(), server.vms().len()), (gpus, vms), "{name}");
            let address = server.gpus()[0].address.to_string();
            assert_eq!(read(&server.sysfs(), &file(&address, "sriov_totalvfs")), total, "{name}");
        }
    }
}

#[test]
fn the_lab_has_one_gpu_for_each_scheme_and_one_in_another_pci_domain() {
    let room = open("mixed-lab");
    let server = &room.servers[0];
    let drivers: Vec<String> = server
        .gpus()
        .iter()
        .map(|gpu| driver(&server.sysfs(), &gpu.address.to_string()).expect("a driver"))
        .collect();
    let expected = ["simgpu", "xe", "nvidia", "nvidia", "i915", "nvidia", "nvidia", "gim", "nvidia"];
    assert_eq!(drivers, expected);
    assert_eq!(server.gpus()[8].address.to_string(), "0001:81:00.0");
    assert_eq!(server.vms().len(), 204);
}

#[test]
fn the_rooms_of_two_models_and_of_mig_are_as_promised() {
    let room = open("a16-meets-a40");
    let of = |server: &SimServer| (server.id().to_string(), server.gpus().len(), server.vms().len());
    let servers: Vec<_> = room.servers.iter().map(of).collect();
    let expected = [("a16-1", 4, 68), ("a16-2", 4, 68), ("a40-1", 1, 36)];
    assert_eq!(servers, expected.map(|(name, gpus, vms)| (name.to_owned(), gpus, vms)));
    let names: BTreeSet<String> = room.servers.iter().flat_map(SimServer::vms).map(|vm| vm.name).collect();
    assert_eq!(names.len(), 68 + 68 + 36);
    let room = open("h200-mig");
    assert_eq!(of(&room.servers[0]), ("h200-1".to_owned(), 2, 68));
}

#[test]
fn gpus_of_rooms_with_one_model_have_the_scheme_of_their_vendor() {
    for name in ["a2-edge", "a16-pair", "a10-trio", "a40-rack", "a16-meets-a40"] {
        for server in open(name).servers {
            let gpu = server.gpus()[0].address.to_string();
            assert_eq!(driver(&server.sysfs(), &gpu).as_deref(), Some("nvidia"), "{name}");
        }
    }
}

#[test]
fn a_room_that_is_not_there_is_named_with_those_that_are() {
    let error = Room::open("a2-egde", 1, Delays::none()).err().expect("no such room");
    assert!(error.to_string().contains("a2-egde") && error.to_string().contains("a2-edge"), "{error}");
}

#[test]
fn vms_are_numbered_through_the_room_in_blocks() {
    let room = open("a16-pair");
    let names = |server: &SimServer| server.vms().into_iter().map(|vm| vm.name).collect::<BTreeSet<_>>();
    let second = names(&room.servers[1]);
    assert!(names(&room.servers[0]).contains("vm-001") && names(&room.servers[0]).contains("vm-068"));
    assert!(second.contains("vm-069") && second.contains("vm-136") && second.len() == 68);
    assert_eq!(room.servers[1].id().as_str(), "a16-2");
}

#[test]
fn vms_are_off_and_fit_for_a_gpu() {
    for vm in open("a2-edge").servers[0].vms() {
        assert_eq!((vm.power, vm.settings.firmware), (Power::Off, Firmware::Uefi));
        assert_eq!((vm.settings.machine, vm.settings.memory_bytes), (Machine::Q35, 8 << 30));
        assert!(vm.settings.free_hotplug_ports > 0 && vm.devices.is_empty());
        assert!(vm.settings.guest_os.is_some_and(|os| GUEST_SYSTEMS.contains(&os.as_str())));
    }
}

#[test]
fn a_servers_memory_holds_all_its_vms() {
    for name in NAMES {
        for spec in specs(name, 1).expect("a room") {
            let vms: u64 = spec.vms.iter().map(|vm| vm.settings.memory_bytes).sum();
            assert!(spec.memory_bytes > vms, "{name}");
        }
    }
}

#[test]
fn serial_numbers_are_unique_in_a_room_and_the_same_every_time() {
    let serials =
        |room: &Room| room.servers.iter().flat_map(SimServer::gpus).map(|gpu| gpu.serial).collect::<Vec<_>>();
    let (one, again) = (serials(&open("a40-rack")), serials(&open("a40-rack")));
    assert_eq!(one, again);
    assert_eq!(one.iter().collect::<BTreeSet<_>>().len(), 32);
}

#[test]
fn addresses_are_the_same_on_all_servers_of_a_room() {
    let room = open("a40-rack");
    let addresses =
        |server: &SimServer| server.gpus().iter().map(|gpu| gpu.address.to_string()).collect::<Vec<_>>();
    let first = addresses(&room.servers[0]);
    assert_eq!(first, ["0000:41:00.0", "0000:42:00.0", "0000:c1:00.0", "0000:c2:00.0"]);
    assert!(room.servers.iter().all(|server| addresses(server) == first));
}

#[test]
fn the_gpus_of_a_board_share_one_slot() {
    let room = open("a16-pair");
    let sysfs = room.servers[0].sysfs();
    assert_eq!(sysfs.list("sys/bus/pci/slots").expect("listed"), ["1"]);
    let path = sysfs.link("sys/bus/pci/devices/0000:46:00.0").expect("a link");
    assert!(path.ends_with("pci0000:40/0000:40:01.0/0000:41:00.0/0000:42:03.0/0000:46:00.0"), "{path}");
}

#[test]
fn the_same_seed_gives_the_same_room_and_another_seed_other_hardware() {
    let room = |seed| Room::open("a16-pair", seed, Delays::none()).expect("a room");
    let boot = |room: &Room| room.servers[0].boot_id();
    assert_eq!(room(1).save(), room(1).save());
    assert_eq!(boot(&room(1)), boot(&room(1)));
    assert_ne!(boot(&room(1)), boot(&room(2)));
    assert_ne!(room(1).servers[0].gpus(), room(2).servers[0].gpus());
    assert_eq!(vm(&room(1).servers[0], "vm-007"), vm(&room(2).servers[0], "vm-007"));
}

/// A room with partitions, bindings and a running VM, on its GPU of plain SR-IOV.
fn lived_in() -> Room {
    let room = open("mixed-lab");
    let server = &room.servers[0];
    let sysfs = server.sysfs();
    server.reboot(Addresses::Kept);
    partition(&sysfs, 4);
    to_vfio(&sysfs, "0000:41:00.5");
    let mut hypervisor = server.hypervisor();
    let one = vm(server, "vm-001");
    let defined = DeviceScope { defined: true, live: false };
    hypervisor.attach(&ready(&one, "0000:41:00.5", 1), defined).expect("defined");
    hypervisor.start(&one).expect("started");
    server.delete(&vm(server, "vm-002")).expect("deleted");
    room
}

#[test]
fn a_room_is_found_as_it_was_left() {
    let room = lived_in();
    let found = Room::load(&room.save(), Delays::none()).expect("loaded");
    let (before, after) = (&room.servers[0], &found.servers[0]);
    assert_eq!(before.vms(), after.vms());
    assert_eq!(before.boot_id(), after.boot_id());
    assert_eq!(driver(&after.sysfs(), "0000:41:00.5").as_deref(), Some("vfio-pci"));
    assert_eq!(driver(&after.sysfs(), "0000:41:00.4"), None);
    assert_eq!(read(&after.sysfs(), &file("0000:41:00.0", "sriov_drivers_autoprobe")), "0\n");
    let open = |server: &SimServer| server.sysfs().open_vfio_groups().expect("known");
    assert_eq!(open(before), open(after));
    assert_eq!(found.save(), room.save());
}

#[test]
fn a_found_room_works_on() {
    let found = Room::load(&lived_in().save(), Delays::none()).expect("loaded");
    let server = &found.servers[0];
    let one = vm(server, "vm-001");
    server.power_off(&one).expect("off");
    assert!(server.sysfs().open_vfio_groups().expect("known").is_empty());
    crate::testing::set_count(&server.sysfs(), "0").expect("removed");
}

#[test]
fn what_is_no_saved_room_is_refused() {
    let load = |text: &str| Room::load(text, Delays::none()).err().expect("refused");
    assert!(matches!(load("{"), RoomError::Unreadable { .. }));
    for found in [1, 9] {
        let other = format!(r#"{{"version": {found}}}"#);
        assert!(matches!(load(&other), RoomError::Version { found: it } if it == found));
    }
    let unknown = r#"{"version": 2, "room": "x", "seed": 1, "servers": []}"#;
    assert!(matches!(load(unknown), RoomError::Unknown { .. }));
    let fewer = r#"{"version": 2, "room": "a2-edge", "seed": 1, "servers": []}"#;
    assert!(matches!(load(fewer), RoomError::OtherServers { .. }));
}
