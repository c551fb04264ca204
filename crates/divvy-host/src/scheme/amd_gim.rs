//! AMD's GIM: the counts of all its GPUs are parameters of its module, one number for each GPU in the
//! order of their addresses, and each at least 1. So another count means that the module is unloaded and
//! loaded again, with all GPUs of the server idle, and the counts of the others as they were.
//!
//! ```text
//! modprobe -r gim ── no partitions on any GPU ── modprobe gim vf_num=N0,N1 ─▶ read each count
//! ```
//!
//! The module takes any value of its files for modes and says yes; what came of it is read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use divvy_core::device::DeviceHandle;
use divvy_core::gpu::PartitionCount;
use divvy_core::pci_address::PciAddress;
use divvy_core::step::Outcome;

use super::{Gpu, Mechanism, Split, Target, sriov};
use crate::attribute::{AttributeError, optional, text};
use crate::error::{HostError, Verb};
use crate::execute::kernel::{Kernel, refuse_another_count};
use crate::paths;
use crate::pci;
use crate::sysfs::Sysfs;
use crate::vfio;

pub(crate) struct AmdGim;

/// GPUs change side by side; the module is one for all of them.
static MODULE: Mutex<()> = Mutex::new(());

/// How a GPU is cut for so many partitions, where it is cut at all.
const MODES: &[(u16, &str)] = &[(1, "SPX"), (2, "DPX"), (4, "QPX"), (8, "CPX")];

/// How its memory is cut then: model, count, mode (release notes of GIM 9.2 to 9.4).
const MEMORY_MODES: &[(u16, u16, &str)] = &[
    (0x74a1, 8, "NPS4"),
    (0x74a9, 8, "NPS4"),
    (0x75a0, 2, "NPS2"),
    (0x75a0, 8, "NPS2"),
    (0x75a3, 2, "NPS2"),
    (0x75a3, 8, "NPS2"),
];
const MEMORY_WHOLE: &str = "NPS1";

impl Mechanism for AmdGim {
    fn look(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError> {
        sriov::look(sys, gpu)
    }

    fn create(
        &self,
        kernel: &Kernel<'_>,
        gpu: Target<'_>,
        count: PartitionCount,
    ) -> Result<Outcome, HostError> {
        let verb = Verb::Create;
        let _one_at_a_time = MODULE.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = count.get();
        let mut outcome = Outcome::Already;
        if kernel.count(verb, gpu.address)? != asked {
            load(kernel, gpu.address, asked)?;
            outcome = Outcome::Changed;
        }
        sriov::wait_until_there(kernel, gpu.address, asked)?;
        if cut(kernel, gpu.address, asked)? {
            outcome = Outcome::Changed;
        }
        Ok(outcome)
    }

    fn remove(&self, kernel: &Kernel<'_>, gpu: Target<'_>, expected: u16) -> Result<Outcome, HostError> {
        let verb = Verb::Remove;
        let _one_at_a_time = MODULE.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kernel.count(verb, gpu.address)?;
        if found == 0 {
            return Ok(Outcome::Already);
        }
        refuse_another_count(verb, &paths::num_vfs(gpu.address), expected, found.into())?;
        let counts = counts(kernel, verb)?;
        let others: Vec<String> = counts
            .iter()
            .filter(|(address, count)| **address != gpu.address && **count > 0)
            .map(|(address, _)| address.to_string())
            .collect();
        if !others.is_empty() {
            return Err(HostError::ModuleShared { verb, module: paths::GIM, others: others.join(", ") });
        }
        unload(kernel, verb, &counts)?;
        kernel.wait_until(verb, || {
            let left = kernel.partitions(verb, gpu.address)?;
            Ok(left.keys().next().map(|index| format!("the link to partition {index} is left")))
        })?;
        Ok(Outcome::Changed)
    }
}

/// The GPUs of the module, each with its count.
fn counts(kernel: &Kernel<'_>, verb: Verb) -> Result<BTreeMap<PciAddress, u16>, HostError> {
    let folder = paths::pci_driver(paths::GIM);
    let names = kernel.sys.list(&folder).map_err(|cause| AttributeError::unreadable(&folder, cause));
    let names = kernel.look(verb, optional(names))?.unwrap_or_default();
    let mut counts = BTreeMap::new();
    for address in names.iter().filter_map(|name| name.parse::<PciAddress>().ok()) {
        if !kernel.sys.exists(&paths::physical_function(address)) {
            counts.insert(address, kernel.count(verb, address)?);
        }
    }
    Ok(counts)
}

/// All partitions of all GPUs of the module go.
fn unload(kernel: &Kernel<'_>, verb: Verb, counts: &BTreeMap<PciAddress, u16>) -> Result<(), HostError> {
    let mut devices: Vec<DeviceHandle> = Vec::new();
    for gpu in counts.keys() {
        let functions = kernel.partitions(verb, *gpu)?.into_values();
        devices.extend(functions.chain([*gpu]).map(DeviceHandle::Pci));
    }
    kernel.refuse_if_open(verb, &devices)?;
    kernel.run_to_success(verb, paths::MODPROBE, &["-r", paths::GIM]).map(|_| ())
}

fn load(kernel: &Kernel<'_>, gpu: PciAddress, asked: u16) -> Result<(), HostError> {
    let verb = Verb::Create;
    let mut counts = counts(kernel, verb)?;
    if !counts.is_empty() {
        unload(kernel, verb, &counts)?;
    }
    counts.insert(gpu, asked);
    let numbers: Vec<String> = counts.values().map(|count| (*count).max(1).to_string()).collect();
    let parameter = format!("vf_num={}", numbers.join(","));
    kernel.run_to_success(verb, paths::MODPROBE, &[paths::GIM, &parameter])?;
    for (address, wanted) in &counts {
        let path = paths::num_vfs(*address);
        let driver = kernel.look(verb, vfio::driver(kernel.sys, *address))?;
        let came = kernel.count(verb, *address)?;
        // A GPU that does not take its number is left without the driver.
        if came < (*wanted).max(1) || driver.as_deref() != Some(paths::GIM) {
            return Err(HostError::TooFew { path, asked: *wanted, came });
        }
    }
    Ok(())
}

/// Sets the modes that go with a count, on GPUs that have them. Answers whether one was changed.
fn cut(kernel: &Kernel<'_>, gpu: PciAddress, count: u16) -> Result<bool, HostError> {
    let verb = Verb::Size;
    let mut changed = false;
    let wanted = MODES.iter().find(|(of, _)| *of == count).map(|(_, mode)| *mode);
    let config = paths::attribute(gpu, "accelerator_partition_profile_config");
    let offered = kernel.look(verb, optional(text(kernel.sys, &config)))?;
    if let (Some(wanted), Some(offered)) = (wanted, offered)
        && let Some(index) = index_of(&offered, wanted)
    {
        let write = paths::attribute(gpu, "accelerator_partition_profile");
        let read = paths::attribute(gpu, "spatial_partition_mode");
        changed |= set(kernel, gpu, (&write, &index), (&read, wanted))?;
    }
    let path = paths::attribute(gpu, "memory_partition_mode");
    if kernel.sys.exists(&path) {
        let device = kernel.look(verb, pci::numbers(kernel.sys, gpu))?.device;
        let row = MEMORY_MODES.iter().find(|(of, number, _)| (*of, *number) == (device, count));
        let mode = row.map_or(MEMORY_WHOLE, |(.., mode)| mode);
        changed |= set(kernel, gpu, (&path, mode), (&path, mode))?;
    }
    Ok(changed)
}

/// The number of the line that names this mode: `3: CPX`.
pub fn index_of(offered: &str, mode: &str) -> Option<String> {
    let names_it = |rest: &str| rest.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == mode);
    offered.lines().find_map(|line| {
        let digits = line.trim_start().bytes().take_while(u8::is_ascii_digit).count();
        let (index, rest) = line.trim_start().split_at(digits);
        (!index.is_empty() && names_it(rest)).then(|| index.to_owned())
    })
}

fn set(
    kernel: &Kernel<'_>,
    gpu: PciAddress,
    (write, value): (&str, &str),
    (read, expected): (&str, &str),
) -> Result<bool, HostError> {
    let verb = Verb::Size;
    if kernel.look(verb, text(kernel.sys, read))? == expected {
        return Ok(false);
    }
    kernel.refuse_if_any_open(verb, gpu)?;
    kernel.write_patiently(verb, write, value)?;
    let found = kernel.look(verb, text(kernel.sys, read))?;
    if found == expected {
        return Ok(true);
    }
    Err(HostError::ReadBack { verb, path: read.to_owned(), wrote: expected.to_owned(), found })
}

#[cfg(test)]
mod tests;
