//! What Divvy sees of the server, before it changed anything.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{SETTINGS, SETTINGS_WITH_CONTROL, check, gpu_view, id_of, no_violation, wait_for_daemon};
use crate::rig::live::Rig;
use crate::rig::machine::{AMD_GPU, CONTROL_ADDRESS, INTEL_GPU, NVIDIA_GPU, RigGpu};
use crate::rig::product::{ask, text};

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    check("all GPUs are listed with what they are, and nothing else", || {
        let list = gpus(rig)?;
        ensure!(list.len() == 3, "it lists {list:?}");
        describes(rig, &AMD_GPU, "rigpf", "sriov", json!([1, 8]))?;
        describes(rig, &INTEL_GPU, "rigpf", "sriov", json!([1, 2, 4, 5, 8, 16]))?;
        describes(rig, &NVIDIA_GPU, "nvidia", "nvidia_mdev_pf", json!([1, 2, 4, 8, 16]))
    })?;
    check("a check of the untouched server finds no error", || no_violation(rig))?;
    check("the network adapter counts as a GPU when the settings name it", || {
        configure(rig, SETTINGS_WITH_CONTROL)?;
        let list = gpus(rig)?;
        ensure!(list.len() == 4, "it lists {list:?}");
        ensure!(list.iter().any(|gpu| gpu["pci_address"] == CONTROL_ADDRESS), "{list:?}");
        configure(rig, SETTINGS)?;
        ensure!(gpus(rig)?.len() == 3, "it stays when the settings do not name it");
        Ok(())
    })
}

/// Writes the settings and starts the daemon with them.
pub fn configure(rig: &Rig, settings: &str) -> Result<()> {
    rig.write(settings, "/etc/divvy/divvyd.toml")?;
    rig.expect("systemctl restart divvyd")?;
    wait_for_daemon(rig)
}

fn gpus(rig: &Rig) -> Result<Vec<Value>> {
    let list = ask(rig, "gpu list")?;
    list.as_array().cloned().context("gpu list is a list")
}

fn describes(rig: &Rig, gpu: &RigGpu, driver: &str, scheme: &str, counts: Value) -> Result<()> {
    let view = gpu_view(rig, gpu)?;
    let (vendor, model) = match gpu.vendor_id {
        0x1002 => ("AMD", "MI300X"),
        0x8086 => ("Intel", "Flex 170"),
        _ => ("NVIDIA", "T4"),
    };
    ensure!(text(&view, "id")? == id_of(gpu), "{view}");
    ensure!(text(&view, "vendor")?.contains(vendor), "{view}");
    ensure!(text(&view, "model")?.contains(model), "{view}");
    ensure!(text(&view, "pci_address")? == gpu.address, "{view}");
    ensure!(text(&view, "driver")? == driver, "{view}");
    ensure!(text(&view, "scheme")? == scheme, "{view}");
    ensure!(text(&view, "mode")? == "partitionable", "{view}");
    ensure!(view["valid_partition_counts"] == counts, "{view}");
    let digits: String = text(&view, "serial")?.chars().filter(char::is_ascii_hexdigit).collect();
    ensure!(digits == format!("{:016x}", gpu.serial), "{view}");
    Ok(())
}
