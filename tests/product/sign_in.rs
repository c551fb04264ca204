//! Signing in, as a browser does it: what a session may, what it may not, and how it ends. The daemon
//! listens on loopback; passwords are checked by the library that stands for libpam.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::json;

use crate::daemon::{DEADLINE, Daemon, Place};
use crate::pam::{self, RIGHT};
use crate::web::{self, Answer};

const COUNT: &str = "/v1/gpus/0000:41:00.0/partition-count";
const SESSION: &str = "/v1/session";

/// A daemon on loopback.
pub struct Server<'p> {
    pub daemon: Daemon<'p>,
    pub address: SocketAddr,
    pub token: String,
}

/// A daemon whose libpam is in this folder.
pub fn start<'p>(place: &'p Place, library: &Path) -> Server<'p> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("has an address");
    drop(listener);
    let library = library.to_str().expect("a text");
    let arguments = ["--listen", &address.to_string()];
    let daemon = place.start_in(&arguments, &[("LD_LIBRARY_PATH", library)]);
    let token = std::fs::read_to_string(place.state_dir().join("token")).expect("was made");
    Server { daemon, address, token }
}

fn with_server(test: impl FnOnce(&Server<'_>)) {
    let place = Place::new("a2-edge");
    let server = start(&place, pam::library());
    test(&server);
    server.daemon.stop();
}

/// What a browser keeps of a session.
struct Browser {
    cookie: String,
    csrf: String,
}

impl Server<'_> {
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("connects");
        stream.set_read_timeout(Some(DEADLINE)).expect("is set");
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        web::ask(&mut stream, method, path, &headers, body.as_bytes()).expect("is answered")
    }

    fn password(&self, user: &str, password: &str) -> Answer {
        self.ask("POST", SESSION, &[], &json!({ "user": user, "password": password }).to_string())
    }

    fn sign_in(&self) -> Browser {
        let answer = self.ask("POST", SESSION, &[], &json!({ "token": self.token }).to_string());
        assert_eq!(answer.status, 201, "{}", answer.text());
        Browser {
            cookie: cookie(&answer).split(';').next().expect("has a value").to_owned(),
            csrf: answer.json()["csrf"].as_str().expect("a text").to_owned(),
        }
    }
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
}

fn cookie(answer: &Answer) -> String {
    header(answer, "set-cookie").unwrap_or_else(|| panic!("no cookie in {}", answer.head))
}

#[test]
fn a_password_opens_a_session_and_the_record_names_the_user() {
    with_server(|server| {
        let answer = server.password("root", RIGHT);
        assert_eq!(answer.status, 201, "{}", answer.text());
        let view = answer.json();
        assert_eq!(view["user"], "root");
        assert!(view["expires_ms"].is_u64());
        let cookie = cookie(&answer);
        assert!(cookie.starts_with("divvy_session="), "{cookie}");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        assert!(
            !answer.text().contains(&cookie["divvy_session=".len()..][..64]),
            "the id is in the document"
        );
        let headers = [
            ("Cookie", cookie.split(';').next().expect("a value")),
            ("X-CSRF-Token", view["csrf"].as_str().expect("a text")),
        ];
        assert_eq!(server.ask("PUT", COUNT, &headers, "{\"count\": 4}").status, 202);
        server.daemon.wait_for_jobs();
        assert_eq!(server.daemon.get("/v1/jobs/1")["principal"], "root");
    });
}

#[test]
fn whatever_was_wrong_the_answer_is_the_same() {
    with_server(|server| {
        let attempts =
            [("root", "wrong"), ("no-such-user", RIGHT), ("daemon", RIGHT), ("", ""), ("a/b", "c")];
        let answers = std::thread::scope(|scope| {
            let ask = |(user, password)| move || server.password(user, password);
            let threads = attempts.map(|attempt| scope.spawn(ask(attempt)));
            threads.map(|thread| thread.join().expect("ends"))
        });
        for answer in &answers {
            assert_eq!((answer.status, answer.problem().as_str()), (401, "sign_in_refused"));
            assert_eq!(answer.text(), answers[0].text());
            assert_eq!(header(answer, "set-cookie"), None);
        }
    });
}

#[test]
fn who_tries_too_often_has_to_wait_and_who_is_signed_in_does_not() {
    with_server(|server| {
        let browser = server.sign_in();
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| assert_eq!(server.password("root", "wrong").status, 401));
            }
        });
        let answer = server.password("root", RIGHT);
        assert_eq!((answer.status, answer.problem().as_str()), (429, "too_many_sign_ins"));
        let seconds: u64 = header(&answer, "retry-after").expect("is told").parse().expect("a number");
        assert!((1..=10).contains(&seconds), "{seconds}");
        assert_eq!(server.ask("GET", "/v1/gpus", &[("Cookie", &browser.cookie)], "").status, 200);
    });
}

#[test]
fn a_session_reads_and_with_its_own_csrf_token_changes() {
    with_server(|server| {
        let browser = server.sign_in();
        let cookie = ("Cookie", browser.cookie.as_str());
        let who = server.ask("GET", SESSION, &[cookie], "");
        assert_eq!((who.status, &who.json()["user"]), (200, &json!("token")));
        assert_eq!(who.json()["csrf"], browser.csrf);
        let other = server.sign_in();
        let wrong = ["", "x", &browser.csrf[1..], &other.csrf, &format!("{}0", browser.csrf)];
        let before = server.daemon.whole_state();
        for csrf in wrong.into_iter().map(Some).chain([None]) {
            let headers: Vec<_> =
                [cookie].into_iter().chain(csrf.map(|csrf| ("X-CSRF-Token", csrf))).collect();
            for (method, path, body) in [
                ("PUT", COUNT, "{\"count\": 4}"),
                ("POST", "/v1/assignments", "{\"vms\": [\"vm-001\"]}"),
                ("DELETE", "/v1/vms/vm-001/assignment", ""),
                ("DELETE", SESSION, ""),
            ] {
                let answer = server.ask(method, path, &headers, body);
                assert_eq!(
                    (answer.status, answer.problem().as_str()),
                    (403, "csrf_token_missing"),
                    "{csrf:?}"
                );
            }
        }
        assert_eq!(server.daemon.whole_state(), before, "something was changed");
        let headers = [cookie, ("X-CSRF-Token", &browser.csrf)];
        assert_eq!(server.ask("PUT", COUNT, &headers, "{\"count\": 4}").status, 202);
    });
}

#[test]
fn a_page_of_another_site_neither_asks_nor_signs_in() {
    with_server(|server| {
        let browser = server.sign_in();
        let csrf = ("X-CSRF-Token", browser.csrf.as_str());
        let wish = json!({ "token": server.token }).to_string();
        for foreign in [
            ("Origin", "https://evil.example"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
        ] {
            let headers = [("Cookie", browser.cookie.as_str()), csrf, foreign];
            let answers = [
                server.ask("PUT", COUNT, &headers, "{\"count\": 4}"),
                server.ask("POST", SESSION, &[foreign], &wish),
            ];
            for answer in answers {
                assert_eq!((answer.status, answer.problem().as_str()), (403, "other_site"), "{foreign:?}");
            }
        }
        let own = format!("http://{}", server.address);
        let at = server.address.to_string();
        let headers = [("Host", at.as_str()), ("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")];
        assert_eq!(server.ask("POST", SESSION, &headers, &wish).status, 201);
    });
}

#[test]
fn a_name_that_was_made_to_lead_here_is_not_answered() {
    with_server(|server| {
        let bearer = format!("Bearer {}", server.token);
        for path in ["/v1/version", SESSION, "/nothing"] {
            let headers = [("Host", "evil.example"), ("Authorization", bearer.as_str())];
            let answer = server.ask("GET", path, &headers, "");
            assert_eq!((answer.status, answer.problem().as_str()), (403, "unknown_server_name"), "{path}");
        }
    });
}

#[test]
fn who_signs_out_is_out_and_nobody_else_is() {
    with_server(|server| {
        let (browser, other) = (server.sign_in(), server.sign_in());
        let headers = [("Cookie", browser.cookie.as_str()), ("X-CSRF-Token", browser.csrf.as_str())];
        let answer = server.ask("DELETE", SESSION, &headers, "");
        assert_eq!(answer.status, 204);
        assert!(cookie(&answer).starts_with("divvy_session=;") && cookie(&answer).contains("Max-Age=0"));
        assert_eq!(server.ask("GET", SESSION, &headers[..1], "").problem(), "unauthorized");
        assert_eq!(server.ask("GET", SESSION, &[("Cookie", &other.cookie)], "").status, 200);
    });
}

#[test]
fn a_restart_signs_everybody_out() {
    let place = Place::new("a2-edge");
    let server = start(&place, pam::library());
    let browser = server.sign_in();
    server.daemon.stop();
    let server = start(&place, pam::library());
    assert_eq!(server.ask("GET", SESSION, &[("Cookie", &browser.cookie)], "").status, 401);
    server.daemon.stop();
}

#[test]
fn a_wrong_token_is_not_made_good_by_a_cookie() {
    with_server(|server| {
        let browser = server.sign_in();
        let headers = [("Cookie", browser.cookie.as_str()), ("Authorization", "Bearer wrong")];
        assert_eq!(server.ask("GET", "/v1/gpus", &headers, "").status, 401);
    });
}

#[test]
fn a_wish_that_makes_no_sense_is_told_so() {
    with_server(|server| {
        for (body, status) in [
            ("", 400),
            ("{}", 422),
            ("{\"user\": \"root\"}", 422),
            ("{\"password\": \"x\"}", 422),
            ("{\"user\": \"root\", \"password\": \"x\", \"token\": \"y\"}", 422),
            ("{\"user\": 1, \"password\": \"x\"}", 422),
            ("{\"user\": \"root\", \"password\": \"x\", \"remember\": true}", 422),
        ] {
            let answer = server.ask("POST", SESSION, &[], body);
            assert_eq!((answer.status, answer.problem().as_str()), (status, "body_malformed"), "{body}");
        }
        let form = server.ask("POST", SESSION, &[("Content-Type", "text/plain")], "{}");
        assert!(form.status == 422 || form.status == 415, "{}", form.text());
    });
}

#[test]
fn on_the_socket_nobody_signs_in_and_everybody_is_known() {
    with_server(|server| {
        let wish = json!({ "token": server.token }).to_string();
        assert_eq!(server.daemon.ask("POST", SESSION, &wish).problem(), "sign_in_not_needed");
        let who = server.daemon.get(SESSION);
        assert!(who["user"].is_string() && who["csrf"].is_null(), "{who}");
        assert_eq!(server.daemon.ask("DELETE", SESSION, "").status, 204);
    });
}

#[test]
fn without_pam_passwords_are_unavailable_and_the_token_is_not() {
    let place = Place::new("a2-edge");
    let no_library = pam::no_library();
    let server = start(&place, no_library.path());
    let answer = server.password("root", RIGHT);
    assert_eq!((answer.status, answer.problem().as_str()), (503, "sign_in_unavailable"));
    assert!(answer.json()["hint"].as_str().expect("a text").contains("libpam0g"));
    server.sign_in();
    server.daemon.stop();
}

#[test]
fn no_password_and_no_session_is_in_the_log() {
    let place = Place::new("a2-edge");
    let server = start(&place, pam::library());
    let browser = server.sign_in();
    server.password("root", RIGHT);
    server.password("root", "wrong-s3cret");
    server.daemon.stop();
    let log = place.log();
    assert!(log.contains("signed in") && log.contains("signing in was refused"), "{log}");
    let id = browser.cookie.split_once('=').expect("a value").1;
    for secret in ["right", "s3cret", id, &browser.csrf] {
        assert!(!log.contains(secret), "{secret:?} is in the log");
    }
}

#[test]
fn every_answer_tells_the_browser_to_be_careful() {
    with_server(|server| {
        let bearer = format!("Bearer {}", server.token);
        let bearer = ("Authorization", bearer.as_str());
        let answers = [
            server.ask("GET", "/v1/gpus", &[bearer], ""),
            server.ask("GET", "/v1/gpus", &[], ""),
            server.ask("GET", "/nothing", &[bearer], ""),
            server.ask("GET", "/v1/gpus", &[("Host", "evil.example")], ""),
            server.ask("PATCH", "/v1/gpus", &[bearer], ""),
            server.ask("GET", "/console/", &[], ""),
            server.ask("GET", "/console/no-such-file", &[], ""),
        ];
        for answer in &answers {
            let told = |name| header(answer, name).unwrap_or_default();
            assert_eq!(told("x-content-type-options"), "nosniff", "{}", answer.head);
            assert_eq!(told("referrer-policy"), "no-referrer");
            let policy = told("content-security-policy");
            assert!(policy.contains("default-src") && policy.contains("frame-ancestors 'none'"));
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(told("strict-transport-security"), "", "without TLS");
        }
        for answer in [&answers[0], &answers[1], &answers[3], &answers[4]] {
            assert_eq!(header(answer, "cache-control").as_deref(), Some("no-store"));
        }
    });
}
