//! The exit codes that scripts lean on, each brought about with the real programs.

use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::daemon::{Place, vm_in_room, wait_until};

#[test]
fn what_is_done_or_so_already_is_0() {
    let place = Place::new("a2-edge");
    let daemon = place.start();
    for _twice in 0..2 {
        let output = place.divvy(&["gpu", "partition", "0000:41:00.0", "--count", "2"]);
        assert_eq!(output.status.code(), Some(0));
    }
    daemon.stop();
}

#[test]
fn a_refusal_is_1_and_a_wrong_command_line_2() {
    let place = Place::new("a2-edge");
    let daemon = place.start();
    assert_eq!(place.divvy(&["assign", "vm-001"]).status.code(), Some(1));
    assert_eq!(place.divvy(&["assign"]).status.code(), Some(2));
    daemon.stop();
}

/// A VM whose guest OS does not give a device back when it is asked to.
#[test]
fn hardware_that_fails_is_3_and_what_was_not_given_back_goes_to_nobody_else() {
    let place = Place::new("a2-edge");
    place.edit_room(|room| vm_in_room(room, "vm-001")["manners"]["lets_go"] = json!(false));
    let daemon = place.start();
    for words in [
        &["gpu", "partition", "0000:41:00.0", "--count", "2"][..],
        &["sim", "power", "vm-001", "on"],
        &["assign", "vm-001"],
    ] {
        assert_eq!(place.divvy(words).status.code(), Some(0), "{words:?}");
    }
    let output = place.divvy(&["unassign", "vm-001"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    let states = || {
        let partitions = daemon.get("/v1/partitions");
        let state = |nth: usize| partitions[nth]["state"].as_str().expect("a text").to_owned();
        [state(0), state(1)]
    };
    assert_eq!(states(), ["releasing", "free"]);
    assert_eq!(place.divvy(&["assign", "vm-002", "vm-003"]).status.code(), Some(1), "one is free");
    assert_eq!(
        place.divvy(&["gpu", "partition", "0000:41:00.0", "--off"]).status.code(),
        Some(1),
        "one is open"
    );
    assert_eq!(place.divvy(&["sim", "power", "vm-001", "off"]).status.code(), Some(0));
    wait_until("the partition is clean", || states() == ["free", "free"]);
    assert_eq!(place.divvy(&["assign", "vm-002", "vm-003"]).status.code(), Some(0));
    daemon.stop();
}

#[test]
fn a_server_that_is_not_there_is_4() {
    let place = Place::new("a2-edge");
    let output = place.divvy(&["gpu", "list"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("divvy.sock"));
}

#[test]
fn what_answers_and_is_no_divvyd_is_4() {
    let place = Place::new("a2-edge");
    let listener = UnixListener::bind(place.socket()).expect("binds");
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("is asked");
        std::io::Write::write_all(&mut stream, b"220 mail ready\r\n").expect("writes");
    });
    assert_eq!(place.divvy(&["gpu", "list"]).status.code(), Some(4));
    other.join().expect("answered");
}
