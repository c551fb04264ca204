//! What every parser of Divvy promises for any bytes whatever: no panic, and what was understood says the
//! same when it is written and read again. One function for each parser, none of which knows who calls
//! it: a fuzzer in `fuzz/`, or ordinary tests with drawn inputs. Beside each stand inputs that are good,
//! to start from.

#![forbid(unsafe_code)]

mod garbage;
mod schemes;

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;

use divvy_api::endpoint::Endpoint;
use divvy_api::requests::{Assign, AssignOne, SetPartitionCount, SetPartitionCounts, SetPower, Unassign};
use divvy_core::assignment::{Assignment, Hold};
use divvy_core::desired::{Generation, PartitionSetting};
use divvy_core::device::DeviceHandle;
use divvy_core::event::Event;
use divvy_core::finding::FindingCode;
use divvy_core::given::Given;
use divvy_core::id::{GpuId, PartitionId, PoolName, ServerId, VmId};
use divvy_core::job::Job;
use divvy_core::pci_address::PciAddress;
use divvy_host::{attribute, pci};
use divvy_hypervisor::domain_xml::{alias, fragment, given_of_alias, with_device, without_device};
use divvy_hypervisor::{domain_xml, hook::HookCall};
use divvy_server::hook::Gate;
use divvy_server::settings;
use divvy_sim::room::Room;
use divvy_sim::spec::Delays;
use divvy_store::record::Key;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use garbage::sys_tree;
pub use schemes::{gim_profiles, intel_shares, nvidia_programs, nvidia_types};

/// A parser's promise, by name.
pub type Promise = (&'static str, fn(&[u8]), &'static [&'static str]);

/// All of them.
pub const PROMISES: &[Promise] = &[
    ("addresses_and_ids", addresses_and_ids, ADDRESSES),
    ("pci_config_and_windows", pci_config_and_windows, WINDOWS),
    ("domain_xml", vm_definition, DEFINITIONS),
    ("hook_call", hook_call, HOOK_CALLS),
    ("settings_file", settings_file, SETTINGS),
    ("api_bodies", api_bodies, BODIES),
    ("store_records", store_records, RECORDS),
    ("sys_tree", sys_tree, garbage::TREES),
    ("room_text", room_text, ROOMS),
    ("nvidia_types", nvidia_types, schemes::TYPES),
    ("nvidia_programs", nvidia_programs, schemes::SAID),
    ("intel_shares", intel_shares, schemes::SHARES),
    ("gim_profiles", gim_profiles, schemes::PROFILES),
];

const ADDRESSES: &[&str] =
    &["0000:41:00.0", "41:00.0", "10000:ff:1f.7", "gpu-48b02db7b700001d.12", "a10-1", "http://[::1]:80"];

/// What says the same when it was written and is read again.
fn survives_printing<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let printed = value.to_string();
        let again = printed.parse::<T>().ok();
        assert_eq!(again.as_ref(), Some(&value), "{text:?} was printed as {printed:?}");
    }
}

pub fn addresses_and_ids(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    survives_printing::<PciAddress>(text);
    survives_printing::<DeviceHandle>(text);
    survives_printing::<ServerId>(text);
    survives_printing::<GpuId>(text);
    survives_printing::<VmId>(text);
    survives_printing::<PartitionId>(text);
    survives_printing::<Given>(text);
    survives_printing::<PoolName>(text);
    survives_printing::<FindingCode>(text);
    if let Ok(endpoint) = Endpoint::http(text) {
        let printed = endpoint.to_string();
        assert_eq!(Endpoint::http(&printed), Ok(endpoint), "{text:?} was printed as {printed:?}");
    }
    if let Ok(given) = text.parse::<Given>() {
        let name = alias(&given);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        assert!(name.bytes().all(plain), "libvirt takes no alias {name:?}");
        assert_eq!(given_of_alias(&name), Some(given));
    }
}

const WINDOWS: &[&str] = &["0x0000000090000000 0x0000000090ffffff 0x0000000000040200\n0x0 0x0 0x0\n"];

pub fn pci_config_and_windows(bytes: &[u8]) {
    let config = pci::parse_config(bytes);
    assert!(config.is_none() || bytes.len() >= 64, "a header has 64 bytes");
    let on = pci::interrupts::are_on(bytes);
    assert!(on.is_none() || bytes.len() > 0x34, "its list begins in the header");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = pci::parse_windows(text).map_err(|line| assert!(text.contains(line)));
    let _ = attribute::parse_hex(text);
    let number: Option<u16> = attribute::parse_decimal(text);
    assert!(number.is_none() || text.bytes().all(|byte| byte.is_ascii_digit()));
}

const DEFINITIONS: &[&str] = &[
    "<domain type='kvm'><name>vm-001</name><uuid>0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f</uuid>\
     <memory unit='GiB'>8</memory><os><type machine='pc-q35-8.2'>hvm</type></os><devices>\
     <hostdev mode='subsystem' type='pci' managed='no'><source><address domain='0x0000' bus='0x41' \
     slot='0x00' function='0x4'/></source><alias name='ua-divvy-gpu-1_0'/></hostdev></devices></domain>",
    "<domain><name>a</name><uuid>c0ffee00-0000-4000-8000-000000000001</uuid><memory>1</memory><devices/></domain>",
];

pub fn vm_definition(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(before) = domain_xml::read(text) else { return };
    let address = PciAddress { domain: 0, bus: 0x41, device: 0x1f, function: 7 };
    if before.devices.iter().any(|device| device.handle == address.into()) {
        return;
    }
    // What has to be read leniently is not edited.
    let Ok(with) = with_device(text, &fragment(address, Some("ua-divvy-x_1"))) else { return };
    let after = domain_xml::read(&with).unwrap_or_else(|error| panic!("{error:?} in {with:?}"));
    assert_eq!(after.devices.len(), before.devices.len() + 1, "{with:?}");
    let without = without_device(&with, address).ok().flatten();
    let without = without.unwrap_or_else(|| panic!("the device cannot be taken out of {with:?}"));
    assert_eq!(domain_xml::read(&without).ok(), Some(before), "{without:?}");
}

const HOOK_CALLS: &[&str] = &[
    "vm-001\nprepare\nbegin\n-\n<domain type='kvm'><name>vm-001</name>\
     <uuid>0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f</uuid><memory>8</memory><devices/></domain>",
    "vm-001\nmigrate\nbegin\n\n<domain/>",
];

/// Four lines of arguments, then the definition.
pub fn hook_call(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines: Vec<&str> = text.splitn(5, '\n').collect();
    let xml = lines.pop().unwrap_or_default();
    if let Ok(call) = HookCall::parse(&lines, xml) {
        assert_eq!(call.name, lines[0], "the call is about the VM that libvirt names");
    }
}

const SETTINGS: &[&str] = &[
    "server_name = \"edge-1\"\nmore_gpus = [\"8086:10c9\"]\nwrite_deadline_seconds = 60\n",
    "libvirt_uri = 'qemu:///system'\nsocket_group = 'divvy'\n",
];

pub fn settings_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match settings::parse(Path::new("divvyd.toml"), text) {
        Ok(settings) => assert!((5..=3600).contains(&settings.write_deadline.as_secs())),
        Err(error) => assert!(error.to_string().contains("divvyd.toml"), "{error}"),
    }
}

const BODIES: &[&str] = &[
    r#"{"count": 4, "dry_run": true}"#,
    r#"{"gpus": "all", "off": true}"#,
    r#"{"vms": ["vm-001"], "gpu": null, "partition": "x.1", "accept": ["vm_will_restart"]}"#,
    r#"{"vm": "a", "name": "b", "devices": ["0000:41:00.4"], "migration": false}"#,
    r#"{"on": true}"#,
];

/// What says the same when it was written as JSON and is read again.
fn survives_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&value).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    let again: T = serde_json::from_slice(&written).unwrap_or_else(|error| panic!("{value:?}: {error}"));
    assert_eq!(again, value);
    Some(value)
}

pub fn api_bodies(bytes: &[u8]) {
    if let Some(body) = survives_json::<SetPartitionCount>(bytes) {
        assert_eq!(body.validate().is_ok(), body.count.is_some() != body.off);
    }
    let _ = survives_json::<SetPartitionCounts>(bytes).map(|body| body.validate());
    let _ = survives_json::<AssignOne>(bytes).map(|body| body.validate());
    let _ = survives_json::<Assign>(bytes).map(|body| body.validate());
    let _ = survives_json::<Unassign>(bytes).map(|body| body.validate());
    let _ = survives_json::<SetPower>(bytes);
    let _ = serde_json::from_slice::<Gate>(bytes);
}

const RECORDS: &[&str] = &[
    "assignment/edge-1/0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f",
    "hold/edge-1/gpu-1.0",
    "generation/edge-1",
    r#"{"vm": "a", "vm_name": "vm-001", "partition": "gpu-1.0", "accepted": [], "restart": false}"#,
    r#"{"quarantined": {"reason": "its reset failed"}}"#,
    r#"{"count": 4}"#,
    r#"{"count": {"number": 4, "scheme": "nvidia_mig"}}"#,
];

pub fn store_records(bytes: &[u8]) {
    if let Some(key) = std::str::from_utf8(bytes).ok().and_then(|text| Key::parse(text).ok()) {
        assert_eq!(Key::parse(&key.to_string()).ok(), Some(key));
    }
    let _ = survives_json::<Generation>(bytes);
    let _ = survives_json::<PartitionSetting>(bytes);
    let _ = survives_json::<Assignment>(bytes);
    let _ = survives_json::<Hold>(bytes);
    let _ = survives_json::<Event>(bytes);
    let _ = survives_json::<Job>(bytes);
}

const ROOMS: &[&str] = &[
    r#"{"version": 2, "room": "a2-edge", "seed": 1, "servers": [{"id": "edge-1", "boots": 1, "bus_shift": 0, "next_pid": 10000, "functions": [{"address": "0000:41:00.0", "driver": "nvidia", "driver_override": null, "autoprobe": true, "count": 4}], "vms": []}]}"#,
];

pub fn room_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(room) = Room::load(text, Delays::none()) {
        let kept = room.save();
        let again = Room::load(&kept, Delays::none()).expect("what was kept can be loaded");
        assert_eq!(again.save(), kept);
    }
}
