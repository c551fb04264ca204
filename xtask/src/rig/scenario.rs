//! `cargo xtask rig scenario`: the product on a real kernel with a real libvirt,
//! from its installation to a server whose GPUs changed places. Each check names
//! the promise that it makes; they build on one another, in one rig.

mod assign;
mod boot;
mod crash;
mod events;
mod faults;
mod hypervisor;
mod list;
mod partition;
mod refuse;
mod unassign;
mod vm;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::build::Built;
use super::live::Rig;
use super::machine::RigGpu;
use super::product::{LONG, Product, ask, text, until};

/// Short limits, so that what hangs is given up in the time of a test.
const SETTINGS: &str = "write_deadline_seconds = 8\n";
const SETTINGS_WITH_CONTROL: &str = "write_deadline_seconds = 8\nmore_gpus = [\"8086:10c9\"]\n";

type Part = fn(&mut Rig) -> Result<()>;

/// In the order in which they build on one another.
const PARTS: [(&str, Part); 10] = [
    ("list", list::checks),
    ("partition", partition::checks),
    ("assign", assign::checks),
    ("refuse", refuse::checks),
    ("unassign", unassign::checks),
    ("crash", crash::checks),
    ("faults", faults::checks),
    ("events", events::checks),
    ("hypervisor", hypervisor::checks),
    ("boot", boot::checks),
];

pub fn main() -> Result<ExitCode> {
    let started = Instant::now();
    let product = Product::build()?;
    let mut rig = Built::obtain()?.resume("scenario")?;
    product.install(&rig, SETTINGS)?;
    for (name, part) in PARTS {
        println!("-- {name}");
        if let Err(error) = part(&mut rig) {
            eprintln!("{}", evidence(&rig));
            return Err(error);
        }
    }
    println!("all well after {:.0} s", started.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
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
        let path = format!("/sys/bus/pci/devices/{}/sriov_numvfs", gpu.address);
        let found = rig.expect(&format!("cat {path}"))?;
        ensure!(found.trim() == count.to_string(), "the kernel says {found:?}");
        Ok(())
    })?;
    Ok(())
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

/// Ends the daemon without a word, and waits until systemd has brought it back.
fn kill_daemon(rig: &Rig) -> Result<()> {
    rig.expect("kill -KILL $(systemctl show divvyd --property MainPID --value)")?;
    wait_for_daemon(rig)
}

fn wait_for_daemon(rig: &Rig) -> Result<()> {
    until(LONG, "divvyd answers", || ask(rig, "version"))?;
    Ok(())
}
