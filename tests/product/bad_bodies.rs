//! What no client of ours would send: each is answered with a problem document that names what is wrong,
//! and changes nothing at all.

use serde_json::Value;

use crate::daemon::{Daemon, Place};
use crate::web::{self, Answer};

const GPU: &str = "/v1/gpus/0000:41:00.0/partition-count";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// A room with something in it that a wrong request could destroy.
fn with_daemon(test: impl FnOnce(&Daemon<'_>)) {
    let place = Place::new("a2-edge");
    let daemon = place.start();
    assert_eq!(daemon.ask("PUT", GPU, r#"{"count": 4}"#).status, 202);
    daemon.wait_for_jobs();
    assert_eq!(daemon.ask("POST", "/v1/assignments", r#"{"vms": ["vm-001"]}"#).status, 202);
    daemon.wait_for_jobs();
    let before = daemon.whole_state();
    test(&daemon);
    assert_eq!(daemon.whole_state(), before, "something was changed");
    daemon.stop();
}

fn ask(daemon: &Daemon<'_>, method: &str, path: &str, body: &[u8]) -> Answer {
    web::ask(&mut daemon.connect(), method, path, &[JSON], body).expect("is answered")
}

/// Asks each, and compares status and code.
fn refused(daemon: &Daemon<'_>, table: &[(&str, &str, &str, u16, &str)]) {
    for (method, path, body, status, code) in table {
        let answer = ask(daemon, method, path, body.as_bytes());
        let asked = format!("{method} {path} {}", body.chars().take(80).collect::<String>());
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (*status, *code),
            "{asked}: {}",
            answer.text()
        );
    }
}

#[test]
fn a_body_that_is_no_json_or_has_other_members_is_refused_and_named() {
    with_daemon(|daemon| {
        refused(
            daemon,
            &[
                ("PUT", GPU, "", 400, "body_malformed"),
                ("PUT", GPU, "{", 400, "body_malformed"),
                ("PUT", GPU, "{\"count\": 8} {}", 400, "body_malformed"),
                ("PUT", GPU, "\u{feff}{\"count\": 8}", 400, "body_malformed"),
                ("PUT", GPU, "null", 422, "body_malformed"),
                ("PUT", GPU, "[8]", 422, "body_malformed"),
                ("PUT", GPU, "{\"count\": \"8\"}", 422, "body_malformed"),
                ("PUT", GPU, "{\"count\": -1}", 422, "body_malformed"),
                ("PUT", GPU, "{\"count\": 8.5}", 422, "body_malformed"),
                ("PUT", GPU, "{\"count\": 65536}", 422, "body_malformed"),
                ("PUT", GPU, "{\"count\": 1e99}", 422, "body_malformed"),
                ("PUT", GPU, "{\"count\": 8, \"count\": 4}", 422, "body_malformed"),
                ("PUT", GPU, "{\"count\": 8, \"size\": 1}", 422, "body_malformed"),
                ("PUT", GPU, "{\"count\": 8, \"off\": true}", 422, "count_or_off"),
                ("PUT", GPU, "{}", 422, "count_or_off"),
                ("PUT", GPU, "{\"count\": 7}", 409, "count_not_valid"),
                ("POST", "/v1/partition-counts", "{\"count\": 8}", 422, "body_malformed"),
                ("POST", "/v1/partition-counts", "{\"gpus\": \"some\", \"count\": 8}", 422, "body_malformed"),
                ("POST", "/v1/partition-counts", "{\"gpus\": [], \"count\": 8}", 422, "nothing_selected"),
                ("POST", "/v1/partition-counts", "{\"gpus\": [\"\"], \"count\": 8}", 422, "name_empty"),
                ("POST", "/v1/assignments", "{\"vms\": \"vm-002\"}", 422, "body_malformed"),
                ("POST", "/v1/assignments", "{\"vms\": []}", 422, "nothing_selected"),
                ("POST", "/v1/assignments", "{\"vms\": [null]}", 422, "body_malformed"),
                (
                    "POST",
                    "/v1/assignments",
                    "{\"vms\": [\"vm-002\"], \"accept\": [\"A b\"]}",
                    422,
                    "finding_code_malformed",
                ),
                ("POST", "/v1/unassignments", "{\"vms\": [\"vm-001\\u0000\"]}", 404, "vm_not_found"),
                ("POST", "/v1/vms/vm-002/assignment", "{\"gpu\": 7}", 422, "body_malformed"),
                ("POST", "/v1/vms/vm-002/assignment", "{\"vms\": [\"vm-003\"]}", 422, "body_malformed"),
                ("POST", "/v1/sim/vms/vm-002/power", "{\"on\": \"yes\"}", 422, "body_malformed"),
                ("POST", "/v1/sim/faults", "{\"fault\": \"gpu\"}", 422, "fault_malformed"),
                ("POST", "/v1/sim/faults", "{\"fault\": \"vm vm-999 kill\"}", 404, "not_in_room"),
                ("POST", "/v1/sim/faults", "{\"fault\": \"vm vm-002 kill\"}", 409, "fault_refused"),
                (
                    "POST",
                    "/v1/hook/start",
                    "{\"vm\": \"\", \"name\": \"x\", \"devices\": []}",
                    422,
                    "body_malformed",
                ),
            ],
        );
    });
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    with_daemon(|daemon| {
        for body in
            [&b"{\"vms\": [\"\xff\xfe\"]}"[..], b"\0\0\0\0", b"\x1f\x8b\x08\x00", b"{\"vms\": [\"a\0b\"]}"]
        {
            let answer = ask(daemon, "POST", "/v1/assignments", body);
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (400, "body_malformed"),
                "{}",
                answer.text()
            );
        }
    });
}

#[test]
fn a_body_that_is_deep_or_long_is_refused() {
    with_daemon(|daemon| {
        let deep = "[".repeat(200_000);
        let many = format!("{{\"vms\": [{}\"x\"]}}", "\"vm-002\",".repeat(5_000));
        let long = format!("{{\"vms\": [\"{}\"]}}", "x".repeat(129));
        let huge = format!("{{\"vms\": [\"{}\"]}}", "x".repeat(2 << 20));
        refused(
            daemon,
            &[
                ("POST", "/v1/assignments", &format!("{{\"vms\": {deep}"), 422, "body_malformed"),
                ("POST", "/v1/assignments", &format!("{{\"accept\": {deep}"), 422, "body_malformed"),
                ("POST", "/v1/assignments", &deep, 422, "body_malformed"),
                ("POST", "/v1/assignments", &many, 422, "too_many_names"),
                ("POST", "/v1/assignments", &long, 422, "name_too_long"),
                ("POST", "/v1/assignments", &huge, 413, "body_too_large"),
            ],
        );
    });
}

#[test]
fn what_is_said_about_a_body_is_short() {
    with_daemon(|daemon| {
        let member = "x".repeat(500_000);
        for body in [format!("{{\"{member}\": 1}}"), format!("{{\"vms\": \"{member}\"}}")] {
            let answer = ask(daemon, "POST", "/v1/assignments", body.as_bytes());
            assert_eq!(answer.problem(), "body_malformed");
            assert!(answer.body.len() < 4096, "{} bytes were answered", answer.body.len());
        }
    });
}

#[test]
fn another_content_type_is_refused() {
    with_daemon(|daemon| {
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
            "multipart/form-data",
            "",
        ] {
            let headers: &[(&str, &str)] = if kind.is_empty() { &[] } else { &[("Content-Type", kind)] };
            let answer =
                web::ask(&mut daemon.connect(), "PUT", GPU, headers, b"{\"count\": 8}").expect("is answered");
            assert_eq!((answer.status, answer.problem().as_str()), (415, "content_type"), "{kind}");
        }
    });
}

#[test]
fn a_method_that_is_not_for_a_path_is_refused() {
    with_daemon(|daemon| {
        let mut table = Vec::new();
        for path in ["/v1/gpus", "/v1/vms", "/v1/check", "/v1/partitions", "/v1/jobs", "/v1/vms/vm-001"] {
            for method in ["POST", "PUT", "DELETE", "PATCH"] {
                table.push((method, path, "{}", 405, "no_such_method"));
            }
        }
        for (method, path) in
            [("GET", "/v1/assignments"), ("DELETE", GPU), ("GET", "/v1/vms/vm-001/assignment")]
        {
            table.push((method, path, "", 405, "no_such_method"));
        }
        refused(daemon, &table);
        let answer = ask(daemon, "PATCH", "/v1/vms/vm-001/assignment", b"{}");
        let allowed = answer.head.to_ascii_lowercase();
        assert!(
            allowed.contains("allow: delete,post") || allowed.contains("allow: post,delete"),
            "{allowed}"
        );
    });
}

#[test]
fn a_path_that_leads_nowhere_is_refused_and_named() {
    let long = "x".repeat(129);
    let long_path = format!("/v1/vms/{long}");
    with_daemon(|daemon| {
        refused(
            daemon,
            &[
                ("GET", "/v1", "", 404, "no_such_route"),
                ("GET", "/v1/", "", 404, "no_such_route"),
                ("GET", "/v1/gpus/", "", 404, "no_such_route"),
                ("GET", "/v2/gpus", "", 404, "no_such_route"),
                ("GET", "/v1/gpus/../vms", "", 404, "no_such_route"),
                ("GET", "/v1/vms/a/b/c", "", 404, "no_such_route"),
                ("GET", "/v1/vms/%2e%2e", "", 404, "vm_not_found"),
                ("GET", "/v1/vms/..%2f..%2fetc%2fpasswd", "", 404, "vm_not_found"),
                ("GET", "/v1/vms/%00", "", 404, "vm_not_found"),
                ("GET", "/v1/vms/a%00b", "", 404, "vm_not_found"),
                ("GET", "/v1/vms/%ff", "", 400, "path_malformed"),
                ("GET", "/v1/vms/%zz", "", 404, "vm_not_found"),
                ("GET", "/v1/vms/%", "", 404, "vm_not_found"),
                ("GET", "/v1/explain/%f0%9f%92%a9", "", 404, "not_found"),
                ("GET", &long_path, "", 422, "name_too_long"),
                ("GET", "/v1/jobs/-1", "", 404, "job_not_found"),
                ("GET", "/v1/jobs/99999999999999999999999", "", 404, "job_not_found"),
                ("GET", "/v1/jobs/18446744073709551615", "", 404, "job_not_found"),
                ("GET", "/v1/jobs/1x", "", 404, "job_not_found"),
                ("PUT", "/v1/gpus/nothing/partition-count", "{\"count\": 4}", 404, "gpu_not_found"),
            ],
        );
    });
}

#[test]
fn a_query_with_what_is_not_asked_for_is_refused() {
    with_daemon(|daemon| {
        let table = [
            "/v1/gpus?serve=edge-1",
            "/v1/events?after=-1",
            "/v1/events?after=x",
            "/v1/events?limit=4294967296",
            "/v1/vms?power=on",
            "/v1/vms?managed=perhaps",
            "/v1/jobs?progress=cancelled",
            "/v1/jobs?cursor=61&cursor=62",
            "/v1/partitions?state=",
            "/v1/stream?since=1",
            "/v1/events?after=1&after=2",
            "/v1/jobs/1?wait_ms=soon",
        ];
        for path in table {
            let answer = ask(daemon, "GET", path, b"");
            assert_eq!((answer.status, answer.problem().as_str()), (422, "query_malformed"), "{path}");
        }
        let answer = ask(daemon, "GET", "/v1/gpus?serve=edge-1", b"");
        assert!(answer.text().contains("`serve`"), "the member is not named: {}", answer.text());
        let answer = ask(daemon, "DELETE", "/v1/vms/vm-001/assignment?dry_run=maybe", b"");
        assert_eq!(answer.problem(), "query_malformed");
    });
}

#[test]
fn a_page_that_is_none_is_refused() {
    let long = "x".repeat(129);
    with_daemon(|daemon| {
        let mut table = Vec::new();
        for list in ["gpus", "partitions", "vms", "check", "jobs", "events"] {
            table.push((format!("/v1/{list}?limit=0"), "limit_out_of_range"));
            table.push((format!("/v1/{list}?limit=100001"), "limit_out_of_range"));
            table.push((format!("/v1/{list}?server="), "name_empty"));
            table.push((format!("/v1/{list}?q={long}"), "name_too_long"));
            if list != "events" {
                table.push((format!("/v1/{list}?cursor=6g"), "cursor_malformed"));
                table.push((format!("/v1/{list}?cursor="), "cursor_malformed"));
            }
        }
        for (path, code) in table {
            let answer = ask(daemon, "GET", &path, b"");
            assert_eq!((answer.status, answer.problem().as_str()), (422, code), "{path}");
        }
    });
}

#[test]
fn a_header_that_is_malformed_is_refused() {
    let long = "k".repeat(65);
    with_daemon(|daemon| {
        let table = [
            ("Idempotency-Key", "", 422, "idempotency_key_malformed"),
            ("Idempotency-Key", "two words", 422, "idempotency_key_malformed"),
            ("Idempotency-Key", "sch\u{fc}ssel", 422, "idempotency_key_malformed"),
            ("Idempotency-Key", &long, 422, "idempotency_key_malformed"),
            ("If-Match", "gpu", 400, "header_malformed"),
            ("If-Match", "\"\u{fc}", 400, "header_malformed"),
            ("If-Match", "\"not its tag\"", 412, "changed_since_read"),
        ];
        for (name, value, status, code) in table {
            let headers = [JSON, (name, value)];
            let answer = web::ask(&mut daemon.connect(), "PUT", GPU, &headers, b"{\"count\": 8}");
            let answer = answer.expect("is answered");
            assert_eq!((answer.status, answer.problem().as_str()), (status, code), "{name}: {value}");
        }
        let keys = [JSON, ("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
        let answer =
            web::ask(&mut daemon.connect(), "PUT", GPU, &keys, b"{\"count\": 8}").expect("is answered");
        assert_eq!(answer.problem(), "idempotency_key_malformed");
        let several = [JSON, ("If-Match", "*")];
        let answer = web::ask(
            &mut daemon.connect(),
            "POST",
            "/v1/unassignments",
            &several,
            b"{\"vms\": [\"vm-001\"]}",
        );
        assert_eq!(answer.expect("is answered").problem(), "changed_since_read");
    });
}

#[test]
fn the_largest_numbers_of_a_query_are_answered() {
    with_daemon(|daemon| {
        let events =
            daemon.get("/v1/events?after=18446744073709551615&before=18446744073709551615&limit=100000");
        assert_eq!(events, Value::Array(Vec::new()));
        assert!(daemon.get("/v1/jobs/1?wait_ms=18446744073709551615").is_object());
    });
}

#[test]
fn bytes_that_are_no_http_end_only_their_own_connection() {
    with_daemon(|daemon| {
        let heads: [&[u8]; 6] = [
            b"\0\0\0\0\0\0\0\0\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /v1/gpus HTTP/9.9\r\n\r\n",
            b"PUT /v1/gpus/x/partition-count HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
            b"PUT /v1/gpus/x/partition-count HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
            b"PUT /v1/gpus/x/partition-count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ];
        for head in heads {
            if let Ok(answer) = web::ask_raw(&mut daemon.connect(), head) {
                assert_eq!(answer.status / 100, 4, "{}", answer.head);
            }
        }
        let many = format!("GET /v1/gpus HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(5_000));
        if let Ok(answer) = web::ask_raw(&mut daemon.connect(), many.as_bytes()) {
            assert_eq!(answer.status / 100, 4, "{}", answer.head);
        }
    });
}
