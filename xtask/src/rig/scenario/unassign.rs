//! A partition goes from one running VM to another and takes nothing along.

use anyhow::{Context, Result, ensure};

use super::vm::{ACCEPT, ALPHA, BETA, until_free};
use super::{check, id_of, no_violation};
use crate::rig::build::wait_for_line;
use crate::rig::domain::serial_path;
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU};
use crate::rig::product::{ask, refused};
use crate::rig::selftest::sriov::{bar_start, peek};
use crate::rig::selftest::sysfs::vf_address;

/// What the last VM leaves in the memory of its partition.
const SECRET: u32 = 0x005e_c2e7;
const RESETS: u64 = 0x8;
const SCRATCH: u64 = 0x100;

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    let (_, index) = ALPHA.assigned(rig)?.context("alpha has none")?;
    let vf = vf_address(rig, AMD_GPU.address, index)?;
    let (registers, vram) = (bar_start(rig, &vf, 0)?, bar_start(rig, &vf, 2)?);
    let mut resets = 0;
    check("a running VM gives its partition back when asked", || {
        for place in [registers + SCRATCH, vram] {
            rig.expect(&format!("busybox devmem {place:#x} 32 {SECRET:#x}"))?;
            ensure!(peek(rig, place)? == SECRET, "{place:#x} keeps nothing");
        }
        resets = peek(rig, registers + RESETS)?;
        ask(rig, "unassign alpha")?;
        rig.expect(&wait_for_line("PAYLOAD-EJECT", &serial_path(ALPHA.name)))?;
        ensure!(ALPHA.assigned(rig)?.is_none(), "it is still assigned");
        ensure!(ALPHA.is_running(rig)?, "alpha does not run any more");
        let xml = rig.expect("virsh dumpxml alpha; virsh dumpxml alpha --inactive")?;
        ensure!(!xml.contains("<hostdev"), "its definition still has the device");
        ALPHA.sees_number(rig, &AMD_GPU, 0)
    })?;
    check("a partition that came back is free, reset and empty", || {
        until_free(rig, &id_of(&AMD_GPU), index)?;
        // VFIO puts what nobody uses to sleep; awake, its memory can be read.
        rig.expect(&format!("setpci -s {vf} COMMAND=2"))?;
        let after = peek(rig, registers + RESETS)?;
        ensure!(after > resets, "{resets} resets became {after}");
        for place in [registers + SCRATCH, vram] {
            ensure!(peek(rig, place)? == 0, "{place:#x} keeps a secret");
        }
        Ok(())
    })?;
    check("another VM gets the same partition while it runs, and sees it", || {
        ask(rig, "unassign beta")?;
        until_free(rig, &id_of(&INTEL_GPU), 0)?;
        ask(rig, &format!("assign beta --gpu {} {ACCEPT}", id_of(&AMD_GPU)))?;
        let (of, again) = BETA.assigned(rig)?.context("beta has none")?;
        ensure!((of, again) == (id_of(&AMD_GPU), index), "it got partition {again}");
        BETA.sees_number(rig, &AMD_GPU, 1)
    })?;
    check("what is not assigned cannot be taken back", || {
        refused(rig, "unassign alpha", 1, &["vm_has_no_partition"])
    })?;
    check("moving a partition leaves nothing to be mended", || no_violation(rig))
}
