//! Each golden definition against the VM that is reported for it. A new expectation is written by hand
//! from what a failing test prints.

use super::*;
use divvy_core::pci_address::PciAddress;

fn facts(defined: Option<&str>, live: Option<&str>) -> VmFacts {
    VmFacts {
        id: VmId::new("1b7e1a0c-3c52-4b6d-9d3a-0f3f6f1f8a11").expect("a UUID"),
        name: "vm".into(),
        power: if live.is_some() { Power::Running } else { Power::Off },
        autostart: false,
        persistent: defined.is_some(),
        saved_state: false,
        snapshots: 0,
        defined_xml: defined.map(str::to_owned),
        live_xml: live.map(str::to_owned),
    }
}

fn compare(mut facts: VmFacts, expected: &str) {
    let text = facts.defined_xml.as_ref().or(facts.live_xml.as_ref()).expect("one of the two");
    let definition = domain_xml::read(text).expect("a golden definition can be read");
    facts.id = VmId::new(&definition.uuid).expect("a UUID");
    facts.name = definition.name;
    let seen = see(facts).expect("there is a VM");
    let actual = serde_json::to_value(&seen.vm).expect("serialises");
    let printed = serde_json::to_string_pretty(&actual).expect("serialises");
    let expected: serde_json::Value = serde_json::from_str(expected).expect("the expectation is JSON");
    assert!(actual == expected, "not as expected; what is reported now:\n{printed}");
}

macro_rules! golden {
    (file $name:ident) => { include_str!(concat!("../../tests/golden/", stringify!($name), ".xml")) };
    (live $name:ident) => { include_str!(concat!("../../tests/golden/", stringify!($name), ".live.xml")) };
    (json $name:ident) => { include_str!(concat!("../../tests/golden/", stringify!($name), ".json")) };
    (off: $($name:ident)*; running: $($live:ident)*; both: $($both:ident)*;) => {
        mod golden {
            $(#[test] fn $name() {
                super::compare(super::facts(Some(golden!(file $name)), None), golden!(json $name));
            })*
            $(#[test] fn $live() {
                super::compare(super::facts(None, Some(golden!(live $live))), golden!(json $live));
            })*
            $(#[test] fn $both() {
                let facts = super::facts(Some(golden!(file $both)), Some(golden!(live $both)));
                super::compare(facts, golden!(json $both));
            })*
        }
    };
}

golden! {
    off: q35_uefi i440fx_bios mdev several_hostdevs interface_hostdev namespaces qemu_commandline
         weird_units minimal aarch64 undeclared_prefix;
    running: cloud_image direct_kernel;
    both: moved;
}

const HELD: &str = "<domain><name>a</name><uuid>b</uuid><memory>1</memory><devices>\
     <hostdev mode='subsystem' type='pci'><source><address bus='0x41' function='4'/></source></hostdev>\
     </devices></domain>";

fn held() -> PciAddress {
    "0000:41:00.4".parse().expect("parses")
}

#[test]
fn a_definition_that_cannot_be_read_makes_the_power_unknown_and_says_so() {
    let listed = Listed::Vm(facts(Some("<domain><name>"), None));
    let (vm, finding) = report(listed).expect("it is listed");
    assert_eq!((vm.power, vm.devices.len()), (Power::Unknown, 0));
    let finding = finding.expect("a finding");
    assert_eq!(finding.code.as_str(), "vm_unreadable");
    assert_eq!(finding.subject, Subject::Vm(vm.id));
    assert!(finding.text.contains("VM vm cannot be read"), "{}", finding.text);
}

#[test]
fn what_can_be_read_of_a_half_readable_vm_is_still_reported() {
    let seen = see(facts(Some(HELD), Some("<domain id='1'>"))).expect("there is a VM");
    assert!(seen.problem.is_some());
    assert_eq!(seen.vm.power, Power::Unknown);
    assert!(seen.vm.device(held()).is_some_and(|device| device.defined));
}

#[test]
fn a_vm_that_the_hypervisor_does_not_describe_is_listed_with_the_reason() {
    let error = crate::failure::LibvirtError {
        function: "virDomainGetXMLDesc",
        code: 1,
        domain: 10,
        message: "internal error: broken".into(),
    };
    let id = VmId::new("0e4d37ad-0a2c-4bcd-9a65-5d0c8d0e4b07").expect("a UUID");
    let (vm, finding) = report(Listed::Unreadable { id, name: "x".into(), error }).expect("listed");
    assert_eq!(vm.power, Power::Unknown);
    assert!(finding.expect("a finding").text.contains("internal error: broken"));
}

#[test]
fn a_definition_read_in_place_of_a_running_vm_does_not_count_as_running() {
    let seen = see(facts(Some(HELD), Some(HELD))).expect("there is a VM");
    assert!(seen.live.is_none());
    assert!(seen.vm.device(held()).is_some_and(|device| device.defined && !device.live));
}

#[test]
fn a_vm_that_went_away_while_it_was_read_is_not_listed() {
    assert!(report(Listed::Vm(facts(None, None))).is_none());
}

#[test]
fn what_the_hypervisor_keeps_beside_the_definition_is_reported() {
    let mut facts = facts(Some(HELD), None);
    (facts.autostart, facts.saved_state, facts.snapshots) = (true, true, 3);
    let settings = see(facts).expect("there is a VM").vm.settings;
    assert!(settings.autostart && settings.saved_state && settings.persistent);
    assert_eq!(settings.snapshots, 3);
}
