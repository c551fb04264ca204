//! Intel's i915 for servers: plain SR-IOV, and below `drm/cardN/iov` what each partition gets of the GPU,
//! one folder for each of its tiles. All shares are written before the partitions are made, each as a part
//! of what the driver says is left, and taken back when they are gone. The parts are the same for all, or of
//! the sizes that were asked for; how large a partition is, is told by its share of what all have and what
//! is left.
//!
//! ```text
//! shares 0 ─▶ read what is free ─▶ shares of vf1…vfN ─▶ sriov_numvfs N
//! ```

use divvy_core::catalogue;
use divvy_core::gpu::PartitionCount;
use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;
use divvy_core::split::Sizes;
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
const FREE_MEMORY: &str = "lmem_free";
const RESOURCES: &[Resource] = &[
    Resource { share: MEMORY, free: FREE_MEMORY, step: 2 << 20, most: u64::MAX },
    Resource { share: "ggtt_quota", free: "ggtt_free", step: 64 << 10, most: u64::MAX },
    Resource { share: "doorbells_quota", free: "doorbells_free", step: 1, most: 240 },
    Resource { share: "contexts_quota", free: "contexts_free", step: 1, most: 1024 },
];

impl Mechanism for IntelI915 {
    fn look(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError> {
        let mut split = sriov::look(sys, gpu)?;
        let Some(iov) = iov(sys, gpu.address) else { return Ok(split) };
        for part in &mut split.parts {
            part.memory_bytes = Some(memory_of(sys, &iov, part.index)?).filter(|bytes| *bytes > 0);
        }
        let given = split.parts.iter().filter_map(|part| part.memory_bytes).fold(0, u64::saturating_add);
        let all = to_split(sys, gpu.address, &iov, given)?;
        for part in &mut split.parts {
            let size = part.memory_bytes.and_then(|share| size(all, share));
            part.size = size.filter(|size| split.valid_counts.contains(*size));
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
        if let Some(iov) = iov(kernel.sys, gpu.address) {
            share_out(kernel, gpu.address, &iov, &vec![count; usize::from(count.get())])?;
        }
        sriov::create(kernel, gpu.address, count)
    }

    fn create_sizes(&self, kernel: &Kernel<'_>, gpu: Target<'_>, sizes: Sizes) -> Result<Outcome, HostError> {
        let Some(iov) = iov(kernel.sys, gpu.address) else {
            return Err(HostError::EqualOnly { address: gpu.address });
        };
        let sizes: Vec<PartitionCount> = sizes.iter().collect();
        share_out(kernel, gpu.address, &iov, &sizes)?;
        let count = u16::try_from(sizes.len()).ok().and_then(PartitionCount::new);
        let outcome = sriov::create(kernel, gpu.address, count.expect("a list of sizes is never empty"))?;
        refuse_other_sizes(kernel, gpu.address, &iov, &sizes)?;
        Ok(outcome)
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

/// Gives a share to each partition to be, unless there are some.
fn share_out(
    kernel: &Kernel<'_>,
    gpu: PciAddress,
    iov: &str,
    sizes: &[PartitionCount],
) -> Result<(), HostError> {
    let verb = Verb::Create;
    if !intel::has_none(kernel, verb, gpu)? {
        return Ok(());
    }
    kernel.refuse_if_any_open(verb, gpu)?;
    let shares = kernel.look(Verb::Size, all(kernel.sys, iov))?;
    intel::clear(kernel, Verb::Size, &shares)?;
    give(kernel, gpu, iov, sizes)
}

/// Writes a share for each partition to be, by its size.
fn give(kernel: &Kernel<'_>, gpu: PciAddress, iov: &str, sizes: &[PartitionCount]) -> Result<(), HostError> {
    let verb = Verb::Size;
    let tiles = kernel.look(verb, tiles(kernel.sys, &format!("{iov}/pf")))?;
    let bound = kernel.look(verb, bound(kernel.sys, gpu, &tiles))?;
    for tile in &tiles {
        for resource in RESOURCES {
            let path = format!("{iov}/pf/{tile}/available/{}", resource.free);
            let Some(free) = kernel.look(verb, intel::share(kernel.sys, &path))? else { continue };
            let free = bound.filter(|_| resource.share == MEMORY).map_or(free, |bound| free.min(bound));
            for (index, size) in (0..).zip(sizes) {
                let each = (free / u64::from(size.get())).min(resource.most);
                let each = each - each % resource.step;
                if each == 0 {
                    return Err(HostError::NoType { path, count: size.get(), offered: free.to_string() });
                }
                let share = format!("{iov}/{}/{tile}/{}", intel::folder(index), resource.share);
                if kernel.sys.exists(&share) {
                    kernel.write_and_read_back(verb, &share, &each.to_string())?;
                }
            }
        }
    }
    Ok(())
}

/// Partitions that were there before have the sizes that are asked for, or are another hand's.
fn refuse_other_sizes(
    kernel: &Kernel<'_>,
    gpu: PciAddress,
    iov: &str,
    sizes: &[PartitionCount],
) -> Result<(), HostError> {
    let verb = Verb::Size;
    let share = |index| kernel.look(verb, memory_of(kernel.sys, iov, PartitionIndex(index)));
    let shares = (0..).zip(sizes).map(|(index, _)| share(index)).collect::<Result<Vec<u64>, _>>()?;
    let given = shares.iter().fold(0, |sum: u64, share| sum.saturating_add(*share));
    let all = kernel.look(verb, to_split(kernel.sys, gpu, iov, given))?;
    for (index, (expected, share)) in (0..).zip(sizes.iter().zip(shares)) {
        if size(all, share) != Some(*expected) {
            let path = format!("{iov}/{}", intel::folder(index));
            let expected = (all / u64::from(expected.get())).to_string();
            return Err(HostError::OtherSize { path, expected, found: share.to_string() });
        }
    }
    Ok(())
}

/// A partition's share of the memory of all tiles.
fn memory_of(sys: &dyn Sysfs, iov: &str, index: PartitionIndex) -> Result<u64, AttributeError> {
    let folder = format!("{iov}/{}", intel::folder(index.0));
    let mut bytes = 0_u64;
    for tile in tiles(sys, &folder)? {
        let share = intel::share(sys, &format!("{folder}/{tile}/{MEMORY}"))?.unwrap_or(0);
        bytes = bytes.saturating_add(share);
    }
    Ok(bytes)
}

/// What there was to split before partitions were given so much of it.
fn to_split(sys: &dyn Sysfs, gpu: PciAddress, iov: &str, given: u64) -> Result<u64, AttributeError> {
    let tiles = tiles(sys, &format!("{iov}/pf"))?;
    let mut all = given;
    for tile in &tiles {
        let free = intel::share(sys, &format!("{iov}/pf/{tile}/available/{FREE_MEMORY}"))?.unwrap_or(0);
        all = all.saturating_add(free);
    }
    let bound = bound(sys, gpu, &tiles)?;
    Ok(bound.map_or(all, |bound| all.min(bound)))
}

/// The count whose equal share this is nearest to: shares are rounded down to the driver's steps.
fn size(all: u64, share: u64) -> Option<PartitionCount> {
    let count = all.saturating_add(share / 2).checked_div(share)?;
    u16::try_from(count).ok().and_then(PartitionCount::new)
}

/// What partitions share of a model's memory, where one tile has all of it: the driver needs the rest for
/// itself.
fn bound(sys: &dyn Sysfs, gpu: PciAddress, tiles: &[String]) -> Result<Option<u64>, AttributeError> {
    let numbers = pci::numbers(sys, gpu)?;
    let entry = catalogue::find(numbers.vendor, numbers.device, numbers.subsystem_device);
    Ok(entry.map(|entry| entry.memory_bytes).filter(|_| tiles.len() == 1))
}

#[cfg(test)]
mod tests;
