//! What a partition change costs beside the bare writes that the kernel needs for it anyway, and what
//! eight GPUs at once cost beside one. Both take turns in one run, on rooms with the delays of a real
//! kernel; a change is from one count to another: none, then the new count, 1.1 s in the kernel.
//!
//! `cargo bench -p divvy-server --bench partition_change [-- ROUNDS]`, seven rounds by default.

mod room;

use std::time::Duration;

use divvy_api::client::Client;
use divvy_api::requests::{GpuSelection, SetPartitionCounts};
use divvy_host::sysfs::Sysfs;
use divvy_sim::room::Room;
use divvy_sim::spec::Delays;

use room::{Running, finish, median, ratio, rounds, runtime, time};

const ROOM: &str = "a16-octet";
const GPUS: usize = 8;

fn main() {
    let bare = Room::open(ROOM, 1, Delays::kernel()).expect("is a room");
    let running = Running::start(ROOM);
    let runtime = runtime();
    let client = running.client();
    let names: Vec<String> = runtime.block_on(async {
        client.gpus(&Default::default()).await.expect("is answered").into_iter().map(|gpu| gpu.id).collect()
    });
    assert_eq!(names.len(), GPUS);
    let mut times: [Vec<Duration>; 3] = Default::default();
    // Everything has four to begin with, as everything has in every round.
    change_bare(&bare, 4);
    runtime.block_on(change(&client, &names, 4));
    let rounds = rounds(7);
    for _ in 0..rounds {
        times[0].push(time(|| change_bare(&bare, 8)));
        times[1].push(time(|| runtime.block_on(change(&client, &names[..1], 8))));
        times[2].push(time(|| runtime.block_on(change(&client, &names, 2))));
        change_bare(&bare, 4);
        runtime.block_on(change(&client, &names, 4));
    }
    let [bare, one, eight] = times.each_mut().map(|times| median(times));
    println!("{rounds} rounds in turn, room {ROOM}, kernel's delays, medians");
    println!("bare writes, one GPU             {bare:>10.1?}");
    println!("through the API, one GPU         {one:>10.1?}");
    println!("through the API, {GPUS} GPUs at once  {eight:>10.1?}");
    println!("API / bare                       {:>10.3}   (goal: at most 1.05)", ratio(one, bare));
    println!("{GPUS} at once / one                  {:>10.3}   (goal: at most 1.3)", ratio(eight, one));
}

fn change_bare(room: &Room, count: u16) {
    let server = &room.servers[0];
    let sysfs = server.sysfs();
    let file = format!("sys/bus/pci/devices/{}/sriov_numvfs", server.gpus()[0].address);
    sysfs.write(&file, "0").expect("is written");
    sysfs.write(&file, &count.to_string()).expect("is written");
}

/// Until the job has ended, as a person who waits for it sees it.
async fn change(client: &Client, gpus: &[String], count: u16) {
    let request = SetPartitionCounts {
        gpus: GpuSelection::Named(gpus.to_vec()),
        count: Some(count),
        sizes: None,
        off: false,
        dry_run: false,
    };
    let answer = client.set_partition_counts(&request).await.expect("is accepted");
    finish(client, answer).await;
}
