//! `cargo xtask rig scenario`: the product on a real kernel with a real libvirt,
//! from its installation to a server whose GPUs changed places. Each check names
//! the promise that it makes; those of one story build on one another.

mod assign;
mod boot;
mod claim;
mod crash;
mod events;
mod faults;
mod hypervisor;
mod list;
mod lost;
mod mdev;
mod partition;
mod quarantine;
mod refuse;
mod reset;
mod unassign;
mod vm;
mod whole;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::build::Built;
use super::live::Rig;
use super::machine::{AMD_GPU, INTEL_GPU, RigGpu};
use super::product::{LONG, Product, SOON, ask, text, until};
use super::selftest::sysfs::{path, read, write_well};
use vm::{ALPHA, BETA};

/// Short limits, so that what hangs is given up in the time of a test.
const SETTINGS: &str = "write_deadline_seconds = 8\n";
const SETTINGS_WITH_CONTROL: &str = "write_deadline_seconds = 8\nmore_gpus = [\"8086:10c9\"]\n";

type Checks = fn(&mut Rig) -> Result<()>;

/// Checks that build on one another, in a rig of their own.
struct Story {
    name: &'static str,
    prepare: Checks,
    chapters: &'static [Checks],
}

const STORIES: [Story; 7] = [
    Story {
        name: "vms",
        prepare: |_| Ok(()),
        chapters: &[list::checks, partition::checks, assign::checks, refuse::checks, unassign::checks],
    },
    Story { name: "crash", prepare: settle, chapters: &[crash::checks] },
    Story {
        name: "faults",
        prepare: settle,
        chapters: &[faults::checks, events::checks, lost::checks, reset::checks, quarantine::checks],
    },
    Story { name: "mdev", prepare: |_| Ok(()), chapters: &[mdev::checks] },
    Story { name: "whole", prepare: |_| Ok(()), chapters: &[whole::checks] },
    Story { name: "claim", prepare: |_| Ok(()), chapters: &[claim::checks] },
    Story { name: "boot", prepare: settle, chapters: &[hypervisor::checks, boot::checks] },
];

/// All stories, or those that are named, two at a time.
pub fn main(names: &[String]) -> Result<ExitCode> {
    let started = Instant::now();
    let is_story = |name: &String| STORIES.iter().any(|story| story.name == name);
    if let Some(name) = names.iter().find(|name| !is_story(name)) {
        let known: Vec<&str> = STORIES.iter().map(|story| story.name).collect();
        bail!("there is no story {name}, but {}", known.join(", "));
    }
    let is_wanted = |story: &&Story| names.is_empty() || names.iter().any(|name| name == story.name);
    let product = Product::build()?;
    let built = Built::obtain()?;
    let next = Mutex::new(STORIES.iter().filter(is_wanted));
    let tell_next = || -> Result<()> {
        loop {
            let story = next.lock().expect("nobody panics with it").next();
            match story {
                Some(story) => tell(story, &built, &product)?,
                None => return Ok(()),
            }
        }
    };
    std::thread::scope(|scope| {
        let lanes = [scope.spawn(tell_next), scope.spawn(tell_next)];
        lanes
            .into_iter()
            .map(|lane| lane.join().expect("checks return their failures"))
            .collect::<Result<Vec<()>>>()
    })?;
    println!("all well after {:.0} s", started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

fn tell(story: &Story, built: &Built, product: &Product) -> Result<()> {
    let chapters = |rig: &mut Rig| -> Result<()> {
        product.install(rig, SETTINGS)?;
        std::iter::once(&story.prepare).chain(story.chapters).try_for_each(|checks| checks(rig))
    };
    built.with_rig(story.name, |rig| {
        let told = chapters(rig);
        if told.is_err() && !rig.has_failed() {
            eprintln!("{}", evidence(rig));
        }
        told.with_context(|| format!("story {}", story.name))
    })
}

/// Where most stories begin: both GPUs are split, two VMs run, and `BETA` has a
/// partition of the AMD GPU.
fn settle(rig: &mut Rig) -> Result<()> {
    for (gpu, count) in [(INTEL_GPU, 4), (AMD_GPU, 8)] {
        ask(rig, &format!("gpu partition {} --count {count}", id_of(&gpu)))?;
    }
    for vm in [ALPHA, BETA] {
        vm.define(rig, "")?;
    }
    until(SOON, "the VM can have a partition", || assign::give(rig, &BETA, &AMD_GPU))?;
    rig.expect("virsh start alpha & other=$!; virsh start beta && wait $other")?;
    BETA.sees(rig, &AMD_GPU, 0)
}

/// What somebody who looks for the reason wants to see.
fn evidence(rig: &Rig) -> String {
    let look = "journalctl -u divvyd -n 40 --no-pager -o short-monotonic; divvy gpu list; \
                divvy partition list; divvy vm list; divvy events --limit 25; divvy check; \
                virsh list --all; dmesg | tail -n 15";
    match rig.run(look) {
        Ok(output) => output.text,
        Err(error) => format!("no evidence: {error:#}"),
    }
}

/// Runs one check and says how long it took.
fn check(promise: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    body().with_context(|| format!("it does not hold that {promise}"))?;
    println!("ok {:5.1} s  {promise}", started.elapsed().as_secs_f64());
    Ok(())
}

/// The id that Divvy gives a GPU of the rig.
fn id_of(gpu: &RigGpu) -> String {
    format!("gpu-{:016x}", gpu.serial)
}

fn gpu_view(rig: &Rig, gpu: &RigGpu) -> Result<Value> {
    ask(rig, &format!("gpu show {}", id_of(gpu)))
}

/// Waits until Divvy says so many partitions, and the kernel as well.
fn expect_count(rig: &Rig, gpu: &RigGpu, count: u16) -> Result<()> {
    until(LONG, &format!("{} has {count} partitions", gpu.address), || {
        let view = gpu_view(rig, gpu)?;
        ensure!(view["partition_count"] == count, "divvy says {view}");
        ensure!(view["mode"] != "unknown", "divvy says {view}");
        let found = kernels_count(rig, gpu)?;
        ensure!(found.trim() == count.to_string(), "the kernel says {found:?}");
        Ok(())
    })?;
    Ok(())
}

/// Its VFs, or without SR-IOV the mediated devices on it.
fn kernels_count(rig: &Rig, gpu: &RigGpu) -> Result<String> {
    if gpu.total_vfs > 0 {
        return read(rig, gpu.address, "sriov_numvfs");
    }
    Ok(mdev::children(rig, gpu.address)?.len().to_string())
}

/// No finding of `check` is an error or a violation.
fn no_violation(rig: &Rig) -> Result<()> {
    let answer = super::product::divvy(rig, "check")?;
    let findings = answer.document.as_array().cloned().unwrap_or_default();
    let wrong: Vec<&Value> = findings.iter().filter(|one| one["severity"] == "error").collect();
    ensure!(wrong.is_empty(), "check finds {wrong:?}");
    for finding in &findings {
        let code = text(finding, "code")?;
        ensure!(!code.starts_with("violation"), "check finds {finding}");
    }
    ensure!(answer.status == 0, "check ended with {}: {}", answer.status, answer.told);
    Ok(())
}

/// What is written into a device's files wakes nobody, and Divvy looks once in a minute; here it looks now.
fn look_now(rig: &Rig, gpu: &RigGpu) -> Result<()> {
    write_well(rig, &path(gpu.address, "uevent"), "change")
}

/// Ends the daemon without a word, and waits until systemd has brought it back.
fn kill_daemon(rig: &Rig) -> Result<()> {
    rig.expect("kill -KILL $(systemctl show divvyd --property MainPID --value)")?;
    wait_for_daemon(rig)
}

fn wait_for_daemon(rig: &Rig) -> Result<()> {
    until(LONG, "divvyd answers", || ask(rig, "version"))?;
    Ok(())
}
