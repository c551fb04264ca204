//! Intel's i915 for servers: plain SR-IOV, and below `drm/cardN/iov` what each partition gets of the GPU,
//! one folder for each of its tiles. All shares are written before the partitions are made, each as the
//! same part of what the driver says is left, and taken back when they are gone.
//!
//! ```text
//! shares 0 ─▶ read what is free ─▶ shares of vf1…vfN ─▶ sriov_numvfs N
//! ```

use divvy_core::catalogue;
use divvy_core::gpu::PartitionCount;
use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;
use divvy_core::step::Outcome;

use super::{Gpu, Mechanism, Split, Target, intel, sriov};
use crate::attribute::{AttributeError, optional};
use crate::error::{HostError, Verb};
use crate::execute::kernel::Kernel;
use crate::paths;
use crate::pci;
use crate::sysfs::Sysfs;

pub(crate) struct IntelI915;

/// A share, what is left of it, in which steps the driver gives it out, and the most for one partition.
struct Resource {
    share: &'static str,
    free: &'static str,
    step: u64,
    most: u64,
}

const MEMORY: &str = "lmem_quota";
const RESOURCES: &[Resource] = &[
    Resource { share: MEMORY, free: "lmem_free", step: 2 << 20, most: u64::MAX },
    Resource { share: "ggtt_quota", free: "ggtt_free", step: 64 << 10, most: u64::MAX },
    Resource { share: "doorbells_quota", free: "doorbells_free", step: 1, most: 240 },
    Resource { share: "contexts_quota", free: "contexts_free", step: 1, most: 1024 },
];

impl Mechanism for IntelI915 {
    fn look(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError> {
        let mut split = sriov::look(sys, gpu)?;
        let Some(iov) = iov(sys, gpu.address) else { return Ok(split) };
        for part in &mut split.parts {
            let folder = format!("{iov}/{}", intel::folder(part.index.0));
            let mut bytes = 0_u64;
            for tile in tiles(sys, &folder)? {
                let share = intel::share(sys, &format!("{folder}/{tile}/{MEMORY}"))?.unwrap_or(0);
                bytes = bytes.saturating_add(share);
            }
            part.memory_bytes = Some(bytes).filter(|bytes| *bytes > 0);
        }
        Ok(split)
    }

    fn lost(
        &self,
        sys: &dyn Sysfs,
        gpu: PciAddress,
        index: PartitionIndex,
    ) -> Result<Option<String>, AttributeError> {
        let Some(iov) = iov(sys, gpu) else { return Ok(None) };
        let folder = format!("{iov}/{}", intel::folder(index.0));
        // A partition may be on one of several tiles only.
        let mut empty = None;
        for tile in tiles(sys, &folder)? {
            let path = format!("{folder}/{tile}/{MEMORY}");
            match intel::share(sys, &path)? {
                Some(0) => empty = Some(path),
                Some(_) => return Ok(None),
                None => {}
            }
        }
        Ok(empty)
    }

    fn create(
        &self,
        kernel: &Kernel<'_>,
        gpu: Target<'_>,
        count: PartitionCount,
    ) -> Result<Outcome, HostError> {
        let verb = Verb::Create;
        if intel::has_none(kernel, verb, gpu.address)?
            && let Some(iov) = iov(kernel.sys, gpu.address)
        {
            kernel.refuse_if_any_open(verb, gpu.address)?;
            let shares = kernel.look(Verb::Size, all(kernel.sys, &iov))?;
            intel::clear(kernel, Verb::Size, &shares)?;
            give(kernel, gpu.address, &iov, count)?;
        }
        sriov::create(kernel, gpu.address, count)
    }

    fn remove(&self, kernel: &Kernel<'_>, gpu: Target<'_>, expected: u16) -> Result<Outcome, HostError> {
        let outcome = sriov::remove(kernel, gpu.address, expected)?;
        if let Some(iov) = iov(kernel.sys, gpu.address) {
            let shares = kernel.look(Verb::Remove, all(kernel.sys, &iov))?;
            intel::clear(kernel, Verb::Remove, &shares)?;
        }
        Ok(outcome)
    }
}

/// The folder of shares, below whichever number the GPU's node has.
fn iov(sys: &dyn Sysfs, gpu: PciAddress) -> Option<String> {
    let names = sys.list(&paths::drm(gpu)).ok()?;
    names.iter().map(|name| paths::iov(gpu, name)).find(|path| sys.exists(path))
}

/// `gt`, or `gt0` and `gt1`; none where the driver keeps no shares.
fn tiles(sys: &dyn Sysfs, folder: &str) -> Result<Vec<String>, AttributeError> {
    let names = optional(sys.list(folder).map_err(|cause| AttributeError::unreadable(folder, cause)))?;
    Ok(names.unwrap_or_default().into_iter().filter(|name| name.starts_with("gt")).collect())
}

/// Every share of every partition that there can be.
fn all(sys: &dyn Sysfs, iov: &str) -> Result<Vec<String>, AttributeError> {
    let mut shares = Vec::new();
    for folder in intel::folders(sys, iov)? {
        for tile in tiles(sys, &format!("{iov}/{folder}"))? {
            let share = |resource: &Resource| format!("{iov}/{folder}/{tile}/{}", resource.share);
            shares.extend(RESOURCES.iter().map(share));
        }
    }
    Ok(shares)
}

/// Writes the same share for each partition to be.
fn give(kernel: &Kernel<'_>, gpu: PciAddress, iov: &str, count: PartitionCount) -> Result<(), HostError> {
    let verb = Verb::Size;
    let tiles = kernel.look(verb, tiles(kernel.sys, &format!("{iov}/pf")))?;
    let bound = kernel.look(verb, memory_to_split(kernel.sys, gpu))?.filter(|_| tiles.len() == 1);
    for tile in &tiles {
        for resource in RESOURCES {
            let path = format!("{iov}/pf/{tile}/available/{}", resource.free);
            let Some(free) = kernel.look(verb, intel::share(kernel.sys, &path))? else { continue };
            let free = bound.filter(|_| resource.share == MEMORY).map_or(free, |bound| free.min(bound));
            let each = (free / u64::from(count.get())).min(resource.most);
            let each = each - each % resource.step;
            if each == 0 {
                return Err(HostError::NoType { path, count: count.get(), offered: free.to_string() });
            }
            for index in 0..count.get() {
                let share = format!("{iov}/{}/{tile}/{}", intel::folder(index), resource.share);
                if kernel.sys.exists(&share) {
                    kernel.write_and_read_back(verb, &share, &each.to_string())?;
                }
            }
        }
    }
    Ok(())
}

/// What partitions share of a model's memory: the driver needs the rest for itself.
fn memory_to_split(sys: &dyn Sysfs, gpu: PciAddress) -> Result<Option<u64>, AttributeError> {
    let numbers = pci::numbers(sys, gpu)?;
    let entry = catalogue::find(numbers.vendor, numbers.device, numbers.subsystem_device);
    Ok(entry.map(|entry| entry.memory_bytes))
}

#[cfg(test)]
mod tests;
