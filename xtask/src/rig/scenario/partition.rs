//! Splitting GPUs, as the kernel sees it.

use anyhow::{Result, ensure};

use super::{check, expect_count, id_of, no_violation};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU, RigGpu};
use crate::rig::product::ask;

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    check("the Intel GPU is split into 4, without the server's drivers", || split(rig, &INTEL_GPU, 4))?;
    check("the AMD GPU is split into 8, without the server's drivers", || split(rig, &AMD_GPU, 8))?;
    check("asking for what is so already is done and changes nothing", || {
        ask(rig, &format!("gpu partition {} --count 8", id_of(&AMD_GPU)))?;
        expect_count(rig, &AMD_GPU, 8)
    })?;
    check("split GPUs leave nothing to be mended", || no_violation(rig))
}

fn split(rig: &Rig, gpu: &RigGpu, count: u16) -> Result<()> {
    ask(rig, &format!("gpu partition {} --count {count}", id_of(gpu)))?;
    expect_count(rig, gpu, count)?;
    let file = format!("/sys/bus/pci/devices/{}/sriov_drivers_autoprobe", gpu.address);
    let autoprobe = rig.expect(&format!("cat {file}"))?;
    ensure!(autoprobe.trim() == "0", "autoprobe is {autoprobe:?}");
    Ok(())
}
