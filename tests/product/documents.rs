//! Every list and every thing as JSON and as YAML, member by member: the names and the kinds of values
//! that scripts lean on, with values of the room that is asked. A member more is fine; one less is not.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Place};

/// What a member may hold.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    TextOrNull,
    Number,
    NumberOrNull,
    Flag,
    Numbers,
    OneOf(&'static [&'static str]),
    Object,
    ObjectOrNull,
    Objects,
}

use Kind::{Flag, Number, NumberOrNull, Numbers, Object, ObjectOrNull, Objects, OneOf, Text, TextOrNull};

impl Kind {
    fn holds(self, value: &Value) -> bool {
        match self {
            Text => value.as_str().is_some_and(|text| !text.is_empty()),
            TextOrNull => value.is_null() || Text.holds(value),
            Number => value.is_u64(),
            NumberOrNull => value.is_null() || value.is_u64(),
            Flag => value.is_boolean(),
            Numbers => value.as_array().is_some_and(|list| list.iter().all(Value::is_u64)),
            OneOf(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Object => value.is_object(),
            ObjectOrNull => value.is_null() || value.is_object(),
            Objects => value.as_array().is_some_and(|list| list.iter().all(Value::is_object)),
        }
    }
}

type Shape = &'static [(&'static str, Kind)];

const GPU: Shape = &[
    ("id", Text),
    ("server", Text),
    ("vendor", Text),
    ("model", Text),
    ("memory_bytes", NumberOrNull),
    ("pci_address", Text),
    ("serial", TextOrNull),
    ("driver", TextOrNull),
    ("mode", OneOf(&["partitioned", "partitionable", "dda", "host", "not_assignable", "unknown"])),
    ("reason", TextOrNull),
    ("scheme", TextOrNull),
    ("partition_count", NumberOrNull),
    ("valid_partition_counts", Numbers),
];

const PARTITION: Shape = &[
    ("id", Text),
    ("gpu", Text),
    ("server", Text),
    ("index", Number),
    ("memory_bytes", NumberOrNull),
    ("state", OneOf(&["free", "assigned", "in_use", "releasing", "quarantined", "unknown"])),
    ("vm", TextOrNull),
];

const VM: Shape = &[
    ("id", Text),
    ("name", Text),
    ("server", Text),
    ("power", OneOf(&["off", "running", "paused", "unknown"])),
    ("managed", Flag),
    ("assignment", ObjectOrNull),
];

const ASSIGNMENT: Shape = &[("kind", OneOf(&["partition", "dda"])), ("gpu", Text), ("partition", TextOrNull)];

const FINDING: Shape = &[
    ("code", Text),
    ("severity", OneOf(&["info", "warning", "needs_accept", "error"])),
    ("subject", Object),
    ("text", Text),
    ("mend", Text),
];

const JOB: Shape = &[
    ("id", Number),
    ("kind", OneOf(&["set_partition_count", "assign", "unassign"])),
    ("principal", Text),
    ("created_ms", Number),
    ("finished_ms", NumberOrNull),
    ("progress", OneOf(&["running", "succeeded", "failed"])),
    ("targets", Objects),
];

const EVENT: Shape = &[
    ("number", Number),
    ("at_ms", Number),
    ("code", Text),
    ("server", TextOrNull),
    ("subject", Object),
    ("text", Text),
    ("principal", TextOrNull),
    ("job", NumberOrNull),
];

#[track_caller]
fn has_shape(value: &Value, shape: Shape) {
    for (member, kind) in shape {
        let found = value.get(member).unwrap_or_else(|| panic!("there is no {member} in {value}"));
        assert!(kind.holds(found), "{member} is {found}, not {kind:?}");
    }
}

/// A room with a VM that runs with a partition, one that is off with one, uneven GPUs.
fn with_room(test: impl FnOnce(&Place, &Daemon<'_>)) {
    let place = Place::new("a10-trio");
    let daemon = place.start();
    for words in [
        &["gpu", "partition", "a10-1/0000:41:00.0", "--count", "4"][..],
        &["sim", "power", "vm-001", "on"],
        &["assign", "vm-001", "vm-002"],
    ] {
        let output = place.divvy(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    test(&place, &daemon);
    daemon.stop();
}

/// What a command prints as JSON; as YAML it prints the same document, and on standard error nothing.
fn document(place: &Place, words: &[&str]) -> Value {
    let printed = |format: &str| {
        let output = place.divvy(&[words, &["-o", format]].concat());
        assert!(output.stderr.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let json: Value = serde_json::from_slice(&printed("json")).expect("one JSON document");
    let yaml = String::from_utf8(printed("yaml")).expect("text");
    let yaml: Value = serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{error}:\n{yaml}"));
    assert_eq!(json, yaml, "{words:?} as JSON and as YAML");
    json
}

/// Every list of the command, each entry with this shape.
fn list(place: &Place, words: &[&str], shape: Shape, least: usize) -> Vec<Value> {
    let document = document(place, words);
    let entries = document.as_array().expect("an array").clone();
    assert!(entries.len() >= least, "{words:?} has {} entries", entries.len());
    entries.iter().for_each(|entry| has_shape(entry, shape));
    entries
}

#[test]
fn gpus_have_every_member() {
    with_room(|place, _| {
        let gpus = list(place, &["gpu", "list"], GPU, 6);
        let one = document(place, &["gpu", "show", "a10-1/0000:41:00.0"]);
        assert_eq!(one, gpus[0]);
        let wanted = json!({
            "server": "a10-1", "vendor": "NVIDIA", "model": "A10", "memory_bytes": 25_769_803_776_u64,
            "pci_address": "0000:41:00.0", "mode": "partitioned", "partition_count": 4,
            "valid_partition_counts": [1, 2, 3, 4, 6, 8, 12, 24], "free_partitions": 2,
            "memory_per_partition_bytes": 6_442_450_944_u64
        });
        for (member, value) in wanted.as_object().expect("an object") {
            assert_eq!(&one[member], value, "{member}");
        }
    });
}

#[test]
fn partitions_have_every_member_and_name_their_vm_by_its_id() {
    with_room(|place, daemon| {
        let partitions = list(place, &["partition", "list"], PARTITION, 4);
        let states: Vec<&Value> = partitions.iter().map(|one| &one["state"]).collect();
        assert_eq!(states, ["in_use", "assigned", "free", "free"]);
        assert_eq!(partitions[0]["vm"], daemon.get("/v1/vms/vm-001")["id"]);
        assert_eq!(partitions[2]["vm"], Value::Null);
    });
}

#[test]
fn vms_have_every_member_and_name_what_they_have() {
    with_room(|place, _| {
        let vms = list(place, &["vm", "list"], VM, 156);
        for vm in vms.iter().filter(|vm| !vm["assignment"].is_null()) {
            has_shape(&vm["assignment"], ASSIGNMENT);
        }
        let one = document(place, &["vm", "show", "vm-001"]);
        assert!(vms.contains(&one));
        assert_eq!((&one["power"], &one["managed"]), (&json!("running"), &json!(true)));
        assert_eq!(
            one["assignment"]["partition"],
            format!("{}.0", one["assignment"]["gpu"].as_str().expect("a text"))
        );
    });
}

#[test]
fn vms_are_listed_by_server_and_name() {
    with_room(|place, _| {
        let vms = list(place, &["vm", "list"], VM, 156);
        let names: Vec<(String, String)> =
            vms.iter().map(|vm| (vm["server"].to_string(), vm["name"].to_string())).collect();
        assert!(names.is_sorted(), "{names:?}");
    });
}

#[test]
fn findings_jobs_and_events_have_every_member() {
    with_room(|place, _| {
        let findings = list(place, &["check"], FINDING, 1);
        assert_eq!(findings[0]["code"], "not_homogeneous_count");
        let jobs = list(place, &["job", "list"], JOB, 2);
        assert_eq!(document(place, &["job", "show", "1"]), jobs[1]);
        let events = list(place, &["events"], EVENT, 5);
        let numbers: Vec<u64> = events.iter().filter_map(|event| event["number"].as_u64()).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    });
}

#[test]
fn the_other_documents_have_every_member() {
    with_room(|place, _| {
        has_shape(&document(place, &["version"]), &[("client", Object), ("server", Object)]);
        let explained = document(place, &["explain", "vm-001"]);
        has_shape(&explained, &[("subject", Object), ("findings", Objects)]);
        assert!(explained["sentences"].as_array().is_some_and(|list| !list.is_empty()));
        let plan = document(place, &["assign", "vm-003", "--dry-run"]);
        has_shape(&plan, &[("steps", Objects), ("warnings", Objects)]);
    });
}

#[test]
fn what_a_change_prints_is_the_thing_as_it_is_afterwards() {
    with_room(|place, daemon| {
        let output = place.divvy(&["assign", "vm-003", "-o", "json"]);
        let printed: Value = serde_json::from_slice(&output.stdout).expect("one document");
        let vm = printed.as_array().map_or(&printed, |list| &list[0]);
        assert_eq!(*vm, daemon.get("/v1/vms/vm-003"));
    });
}
