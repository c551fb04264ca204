//! The client against a server that says one thing, over a real socket: what it sends, and how each kind
//! of answer comes out.

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::*;
use crate::requests::GpuSelection;
use crate::stream::{Message, ResetReason};

/// A path for a socket that no other test has. The file is removed when the test ends.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("divvy-api-{}-{nth}.sock", std::process::id())))
    }

    fn client(&self) -> Client {
        Client::new(Endpoint::Unix(self.0.clone()))
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Reads one request, answers it, and hands the request back.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: String) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let length = stream.read(&mut chunk).await.expect("is read");
        request.extend_from_slice(&chunk[..length]);
        if length == 0 || is_whole(&request) {
            break;
        }
    }
    stream.write_all(answer.as_bytes()).await.expect("is written");
    String::from_utf8(request).expect("is text")
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| length.parse() == Ok(body.len()))
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn serve_once(path: &SocketPath, text: String) -> JoinHandle<String> {
    let listener = UnixListener::bind(&path.0).expect("the socket is new");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("is accepted");
        answer(stream, text).await
    })
}

const VERSION: &str = r#"{"version":"0.1.0","server":"srv-a","room":null}"#;
const JOB: &str = r#"{"job":null,"warnings":[]}"#;

#[tokio::test]
async fn a_view_comes_over_a_unix_socket() {
    let path = SocketPath::new();
    let served = serve_once(&path, http("200 OK", VERSION));
    let version = path.client().version().await.expect("answers");
    assert_eq!(version.server, "srv-a");
    let request = served.await.expect("ends");
    assert!(request.starts_with("GET /v1/version HTTP/1.1\r\nhost: localhost\r\n"), "{request}");
}

#[tokio::test]
async fn a_token_goes_with_the_question() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("has an address");
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("is accepted");
        answer(stream, http("200 OK", VERSION)).await
    });
    let endpoint = Endpoint::http(&format!("http://{address}")).expect("is an address");
    let client = Client::new(endpoint).with_token(Token::new(" s3cret\n").expect("is a token"));
    client.version().await.expect("answers");
    let request = served.await.expect("ends");
    assert!(request.contains("\r\nauthorization: Bearer s3cret\r\n"), "{request}");
}

#[tokio::test]
async fn a_change_sends_its_body() {
    let path = SocketPath::new();
    let served = serve_once(&path, http("202 Accepted", JOB));
    let request = SetPartitionCounts {
        gpus: GpuSelection::All,
        count: Some(4),
        sizes: None,
        off: false,
        dry_run: false,
    };
    let answer = path.client().set_partition_counts(&request).await.expect("answers");
    assert_eq!(answer, Answer::Accepted(Accepted { job: None, warnings: Vec::new() }));
    let sent = served.await.expect("ends");
    let body = sent.split_once("\r\n\r\n").expect("has a body").1;
    assert_eq!(body, r#"{"gpus":"all","count":4,"off":false,"dry_run":false}"#);
}

#[tokio::test]
async fn a_dry_run_is_answered_with_a_plan() {
    let path = SocketPath::new();
    let plan = r#"{"steps":[{"server":"srv-a","text":"release"}],"warnings":[]}"#;
    let served = serve_once(&path, http("200 OK", plan));
    let answer = path.client().unassign_one("vm-001", DryRunQuery { dry_run: true }).await.expect("answers");
    assert!(matches!(answer, Answer::Plan(plan) if plan.steps[0].text == "release"));
    let sent = served.await.expect("ends");
    assert!(sent.starts_with("DELETE /v1/vms/vm-001/assignment?dry_run=true HTTP/1.1"), "{sent}");
}

#[tokio::test]
async fn a_refusal_comes_out_as_its_problem_document() {
    let path = SocketPath::new();
    let body =
        r#"{"type":"about:blank","title":"Conflict","code":"busy","detail":"it changed","hint":"try again"}"#;
    serve_once(&path, http("409 Conflict", body));
    let error = path.client().vms(&VmQuery::default()).await.expect_err("is refused");
    assert_eq!(error.to_string(), "it changed");
    let ClientError::Problem(problem) = error else { panic!("not a problem: {error:?}") };
    assert_eq!((problem.code.as_str(), problem.status), ("busy", Some(409)));
}

#[tokio::test]
async fn a_socket_that_nobody_has_is_unreachable_and_named() {
    let path = SocketPath::new();
    let error = path.client().version().await.expect_err("nobody listens");
    assert!(error.to_string().contains(&path.0.display().to_string()), "{error}");
    assert!(matches!(error, ClientError::Unreachable { source: Unreachable::Connect(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_ends_early_is_unreachable() {
    let path = SocketPath::new();
    serve_once(&path, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned());
    let error = path.client().version().await.expect_err("the answer is cut");
    assert!(matches!(error, ClientError::Unreachable { source: Unreachable::Broken(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let path = SocketPath::new();
    let listener = UnixListener::bind(&path.0).expect("the socket is new");
    let client = path.client().with_answer_timeout_ms(20);
    let error = client.version().await.expect_err("nobody answers");
    drop(listener);
    assert!(
        matches!(error, ClientError::Unreachable { source: Unreachable::AnswerTimeout { .. }, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_of_another_program_is_a_bad_answer() {
    for (status, body) in [
        ("200 OK", "<html></html>"),
        ("200 OK", r#"{"name":"other"}"#),
        ("204 No Content", ""),
        ("404 Not Found", "<html></html>"),
        ("302 Found", r#"{"code":"moved"}"#),
    ] {
        let path = SocketPath::new();
        serve_once(&path, http(status, body));
        let error = path.client().version().await.expect_err("is no version");
        assert!(matches!(error, ClientError::BadAnswer { .. }), "{status} {body}: {error:?}");
        assert!(error.source().is_some(), "{status} {body}: no cause");
    }
}

#[tokio::test]
async fn a_name_that_no_path_can_hold_is_not_asked_about() {
    let error = SocketPath::new().client().vm(&"x".repeat(100_000)).await.expect_err("is too long");
    assert!(matches!(error, ClientError::LongPath { path_bytes: 100_008 }), "{error:?}");
}

#[tokio::test]
async fn a_change_goes_with_its_key_and_the_version_it_is_about() {
    let path = SocketPath::new();
    let list = "HTTP/1.1 200 OK\r\netag: \"v7\"\r\nlink: </v1/vms?cursor=61&limit=1>; rel=\"next\"\r\n\
                content-length: 2\r\nconnection: close\r\n\r\n[]";
    let served = serve_once(&path, list.to_owned());
    let told: Told<Vec<VmView>> = path.client().read("/v1/vms?limit=1").await.expect("answers");
    assert_eq!(told.next.as_deref(), Some("/v1/vms?cursor=61&limit=1"));
    served.await.expect("ends");

    let path = SocketPath::new();
    let served = serve_once(&path, http("202 Accepted", JOB));
    let key = IdempotencyKey::new("key-1").expect("is a key");
    let client = path.client().with_idempotency_key(key).with_tag(told.tag.expect("has one"));
    client.unassign_one("vm-001", DryRunQuery::default()).await.expect("answers");
    let sent = served.await.expect("ends");
    assert!(sent.contains("\r\nidempotency-key: key-1\r\n"), "{sent}");
    assert!(sent.contains("\r\nif-match: \"v7\"\r\n"), "{sent}");
}

#[tokio::test]
async fn what_only_looks_has_no_key() {
    let path = SocketPath::new();
    let served = serve_once(&path, http("200 OK", VERSION));
    let key = IdempotencyKey::new("key-1").expect("is a key");
    path.client().with_idempotency_key(key).version().await.expect("answers");
    let sent = served.await.expect("ends");
    assert!(!sent.contains("idempotency-key"), "{sent}");
}

#[tokio::test]
async fn changes_come_as_messages_until_the_server_ends_them() {
    let path = SocketPath::new();
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
                  :\n\nevent: reset\nid: 1-2\ndata: {\"reason\":\"beginning\"}\n\n";
    let served = serve_once(&path, stream.to_owned());
    let mut changes = path.client().changes(Some("1-1")).await.expect("opens");
    let message = changes.next().await.expect("is understood");
    assert_eq!(message, Some(Message::Reset(ResetReason::Beginning)));
    assert_eq!(changes.last_id(), Some("1-2"));
    assert_eq!(changes.next().await.expect("ends well"), None);
    assert!(served.await.expect("ends").contains("\r\nlast-event-id: 1-1\r\n"));
}

#[tokio::test]
async fn a_stream_that_is_refused_is_a_problem() {
    let path = SocketPath::new();
    serve_once(&path, http("503 Service Unavailable", r#"{"code":"too_many_streams","detail":"full"}"#));
    let error = path.client().changes(None).await.expect_err("is refused");
    assert!(matches!(error, ClientError::Problem(problem) if problem.code == "too_many_streams"));
}

#[test]
fn a_token_is_never_printed() {
    let client =
        Client::new(Endpoint::Unix("a".into())).with_token(Token::new("s3cret").expect("is a token"));
    assert!(!format!("{client:?}").contains("s3cret"));
}

#[test]
fn a_token_that_cannot_be_sent_is_refused() {
    assert_eq!(Token::new(" \n").expect_err("is empty"), InvalidToken::Empty);
    for text in ["two words", "line\r\nx: y", "schlüssel"] {
        assert_eq!(Token::new(text).expect_err("cannot be sent"), InvalidToken::Character, "{text:?}");
    }
}
