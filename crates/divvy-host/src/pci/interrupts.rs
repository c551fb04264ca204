//! Whether a device lost what the kernel had set in it. Who resets a GPU takes from its partitions, too,
//! all that was set in them, also from those in use; the kernel gives the GPU its number of partitions
//! again and tells nobody. What shows it: interrupts that the kernel has for a device that has them off.
//! Interrupts that are written to memory (MSI, MSI-X) are meant, which is what every driver of a GPU uses.

use std::time::Duration;

use divvy_core::pci_address::PciAddress;

use crate::attribute::{AttributeError, bytes_within, optional};
use crate::paths;
use crate::sysfs::Sysfs;

pub fn are_lost(sys: &dyn Sysfs, address: PciAddress, deadline: Duration) -> Result<bool, AttributeError> {
    let before = numbers(sys, address)?;
    if before.is_empty() {
        return Ok(false);
    }
    let config = bytes_within(sys, &paths::config(address), deadline)?;
    // A driver may have given them back between the two looks.
    Ok(are_on(&config) == Some(false) && numbers(sys, address)? == before)
}

/// The interrupts that the kernel has for it. The folder comes with the first of them.
fn numbers(sys: &dyn Sysfs, address: PciAddress) -> Result<Vec<String>, AttributeError> {
    let path = paths::attribute(address, "msi_irqs");
    let names = sys.list(&path).map_err(|cause| AttributeError::unreadable(&path, cause));
    Ok(optional(names)?.unwrap_or_default())
}

// include/uapi/linux/pci_regs.h
const FIRST_CAPABILITY: usize = 0x34;
const MSI: u8 = 0x05;
const MSI_ENABLE: u16 = 0x0001;
const MSIX: u8 = 0x11;
const MSIX_ENABLE: u16 = 0x8000;
/// Of four bytes at least each, behind the header: a longer list runs in a circle.
const MOST_CAPABILITIES: usize = 48;

/// Whether the device has its interrupts on; none where it has none, or where the file ends before.
pub fn are_on(config: &[u8]) -> Option<bool> {
    let mut known = None;
    let mut at = usize::from(*config.get(FIRST_CAPABILITY)?);
    for _ in 0..MOST_CAPABILITIES {
        at &= !3;
        if at == 0 {
            break;
        }
        let &[kind, next, low, high] = config.get(at..at + 4)? else { return None };
        let control = u16::from_le_bytes([low, high]);
        let enable = match kind {
            MSI => MSI_ENABLE,
            MSIX => MSIX_ENABLE,
            _ => 0,
        };
        if enable != 0 {
            known = Some(known.unwrap_or(false) || control & enable != 0);
        }
        at = usize::from(next);
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config_with_interrupts;

    #[test]
    fn interrupts_are_on_when_one_of_both_kinds_is() {
        for (msi, msix, on) in [(false, false, false), (true, false, true), (false, true, true)] {
            assert_eq!(are_on(&config_with_interrupts(msi, msix)), Some(on), "{msi} {msix}");
        }
    }

    #[test]
    fn of_a_device_without_interrupts_nothing_is_said() {
        assert_eq!(are_on(&[0; 256]), None);
    }

    #[test]
    fn of_a_file_that_ends_before_nothing_is_said() {
        let config = config_with_interrupts(false, false);
        for length in [0, 64, 0x73] {
            assert_eq!(are_on(&config[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_list_that_runs_in_a_circle_ends() {
        let mut config = config_with_interrupts(false, true);
        config[0x71] = 0x50;
        assert_eq!(are_on(&config), Some(true));
    }
}
