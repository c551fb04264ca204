//! The canned room: two servers, one GPU in use, one that says little about itself, VMs whose names look
//! like numbers. The documents are written out member by member, because their form is the contract.

use serde_json::{Value, json};

use crate::server::Server;

pub const VM_1: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
pub const VM_7: &str = "6fa459ea-ee8a-3ca4-894e-db77e160355e";

pub fn gpu_1() -> Value {
    json!({
        "id": "gpu-48b02d0a41c7", "name": "srv-a/0000:41:00.0", "server": "srv-a", "vendor": "NVIDIA",
        "model": "A16", "memory_bytes": 16_106_127_360_u64, "pci_address": "0000:41:00.0", "numa_node": 1,
        "serial": "1324221047", "driver": "nvidia", "driver_version": "550.90.05", "ecc": true, "mode": "partitioned",
        "reason": null, "pool": null, "scheme": "sriov", "partition_count": 4, "valid_partition_counts": [1, 2, 4, 8, 16],
        "max_partitions": 16, "free_partitions": 2, "memory_per_partition_bytes": 4_026_531_840_u64,
        "memory_by_count": [
            { "partition_count": 2, "memory_per_partition_bytes": 8_053_063_680_u64 },
            { "partition_count": 4, "memory_per_partition_bytes": null }
        ],
        "mmio_bytes": 17_213_423_616_u64, "sizes": null, "takes_sizes": false, "findings": 1
    })
}

pub fn gpu_2() -> Value {
    json!({
        "id": "gpu-a2-slot-3", "name": "srv-b/0000:01:00.0", "server": "srv-b", "vendor": "AMD",
        "model": "0x1234", "memory_bytes": null, "pci_address": "0000:01:00.0", "numa_node": null,
        "serial": null, "driver": null, "driver_version": null, "ecc": null, "mode": "not_assignable",
        "reason": "it has no driver that can split it", "pool": null, "scheme": null, "partition_count": null,
        "valid_partition_counts": [], "max_partitions": null, "free_partitions": null,
        "memory_per_partition_bytes": null, "memory_by_count": [], "mmio_bytes": null, "sizes": null, "takes_sizes": false, "findings": 0
    })
}

fn partition(index: u16, state: &str, vm: Option<(&str, &str)>, reason: Option<&str>) -> Value {
    json!({
        "id": format!("gpu-48b02d0a41c7.{index}"), "gpu": "gpu-48b02d0a41c7", "server": "srv-a",
        "index": index, "memory_bytes": 4_026_531_840_u64, "state": state, "vm": vm.map(|vm| vm.0),
        "vm_name": vm.map(|vm| vm.1), "reason": reason
    })
}

pub fn partitions() -> Value {
    let mut elsewhere = partition(0, "free", None, None);
    elsewhere["id"] = json!("gpu-other.0");
    elsewhere["gpu"] = json!("gpu-other");
    json!([
        partition(0, "assigned", Some((VM_1, "vm-001")), None),
        partition(1, "free", None, None),
        partition(2, "in_use", None, Some("open by process 4711")),
        partition(3, "quarantined", None, Some("its reset failed")),
        elsewhere
    ])
}

/// The same without the one of another GPU.
fn partitions_of_one() -> Value {
    let mut all = partitions();
    all.as_array_mut().expect("a list").pop();
    all
}

pub fn vm_1() -> Value {
    json!({
        "id": VM_1, "name": "vm-001", "server": "srv-a", "power": "running", "managed": true,
        "assignment": { "kind": "partition", "gpu": "gpu-48b02d0a41c7",
            "gpus": ["gpu-48b02d0a41c7"], "partition": "gpu-48b02d0a41c7.0", "pool": null, "count": null,
            "state": "assigned" },
        "guest_os": "http://ubuntu.com/ubuntu/22.04", "findings": 0
    })
}

/// Its name is a number to a careless reader of YAML.
pub fn vm_7() -> Value {
    json!({
        "id": VM_7, "name": "007", "server": "srv-a", "power": "off", "managed": false,
        "assignment": null, "guest_os": null, "findings": 2
    })
}

pub fn vm_whole() -> Value {
    json!({
        "id": "c0ffee", "name": "1e3", "server": "srv-b", "power": "paused", "managed": true,
        "assignment": { "kind": "dda", "gpu": "gpu-a2-slot-3", "gpus": ["gpu-a2-slot-3"],
            "partition": null, "pool": null, "count": null, "state": "assigned" },
        "guest_os": null, "findings": 0
    })
}

fn faults() -> Value {
    json!([{ "fault": "gpu gpu-48b02db7b700001d hang-writes" }])
}

pub fn usage() -> Value {
    json!([
        { "gpu": "gpu-48b02d0a41c7", "server": "srv-a", "at_ms": 1_772_355_948_000_u64, "memory_bytes": 16_106_127_360_u64,
          "memory_used_bytes": 3_221_225_472_u64, "utilization_percent": 42, "encoder_utilization_percent": 12,
          "decoder_utilization_percent": 0, "encoder_capacity_percent": 88, "ecc": false, "scheduler": "best_effort",
          "reason": null, "partitions": [
            { "partition": "gpu-48b02d0a41c7.0", "vm": VM_1, "vm_name": "vm-001", "memory_bytes": 4_026_531_840_u64,
              "memory_used_bytes": 1_073_741_824_u64, "utilization_percent": 42, "encoder_utilization_percent": 12,
              "decoder_utilization_percent": 0, "encoder_capacity_percent": 100, "multiprocessors": null, "encoders": null, "decoders": null },
            { "partition": "gpu-48b02d0a41c7.2", "vm": VM_7, "vm_name": "007", "memory_bytes": 4_026_531_840_u64,
              "memory_used_bytes": null, "utilization_percent": null, "encoder_utilization_percent": null,
              "decoder_utilization_percent": null, "encoder_capacity_percent": null, "multiprocessors": null, "encoders": null, "decoders": null }
        ] },
        { "gpu": "gpu-a2-slot-3", "server": "srv-b", "at_ms": null, "memory_bytes": null, "memory_used_bytes": null,
          "utilization_percent": null, "encoder_utilization_percent": null, "decoder_utilization_percent": null,
          "encoder_capacity_percent": null, "ecc": null, "scheduler": null,
          "reason": "without a driver nothing tells what it uses", "partitions": [] }
    ])
}

pub fn warning() -> Value {
    json!({
        "id": "uneven/cluster/-/9d1c0f3a7e5b2468", "code": "uneven", "severity": "warning", "subject": { "kind": "cluster", "id": null },
        "text": "GPUs of the model A16 have different partition counts: 4 and 8",
        "mend": "divvy gpu partition --all --count 4"
    })
}

pub fn error_finding() -> Value {
    json!({
        "id": "iommu_off/server/srv-b/0123456789abcdef", "code": "iommu_off", "severity": "error", "subject": { "kind": "server", "id": "srv-b" },
        "text": "the IOMMU is off", "mend": "switch on VT-d or AMD-Vi in the firmware setup"
    })
}

fn event(number: u64) -> Value {
    json!({
        "number": number, "at_ms": 1_772_355_907_000_u64 + number * 1000, "code": "assigned",
        "server": "srv-a", "subject": { "kind": "vm", "id": VM_1 }, "text": "vm-001 got gpu-48b02d0a41c7.0",
        "principal": "root", "job": 7
    })
}

pub fn events(numbers: &[u64]) -> Value {
    numbers.iter().map(|number| event(*number)).collect()
}

/// A job of one GPU.
pub fn count_job(progress: &str) -> Value {
    let failed = progress == "failed";
    let outcome = if failed { "failed" } else { "changed" };
    let running = progress == "running";
    let step =
        json!({ "text": "set the partition count to 4", "outcome": outcome, "at_ms": 1_772_355_908_000_u64 });
    json!({
        "id": 7, "kind": "set_partition_count", "principal": "root", "created_ms": 1_772_355_907_000_u64,
        "finished_ms": if running { Value::Null } else { json!(1_772_355_909_000_u64) },
        "progress": progress,
        "targets": [{
            "server": "srv-a", "gpu": "gpu-48b02d0a41c7", "gpus": [], "vm": null, "vm_name": null, "partition": null,
            "partition_count": 4, "progress": progress, "steps": if running { json!([]) } else { json!([step]) },
            "detail": failed.then_some("the kernel says: not enough MMIO resources"),
            "hint": failed.then_some("switch on Above 4G decoding in the firmware setup")
        }]
    })
}

/// A job of one VM.
pub fn assign_job(progress: &str) -> Value {
    json!({
        "id": 8, "kind": "assign", "principal": "uid 1000", "created_ms": 1_772_355_907_000_u64,
        "finished_ms": null, "progress": progress,
        "targets": [{
            "server": "srv-a", "gpu": "gpu-48b02d0a41c7", "gpus": [], "vm": VM_1, "vm_name": "vm-001",
            "partition": "gpu-48b02d0a41c7.0", "partition_count": null, "progress": progress, "steps": [],
            "detail": (progress == "running").then_some("waits for vm-001 to shut down"), "hint": null
        }]
    })
}

pub fn accepted(job: Value, warnings: &[Value]) -> Value {
    json!({ "job": job, "warnings": warnings })
}

pub fn plan() -> Value {
    json!({
        "steps": [
            { "server": "srv-a", "text": "set the partition count of 0000:41:00.0 to 0" },
            { "server": "srv-a", "text": "set the partition count of 0000:41:00.0 to 4" }
        ],
        "warnings": [warning()]
    })
}

pub fn refusal() -> Value {
    json!({
        "type": "about:blank", "title": "Conflict", "status": 409, "code": "count_not_valid",
        "detail": "3 is not a valid partition count of GPU gpu-48b02d0a41c7 (NVIDIA A16); valid are 1, 2, 4, 8, 16",
        "hint": "the driver accepts powers of two only", "findings": []
    })
}

/// The whole room, answering every question that changes nothing.
pub fn server() -> Server {
    let sentences = ["vm-001 has partition 0 of GPU gpu-48b02d0a41c7.", "It was assigned by root."];
    let explanation = json!({
        "subject": { "kind": "vm", "id": VM_1 }, "sentences": sentences, "findings": [warning()]
    });
    Server::start()
        .answer("GET /v1/version", 200, &json!({ "version": "0.1.0", "server": "srv-a", "room": "small" }))
        .answer("GET /v1/gpus", 200, &json!([gpu_1(), gpu_2()]))
        .answer("GET /v1/gpus/gpu-48b02d0a41c7", 200, &gpu_1())
        .answer("GET /v1/gpus/srv-a%2F0000%3A41%3A00.0", 200, &gpu_1())
        .answer("GET /v1/gpus/gpu-a2-slot-3", 200, &gpu_2())
        .answer("GET /v1/partitions", 200, &partitions())
        .answer("GET /v1/partitions?gpu=gpu-48b02d0a41c7", 200, &partitions_of_one())
        .answer("GET /v1/vms", 200, &json!([vm_1(), vm_7(), vm_whole()]))
        .answer("GET /v1/vms/vm-001", 200, &vm_1())
        .answer("GET /v1/vms/007", 200, &vm_7())
        .answer("GET /v1/check", 200, &json!([warning(), error_finding()]))
        .answer("GET /v1/explain/vm-001", 200, &explanation)
        .answer("GET /v1/events", 200, &events(&[41, 42]))
        .answer("GET /v1/jobs", 200, &json!([count_job("failed"), assign_job("running")]))
        .answer("GET /v1/jobs/7", 200, &count_job("failed"))
        .answer("GET /v1/jobs/8", 200, &assign_job("running"))
        .answer("POST /v1/sim/vms/007/power", 200, &vm_7())
        .answer("GET /v1/sim/faults", 200, &faults())
        .answer("POST /v1/sim/faults", 200, &faults())
        .answer("DELETE /v1/sim/faults", 200, &json!([]))
}

/// Two pools; one GPU of the first is given away, another is not in its server.
pub fn pools() -> Value {
    json!([
        { "name": "ml", "gpus": [
            { "id": "gpu-1", "server": "srv-a", "pci_address": "0000:41:00.0", "model": "NVIDIA A16",
              "free": false, "vm": VM_1, "vm_name": "vm-001" },
            { "id": "gpu-2", "server": "srv-b", "pci_address": null, "model": null, "free": false,
              "vm": null, "vm_name": null }
        ], "promised": 3 },
        { "name": "vdi", "gpus": [
            { "id": "gpu-3", "server": "srv-b", "pci_address": "0000:42:00.0", "model": "NVIDIA A16",
              "free": true, "vm": null, "vm_name": null }
        ], "promised": 0 }
    ])
}

/// A VM with a claim that waits for its start, or has what was picked.
pub fn vm_with_claim(gpus: &[&str]) -> Value {
    let state = if gpus.is_empty() { "waiting_for_start" } else { "assigned" };
    json!({
        "id": VM_7, "name": "007", "server": "srv-a", "power": "off", "managed": true,
        "assignment": { "kind": "dda", "gpu": gpus.first(), "gpus": gpus, "partition": null, "pool": "ml",
            "count": 2, "state": state },
        "guest_os": null, "findings": 0
    })
}

/// A job that gives a VM two whole GPUs, or cures a partition.
pub fn whole_job(kind: &str, progress: &str) -> Value {
    let cure = kind == "cure";
    json!({
        "id": 9, "kind": kind, "principal": "root", "created_ms": 1_772_355_907_000_u64,
        "finished_ms": 1_772_355_909_000_u64, "progress": progress,
        "targets": [{
            "server": "srv-a", "gpu": "gpu-48b02d0a41c7", "gpus": if cure { json!([]) } else { json!(["gpu-48b02d0a41c7", "gpu-2"]) },
            "vm": (!cure).then_some(VM_1), "vm_name": (!cure).then_some("vm-001"),
            "partition": cure.then_some("gpu-48b02d0a41c7.3"), "partition_count": null,
            "progress": progress, "steps": [],
            "detail": (progress == "failed").then_some("no way to reset it works now"),
            "hint": (progress == "failed").then_some("divvy partition cure gpu-48b02d0a41c7.3 --remake-siblings")
        }]
    })
}
