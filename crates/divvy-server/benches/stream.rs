//! What 200 clients on the stream of changes cost while 100 changes a second happen, and how long a change
//! takes to reach every one of them. The changes are assignments, taken back later, asked at an even pace
//! whatever the answers take, in a room with 8 servers; each brings half a dozen messages.
//!
//! ```text
//! asked ─▶ decided, durable, published ─▶ gathered (25 ms) ─▶ first client … last client
//!   └───────────────────── the time of a change ─────────────────────────────────┘
//! ```
//!
//! The same seconds are lived through by one daemon five times: idle, idle with the clients, changing with
//! nobody, one, and all of them listening. Most of the processor's time goes to the agents, which look at
//! GPUs and change VMs, on whatever is idle; so the threads that answer are counted by themselves. Clients
//! are one thread here that reads and looks for the VM's message, so the last client's time has the reading
//! of all others in it.
//!
//! `cargo bench -p divvy-server --bench stream [-- SECONDS]`, six seconds by default.

mod room;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use divvy_api::client::Client;
use divvy_api::paths;
use divvy_api::requests::AssignOne;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use room::usage::{forget_peak, mib, peak_kib, processor, processor_without, pss_kib};
use room::{Running, asker, median, rounds, runtime, split_all, vms_round_the_servers};

const ROOM: &str = "a40-rack";
const COUNT: u16 = 16;
const CLIENTS: usize = 200;
const CHANGES_A_SECOND: usize = 100;
/// So many VMs get a partition one after the other before the first one has to give it back.
const VMS: usize = 256;
/// The threads that carry changes out and write them down: they do it whoever listens.
const AT_WORK: &[&str] = &["agent", "admit"];
/// What the changes before have left to be done is done after that.
const SETTLE: Duration = Duration::from_secs(3);

fn main() {
    let seconds = rounds(6);
    let running = Running::start(ROOM);
    LocalSet::new().block_on(&runtime(), measure(&running, seconds));
}

async fn measure(running: &Running, seconds: usize) {
    let client = running.client();
    let mut changes = Changes { vms: prepare(&client).await, client, asked: 0, log: Rc::default() };
    let span = Duration::from_secs(seconds as u64);
    let idle = Cost::of(running, sleep(span)).await;
    let nobody = Cost::of(running, changes.make(seconds)).await;
    let one_listens = listen(running, 1, &changes.log).await;
    let one = Cost::of(running, changes.make(seconds)).await;
    drop(one_listens);
    let all_listen = listen(running, CLIENTS, &changes.log).await;
    let quiet = Cost::of(running, sleep(span)).await;
    changes.log.borrow_mut().clear();
    let all = Cost::of(running, changes.make(seconds)).await;
    let heard = timeout(Duration::from_secs(30), all_heard(&changes.log)).await;
    heard.expect("every change reaches every client");
    drop(all_listen);
    println!("room {ROOM}, {seconds} s each, {CHANGES_A_SECOND} changes a second, {CLIENTS} clients");
    println!("{:<26}{:>14}{:>14}{:>12}{:>14}", "", "processor/s", "answering/s", "PSS", "peak / idle");
    idle.print("idle", &idle);
    quiet.print("idle, all listen", &idle);
    nobody.print("changes, nobody listens", &idle);
    one.print("changes, one listens", &idle);
    all.print("changes, all listen", &idle);
    let each = |cost: &Cost| cost.answering.as_secs_f64() / cost.took.as_secs_f64();
    println!("answering, all / nobody   {:>14.2}", each(&all) / each(&nobody));
    print_times(&changes.log.borrow());
}

fn print_times(log: &Log) {
    let mut acknowledged: Vec<Duration> = log.changes.iter().filter_map(|change| change.answered).collect();
    let mut first: Vec<Duration> = log.changes.iter().map(|change| change.first).collect();
    let mut last: Vec<Duration> = log.changes.iter().map(|change| change.last).collect();
    println!("{:<40}{:>14}{:>12}", format!("{} changes, from asking", last.len()), "median", "p99");
    for (name, times) in [
        ("to its acknowledgement", &mut acknowledged),
        ("to the first client", &mut first),
        ("to the last client", &mut last),
    ] {
        let middle = median(times);
        let p99 = times[(times.len() * 99).div_ceil(100) - 1];
        println!("{name:<40}{middle:>14.1?}{p99:>12.1?}");
    }
}

/// What a stretch of time cost the daemon.
struct Cost {
    processor: Duration,
    /// Of it, that of the threads that answer and tell.
    answering: Duration,
    took: Duration,
    pss_kib: u64,
    peak_kib: u64,
}

impl Cost {
    async fn of(running: &Running, work: impl Future<Output = ()>) -> Self {
        sleep(SETTLE).await;
        forget_peak(running.pid());
        let now = || (processor(running.pid()), processor_without(running.pid(), AT_WORK), Instant::now());
        let before = now();
        work.await;
        let after = now();
        let (processor, took) = (after.0 - before.0, after.2 - before.2);
        // A thread that ended took its time with it.
        let answering = after.1.saturating_sub(before.1);
        Self {
            processor,
            answering,
            took,
            pss_kib: pss_kib(running.pid()),
            peak_kib: peak_kib(running.pid()),
        }
    }

    fn print(&self, name: &str, idle: &Self) {
        let share = |of: Duration| of.as_secs_f64() * 1000.0 / self.took.as_secs_f64();
        let (all, answering) = (share(self.processor), share(self.answering));
        let peak = self.peak_kib as f64 / idle.peak_kib as f64;
        println!("{name:<26}{all:>11.1} ms{answering:>11.1} ms{:>8.1} MiB{peak:>14.2}", mib(self.pss_kib));
    }
}

/// Splits every GPU; the VMs that will change, in an order that goes round the servers.
async fn prepare(client: &Client) -> Vec<String> {
    split_all(client, COUNT).await;
    vms_round_the_servers(client).await.into_iter().take(VMS).collect()
}

/// Changes at an even pace, and when they were asked and heard of.
struct Changes {
    client: Client,
    vms: Vec<String>,
    asked: usize,
    log: Rc<RefCell<Log>>,
}

impl Changes {
    /// An odd round over the VMs gives, an even one takes back.
    async fn make(&mut self, seconds: usize) {
        let mut pace = interval(Duration::from_secs(1) / CHANGES_A_SECOND as u32);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut answers = JoinSet::new();
        for _ in 0..seconds * CHANGES_A_SECOND {
            pace.tick().await;
            let (vm, gives) = (self.vms[self.asked % VMS].clone(), (self.asked / VMS).is_multiple_of(2));
            self.asked += 1;
            let number = self.log.borrow_mut().ask(&vm, gives);
            let (client, log) = (self.client.clone(), Rc::clone(&self.log));
            answers.spawn_local(async move {
                let answer = match gives {
                    true => client.assign_one(&vm, &AssignOne::default()).await,
                    false => client.unassign_one(&vm, Default::default()).await,
                };
                answer.expect("is accepted");
                log.borrow_mut().answered(number);
            });
        }
        while let Some(answer) = answers.join_next().await {
            answer.expect("is answered");
        }
    }
}

struct Change {
    asked: Instant,
    answered: Option<Duration>,
    /// How many clients have heard of it, and when the first and the last one did.
    heard: usize,
    first: Duration,
    last: Duration,
}

/// Every change since the log was cleared, and by VM the newest one.
#[derive(Default)]
struct Log {
    changes: Vec<Change>,
    newest: HashMap<String, (usize, bool)>,
}

impl Log {
    fn clear(&mut self) {
        *self = Self::default();
    }

    fn ask(&mut self, vm: &str, gives: bool) -> usize {
        let number = self.changes.len();
        let zero = Duration::ZERO;
        let change = Change { asked: Instant::now(), answered: None, heard: 0, first: zero, last: zero };
        self.changes.push(change);
        self.newest.insert(vm.to_owned(), (number, gives));
        number
    }

    fn answered(&mut self, number: usize) {
        let change = &mut self.changes[number];
        change.answered = Some(change.asked.elapsed());
    }

    /// A client was told that the VM has an assignment, or none; `seen` are those that it knew of.
    fn hear(&mut self, vm: &str, has: bool, seen: &mut Vec<bool>) {
        let Some((number, _)) = self.newest.get(vm).filter(|(_, gives)| *gives == has) else { return };
        seen.resize(seen.len().max(self.changes.len()), false);
        if !std::mem::replace(&mut seen[*number], true) {
            let change = &mut self.changes[*number];
            change.last = change.asked.elapsed();
            change.first = if change.heard == 0 { change.last } else { change.first };
            change.heard += 1;
        }
    }
}

async fn all_heard(log: &Rc<RefCell<Log>>) {
    while log.borrow().changes.iter().any(|change| change.heard < CLIENTS) {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Clients that read until they are dropped; each has its connection.
async fn listen(running: &Running, clients: usize, log: &Rc<RefCell<Log>>) -> JoinSet<()> {
    let mut listening = JoinSet::new();
    for _ in 0..clients {
        let mut stream = UnixStream::connect(running.socket()).await.expect("opens");
        stream.write_all(asker::question(paths::STREAM).as_bytes()).await.expect("is sent");
        let mut head = [0; 1024];
        let got = stream.read(&mut head).await.expect("is answered");
        assert!(head[..got].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head[..got]));
        listening.spawn_local(follow(stream, Rc::clone(log)));
    }
    listening
}

async fn follow(mut stream: UnixStream, log: Rc<RefCell<Log>>) {
    let (mut text, mut seen) = (Vec::with_capacity(1 << 16), Vec::new());
    while stream.read_buf(&mut text).await.is_ok_and(|got| got > 0) {
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in text[..whole].split(|byte| *byte == b'\n') {
            if let Some((vm, has)) = vm_of(line) {
                log.borrow_mut().hear(vm, has, &mut seen);
            }
        }
        text.drain(..whole);
    }
}

/// Of a VM's message: its id, and whether it has an assignment. Only VMs have `managed`.
fn vm_of(line: &[u8]) -> Option<(&str, bool)> {
    let line = line.strip_prefix(b"data: {\"kind\":\"put\",\"id\":\"")?;
    let line = std::str::from_utf8(line).ok()?;
    let (id, view) = line.split_once('"')?;
    let (_, managed) = view.split_once("\"managed\":")?;
    Some((id, managed.starts_with("true")))
}
