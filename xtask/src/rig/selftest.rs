//! `cargo xtask rig selftest`: is the rig what the tests of the product take
//! it for? Two machines are worked on side by side, one for SR-IOV and one for
//! VMs; then both go through a restart. Every check names the promise it makes.

pub mod sriov;
pub mod sysfs;
mod vm;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::build::Built;
use super::live::Rig;
use super::machine::{AMD_GPU, GPUS};
use sysfs::{VfCount, read, set_vf_count};

/// A file that one machine leaves behind, to see where it comes back.
const MARKER: &str = "/var/lib/rig/marker";

pub fn main() -> Result<ExitCode> {
    let started = Instant::now();
    let built = Built::obtain()?;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| sriov_machine(&built));
        let second = scope.spawn(|| vm_machine(&built));
        let joined = [first.join(), second.join()];
        joined.into_iter().try_for_each(|result| result.expect("checks return their failures"))
    })?;
    check("a resumed machine knows nothing of another", || {
        built.with_rig("fresh", |rig| knows_nothing(rig))
    })?;
    check("a machine boots from power off by itself", || {
        let rig = built.boot("cold")?;
        knows_nothing(&rig)?;
        drivers_are_bound(&rig)
    })?;
    check("a program of this machine runs in the rig", || {
        built.with_rig("upload", |rig| uploaded_program_runs(rig))
    })?;
    println!("all well after {:.0} s", started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// Runs one check and says how long it took.
fn check(promise: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    body().with_context(|| format!("it does not hold that {promise}"))?;
    println!("ok {:5.1} s  {promise}", started.elapsed().as_secs_f64());
    Ok(())
}

fn sriov_machine(built: &Built) -> Result<()> {
    built.with_rig("sriov", |rig| {
        sriov::checks(rig)?;
        check("an orderly reboot keeps files and forgets partitions", || {
            leave_traces(rig)?;
            rig.reboot()?;
            files_stay_and_vfs_go(rig)
        })
    })
}

fn vm_machine(built: &Built) -> Result<()> {
    built.with_rig("vm", |rig| {
        vm::checks(rig)?;
        check("a power cut keeps what was synced and forgets partitions", || {
            leave_traces(rig)?;
            rig.expect("sync")?;
            rig.power_cut()?;
            files_stay_and_vfs_go(rig)
        })
    })
}

/// This very program, because it is at hand; it answers with its usage.
fn uploaded_program_runs(rig: &Rig) -> Result<()> {
    rig.upload(Path::new("/proc/self/exe"), "/opt/test/xtask")?;
    let answer = rig.run("/opt/test/xtask rig")?;
    ensure!(
        answer.text.contains("usage: cargo xtask rig"),
        "it answered with {}: {}",
        answer.status,
        answer.text
    );
    Ok(())
}

fn leave_traces(rig: &Rig) -> Result<()> {
    rig.write("here", MARKER)?;
    set_vf_count(rig, AMD_GPU.address, VfCount(4))
}

fn files_stay_and_vfs_go(rig: &Rig) -> Result<()> {
    let marker = rig.expect(&format!("cat {MARKER}"))?;
    ensure!(marker == "here", "the marker holds {marker:?}");
    let count = read(rig, AMD_GPU.address, "sriov_numvfs")?;
    ensure!(count == "0", "{count} VFs are on");
    drivers_are_bound(rig)
}

fn knows_nothing(rig: &Rig) -> Result<()> {
    let marker = rig.run(&format!("test -e {MARKER}"))?;
    ensure!(!marker.is_success(), "the marker of another machine is here");
    for gpu in GPUS {
        let count = read(rig, gpu.address, "sriov_numvfs")?;
        ensure!(count == "0", "{} has {count} VFs on", gpu.address);
    }
    Ok(())
}

fn drivers_are_bound(rig: &Rig) -> Result<()> {
    for gpu in GPUS {
        let driver = sysfs::driver_of(rig, gpu.address)?;
        ensure!(driver == "rigpf", "{} is driven by {driver:?}", gpu.address);
    }
    Ok(())
}
