//! Webhooks: what is printed of them, and what a test of them ends with.

use serde_json::{Value, json};

use crate::golden::compare;
use crate::outputs::transcript;
use crate::server::Server;

const WORKING: &str = "https://hooks.example.com/divvy";
const FAILING: &str = "https://pager.example.com:8443/in";

fn webhooks() -> Value {
    json!([
        { "url": WORKING, "codes": [], "state": "working", "waiting": 0, "skipped": 0, "failing_since_ms": null,
          "last_error": null, "last_delivered_at_ms": 1_772_355_907_000_u64 },
        { "url": FAILING, "codes": ["job_failed", "step_failed"], "state": "retrying", "waiting": 3, "skipped": 12,
          "failing_since_ms": 1_772_355_948_000_u64, "last_error": "the receiver answered with status 503",
          "last_delivered_at_ms": null }
    ])
}

fn tests() -> Value {
    json!([
        { "url": WORKING, "delivered": true, "status": 204, "took_ms": 12, "error": null },
        { "url": FAILING, "delivered": false, "status": 503, "took_ms": 40,
          "error": "the receiver answered with status 503" }
    ])
}

#[test]
fn webhooks_are_listed_with_how_it_goes() {
    let server = Server::start().answer("GET /v1/webhooks", 200, &webhooks());
    compare("webhook-list.txt", &transcript(&server, &["webhook", "list"]));
}

#[test]
fn a_test_tells_what_each_receiver_said_and_fails_if_one_did_not_take_it() {
    let server = Server::start().answer("POST /v1/webhooks/test", 200, &tests());
    compare("webhook-test.txt", &transcript(&server, &["webhook", "test"]));
}

#[test]
fn a_test_of_one_names_it_and_succeeds_if_that_one_takes_it() {
    let taken = json!([tests()[0]]);
    let server = Server::start().answer("POST /v1/webhooks/test", 200, &taken);
    assert_eq!(server.divvy(&["webhook", "test", WORKING]).code, 0);
    assert_eq!(server.asked()[0].body, json!({ "url": WORKING }).to_string());
}

#[test]
fn without_a_webhook_people_are_told_where_one_is_made() {
    let server = Server::start().answer("GET /v1/webhooks", 200, &json!([]));
    let ran = server.divvy(&["webhook", "list"]);
    assert!(ran.code == 0 && ran.stderr.contains("[[webhook]]"), "{}", ran.stderr);
}
