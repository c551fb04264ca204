//! What every command that only looks prints, in every format.

use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::divvy::{Ran, alone, binary};
use crate::golden::compare;
use crate::room;
use crate::server::Server;

/// Each command, with the name of its golden file.
const LOOKS: [(&str, &[&str]); 15] = [
    ("gpu-list.txt", &["gpu", "list"]),
    ("gpu-show.txt", &["gpu", "show", "srv-a/0000:41:00.0"]),
    ("gpu-show-unknown.txt", &["gpu", "show", "gpu-a2-slot-3"]),
    ("partition-list.txt", &["partition", "list"]),
    ("partition-list-gpu.txt", &["partition", "list", "--gpu", "srv-a/0000:41:00.0"]),
    ("vm-list.txt", &["vm", "list"]),
    ("vm-show.txt", &["vm", "show", "vm-001"]),
    ("check.txt", &["check"]),
    ("explain.txt", &["explain", "vm-001"]),
    ("events.txt", &["events"]),
    ("job-list.txt", &["job", "list"]),
    ("job-show.txt", &["job", "show", "7"]),
    ("sim-power.txt", &["sim", "power", "007", "on"]),
    ("sim-fault-list.txt", &["sim", "fault", "list"]),
    ("version.txt", &["version"]),
];

/// What one command says in every format, where it says it, and its exit code.
pub fn transcript(server: &Server, command: &[&str]) -> String {
    let mut text = String::new();
    for format in ["table", "json", "yaml"] {
        let ran = server.divvy(&[&["-o", format], command].concat());
        let _ = writeln!(text, "$ divvy -o {format} {}\n{}", command.join(" "), ran.stdout.trim_end());
        for line in ran.stderr.lines() {
            let _ = writeln!(text, "{}", format!("stderr: {line}").trim_end());
        }
        let _ = writeln!(text, "exit status {}\n", ran.code);
    }
    text
}

#[test]
fn every_command_prints_what_its_golden_file_says() {
    let server = room::server();
    for (file, command) in LOOKS {
        compare(file, &transcript(&server, command));
    }
}

#[test]
fn yaml_and_json_say_the_same() {
    let server = room::server();
    for (_, command) in LOOKS {
        let yaml = server.divvy(&[&["-o", "yaml"], command].concat()).yaml();
        let json = server.divvy(&[&["-o", "json"], command].concat()).json();
        assert_eq!(yaml, json, "{command:?}");
    }
}

#[test]
fn a_document_has_every_member_that_the_server_sent() {
    let server = room::server();
    let printed = server.divvy(&["gpu", "list", "-o", "json"]).json();
    assert_eq!(printed, json!([room::gpu_1(), room::gpu_2()]));
}

#[test]
fn a_pci_address_and_a_number_like_name_are_quoted_in_yaml() {
    let server = room::server();
    let gpus = server.divvy(&["gpu", "list", "-o", "yaml"]).stdout;
    assert!(gpus.contains("pci_address: \"0000:41:00.0\""), "{gpus}");
    let vms = server.divvy(&["vm", "list", "-o", "yaml"]).stdout;
    assert!(vms.contains("name: \"007\"") && vms.contains("name: \"1e3\""), "{vms}");
}

fn empty() -> Server {
    let questions = ["GET /v1/gpus", "GET /v1/partitions", "GET /v1/vms", "GET /v1/events", "GET /v1/jobs"];
    questions.into_iter().fold(Server::start(), |server, question| server.answer(question, 200, &json!([])))
}

#[test]
fn an_empty_list_says_what_to_check_and_is_an_empty_list_to_scripts() {
    let server = empty();
    let mut text = String::new();
    for command in [["gpu", "list"], ["partition", "list"], ["vm", "list"], ["job", "list"]] {
        text.push_str(&transcript(&server, &command));
    }
    text.push_str(&transcript(&server, &["events"]));
    compare("empty.txt", &text);
}

#[test]
fn a_check_without_findings_says_so_and_succeeds() {
    let server = Server::start().answer("GET /v1/check", 200, &json!([]));
    compare("check-clean.txt", &transcript(&server, &["check"]));
}

#[test]
fn a_check_with_nothing_worse_than_warnings_succeeds() {
    let server = Server::start().answer("GET /v1/check", 200, &json!([room::warning()]));
    assert_eq!(server.divvy(&["check"]).code, 0);
}

#[test]
fn the_query_of_events_goes_to_the_server() {
    let server = Server::start().answer("GET /v1/events?after=41&limit=1", 200, &room::events(&[42]));
    let ran = server.divvy(&["events", "--after", "41", "--limit", "1", "-o", "json"]);
    assert_eq!(ran.json()[0]["number"], 42);
}

/// A log in which one more event happens, and then the server fails.
fn growing_log() -> Server {
    let failed = json!({ "code": "store_failed", "detail": "the store failed", "hint": null });
    Server::start()
        .answer("GET /v1/events", 200, &room::events(&[41]))
        .answer("GET /v1/events?after=41&wait_ms=30000", 200, &room::events(&[42]))
        .answer("GET /v1/events?after=42&wait_ms=30000", 500, &failed)
}

#[test]
fn following_prints_each_event_once_as_a_document_of_its_own() {
    let ran = growing_log().divvy(&["events", "--follow", "-o", "json"]);
    let numbers: Vec<_> = ran.stdout.lines().map(serde_json::from_str::<serde_json::Value>).collect();
    assert!(
        matches!(numbers.as_slice(), [Ok(a), Ok(b)] if a["number"] == 41 && b["number"] == 42),
        "{}",
        ran.stdout
    );
}

#[test]
fn following_prints_one_line_for_each_event_to_people() {
    let ran = growing_log().divvy(&["events", "--follow"]);
    assert_eq!(
        ran.stdout.lines().next(),
        Some("41 2026-03-01 09:05:48Z srv-a assigned: vm-001 got gpu-48b02d0a41c7.0 (by root)")
    );
    assert_eq!(ran.stdout.lines().count(), 2);
}

#[test]
fn following_ends_well_when_the_reader_goes_away() {
    let server = Server::start().answer("GET /v1/events", 200, &room::events(&[41])).answer(
        "GET /v1/events?after=41&wait_ms=30000",
        200,
        &room::events(&[41]),
    );
    let mut child = binary()
        .arg("--socket")
        .arg(server.socket())
        .args(["events", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut reader = BufReader::new(child.stdout.take().expect("is piped"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("an event is printed");
    drop(reader);
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        match child.try_wait().expect("is our child") {
            Some(status) => break status.code(),
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    assert_eq!(status, Some(0));
}

#[test]
fn the_completions_of_every_shell_know_the_verbs() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = alone(&["completions", shell]);
        assert!(ran.code == 0 && ran.stdout.contains("unassign"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let server = Server::start();
    let folder = server.folder().to_str().expect("is text");
    let Ran { code, stderr, .. } = alone(&["man", "--folder", folder]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for page in ["divvy.1", "divvy-gpu.1", "divvy-gpu-partition.1", "divvy-assign.1"] {
        let text = std::fs::read_to_string(server.folder().join(page)).expect("the page is there");
        assert!(text.contains(".SH NAME"), "{page}");
    }
}

#[test]
fn the_manual_goes_to_stdout_without_a_folder() {
    let ran = alone(&["man"]);
    assert!(ran.stdout.contains(".TH divvy 1"), "{}", ran.stdout);
}

#[test]
fn a_list_is_narrowed_by_the_server_and_not_here() {
    for (command, asked) in [
        (
            &["gpu", "list", "--on", "srv-a", "--mode", "partitioned"][..],
            "/v1/gpus?mode=partitioned&server=srv-a",
        ),
        (&["partition", "list", "--state", "free", "--vm", "vm-001"], "/v1/partitions?state=free&vm=vm-001"),
        (&["vm", "list", "--power", "off", "--managed", "false"], "/v1/vms?managed=false&power=off"),
        (&["job", "list", "--progress", "running", "--limit", "5"], "/v1/jobs?limit=5&progress=running"),
        (&["check", "--on", "srv-b", "--severity", "error"], "/v1/check?server=srv-b&severity=error"),
        (&["events", "--code", "assigned", "--job", "7"], "/v1/events?code=assigned&job=7"),
    ] {
        let server = room::server().answer(&format!("GET {asked}"), 200, &json!([]));
        let ran = server.divvy(command);
        assert_eq!(ran.code, 0, "{command:?}: {}", ran.stderr);
        assert_eq!(server.asked()[0].line, format!("GET {asked}"));
    }
}

#[test]
fn a_word_that_a_list_does_not_know_is_a_usage_error_that_names_those_it_does() {
    let ran = room::server().divvy(&["vm", "list", "--power", "on"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("off, running, paused, unknown"), "{}", ran.stderr);
}
