//! Command lines that make no sense, and names that no thing has: each is answered in words that repeat
//! what was wrong, with the exit code that scripts lean on, and changes nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use crate::daemon::Place;

const LONG: usize = 200;

/// Every command that names a thing, with the name in its place.
const NAMING: [&[&str]; 10] = [
    &["gpu", "show", "NAME"],
    &["gpu", "partition", "NAME", "--count", "4"],
    &["gpu", "partition", "NAME", "--off"],
    &["vm", "show", "NAME"],
    &["assign", "NAME"],
    &["assign", "vm-001", "--gpu", "NAME"],
    &["unassign", "NAME"],
    &["explain", "NAME"],
    &["sim", "power", "NAME", "on"],
    &["partition", "list", "--gpu", "NAME"],
];

/// Runs each command with each name; all of them are refused, say `said`, and change nothing.
fn refused(names: &[&str], said: impl Fn(&str) -> String) {
    let place = Place::new("a2-edge");
    let daemon = place.start();
    let before = daemon.whole_state();
    for command in NAMING {
        for name in names {
            let words: Vec<&str> =
                command.iter().map(|word| if *word == "NAME" { *name } else { *word }).collect();
            let output = place.divvy(&words);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{words:?}: {stderr}");
            assert!(output.stdout.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
            assert!(stderr.contains(&said(name)), "{words:?}: {stderr}");
        }
    }
    assert_eq!(daemon.whole_state(), before, "something was changed");
    daemon.stop();
}

#[test]
fn a_name_that_nothing_has_is_repeated() {
    let names = ["nothing", "..", "/etc/passwd", "vm 001", "vm-001%00", "ünïcödé", "%", "?dry_run=true", "#"];
    refused(&names, |name| format!("{name:?}"));
}

#[test]
fn a_name_with_bytes_that_would_steer_a_terminal_is_escaped() {
    refused(&["vm-001\n", "\u{1b}[31mred", "a\tb"], |name| format!("{name:?}"));
}

#[test]
fn a_name_that_is_too_long_is_refused() {
    refused(&[&"x".repeat(LONG)], |_| format!("has {LONG} characters"));
}

#[test]
fn a_wrong_command_line_is_told_before_anybody_is_asked() {
    let place = Place::new("a2-edge");
    let table: &[&[&str]] = &[
        &[],
        &["nothing"],
        &["gpu"],
        &["gpu", "show"],
        &["gpu", "show", ""],
        &["gpu", "partition", "x"],
        &["gpu", "partition", "--count", "4"],
        &["gpu", "partition", "x", "--all", "--count", "4"],
        &["gpu", "partition", "x", "--count", "4", "--off"],
        &["gpu", "partition", "x", "--count", "-1"],
        &["gpu", "partition", "x", "--count", "four"],
        &["gpu", "partition", "x", "--count", "65536"],
        &["gpu", "partition", "x", "--count", "4.0"],
        &["gpu", "partition", "x", "--count", "4", "--dry-run", "--no-wait"],
        &["assign"],
        &["assign", ""],
        &["unassign"],
        &["sim", "power", "vm-001", "maybe"],
        &["gpu", "list", "-o", "xml"],
        &["job", "show", "x"],
        &["--server", "http://127.0.0.1:1", "gpu", "list"],
        &["explain"],
    ];
    for words in table {
        let output = place.divvy(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn a_name_that_is_no_text_is_a_wrong_command_line() {
    let place = Place::new("a2-edge");
    let output = place.divvy(&[OsStr::new("vm"), OsStr::new("show"), OsStr::from_bytes(b"vm-\xff")]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_refusal_as_json_is_one_problem_document_on_standard_error() {
    let place = Place::new("a2-edge");
    let daemon = place.start();
    let commands: [(&[&str], &str); 4] = [
        (&["gpu", "partition", "0000:41:00.0", "--count", "3", "-o", "json"], "count_not_valid"),
        (&["assign", "vm-001", "-o", "json"], "no_free_partition"),
        (&["vm", "show", "nothing", "-o", "json"], "vm_not_found"),
        (&["unassign", "vm-001", "-o", "json"], "vm_has_no_partition"),
    ];
    for (words, code) in commands {
        let output = place.divvy(words);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty(), "{words:?}");
        let problem: Value = serde_json::from_slice(&output.stderr).expect("one document");
        assert_eq!(problem["code"], code);
        assert!(problem["detail"].is_string() && problem["hint"].is_string(), "{problem}");
    }
    daemon.stop();
}
