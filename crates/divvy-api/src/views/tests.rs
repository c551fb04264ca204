//! The members that scripts lean on are there, by name, also when there is nothing to say.

use serde_json::{Value, json};

use super::*;

fn members(value: &Value) -> Vec<&str> {
    value.as_object().expect("is an object").keys().map(String::as_str).collect()
}

fn has_all(value: &Value, wanted: &[&str]) {
    let there = members(value);
    for member in wanted {
        assert!(there.contains(member), "{member} is left out: {there:?}");
    }
}

fn bare_gpu() -> GpuView {
    GpuView {
        id: "gpu-1".to_owned(),
        name: "srv-a/0000:41:00.0".to_owned(),
        server: "srv-a".to_owned(),
        vendor: "NVIDIA".to_owned(),
        model: "A16".to_owned(),
        memory_bytes: None,
        pci_address: "0000:41:00.0".to_owned(),
        numa_node: None,
        serial: None,
        driver: None,
        driver_version: None,
        ecc: None,
        mode: Mode::Unknown,
        reason: None,
        pool: None,
        scheme: None,
        partition_count: None,
        valid_partition_counts: Vec::new(),
        max_partitions: None,
        free_partitions: None,
        sizes: None,
        takes_sizes: false,
        memory_per_partition_bytes: None,
        memory_by_count: Vec::new(),
        mmio_bytes: None,
        findings: 0,
    }
}

#[test]
fn a_gpu_that_says_nothing_has_every_member_of_the_contract() {
    let value = serde_json::to_value(bare_gpu()).expect("is written");
    let contract = [
        "id",
        "server",
        "vendor",
        "model",
        "memory_bytes",
        "pci_address",
        "serial",
        "driver",
        "mode",
        "reason",
        "scheme",
        "partition_count",
        "valid_partition_counts",
    ];
    has_all(&value, &contract);
}

#[test]
fn an_absent_value_is_null() {
    let value = serde_json::to_value(bare_gpu()).expect("is written");
    assert_eq!((&value["memory_bytes"], &value["partition_count"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_free_partition_has_every_member_of_the_contract() {
    let partition = PartitionView {
        id: "gpu-1.0".to_owned(),
        gpu: "gpu-1".to_owned(),
        server: "srv-a".to_owned(),
        index: 0,
        memory_bytes: None,
        state: PartitionState::Free,
        vm: None,
        vm_name: None,
        reason: None,
    };
    let value = serde_json::to_value(partition).expect("is written");
    has_all(&value, &["id", "gpu", "server", "index", "memory_bytes", "state", "vm"]);
}

#[test]
fn a_vm_with_nothing_has_every_member_of_the_contract() {
    let vm = VmView {
        id: "1".to_owned(),
        name: "vm-001".to_owned(),
        server: "srv-a".to_owned(),
        power: Power::Off,
        managed: false,
        assignment: None,
        guest_os: None,
        findings: 0,
    };
    let value = serde_json::to_value(vm).expect("is written");
    has_all(&value, &["id", "name", "server", "power", "managed", "assignment"]);
}

#[test]
fn a_whole_gpu_is_an_assignment_without_a_partition() {
    let whole = AssignmentView {
        kind: AssignmentKind::Dda,
        gpu: Some("gpu-1".to_owned()),
        gpus: vec!["gpu-1".to_owned()],
        partition: None,
        pool: None,
        count: None,
        state: AssignmentState::Assigned,
    };
    let value = serde_json::to_value(whole).expect("is written");
    let wanted = json!({
        "kind": "dda", "gpu": "gpu-1", "gpus": ["gpu-1"], "partition": null,
        "pool": null, "count": null, "state": "assigned"
    });
    assert_eq!(value, wanted);
}

#[test]
fn a_view_of_a_newer_server_with_a_member_more_is_read() {
    let mut value = serde_json::to_value(bare_gpu()).expect("is written");
    value["power_watts"] = json!(60);
    assert_eq!(serde_json::from_value::<GpuView>(value).expect("is read"), bare_gpu());
}
