//! A receiver of webhooks on loopback: keeps what it was told and answers what it was given, byte by byte;
//! when it was given nothing more, 204.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

use super::{DEADLINE, wait_until};

#[derive(Clone)]
pub struct Answer {
    bytes: Vec<u8>,
    closes: bool,
}

impl Answer {
    /// Whatever it is; the connection ends with it.
    pub fn raw(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), closes: true }
    }
}

/// An empty answer with more headers.
pub fn answer(status: u16, headers: &str) -> Answer {
    let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{headers}\r\n");
    Answer { bytes: text.into_bytes(), closes: false }
}

#[derive(Clone)]
pub struct Request {
    pub head: String,
    pub body: String,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("is JSON")
    }

    pub fn header(&self, name: &str) -> String {
        let value = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        value.unwrap_or_else(|| panic!("no {name} in {}", self.head)).to_owned()
    }

    /// Nothing when the other end is done.
    pub fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        Some(Self { head, body: String::from_utf8(body).ok()? })
    }
}

#[derive(Default)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    taken: Mutex<Vec<Request>>,
    ends: AtomicBool,
}

pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Receiver {
    pub fn start(answers: &[Answer]) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), answers)
    }

    pub fn start_at(address: SocketAddr, answers: &[Answer]) -> Self {
        let listener = TcpListener::bind(address).expect("listens");
        let address = listener.local_addr().expect("has an address");
        let shared = Arc::new(Shared { answers: Mutex::new(answers.to_vec().into()), ..Shared::default() });
        let own = Arc::clone(&shared);
        let accepting = Some(std::thread::spawn(move || own.accept(&listener)));
        Self { address, shared, accepting }
    }

    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// One more answer, after those that it has.
    pub fn answer(&self, answer: Answer) {
        self.shared.answers.lock().expect("is whole").push_back(answer);
    }

    pub fn count(&self) -> usize {
        self.shared.taken.lock().expect("is whole").len()
    }

    /// All requests, once there are so many.
    pub async fn take(&self, count: usize) -> Vec<Request> {
        wait_until(&format!("{count} requests"), || self.count() >= count).await;
        let taken = self.shared.taken.lock().expect("is whole").clone();
        assert_eq!(taken.len(), count, "more was told");
        taken
    }

    /// Nobody answers at its address any more.
    pub fn stop(mut self) -> SocketAddr {
        self.end();
        self.address
    }

    fn end(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.ends.store(true, Ordering::Release);
        // Wakes the accept.
        let _ = TcpStream::connect(self.address);
        accepting.join().expect("ends");
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.ends.load(Ordering::Acquire) {
                return;
            }
            let (own, stream) = (Arc::clone(self), stream.expect("is a connection"));
            std::thread::spawn(move || own.serve(stream));
        }
    }

    fn serve(&self, stream: TcpStream) {
        stream.set_read_timeout(Some(DEADLINE)).expect("is set");
        let mut writer = stream.try_clone().expect("is cloned");
        let mut reader = BufReader::new(stream);
        while let Some(request) = Request::read(&mut reader) {
            let given = self.answers.lock().expect("is whole").pop_front();
            self.taken.lock().expect("is whole").push(request);
            let given = given.unwrap_or_else(|| answer(204, ""));
            // Who asked may not want to hear all of it.
            let _ = writer.write_all(&given.bytes);
            if given.closes {
                return;
            }
        }
    }
}
