//! What an assignment through the API costs until it is acknowledged, and so durable, beside the barest
//! things that make the same bytes durable: one SQLite transaction of one row, and a write into a log that
//! is there already. One asker, then 64 at once. All take turns in one run on one disk, so the ratios mean
//! something; the times alone mean little.
//!
//! An assignment is a transaction and a round trip through the API. Where a disk takes long to sync, the
//! transaction is all that counts; where it does not, the round trip is the larger part. So the barest
//! round trip is measured too: a question that is answered from memory. The transaction and the round trip
//! together, over an assignment, say what Divvy's own work costs.
//!
//! Every asker opens a connection for each request, as the command line does. The agents do their work
//! meanwhile: prepare partitions, put them into VMs, report, end the jobs, durably too. The assignments of
//! a round are taken back between rounds, which is not timed.
//!
//! `cargo bench -p divvy-server --bench durable_assign [-- ROUNDS]`, five rounds by default.

#[path = "../../divvy-store/benches/bare/mod.rs"]
mod bare;
mod room;

use std::path::Path;
use std::time::{Duration, Instant};

use divvy_api::client::Client;
use divvy_api::queries::JobQuery;
use divvy_api::requests::{AssignOne, Unassign};
use rusqlite::{Connection, OpenFlags};
use tokio::task::JoinSet;

use bare::{Bare, time};
use room::{Running, finish, median, ratio, rounds, runtime, split_all, vms_round_the_servers};

/// One server with 256 partitions.
const ROOM: &str = "a40-octet";
const COUNT: u16 = 32;
/// Assignments of one asker in a round, and of all askers.
const ALONE: usize = 32;
const ASKERS: usize = 64;
const TOGETHER: usize = 256;

fn main() {
    let running = Running::start(ROOM);
    let runtime = runtime();
    let client = running.client();
    let vms = runtime.block_on(prepare(&client));
    let mut bare = Bare::new(running.folder());
    let mut times = Times::default();
    let rounds = rounds(5);
    for round in 0..rounds {
        let bytes = if round == 0 { 700 } else { bytes_of_an_assignment(running.folder()) };
        let bytes = vec![1_u8; bytes];
        for _ in 0..ALONE {
            times.log.push(time(|| bare.log_write(&bytes)));
            times.sqlite.push(time(|| bare.sqlite_commit(&bytes)));
        }
        times.round_trip.extend(runtime.block_on(ask_alone(&client)));
        let alone = runtime.block_on(assign_alone(&client, &vms[..ALONE]));
        times.alone.extend(alone);
        runtime.block_on(take_back(&client, &vms[..ALONE]));
        let together = runtime.block_on(assign_together(&client, &vms[..TOGETHER]));
        times.together.push(together / TOGETHER as u32);
        runtime.block_on(take_back(&client, &vms[..TOGETHER]));
    }
    times.print(rounds, bytes_of_an_assignment(running.folder()));
}

/// Splits every GPU; VMs in an order that goes round the servers.
async fn prepare(client: &Client) -> Vec<String> {
    split_all(client, COUNT).await;
    vms_round_the_servers(client).await
}

/// Asks what is answered from memory.
async fn ask_alone(client: &Client) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..ALONE {
        let start = Instant::now();
        client.version().await.expect("is answered");
        times.push(start.elapsed());
    }
    times
}

async fn assign_alone(client: &Client, vms: &[String]) -> Vec<Duration> {
    let mut times = Vec::new();
    for vm in vms {
        let start = Instant::now();
        client.assign_one(vm, &AssignOne::default()).await.expect("is accepted");
        times.push(start.elapsed());
    }
    times
}

async fn assign_together(client: &Client, vms: &[String]) -> Duration {
    let start = Instant::now();
    let mut askers = JoinSet::new();
    for nth in 0..ASKERS {
        let (client, vms) = (client.clone(), vms.to_vec());
        askers.spawn(async move {
            for vm in vms.iter().skip(nth).step_by(ASKERS) {
                client.assign_one(vm, &AssignOne::default()).await.expect("is accepted");
            }
        });
    }
    while let Some(asker) = askers.join_next().await {
        asker.expect("asks to its end");
    }
    start.elapsed()
}

/// Waits until every job has ended, takes all of them back, and waits again.
async fn take_back(client: &Client, vms: &[String]) {
    wait_for_jobs(client).await;
    let request = Unassign { vms: vms.to_vec(), dry_run: false };
    let answer = client.unassign(&request).await.expect("is accepted");
    finish(client, answer).await;
}

async fn wait_for_jobs(client: &Client) {
    for job in client.jobs(&Default::default()).await.expect("is answered") {
        let mut job = job;
        while !job.is_finished() {
            job = client.job(job.id, JobQuery { wait_ms: Some(30_000) }).await.expect("is answered");
        }
    }
}

/// What an assignment wrote: its record, its job, its event.
fn bytes_of_an_assignment(folder: &Path) -> usize {
    let database = folder.join("state").join("divvy.db");
    let reader = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opens");
    let sizes = [
        "SELECT length(value) FROM record WHERE key LIKE 'generation/%' LIMIT 1",
        "SELECT cast(avg(length(value)) AS INTEGER) FROM job WHERE value LIKE '%\"kind\":\"assign\"%'",
        "SELECT cast(avg(length(value)) AS INTEGER) FROM event WHERE value LIKE '%\"code\":\"assigned\"%'",
    ];
    let size = |query: &&str| reader.query_row(query, [], |row| row.get::<_, usize>(0)).expect("is there");
    // The assignment's own record, taken back by now, is about as long as its event.
    sizes.iter().map(size).sum::<usize>() + size(&sizes[2])
}

#[derive(Default)]
struct Times {
    log: Vec<Duration>,
    sqlite: Vec<Duration>,
    round_trip: Vec<Duration>,
    alone: Vec<Duration>,
    together: Vec<Duration>,
}

impl Times {
    fn print(mut self, rounds: usize, bytes: usize) {
        let [log, sqlite, round_trip, alone, together] =
            [&mut self.log, &mut self.sqlite, &mut self.round_trip, &mut self.alone, &mut self.together]
                .map(|times| median(times));
        println!("{rounds} rounds in turn, room {ROOM}, {bytes} bytes an assignment, medians");
        println!("preallocated log, fdatasync      {log:>10.1?}");
        println!("SQLite, one row, FULL            {sqlite:>10.1?}");
        println!("round trip, nothing kept         {round_trip:>10.1?}");
        println!("assign, one asker                {alone:>10.1?}");
        println!("assign, {ASKERS} askers, each         {together:>10.1?}");
        println!("SQLite / assign                  {:>10.2}   (goal: at least 0.8)", ratio(sqlite, alone));
        println!("SQLite and round trip / assign   {:>10.2}", ratio(sqlite + round_trip, alone));
        println!("log / assign                     {:>10.2}", ratio(log, alone));
        println!(
            "one asker / each of {ASKERS}           {:>10.2}   (goal: at least 5)",
            ratio(alone, together)
        );
    }
}
