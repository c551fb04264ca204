//! What the list of 25,600 partitions costs (100 servers, 8 GPUs of each, 32 partitions of each GPU, half
//! of them assigned), whole and page by page, beside what cannot be spared: the smallest question, and the
//! same bytes from a thread that has them ready. All take turns in one run.
//!
//! ```text
//! ready bytes ─▶ socket ─▶ reader      the least that it can take
//! divvyd      ─▶ socket ─▶ reader      the list; its processor time and memory are read from /proc
//! ```
//!
//! Every question opens a connection, and the reader throws the answer away. The daemon's idle seconds
//! come before the rounds; memory is what is resident, with the simulated room in it, which a server of
//! its own does not have.
//!
//! `cargo bench -p divvy-server --bench api_list [-- ROUNDS]`, fifteen rounds by default.

mod room;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use divvy_api::client::Client;
use divvy_api::paths;
use divvy_api::requests::Assign;

use room::usage::{forget_peak, mib, peak_kib, processor, resident_kib};
use room::{Running, asker, finish, median, ratio, rounds, runtime, split_all, vms_of_each_server};

const ROOM: &str = "a40-hall";
const EACH: u16 = 32;
const PARTITIONS: usize = 100 * 8 * 32;
/// VMs of each server that have a partition.
const ASSIGNED: usize = 128;
const PAGE: usize = 1_000;
const IDLE_SECONDS: u32 = 10;

fn main() {
    let running = Running::start(ROOM);
    runtime().block_on(prepare(&running.client()));
    let idle = Idle::of(running.pid());
    let whole_bytes = asker::get(&running.socket(), paths::PARTITIONS).body_bytes;
    let ready = ready(running.folder().join("ready"), whole_bytes);
    let gpu = format!("{}?gpu={}", paths::PARTITIONS, first_gpu(&running));
    let mut kinds = [
        Kind::new("the smallest question", paths::VERSION),
        Kind::new("the whole list", paths::PARTITIONS),
        Kind::new("a page of 1,000", &format!("{}?limit={PAGE}", paths::PARTITIONS)),
        Kind::new("page by page", &format!("{}?limit={PAGE}", paths::PARTITIONS)).whole_way(),
        Kind::new("the partitions of one GPU", &gpu),
        Kind::new("the whole list of VMs", paths::VMS),
        Kind::new("the whole list of GPUs", paths::GPUS),
    ];
    let mut bytes_alone = Vec::new();
    let rounds = rounds(15);
    for _ in 0..rounds {
        let start = Instant::now();
        asker::get(&ready, "/");
        bytes_alone.push(start.elapsed());
        for kind in &mut kinds {
            kind.ask(&running);
        }
    }
    println!("{rounds} rounds in turn, room {ROOM}, {PARTITIONS} partitions, {whole_bytes} bytes, medians");
    println!("idle: {:.1} MiB, {:.1} ms of processor time a second", mib(idle.kib), idle.millis_a_second());
    println!("{:<28}{:>12}{:>12}{:>20}", "", "time", "processor", "peak memory / idle");
    let least = median(&mut bytes_alone);
    println!("{:<28}{least:>12.1?}", "the same bytes, ready");
    let medians: Vec<Duration> = kinds.iter_mut().map(|kind| kind.print(&idle)).collect();
    println!("the whole list / the same bytes, ready    {:>8.2}", ratio(medians[1], least));
    println!("page by page / the whole list             {:>8.2}", ratio(medians[3], medians[1]));
    println!("the whole list / a page of 1,000          {:>8.2}", ratio(medians[1], medians[2]));
}

async fn prepare(client: &Client) {
    split_all(client, EACH).await;
    let names = vms_of_each_server(client, ASSIGNED).await;
    // As many as one request may name.
    for names in names.chunks(4_096) {
        let vms = names.to_vec();
        let request = Assign {
            vms,
            gpu: None,
            memory_bytes: None,
            partition: None,
            accept: Vec::new(),
            dry_run: false,
        };
        let answer = client.assign(&request).await.expect("is accepted");
        finish(client, answer).await;
    }
    let partitions = client.partitions(&Default::default()).await.expect("is answered");
    assert_eq!(partitions.len(), PARTITIONS);
}

fn first_gpu(running: &Running) -> String {
    let client = running.client();
    let gpus = runtime().block_on(async { client.gpus(&Default::default()).await.expect("is answered") });
    gpus[0].id.clone()
}

/// The daemon while nobody asks.
struct Idle {
    kib: u64,
    processor_a_second: Duration,
}

impl Idle {
    fn of(pid: u32) -> Self {
        // What the work before has left to be done.
        std::thread::sleep(Duration::from_secs(2));
        let before = processor(pid);
        std::thread::sleep(Duration::from_secs(IDLE_SECONDS.into()));
        Self { kib: resident_kib(pid), processor_a_second: (processor(pid) - before) / IDLE_SECONDS }
    }

    fn millis_a_second(&self) -> f64 {
        self.processor_a_second.as_secs_f64() * 1000.0
    }
}

/// A question that is asked in every round, and what it cost.
struct Kind {
    name: &'static str,
    path: String,
    to_its_end: bool,
    times: Vec<Duration>,
    processor: Duration,
    peak_kib: u64,
}

impl Kind {
    fn new(name: &'static str, path: &str) -> Self {
        let (times, processor) = (Vec::new(), Duration::ZERO);
        Self { name, path: path.to_owned(), to_its_end: false, times, processor, peak_kib: 0 }
    }

    /// Goes on with the next page until there is none.
    fn whole_way(self) -> Self {
        Self { to_its_end: true, ..self }
    }

    fn ask(&mut self, running: &Running) {
        forget_peak(running.pid());
        let before = processor(running.pid());
        let start = Instant::now();
        let mut path = Some(self.path.clone());
        while let Some(asked) = path {
            path = asker::get(&running.socket(), &asked).next.filter(|_| self.to_its_end);
        }
        self.times.push(start.elapsed());
        self.processor += processor(running.pid()) - before;
        self.peak_kib = self.peak_kib.max(peak_kib(running.pid()));
    }

    fn print(&mut self, idle: &Idle) -> Duration {
        let processor = self.processor / u32::try_from(self.times.len()).expect("rounds are few");
        let time = median(&mut self.times);
        let peak = self.peak_kib as f64 / idle.kib as f64;
        println!("{:<28}{time:>12.1?}{processor:>12.1?}{peak:>20.3}", self.name);
        time
    }
}

/// A thread that answers everybody with so many bytes, which it has already.
fn ready(socket: PathBuf, bytes: usize) -> PathBuf {
    let listener = UnixListener::bind(&socket).expect("listens");
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
    let answer = [head.into_bytes(), vec![b'x'; bytes]].concat();
    let asked = asker::question("/").len();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("is opened");
            stream.read_exact(&mut vec![0; asked]).expect("is asked");
            stream.write_all(&answer).expect("is taken");
        }
    });
    socket
}
