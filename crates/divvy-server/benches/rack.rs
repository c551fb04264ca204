//! A rack from nothing to its last VM: eight servers with four A40 each, 32 partitions of every GPU made,
//! and each of them assigned, 1,024 VMs in all. Beside it stands what the kernel cannot be spared.
//!
//! ```text
//! GPUs side by side: virtual functions on (0.1 s, once for each GPU) ─▶ types ─▶ assignments
//!                    └── the only sleep on the way: one GPU's, however many there are ──┘
//! ```
//!
//! The goal is a ratio to the *sum* of the sleeps that cannot be avoided: one for each GPU, as a script has
//! them that goes from GPU to GPU. Divvy has them side by side, so the ratio to the sum can be far below
//! one, and the ratio to the one sleep that is left on the way says what all the rest costs. Both are
//! printed.
//!
//! A type that is written and a VM's definition that is changed make a real kernel and libvirt work too;
//! in a room they cost processor time, not sleep, so here all beyond the sleep is Divvy's and the room's
//! own work, on as many processors as this machine has. Each round is a rack of its own.
//!
//! `cargo bench -p divvy-server --bench rack [-- ROUNDS]`, three rounds by default.

mod room;

use std::time::Duration;

use divvy_api::client::Client;
use divvy_api::requests::Assign;
use divvy_sim::spec::Delays;

use room::{Running, finish, median, ratio, rounds, runtime, split_all, time, vms_of_each_server};

const ROOM: &str = "a40-rack";
const GPUS: usize = 32;
const EACH: u16 = 32;
/// VMs of each server, as many as it will have partitions.
const OF_SERVER: usize = 128;

fn main() {
    let runtime = runtime();
    let (mut made, mut assigned) = (Vec::new(), Vec::new());
    let rounds = rounds(3);
    for _ in 0..rounds {
        let running = Running::start(ROOM);
        let client = running.client();
        let vms = runtime.block_on(vms_of_each_server(&client, OF_SERVER));
        assert_eq!(vms.len(), GPUS * usize::from(EACH));
        made.push(time(|| runtime.block_on(split_all(&client, EACH))));
        assigned.push(time(|| runtime.block_on(assign(&client, vms))));
    }
    let mut whole: Vec<Duration> =
        made.iter().zip(&assigned).map(|(made, assigned)| *made + *assigned).collect();
    let [made, assigned, whole] = [&mut made, &mut assigned, &mut whole].map(|times| median(times));
    let kernel = Delays::kernel().enable;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{rounds} rounds, room {ROOM}, kernel's delays, {processors} processors, medians");
    println!("{GPUS} GPUs, {EACH} partitions each      {made:>10.1?}");
    println!("{} VMs assigned             {assigned:>10.1?}", GPUS * usize::from(EACH));
    println!("all                              {whole:>10.1?}");
    println!("kernel's sleeps, their sum       {:>10.1?}", kernel * GPUS as u32);
    println!("kernel's sleep on the way        {kernel:>10.1?}");
    println!(
        "all / sum of sleeps              {:>10.2}   (goal: at most 1.2)",
        ratio(whole, kernel * GPUS as u32)
    );
    println!("partitions / sleep on the way    {:>10.2}", ratio(made, kernel));
    println!("all / sleep on the way           {:>10.2}", ratio(whole, kernel));
}

async fn assign(client: &Client, vms: Vec<String>) {
    let request =
        Assign { vms, gpu: None, memory_bytes: None, partition: None, accept: Vec::new(), dry_run: false };
    let answer = client.assign(&request).await.expect("is accepted");
    finish(client, answer).await;
}
