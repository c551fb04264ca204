//! libvirt restarts, dies, and is not there.

use anyhow::{Context, Result, ensure};

use super::vm::{ACCEPT, ALPHA, BETA};
use super::{check, expect_count, id_of, no_violation};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU};
use crate::rig::product::{LONG, ask, divvy, refused, until};

const UNITS: &str = "libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket";

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    check("assigning works after libvirt restarted", || {
        rig.expect("systemctl restart libvirtd")?;
        assign_and_back(rig)
    })?;
    check("assigning works after libvirt died", || {
        rig.expect("kill -KILL $(systemctl show libvirtd --property MainPID --value)")?;
        assign_and_back(rig)
    })?;
    check("without libvirt GPUs are listed and split, and nothing is assigned", || {
        rig.expect(&format!("systemctl mask --now {UNITS}"))?;
        until(LONG, "it is told that libvirt is not there", || {
            let answer = divvy(rig, "check")?;
            let told = answer.document.to_string();
            ensure!(told.contains("hypervisor_unavailable"), "check says {told}");
            Ok(())
        })?;
        ask(rig, &format!("gpu partition {} --count 2", id_of(&INTEL_GPU)))?;
        expect_count(rig, &INTEL_GPU, 2)?;
        refused(rig, &format!("assign alpha {ACCEPT}"), 1, &["hypervisor_unavailable"])
    })?;
    check("a daemon that starts without libvirt is ready", || {
        rig.expect("systemctl restart divvyd")?;
        ask(rig, &format!("gpu partition {} --count 4", id_of(&INTEL_GPU)))?;
        expect_count(rig, &INTEL_GPU, 4)
    })?;
    check("libvirt that comes back is found, with its VMs", || {
        rig.expect(&format!("systemctl unmask {UNITS} && systemctl start libvirtd"))?;
        assign_and_back(rig)?;
        ensure!(BETA.assigned(rig)?.is_some(), "beta lost its partition");
        BETA.sees_number(rig, &AMD_GPU, 1)?;
        no_violation(rig)
    })
}

fn assign_and_back(rig: &Rig) -> Result<()> {
    until(LONG, "libvirt is found again", || ask(rig, &format!("assign alpha {ACCEPT}")))?;
    ALPHA.assigned(rig)?.context("alpha has none")?;
    ask(rig, "unassign alpha")?;
    Ok(())
}
