//! A GPU that is split by mediated devices on itself, through the kernel's own
//! mdev: made and removed by UUID, in VMs, beside a GPU of another kind, and a
//! mediated device that has nothing to do with GPUs.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::assign::{give, sees_own};
use super::boot::libvirt_waited;
use super::refuse::{close_group, open_group};
use super::vm::{ALPHA, BETA, STRANGER, Vm, until_free};
use super::{check, expect_count, id_of, no_violation};
use crate::rig::build::wait_for_line;
use crate::rig::domain::{mdev_xml, serial_path};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, NVIDIA_GPU};
use crate::rig::product::{LONG, SOON, ask, must_fail, refused, text, until};
use crate::rig::selftest::sysfs::{path, read, write, write_well};

const COUNT: u16 = 4;
/// The type of which the driver makes as many, and its memory as a VM reads it.
const TYPE: &str = "nvidia-232";
const QUOTA: &str = "quota 00001000";
/// Of the kernel's sample: serial ports that are no hardware.
const FOREIGN: &str = "7d0b1c52-3e94-4f6a-8a21-5be0c7f3d904";
const FOREIGN_IDS: &str = "4348:3253";
const FOREIGN_CREATE: &str = "/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1/create";

pub fn checks(rig: &mut Rig) -> Result<()> {
    for vm in [ALPHA, BETA] {
        vm.define(rig, "")?;
    }
    check("a GPU is split into mediated devices of one size", || split(rig))?;
    check("fewer mediated devices than asked for are a failure", || too_few(rig))?;
    check("a mediated device of something else is no partition", || foreign(rig))?;
    check("a count is not changed while a mediated partition is open", || open(rig))?;
    check("two VMs have partitions of two kinds at the same time", || two_kinds(rig))?;
    check("a VM does not start with a mediated partition of another", || stranger(rig))?;
    check("a running VM gives its mediated partition back, and it is made anew", || unplug(rig))?;
    check("a running VM gets a mediated partition", || plug(rig))?;
    check("mediated partitions that others took away come back", || taken_away(rig))?;
    check("a reboot brings both kinds back before VMs start", || reboot(rig))
}

/// The mediated devices on a device of the server, by the kernel's list.
pub fn children(rig: &Rig, address: &str) -> Result<Vec<String>> {
    let all = rig.expect(&format!("ls {}", path(address, "")))?;
    let is_uuid = |name: &&str| name.len() == 36 && name.matches('-').count() == 4;
    Ok(all.lines().filter(is_uuid).map(str::to_string).collect())
}

fn mdev(uuid: &str, file: &str) -> String {
    format!("/sys/bus/mdev/devices/{uuid}/{file}")
}

/// What the driver says that can be made, of the type that partitions have.
fn left(rig: &Rig) -> Result<String> {
    read(rig, NVIDIA_GPU.address, &format!("mdev_supported_types/{TYPE}/available_instances"))
}

fn split(rig: &Rig) -> Result<()> {
    let id = id_of(&NVIDIA_GPU);
    ensure!(left(rig)? == "4", "the driver is not as the test takes it to be");
    ask(rig, &format!("gpu partition {id} --count {COUNT}"))?;
    expect_count(rig, &NVIDIA_GPU, COUNT)?;
    for uuid in children(rig, NVIDIA_GPU.address)? {
        let kind = rig.expect(&format!("basename $(readlink {})", mdev(&uuid, "mdev_type")))?;
        ensure!(kind.trim() == TYPE, "{uuid} is of type {kind:?}");
    }
    ensure!(left(rig)? == "0", "the driver can make more");
    let list = ask(rig, "partition list")?;
    for one in list.as_array().context("partition list is a list")? {
        ensure!(one["memory_bytes"] == 4_u64 << 30 && text(one, "state")? == "free", "{one}");
    }
    no_violation(rig)
}

/// The driver runs out of room in the middle.
fn too_few(rig: &Rig) -> Result<()> {
    let room = path(NVIDIA_GPU.address, "room");
    write_well(rig, &room, "2")?;
    let id = id_of(&NVIDIA_GPU);
    refused(rig, &format!("gpu partition {id} --count 8"), 3, &["No space left on device"])?;
    write_well(rig, &room, "0")?;
    expect_count(rig, &NVIDIA_GPU, COUNT)
}

/// It is in a VM that Divvy does not manage, and open, and no change of a GPU
/// waits for it.
fn foreign(rig: &Rig) -> Result<()> {
    rig.expect("modprobe mtty")?;
    write_well(rig, FOREIGN_CREATE, FOREIGN)?;
    STRANGER.define(rig, &mdev_xml(FOREIGN))?;
    STRANGER.start(rig)?;
    rig.expect(&wait_for_line("PAYLOAD-READY", &serial_path(STRANGER.name)))?;
    rig.expect(&wait_for_line(FOREIGN_IDS, &serial_path(STRANGER.name)))?;
    for count in [2, COUNT] {
        ask(rig, &format!("gpu partition {} --count {count}", id_of(&NVIDIA_GPU)))?;
        expect_count(rig, &NVIDIA_GPU, count)?;
    }
    let list = ask(rig, "partition list")?;
    let states: Vec<_> = list.as_array().into_iter().flatten().map(|one| one["state"].clone()).collect();
    ensure!(states == ["free"; COUNT as usize], "{list}");
    let shown = ask(rig, "vm show stranger")?;
    ensure!(shown["assignment"].is_null() && shown["managed"] == false, "{shown}");
    no_violation(rig)?;
    STRANGER.destroy(rig)?;
    // Divvy did not make it, and does not remove it.
    rig.expect(&format!("test -d {}", mdev(FOREIGN, "")))?;
    Ok(())
}

fn two_kinds(rig: &Rig) -> Result<()> {
    ask(rig, &format!("gpu partition {} --count 8", id_of(&AMD_GPU)))?;
    until(SOON, "the VM can have a partition", || give(rig, &ALPHA, &NVIDIA_GPU))?;
    give(rig, &BETA, &AMD_GPU)?;
    rig.expect("virsh start alpha & other=$!; virsh start beta && wait $other")?;
    sees_its_mdev(rig, &ALPHA)?;
    sees_own(rig, &BETA, &AMD_GPU)?;
    let id = id_of(&NVIDIA_GPU);
    refused(rig, &format!("gpu partition {id} --count 2"), 1, &["partitions_assigned", "alpha"])?;
    expect_count(rig, &NVIDIA_GPU, COUNT)?;
    no_violation(rig)
}

/// The UUID in the VM's definition, which is one of the GPU's.
fn uuid_of(rig: &Rig, vm: &Vm) -> Result<String> {
    let hostdevs = vm.hostdevs(rig, "--inactive")?;
    ensure!(hostdevs.len() == 1 && hostdevs[0].contains("type='mdev'"), "{hostdevs:?}");
    let (_, rest) = hostdevs[0].split_once("<address uuid='").context("no UUID")?;
    let uuid = rest.split('\'').next().unwrap_or_default().to_string();
    ensure!(children(rig, NVIDIA_GPU.address)?.contains(&uuid), "{uuid} is not on the GPU");
    Ok(uuid)
}

/// From inside: the very one, and its memory. The end of the UUID is its number.
fn sees_its_mdev(rig: &Rig, vm: &Vm) -> Result<()> {
    let uuid = uuid_of(rig, vm)?;
    vm.sees_registers(rig, &NVIDIA_GPU, &[&format!("rig 56504752 vf {}", &uuid[32..]), QUOTA])
}

/// One that no VM has is held by a process: the kernel would wait for it inside
/// the write that removes it.
fn open(rig: &Rig) -> Result<()> {
    let id = id_of(&NVIDIA_GPU);
    let all = children(rig, NVIDIA_GPU.address)?;
    let held = all.last().context("there is none")?;
    let group = rig.expect(&format!("basename $(readlink {})", mdev(held, "iommu_group")))?;
    open_group(rig, group.trim())?;
    until(SOON, "one partition is in use by nobody that Divvy knows", || {
        let list = ask(rig, "partition list")?;
        let is_held =
            |one: &&Value| one["gpu"] == id.as_str() && one["state"] == "in_use" && one["vm"].is_null();
        ensure!(list.as_array().into_iter().flatten().filter(is_held).count() == 1, "{list}");
        Ok(())
    })?;
    refused(rig, &format!("gpu partition {id} --count 2"), 1, &["partitions_open", &id])?;
    close_group(rig)?;
    ensure!(children(rig, NVIDIA_GPU.address)? == all, "a refusal changed the GPU");
    // The kernel has a number for each answer that Divvy leans on.
    let create = path(NVIDIA_GPU.address, &format!("mdev_supported_types/{TYPE}/create"));
    for (uuid, errno) in [(held.as_str(), "EEXIST"), ("no-uuid", "EINVAL"), (FOREIGN, "EEXIST")] {
        let answer = write(rig, &create, uuid)?;
        ensure!(answer == Err(errno), "{uuid} gives {answer:?}");
    }
    expect_count(rig, &NVIDIA_GPU, COUNT)
}

fn stranger(rig: &Rig) -> Result<()> {
    let own = uuid_of(rig, &ALPHA)?;
    let all = children(rig, NVIDIA_GPU.address)?;
    let free = all.iter().find(|uuid| **uuid != own).context("all are taken")?;
    for (uuid, words) in [(&own, "belongs to VM alpha"), (free, "not assigned by Divvy")] {
        STRANGER.define(rig, &mdev_xml(uuid))?;
        let said = must_fail(rig, "virsh start stranger")?;
        // libvirt finds by itself that a running VM has it.
        let by_libvirt = *uuid == own && said.contains("is in use by driver QEMU");
        ensure!(said.contains(words) || by_libvirt, "virsh says {said}");
        ensure!(!STRANGER.is_running(rig)?, "it runs");
    }
    rig.expect("virsh undefine stranger")?;
    Ok(())
}

/// How many mediated devices the driver had made before this one.
fn made(rig: &Rig, uuid: &str) -> Result<u32> {
    let made = rig.expect(&format!("cat {}", mdev(uuid, "rig/made")))?;
    made.trim().parse().with_context(|| format!("{made:?} is no number"))
}

fn unplug(rig: &Rig) -> Result<()> {
    let uuid = uuid_of(rig, &ALPHA)?;
    let before = made(rig, &uuid)?;
    let (_, index) = ALPHA.assigned(rig)?.context("alpha has none")?;
    ask(rig, "unassign alpha")?;
    rig.expect(&wait_for_line("PAYLOAD-EJECT", &serial_path(ALPHA.name)))?;
    ALPHA.sees_number(rig, &NVIDIA_GPU, 0)?;
    for flag in ["", "--inactive"] {
        ensure!(ALPHA.hostdevs(rig, flag)?.is_empty(), "its definition {flag} still has the device");
    }
    until_free(rig, &id_of(&NVIDIA_GPU), index)?;
    let after = made(rig, &uuid)?;
    ensure!(after > before, "it is the one that alpha had: {before}, now {after}");
    expect_count(rig, &NVIDIA_GPU, COUNT)
}

fn plug(rig: &Rig) -> Result<()> {
    give(rig, &ALPHA, &NVIDIA_GPU)?;
    ensure!(ALPHA.is_running(rig)?, "alpha does not run any more");
    ALPHA.sees_number(rig, &NVIDIA_GPU, 1)?;
    ensure!(ALPHA.hostdevs(rig, "")?.len() == 1, "its live definition lacks the device");
    uuid_of(rig, &ALPHA)?;
    no_violation(rig)
}

/// One by its own file, all by their driver.
fn taken_away(rig: &Rig) -> Result<()> {
    let own = uuid_of(rig, &ALPHA)?;
    ALPHA.destroy(rig)?;
    let last = children(rig, NVIDIA_GPU.address)?;
    for uuid in last.iter().filter(|uuid| **uuid != own).take(1) {
        write_well(rig, &mdev(uuid, "remove"), "1")?;
    }
    expect_count(rig, &NVIDIA_GPU, COUNT)?;
    let driver = "/sys/bus/pci/drivers/nvidia";
    write_well(rig, &format!("{driver}/unbind"), NVIDIA_GPU.address)?;
    ensure!(children(rig, NVIDIA_GPU.address)?.is_empty(), "the driver left some");
    let said = must_fail(rig, "virsh start alpha")?;
    ensure!(said.contains("alpha"), "virsh says {said}");
    write_well(rig, &format!("{driver}/bind"), NVIDIA_GPU.address)?;
    expect_count(rig, &NVIDIA_GPU, COUNT)?;
    ensure!(children(rig, NVIDIA_GPU.address)? == last, "they have other UUIDs");
    until(LONG, "the VM starts", || ALPHA.start(rig))?;
    sees_its_mdev(rig, &ALPHA)
}

fn reboot(rig: &mut Rig) -> Result<()> {
    let (own, all) = (uuid_of(rig, &ALPHA)?, children(rig, NVIDIA_GPU.address)?);
    rig.expect("virsh autostart alpha && virsh autostart beta")?;
    rig.reboot()?;
    until(LONG, "the VMs that start by themselves run", || {
        ensure!(ALPHA.is_running(rig)? && BETA.is_running(rig)?, "not both");
        Ok(())
    })?;
    until(SOON, "Divvy sees them", || ask(rig, "vm show alpha"))?;
    ensure!(children(rig, NVIDIA_GPU.address)? == all, "there are others than before");
    ensure!(uuid_of(rig, &ALPHA)? == own, "alpha has another one");
    sees_its_mdev(rig, &ALPHA)?;
    sees_own(rig, &BETA, &AMD_GPU)?;
    expect_count(rig, &NVIDIA_GPU, COUNT)?;
    expect_count(rig, &AMD_GPU, 8)?;
    libvirt_waited(rig)?;
    no_violation(rig)
}
