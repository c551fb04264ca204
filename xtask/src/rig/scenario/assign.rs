//! Two VMs get a partition each and see it.

use anyhow::{Context, Result, ensure};

use super::vm::{ACCEPT, ALPHA, BETA, Vm};
use super::{check, id_of, no_violation};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU, RigGpu};
use crate::rig::product::{SOON, ask, refused, text, until};

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    check("VMs that libvirt knows are VMs that Divvy knows", || {
        for vm in [ALPHA, BETA] {
            vm.define(rig, "")?;
            until(SOON, "Divvy sees the VM", || {
                let shown = ask(rig, &format!("vm show {}", vm.name))?;
                ensure!(text(&shown, "id")? == vm.identity.uuid, "{shown}");
                ensure!(text(&shown, "guest_os")? == vm.identity.guest_os, "{shown}");
                Ok(())
            })?;
        }
        Ok(())
    })?;
    check("what an administrator should know has to be accepted", || {
        refused(rig, "assign beta", 1, &["not_accepted", "guest_os_unsupported"])
    })?;
    check("a VM gets a partition of the GPU that was asked for", || {
        give(rig, &ALPHA, &AMD_GPU)?;
        give(rig, &BETA, &INTEL_GPU)
    })?;
    check("each VM starts and sees its own function alone", || {
        for (vm, gpu) in [(ALPHA, AMD_GPU), (BETA, INTEL_GPU)] {
            vm.start(rig)?;
            sees_own(rig, &vm, &gpu)?;
        }
        Ok(())
    })?;
    check("VMs with partitions leave nothing to be mended", || no_violation(rig))
}

pub fn give(rig: &Rig, vm: &Vm, gpu: &RigGpu) -> Result<()> {
    ask(rig, &format!("assign {} --gpu {} {ACCEPT}", vm.name, id_of(gpu)))?;
    let (of, _) = vm.assigned(rig)?.context("it has no partition")?;
    ensure!(of == id_of(gpu), "it has one of {of}");
    Ok(())
}

/// It runs with the function that Divvy says.
pub fn sees_own(rig: &Rig, vm: &Vm, gpu: &RigGpu) -> Result<()> {
    let (of, index) = vm.assigned(rig)?.context("it has no partition")?;
    ensure!(of == id_of(gpu), "it has one of {of}");
    vm.sees(rig, gpu, index)
}
