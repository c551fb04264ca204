//! A VM that libvirt starts sees the VF that it was given and no other, and
//! gives it back when it is unplugged or ends.

use anyhow::{Context, Result, ensure};

use super::check;
use super::sysfs::{VfCount, driver_of, set_vf_count, vf_address};
use crate::rig::build::wait_for_line;
use crate::rig::domain::{Identity, domain_xml, hostdev_xml, serial_path};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, INTEL_GPU, RigGpu};

const VM: &str = "selftest";

pub fn checks(rig: &Rig) -> Result<()> {
    check("a VM sees the function that it was given", || start(rig))?;
    check("a VF that a VM uses is refused to another", || refuse(rig))?;
    check("a running VM notices a VF that is plugged in", || plug(rig))?;
    check("a running VM gives a VF back that is unplugged", || unplug(rig))?;
    check("a VF has no driver after its VM has ended", || end(rig))
}

fn start(rig: &Rig) -> Result<()> {
    set_vf_count(rig, AMD_GPU.address, VfCount(4))?;
    let vf = vf_address(rig, AMD_GPU.address, 2)?;
    rig.write(&vm_with(VM, &vf), "/run/vm.xml")?;
    rig.expect("virsh define /run/vm.xml")?;
    rig.expect(&format!("virsh start {VM}"))?;
    rig.expect(&wait_for_line("PAYLOAD-READY", &serial_path(VM)))?;
    let serial = serial_of(rig)?;
    let functions: Vec<&str> = serial.lines().filter(|line| line.contains(" rig ")).collect();
    ensure!(functions.len() == 1, "it sees {functions:?}");
    ensure!(functions[0].contains(&rig_function(&AMD_GPU, 2)), "it sees {functions:?}");
    Ok(())
}

fn vm_with(name: &str, vf: &str) -> String {
    domain_xml(name, Identity::default(), &hostdev_xml(vf))
}

fn refuse(rig: &Rig) -> Result<()> {
    let vf = vf_address(rig, AMD_GPU.address, 2)?;
    rig.write(&vm_with("second", &vf), "/run/second.xml")?;
    let answer = rig.run("virsh create /run/second.xml")?;
    ensure!(!answer.is_success(), "a second VM took the VF");
    ensure!(answer.text.contains("is in use by driver QEMU"), "it was refused oddly: {}", answer.text);
    Ok(())
}

fn plug(rig: &Rig) -> Result<()> {
    set_vf_count(rig, INTEL_GPU.address, VfCount(6))?;
    let vf = vf_address(rig, INTEL_GPU.address, 5)?;
    rig.write(&hostdev_xml(&vf), "/run/hostdev.xml")?;
    rig.expect(&format!("virsh attach-device {VM} /run/hostdev.xml --live"))?;
    rig.expect(&wait_for_line("PAYLOAD-CHANGE-END", &serial_path(VM)))?;
    let serial = serial_of(rig)?;
    let ids = format!("{:04x}:{:04x}", INTEL_GPU.vendor_id, INTEL_GPU.vf_device_id);
    let (_, after) = serial.split_once("PAYLOAD-CHANGE").context("the change was seen before")?;
    ensure!(after.contains(&ids), "no {ids} in:\n{after}");
    Ok(())
}

fn unplug(rig: &Rig) -> Result<()> {
    rig.expect(&format!("virsh detach-device {VM} /run/hostdev.xml --live"))?;
    rig.expect(&wait_for_line("PAYLOAD-EJECT", &serial_path(VM)))?;
    // libvirt answers before the VM does; its definition tells the end.
    rig.expect(&format!(
        "for i in $(seq 300); do [ $(virsh dumpxml {VM} | grep -c '<hostdev') = 1 ] && exit 0; \
         sleep 0.1; done; virsh dumpxml {VM}; exit 1"
    ))?;
    let vf = vf_address(rig, INTEL_GPU.address, 5)?;
    wait_until_driverless(rig, &vf)
}

fn end(rig: &Rig) -> Result<()> {
    let vf = vf_address(rig, AMD_GPU.address, 2)?;
    let driver = driver_of(rig, &vf)?;
    ensure!(driver == "vfio-pci", "{vf} is driven by {driver:?} in use");
    rig.expect(&format!("virsh destroy {VM}"))?;
    wait_until_driverless(rig, &vf)?;
    rig.expect(&format!("virsh undefine {VM}"))?;
    set_vf_count(rig, AMD_GPU.address, VfCount(0))
}

fn wait_until_driverless(rig: &Rig, vf: &str) -> Result<()> {
    rig.expect(&format!(
        "for i in $(seq 300); do [ ! -e /sys/bus/pci/devices/{vf}/driver ] && exit 0; \
         sleep 0.1; done; readlink /sys/bus/pci/devices/{vf}/driver; exit 1"
    ))
    .map(drop)
}

fn serial_of(rig: &Rig) -> Result<String> {
    rig.expect(&format!("cat {}", serial_path(VM)))
}

/// What the payload prints of a VF whose registers it can read: ids, class,
/// the magic of a VF, the VF's number.
fn rig_function(gpu: &RigGpu, number: u16) -> String {
    format!(
        "{:04x}:{:04x} class {:06x} sub {:04x}:{:04x} rig 56504752 vf {number:04x}",
        gpu.vendor_id, gpu.vf_device_id, gpu.class, gpu.vendor_id, gpu.device_id
    )
}
