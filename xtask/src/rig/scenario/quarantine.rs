//! The kernel cannot reset a partition any more after its VM gave it up: it goes to nobody, over restarts
//! of the daemon too, until it was proved clean or made anew.

use anyhow::{Context, Result, ensure};

use super::vm::{ACCEPT, ALPHA, partition_state};
use super::{check, expect_count, gpu_view, id_of, kill_daemon, look_now, no_violation};
use crate::rig::live::Rig;
use crate::rig::machine::INTEL_GPU;
use crate::rig::product::{SOON, ask, divvy, refused, until};
use crate::rig::selftest::sysfs::{path, read, vf_address, write_well};

/// What the kernel answers to a reset when no way to do it works.
const REASON: &str = "no way to reset it works now";

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    let gpu = id_of(&INTEL_GPU);
    ask(rig, &format!("gpu partition {gpu} --count 1"))?;
    let cure = format!("partition cure {gpu}.0");
    check("a partition that cannot be reset is not given out", || not_given_without_a_reset(rig))?;
    check("a partition whose reset fails is quarantined, and its VM goes on without it", || {
        reset_fails_after_release(rig)?;
        is_kept_back(rig)
    })?;
    check("a partition in quarantine stays there over a restart of the daemon", || {
        kill_daemon(rig)?;
        is_kept_back(rig)
    })?;
    check("a cure fails while the reset does, and says what else there is", || {
        refused(rig, &cure, 3, &[REASON, "--remake-siblings"])?;
        is_kept_back(rig)
    })?;
    check("a cure works when the reset does, and a VM gets the partition", || {
        allow_reset(rig, "default")?;
        ask(rig, &cure)?;
        goes_out_again(rig)
    })?;
    check("a cure that makes partitions anew works where no reset does", || {
        reset_fails_after_release(rig)?;
        ask(rig, &format!("{cure} --remake-siblings"))?;
        goes_out_again(rig)?;
        ask(rig, "unassign alpha")?;
        ensure!(state(rig)? == "free", "it is {}", state(rig)?);
        no_violation(rig)
    })
}

/// The kernel tries the ways in this file, one after the other.
fn allow_reset(rig: &Rig, ways: &str) -> Result<()> {
    let vf = vf_address(rig, INTEL_GPU.address, 0)?;
    write_well(rig, &path(&vf, "reset_method"), ways)?;
    let found = read(rig, &vf, "reset_method")?;
    ensure!(found.is_empty() == ways.trim().is_empty(), "{vf} is reset by {found:?}");
    Ok(())
}

fn state(rig: &Rig) -> Result<String> {
    Ok(partition_state(rig, &id_of(&INTEL_GPU), 0)?.0)
}

fn assign_alpha() -> String {
    format!("assign alpha --gpu {} {ACCEPT}", id_of(&INTEL_GPU))
}

/// Somebody took the ways to reset it away while it was free.
fn not_given_without_a_reset(rig: &Rig) -> Result<()> {
    for (ways, is_fit) in [("\n", false), ("default", true)] {
        allow_reset(rig, ways)?;
        look_now(rig, &INTEL_GPU)?;
        until(SOON, "it is seen whether it can be reset", || {
            let found = divvy(rig, "check")?.document.to_string();
            ensure!(found.contains("no_reset") != is_fit, "check says {found}");
            if is_fit {
                return Ok(());
            }
            refused(rig, &assign_alpha(), 1, &["no_free_partition", "somebody took all ways"])
        })?;
    }
    ensure!(state(rig)? == "free", "it is {}", state(rig)?);
    Ok(())
}

/// Alpha runs with the partition and gives it back, and no reset works meanwhile.
fn reset_fails_after_release(rig: &Rig) -> Result<()> {
    if ALPHA.assigned(rig)?.is_none() {
        ask(rig, &assign_alpha())?;
    }
    ALPHA.sees_number(rig, &INTEL_GPU, 1)?;
    allow_reset(rig, "\n")?;
    refused(rig, "unassign alpha", 3, &[REASON, "quarantine"])?;
    ensure!(ALPHA.is_running(rig)?, "alpha does not run any more");
    ALPHA.sees_number(rig, &INTEL_GPU, 0)
}

/// No VM has it, and none gets it; `check` says so and why.
fn is_kept_back(rig: &Rig) -> Result<()> {
    ensure!(state(rig)? == "quarantined", "it is {}", state(rig)?);
    let view = gpu_view(rig, &INTEL_GPU)?;
    ensure!(view["partition_count"] == 1 && view["free_partitions"] == 0, "{view}");
    let found = divvy(rig, "check")?.document.to_string();
    for code in ["partition_quarantined", "no_reset"] {
        ensure!(found.contains(code), "check does not say {code}, but {found}");
    }
    refused(rig, &assign_alpha(), 1, &["no_free_partition"])
}

fn goes_out_again(rig: &Rig) -> Result<()> {
    ensure!(state(rig)? == "free", "it is {}", state(rig)?);
    expect_count(rig, &INTEL_GPU, 1)?;
    ask(rig, &assign_alpha())?;
    let (of, _) = ALPHA.assigned(rig)?.context("alpha has none")?;
    ensure!(of == id_of(&INTEL_GPU), "it got one of {of}");
    ALPHA.sees_number(rig, &INTEL_GPU, 1)
}
