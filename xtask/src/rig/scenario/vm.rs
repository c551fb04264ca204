//! The scenario's VMs: defined as virt-install would, running the payload, and
//! looked at from inside by their serial lines.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::rig::domain::serial_path;
use crate::rig::live::Rig;
use crate::rig::machine::RigGpu;
use crate::rig::product::{SOON, ask, text, until};

/// What has to be accepted for `BETA`: Debian is not on the list.
pub const ACCEPT: &str = "--accept guest_os_unsupported";

#[derive(Clone, Copy)]
pub struct Vm {
    pub name: &'static str,
    pub uuid: &'static str,
    /// The libosinfo id that virt-install would write.
    pub guest_os: &'static str,
}

const UBUNTU: &str = "http://ubuntu.com/ubuntu/22.04";
const DEBIAN: &str = "http://debian.org/debian/12";

pub const ALPHA: Vm = Vm { name: "alpha", uuid: "0d0f5c9e-6b1a-4c63-9c57-4a1f0a6e5a01", guest_os: UBUNTU };
pub const BETA: Vm = Vm { name: "beta", uuid: "1e7b2f44-93d0-4b5e-8a35-7c0e9d3b5b02", guest_os: DEBIAN };
/// Nobody gives this one a partition through Divvy.
pub const STRANGER: Vm =
    Vm { name: "stranger", uuid: "2a6c8d13-5f27-4e0b-b7a9-3d94c1f27c03", guest_os: UBUNTU };

impl Vm {
    /// The definition, with more elements of `<devices>`.
    pub fn xml(&self, more: &str) -> String {
        let ports = "    <controller type='pci' model='pcie-root-port'/>\n".repeat(4);
        format!(
            "<domain type='qemu'>
  <name>{}</name>
  <uuid>{}</uuid>
  <metadata>
    <libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>
      <libosinfo:os id='{}'/>
    </libosinfo:libosinfo>
  </metadata>
  <memory unit='MiB'>64</memory>
  <currentMemory unit='MiB'>64</currentMemory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>/usr/lib/rig/payload.elf</kernel>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <controller type='pci' model='pcie-root'/>
{ports}    <serial type='file'><source path='{}'/><target port='0'/></serial>
{more}  </devices>
</domain>
",
            self.name,
            self.uuid,
            self.guest_os,
            serial_path(self.name)
        )
    }

    pub fn define(&self, rig: &Rig, more: &str) -> Result<()> {
        let file = format!("/run/{}.xml", self.name);
        rig.write(&self.xml(more), &file)?;
        rig.expect(&format!("virsh define {file}"))?;
        Ok(())
    }

    pub fn start(&self, rig: &Rig) -> Result<()> {
        rig.expect(&format!("virsh start {}", self.name))?;
        Ok(())
    }

    pub fn destroy(&self, rig: &Rig) -> Result<()> {
        rig.expect(&format!("virsh destroy {}", self.name))?;
        Ok(())
    }

    pub fn is_running(&self, rig: &Rig) -> Result<bool> {
        let state = rig.expect(&format!("virsh domstate {}", self.name))?;
        Ok(state.trim() == "running")
    }

    /// What Divvy says that it has: the GPU's id and the index.
    pub fn assigned(&self, rig: &Rig) -> Result<Option<(String, u16)>> {
        let shown = ask(rig, &format!("vm show {}", self.name))?;
        let assignment = &shown["assignment"];
        if assignment.is_null() {
            return Ok(None);
        }
        let partition = text(assignment, "partition")?;
        let (gpu, index) = partition.rsplit_once('.').context("a partition's id has an index")?;
        Ok(Some((gpu.to_string(), index.parse()?)))
    }

    /// The functions of the rig's GPUs in the VM's last listing of its bus.
    pub fn functions(&self, rig: &Rig, gpus: &[RigGpu]) -> Result<Vec<String>> {
        let serial = rig.expect(&format!("cat {}", serial_path(self.name)))?;
        let last = match serial.rsplit_once("PAYLOAD-CHANGE-END") {
            Some((before, _)) => before.rsplit_once("PAYLOAD-CHANGE").map_or(before, |(_, listing)| listing),
            None => &serial,
        };
        ensure!(serial.contains("PAYLOAD-READY"), "{} is not up yet: {serial}", self.name);
        let is_gpu = |line: &&str| {
            gpus.iter()
                .any(|gpu| line.contains(&format!(" {:04x}:{:04x} class", gpu.vendor_id, gpu.vf_device_id)))
        };
        Ok(last.lines().filter(is_gpu).map(str::to_string).collect())
    }

    /// It is up and sees this VF of this GPU and no other; what firmware has
    /// given addresses tells its number.
    pub fn sees(&self, rig: &Rig, gpu: &RigGpu, index: u16) -> Result<()> {
        let promise = format!("{} sees VF {index} of {}", self.name, gpu.address);
        let number = format!("rig 56504752 vf {index:04x}");
        until(SOON, &promise, || {
            let functions = self.functions(rig, &crate::rig::machine::GPUS)?;
            ensure!(functions.len() == 1, "it sees {functions:?}");
            ensure!(functions[0].contains(&number), "it sees {functions:?}");
            Ok(())
        })?;
        Ok(())
    }

    /// It is up and sees so many functions of that GPU, and none of another.
    pub fn sees_number(&self, rig: &Rig, gpu: &RigGpu, number: usize) -> Result<()> {
        let promise = format!("{} sees {number} functions of {}", self.name, gpu.address);
        until(SOON, &promise, || {
            let functions = self.functions(rig, &crate::rig::machine::GPUS)?;
            let own = self.functions(rig, std::slice::from_ref(gpu))?;
            ensure!(functions.len() == number && own.len() == number, "it sees {functions:?}");
            Ok(())
        })?;
        Ok(())
    }
}

/// The state of a partition, and whose it is.
pub fn partition_state(rig: &Rig, gpu: &str, index: u16) -> Result<(String, Value)> {
    let all = ask(rig, "partition list")?;
    let id = format!("{gpu}.{index}");
    let found = all.as_array().into_iter().flatten().find(|one| one["id"] == id.as_str());
    let found = found.with_context(|| format!("no partition {id} in {all}"))?;
    Ok((text(found, "state")?.to_string(), found["vm_name"].clone()))
}
