//! VMs that take turns with one GPU of a pool: libvirt is told to start them,
//! Divvy picks the GPU and starts them with it, and has it back when they are off.

use anyhow::{Result, ensure};

use super::vm::{ACCEPT, ALPHA, BETA, Vm};
use super::{check, gpu_view, id_of, no_violation, wait_for_daemon};
use crate::rig::live::Rig;
use crate::rig::machine::AMD_GPU;
use crate::rig::product::{LONG, SOON, ask, must_fail, refused, text, until};
use crate::rig::selftest::sysfs::driver_of;

/// What a physical function's registers tell.
const WHOLE: &str = "rig 55504752 vf ffff";
const DRIVER: &str = "rigpf";

pub fn checks(rig: &mut Rig) -> Result<()> {
    for vm in [ALPHA, BETA] {
        vm.define(rig, "")?;
    }
    check("two VMs are promised the one GPU of a pool, and none has it", || promise(rig))?;
    check("a start that libvirt is told of is refused, and Divvy starts the VM with the GPU", || {
        start(rig, &ALPHA)
    })?;
    check("the other VM is told who has the GPU", || {
        let said = must_fail(rig, "virsh start beta")?;
        ensure!(said.contains("no_free_gpu") && said.contains("alpha"), "virsh says {said}");
        Ok(())
    })?;
    check("a VM that is reset keeps its GPU", || {
        rig.expect("virsh reset alpha")?;
        ALPHA.sees_registers(rig, &AMD_GPU, &[WHOLE])?;
        ensure!(state(rig, &ALPHA)? == "assigned", "it lost it");
        Ok(())
    })?;
    check("a VM that is off gives the GPU back to its driver, and the other one gets it", || {
        off(rig, &ALPHA)?;
        start(rig, &BETA)?;
        off(rig, &BETA)
    })?;
    check("a daemon that is killed while a start is owed gives it when it is back", || {
        end_starting(rig, "kill -KILL $(systemctl show divvyd --property MainPID --value)")?;
        off(rig, &ALPHA)
    })?;
    check("a start that is owed comes to its end although divvyd is restarted", || {
        end_starting(rig, "systemctl restart divvyd")
    })?;
    check("after a reboot a VM that starts by itself has its GPU", || reboot(rig))
}

fn state(rig: &Rig, vm: &Vm) -> Result<String> {
    let shown = ask(rig, &format!("vm show {}", vm.name))?;
    Ok(text(&shown["assignment"], "state")?.to_string())
}

fn promise(rig: &Rig) -> Result<()> {
    until(SOON, "Divvy sees the VMs", || ask(rig, "vm show beta"))?;
    ask(rig, &format!("pool create turns {}", id_of(&AMD_GPU)))?;
    for vm in [ALPHA, BETA] {
        ask(rig, &format!("dda assign {} --pool turns --at-start {ACCEPT}", vm.name))?;
        ensure!(state(rig, &vm)? == "waiting_for_start", "{} has it already", vm.name);
        ensure!(vm.hostdevs(rig, "--inactive")?.is_empty(), "its definition has something");
    }
    let driver = driver_of(rig, AMD_GPU.address)?;
    ensure!(driver == DRIVER, "it is driven by {driver:?}");
    refused(rig, "pool remove turns", 1, &["pool_claimed", "divvy dda unassign alpha"])
}

fn start(rig: &Rig, vm: &Vm) -> Result<()> {
    let said = must_fail(rig, &format!("virsh start {}", vm.name))?;
    ensure!(said.contains("start_follows"), "virsh says {said}");
    runs_with_it(rig, vm)
}

fn runs_with_it(rig: &Rig, vm: &Vm) -> Result<()> {
    until(LONG, "Divvy has started it", || {
        ensure!(vm.is_running(rig)?, "{} does not run", vm.name);
        let state = state(rig, vm)?;
        ensure!(state == "assigned", "it is {state}");
        Ok(())
    })?;
    vm.sees_registers(rig, &AMD_GPU, &[WHOLE])?;
    no_violation(rig)
}

fn off(rig: &Rig, vm: &Vm) -> Result<()> {
    vm.destroy(rig)?;
    until(LONG, "the GPU is back", || {
        let driver = driver_of(rig, AMD_GPU.address)?;
        ensure!(driver == DRIVER, "it is driven by {driver:?}");
        let view = gpu_view(rig, &AMD_GPU)?;
        ensure!(text(&view, "reason")?.contains("kept for VMs by pool turns"), "{view}");
        Ok(())
    })?;
    ensure!(state(rig, vm)? == "waiting_for_start", "its claim is gone");
    ensure!(vm.hostdevs(rig, "--inactive")?.is_empty(), "its definition has the GPU still");
    ensure!(!vm.is_running(rig)?, "it was started again");
    Ok(())
}

/// divvyd ends as soon as the hook was answered. It or the next one gives the start, while the hook is answered.
fn end_starting(rig: &Rig, end: &str) -> Result<()> {
    let said = must_fail(rig, &format!("virsh start alpha; failed=$?; {end}; exit $failed"))?;
    ensure!(said.contains("start_follows"), "virsh says {said}");
    wait_for_daemon(rig)?;
    runs_with_it(rig, &ALPHA)
}

fn reboot(rig: &mut Rig) -> Result<()> {
    rig.expect("virsh autostart alpha")?;
    rig.reboot()?;
    wait_for_daemon(rig)?;
    runs_with_it(rig, &ALPHA)?;
    rig.expect("virsh autostart --disable alpha")?;
    off(rig, &ALPHA)
}
