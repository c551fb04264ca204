//! A GPU that is given whole: taken from its driver, seen by the VM as the
//! hardware that it is, kept from everybody else, and brought back.

use anyhow::{Result, ensure};

use super::boot::libvirt_waited;
use super::vm::{ACCEPT, ALPHA, BETA, STRANGER, Vm};
use super::{check, expect_count, gpu_view, id_of, kill_daemon, no_violation};
use crate::rig::build::wait_for_line;
use crate::rig::domain::{hostdev_xml, serial_path};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU};
use crate::rig::product::{LONG, SOON, ask, divvy, must_fail, refused, text, until};
use crate::rig::selftest::sriov::{bar_start, peek};
use crate::rig::selftest::sysfs::{driver_of, path, read, write_well};

/// What a physical function's registers tell.
const WHOLE: &str = "rig 55504752 vf ffff";
const DRIVER: &str = "rigpf";
const SECRET: u32 = 0x005e_c2e7;
const RESETS: u64 = 0x8;
/// How long the GPU's driver takes to let it go, when the daemon dies meanwhile.
const DELAY_MS: &str = "5000";
/// The daemon's processes: a write that may hang has its own.
const PROCESSES: &str = "cat /sys/fs/cgroup/system.slice/divvyd.service/cgroup.procs";

pub fn checks(rig: &mut Rig) -> Result<()> {
    for vm in [ALPHA, BETA] {
        vm.define(rig, "")?;
    }
    check("a GPU that is partitioned is not given whole", || partitioned(rig))?;
    check("a VM gets a whole GPU, taken from its driver, and sees it", || give_to_alpha(rig))?;
    check("a GPU that is given whole is nobody else's, and not partitioned", || exclusive(rig))?;
    check("a reboot gives the GPU again before its VM starts", || reboot(rig))?;
    check("a running VM gives the GPU back, and its driver has it, empty", || back(rig))?;
    check("a GPU that was given whole is partitioned again", || {
        ask(rig, &format!("gpu partition {} --count 8", id_of(&AMD_GPU)))?;
        expect_count(rig, &AMD_GPU, 8)?;
        ask(rig, &format!("gpu partition {} --off", id_of(&AMD_GPU)))?;
        Ok(())
    })?;
    check("a running VM gets a whole GPU", || plug(rig))?;
    check("a GPU goes to a running VM though the daemon dies between two drivers", || die_giving(rig))?;
    check("a GPU comes back though its driver is away and the daemon dies", || die_returning(rig))
}

fn dda(vm: &Vm) -> String {
    format!("dda assign {} --gpu {} {ACCEPT}", vm.name, id_of(&AMD_GPU))
}

fn partitioned(rig: &Rig) -> Result<()> {
    let id = id_of(&AMD_GPU);
    ask(rig, &format!("gpu partition {id} --count 8"))?;
    until(SOON, "Divvy sees the VM", || ask(rig, "vm show alpha"))?;
    refused(rig, &dda(&ALPHA), 1, &["gpu_partitioned", &format!("gpu partition {id} --off")])?;
    ensure!(driver_of(rig, AMD_GPU.address)? == DRIVER, "it lost its driver");
    ask(rig, &format!("gpu partition {id} --off"))?;
    expect_count(rig, &AMD_GPU, 0)
}

fn give_to_alpha(rig: &Rig) -> Result<()> {
    ask(rig, &dda(&ALPHA))?;
    is_given(rig, &ALPHA)?;
    ALPHA.start(rig)?;
    ALPHA.sees_registers(rig, &AMD_GPU, &[WHOLE])?;
    no_violation(rig)
}

/// By Divvy's word, by the kernel's links, and by the VM's definition.
fn is_given(rig: &Rig, vm: &Vm) -> Result<()> {
    let view = gpu_view(rig, &AMD_GPU)?;
    ensure!(text(&view, "mode")? == "dda", "{view}");
    let shown = ask(rig, &format!("vm show {}", vm.name))?;
    let assignment = &shown["assignment"];
    ensure!(assignment["kind"] == "dda" && assignment["gpu"] == id_of(&AMD_GPU).as_str(), "{shown}");
    ensure!(assignment["partition"].is_null(), "{shown}");
    let driver = driver_of(rig, AMD_GPU.address)?;
    ensure!(driver == "vfio-pci", "it is driven by {driver:?}");
    let kept_for = read(rig, AMD_GPU.address, "driver_override")?;
    ensure!(kept_for == "vfio-pci", "it is kept for {kept_for:?}");
    let hostdevs = vm.hostdevs(rig, "--inactive")?;
    ensure!(hostdevs.len() == 1 && hostdevs[0].contains("bus='0x01'"), "{hostdevs:?}");
    Ok(())
}

fn is_back(rig: &Rig) -> Result<()> {
    until(LONG, "the GPU is back", || {
        let driver = driver_of(rig, AMD_GPU.address)?;
        ensure!(driver == DRIVER, "it is driven by {driver:?}");
        let kept_for = read(rig, AMD_GPU.address, "driver_override")?;
        ensure!(kept_for == "(null)", "it is kept for {kept_for:?}");
        let view = gpu_view(rig, &AMD_GPU)?;
        ensure!(text(&view, "mode")? == "partitionable", "{view}");
        Ok(())
    })?;
    Ok(())
}

fn exclusive(rig: &Rig) -> Result<()> {
    let id = id_of(&AMD_GPU);
    refused(rig, &format!("gpu partition {id} --count 8"), 1, &["gpu_used_whole", "alpha"])?;
    refused(rig, &dda(&BETA), 1, &["gpu_used_whole"])?;
    refused(rig, &format!("assign beta --gpu {id} {ACCEPT}"), 1, &[])?;
    refused(rig, &format!("assign alpha {ACCEPT}"), 1, &["vm_has_whole_gpu"])?;
    STRANGER.define(rig, &hostdev_xml(AMD_GPU.address))?;
    let said = must_fail(rig, "virsh start stranger")?;
    let by_libvirt = said.contains("is in use by driver QEMU");
    ensure!(by_libvirt || said.contains("belongs to VM alpha"), "virsh says {said}");
    rig.expect("virsh undefine stranger")?;
    ALPHA.sees_registers(rig, &AMD_GPU, &[WHOLE])
}

fn reboot(rig: &mut Rig) -> Result<()> {
    rig.expect("virsh autostart alpha")?;
    rig.reboot()?;
    until(LONG, "the VM that starts by itself runs", || {
        ensure!(ALPHA.is_running(rig)?, "alpha does not run");
        Ok(())
    })?;
    until(SOON, "Divvy sees it", || is_given(rig, &ALPHA))?;
    ALPHA.sees_registers(rig, &AMD_GPU, &[WHOLE])?;
    libvirt_waited(rig)?;
    no_violation(rig)
}

fn back(rig: &Rig) -> Result<()> {
    let (registers, vram) = (bar_start(rig, AMD_GPU.address, 0)?, bar_start(rig, AMD_GPU.address, 2)?);
    rig.expect(&format!("busybox devmem {vram:#x} 32 {SECRET:#x}"))?;
    ensure!(peek(rig, vram)? == SECRET, "its memory keeps nothing");
    let before = peek(rig, registers + RESETS)?;
    ask(rig, "dda unassign alpha")?;
    rig.expect(&wait_for_line("PAYLOAD-EJECT", &serial_path(ALPHA.name)))?;
    ensure!(ALPHA.is_running(rig)?, "alpha does not run any more");
    ALPHA.sees_number(rig, &AMD_GPU, 0)?;
    is_back(rig)?;
    let after = peek(rig, registers + RESETS)?;
    ensure!(after > before, "{before} resets became {after}");
    ensure!(peek(rig, vram)? == 0, "its memory keeps a secret");
    for flag in ["", "--inactive"] {
        ensure!(ALPHA.hostdevs(rig, flag)?.is_empty(), "its definition {flag} still has the GPU");
    }
    no_violation(rig)
}

fn plug(rig: &Rig) -> Result<()> {
    BETA.start(rig)?;
    rig.expect(&wait_for_line("PAYLOAD-READY", &serial_path(BETA.name)))?;
    ask(rig, &dda(&BETA))?;
    is_given(rig, &BETA)?;
    BETA.sees_number(rig, &AMD_GPU, 1)?;
    ensure!(BETA.hostdevs(rig, "")?.len() == 1, "its live definition lacks the GPU");
    // The GPU beside it is split as ever.
    ask(rig, &format!("gpu partition {} --count 4", id_of(&INTEL_GPU)))?;
    expect_count(rig, &INTEL_GPU, 4)?;
    ask(rig, "dda unassign beta")?;
    BETA.sees_number(rig, &AMD_GPU, 0)?;
    is_back(rig)
}

/// The daemon dies while the old driver lets the GPU go: the kernel ends that,
/// and nobody gives the GPU the next one.
fn die_giving(rig: &Rig) -> Result<()> {
    write_well(rig, &path(AMD_GPU.address, "delay_ms"), DELAY_MS)?;
    rig.expect("systemctl mask --runtime divvyd")?;
    ask_on(rig, &dda(&ALPHA))?;
    until(SOON, "the driver lets the GPU go", || {
        rig.expect(&format!("for p in $({PROCESSES}); do cat /proc/$p/stack; done | grep rigpf_remove"))
    })?;
    rig.expect("kill -KILL $(systemctl show divvyd --property MainPID --value)")?;
    until(SOON, "all of the daemon is dead", || {
        let left = rig.run(PROCESSES)?;
        ensure!(!left.is_success() || left.text.trim().is_empty(), "{} are left", left.text);
        Ok(())
    })?;
    between(rig, "(null)")?;
    rig.expect("systemctl unmask --runtime divvyd; systemctl reset-failed divvyd; systemctl start divvyd")?;
    until(LONG, "the GPU is in the VM", || is_given(rig, &ALPHA))?;
    ALPHA.sees_number(rig, &AMD_GPU, 1)?;
    no_violation(rig)
}

/// Its driver is not there to take the GPU back, and the daemon dies meanwhile.
fn die_returning(rig: &Rig) -> Result<()> {
    rig.expect(&format!("rmmod {DRIVER}"))?;
    ask_on(rig, "dda unassign alpha")?;
    until(LONG, "the GPU waits for its driver", || between(rig, DRIVER))?;
    kill_daemon(rig)?;
    between(rig, DRIVER)?;
    let id = id_of(&AMD_GPU);
    for command in [format!("gpu partition {id} --count 8"), dda(&BETA)] {
        refused(rig, &command, 1, &["gpu_used_whole", "wait until it is back"])?;
    }
    rig.expect(&format!("modprobe {DRIVER}"))?;
    is_back(rig)?;
    ALPHA.sees_number(rig, &AMD_GPU, 0)?;
    let view = ask(rig, "vm show alpha")?;
    ensure!(view["assignment"].is_null(), "{view}");
    // The same driver had the GPU beside it, which was split.
    expect_count(rig, &INTEL_GPU, 4)?;
    no_violation(rig)
}

/// No driver has it, and the next one that may is this.
fn between(rig: &Rig, kept_for: &str) -> Result<()> {
    let driver = driver_of(rig, AMD_GPU.address)?;
    ensure!(driver.is_empty(), "it is driven by {driver:?}");
    let found = read(rig, AMD_GPU.address, "driver_override")?;
    ensure!(found == kept_for, "it is kept for {found:?}");
    Ok(())
}

/// Asks and does not wait until it is done.
fn ask_on(rig: &Rig, command: &str) -> Result<()> {
    let asked = divvy(rig, &format!("{command} --no-wait"))?;
    ensure!(asked.status == 0, "{command}: {}", asked.told);
    Ok(())
}
