//! The API over loopback TCP: whoever has the token may ask, nobody else.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::daemon::{DEADLINE, Daemon, Place};
use crate::programs;
use crate::web::{self, Answer};

const GPU: &str = "/v1/gpus/0000:41:00.0/partition-count";

/// A port that nobody else has now.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.local_addr().expect("has an address")
}

fn with_daemon(test: impl FnOnce(&Place, &Daemon<'_>, SocketAddr, &str)) {
    let place = Place::new("a2-edge");
    let address = free_address();
    let daemon = place.start_with(&["--listen", &address.to_string()]);
    let token = std::fs::read_to_string(place.state_dir().join("token")).expect("was made");
    test(&place, &daemon, address, &token);
    daemon.stop();
}

fn ask(address: SocketAddr, method: &str, path: &str, authorization: Option<&str>, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(DEADLINE)).expect("is set");
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    web::ask(&mut stream, method, path, &headers, body.as_bytes()).expect("is answered")
}

#[test]
fn without_the_token_nothing_is_answered_and_nothing_is_changed() {
    with_daemon(|_, daemon, address, token| {
        let before = daemon.whole_state();
        let short = format!("Bearer {}", &token[..63]);
        let long = format!("Bearer {token}0");
        let basic = format!("Basic {token}");
        let upper = format!("Bearer {}", token.to_ascii_uppercase());
        let zeroes = format!("Bearer {}", "0".repeat(64));
        let wrong = [
            None,
            Some(""),
            Some(token),
            Some("Bearer"),
            Some("Bearer "),
            Some(&short),
            Some(&long),
            Some(&basic),
            Some(&zeroes),
        ];
        let upper = (upper != format!("Bearer {token}")).then_some(upper.as_str());
        for authorization in wrong.into_iter().chain(upper.map(Some)) {
            for (method, path, body) in [
                ("GET", "/v1/version", ""),
                ("GET", "/v1/gpus", ""),
                ("PUT", GPU, "{\"count\": 4}"),
                ("POST", "/v1/sim/vms/vm-001/power", "{\"on\": true}"),
                ("GET", "/nothing", ""),
            ] {
                let answer = ask(address, method, path, authorization, body);
                assert_eq!(
                    (answer.status, answer.problem().as_str()),
                    (401, "unauthorized"),
                    "{authorization:?}"
                );
            }
        }
        assert_eq!(daemon.whole_state(), before, "something was changed");
    });
}

#[test]
fn the_console_is_for_everybody_and_holds_nothing_of_the_server() {
    with_daemon(|_, _, address, token| {
        let start = ask(address, "GET", "/", None, "");
        assert_eq!(start.status, 307);
        assert!(start.head.contains("location: /console/"), "{}", start.head);
        let page = ask(address, "GET", "/console/", None, "");
        assert_eq!(page.status, 200);
        assert!(page.head.contains("content-security-policy: default-src 'self'"), "{}", page.head);
        assert!(page.text().contains("<!doctype html>") && !page.text().contains(token));
    });
}

#[test]
fn with_the_token_everything_is_as_over_the_socket() {
    with_daemon(|_, daemon, address, token| {
        let bearer = format!("Bearer {token}");
        assert_eq!(ask(address, "PUT", GPU, Some(&bearer), "{\"count\": 4}").status, 202);
        daemon.wait_for_jobs();
        for path in ["/v1/gpus", "/v1/partitions", "/v1/vms", "/v1/check", "/v1/jobs", "/v1/version"] {
            assert_eq!(ask(address, "GET", path, Some(&bearer), "").json(), daemon.get(path), "{path}");
        }
        assert_eq!(daemon.get("/v1/jobs/1")["principal"], "token");
    });
}

#[test]
fn the_command_line_asks_over_tcp_with_the_token_in_a_file() {
    with_daemon(|place, _, address, _| {
        let ask = |more: &[&std::ffi::OsStr]| {
            let mut command = Command::new(programs::path("divvy"));
            command.env_remove("DIVVY_TOKEN").env_remove("DIVVY_SOCKET").args(["gpu", "list", "--server"]);
            command.arg(format!("http://{address}")).args(more).output().expect("runs")
        };
        let file = place.state_dir().join("token");
        assert_eq!(ask(&["--token-file".as_ref(), file.as_ref()]).status.code(), Some(0));
        let without = ask(&[]);
        assert_eq!(without.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&without.stderr).contains("token"));
    });
}

#[test]
fn the_token_is_secret_and_stays_the_same_over_starts() {
    let place = Place::new("a2-edge");
    place.start().stop();
    let file = place.state_dir().join("token");
    let first = std::fs::read_to_string(&file).expect("was made");
    assert_eq!(std::fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(place.state_dir()).expect("is there").permissions().mode() & 0o777, 0o700);
    place.start().stop();
    assert_eq!(std::fs::read_to_string(&file).expect("is there"), first);
    assert!(!place.log().contains(&first), "the log tells the token");
}
