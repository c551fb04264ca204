//! What a daemon cannot start with: it ends at once, says what and where in one line, and leaves
//! everything as it found it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::daemon::Place;
use crate::programs;

/// Ends with this status and says all of this, without a panic.
fn fails(command: &mut Command, status: i32, said: &[&str]) {
    let output = Place::run_divvyd(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    for words in said {
        assert!(stderr.contains(words), "{words:?} is not in {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// A daemon of this place's room with its own settings file, state directory and socket.
fn elsewhere(place: &Place, settings: &Path, state_dir: &Path, socket: &Path) -> Command {
    let mut command = Command::new(programs::path("divvyd"));
    command.args(["--sim", "a2-edge", "--settings"]).arg(settings);
    command.arg("--state-dir").arg(state_dir).arg("--socket").arg(socket);
    command.current_dir(place.path(""));
    command
}

#[test]
fn a_settings_file_that_is_wrong_is_named_with_the_member() {
    let table: [(&[u8], &str); 10] = [
        (b"colour = 1", "colour"),
        (b"server_name = \"a b\"", "a b"),
        (b"server_name = 7", "server_name"),
        (b"server_name", "divvyd.toml"),
        (b"more_gpus = [\"8086\"]", "8086"),
        (b"more_gpus = \"8086:1\"", "more_gpus"),
        (b"write_deadline_seconds = 0", "write_deadline_seconds"),
        (b"write_deadline_seconds = -1", "write_deadline_seconds"),
        (b"[section]\nx = 1", "section"),
        (b"\xff\xfe\x00", "divvyd.toml"),
    ];
    let place = Place::new("a2-edge");
    for (text, said) in table {
        let file = place.path("divvyd.toml");
        fs::write(&file, text).expect("writes");
        let mut command = elsewhere(&place, &file, &place.state_dir(), &place.socket());
        fails(&mut command, 2, &[said, "divvyd.toml"]);
        assert!(!place.state_dir().exists(), "{said}: a state directory was made");
    }
}

#[test]
fn a_settings_file_that_is_not_there_is_named() {
    let place = Place::new("a2-edge");
    let mut command = Command::new(programs::path("divvyd"));
    fails(command.args(["--sim", "a2-edge", "--settings"]).arg(place.path("no.toml")), 2, &["no.toml"]);
}

#[test]
fn an_option_that_there_is_not_is_a_wrong_command_line() {
    let place = Place::new("a2-edge");
    fails(place.divvyd().arg("--colour"), 2, &["--colour"]);
    fails(place.divvyd().args(["--listen", "nowhere"]), 2, &["nowhere"]);
    fails(place.divvyd().args(["--listen", "127.0.0.1:99999"]), 2, &["99999"]);
}

#[test]
fn a_room_that_there_is_not_is_named_with_those_that_there_are() {
    let place = Place::new("nowhere");
    fails(&mut place.divvyd(), 3, &["nowhere", "a2-edge"]);
}

#[test]
fn a_room_text_that_cannot_be_read_is_named() {
    let texts = [
        "",
        "{",
        "[]",
        "{\"version\": 99}",
        "{\"version\": 2, \"room\": \"x\", \"seed\": 1, \"servers\": []}",
    ];
    for text in texts {
        let place = Place::new("a2-edge");
        fs::create_dir(place.state_dir()).expect("makes");
        fs::write(place.state_dir().join("room-a2-edge.json"), text).expect("writes");
        fails(&mut place.divvyd(), 3, &["room"]);
    }
}

#[test]
fn a_state_directory_that_is_a_file_is_named() {
    let place = Place::new("a2-edge");
    fs::write(place.state_dir(), "mine").expect("writes");
    fails(&mut place.divvyd(), 3, &["state"]);
    assert_eq!(fs::read_to_string(place.state_dir()).expect("is there"), "mine");
}

#[test]
fn a_state_directory_below_a_file_is_named() {
    let place = Place::new("a2-edge");
    fs::write(place.path("file"), "mine").expect("writes");
    let state_dir = place.path("file/state");
    let mut command = elsewhere(&place, &place.path("settings.toml"), &state_dir, &place.socket());
    fails(&mut command, 3, &["file/state"]);
}

/// Root may write everywhere, except where the kernel itself keeps everybody out.
#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    let place = Place::new("a2-edge");
    let state_dir = if nix::unistd::geteuid().is_root() {
        "/proc/divvy-state".into()
    } else {
        fs::create_dir(place.state_dir()).expect("makes");
        fs::set_permissions(place.state_dir(), Permissions::from_mode(0o500)).expect("is set");
        place.state_dir()
    };
    let mut command = elsewhere(&place, &place.path("settings.toml"), &state_dir, &place.socket());
    fails(&mut command, 3, &[&state_dir.display().to_string()]);
}

#[test]
fn a_database_that_is_none_is_named_and_left_as_it_is() {
    let place = Place::new("a2-edge");
    place.start().stop();
    let database = place.state_dir().join("divvy.db");
    for text in ["someone's letter", &"x".repeat(20_000)] {
        fs::write(&database, text).expect("writes");
        fails(&mut place.divvyd(), 3, &["divvy.db"]);
        assert_eq!(fs::read_to_string(&database).expect("is there"), text);
    }
}

#[test]
fn a_token_that_is_none_is_named_and_left_as_it_is() {
    let place = Place::new("a2-edge");
    fs::create_dir(place.state_dir()).expect("makes");
    for text in ["short", "", &"g".repeat(64)] {
        fs::write(place.state_dir().join("token"), text).expect("writes");
        fails(&mut place.divvyd(), 3, &["token", "64 hex digits"]);
        assert_eq!(fs::read_to_string(place.state_dir().join("token")).expect("is there"), text);
    }
}

#[test]
fn a_second_daemon_on_one_state_directory_is_refused_and_the_first_goes_on() {
    let place = Place::new("a2-edge");
    let daemon = place.start();
    let settings = place.path("settings.toml");
    let mut second = elsewhere(&place, &settings, &place.state_dir(), &place.path("other.sock"));
    fails(&mut second, 3, &["state"]);
    assert!(!place.path("other.sock").exists());
    daemon.get("/v1/version");
    daemon.stop();
}

#[test]
fn a_socket_that_another_daemon_answers_on_is_refused_and_the_first_goes_on() {
    let place = Place::new("a2-edge");
    let daemon = place.start();
    let mut second = elsewhere(&place, &place.path("settings.toml"), &place.path("other"), &place.socket());
    fails(&mut second, 3, &["another divvyd answers", "divvy.sock"]);
    daemon.get("/v1/version");
    daemon.stop();
}

#[test]
fn someone_elses_file_in_the_place_of_the_socket_is_named_and_left_as_it_is() {
    let place = Place::new("a2-edge");
    fs::write(place.socket(), "someone's letter").expect("writes");
    fails(&mut place.divvyd(), 3, &["divvy.sock"]);
    assert_eq!(fs::read_to_string(place.socket()).expect("is there"), "someone's letter");
}

#[test]
fn a_folder_in_the_place_of_the_socket_is_named() {
    let place = Place::new("a2-edge");
    fs::create_dir(place.socket()).expect("makes");
    fails(&mut place.divvyd(), 3, &["divvy.sock"]);
}

#[test]
fn a_socket_path_that_is_too_long_is_named() {
    let place = Place::new("a2-edge");
    let long = place.path(&"x".repeat(150));
    let mut command = elsewhere(&place, &place.path("settings.toml"), &place.state_dir(), &long);
    fails(&mut command, 3, &["xxx"]);
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_taken_over() {
    let place = Place::new("a2-edge");
    place.start().kill();
    assert!(place.socket().exists());
    place.start().stop();
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let place = Place::new("a2-edge");
    let settings = "[tls]\ncertificate = '/nonexistent/c.pem'\nkey = '/nonexistent/k.pem'\n";
    fs::write(place.path("settings.toml"), settings).expect("writes");
    fails(place.divvyd().args(["--listen", "0.0.0.0:0"]), 3, &["0.0.0.0:0", "/nonexistent/c.pem"]);
}

#[test]
fn a_certificate_of_somebody_else_in_the_place_of_ours_is_named_and_left_as_it_is() {
    let place = Place::new("a2-edge");
    let file = place.state_dir().join("tls/certificate.pem");
    fs::create_dir_all(file.parent().expect("a folder")).expect("makes");
    fs::write(&file, "mine").expect("writes");
    fails(place.divvyd().args(["--listen", "0.0.0.0:0"]), 3, &["certificate.pem", "[tls]"]);
    assert_eq!(fs::read_to_string(&file).expect("is there"), "mine");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("has one").to_string();
    let place = Place::new("a2-edge");
    fails(place.divvyd().args(["--listen", &address]), 3, &[&address]);
}

#[test]
fn a_socket_group_that_there_is_not_is_named() {
    let place = Place::new("a2-edge");
    fs::write(place.path("settings.toml"), "socket_group = \"no-such-group\"").expect("writes");
    fails(&mut place.divvyd(), 3, &["no-such-group"]);
}
