//! What GPUs and partitions use: what is asked for and printed, once and again and again.

use serde_json::{Value, json};

use crate::golden::compare;
use crate::outputs::transcript;
use crate::room;
use crate::server::Server;

const ALL: &str = "GET /v1/usage";

#[test]
fn gpus_are_shown_with_the_partitions_in_use_and_what_cannot_be_told_with_its_reason() {
    let server = room::server().answer(ALL, 200, &room::usage());
    compare("usage.txt", &transcript(&server, &["usage"]));
}

#[test]
fn without_a_gpu_it_says_what_to_check() {
    let ran = Server::start().answer(ALL, 200, &json!([])).divvy(&["usage"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("divvy check"), "{}", ran.stderr);
}

#[test]
fn it_is_narrowed_by_the_server_and_a_gpu_may_have_any_name() {
    let asked = "GET /v1/usage?gpu=gpu-48b02d0a41c7&server=srv-a";
    let server = room::server().answer(asked, 200, &json!([]));
    let ran = server.divvy(&["usage", "--on", "srv-a", "--gpu", "srv-a/0000:41:00.0"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(server.asked().last().expect("was asked").line, asked);
}

/// A server that tells twice, and then fails.
fn server() -> Server {
    let failed = json!({ "code": "internal", "detail": "it failed", "hint": null });
    let told = room::usage();
    let server = Server::start().answer(ALL, 200, &told).answer(ALL, 200, &json!([told[1]]));
    server.answer(ALL, 500, &failed)
}

#[test]
fn watching_prints_a_document_for_each_look_until_the_server_fails() {
    let ran = server().divvy(&["usage", "--watch", "-o", "json"]);
    let looks: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("is a document")).collect();
    let told = room::usage();
    assert_eq!(looks, [told.clone(), json!([told[1]])]);
    assert_eq!(ran.code, 3);
}

#[test]
fn watching_tells_people_the_time_of_each_look_and_commands_no_terminal_where_there_is_none() {
    let ran = server().divvy(&["usage", "--watch"]);
    assert!(ran.stdout.starts_with("2026-03-01 09:05:48Z\nID "), "{:?}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
}
