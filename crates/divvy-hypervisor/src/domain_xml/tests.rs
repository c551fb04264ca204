use super::*;
use divvy_core::device::{DeviceHandle, MdevUuid};
use divvy_core::given::Given;
use divvy_core::id::PartitionId;
use divvy_core::pci_address::PciAddress;
use divvy_core::vm::{Firmware, Machine};
use proptest::prelude::*;

const GOLDEN: [&str; 5] = [
    include_str!("../../tests/golden/q35_uefi.xml"),
    include_str!("../../tests/golden/several_hostdevs.xml"),
    include_str!("../../tests/golden/interface_hostdev.xml"),
    include_str!("../../tests/golden/namespaces.xml"),
    include_str!("../../tests/golden/qemu_commandline.xml"),
];

fn vm(inside: &str) -> String {
    format!("<domain><name>a</name><uuid>b</uuid><memory>4096</memory>{inside}</domain>")
}

fn settings_of(inside: &str) -> Settings {
    read(&vm(inside)).expect("can be read").settings
}

fn address(text: &str) -> PciAddress {
    text.parse().expect("parses")
}

#[test]
fn what_is_no_vms_definition_is_refused_by_name() {
    assert!(matches!(read(""), Err(DefinitionError::Xml(_))));
    assert_eq!(read("<network/>"), Err(DefinitionError::NotAVm { found: "network".into() }));
    let no_name = "<domain><uuid>b</uuid><memory>1</memory></domain>";
    assert_eq!(read(no_name), Err(DefinitionError::Missing { what: "name" }));
    let no_memory = "<domain><name>a</name><uuid>b</uuid></domain>";
    assert_eq!(read(no_memory), Err(DefinitionError::Missing { what: "memory" }));
}

#[test]
fn a_physical_device_whose_address_cannot_be_read_is_never_passed_over() {
    for source in [
        "",
        "<source/>",
        "<source><address domain='0' bus='0x100' slot='0' function='0'/></source>",
        "<source><address domain='0' bus='1' slot='32' function='0'/></source>",
        "<source><address domain='0' bus='1' slot='0' function='8'/></source>",
        "<source><address domain='0' bus='x' slot='0' function='0'/></source>",
        "<source><address domain='0' bus='+1' slot='0' function='0'/></source>",
        "<source><address domain='0x' bus='1' slot='0' function='0'/></source>",
    ] {
        let xml = vm(&format!("<devices><hostdev type='pci'>{source}</hostdev></devices>"));
        assert!(matches!(read(&xml), Err(DefinitionError::Address { .. })), "{source} was passed over");
    }
}

#[test]
fn the_numbers_of_an_address_are_read_as_libvirt_reads_them() {
    for (text, value) in [("0x41", 65), ("0X1f", 31), ("65", 65), ("0101", 65), ("0", 0), ("00", 0)] {
        assert_eq!(number(text), Some(value), "{text}");
    }
    for text in ["", "0x", "-1", "08", "1 2", "0x1_0", "４"] {
        assert_eq!(number(text), None, "{text:?}");
    }
}

#[test]
fn an_address_that_stands_twice_is_one_device() {
    let one = "<hostdev type='pci'><source><address bus='1'/></source></hostdev>";
    let xml = vm(&format!("<devices>{one}{one}</devices>"));
    assert_eq!(read(&xml).expect("can be read").devices.len(), 1);
}

#[test]
fn memory_is_scaled_as_libvirt_scales_it() {
    for (unit, bytes) in [
        ("b", 5),
        ("KB", 5_000),
        ("k", 5_120),
        ("KiB", 5_120),
        ("mib", 5 << 20),
        ("GB", 5_000_000_000),
        ("E", 5 << 60),
    ] {
        let xml = format!("<domain><name>a</name><uuid>b</uuid><memory unit='{unit}'>5</memory></domain>");
        assert_eq!(read(&xml).expect("can be read").settings.memory_bytes, bytes, "{unit}");
    }
}

#[test]
fn an_amount_of_memory_that_makes_no_sense_is_refused() {
    for (unit, amount) in [("KiB", "-1"), ("KiB", "x"), ("fortnights", "1"), ("EiB", "17"), ("é", "1")] {
        let xml =
            format!("<domain><name>a</name><uuid>b</uuid><memory unit='{unit}'>{amount}</memory></domain>");
        assert!(matches!(read(&xml), Err(DefinitionError::Memory { .. })), "{amount} {unit}");
    }
}

#[test]
fn without_a_balloon_the_vm_has_all_of_its_memory() {
    let current = "<currentMemory>1024</currentMemory>";
    let with = settings_of(&format!("{current}<devices/>"));
    assert_eq!((with.memory_bytes, with.current_memory_bytes), (4096 << 10, 1024 << 10));
    let without = settings_of(&format!("{current}<devices><memballoon model='none'/></devices>"));
    assert_eq!(without.current_memory_bytes, without.memory_bytes);
}

#[test]
fn firmware_is_uefi_however_it_is_written() {
    for os in [
        "<os firmware='efi'><type>hvm</type></os>",
        "<os><loader type='pflash'>/x.fd</loader></os>",
        "<os><loader type='rom'>/usr/share/OVMF/OVMF.fd</loader></os>",
        "<os><loader type='pflash'>/x.fd</loader><kernel>/vmlinuz</kernel></os>",
    ] {
        assert_eq!(settings_of(os).firmware, Firmware::Uefi, "{os}");
    }
    assert_eq!(settings_of("<os firmware='bios'/>").firmware, Firmware::Bios);
    assert_eq!(settings_of("<os><loader>/usr/lib/xen/hvmloader</loader></os>").firmware, Firmware::Bios);
    assert_eq!(settings_of("<os><kernel>/vmlinuz</kernel></os>").firmware, Firmware::DirectKernel);
}

#[test]
fn machines_are_told_apart_by_their_names() {
    for (name, machine) in [
        ("pc-q35-8.2", Machine::Q35),
        ("q35", Machine::Q35),
        ("pc-i440fx-rhel7.6.0", Machine::I440fx),
        ("pc", Machine::I440fx),
        ("pc-1.3", Machine::I440fx),
        ("virt-8.2", Machine::Other),
        ("microvm", Machine::Other),
        ("pseries-7.2", Machine::Other),
    ] {
        let os = format!("<os><type machine='{name}'>hvm</type></os>");
        assert_eq!(settings_of(&os).machine, machine, "{name}");
    }
}

#[test]
fn a_mediated_device_is_written_as_libvirt_writes_it() {
    let uuid: MdevUuid = "4b20d080-1b54-4048-85b3-a6a62d165c01".parse().expect("parses");
    assert_eq!(
        fragment(uuid, Some("ua-divvy-gpu-1_0")),
        "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source>\
         <address uuid='4b20d080-1b54-4048-85b3-a6a62d165c01'/></source>\
         <alias name='ua-divvy-gpu-1_0'/></hostdev>"
    );
}

#[test]
fn a_mediated_device_whose_uuid_cannot_be_read_is_never_passed_over() {
    for address in ["", "<address/>", "<address uuid='x'/>", "<address bus='1'/>"] {
        let xml =
            vm(&format!("<devices><hostdev type='mdev'><source>{address}</source></hostdev></devices>"));
        assert!(matches!(read(&xml), Err(DefinitionError::Address { .. })), "{address} was passed over");
    }
}

#[test]
fn a_mediated_device_is_taken_out_whatever_the_case_of_its_letters() {
    let uuid: MdevUuid = "4b20d080-1b54-4048-85b3-a6a62d165c01".parse().expect("parses");
    let source = "<source><address uuid='4B20D080-1B54-4048-85B3-A6A62D165C01'/></source>";
    let xml = vm(&format!("<devices><hostdev type='mdev'>{source}</hostdev></devices>"));
    assert_eq!(without_device(&xml, uuid), Ok(Some(vm("<devices></devices>"))));
}

#[test]
fn the_alias_of_what_was_given_leads_back_to_it() {
    for (text, expected) in [
        ("gpu-48b02d0a41c7.12", "ua-divvy-gpu-48b02d0a41c7_12"),
        ("gpu-48b02d0a41c7:1", "ua-divvy-gpu-48b02d0a41c7_f1"),
    ] {
        let given: Given = text.parse().expect("parses");
        assert_eq!(alias(&given), expected);
        assert_eq!(given_of_alias(expected), Some(given));
    }
}

#[test]
fn the_alias_of_another_tool_is_nothing_that_was_given() {
    for alias in [
        "hostdev0",
        "ua-divvy",
        "ua-divvy-",
        "ua-divvy-gpu",
        "ua-divvy-gpu_x",
        "ua-other-gpu_1",
        "ua-divvy-gpu_f9",
    ] {
        assert_eq!(given_of_alias(alias), None, "{alias}");
    }
}

#[test]
fn a_device_finds_its_place_even_where_there_are_no_devices_yet() {
    let fragment = fragment(address("0000:41:00.4"), Some("ua-divvy-a_1"));
    for xml in [vm(""), vm("<devices/>"), vm("<devices></devices>"), vm("<devices a='/>'  />")] {
        let with = with_device(&xml, &fragment).expect("can be written");
        assert_eq!(read(&with).expect("can be read").devices.len(), 1, "{with}");
    }
}

#[test]
fn taking_out_what_is_not_there_changes_nothing() {
    for xml in GOLDEN {
        assert_eq!(without_device(xml, address("0000:77:00.0")), Ok(None));
    }
}

#[test]
fn only_a_hostdev_is_ever_taken_out() {
    let xml = include_str!("../../tests/golden/interface_hostdev.xml");
    assert_eq!(without_device(xml, address("0000:41:10.2")), Ok(None));
    assert_eq!(without_device(xml, address("0000:81:00.0")), Ok(None));
}

#[test]
fn elements_nested_very_deep_end_in_an_answer() {
    let depth = 100_000;
    let xml = vm(&format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth)));
    let _ = read(&xml);
    let _ = read(&"<a>".repeat(depth));
}

fn any_address() -> impl Strategy<Value = PciAddress> {
    (any::<u32>(), any::<u8>(), 0..32_u8, 0..8_u8).prop_map(|(domain, bus, device, function)| PciAddress {
        domain,
        bus,
        device,
        function,
    })
}

fn any_handle() -> impl Strategy<Value = DeviceHandle> {
    let mdev = any_partition().prop_map(|partition| MdevUuid::of(&partition).into());
    prop_oneof![any_address().prop_map(DeviceHandle::from), mdev]
}

fn any_partition() -> impl Strategy<Value = PartitionId> {
    ("[a-z0-9-]{1,40}", any::<u16>())
        .prop_map(|(gpu, index)| format!("{gpu}.{index}").parse().expect("a partition id"))
}

/// A golden definition with a few bytes taken out, doubled or replaced.
fn mutated() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..40_usize, "[<>/='\"&a-z0-9\u{0}é]{0,3}");
    (0..GOLDEN.len(), prop::collection::vec(change, 1..6)).prop_map(|(which, changes)| {
        let mut text = GOLDEN[which].to_owned();
        for (at, length, new) in changes {
            let starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
            let Some(first) = starts.get(at.index(starts.len().max(1))).copied() else { continue };
            let last = starts.iter().copied().find(|start| *start >= first + length).unwrap_or(text.len());
            text.replace_range(first..last, &new);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn any_text_ends_in_an_answer(text in any::<String>(), at in any_handle()) {
        let _ = read(&text);
        let _ = with_device(&text, "<hostdev/>");
        let _ = without_device(&text, at);
    }

    #[test]
    fn a_damaged_definition_ends_in_an_answer(text in mutated()) {
        let _ = read(&text);
        let _ = with_device(&text, "<hostdev/>");
        let _ = without_device(&text, address("0000:c1:04.3"));
    }

    #[test]
    fn the_fragment_says_what_was_put_into_it(at in any_handle(), partition in any_partition()) {
        let text = fragment(at, Some(&alias(&partition.clone().into())));
        let definition = read(&vm(&format!("<devices>{text}</devices>"))).expect("can be read");
        let [device] = definition.devices.as_slice() else { panic!("one device") };
        prop_assert_eq!(device.handle, at);
        prop_assert_eq!(device.kind, DeviceKind::Hostdev);
        prop_assert!(!device.managed);
        prop_assert_eq!(device.alias.as_deref().and_then(given_of_alias), Some(partition.into()));
    }

    #[test]
    fn a_device_put_in_is_found_and_taken_out_again(
        which in 0..GOLDEN.len(), at in any_handle(), partition in any_partition(),
    ) {
        let before = read(GOLDEN[which]).expect("can be read");
        prop_assume!(before.devices.iter().all(|device| device.handle != at));
        let with = with_device(GOLDEN[which], &fragment(at, Some(&alias(&partition.clone().into())))).expect("written");
        let devices = read(&with).expect("can be read").devices;
        prop_assert_eq!(devices.iter().filter(|device| device.handle == at).count(), 1);
        let without = without_device(&with, at).expect("can be read").expect("it was there");
        prop_assert_eq!(read(&without).expect("can be read"), before);
    }
}
