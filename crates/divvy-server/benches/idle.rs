//! What an idle daemon costs a server: memory of its own (PSS: pages shared with others count for their
//! share), processor time, and how often its threads wake up. Read from `/proc` of a release `divvyd` in a
//! room with one GPU, after a partition change and a few assignments, while nobody asks.
//!
//! `cargo bench -p divvy-server --bench idle [-- SECONDS]`, twenty seconds by default.

mod room;

use std::collections::BTreeMap;
use std::time::Duration;

use divvy_api::client::Client;
use divvy_api::requests::Assign;

use room::usage::{mib, number, processor, pss_kib, read};
use room::{Running, finish, rounds, runtime, split_all};

const ROOM: &str = "a2-edge";

fn main() {
    let running = Running::start(ROOM);
    let runtime = runtime();
    let fresh_kib = pss_kib(running.pid());
    runtime.block_on(work(&running.client()));
    let seconds = rounds(20);
    std::thread::sleep(Duration::from_secs(1));
    let before = Activity::of(running.pid());
    std::thread::sleep(Duration::from_secs(seconds as u64));
    let after = Activity::of(running.pid());
    let per_second = |count: u64| count as f64 / seconds as f64;
    println!("release divvyd, room {ROOM}, {seconds} s without a request");
    println!("PSS after the start              {:>10.1} MiB", mib(fresh_kib));
    println!(
        "PSS after some work              {:>10.1} MiB   (goal: at most 12)",
        mib(pss_kib(running.pid()))
    );
    println!(
        "processor time                   {:>10.2} ms each second",
        (after.processor - before.processor).as_secs_f64() * 1000.0 / seconds as f64
    );
    for (thread, (name, count)) in &after.switches {
        let earlier = before.switches.get(thread).map_or(0, |(_, count)| *count);
        // Threads that ended meanwhile, of the runtime's pool, wake up no more.
        let name = format!("voluntary switches of {name}");
        println!("{name:<32} {:>10.2} each second   (goal: at most 1)", per_second(count - earlier));
    }
}

async fn work(client: &Client) {
    split_all(client, 8).await;
    let vms = (1..=8).map(|nth| format!("vm-{nth:03}")).collect();
    let request =
        Assign { vms, gpu: None, memory_bytes: None, partition: None, accept: Vec::new(), dry_run: false };
    let answer = client.assign(&request).await.expect("is accepted");
    finish(client, answer).await;
    for _ in 0..100 {
        client.vms(&Default::default()).await.expect("is answered");
    }
}

/// What the process has done so far.
struct Activity {
    processor: Duration,
    /// By thread: its name, and how often it went to sleep.
    switches: BTreeMap<String, (String, u64)>,
}

impl Activity {
    fn of(pid: u32) -> Self {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("is there");
        let switches = threads.map(|thread| {
            let id = thread.expect("is read").file_name().to_string_lossy().into_owned();
            let status = read(&format!("/proc/{pid}/task/{id}/status"));
            let name = status.lines().next().and_then(|line| line.strip_prefix("Name:")).expect("has a name");
            (id, (name.trim().to_owned(), number(&status, "voluntary_ctxt_switches:")))
        });
        Self { processor: processor(pid), switches: switches.collect() }
    }
}
