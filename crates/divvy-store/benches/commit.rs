//! What one durable commit costs beside the barest things that keep the same bytes: one SQLite
//! transaction of one row, and a write into a log that is there already. All take turns in one run on
//! one disk, so the ratios mean something; the times alone mean little.
//!
//! `cargo bench -p divvy-store [-- SECONDS]`, three seconds by default.

mod bare;

use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::time::{Duration, Instant};

use divvy_core::assignment::{Assignment, Holding};
use divvy_core::change::{Change, Edit};
use divvy_core::desired::Desired;
use divvy_core::event::Event;
use divvy_core::finding::Subject;
use divvy_core::id::{GpuId, PartitionId, PartitionIndex, ServerId, VmId};
use divvy_core::job::{Job, JobId, JobKind, JobTarget, Progress, Wanted};
use divvy_store::{Commit, Store};
use tempfile::TempDir;

use bare::{Bare, time};

/// VMs that have a partition all the time, on so many servers.
const VMS: u64 = 1_000;
const SERVERS: u64 = 10;
const BATCH: usize = 64;
const DEFAULT_SECONDS: u64 = 3;

fn main() {
    let seconds = env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(DEFAULT_SECONDS);
    // Beside the build, on a disk: the usual folder for temporary files may be in memory.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("makes a folder");
    let mut bench = Bench::new(folder.path());
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut times = Times::default();
    while Instant::now() < deadline {
        times.log.push(time(|| bench.bare.log_write(&bench.bytes)));
        times.sqlite.push(time(|| bench.bare.sqlite_commit(&bench.bytes)));
        let one = bench.batch(1);
        times.store.push(time(|| bench.store_commit(one)));
        let batch = bench.batch(BATCH);
        times.batch.push(time(|| bench.store_commit(batch)) / BATCH as u32);
    }
    times.print(bench.bytes.len());
}

struct Bench {
    store: Store,
    bare: Bare,
    /// As many as one commit writes as records.
    bytes: Vec<u8>,
    turn: u64,
}

impl Bench {
    fn new(folder: &Path) -> Self {
        let store = Store::open_embedded(&folder.join("state")).expect("opens");
        let mut bench = Self { store, bare: Bare::new(folder), bytes: Vec::new(), turn: 0 };
        let assigned = bench.batch(VMS as usize);
        bench.store_commit(assigned);
        let Commit { change, events, jobs, .. } = commit(1, &Desired::default());
        bench.bytes = [
            serde_json::to_vec(&change.edits).expect("is JSON"),
            serde_json::to_vec(&events).expect("is JSON"),
            serde_json::to_vec(&jobs).expect("is JSON"),
        ]
        .concat();
        bench
    }

    /// So many commits, each of one assignment, one job and one event.
    fn batch(&mut self, commits: usize) -> Vec<Commit> {
        let mut desired = self.store.snapshot().desired;
        let commits = (0..commits).map(|_| {
            self.turn += 1;
            let commit = commit(self.turn, &desired);
            commit.change.apply(&mut desired).expect("relies on what is so");
            commit
        });
        commits.collect()
    }

    fn store_commit(&self, batch: Vec<Commit>) {
        let outcomes = self.store.commit(batch).expect("writes");
        assert!(outcomes.iter().all(Result::is_ok));
    }
}

fn commit(turn: u64, desired: &Desired) -> Commit {
    let server = ServerId::new(&format!("server-{:03}", turn % SERVERS)).expect("is a name");
    let gpu = GpuId::new(&format!("gpu-{:012x}", turn % VMS / 4)).expect("is a name");
    let vm = VmId::new(&format!("00000000-0000-4000-8000-{:012}", turn % VMS)).expect("is a name");
    let vm_name = format!("vm-{:03}", turn % VMS);
    let partition = PartitionId::new(&gpu, PartitionIndex((turn % 4) as u16));
    let assignment = Assignment {
        vm: vm.clone(),
        vm_name: vm_name.clone(),
        holding: Holding::Partition { partition: partition.clone() },
        accepted: BTreeSet::new(),
        restart: false,
        start: false,
    };
    let edit = Edit::SetAssignment { server: server.clone(), assignment };
    let event = Event {
        at_ms: turn,
        code: "assigned".to_owned(),
        server: Some(server.clone()),
        subject: Subject::Vm(vm.clone()),
        text: format!("{vm_name} shall have {partition}"),
        principal: Some("administrator".to_owned()),
        job: Some(JobId(turn)),
    };
    let job = job(turn, server, Wanted::Assigned { vm, vm_name, partition });
    Commit {
        change: Change::of(vec![edit], desired),
        events: vec![event],
        jobs: vec![job],
        answers: Vec::new(),
    }
}

fn job(turn: u64, server: ServerId, wanted: Wanted) -> Job {
    let progress = Progress::Succeeded;
    let target = JobTarget { server, wanted, progress, steps: Vec::new(), detail: None, hint: None };
    Job {
        id: JobId(turn),
        kind: JobKind::Assign,
        principal: "administrator".to_owned(),
        created_ms: turn,
        finished_ms: Some(turn),
        progress,
        targets: vec![target],
    }
}

#[derive(Default)]
struct Times {
    log: Vec<Duration>,
    sqlite: Vec<Duration>,
    store: Vec<Duration>,
    batch: Vec<Duration>,
}

impl Times {
    fn print(mut self, bytes: usize) {
        println!("{} rounds in turn, {bytes} bytes a commit", self.store.len());
        // On a busy machine the median is the wait for a processor; the fastest tenth is the disk.
        for (name, part) in [("median", 0.5), ("fastest tenth", 0.1)] {
            let all = [&mut self.log, &mut self.sqlite, &mut self.store, &mut self.batch];
            let [log, sqlite, store, batch] = all.map(|times| quantile(times, part));
            let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
            println!("\n{name}");
            println!("  preallocated log, fdatasync  {log:>10.1?}");
            println!("  SQLite, one row, FULL        {sqlite:>10.1?}");
            println!("  store.commit, one            {store:>10.1?}");
            println!("  store.commit, each of {BATCH}     {batch:>10.1?}");
            println!("  store / SQLite               {:>10.2}", ratio(store, sqlite));
            println!("  store / log                  {:>10.2}", ratio(store, log));
            println!("  one / each of {BATCH}             {:>10.2}", ratio(store, batch));
        }
    }
}

/// The time that this part of the times is below.
fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    times[(times.len() as f64 * part) as usize]
}
