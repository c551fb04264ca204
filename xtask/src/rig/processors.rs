//! A fault of QEMU's emulation: a processor says that it is done with an interrupt, and that is lost. The
//! interrupt stays in service, so the processor gets no other one of its priority or below, its timer's
//! among them, and whatever waits there waits for ever. rig/README.md tells how that comes.
//!
//! It is known by what Linux never does, because handlers of interrupts do not sleep: the processor halts
//! while an interrupt is in service.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::qmp::Qmp;

/// Registers and interrupts are asked for one after the other, and the processor runs in between. One that
/// is stuck stays so, and is seen every time.
const LOOKS: u32 = 5;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Whether one of the machine's processors has an interrupt that never ends.
pub fn are_stuck(qmp: &mut Qmp) -> Result<bool> {
    let mut suspects = suspects(qmp)?;
    for _ in 1..LOOKS {
        if suspects.is_empty() {
            break;
        }
        sleep(BETWEEN_LOOKS);
        let now = self::suspects(qmp)?;
        suspects.retain(|suspect| now.contains(suspect));
    }
    Ok(!suspects.is_empty())
}

/// Processors that halt now with an interrupt in service, each with what is in service.
fn suspects(qmp: &mut Qmp) -> Result<Vec<(usize, String)>> {
    let registers = qmp.ask_monitor("info registers -a")?;
    let mut found = Vec::new();
    for number in halted(&registers) {
        let interrupts = qmp.ask_monitor(&format!("info lapic {number}"))?;
        let in_service = in_service(&interrupts).with_context(|| format!("no ISR in:\n{interrupts}"))?;
        if in_service != "(none)" {
            found.push((number, in_service.to_string()));
        }
    }
    Ok(found)
}

/// The numbers of those that halt: a block for each begins with `CPU#0` and has `HLT=1`.
fn halted(registers: &str) -> Vec<usize> {
    let blocks = registers.split("CPU#").skip(1);
    blocks
        .filter(|block| block.contains(" HLT=1"))
        .filter_map(|block| block.split_whitespace().next()?.parse().ok())
        .collect()
}

/// The line `ISR 236`, with all of them, or `ISR (none)`.
fn in_service(interrupts: &str) -> Option<&str> {
    interrupts.lines().find_map(|line| line.strip_prefix("ISR")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halted_processors_are_told_from_running_ones() {
        let registers = "\r\nCPU#0\r\nRAX=0000\r\nRIP=ffffffff81cd1e9f RFL=00000216 [----AP-] CPL=0 II=0 A20=1 \
                         SMM=0 HLT=1\r\n\r\nCPU#1\r\nRIP=0 SMM=0 HLT=0\r\n\r\nCPU#2\r\nSMM=0 HLT=1\r\n";
        assert_eq!(halted(registers), [0, 2]);
    }

    #[test]
    fn what_is_in_service_is_told_from_what_waits() {
        let lapic = |isr| format!("ESR\t 0x00000000 \r\nISR\t {isr}\r\nIRR\t 37 236 \r\n\r\nAPR 0x00\r\n");
        assert_eq!(in_service(&lapic("236 ")), Some("236"));
        assert_eq!(in_service(&lapic("(none)")), Some("(none)"));
        assert_eq!(in_service("dumping nothing"), None);
    }
}
