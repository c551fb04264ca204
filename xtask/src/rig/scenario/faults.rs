//! The GPU's driver fails: the job says why, and the GPU is what it was.

use anyhow::{Context, Result, ensure};

use super::vm::{ACCEPT, ALPHA, BETA};
use super::{check, expect_count, gpu_view, id_of, no_violation};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU, RigGpu};
use crate::rig::product::{LONG, ask, refused, text, until};
use crate::rig::selftest::sysfs::{path, write_well};

/// What the driver answers to a new count, and what Divvy says to it.
const ERRORS: [(&str, &str, &str); 3] = [
    ("28", "no room for so many partitions", "ask for fewer"),
    ("5", "its driver failed", "firmware and driver"),
    ("12", "not enough MMIO resources", "Above 4G Decoding"),
];

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    check("a driver's error fails the job with its reason and its mend", || {
        ask(rig, &format!("gpu partition {} --off", id_of(&INTEL_GPU)))?;
        for (errno, reason, mend) in ERRORS {
            inject(rig, &INTEL_GPU, "fail", errno)?;
            fails(rig, &INTEL_GPU, 4, &[reason, mend])?;
            inject(rig, &INTEL_GPU, "fail", "0")?;
            expect_count(rig, &INTEL_GPU, 0)?;
        }
        Ok(())
    })?;
    check("a GPU whose partitions cannot be removed keeps them", || {
        ask(rig, &format!("gpu partition {} --count 1", id_of(&INTEL_GPU)))?;
        inject(rig, &INTEL_GPU, "fail", "5")?;
        fails(rig, &INTEL_GPU, 4, &["cannot remove", "Input/output error"])?;
        inject(rig, &INTEL_GPU, "fail", "0")?;
        expect_count(rig, &INTEL_GPU, 1)
    })?;
    check("fewer partitions than asked for are a failure too", || {
        inject(rig, &INTEL_GPU, "partial", "2")?;
        fails(rig, &INTEL_GPU, 4, &["2"])?;
        expect_count(rig, &INTEL_GPU, 1)?;
        inject(rig, &INTEL_GPU, "partial", "0")
    })?;
    check("what failed took nothing from a VM", || {
        ensure!(BETA.assigned(rig)?.is_some(), "beta lost its partition");
        BETA.sees_number(rig, &AMD_GPU, 1)?;
        no_violation(rig)
    })?;
    check("a GPU that hangs is unknown, and nothing else is", || hang(rig))?;
    check("a GPU that answers again is used again", || recover(rig))
}

fn inject(rig: &Rig, gpu: &RigGpu, attribute: &str, value: &str) -> Result<()> {
    write_well(rig, &path(gpu.address, attribute), value)
}

/// The host's failure: status 3, with these words.
fn fails(rig: &Rig, gpu: &RigGpu, count: u16, words: &[&str]) -> Result<()> {
    let command = format!("gpu partition {} --count {count}", id_of(gpu));
    refused(rig, &command, 3, words)
}

fn hang(rig: &Rig) -> Result<()> {
    inject(rig, &INTEL_GPU, "hang", "1")?;
    fails(rig, &INTEL_GPU, 4, &[])?;
    let view = gpu_view(rig, &INTEL_GPU)?;
    ensure!(text(&view, "mode")? == "unknown", "{view}");
    ensure!(!text(&view, "reason")?.is_empty(), "{view}");
    // The GPU beside it gives and takes partitions as ever.
    ask(rig, &format!("assign alpha {ACCEPT}"))?;
    let (of, _) = ALPHA.assigned(rig)?.context("alpha has none")?;
    ensure!(of == id_of(&AMD_GPU), "it got one of {of}");
    ask(rig, "unassign alpha")?;
    refused(rig, &format!("gpu partition {} --count 2", id_of(&INTEL_GPU)), 1, &["gpu_unknown"])
}

fn recover(rig: &Rig) -> Result<()> {
    inject(rig, &INTEL_GPU, "hang", "0")?;
    until(LONG, "the GPU answers", || {
        let view = gpu_view(rig, &INTEL_GPU)?;
        ensure!(text(&view, "mode")? != "unknown", "{view}");
        Ok(())
    })?;
    // The job was given up, so what it wanted is not wanted any more.
    expect_count(rig, &INTEL_GPU, 1)?;
    ask(rig, &format!("gpu partition {} --count 4", id_of(&INTEL_GPU)))?;
    expect_count(rig, &INTEL_GPU, 4)?;
    no_violation(rig)
}
