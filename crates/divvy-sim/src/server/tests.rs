//! Reboots, people who change VMs without asking, and a long random life of a server in which every
//! partition must have one holder.

use std::collections::BTreeMap;
use std::time::Duration;

use divvy_core::step::DeviceScope;
use divvy_core::vm::Power;
use divvy_host::sysfs::Sysfs;
use divvy_hypervisor::Hypervisor;
use proptest::prelude::*;

use super::*;
use crate::rng::Rng;
use crate::spec::Delays;
use crate::testing::{
    GPU, driver, gpu_file, group, partition, read, ready, server, server_like, set_count, to_vfio, vm,
};

const VF: &str = "0000:41:00.4";

#[test]
fn a_reboot_forgets_partitions_overrides_and_running_vms_and_keeps_definitions() {
    let server = server();
    let sysfs = server.sysfs();
    partition(&sysfs, 4);
    sysfs.write(&gpu_file("driver_override"), "vfio-pci").expect("set");
    let one = vm(&server, "vm-001");
    server.power_on(&one).expect("on");
    server.reboot(Addresses::Kept);
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "0\n");
    assert_eq!(read(&sysfs, &gpu_file("sriov_drivers_autoprobe")), "1\n");
    assert_eq!(read(&sysfs, &gpu_file("driver_override")), "(null)\n");
    assert_eq!(driver(&sysfs, GPU).as_deref(), Some("simgpu"));
    assert!(server.vms().iter().all(|vm| vm.power == Power::Off));
    assert_eq!(server.vms().len(), 20);
}

#[test]
fn every_boot_has_an_id_of_its_own() {
    let server = server();
    let first = read(&server.sysfs(), "proc/sys/kernel/random/boot_id");
    server.reboot(Addresses::Kept);
    let second = read(&server.sysfs(), "proc/sys/kernel/random/boot_id");
    assert_ne!(first, second);
    assert_eq!(second.trim(), server.boot_id());
}

#[test]
fn renumbering_keeps_serial_numbers_and_gives_an_old_address_to_another_gpu() {
    let server = server_like("a10-trio", Delays::none(), |_| ());
    let before = server.gpus();
    server.reboot(Addresses::Renumbered);
    let after = server.gpus();
    let serials = |gpus: &[GpuPlace]| gpus.iter().map(|gpu| gpu.serial).collect::<Vec<_>>();
    assert_eq!(serials(&before), serials(&after));
    assert_eq!(after[0].address, before[1].address);
    assert!(server.sysfs().exists(&format!("sys/bus/pci/devices/{}", after[1].address)));
}

#[test]
fn addresses_stay_moved_at_the_next_plain_reboot() {
    let server = server();
    server.reboot(Addresses::Renumbered);
    let moved = server.gpus();
    server.reboot(Addresses::Kept);
    assert_eq!(server.gpus(), moved);
}

#[test]
fn vms_that_start_by_themselves_wait_for_the_call_and_fail_without_their_partition() {
    let server = server();
    let sysfs = server.sysfs();
    let (one, other) = (vm(&server, "vm-001"), vm(&server, "vm-002"));
    for id in [&one, &other] {
        server.edit(id, |vm| vm.settings.autostart = true).expect("edited");
    }
    let defined = DeviceScope { defined: true, live: false };
    server.hypervisor().attach(&ready(&one, VF, 0), defined).expect("defined");
    server.reboot(Addresses::Kept);
    let failed = server.start_autostart();
    assert_eq!(failed.iter().map(|(id, _)| id).collect::<Vec<_>>(), [&one]);
    partition(&sysfs, 1);
    to_vfio(&sysfs, VF);
    assert_eq!(server.start_autostart(), []);
    let running = server.vms().into_iter().filter(|vm| vm.power == Power::Running).count();
    assert_eq!(running, 2);
}

#[test]
fn a_vm_can_come_and_go_without_divvy() {
    let server = server();
    let one = vm(&server, "vm-001");
    let definition = crate::room::specs("a2-edge", 1).expect("a room")[0].vms[0].clone();
    assert!(matches!(server.define(definition.clone()), Err(LibvirtError::Exists { .. })));
    server.delete(&one).expect("deleted");
    assert_eq!(server.vms().len(), 19);
    server.define(definition).expect("defined");
    assert_eq!(server.vms().len(), 20);
}

#[test]
fn a_vm_deleted_while_it_runs_goes_when_it_stops() {
    let server = server();
    let one = vm(&server, "vm-001");
    server.power_on(&one).expect("on");
    server.delete(&one).expect("deleted");
    assert_eq!(server.vms().len(), 20);
    server.power_off(&one).expect("off");
    assert_eq!(server.vms().len(), 19);
}

#[test]
fn somebody_can_plug_a_partition_in_without_leaving_a_name() {
    let server = server();
    partition(&server.sysfs(), 1);
    to_vfio(&server.sysfs(), VF);
    let one = vm(&server, "vm-001");
    server.power_on(&one).expect("on");
    server.plug(&one, VF.parse().expect("an address")).expect("plugged");
    let devices = server.vms().into_iter().find(|vm| vm.id == one).expect("the VM").devices;
    assert_eq!((devices[0].alias.clone(), devices[0].live), (None, true));
}

#[test]
fn faults_that_a_power_cycle_mends_are_mended() {
    let server = server();
    let serial = server.gpus()[0].serial;
    server.set_fault(serial, GpuFault::Lost);
    server.set_fault(serial, GpuFault::WriteFails { errno: 28 });
    server.reboot(Addresses::Kept);
    let config = server.sysfs().read(&gpu_file("config")).expect("read");
    assert_eq!(config[..2], [0xde, 0x10]);
    assert!(set_count(&server.sysfs(), "4").is_err());
}

/// Everything that people, the kernel and Divvy do to a server, at random.
fn happen(server: &SimServer, rng: &mut Rng) {
    let sysfs = server.sysfs();
    let mut hypervisor = server.hypervisor();
    let ids: Vec<VmId> = server.vms().into_iter().take(4).map(|vm| vm.id).collect();
    let Some(vm) = rng.pick(&ids) else { return };
    let index = rng.below(3) as u16;
    let place = server.gpus()[0].address.routing_id_plus(4 + u32::from(index)).expect("on the bus");
    let address = place.to_string();
    let gpu = format!("sys/bus/pci/devices/{}", server.gpus()[0].address);
    let scope = DeviceScope { defined: rng.below(2) == 0, live: rng.below(2) == 0 };
    let manners = Manners { lets_go: rng.below(3) > 0, powers_off: rng.below(3) > 0 };
    let none = Duration::ZERO;
    // Refusals are part of the game: what counts is what the server is like afterwards.
    match rng.below(16) {
        0 if rng.below(4) == 0 => drop(sysfs.write_within(&format!("{gpu}/sriov_numvfs"), "0", none)),
        1 | 2 => drop(sysfs.write_within(&format!("{gpu}/sriov_numvfs"), "3", none)),
        3 => drop(sysfs.write_within("sys/bus/pci/drivers/vfio-pci/unbind", &address, none)),
        4 => drop(hypervisor.shut_down(vm, none)),
        5 => drop(server.power_off(vm)),
        6 => drop(server.pause(vm)),
        7 => drop(server.resume(vm)),
        8 => drop(server.set_manners(vm, manners)),
        9 => drop(hypervisor.detach(vm, place.into(), scope)),
        10 if rng.below(6) == 0 => {
            server.reboot(Addresses::Renumbered);
            for id in &ids {
                server.edit(id, |vm| vm.devices.clear()).expect("known");
            }
        }
        11 => {
            let _ = sysfs.write_within(&format!("{gpu}/virtfn{index}/driver_override"), "vfio-pci", none);
            let _ = sysfs.write_within(&format!("{gpu}/virtfn{index}/driver/unbind"), &address, none);
            drop(sysfs.write_within("sys/bus/pci/drivers_probe", &address, none));
        }
        12 | 13 => drop(server.power_on(vm)),
        _ => drop(hypervisor.attach(&ready(vm, &address, index), scope)),
    }
}

/// One holder for each partition, every holder has it open, and nobody else has.
fn check_holders(server: &SimServer) {
    let sysfs = server.sysfs();
    let mut groups = BTreeMap::new();
    for device in server.vms().iter().flat_map(|vm| &vm.devices).filter(|device| device.live) {
        let address = device.device.to_string();
        assert_eq!(driver(&sysfs, &address).as_deref(), Some("vfio-pci"), "{address}");
        assert_eq!(groups.insert(group(&sysfs, &address), address), None, "two holders");
    }
    let open = sysfs.open_vfio_groups().expect("known");
    assert!(open.keys().eq(groups.keys()), "{open:?} are open, {groups:?} are held");
    assert!(open.values().all(|pids| pids.len() == 1), "{open:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_a_partition_has_one_holder_that_has_it_open(seed in any::<u64>()) {
        let server = server();
        let mut rng = Rng::new(seed);
        for _ in 0..80 {
            happen(&server, &mut rng);
            check_holders(&server);
        }
    }
}

#[test]
fn what_happens_at_random_reaches_running_vms_with_partitions() {
    let server = server();
    let mut rng = Rng::new(1);
    let mut held = 0;
    for _ in 0..2000 {
        happen(&server, &mut rng);
        held = held.max(server.sysfs().open_vfio_groups().expect("known").len());
    }
    assert!(held >= 2, "never more than {held} were held");
}
