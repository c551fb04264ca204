//! The loop with clients that behave and clients that do not, over loopback.

use std::time::Instant;

use axum::routing::get;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;

use super::*;

/// Long, for machines that are slow and busy.
const DEADLINE: Duration = Duration::from_secs(60);

struct Serving {
    address: SocketAddr,
    end: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

async fn serving(tls: Option<TlsAcceptor>) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("has an address");
    let app = Router::new()
        .route("/", get(|ConnectInfo(peer): ConnectInfo<Peer>| async move { format!("{peer:?}") }));
    let (end, ended) = watch::channel(false);
    let serving = tokio::spawn(serve(listener, tls, app, ended));
    Serving { address, end, serving }
}

/// With a certificate of its own.
fn acceptor(folder: &tempfile::TempDir) -> TlsAcceptor {
    let names = ["localhost".to_owned()].into();
    let tls = crate::tls::Tls::own(folder.path(), names, IpAddr::from([127, 0, 0, 1])).expect("is made");
    TlsAcceptor::from(Arc::new(tls.config().expect("is set up")))
}

impl Serving {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }

    /// From another address of loopback.
    async fn connect_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("is made");
        socket.bind(format!("{address}:0").parse().expect("an address")).expect("loopback has it");
        socket.connect(self.address).await.expect("connects")
    }
}

/// Everything that comes until the other end closes; nothing when it closes without a word.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // Closed at once is also an end.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut text)).await.expect("ends in time");
    String::from_utf8_lossy(&text).into_owned()
}

async fn ask(mut stream: TcpStream) -> String {
    // A stream that was closed tells so when it is read.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    rest(&mut stream).await
}

#[tokio::test]
async fn a_request_is_answered_and_told_where_it_comes_from() {
    let serving = serving(None).await;
    let answer = ask(serving.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("is_tls: false"), "{answer}");
}

#[tokio::test]
async fn garbage_ends_its_own_connection_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    for tls in [None, Some(acceptor(&folder))] {
        let serving = serving(tls).await;
        let quiet = serving.connect().await;
        let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
        let handshake = [&b"\x16\x03\x01\xff\xff\x01\x00\xff\xfb"[..], &[b'x'; 70_000]].concat();
        for garbage in
            [&b"\x00\x01\x02\xff\n\n\n\n"[..], b"\x16\x03\x01\x00\x05hello", &handshake, head.as_bytes()]
        {
            let mut stream = serving.connect().await;
            // The other end may close before it has all of it.
            let _ = stream.write_all(garbage).await;
            let _ = stream.shutdown().await;
            let answer = rest(&mut stream).await;
            assert!(!answer.contains("200 OK"), "{answer}");
        }
        assert!(!serving.serving.is_finished(), "the loop has ended");
        drop(quiet);
    }
}

#[tokio::test]
async fn who_keeps_every_connection_that_one_address_may_have_keeps_nobody_else_out() {
    let serving = serving(None).await;
    let mut slow = Vec::new();
    for _ in 0..OF_ADDRESS {
        let mut stream = serving.connect().await;
        stream.write_all(b"GET / HT").await.expect("is sent");
        slow.push(stream);
    }
    assert_eq!(ask(serving.connect().await).await, "", "one too many was answered");
    let answer = ask(serving.connect_from("127.0.0.2").await).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    slow.clear();
    let end = Instant::now() + DEADLINE;
    while ask(serving.connect().await).await.is_empty() {
        assert!(Instant::now() < end, "the places of closed connections are not free again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = serving(Some(acceptor(&folder))).await;
    for begun in [&b""[..], b"\x16\x03\x01"] {
        let mut stream = serving.connect().await;
        stream.write_all(begun).await.expect("is sent");
        assert_eq!(rest(&mut stream).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_come_is_given_up() {
    let serving = serving(None).await;
    let mut stream = serving.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nAccept: ").await.expect("is sent");
    let answer = rest(&mut stream).await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn plain_http_where_tls_is_spoken_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let serving = serving(Some(acceptor(&folder))).await;
    let answer = ask(serving.connect().await).await;
    assert!(answer.starts_with("HTTP/1.0 400") && answer.contains("https://"), "{answer}");
}

#[tokio::test]
async fn the_end_of_the_daemon_ends_quiet_connections() {
    let serving = serving(None).await;
    let mut stream = serving.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("is sent");
    let mut first = [0; 15];
    stream.read_exact(&mut first).await.expect("is answered");
    serving.end.send_replace(true);
    rest(&mut stream).await;
    serving.serving.await.expect("ends");
}
