//! Commands that change something: what they send, what they wait for, what they print.

use serde_json::{Value, json};

use crate::golden::compare;
use crate::outputs::transcript;
use crate::room;
use crate::server::{Asked, Server};

const SET_COUNT: &str = "PUT /v1/gpus/gpu-48b02d0a41c7/partition-count";
const PARTITION: [&str; 5] = ["gpu", "partition", "gpu-48b02d0a41c7", "--count", "4"];

/// A room where one change is accepted, runs for a look, and ends like this.
fn changing(question: &str, end: &str, warnings: &[Value]) -> Server {
    room::server()
        .answer(question, 202, &room::accepted(room::count_job("running"), warnings))
        .answer("GET /v1/jobs/7?wait_ms=10000", 200, &room::count_job("running"))
        .answer("GET /v1/jobs/7?wait_ms=10000", 200, &room::count_job(end))
}

fn body(asked: &[Asked], line: &str) -> Value {
    let asked =
        asked.iter().find(|asked| asked.line == line).unwrap_or_else(|| panic!("{line} was not asked"));
    serde_json::from_str(&asked.body).expect("the body is JSON")
}

#[test]
fn a_count_is_set_and_waited_for_and_the_gpu_is_printed() {
    let server = changing(SET_COUNT, "succeeded", &[room::warning()]);
    compare("gpu-partition.txt", &transcript(&server, &PARTITION));
    assert_eq!(body(&server.asked(), SET_COUNT), json!({ "count": 4, "off": false, "dry_run": false }));
}

#[test]
fn sizes_are_sent_as_they_are_typed() {
    let server = changing(SET_COUNT, "succeeded", &[]);
    server.divvy(&["gpu", "partition", "gpu-48b02d0a41c7", "--sizes", "4,2,4"]);
    let sent = body(&server.asked(), SET_COUNT);
    assert_eq!(sent, json!({ "count": null, "sizes": [4, 2, 4], "off": false, "dry_run": false }));
}

#[test]
fn a_change_prints_the_state_after_the_job_and_not_before() {
    let server = changing(SET_COUNT, "succeeded", &[]);
    server.divvy(&PARTITION);
    let lines: Vec<String> = server.asked().into_iter().map(|asked| asked.line).collect();
    let job = "GET /v1/jobs/7?wait_ms=10000";
    assert_eq!(lines, [SET_COUNT, job, job, "GET /v1/gpus/gpu-48b02d0a41c7"]);
}

#[test]
fn a_job_that_fails_leaves_its_reason_on_stderr_and_nothing_on_stdout() {
    let server = changing(SET_COUNT, "failed", &[room::warning()]);
    compare("gpu-partition-failed.txt", &transcript(&server, &PARTITION));
}

#[test]
fn a_dry_run_prints_the_steps_and_waits_for_nothing() {
    let server = room::server().answer(SET_COUNT, 200, &room::plan());
    compare(
        "gpu-partition-dry-run.txt",
        &transcript(&server, &[PARTITION.as_slice(), &["--dry-run"]].concat()),
    );
    assert_eq!(body(&server.asked(), SET_COUNT)["dry_run"], json!(true));
}

#[test]
fn a_job_that_is_not_waited_for_is_printed() {
    let server = changing(SET_COUNT, "succeeded", &[]);
    compare(
        "gpu-partition-no-wait.txt",
        &transcript(&server, &[PARTITION.as_slice(), &["--no-wait"]].concat()),
    );
}

#[test]
fn what_is_so_already_is_a_success() {
    let server = room::server().answer(SET_COUNT, 200, &room::accepted(Value::Null, &[]));
    let ran = server.divvy(&[PARTITION.as_slice(), &["-o", "json"]].concat());
    assert_eq!((ran.code, ran.json()), (0, room::gpu_1()));
}

#[test]
fn several_gpus_are_one_request_and_one_list() {
    let server = changing("POST /v1/partition-counts", "succeeded", &[]);
    let ran = server.divvy(&["gpu", "partition", "gpu-48b02d0a41c7", "gpu-a2-slot-3", "--off", "-o", "json"]);
    assert_eq!(ran.json(), json!([room::gpu_1(), room::gpu_2()]));
    let sent = body(&server.asked(), "POST /v1/partition-counts");
    let gpus = ["gpu-48b02d0a41c7", "gpu-a2-slot-3"];
    assert_eq!(sent, json!({ "gpus": gpus, "count": null, "off": true, "dry_run": false }));
}

#[test]
fn all_gpus_are_one_request_and_those_of_the_job_are_printed() {
    let server = changing("POST /v1/partition-counts", "succeeded", &[]);
    let ran = server.divvy(&["gpu", "partition", "--all", "--count", "4", "-o", "json"]);
    assert_eq!(ran.json(), json!([room::gpu_1()]));
    assert_eq!(body(&server.asked(), "POST /v1/partition-counts")["gpus"], json!("all"));
}

#[test]
fn a_count_of_zero_is_the_servers_to_refuse() {
    let server = room::server().answer(SET_COUNT, 422, &room::refusal());
    let ran = server.divvy(&["gpu", "partition", "gpu-48b02d0a41c7", "--count", "0"]);
    assert_eq!(ran.code, 1);
    assert_eq!(body(&server.asked(), SET_COUNT)["count"], json!(0));
}

/// A room where VMs can be assigned and unassigned at once.
fn assigning(question: &str) -> Server {
    room::server().answer(question, 202, &room::accepted(room::assign_job("succeeded"), &[]))
}

#[test]
fn a_vm_is_assigned_and_printed() {
    let server = assigning("POST /v1/vms/vm-001/assignment");
    compare("assign.txt", &transcript(&server, &["assign", "vm-001"]));
}

#[test]
fn every_wish_about_an_assignment_goes_to_the_server() {
    let server = assigning("POST /v1/vms/vm-001/assignment");
    let wishes = [
        "--gpu",
        "gpu-1",
        "--memory",
        "20GiB",
        "--partition",
        "gpu-1.2",
        "--accept",
        "old_os",
        "--accept",
        "bios",
    ];
    server.divvy(&[["assign", "vm-001"].as_slice(), &wishes].concat());
    let sent = body(&server.asked(), "POST /v1/vms/vm-001/assignment");
    let wanted = json!({
        "gpu": "gpu-1", "memory_bytes": 21_474_836_480_u64, "partition": "gpu-1.2", "accept": ["old_os", "bios"], "dry_run": false
    });
    assert_eq!(sent, wanted);
}

#[test]
fn several_vms_are_one_request_and_one_list() {
    let server = assigning("POST /v1/assignments");
    let ran = server.divvy(&["assign", "vm-001", "007", "-o", "json"]);
    assert_eq!(ran.json(), json!([room::vm_1(), room::vm_7()]));
    assert_eq!(body(&server.asked(), "POST /v1/assignments")["vms"], json!(["vm-001", "007"]));
}

#[test]
fn a_vm_is_unassigned_and_printed() {
    let server = assigning("DELETE /v1/vms/007/assignment");
    let ran = server.divvy(&["unassign", "007", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, room::vm_7()));
}

#[test]
fn several_vms_are_unassigned_in_one_request() {
    let server = assigning("POST /v1/unassignments");
    let ran = server.divvy(&["unassign", "vm-001", "007", "-o", "json"]);
    assert_eq!(ran.json(), json!([room::vm_1(), room::vm_7()]));
    let sent = body(&server.asked(), "POST /v1/unassignments");
    assert_eq!(sent, json!({ "vms": ["vm-001", "007"], "dry_run": false }));
}

#[test]
fn a_dry_run_of_unassigning_prints_the_steps() {
    let server = room::server().answer("DELETE /v1/vms/007/assignment?dry_run=true", 200, &room::plan());
    let ran = server.divvy(&["unassign", "007", "--dry-run", "-o", "json"]);
    assert_eq!(ran.json(), room::plan());
}

#[test]
fn a_simulated_power_button_says_which_way() {
    let server = room::server();
    server.divvy(&["sim", "power", "007", "off"]);
    assert_eq!(body(&server.asked(), "POST /v1/sim/vms/007/power"), json!({ "on": false }));
}

#[test]
fn a_fault_is_sent_in_the_words_that_were_typed_in_one_argument_or_in_several() {
    for typed in [&["gpu gpu-1 fail EIO"][..], &["gpu", "gpu-1", "fail", "EIO"]] {
        let server = room::server();
        assert_eq!(server.divvy(&[&["sim", "fault"], typed].concat()).code, 0);
        let sent = body(&server.asked(), "POST /v1/sim/faults");
        assert_eq!(sent, json!({ "fault": "gpu gpu-1 fail EIO" }));
    }
}

#[test]
fn clearing_faults_deletes_them() {
    let server = room::server();
    let ran = server.divvy(&["sim", "fault", "clear", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, json!([])));
}

#[test]
fn a_change_with_a_key_sends_it_and_what_only_looks_does_not() {
    let server = changing(SET_COUNT, "succeeded", &[]);
    let ran = server.divvy(&[PARTITION.as_slice(), &["--idempotency-key", "from-a-script-1"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let keys: Vec<(String, Option<String>)> =
        server.asked().into_iter().map(|asked| (asked.line, asked.idempotency_key)).collect();
    let sent = Some("from-a-script-1".to_owned());
    assert!(keys.iter().all(|(line, key)| *key == sent.clone().filter(|_| line == SET_COUNT)), "{keys:?}");
}

#[test]
fn a_key_that_cannot_be_sent_is_a_usage_error() {
    let ran = room::server().divvy(&[PARTITION.as_slice(), &["--idempotency-key", "two words"]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("visible ASCII"), "{}", ran.stderr);
}

#[test]
fn a_cancelled_job_is_printed() {
    let server = room::server().answer("POST /v1/jobs/8/cancel", 200, &room::count_job("failed"));
    let ran = server.divvy(&["job", "cancel", "8", "-o", "json"]);
    assert_eq!((ran.code, &ran.json()["progress"]), (0, &json!("failed")), "{}", ran.stderr);
}

#[test]
fn a_job_is_waited_for_and_its_failure_is_the_commands() {
    let ended = |end: &str| {
        room::server()
            .answer("GET /v1/jobs/9", 200, &room::count_job("running"))
            .answer("GET /v1/jobs/7?wait_ms=10000", 200, &room::count_job(end))
            .divvy(&["job", "wait", "9"])
            .code
    };
    assert_eq!((ended("succeeded"), ended("failed")), (0, 3));
}
