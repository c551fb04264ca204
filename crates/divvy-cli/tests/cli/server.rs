//! A server with canned answers. It answers each question with the answers that were laid down for it,
//! in order, and repeats the last one; it remembers what it was asked. It knows nothing of GPUs.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// One canned answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// One question as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET /v1/gpus`
    pub line: String,
    pub authorization: Option<String>,
    pub idempotency_key: Option<String>,
    pub body: String,
}

#[derive(Debug, Default)]
struct Script {
    answers: HashMap<String, Vec<Answer>>,
    asked: Vec<Asked>,
}

/// Ends its threads and removes its socket when it goes.
pub struct Server {
    folder: PathBuf,
    script: Arc<Mutex<Script>>,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    tcp_address: Option<String>,
}

impl Server {
    /// Listens on a socket of its own.
    pub fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("divvy-cli-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder is new");
        let mut server = Self {
            folder,
            script: Arc::default(),
            stopping: Arc::default(),
            threads: Vec::new(),
            tcp_address: None,
        };
        let listener = UnixListener::bind(server.socket()).expect("the socket is new");
        server.serve(move || listener.accept().map(|(stream, _)| stream));
        server
    }

    /// Listens on a port of the loopback too.
    pub fn with_port(mut self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        self.tcp_address = Some(listener.local_addr().expect("has an address").to_string());
        self.serve(move || listener.accept().map(|(stream, _)| stream));
        self
    }

    /// Lays down an answer; a second one for the same question follows the first.
    pub fn answer(self, question: &str, status: u16, body: &Value) -> Self {
        self.answer_text(question, status, &body.to_string())
    }

    pub fn answer_text(self, question: &str, status: u16, body: &str) -> Self {
        let answer = Answer { status, body: body.to_owned() };
        self.script().answers.entry(question.to_owned()).or_default().push(answer);
        self
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("divvy.sock")
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.tcp_address.as_ref().expect("with_port was called"))
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.script().asked.clone()
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("no thread panicked with the script in hand")
    }

    fn serve<S: Read + Write>(&mut self, accept: impl Fn() -> std::io::Result<S> + Send + 'static) {
        let (script, stopping) = (Arc::clone(&self.script), Arc::clone(&self.stopping));
        self.threads.push(std::thread::spawn(move || {
            while let Ok(stream) = accept() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away in the middle is a case of its own, not a failure of the test.
                let _ = serve_one(stream, &script);
            }
        }));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(self.socket());
        if let Some(address) = &self.tcp_address {
            let _ = TcpStream::connect(address);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn serve_one(stream: impl Read + Write, script: &Mutex<Script>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let header = |name: &str| {
        let headers = lines.iter().skip(1).filter_map(|line| line.split_once(": "));
        headers.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let Some(line) = lines.first().and_then(|line| line.strip_suffix(" HTTP/1.1")) else { return Ok(()) };
    let asked = Asked {
        line: line.to_owned(),
        authorization: header("authorization"),
        idempotency_key: header("idempotency-key"),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let answer = next_answer(script, asked);
    let text = format!(
        "HTTP/1.1 {} Canned\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
        answer.status,
        answer.body.len(),
        answer.body
    );
    reader.get_mut().write_all(text.as_bytes())
}

fn next_answer(script: &Mutex<Script>, asked: Asked) -> Answer {
    let mut script = script.lock().expect("no thread panicked with the script in hand");
    let question = asked.line.clone();
    script.asked.push(asked);
    match script.answers.get_mut(&question) {
        Some(answers) if answers.len() > 1 => answers.remove(0),
        Some(answers) => answers[0].clone(),
        None => {
            let detail = format!("no answer is laid down for {question}");
            let problem = json!({ "code": "not_laid_down", "detail": detail, "hint": null });
            Answer { status: 404, body: problem.to_string() }
        }
    }
}
