//! Webhooks of a real daemon: a receiver that holds on, one that is away, a daemon that is killed, and what
//! may not be read anywhere.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;

use serde_json::Value;

use crate::daemon::{DEADLINE, Daemon, Place, wait_until};

const COUNT: &str = "/v1/gpus/0000:41:00.0/partition-count";
const SECRET: &str = "whsec_bm90aGluZyBidXQgYSB0ZXN0IG9mIHdlYmhvb2tz";

/// Takes what it is told one by one, and answers when the test says so.
struct Receiver(TcpListener);

/// One message that waits for its answer.
struct Held {
    stream: TcpStream,
    body: Value,
}

impl Receiver {
    fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("listens");
        listener.set_nonblocking(true).expect("is set");
        Self(listener)
    }

    fn new() -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address"))
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("has an address")
    }

    fn next(&self) -> Held {
        let mut accepted = None;
        wait_until("a message", || {
            accepted = self.0.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.expect("waited for it");
        stream.set_nonblocking(false).expect("is set");
        stream.set_read_timeout(Some(DEADLINE)).expect("is set");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).expect("is read"), 0, "{head}");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.expect("has one").parse().expect("a number")];
        reader.read_exact(&mut body).expect("is read");
        Held { stream: reader.into_inner(), body: serde_json::from_slice(&body).expect("is JSON") }
    }

    /// Takes messages until the event of this number, and tells the numbers behind `after`, each once: on a
    /// slow machine divvyd may have waited too long for an answer, and send the same again.
    fn take(&self, after: u64, last: u64) -> Vec<u64> {
        let mut numbers = vec![after];
        while numbers.last() != Some(&last) {
            let held = self.next();
            numbers.push(held.number());
            held.answer(204);
        }
        numbers.dedup();
        numbers.split_off(1)
    }
}

impl Held {
    fn number(&self) -> u64 {
        self.body["data"]["number"].as_u64().expect("a number")
    }

    fn answer(mut self, status: u16) {
        let text = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        // It may be waited for no more.
        let _ = self.stream.write_all(text.as_bytes());
    }
}

/// Where a receiver was and may be again.
fn address_of_nobody() -> SocketAddr {
    Receiver::new().address()
}

fn place(address: SocketAddr, mode: u32) -> Place {
    let place = Place::new("a2-edge");
    let secret = place.path("secret");
    fs::write(&secret, SECRET).expect("writes");
    fs::set_permissions(&secret, Permissions::from_mode(mode)).expect("is set");
    let settings = format!(
        "[[webhook]]\nurl = 'http://{address}/in?key=hunter2'\nsecret_file = '{}'\n",
        secret.display()
    );
    fs::write(place.path("settings.toml"), settings).expect("writes");
    place
}

fn change(daemon: &Daemon<'_>, count: u16) {
    let answer = daemon.ask("PUT", COUNT, &format!("{{\"count\": {count}}}"));
    assert_eq!(answer.status, 202, "{}", answer.text());
    daemon.wait_for_jobs();
}

fn newest(daemon: &Daemon<'_>) -> u64 {
    let events = daemon.get("/v1/events?limit=1");
    events[0]["number"].as_u64().expect("something happened")
}

#[test]
fn changes_are_made_while_a_receiver_holds_on_to_an_event_and_every_event_follows_in_order() {
    let receiver = Receiver::new();
    let place = place(receiver.address(), 0o600);
    let daemon = place.start();
    change(&daemon, 4);
    let held = receiver.next();
    change(&daemon, 2);
    let last = newest(&daemon);
    let first = held.number();
    let shown = daemon.get(&format!("/v1/events?after={}&limit=1", first - 1));
    assert_eq!(held.body["data"], shown[0]);
    assert_eq!(daemon.get("/v1/webhooks")[0]["waiting"], last - first + 1);
    held.answer(204);
    assert_eq!(receiver.take(first, last), (first + 1..=last).collect::<Vec<_>>());
    daemon.stop();
}

#[test]
fn what_happened_before_a_kill_while_the_receiver_was_away_is_told_after_it() {
    let address = address_of_nobody();
    let place = place(address, 0o600);
    let daemon = place.start();
    change(&daemon, 4);
    wait_until("it is tried", || daemon.get("/v1/webhooks")[0]["state"] == "retrying");
    daemon.kill();
    let daemon = place.start();
    change(&daemon, 2);
    let last = newest(&daemon);
    let receiver = Receiver::at(address);
    assert_eq!(receiver.take(0, last), (1..=last).collect::<Vec<_>>());
    wait_until("it works", || daemon.get("/v1/webhooks")[0]["waiting"] == 0);
    daemon.stop();
    let daemon = place.start();
    assert_eq!(daemon.get("/v1/webhooks")[0]["waiting"], 0, "a stop did not keep how far it was told");
    daemon.stop();
}

#[test]
fn the_command_line_tries_a_webhook_and_tells_what_it_said() {
    let receiver = Receiver::new();
    let place = place(receiver.address(), 0o600);
    let daemon = place.start();
    let url = format!("http://{}/in", receiver.address());
    for (status, exit) in [(200, 0), (500, 1)] {
        let output = thread::scope(|scope| {
            let running = scope.spawn(|| place.divvy(&["webhook", "test", &url, "-o", "json"]));
            let held = receiver.next();
            assert_eq!(held.body["type"], "webhook_test");
            held.answer(status);
            running.join().expect("ends")
        });
        assert_eq!(output.status.code(), Some(exit));
        let told: Value = serde_json::from_slice(&output.stdout).expect("is JSON");
        assert_eq!((&told[0]["url"], &told[0]["status"]), (&Value::from(url.as_str()), &Value::from(status)));
    }
    let unknown = place.divvy(&["webhook", "test", "http://elsewhere/", "-o", "json"]);
    assert_eq!(unknown.status.code(), Some(1));
    let problem: Value = serde_json::from_slice(&unknown.stderr).expect("is JSON");
    assert_eq!(problem["code"], "webhook_not_found");
    daemon.stop();
}

#[test]
fn neither_the_secret_nor_the_query_of_an_address_can_be_read_anywhere() {
    let address = address_of_nobody();
    let place = place(address, 0o600);
    let daemon = place.start();
    change(&daemon, 4);
    let has_finding = || daemon.get("/v1/check").to_string().contains("webhook_failing");
    wait_until("trouble is a finding", has_finding);
    let cursors = fs::read_to_string(place.state_dir().join("webhooks.json")).expect("is kept");
    let test = daemon.ask("POST", "/v1/webhooks/test", "{}").text();
    let told = [daemon.get("/v1/webhooks").to_string(), daemon.whole_state().to_string(), cursors, test];
    daemon.stop();
    for text in told.iter().chain([&place.log()]) {
        assert!(!text.contains("hunter2") && !text.contains(&SECRET[6..]), "{text}");
    }
}

#[test]
fn a_secret_that_others_can_read_is_named_and_nothing_starts() {
    let place = place("127.0.0.1:9".parse().expect("an address"), 0o644);
    let output = Place::run_divvyd(&mut place.divvyd());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("secret_file") && told.contains("chmod 600") && !told.contains("panicked"),
        "{told}"
    );
}
