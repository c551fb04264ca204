//! What is the same of NVIDIA's GPUs, whatever their interface: the driver, the program that turns their
//! virtual functions on, and the names of the types that a partition can have. Files and rules:
//! NVIDIA's guide for its driver for virtualization, and what its users found.

use std::io;
use std::time::Duration;

use divvy_core::catalogue::CatalogueEntry;
use divvy_core::gpu::{CountSource, PartitionCount, Scheme, ValidPartitionCounts};
use divvy_core::pci_address::PciAddress;

use super::{Gpu, catalogue_counts};
use crate::attribute::{AttributeError, optional};
use crate::error::{HostError, Verb};
use crate::execute::kernel::Kernel;
use crate::paths;
use crate::pci;
use crate::sysfs::Sysfs;
use crate::vfio;

pub mod enable;
pub mod modes;
pub mod types;

use types::Type;

pub const DRIVER: &str = "nvidia";

/// A GPU that is not cut into parts takes no more, whatever their size.
const MOST: u16 = 32;

/// Which of NVIDIA's interfaces a GPU has; none where its driver is not the one for virtualization.
pub(crate) fn detect(sys: &dyn Sysfs, gpu: &Gpu) -> Result<Option<Scheme>, AttributeError> {
    if sys.exists(&paths::mdev_types(gpu.address)) {
        return Ok(Some(Scheme::NvidiaMdevPf));
    }
    if gpu.total == 0 {
        return Ok(None);
    }
    let functions = vfio::partitions(sys, gpu.address)?;
    if functions.is_empty() {
        return Ok(Some(Scheme::NvidiaVfio));
    }
    Ok(functions.values().find_map(|function| interface(sys, *function)))
}

/// Until nobody changes the virtual functions: the kernel answers this file after whoever does. The program
/// that turns them on can hang there for good, and then what the functions show says nothing.
pub(crate) fn wait_for_changes(sys: &dyn Sysfs, gpu: &Gpu) -> Result<(), AttributeError> {
    optional(pci::function_count(sys, gpu.address, gpu.deadline)).map(|_count| ())
}

/// All that NVIDIA's program says, for the sake of what it says.
pub(crate) fn said(kernel: &Kernel<'_>, args: &[&str]) -> Result<String, HostError> {
    asked(kernel.sys, args, kernel.limits.program).map_err(|cause| {
        let program = paths::NVIDIA_SMI.to_owned();
        HostError::Program { verb: Verb::Size, program, cause }
    })
}

/// The same, for whoever looks.
fn asked(sys: &dyn Sysfs, args: &[&str], deadline: Duration) -> io::Result<String> {
    let ran = sys.run(paths::NVIDIA_SMI, args, deadline)?;
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}

/// To be told all types of a GPU, and what each is.
pub(crate) fn types_question(gpu: &str) -> [&str; 5] {
    ["vgpu", "-i", gpu, "-s", "-v"]
}

/// To be told the parts that a GPU can be cut into.
pub(crate) fn parts_question(gpu: &str) -> [&str; 4] {
    ["mig", "-i", gpu, "-lgip"]
}

/// What a virtual function shows.
pub(crate) fn interface(sys: &dyn Sysfs, function: PciAddress) -> Option<Scheme> {
    if sys.exists(&paths::current_type(function)) {
        Some(Scheme::NvidiaVfio)
    } else if sys.exists(&paths::mdev_types(function)) {
        Some(Scheme::NvidiaMdev)
    } else {
        None
    }
}

/// The most that a GPU with so many functions takes.
pub(crate) fn most(total: u16) -> u16 {
    total.min(MOST)
}

/// Memory of the GPU in the numbers of its types' names: the type that takes all of it, or what the
/// catalogue knows.
pub(crate) fn whole_gib(entry: Option<&CatalogueEntry>, types: &[Type]) -> Option<u32> {
    let known = entry.and_then(|entry| u32::try_from(entry.memory_bytes >> 30).ok());
    known.max(types.iter().map(|one| one.gib).max())
}

/// The counts of types of which only the names are told. A name tells the size of one partition and not
/// how many there can be, and a driver makes fewer than fit of some sizes. So a size stands for the
/// largest count of the catalogue that fits, and for what fits by itself where that one is taken.
pub(crate) fn counts_of_names(
    entry: Option<&CatalogueEntry>,
    types: &[Type],
    total: u16,
) -> (ValidPartitionCounts, Option<String>) {
    let most = most(total);
    let known = catalogue_counts(entry, most);
    let Some(whole) = whole_gib(entry, types).filter(|_| !types.is_empty()) else { return (known, None) };
    let mut sizes: Vec<u32> = types.iter().map(|one| one.gib).collect();
    sizes.sort_unstable_by_key(|gib| std::cmp::Reverse(*gib));
    sizes.dedup();
    let mut counts: Vec<u16> = Vec::new();
    for gib in sizes {
        let fits = fits(gib, whole).min(most);
        let usual = sized_for(&known, fits).filter(|_| entry.is_some()).map(PartitionCount::get);
        counts.extend(usual.into_iter().chain([fits]).find(|count| *count > 0 && !counts.contains(count)));
    }
    counts.sort_unstable();
    let difference = entry.and_then(|_| difference(&known, &counts));
    let counts = counts.into_iter().filter_map(PartitionCount::new).collect();
    (ValidPartitionCounts::new(counts, CountSource::Driver), difference)
}

/// How often a size fits.
pub(crate) fn fits(gib: u32, whole_gib: u32) -> u16 {
    whole_gib.checked_div(gib).and_then(|fits| u16::try_from(fits).ok()).unwrap_or(0)
}

/// What the driver offers otherwise than the catalogue, in words.
pub(crate) fn difference(known: &ValidPartitionCounts, offered: &[u16]) -> Option<String> {
    let known: Vec<u16> = known.as_slice().iter().map(|count| count.get()).collect();
    let without = |these: &[u16], those: &[u16]| {
        let only: Vec<String> =
            these.iter().filter(|count| !those.contains(count)).map(u16::to_string).collect();
        (!only.is_empty()).then(|| only.join(", "))
    };
    match (without(&known, offered), without(offered, &known)) {
        (None, None) => None,
        (Some(missing), None) => Some(format!("its driver does not offer {missing}")),
        (None, Some(more)) => Some(format!("its driver also offers {more}")),
        (Some(missing), Some(more)) => Some(format!("its driver offers {more}, and not {missing}")),
    }
}

/// For which count partitions of this size are: the largest valid one that fits.
pub(crate) fn sized_for(valid: &ValidPartitionCounts, fits: u16) -> Option<PartitionCount> {
    valid.as_slice().iter().rfind(|count| count.get() <= fits).copied()
}

#[cfg(test)]
mod tests;
