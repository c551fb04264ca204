//! An administrator resets a GPU by the kernel's file: while nobody uses its partitions, and below a
//! running VM. The kernel makes the partitions again at once, with nothing set in them, and tells nobody.

use anyhow::{Context, Result, ensure};

use super::assign::sees_own;
use super::vm::{ACCEPT, BETA, partition_state, until_free};
use super::{check, expect_count, id_of, look_now, no_violation};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU, RigGpu};
use crate::rig::product::{LONG, SOON, ask, divvy, text, until};
use crate::rig::selftest::sriov::{bar_start, peek};
use crate::rig::selftest::sysfs::{path, vf_address, write_well};

const FOUND: &str = "partition_reset_in_use";
/// What a partition holds that was never reset.
const SECRET: u32 = 0x005e_c2e7;

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    check("a GPU that is reset while nobody uses it keeps its partitions and their VMs", || {
        reset_of_an_unused_gpu(rig)
    })?;
    check("a GPU that is reset below a running VM takes nothing from it that Divvy gave", || {
        reset_below_a_running_vm(rig)
    })?;
    check("a VM whose partition was reset has a working one when it is started anew", || {
        BETA.destroy(rig)?;
        BETA.start(rig)?;
        sees_own(rig, &BETA, &AMD_GPU)?;
        until(LONG, "the finding is gone", || {
            let found = found_in_use(rig)?;
            ensure!(found.is_empty(), "check still says {found:?}");
            Ok(())
        })?;
        no_violation(rig)
    })?;
    check("a partition that was reset below its VM goes back and out again", || back_and_out_again(rig))
}

fn reset(rig: &Rig, gpu: &RigGpu) -> Result<()> {
    write_well(rig, &path(gpu.address, "reset"), "1")?;
    look_now(rig, gpu)
}

/// One GPU without assignments, one with that of a VM that is off.
fn reset_of_an_unused_gpu(rig: &Rig) -> Result<()> {
    BETA.destroy(rig)?;
    let (_, index) = BETA.assigned(rig)?.context("beta has none")?;
    let vf = vf_address(rig, AMD_GPU.address, index)?;
    rig.expect(&format!("setpci -s {vf} COMMAND=2"))?;
    let vram = bar_start(rig, &vf, 2)?;
    rig.expect(&format!("busybox devmem {vram:#x} 32 {SECRET:#x}"))?;
    ensure!(peek(rig, vram)? == SECRET, "its memory keeps nothing");
    for (gpu, count) in [(INTEL_GPU, 4), (AMD_GPU, 8)] {
        reset(rig, &gpu)?;
        expect_count(rig, &gpu, count)?;
    }
    rig.expect(&format!("setpci -s {vf} COMMAND=2"))?;
    ensure!(peek(rig, vram)? == 0, "the reset of the GPU did not reach its partitions");
    let (state, vm) = partition_state(rig, &id_of(&AMD_GPU), index)?;
    ensure!(state == "assigned" && vm == BETA.name, "it is {state}, of {vm}");
    let (state, _) = partition_state(rig, &id_of(&INTEL_GPU), 0)?;
    ensure!(state == "free", "it is {state}");
    no_violation(rig)?;
    BETA.start(rig)?;
    sees_own(rig, &BETA, &AMD_GPU)
}

fn reset_below_a_running_vm(rig: &Rig) -> Result<()> {
    let had = BETA.assigned(rig)?.context("beta has none")?;
    reset(rig, &AMD_GPU)?;
    until(SOON, "the reset is told", || {
        let found = found_in_use(rig)?;
        ensure!(found == [format!("{}.{}", had.0, had.1)], "check says {found:?}");
        Ok(())
    })?;
    expect_count(rig, &AMD_GPU, 8)?;
    ensure!(BETA.is_running(rig)?, "beta does not run any more");
    ensure!(BETA.assigned(rig)?.as_ref() == Some(&had), "beta has another one");
    for flag in ["", "--inactive"] {
        let devices = BETA.hostdevs(rig, flag)?.len();
        ensure!(devices == 1, "its definition {flag} shows {devices} devices");
    }
    let (state, _) = partition_state(rig, &had.0, had.1)?;
    ensure!(state == "in_use", "it is {state}");
    no_violation(rig)
}

/// The partitions of which `check` says that they were reset while they are in use.
fn found_in_use(rig: &Rig) -> Result<Vec<String>> {
    let all = divvy(rig, "check")?.document;
    let of_code = all.as_array().into_iter().flatten().filter(|one| one["code"] == FOUND);
    of_code.map(|one| Ok(text(&one["subject"], "id")?.to_string())).collect()
}

/// Out of the running VM, reset, and into it again.
fn back_and_out_again(rig: &Rig) -> Result<()> {
    let (gpu, index) = BETA.assigned(rig)?.context("beta has none")?;
    reset(rig, &AMD_GPU)?;
    ask(rig, "unassign beta")?;
    BETA.sees_number(rig, &AMD_GPU, 0)?;
    until_free(rig, &gpu, index)?;
    ask(rig, &format!("assign beta --gpu {gpu} {ACCEPT}"))?;
    ensure!(BETA.assigned(rig)? == Some((gpu, index)), "beta has another one");
    BETA.sees_number(rig, &AMD_GPU, 1)?;
    no_violation(rig)
}
