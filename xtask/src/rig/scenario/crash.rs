//! The daemon dies at any moment; systemd brings it back, and it goes on.

use anyhow::{Context, Result, ensure};

use super::vm::{ACCEPT, ALPHA, BETA};
use super::{check, expect_count, id_of, kill_daemon, no_violation};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU};
use crate::rig::product::{LONG, ask, divvy, until};
use crate::rig::selftest::sysfs::{path, write_well};

/// Moments after a request at which the daemon dies, in milliseconds. Setting a
/// count takes three times `DELAY_MS`, less when it comes from zero.
const MOMENTS_MS: [u64; 4] = [0, 600, 1800, 3500];
const DELAY_MS: &str = "1500";

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    check("partitioning goes on after the daemon died in the middle", || {
        write_well(rig, &path(INTEL_GPU.address, "delay_ms"), DELAY_MS)?;
        for (moment, count) in MOMENTS_MS.into_iter().zip([2, 8, 4, 5]) {
            let command = format!("gpu partition {} --count {count}", id_of(&INTEL_GPU));
            die_after(rig, &command, moment)?;
            expect_count(rig, &INTEL_GPU, count)?;
        }
        write_well(rig, &path(INTEL_GPU.address, "delay_ms"), "0")
    })?;
    check("assigning goes on after the daemon died in the middle", || {
        for moment in [0, 200, 500] {
            die_after(rig, &format!("assign alpha {ACCEPT}"), moment)?;
            assigned_and_live(rig, "alpha")?;
            die_after(rig, "unassign alpha", moment)?;
            until(LONG, "alpha has no partition, and all but beta's are free", || {
                ensure!(ALPHA.assigned(rig)?.is_none(), "it is still assigned");
                let list = ask(rig, "partition list")?;
                let taken: Vec<_> =
                    list.as_array().into_iter().flatten().filter(|one| one["state"] != "free").collect();
                ensure!(taken.len() == 1, "{taken:?}");
                Ok(())
            })?;
        }
        Ok(())
    })?;
    check("a running VM does not notice that the daemon died", || {
        kill_daemon(rig)?;
        let (_, index) = BETA.assigned(rig)?.context("beta has none")?;
        ensure!(BETA.is_running(rig)?, "beta does not run any more");
        ensure!(index == 0, "beta has partition {index}");
        BETA.sees_number(rig, &AMD_GPU, 1)
    })?;
    check("a daemon that died leaves nothing to be mended", || {
        expect_count(rig, &AMD_GPU, 8)?;
        no_violation(rig)
    })
}

/// Asks for a change, kills the daemon soon after, and waits until it is back.
/// What was not acknowledged may be forgotten, and is asked for again.
fn die_after(rig: &Rig, command: &str, moment_ms: u64) -> Result<()> {
    let asked = divvy(rig, &format!("{command} --no-wait"))?;
    ensure!(asked.status == 0, "{command}: {}", asked.told);
    rig.expect(&format!("sleep {}.{:03}", moment_ms / 1000, moment_ms % 1000))?;
    kill_daemon(rig)
}

/// The VM runs and libvirt has put the device into it, once.
fn assigned_and_live(rig: &Rig, vm: &str) -> Result<()> {
    until(LONG, &format!("{vm} has its partition"), || {
        for flag in ["", "--inactive"] {
            let xml = rig.expect(&format!("virsh dumpxml {vm} {flag}"))?;
            let devices = xml.matches("<hostdev").count();
            ensure!(devices == 1, "dumpxml {flag} shows {devices} devices");
        }
        Ok(())
    })?;
    ensure!(ALPHA.assigned(rig)?.is_some(), "{vm} has no assignment");
    Ok(())
}
