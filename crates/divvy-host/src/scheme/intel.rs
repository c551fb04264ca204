//! What both of Intel's drivers have in common: a share of the GPU for each partition, in files that count
//! partitions from 1. A share that somebody left there switches off what the driver would do by itself,
//! so none may be left when partitions are made, and none is left when they are gone.

use divvy_core::pci_address::PciAddress;

use crate::attribute::{AttributeError, optional, parse_decimal, text};
use crate::error::{HostError, Verb};
use crate::execute::kernel::Kernel;
use crate::pci;
use crate::sysfs::Sysfs;

/// The folder of a partition's share, in the driver's counting.
pub(crate) fn folder(index: u16) -> String {
    format!("vf{}", u32::from(index) + 1)
}

/// Folders of partitions, there or not, in the order of their numbers.
pub(crate) fn folders(sys: &dyn Sysfs, path: &str) -> Result<Vec<String>, AttributeError> {
    let names = optional(sys.list(path).map_err(|cause| AttributeError::unreadable(path, cause)))?;
    let mut folders: Vec<String> = names.unwrap_or_default();
    folders.retain(|name| number(name).is_some());
    folders.sort_by_key(|name| number(name));
    Ok(folders)
}

/// The driver's number of a partition, by the name of its folder.
pub fn number(folder: &str) -> Option<u16> {
    folder.strip_prefix("vf").and_then(parse_decimal)
}

/// A share; None where the driver has no such file.
pub(crate) fn share(sys: &dyn Sysfs, path: &str) -> Result<Option<u64>, AttributeError> {
    let Some(text) = optional(text(sys, path))? else { return Ok(None) };
    match parse_decimal(&text) {
        Some(share) => Ok(Some(share)),
        None => Err(AttributeError::malformed(path, &text, "a share in bytes")),
    }
}

/// Takes back every share, which the driver allows while there are no partitions.
pub(crate) fn clear(kernel: &Kernel<'_>, verb: Verb, shares: &[String]) -> Result<(), HostError> {
    for path in shares {
        let set = kernel.look(verb, share(kernel.sys, path))?;
        if set.is_some_and(|share| share > 0) {
            kernel.write_and_read_back(verb, path, "0")?;
        }
    }
    Ok(())
}

/// Partitions are equal, or they are not what was asked for.
pub(crate) fn refuse_unequal(kernel: &Kernel<'_>, shares: &[String]) -> Result<(), HostError> {
    let verb = Verb::Size;
    let mut first: Option<u64> = None;
    for path in shares {
        let Some(found) = kernel.look(verb, share(kernel.sys, path))? else { continue };
        let expected = *first.get_or_insert(found);
        if found != expected {
            let (expected, found) = (expected.to_string(), found.to_string());
            return Err(HostError::OtherType { verb, path: path.clone(), expected, found });
        }
    }
    Ok(())
}

/// Whether there is nothing now, so that shares can be written.
pub(crate) fn has_none(kernel: &Kernel<'_>, verb: Verb, gpu: PciAddress) -> Result<bool, HostError> {
    Ok(kernel.look(verb, pci::function_count(kernel.sys, gpu, kernel.limits.read))? == 0)
}
