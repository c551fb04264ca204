//! After a restart of the server everything is back before the first VM starts,
//! also when the GPUs changed places.

use anyhow::{Context, Result, ensure};

use super::assign::{give, sees_own};
use super::vm::{ALPHA, BETA, STRANGER};
use super::{check, expect_count, gpu_view, id_of, no_violation, wait_for_daemon};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU};
use crate::rig::product::{LONG, SOON, ask, must_fail, text, until};
use crate::rig::selftest::sysfs::{path, write_well};

pub fn checks(rig: &mut Rig) -> Result<()> {
    check("a VM whose partition is gone does not start until it is back", || gone(rig))?;
    check("an orderly reboot brings partitions back before VMs start", || {
        rig.expect("virsh autostart alpha")?;
        rig.reboot()?;
        restored(rig)
    })?;
    check("a power cut brings partitions back before VMs start", || {
        rig.expect("sync")?;
        rig.power_cut()?;
        restored(rig)
    })?;
    check("assignments follow GPUs that changed places", || {
        rig.expect("sync")?;
        rig.power_cut_swapping_gpus()?;
        swapped(rig)
    })
}

/// Both VMs off, one partition each, and the GPU refuses to be split.
fn gone(rig: &Rig) -> Result<()> {
    for vm in [ALPHA, BETA] {
        vm.destroy(rig)?;
    }
    ask(rig, "unassign beta")?;
    // The first partition goes to another VM, so that the second one of the
    // Intel GPU and the first one of the AMD GPU meet when the GPUs are swapped.
    STRANGER.define(rig, "")?;
    until(SOON, "the VM can have a partition", || give(rig, &STRANGER, &INTEL_GPU))?;
    give(rig, &ALPHA, &INTEL_GPU)?;
    give(rig, &BETA, &AMD_GPU)?;
    rig.expect("systemctl stop divvyd")?;
    let said = must_fail(rig, "virsh start alpha")?;
    ensure!(said.contains("divvyd"), "virsh says {said}");
    write_well(rig, &path(INTEL_GPU.address, "sriov_numvfs"), "0")?;
    write_well(rig, &path(INTEL_GPU.address, "fail"), "5")?;
    rig.expect("systemctl start divvyd")?;
    let said = must_fail(rig, "virsh start alpha")?;
    ensure!(said.contains("is gone"), "virsh says {said}");
    write_well(rig, &path(INTEL_GPU.address, "fail"), "0")?;
    expect_count(rig, &INTEL_GPU, 4)?;
    until(LONG, "the VM starts", || ALPHA.start(rig))?;
    sees_own(rig, &ALPHA, &INTEL_GPU)
}

/// The VM that starts by itself runs with its partition, the other one starts
/// at once, and libvirt waited for Divvy.
fn restored(rig: &Rig) -> Result<()> {
    until(LONG, "the VM that starts by itself runs", || {
        ensure!(ALPHA.is_running(rig)?, "alpha does not run");
        Ok(())
    })?;
    until(SOON, "Divvy sees it", || ask(rig, "vm show alpha"))?;
    sees_own(rig, &ALPHA, &INTEL_GPU)?;
    BETA.start(rig)?;
    sees_own(rig, &BETA, &AMD_GPU)?;
    expect_count(rig, &INTEL_GPU, 4)?;
    expect_count(rig, &AMD_GPU, 8)?;
    libvirt_waited(rig)?;
    no_violation(rig)
}

/// libvirt started when Divvy was ready, not before.
pub fn libvirt_waited(rig: &Rig) -> Result<()> {
    let ready = moment(rig, "divvyd", "ActiveEnterTimestampMonotonic")?;
    let libvirt = moment(rig, "libvirtd", "ExecMainStartTimestampMonotonic")?;
    ensure!(ready <= libvirt, "libvirt started {} us before", ready.saturating_sub(libvirt));
    println!("   divvyd ready {:.1} s after the kernel", ready as f64 / 1e6);
    Ok(())
}

/// Microseconds after the kernel's start.
fn moment(rig: &Rig, unit: &str, property: &str) -> Result<u64> {
    let told = rig.expect(&format!("systemctl show {unit} --property {property} --value"))?;
    told.trim().parse().with_context(|| format!("{property} of {unit} is {told:?}"))
}

fn swapped(rig: &Rig) -> Result<()> {
    wait_for_daemon(rig)?;
    for (gpu, now_at) in [(AMD_GPU, INTEL_GPU.address), (INTEL_GPU, AMD_GPU.address)] {
        let view = gpu_view(rig, &gpu)?;
        ensure!(text(&view, "id")? == id_of(&gpu), "{view}");
        ensure!(text(&view, "pci_address")? == now_at, "{view}");
    }
    until(LONG, "the VM that starts by itself runs", || {
        // libvirt read its definition before Divvy could give it the new address.
        if !ALPHA.is_running(rig)? {
            ALPHA.start(rig)?;
        }
        Ok(())
    })?;
    for (vm, gpu) in [(ALPHA, INTEL_GPU), (BETA, AMD_GPU)] {
        until(LONG, "the VM runs", || if vm.is_running(rig)? { Ok(()) } else { vm.start(rig) })?;
        sees_own(rig, &vm, &gpu)?;
    }
    no_violation(rig)
}
