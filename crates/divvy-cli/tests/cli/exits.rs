//! Exit codes, and where the reason stands. Scripts lean on both.

use std::fs::File;

use serde_json::{Value, json};

use crate::divvy::{Ran, alone, at, binary};
use crate::golden::compare;
use crate::outputs::transcript;
use crate::room;
use crate::server::Server;

const REFUSED: [&str; 5] = ["gpu", "partition", "gpu-48b02d0a41c7", "--count", "3"];

fn refusing() -> Server {
    Server::start().answer("PUT /v1/gpus/gpu-48b02d0a41c7/partition-count", 409, &room::refusal())
}

#[test]
fn a_refusal_is_1_with_its_reason_and_its_hint_on_stderr() {
    compare("refused.txt", &transcript(&refusing(), &REFUSED));
}

#[test]
fn a_refusal_to_a_script_is_the_problem_document_of_the_server() {
    let ran = refusing().divvy(&[&["-o", "json"], REFUSED.as_slice()].concat());
    assert_eq!((ran.stdout.as_str(), ran.json_error()), ("", room::refusal()));
}

#[test]
fn a_command_line_that_is_wrong_is_2() {
    let wrong: [&[&str]; 12] = [
        &[],
        &["nonsense"],
        &["gpu"],
        &["gpu", "partition", "g"],
        &["gpu", "partition", "--count", "4"],
        &["gpu", "partition", "g", "--count", "four"],
        &["gpu", "partition", "g", "--count", "65536"],
        &["gpu", "partition", "g", "--count", "4", "--off"],
        &["gpu", "partition", "g", "--all", "--off"],
        &["assign"],
        &["assign", ""],
        &["--socket", "/a", "--server", "http://b:1", "gpu", "list"],
    ];
    for arguments in wrong {
        let Ran { code, stdout, stderr } = alone(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_name_that_no_path_can_hold_is_refused() {
    let ran = Server::start().divvy(&["vm", "show", &"x".repeat(100_000), "-o", "json"]);
    assert_eq!((ran.code, &ran.json_error()["code"]), (1, &json!("name_too_long")));
}

#[test]
fn a_server_that_fails_is_3() {
    let failed = json!({ "code": "store_failed", "detail": "the store is full", "hint": "make room" });
    let ran = Server::start().answer("GET /v1/vms", 500, &failed).divvy(&["vm", "list"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, "error: the store is full\n\nhint: make room\n"));
}

#[test]
fn a_server_that_is_not_there_is_4_and_named() {
    let ran = at("/nonexistent/divvy.sock".as_ref(), &["gpu", "list", "-o", "json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    let problem = ran.json_error();
    assert_eq!(problem["code"], "server_unreachable");
    assert!(
        problem["detail"].as_str().is_some_and(|text| text.contains("/nonexistent/divvy.sock")),
        "{problem}"
    );
}

#[test]
fn an_answer_of_another_program_is_4() {
    let server = Server::start().answer_text("GET /v1/gpus", 200, "<html></html>");
    let ran = server.divvy(&["gpu", "list", "-o", "json"]);
    assert_eq!((ran.code, &ran.json_error()["code"]), (4, &json!("bad_answer")));
}

#[test]
fn the_version_of_divvy_is_printed_when_no_server_answers_and_it_is_4() {
    let ran = at("/nonexistent/divvy.sock".as_ref(), &["version", "-o", "json"]);
    let versions = json!({ "client": { "version": env!("CARGO_PKG_VERSION") }, "server": null });
    assert_eq!((ran.code, ran.json()), (4, versions));
}

#[test]
fn output_that_cannot_be_written_is_3() {
    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    let ran: Ran = binary().args(["completions", "bash"]).stdout(full).output().expect("starts").into();
    assert_eq!(ran.code, 3);
}

#[test]
fn help_is_0_and_on_stdout() {
    let ran = alone(&["--help"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn a_failed_job_of_several_targets_names_those_that_failed() {
    let mut job = room::count_job("failed");
    let mut fine = room::count_job("succeeded")["targets"][0].clone();
    fine["server"] = json!("srv-b");
    job["targets"].as_array_mut().expect("is a list").push(fine);
    let server = Server::start().answer("POST /v1/partition-counts", 202, &room::accepted(job, &[]));
    let ran = server.divvy(&["gpu", "partition", "--all", "--count", "4"]);
    let wanted = "error: job 7 failed for 1 of 2:\n  server srv-a, GPU gpu-48b02d0a41c7: \
                  the kernel says: not enough MMIO resources\n\n\
                  hint: switch on Above 4G decoding in the firmware setup\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (3, wanted));
}

#[test]
fn a_script_finds_the_warnings_of_a_failed_job_in_its_problem_document() {
    let accepted = room::accepted(room::count_job("failed"), &[room::warning()]);
    let server = Server::start().answer("POST /v1/partition-counts", 202, &accepted);
    let ran = server.divvy(&["gpu", "partition", "--all", "--count", "4", "-o", "json"]);
    assert_eq!(ran.json_error()["findings"], json!([room::warning()]));
}

#[test]
fn colours_go_only_where_they_are_seen() {
    let run = |variable: Option<&str>| -> Ran {
        let server = refusing();
        let mut command = binary();
        command.envs(variable.map(|name| (name, "1")));
        command.arg("--socket").arg(server.socket()).args(REFUSED).output().expect("starts").into()
    };
    assert!(!run(None).stderr.contains('\u{1b}'));
    assert!(run(Some("CLICOLOR_FORCE")).stderr.contains("\u{1b}["));
}

#[test]
fn a_name_cannot_command_the_terminal() {
    let mut vm = room::vm_7();
    vm["name"] = json!("vm\u{1b}[2J");
    let server = Server::start().answer("GET /v1/vms", 200, &Value::Array(vec![vm]));
    assert!(!server.divvy(&["vm", "list"]).stdout.contains('\u{1b}'));
}

#[test]
fn a_token_of_the_environment_goes_to_an_address_and_not_to_a_socket() {
    let server = room::server().with_port();
    let run = |arguments: [&str; 2]| {
        let mut command = binary();
        command.env("DIVVY_TOKEN", "s3cret").args(arguments).args(["vm", "list"]).output().expect("starts")
    };
    let socket = server.socket();
    assert!(run(["--server", &server.url()]).status.success());
    assert!(run(["--socket", socket.to_str().expect("is text")]).status.success());
    let tokens: Vec<_> = server.asked().into_iter().map(|asked| asked.authorization).collect();
    assert_eq!(tokens, [Some("Bearer s3cret".to_owned()), None]);
}
