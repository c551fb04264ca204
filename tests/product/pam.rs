//! The helper that asks PAM: with a library that stands for libpam, and with the real one. The library is
//! built once by the C compiler that building needs anyway.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::programs;

/// The password that the library takes for right.
pub const RIGHT: &str = "right \"pass\\word\" ä";

/// The folder of the library that stands for libpam.
pub fn library() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    FOLDER.get_or_init(build).path()
}

fn build() -> TempDir {
    let folder = TempDir::new().expect("makes a folder");
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("product/libpam.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(folder.path().join("libpam.so.0"));
    let output = compiler.arg(source).output().expect("there is a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// A folder whose libpam is none.
pub fn no_library() -> TempDir {
    let folder = TempDir::new().expect("makes a folder");
    std::fs::write(folder.path().join("libpam.so.0"), "no library").expect("writes");
    folder
}

/// The helper's exit status, and what it said.
fn ask(library: Option<&Path>, question: &[u8]) -> (Option<i32>, String) {
    let mut command = Command::new(programs::path("divvyd"));
    command.arg("--pam-helper").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("LD_LIBRARY_PATH");
    if let Some(library) = library {
        command.env("LD_LIBRARY_PATH", library);
    }
    let mut child = command.spawn().expect("starts");
    let mut input = child.stdin.take().expect("a pipe");
    // A helper that reads no further says why by its end.
    let _ = input.write_all(question);
    drop(input);
    let output = child.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!all.contains("right"), "the password is told: {all}");
    (output.status.code(), said)
}

fn question(user: &str, password: &str, group: Option<&str>) -> Vec<u8> {
    let question: Value =
        json!({ "user": user, "password": password, "source": "192.0.2.1", "group": group });
    question.to_string().into_bytes()
}

fn with_library(user: &str, password: &str, group: Option<&str>) -> (Option<i32>, String) {
    ask(Some(library()), &question(user, password, group))
}

const ACCEPTED: Option<i32> = Some(0);
const REFUSED: Option<i32> = Some(10);
const NO_LIBRARY: Option<i32> = Some(11);
const BROKEN: Option<i32> = Some(12);

#[test]
fn the_right_password_of_who_may_is_accepted() {
    assert_eq!(with_library("root", RIGHT, None), (ACCEPTED, "root".to_owned()));
    assert_eq!(with_library("daemon", RIGHT, Some("daemon")), (ACCEPTED, "daemon".to_owned()));
}

#[test]
fn everybody_else_is_refused() {
    for (user, password, group) in [
        ("root", "wrong", None),
        ("root", "", None),
        ("root", &RIGHT[..5], None),
        ("daemon", RIGHT, None),
        ("daemon", RIGHT, Some("no-such-group")),
        ("bin", RIGHT, Some("bin")),
        ("nobody-here", RIGHT, Some("daemon")),
        ("no-account", RIGHT, Some("daemon")),
        ("factors", RIGHT, None),
        ("visible", RIGHT, None),
        ("root\0", RIGHT, None),
        ("root", "right\0", None),
    ] {
        let (status, said) = with_library(user, password, group);
        assert_eq!(status, REFUSED, "{user:?} {group:?}: {said}");
    }
}

#[test]
fn a_pam_that_fails_says_nothing_about_the_account() {
    assert_eq!(with_library("broken", RIGHT, None).0, BROKEN);
    assert_eq!(with_library("crash", RIGHT, None).0, None, "a crash has an exit status");
}

#[test]
fn a_question_that_makes_no_sense_lets_nobody_in() {
    let long = question("root", &"x".repeat(100_000), None);
    for question in [&b""[..], b"{}", b"root", b"\xff\xfe", &long] {
        assert_eq!(ask(Some(library()), question).0, BROKEN);
    }
}

#[test]
fn a_server_without_libpam_is_told_apart() {
    assert_eq!(ask(Some(no_library().path()), &question("root", RIGHT, None)).0, NO_LIBRARY);
}

#[test]
fn the_real_libpam_refuses_who_does_not_exist() {
    let (status, said) = ask(None, &question("divvy-no-such-user", "any", None));
    assert_eq!(status, REFUSED, "{said}");
}
