use super::*;
use crate::testing::{World, vm};
use crate::vm::Power;

type Spoil = fn(&mut ObservedVm);

#[test]
fn each_conflicting_setting_is_found_alone_and_has_a_mend() {
    let table: &[(&str, Severity, Spoil)] = &[
        ("vm_transient", Severity::Error, |vm| vm.settings.persistent = false),
        ("vm_saved_state", Severity::Error, |vm| vm.settings.saved_state = true),
        ("vm_memory_ballooning", Severity::Error, |vm| vm.settings.current_memory_bytes -= 1 << 30),
        ("vm_memory_exceeds_server", Severity::Error, |vm| {
            vm.settings.memory_bytes = 1 << 40;
            vm.settings.current_memory_bytes = 1 << 40;
        }),
        ("vm_firmware_bios", Severity::NeedsAccept, |vm| vm.settings.firmware = Firmware::Bios),
        ("vm_machine_type", Severity::NeedsAccept, |vm| vm.settings.machine = Machine::I440fx),
        ("vm_has_snapshots", Severity::NeedsAccept, |vm| vm.settings.snapshots = 2),
        ("vm_will_restart", Severity::NeedsAccept, |vm| {
            vm.power = Power::Running;
            vm.settings.free_hotplug_ports = 0;
        }),
    ];
    for (code, severity, spoil) in table {
        let mut spoiled = vm("vm-001");
        spoil(&mut spoiled);
        let found = findings(&spoiled, Need::UNKNOWN, Some(64 << 30));
        let codes: Vec<&str> = found.iter().map(|finding| finding.code.as_str()).collect();
        assert_eq!(codes, [*code]);
        assert_eq!(found[0].severity, *severity, "{code}");
        assert!(!found[0].mend.is_empty() && found[0].text.contains("vm-001"), "{code}");
    }
}

#[test]
fn a_vm_as_it_should_be_has_no_finding() {
    assert_eq!(findings(&vm("vm-001"), Need::UNKNOWN, Some(64 << 30)), []);
}

#[test]
fn firmware_is_no_matter_when_the_server_hands_the_kernel() {
    let mut direct = vm("vm-001");
    direct.settings.firmware = Firmware::DirectKernel;
    assert_eq!(findings(&direct, Need::UNKNOWN, None), []);
}

#[test]
fn a_partition_larger_than_the_firmwares_window_must_be_accepted() {
    let mut world = World::one_a2(4);
    world.gpu_mut().partitions[0].mmio_bytes = Some(48 << 30);
    let found = findings(&vm("vm-001"), Need::of_partition(&world.gpu().partitions[0]), None);
    assert_eq!(found.first().map(|f| f.code.as_str()), Some("vm_mmio_window"));
    assert!(found[0].mend.contains("98304"), "{}", found[0].mend);
}

#[test]
fn what_a_gpu_asks_of_a_vm_is_told_before_a_vm_gets_it() {
    let mut world = World::one_a2(4);
    let told = implied(world.gpu()).expect("has windows");
    assert!(told.contains("16384 MiB for the GPU as a whole, 1024 MiB for one of its partitions"), "{told}");
    assert!(told.contains("q35") && !told.contains("fw_cfg"), "{told}");
    world.gpu_mut().slot.mmio_bytes = Some(48 << 30);
    let told = implied(world.gpu()).expect("has windows");
    assert!(told.contains("X-PciMmio64Mb,string=98304"), "{told}");
    world.gpu_mut().slot.mmio_bytes = None;
    world.gpu_mut().partitions.iter_mut().for_each(|partition| partition.mmio_bytes = None);
    assert_eq!(implied(world.gpu()), None);
}

#[test]
fn whole_gpus_need_address_space_and_ports_for_everything_in_their_slots() {
    let mut world = World::one_a2(0);
    world.gpu_mut().slot.mmio_bytes = Some(20 << 30);
    let audio = crate::pci_address::PciAddress { function: 1, ..world.gpu().address };
    world.gpu_mut().slot.functions.push(crate::testing::slot_function(audio, "snd", 1));
    let mut running = vm("vm-001");
    running.power = Power::Running;
    let codes = |need: Need| {
        let found = findings(&running, need, None);
        found.iter().map(|finding| String::from(finding.code.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(codes(Need::of_whole([world.gpu()])), [""; 0]);
    let two = codes(Need::of_whole([world.gpu(), world.gpu()]));
    assert_eq!(two, ["vm_mmio_window", "vm_will_restart"]);
}

proptest::proptest! {
    /// A VM has no finding exactly if none of its settings conflicts.
    #[test]
    fn a_vm_passes_exactly_if_no_setting_conflicts(
        persistent: bool,
        saved_state: bool,
        ballooned: bool,
        uefi: bool,
        q35: bool,
        snapshots in 0u32..2,
        running: bool,
        ports in 0u32..2,
    ) {
        let mut one = vm("vm-001");
        let settings = &mut one.settings;
        settings.persistent = persistent;
        settings.saved_state = saved_state;
        settings.current_memory_bytes -= u64::from(ballooned);
        settings.firmware = if uefi { Firmware::Uefi } else { Firmware::Bios };
        settings.machine = if q35 { Machine::Q35 } else { Machine::Other };
        settings.snapshots = snapshots;
        settings.free_hotplug_ports = ports;
        one.power = if running { Power::Running } else { Power::Off };
        let sound = persistent && !saved_state && !ballooned && uefi && q35 && snapshots == 0 && (!running || ports > 0);
        proptest::prop_assert_eq!(findings(&one, Need::UNKNOWN, None).is_empty(), sound);
    }
}
