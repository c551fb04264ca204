//! What Divvy refuses on real hardware, and that nothing changes by it.

use anyhow::{Context, Result, ensure};

use super::vm::{ACCEPT, ALPHA, STRANGER, partition_state};
use super::{check, expect_count, id_of};
use crate::rig::domain::hostdev_xml;
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU};
use crate::rig::product::{SOON, ask, must_fail, refused, until};
use crate::rig::selftest::sysfs::vf_address;

/// The last partition, which Divvy would give out last.
const HELD: u16 = 3;

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    let (amd, intel) = (id_of(&AMD_GPU), id_of(&INTEL_GPU));
    check("a count that is not valid is refused with those that are", || {
        refused(rig, &format!("gpu partition {intel} --count 3"), 1, &["count_not_valid", "16"])
    })?;
    check("a count is not changed while a partition is assigned", || {
        refused(rig, &format!("gpu partition {amd} --count 1"), 1, &["partitions_assigned", "alpha"])?;
        expect_count(rig, &AMD_GPU, 8)
    })?;
    check("a VM does not get a second partition", || {
        refused(rig, &format!("assign alpha {ACCEPT}"), 1, &["vm_has_partition"])
    })?;
    check("a partition that a process holds is in use and not given out", || held_by_a_process(rig))?;
    check("a VM with a device that Divvy did not give it is refused by the hook", || stranger(rig))
}

/// A group that somebody opened by hand, as a QEMU without libvirt does.
fn held_by_a_process(rig: &Rig) -> Result<()> {
    let intel = id_of(&INTEL_GPU);
    ask(rig, "unassign beta")?;
    let vf = vf_address(rig, INTEL_GPU.address, HELD)?;
    let device = format!("/sys/bus/pci/devices/{vf}");
    rig.expect(&format!(
        "echo vfio-pci > {device}/driver_override && echo {vf} > /sys/bus/pci/drivers_probe"
    ))?;
    let group = rig.expect(&format!("basename $(readlink {device}/iommu_group)"))?;
    open_group(rig, group.trim())?;
    let held = || -> Result<()> {
        refused(
            rig,
            &format!("gpu partition {intel} --count 2"),
            1,
            &["partitions_open", &format!("{intel}.{HELD}")],
        )
    };
    until(SOON, "the partition is in use", || {
        let (state, _) = partition_state(rig, &intel, HELD)?;
        ensure!(state == "in_use", "it is {state}");
        Ok(())
    })?;
    held()?;
    close_group(rig)?;
    super::assign::give(rig, &super::vm::BETA, &INTEL_GPU)?;
    expect_count(rig, &INTEL_GPU, 4)
}

/// Opens a group by hand until `close_group`.
pub fn open_group(rig: &Rig, group: &str) -> Result<()> {
    rig.expect(&format!(
        "(exec 3<> /dev/vfio/{group}; echo $BASHPID > /run/holder; exec sleep 900) > /dev/null 2>&1 & \
         for i in $(seq 100); do [ -s /run/holder ] && exit 0; sleep 0.1; done; exit 1"
    ))?;
    // Opening a group makes no event: it is seen at the next look at the latest.
    rig.expect("systemctl restart divvyd")?;
    Ok(())
}

pub fn close_group(rig: &Rig) -> Result<()> {
    rig.expect("kill $(cat /run/holder) && rm /run/holder")?;
    Ok(())
}

fn stranger(rig: &Rig) -> Result<()> {
    let (_, index) = ALPHA.assigned(rig)?.context("alpha has none")?;
    for (other, words) in [(index, "belongs to VM alpha"), (7, "not assigned by Divvy")] {
        let vf = vf_address(rig, AMD_GPU.address, other)?;
        STRANGER.define(rig, &hostdev_xml(&vf))?;
        let said = must_fail(rig, "virsh start stranger")?;
        // libvirt finds by itself that a running VM has it.
        let by_libvirt = other == index && said.contains("is in use by driver QEMU");
        ensure!(said.contains(words) || by_libvirt, "virsh says {said}");
        ensure!(!STRANGER.is_running(rig)?, "it runs");
    }
    rig.expect("virsh undefine stranger")?;
    Ok(())
}
