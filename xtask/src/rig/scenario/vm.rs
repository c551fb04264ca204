//! The scenario's VMs: defined as virt-install would, running the payload, and
//! looked at from inside by their serial lines.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::rig::domain::{Identity, domain_xml, serial_path};
use crate::rig::live::Rig;
use crate::rig::machine::{ALL_GPUS, RigGpu};
use crate::rig::product::{LONG, SOON, ask, text, until};

/// What has to be accepted for `BETA`: Debian is not on the list.
pub const ACCEPT: &str = "--accept guest_os_unsupported";

#[derive(Clone, Copy)]
pub struct Vm {
    pub name: &'static str,
    pub identity: Identity,
}

const UBUNTU: &str = "http://ubuntu.com/ubuntu/22.04";
const DEBIAN: &str = "http://debian.org/debian/12";

pub const ALPHA: Vm = vm("alpha", "0d0f5c9e-6b1a-4c63-9c57-4a1f0a6e5a01", UBUNTU);
pub const BETA: Vm = vm("beta", "1e7b2f44-93d0-4b5e-8a35-7c0e9d3b5b02", DEBIAN);
/// Nobody gives this one a partition through Divvy.
pub const STRANGER: Vm = vm("stranger", "2a6c8d13-5f27-4e0b-b7a9-3d94c1f27c03", UBUNTU);

const fn vm(name: &'static str, uuid: &'static str, guest_os: &'static str) -> Vm {
    Vm { name, identity: Identity { uuid, guest_os } }
}

impl Vm {
    /// Defines it with more elements among its devices.
    pub fn define(&self, rig: &Rig, more: &str) -> Result<()> {
        let file = format!("/run/{}.xml", self.name);
        rig.write(&domain_xml(self.name, self.identity, more), &file)?;
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

    /// The lines of its definition that are devices of the server, live or as it
    /// starts the next time.
    pub fn hostdevs(&self, rig: &Rig, flag: &str) -> Result<Vec<String>> {
        let xml = rig.expect(&format!("virsh dumpxml {} {flag}", self.name))?;
        let hostdevs = xml.split("<hostdev").skip(1);
        Ok(hostdevs.filter_map(|rest| rest.split("</hostdev>").next()).map(str::to_string).collect())
    }

    /// The functions of the rig's GPUs in the VM's last listing of its bus.
    pub fn functions(&self, rig: &Rig, gpus: &[RigGpu]) -> Result<Vec<String>> {
        let serial = rig.expect(&format!("cat {}", serial_path(self.name)))?;
        let last = match serial.rsplit_once("PAYLOAD-CHANGE-END") {
            Some((before, _)) => before.rsplit_once("PAYLOAD-CHANGE").map_or(before, |(_, listing)| listing),
            None => &serial,
        };
        ensure!(serial.contains("PAYLOAD-READY"), "{} is not up yet: {serial}", self.name);
        let is_of = |line: &str, gpu: &RigGpu| {
            let ids = [gpu.device_id, gpu.vf_device_id];
            ids.iter().any(|id| line.contains(&format!(" {:04x}:{id:04x} class", gpu.vendor_id)))
        };
        let is_gpu = |line: &&str| gpus.iter().any(|gpu| is_of(line, gpu));
        Ok(last.lines().filter(is_gpu).map(str::to_string).collect())
    }

    /// It is up and sees this VF of this GPU and no other; what firmware has
    /// given addresses tells its number.
    pub fn sees(&self, rig: &Rig, gpu: &RigGpu, index: u16) -> Result<()> {
        self.sees_registers(rig, gpu, &[&format!("rig 56504752 vf {index:04x}")])
    }

    /// It is up and sees one function of this GPU, whose registers tell this,
    /// and no other.
    pub fn sees_registers(&self, rig: &Rig, gpu: &RigGpu, registers: &[&str]) -> Result<()> {
        let promise = format!("{} sees {registers:?} of {}", self.name, gpu.address);
        until(SOON, &promise, || {
            let functions = self.functions(rig, &ALL_GPUS)?;
            ensure!(functions.len() == 1, "it sees {functions:?}");
            let own = self.functions(rig, std::slice::from_ref(gpu))?;
            ensure!(own.len() == 1, "it sees {functions:?}");
            ensure!(registers.iter().all(|text| own[0].contains(text)), "it sees {functions:?}");
            Ok(())
        })?;
        Ok(())
    }

    /// It is up and sees so many functions of that GPU, and none of another.
    pub fn sees_number(&self, rig: &Rig, gpu: &RigGpu, number: usize) -> Result<()> {
        let promise = format!("{} sees {number} functions of {}", self.name, gpu.address);
        until(SOON, &promise, || {
            let functions = self.functions(rig, &ALL_GPUS)?;
            let own = self.functions(rig, std::slice::from_ref(gpu))?;
            ensure!(functions.len() == number && own.len() == number, "it sees {functions:?}");
            Ok(())
        })?;
        Ok(())
    }
}

/// Waits until a partition that was given up has proved to be clean.
pub fn until_free(rig: &Rig, gpu: &str, index: u16) -> Result<()> {
    until(LONG, &format!("partition {gpu}.{index} is free"), || {
        let (state, _) = partition_state(rig, gpu, index)?;
        ensure!(state == "free", "it is {state}");
        Ok(())
    })?;
    Ok(())
}

/// The state of a partition, and whose it is.
pub fn partition_state(rig: &Rig, gpu: &str, index: u16) -> Result<(String, Value)> {
    let all = ask(rig, "partition list")?;
    let id = format!("{gpu}.{index}");
    let found = all.as_array().into_iter().flatten().find(|one| one["id"] == id.as_str());
    let found = found.with_context(|| format!("no partition {id} in {all}"))?;
    Ok((text(found, "state")?.to_string(), found["vm_name"].clone()))
}
