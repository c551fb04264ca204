//! HTTP by hand, so that a test may also send what no client would.

use std::io::{self, Read, Write};

use serde_json::Value;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The code of a problem document, which has all its members.
    pub fn problem(&self) -> String {
        let told = self.head.to_ascii_lowercase();
        assert!(told.contains("content-type: application/problem+json"), "{}\n{}", self.head, self.text());
        let problem = self.json();
        for member in ["type", "title", "status", "code", "detail", "hint", "findings"] {
            assert!(problem.get(member).is_some(), "no {member} in {problem}");
        }
        assert_eq!(problem["status"], self.status);
        let detail = problem["detail"].as_str().expect("a text");
        assert!(!detail.is_empty(), "nothing is said in {problem}");
        problem["code"].as_str().expect("a text").to_owned()
    }
}

pub fn ask_json(
    stream: &mut (impl Read + Write),
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<Answer> {
    ask(stream, method, path, &[("Content-Type", "application/json")], body.as_bytes())
}

pub fn ask(
    stream: &mut (impl Read + Write),
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || !matches!(method, "GET" | "DELETE") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    ask_raw(stream, &[head.as_bytes(), body].concat())
}

/// Sends these bytes and reads until the other end closes.
pub fn ask_raw(stream: &mut (impl Read + Write), bytes: &[u8]) -> io::Result<Answer> {
    // A server may answer and close before it has read everything.
    let sent = stream.write_all(bytes);
    let mut told = Vec::new();
    let read = stream.read_to_end(&mut told);
    let end = told.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        sent?;
        read?;
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"));
    };
    let head = String::from_utf8_lossy(&told[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, head.clone()))?;
    Ok(Answer { status, head, body: told.split_off(end + 4) })
}
