//! What happens by other hands is seen soon. How soon is told, not judged.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::list::configure;
use super::vm::ALPHA;
use super::{SETTINGS, SETTINGS_WITH_CONTROL, check, expect_count, gpu_view, id_of, no_violation};
use crate::rig::live::Rig;
use crate::rig::machine::{CONTROL_ADDRESS, INTEL_GPU};
use crate::rig::product::{LONG, ask, text, until};

pub fn checks(rig: &mut Rig) -> Result<()> {
    let rig = &*rig;
    check("a VM that virsh stops and starts is seen", || {
        let before = last_event(rig)?;
        rig.expect("virsh destroy alpha")?;
        tell("stop of a VM", seen(rig, before, "vm_power", "off")?);
        let before = last_event(rig)?;
        ALPHA.start(rig)?;
        tell("start of a VM", seen(rig, before, "vm_power", "running")?);
        Ok(())
    })?;
    check("partitions that somebody else makes are seen", || {
        configure(rig, SETTINGS_WITH_CONTROL)?;
        let before = last_event(rig)?;
        let file = format!("/sys/bus/pci/devices/{CONTROL_ADDRESS}/sriov_numvfs");
        rig.expect(&format!("echo 2 > {file}"))?;
        tell("count by hand", seen(rig, before, "count_changed", "has 2 partitions")?);
        let before = last_event(rig)?;
        rig.expect(&format!("echo 0 > {file}"))?;
        tell("count to zero by hand", seen(rig, before, "count_changed", "has 0 partitions")?);
        configure(rig, SETTINGS)
    })?;
    check("a GPU that goes away and comes back is seen, and split again", || {
        let before = last_event(rig)?;
        rig.expect(&format!("echo 1 > /sys/bus/pci/devices/{}/remove", INTEL_GPU.address))?;
        tell("removal of a GPU", seen(rig, before, "gpu_disappeared", &id_of(&INTEL_GPU))?);
        let before = last_event(rig)?;
        rig.expect("echo 1 > /sys/bus/pci/rescan")?;
        tell("return of a GPU", seen(rig, before, "gpu_appeared", &id_of(&INTEL_GPU))?);
        expect_count(rig, &INTEL_GPU, 4)
    })?;
    check("a GPU that lost its driver says so, and gets its partitions back", || {
        let driver = "/sys/bus/pci/drivers/rigpf";
        rig.expect(&format!("echo {} > {driver}/unbind", INTEL_GPU.address))?;
        until(LONG, "the GPU without driver is told", || {
            let view = gpu_view(rig, &INTEL_GPU)?;
            ensure!(view["driver"].is_null() && view["partition_count"] == 0, "{view}");
            Ok(())
        })?;
        rig.expect(&format!("echo {} > {driver}/bind", INTEL_GPU.address))?;
        expect_count(rig, &INTEL_GPU, 4)
    })?;
    check("what others did leaves nothing to be mended", || no_violation(rig))
}

fn last_event(rig: &Rig) -> Result<u64> {
    let events = ask(rig, "events --limit 1")?;
    Ok(events[0]["number"].as_u64().unwrap_or(0))
}

/// Waits for an event with this code and these words; by the event's own time,
/// because asking takes time as well.
fn seen(rig: &Rig, after: u64, code: &str, words: &str) -> Result<Duration> {
    let (_, time) = until(LONG, &format!("{code} is told"), || {
        let events = ask(rig, &format!("events --after {after}"))?;
        let found =
            events.as_array().into_iter().flatten().any(|event| {
                event["code"] == code && text(event, "text").is_ok_and(|text| text.contains(words))
            });
        ensure!(found, "events since then: {events}");
        Ok(())
    })?;
    Ok(time)
}

fn tell(what: &str, time: Duration) {
    println!("   {what}: seen {:.1} s after it was done", time.as_secs_f64());
}
