//! A driver that is loaded anew below a running VM, and a partition that goes
//! away alone.

use anyhow::{Context, Result, ensure};

use super::vm::{ACCEPT, ALPHA, BETA};
use super::{check, expect_count, gpu_view, id_of, no_violation};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU};
use crate::rig::product::{LONG, SOON, ask, divvy, text, until};
use crate::rig::selftest::sysfs::{path, write_well};

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    check("a driver that is loaded anew gives a running VM its partition again", || reload(rig))?;
    check("a partition that is gone alone stops its GPU, and no other", || alone(rig))?;
    check("what was lost leaves nothing to be mended", || no_violation(rig))
}

/// The driver takes all partitions along, in use or not: the kernel asks the VM
/// for its own.
fn reload(rig: &Rig) -> Result<()> {
    let (_, index) = BETA.assigned(rig)?.context("beta has none")?;
    let driver = "/sys/bus/pci/drivers/rigpf";
    write_well(rig, &format!("{driver}/unbind"), AMD_GPU.address)?;
    BETA.sees_number(rig, &AMD_GPU, 0)?;
    until(LONG, "the GPU without driver is told", || {
        let view = gpu_view(rig, &AMD_GPU)?;
        ensure!(view["driver"].is_null() && view["partition_count"] == 0, "{view}");
        Ok(())
    })?;
    let again = BETA.assigned(rig)?.context("beta lost its partition for good")?;
    ensure!(again == (id_of(&AMD_GPU), index), "beta has {again:?}");
    write_well(rig, &format!("{driver}/bind"), AMD_GPU.address)?;
    expect_count(rig, &AMD_GPU, 8)?;
    until(LONG, "beta has its partition", || {
        for flag in ["", "--inactive"] {
            let devices = BETA.hostdevs(rig, flag)?.len();
            ensure!(devices == 1, "its definition {flag} shows {devices} devices");
        }
        BETA.sees_number(rig, &AMD_GPU, 1)
    })?;
    Ok(())
}

/// The GPU says four and shows three.
fn alone(rig: &Rig) -> Result<()> {
    write_well(rig, &path(INTEL_GPU.address, "lose"), "2")?;
    until(SOON, "the contradiction is told", || {
        let view = gpu_view(rig, &INTEL_GPU)?;
        ensure!(text(&view, "mode")? == "unknown", "{view}");
        let found = divvy(rig, "check")?.document.to_string();
        ensure!(found.contains("count_contradiction"), "check says {found}");
        Ok(())
    })?;
    let answer = divvy(rig, &format!("assign alpha --gpu {} {ACCEPT}", id_of(&INTEL_GPU)))?;
    ensure!(answer.status == 1, "a partition of it was given: {} {}", answer.document, answer.told);
    ask(rig, &format!("assign alpha {ACCEPT}"))?;
    let (of, _) = ALPHA.assigned(rig)?.context("alpha has none")?;
    ensure!(of == id_of(&AMD_GPU), "it got one of {of}");
    ask(rig, "unassign alpha")?;
    // What an administrator does about it.
    write_well(rig, &path(INTEL_GPU.address, "sriov_numvfs"), "0")?;
    expect_count(rig, &INTEL_GPU, 4)
}
