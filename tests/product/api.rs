//! The API as other programs use it: lists in pages, versions, changes that happen once, the stream of
//! changes, and every route of the description with what nobody should send.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use divvy_api::stream::{ChangeKind, Message, Parser, ResetReason, Topic};
use serde_json::Value;

use crate::daemon::{DEADLINE, Daemon, Place, wait_until};
use crate::web::{self, Answer};

const GPU: &str = "/v1/gpus/0000:41:00.0";
const COUNT: &str = "/v1/gpus/0000:41:00.0/partition-count";
const JSON: (&str, &str) = ("Content-Type", "application/json");
const DESCRIPTION: &str = include_str!("../../docs/openapi.json");

fn with_room(room: &'static str, test: impl FnOnce(&Daemon<'_>)) {
    let place = Place::new(room);
    let daemon = place.start();
    test(&daemon);
    daemon.stop();
}

fn ask(daemon: &Daemon<'_>, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    web::ask(&mut daemon.connect(), method, path, headers, body.as_bytes()).expect("is answered")
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

/// Every page of a list, by following its links.
fn pages(daemon: &Daemon<'_>, first: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut path = Some(first.to_owned());
    while let Some(asked) = path {
        let answer = ask(daemon, "GET", &asked, &[], "");
        assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
        pages.push(answer.json().as_array().expect("a list").clone());
        let link = header(&answer, "link");
        path = link.map(|link| link[1..link.find('>').expect("a target")].to_owned());
        assert!(pages.len() < 1_000, "pages without an end");
    }
    pages
}

#[test]
fn the_pages_of_every_list_are_the_list() {
    with_room("a16-pair", |daemon| {
        let partition = r#"{"gpus": "all", "count": 4}"#;
        assert_eq!(daemon.ask("POST", "/v1/partition-counts", partition).status, 202);
        daemon.wait_for_jobs();
        for list in ["gpus", "partitions", "vms", "check", "jobs", "events?after=0"] {
            let whole = daemon.get(&format!("/v1/{list}"));
            let joint = if list.contains('?') { '&' } else { '?' };
            let pages = pages(daemon, &format!("/v1/{list}{joint}limit=3"));
            assert!(pages.iter().all(|page| page.len() <= 3), "{list}");
            assert_eq!(Value::Array(pages.concat()), whole, "{list}");
        }
    });
}

#[test]
fn a_filter_narrows_a_list_to_what_it_names() {
    with_room("a16-pair", |daemon| {
        let gpu = daemon.get("/v1/gpus")[0]["id"].as_str().expect("a text").to_owned();
        let split = daemon.ask("PUT", &format!("/v1/gpus/{gpu}/partition-count"), r#"{"count": 4}"#);
        assert_eq!(split.status, 202, "{}", split.text());
        daemon.wait_for_jobs();
        assert_eq!(daemon.ask("POST", "/v1/vms/vm-001/assignment", "{}").status, 202);
        daemon.wait_for_jobs();
        let count = |path: &str| daemon.get(path).as_array().expect("a list").len();
        for (path, expected) in [
            ("/v1/gpus?mode=partitioned".to_owned(), 1),
            (format!("/v1/gpus?q={}", gpu.to_uppercase()), 1),
            ("/v1/gpus?server=nobody".to_owned(), 0),
            (format!("/v1/partitions?gpu={gpu}"), 4),
            ("/v1/partitions?state=assigned".to_owned(), 1),
            ("/v1/partitions?vm=vm-001".to_owned(), 1),
            ("/v1/vms?managed=true".to_owned(), 1),
            (format!("/v1/vms?gpu={gpu}"), 1),
            ("/v1/vms?q=VM-001".to_owned(), 1),
            ("/v1/vms?power=running".to_owned(), 0),
            ("/v1/jobs?kind=assign".to_owned(), 1),
            ("/v1/jobs?vm=vm-001".to_owned(), 1),
            ("/v1/jobs?progress=failed".to_owned(), 0),
            ("/v1/events?code=assigned".to_owned(), 1),
            ("/v1/events?job=1&code=job_succeeded".to_owned(), 1),
            ("/v1/check?severity=error".to_owned(), 0),
        ] {
            assert_eq!(count(&path), expected, "{path}");
        }
    });
}

#[test]
fn who_has_a_version_is_not_sent_it_again_and_is_when_it_changes() {
    with_room("a2-edge", |daemon| {
        for path in
            ["/v1/gpus", GPU, "/v1/vms", "/v1/vms/vm-001", "/v1/check", "/v1/version", "/v1/openapi.json"]
        {
            let first = ask(daemon, "GET", path, &[], "");
            let tag = header(&first, "etag").unwrap_or_else(|| panic!("{path} has no tag"));
            let second = ask(daemon, "GET", path, &[("If-None-Match", &tag)], "");
            assert_eq!((second.status, second.body.len()), (304, 0), "{path}");
            assert_eq!(header(&second, "etag"), Some(tag), "{path}");
        }
        let before = header(&ask(daemon, "GET", GPU, &[], ""), "etag").expect("has a tag");
        assert_eq!(daemon.ask("PUT", COUNT, r#"{"count": 4}"#).status, 202);
        daemon.wait_for_jobs();
        assert_eq!(ask(daemon, "GET", GPU, &[("If-None-Match", &before)], "").status, 200);
    });
}

#[test]
fn a_change_of_the_version_that_was_read_is_made_and_of_an_older_one_is_not() {
    with_room("a2-edge", |daemon| {
        let read = header(&ask(daemon, "GET", GPU, &[], ""), "etag").expect("has a tag");
        let four = ask(daemon, "PUT", COUNT, &[JSON, ("If-Match", &read)], r#"{"count": 4}"#);
        assert_eq!(four.status, 202, "{}", four.text());
        daemon.wait_for_jobs();
        let late = ask(daemon, "PUT", COUNT, &[JSON, ("If-Match", &read)], r#"{"count": 8}"#);
        assert_eq!((late.status, late.problem().as_str()), (412, "changed_since_read"));
        assert_eq!(daemon.get(GPU)["partition_count"], 4);
    });
}

#[test]
fn a_key_makes_a_change_happen_once_over_restarts_and_is_good_for_no_other() {
    let place = Place::new("a2-edge");
    let headers = [JSON, ("Idempotency-Key", "from-a-script-1")];
    let daemon = place.start();
    let first = ask(&daemon, "PUT", COUNT, &headers, r#"{"count": 4}"#);
    assert_eq!((first.status, header(&first, "idempotency-replayed")), (202, None));
    daemon.kill();
    let daemon = place.start();
    let again = ask(&daemon, "PUT", COUNT, &headers, r#"{ "count": 4 }"#);
    assert_eq!((again.status, header(&again, "idempotency-replayed").as_deref()), (202, Some("true")));
    assert_eq!(again.json(), first.json());
    let other = ask(&daemon, "PUT", COUNT, &headers, r#"{"count": 8}"#);
    assert_eq!((other.status, other.problem().as_str()), (422, "idempotency_key_reused"));
    assert_eq!(daemon.get("/v1/jobs").as_array().map(Vec::len), Some(1));
    daemon.stop();
}

/// A client of the stream.
struct Watcher {
    stream: UnixStream,
    parser: Parser,
    in_head: Option<Vec<u8>>,
}

impl Watcher {
    fn start(daemon: &Daemon<'_>, after: Option<&str>) -> Self {
        let mut stream = daemon.connect();
        let after = after.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        // A server of the older version sends the body as it is, not in chunks.
        write!(stream, "GET /v1/stream HTTP/1.0\r\nHost: divvyd\r\n{after}\r\n").expect("is sent");
        stream.set_read_timeout(Some(DEADLINE)).expect("is set");
        Self { stream, parser: Parser::default(), in_head: Some(Vec::new()) }
    }

    /// Reads until a message is as it is waited for; all of them.
    fn hear(&mut self, until: impl Fn(&Message) -> bool) -> Vec<Message> {
        let mut heard: Vec<Message> = Vec::new();
        let mut piece = [0; 65_536];
        while !heard.iter().any(&until) {
            let length = self.stream.read(&mut piece).expect("it is told in time");
            assert!(length > 0, "the stream ended");
            let mut body = piece[..length].to_vec();
            if let Some(mut head) = self.in_head.take() {
                head.append(&mut body);
                match head.windows(4).position(|four| four == b"\r\n\r\n") {
                    Some(end) => body = head.split_off(end + 4),
                    None => self.in_head = Some(head),
                }
            }
            heard.extend(self.parser.push(&body).expect("is understood"));
        }
        heard
    }
}

fn is_of(message: &Message, topic: Topic, member: &str, value: &str) -> bool {
    let Message::Change { topic: of, change } = message else { return false };
    *of == topic && change.kind == ChangeKind::Put && change.value[member] == value
}

#[test]
fn a_watcher_hears_what_a_reader_would_see_and_goes_on_where_it_was() {
    with_room("a2-edge", |daemon| {
        let mut watcher = Watcher::start(daemon, None);
        let first = watcher.hear(|message| matches!(message, Message::Reset(_)));
        assert_eq!(first[0], Message::Reset(ResetReason::Beginning));
        assert_eq!(daemon.ask("PUT", COUNT, r#"{"count": 4}"#).status, 202);
        let heard = watcher.hear(|message| is_of(message, Topic::Job, "progress", "succeeded"));
        let gpus = heard.iter().rev().find_map(|message| match message {
            Message::Change { topic: Topic::Gpu, change } => Some(change.value.clone()),
            _ => None,
        });
        assert_eq!(gpus, Some(daemon.get(GPU)), "the last word about the GPU is what is read");
        let place = watcher.parser.last_id().map(str::to_owned);
        drop(watcher);
        assert_eq!(daemon.ask("POST", "/v1/vms/vm-001/assignment", "{}").status, 202);
        let mut watcher = Watcher::start(daemon, place.as_deref());
        let heard = watcher.hear(|message| is_of(message, Topic::Event, "code", "assigned"));
        assert!(!heard.iter().any(|message| matches!(message, Message::Reset(_))), "{heard:?}");
    });
}

#[test]
fn a_watcher_that_comes_back_to_another_daemon_reads_everything_again() {
    let place = Place::new("a2-edge");
    let daemon = place.start();
    let mut watcher = Watcher::start(&daemon, None);
    watcher.hear(|message| matches!(message, Message::Reset(_)));
    let last = watcher.parser.last_id().expect("has a place").to_owned();
    daemon.stop();
    let daemon = place.start();
    let heard = Watcher::start(&daemon, Some(&last)).hear(|message| matches!(message, Message::Reset(_)));
    assert_eq!(heard, [Message::Reset(ResetReason::Forgotten)]);
    daemon.stop();
}

#[test]
fn a_hundred_watchers_hear_the_same() {
    with_room("a2-edge", |daemon| {
        let mut watchers: Vec<Watcher> = (0..100).map(|_| Watcher::start(daemon, None)).collect();
        for watcher in &mut watchers {
            watcher.hear(|message| matches!(message, Message::Reset(_)));
        }
        assert_eq!(daemon.ask("PUT", COUNT, r#"{"count": 4}"#).status, 202);
        let ends = |message: &Message| is_of(message, Topic::Job, "progress", "succeeded");
        let heard: Vec<Vec<Message>> = watchers.iter_mut().map(|watcher| watcher.hear(ends)).collect();
        let until_the_end = |heard: &Vec<Message>| heard.iter().position(ends).expect("is told");
        let first = &heard[0][..=until_the_end(&heard[0])];
        assert!(heard.iter().all(|one| &one[..=until_the_end(one)] == first));
    });
}

#[test]
fn a_job_that_waits_is_cancelled_and_its_end_is_told() {
    with_room("a2-edge", |daemon| {
        let finished = daemon.ask("PUT", COUNT, r#"{"count": 4}"#).json()["job"]["id"].clone();
        daemon.wait_for_jobs();
        let path = format!("/v1/jobs/{finished}/cancel");
        let late = daemon.ask("POST", &path, "");
        assert_eq!((late.status, late.problem().as_str()), (409, "job_finished"));
        let unknown = daemon.ask("POST", "/v1/jobs/4711/cancel", "");
        assert_eq!((unknown.status, unknown.problem().as_str()), (404, "job_not_found"));
        let accepted = daemon.ask("PUT", COUNT, r#"{"count": 8}"#).json()["job"]["id"].clone();
        let cancelled = daemon.ask("POST", &format!("/v1/jobs/{accepted}/cancel"), "");
        // The room may have been faster.
        if cancelled.status == 200 {
            assert_eq!(cancelled.json()["progress"], "failed");
            wait_until("the GPU is back", || daemon.get(GPU)["partition_count"] == 4);
        } else {
            assert_eq!(cancelled.problem(), "job_finished");
        }
    });
}

/// Every operation of the description, with names where it has names.
fn operations() -> Vec<(String, String, bool)> {
    let description: Value = serde_json::from_str(DESCRIPTION).expect("is JSON");
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().expect("has paths") {
        for (method, operation) in methods.as_object().expect("has methods") {
            let path = path.replace("{id}", "1").replace("{vm}", "vm-001").replace("{name}", "vm-001");
            let path = path.replace("{gpu}", "0000:41:00.0");
            operations.push((method.to_uppercase(), path, operation.get("requestBody").is_some()));
        }
    }
    operations
}

#[test]
fn every_route_refuses_what_nobody_should_send_with_a_problem_document() {
    with_room("a2-edge", |daemon| {
        let all = operations();
        assert!(all.len() > 15, "the description is empty");
        for (method, path, has_body) in all {
            let asked = format!("{method} {path}");
            let refused = |answer: &Answer, statuses: &[u16]| {
                assert!(statuses.contains(&answer.status), "{asked}: {} {}", answer.status, answer.text());
                answer.problem();
            };
            refused(&ask(daemon, "TRACE", &path, &[JSON], "{}"), &[405]);
            refused(&ask(daemon, &method, &format!("{path}/more"), &[JSON], "{}"), &[404, 405]);
            if has_body {
                refused(&ask(daemon, &method, &path, &[("Content-Type", "text/xml")], "<a/>"), &[415]);
                refused(&ask(daemon, &method, &path, &[JSON], "{"), &[400]);
                refused(&ask(daemon, &method, &path, &[JSON], "[]"), &[422]);
                refused(&ask(daemon, &method, &path, &[JSON], r#"{"no_such_member": 1}"#), &[422]);
                refused(&ask(daemon, &method, &path, &[JSON], &" ".repeat(2 << 20)), &[413]);
            }
        }
    });
}

#[test]
fn the_description_that_is_served_is_the_frozen_one() {
    with_room("a2-edge", |daemon| {
        assert_eq!(ask(daemon, "GET", "/v1/openapi.json", &[], "").text(), DESCRIPTION);
    });
}
