//! The barest client: a connection, a question, the bytes of the answer. It understands no more of them
//! than it has to, so that what is measured is the server.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// An answer, not understood.
pub struct Got {
    pub body_bytes: usize,
    /// Where the list goes on.
    pub next: Option<String>,
}

pub fn question(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: divvyd\r\nConnection: close\r\n\r\n")
}

/// Opens a connection, as the command line does, and reads to its end.
pub fn get(socket: &Path, path: &str) -> Got {
    let mut stream = UnixStream::connect(socket).expect("opens");
    stream.write_all(question(path).as_bytes()).expect("is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("is read");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("has a head");
    let head = String::from_utf8_lossy(&answer[..end]);
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    let link = head.lines().find_map(|line| line.strip_prefix("link: <"));
    let next = link.and_then(|link| link.split('>').next()).map(str::to_owned);
    Got { body_bytes: answer.len() - end - 4, next }
}
