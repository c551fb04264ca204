//! Whole GPUs, pools and the cure: what the commands send and print.

use serde_json::{Value, json};

use crate::golden::compare;
use crate::outputs::transcript;
use crate::room;
use crate::server::Server;

const DDA: &str = "POST /v1/vms/vm-001/dda";
const POOL: &str = "PATCH /v1/pools/ml";
const CURE: &str = "POST /v1/partitions/gpu-48b02d0a41c7.3/cure";

fn sent(server: &Server, line: &str) -> Value {
    let asked = server.asked().into_iter().find(|asked| asked.line == line);
    serde_json::from_str(&asked.expect("it was asked").body).expect("the body is JSON")
}

#[test]
fn whole_gpus_are_given_and_the_vm_is_printed() {
    let server =
        room::server().answer(DDA, 202, &room::accepted(room::whole_job("assign_dda", "succeeded"), &[]));
    compare(
        "dda-assign.txt",
        &transcript(&server, &["dda", "assign", "vm-001", "--pool", "ml", "--count", "2"]),
    );
    let wanted =
        json!({ "gpus": [], "pool": "ml", "count": 2, "at_start": false, "accept": [], "dry_run": false });
    assert_eq!(sent(&server, DDA), wanted);
}

#[test]
fn gpus_of_a_pool_are_promised_only_if_it_is_asked_for() {
    let server =
        room::server().answer(DDA, 202, &room::accepted(room::whole_job("assign_dda", "succeeded"), &[]));
    server.divvy(&["dda", "assign", "vm-001", "--pool", "ml", "--at-start"]);
    assert_eq!(sent(&server, DDA)["at_start"], json!(true));
}

#[test]
fn a_vm_is_shown_with_what_it_is_promised_and_with_what_it_has_of_it() {
    let vms = json!([room::vm_with_claim(&[]), room::vm_with_claim(&["gpu-1", "gpu-2"])]);
    let server = Server::start().answer("GET /v1/vms", 200, &vms);
    let printed = server.divvy(&["vm", "list"]).stdout;
    assert!(printed.contains("2 of ml (at start)"), "{printed}");
    assert!(printed.contains("gpu-1,gpu-2 (whole, of ml)"), "{printed}");
}

#[test]
fn a_job_of_whole_gpus_names_all_of_them() {
    let server = room::server().answer("GET /v1/jobs/9", 200, &room::whole_job("assign_dda", "succeeded"));
    compare("job-show-dda.txt", &transcript(&server, &["job", "show", "9"]));
}

#[test]
fn pools_are_listed_with_their_gpus() {
    let server = room::server().answer("GET /v1/pools", 200, &room::pools());
    compare("pool-list.txt", &transcript(&server, &["pool", "list"]));
}

#[test]
fn each_change_of_a_pool_sends_what_it_is_and_prints_the_pools() {
    for (command, wanted) in [
        (["pool", "rename", "ml", "vdi"], json!({ "name": "vdi", "add": [], "take": [] })),
        (["pool", "add", "ml", "gpu-2"], json!({ "name": null, "add": ["gpu-2"], "take": [] })),
        (["pool", "take", "ml", "gpu-2"], json!({ "name": null, "add": [], "take": ["gpu-2"] })),
    ] {
        let server = room::server().answer(POOL, 200, &room::accepted(Value::Null, &[])).answer(
            "GET /v1/pools",
            200,
            &room::pools(),
        );
        let printed = server.divvy(&command);
        assert!(printed.stdout.contains("gpu-3"), "{}", printed.stdout);
        assert_eq!(sent(&server, POOL), wanted);
    }
}

#[test]
fn a_cure_that_does_not_help_says_what_is_left_to_try() {
    let server = room::server().answer(CURE, 202, &room::accepted(room::whole_job("cure", "failed"), &[]));
    compare("partition-cure.txt", &transcript(&server, &["partition", "cure", "gpu-48b02d0a41c7.3"]));
    assert_eq!(sent(&server, CURE), json!({ "remake_siblings": false, "dry_run": false }));
}
