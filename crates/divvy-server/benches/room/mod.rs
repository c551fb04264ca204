//! A release `divvyd` in a room of its own, for the benchmarks: started, asked, ended. And what all of
//! them print: medians.

#![allow(dead_code, reason = "each benchmark needs a part of it")]

pub mod asker;
pub mod usage;

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use divvy_api::client::Client;
use divvy_api::endpoint::Endpoint;
use divvy_api::queries::JobQuery;
use divvy_api::requests::{GpuSelection, SetPartitionCounts};
use divvy_api::views::{Answer, JobView, VmView};
use divvy_api::words::Progress;
use tempfile::TempDir;

pub struct Running {
    folder: TempDir,
    child: Child,
}

impl Running {
    pub fn start(room: &str) -> Self {
        // Beside the build, on a disk: the usual folder for temporary files may be in memory.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("makes a folder");
        std::fs::write(folder.path().join("settings.toml"), "").expect("writes");
        let mut command = Command::new(env!("CARGO_BIN_EXE_divvyd"));
        command.args(["--sim", room, "--settings"]).arg(folder.path().join("settings.toml"));
        command
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .arg("--socket")
            .arg(folder.path().join("s"));
        let child = command.stderr(Stdio::null()).spawn().expect("starts");
        let running = Self { folder, child };
        let end = Instant::now() + Duration::from_secs(60);
        while UnixStream::connect(running.socket()).is_err() {
            assert!(Instant::now() < end, "divvyd does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        running
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn client(&self) -> Client {
        Client::new(Endpoint::Unix(self.socket()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the job of an accepted change to end well.
pub async fn finish(client: &Client, answer: Answer) -> JobView {
    let Answer::Accepted(accepted) = answer else { panic!("only a dry run is a plan") };
    let mut job = accepted.job.expect("there is something to do");
    while !job.is_finished() {
        job = client.job(job.id, JobQuery { wait_ms: Some(30_000) }).await.expect("is answered");
    }
    assert_eq!(job.progress, Progress::Succeeded, "{job:?}");
    job
}

/// Splits every GPU.
pub async fn split_all(client: &Client, count: u16) {
    let request = SetPartitionCounts {
        gpus: GpuSelection::All,
        count: Some(count),
        sizes: None,
        off: false,
        dry_run: false,
    };
    let answer = client.set_partition_counts(&request).await.expect("is accepted");
    finish(client, answer).await;
}

/// The ids of all VMs: the first one of each server, then the second ones, and so on.
pub async fn vms_round_the_servers(client: &Client) -> Vec<String> {
    let mut vms = client.vms(&Default::default()).await.expect("is answered");
    vms.sort_by_cached_key(nth_of_its_server());
    vms.into_iter().map(|vm| vm.id).collect()
}

/// The ids of so many VMs of each server, server after server.
pub async fn vms_of_each_server(client: &Client, many: usize) -> Vec<String> {
    let mut nth = nth_of_its_server();
    let mut vms = client.vms(&Default::default()).await.expect("is answered");
    vms.retain(|vm| nth(vm) <= many);
    vms.into_iter().map(|vm| vm.id).collect()
}

/// Counts the VMs of each server as they come, from one.
fn nth_of_its_server() -> impl FnMut(&VmView) -> usize {
    let mut seen = BTreeMap::<String, usize>::new();
    move |vm| {
        let nth = seen.entry(vm.server.clone()).or_default();
        *nth += 1;
        *nth
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts")
}

pub fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

pub fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// A number after the name of the benchmark, or the usual one.
pub fn rounds(usual: usize) -> usize {
    std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(usual)
}
