//! Plain SR-IOV: the driver of the physical function implements `sriov_configure`, so that a number
//! written to `sriov_numvfs` makes that many virtual functions. Rules: `drivers/pci/iov.c` and
//! `Documentation/ABI/testing/sysfs-bus-pci`. What a partition is then used for is not known here.
//!
//! ```text
//! 0 ── write N ──▶ N links virtfn0…virtfnN-1, each with its device and (with an IOMMU) its group
//! N ── write 0 ──▶ 0, about one second later; there is no way from N to M but through 0
//! ```

use std::collections::BTreeMap;

use divvy_core::gpu::PartitionCount;
use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;
use divvy_core::step::Outcome;

use super::{Gpu, Mechanism, Part, Split, Target, catalogue_counts};
use crate::attribute::{self, AttributeError, optional};
use crate::error::{HostError, Verb};
use crate::execute::kernel::{Kernel, refuse_another_count};
use crate::iommu;
use crate::paths;
use crate::pci;
use crate::sysfs::Sysfs;
use crate::vfio;

/// Drivers that do not implement `sriov_configure`: a write answers ENOENT, whatever the capability says.
const DRIVERS_WITHOUT: &[&str] = &["nvidia", paths::GIM, "nouveau", paths::VFIO_PCI];

/// Whether this driver splits its GPU when a number is written. Of an unknown driver only a try tells.
pub fn is_implemented_by(driver: &str) -> bool {
    !DRIVERS_WITHOUT.contains(&driver)
}

/// The scheme of a driver that makes equal partitions by itself.
pub(crate) struct Sriov;

impl Mechanism for Sriov {
    fn look(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError> {
        look(sys, gpu)
    }

    fn create(
        &self,
        kernel: &Kernel<'_>,
        gpu: Target<'_>,
        count: PartitionCount,
    ) -> Result<Outcome, HostError> {
        create(kernel, gpu.address, count)
    }

    fn remove(&self, kernel: &Kernel<'_>, gpu: Target<'_>, expected: u16) -> Result<Outcome, HostError> {
        remove(kernel, gpu.address, expected)
    }
}

/// Every partition by its index. The number of links and `sriov_numvfs` have to agree, and the indexes
/// have to be 0 to count - 1.
pub(crate) fn look(sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError> {
    // Without the capability the file is not there, and then there are no partitions.
    let count = optional(pci::function_count(sys, gpu.address, gpu.deadline)).map(Option::unwrap_or_default);
    let links = vfio::partitions(sys, gpu.address)?;
    let agrees = |count: u16| (0..count).map(PartitionIndex).eq(links.keys().copied());
    let (count, unreadable) = match count {
        Ok(count) => (Some(count), None),
        Err(error) => (None, Some(error)),
    };
    let contradiction = count.filter(|count| !agrees(*count)).map(|count| {
        format!(
            "{} says {count} partitions, and {} are linked: {:?}",
            paths::num_vfs(gpu.address),
            links.len(),
            links.keys().map(|index| index.0).collect::<Vec<_>>()
        )
    });
    let part = |(index, address): (PartitionIndex, PciAddress)| Part {
        index,
        address,
        device: address.into(),
        memory_bytes: None,
        size: None,
    };
    Ok(Split {
        count,
        unreadable,
        parts: links.into_iter().map(part).collect(),
        valid_counts: catalogue_counts(gpu.entry, gpu.total),
        most: gpu.total,
        sized_for: None,
        sizes_on_offer: Vec::new(),
        contradiction,
        difference: None,
    })
}

/// Keeps the server's own drivers off partitions that are made from now on. The kernel looks at this
/// when it probes, so it has to stand before the partitions are made.
pub(crate) fn reserve(kernel: &Kernel<'_>, gpu: PciAddress) -> Result<Outcome, HostError> {
    let verb = Verb::Reserve;
    let path = paths::autoprobe(gpu);
    if !kernel.look(verb, attribute::switch(kernel.sys, &path))? {
        return Ok(Outcome::Already);
    }
    kernel.write(verb, &path, "0")?;
    if kernel.look(verb, attribute::switch(kernel.sys, &path))? {
        return Err(HostError::ReadBack { verb, path, wrote: "0".to_owned(), found: "1".to_owned() });
    }
    Ok(Outcome::Changed)
}

/// Removes all partitions and waits until the last one is gone.
pub(crate) fn remove(kernel: &Kernel<'_>, gpu: PciAddress, expected: u16) -> Result<Outcome, HostError> {
    let verb = Verb::Remove;
    let found = kernel.count(verb, gpu)?;
    let partitions = kernel.partitions(verb, gpu)?;
    if found == 0 && partitions.is_empty() {
        return Ok(Outcome::Already);
    }
    // Links without a count are what an earlier write left.
    if found != 0 {
        refuse_another_count(verb, &paths::num_vfs(gpu), expected, found.into())?;
    }
    kernel.refuse_if_any_open(verb, gpu)?;
    kernel.write(verb, &paths::num_vfs(gpu), "0")?;
    kernel.wait_until(verb, || {
        let left = kernel.count(verb, gpu)?;
        if left != 0 {
            return Ok(Some(format!("{left} partitions are left")));
        }
        if let Some(index) = kernel.partitions(verb, gpu)?.keys().next() {
            return Ok(Some(format!("the link to partition {index} is left")));
        }
        let remains = partitions.values().find(|address| kernel.sys.exists(&paths::device(**address)));
        Ok(remains.map(|address| format!("{address} is left")))
    })?;
    Ok(Outcome::Changed)
}

/// Makes partitions, reads the count back and waits until each one is there.
pub(crate) fn create(
    kernel: &Kernel<'_>,
    gpu: PciAddress,
    count: PartitionCount,
) -> Result<Outcome, HostError> {
    let verb = Verb::Create;
    let path = paths::num_vfs(gpu);
    let asked = count.get();
    let found = kernel.count(verb, gpu)?;
    if found == asked {
        wait_until_there(kernel, gpu, asked)?;
        return Ok(Outcome::Already);
    }
    refuse_another_count(verb, &path, 0, found.into())?;
    kernel.refuse_if_any_open(verb, gpu)?;
    if let Err(cause) = kernel.sys.write_within(&path, &asked.to_string(), kernel.limits.count_write) {
        // What came is left as it is: the way back is a plan of its own.
        let came = kernel.count(verb, gpu).ok();
        return Err(HostError::NotCreated { path, asked, came, cause });
    }
    // The kernel calls it a success when the driver makes fewer than asked for.
    let came = kernel.count(verb, gpu)?;
    if came != asked {
        return Err(HostError::TooFew { path, asked, came });
    }
    wait_until_there(kernel, gpu, asked)?;
    Ok(Outcome::Changed)
}

pub(crate) fn wait_until_there(kernel: &Kernel<'_>, gpu: PciAddress, asked: u16) -> Result<(), HostError> {
    let verb = Verb::Create;
    // Without an IOMMU no group ever comes; readiness says so.
    let with_group = kernel.sys.exists(&paths::iommu_group(gpu));
    kernel.wait_until(verb, || {
        let partitions = kernel.partitions(verb, gpu)?;
        Ok(missing(kernel.sys, &partitions, asked, with_group))
    })
}

fn missing(
    sys: &dyn Sysfs,
    partitions: &BTreeMap<PartitionIndex, PciAddress>,
    asked: u16,
    with_group: bool,
) -> Option<String> {
    (0..asked).find_map(|number| {
        let Some(address) = partitions.get(&PartitionIndex(number)) else {
            return Some(format!("partition {number} has not come"));
        };
        if !sys.exists(&paths::physical_function(*address)) {
            return Some(format!("partition {number} at {address} has not come"));
        }
        if with_group && !matches!(iommu::group(sys, *address), Ok(Some(_))) {
            return Some(format!("partition {number} at {address} has no IOMMU group"));
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use divvy_core::catalogue;
    use divvy_core::gpu::{CountSource, ValidPartitionCounts};

    fn numbers(valid: &ValidPartitionCounts) -> Vec<u16> {
        valid.as_slice().iter().map(|count| count.get()).collect()
    }

    #[test]
    fn the_catalogue_is_bounded_by_the_driver() {
        let a40 = catalogue::find(0x10de, 0x2235, 0x145a);
        let valid = catalogue_counts(a40, 8);
        assert_eq!(numbers(&valid), [1, 2, 3, 4, 6, 8]);
        assert_eq!(valid.source(), CountSource::Catalogue);
    }

    #[test]
    fn an_unknown_model_has_every_count_that_the_driver_allows() {
        let valid = catalogue_counts(None, 3);
        assert_eq!(numbers(&valid), [1, 2, 3]);
        assert_eq!(valid.source(), CountSource::Driver);
    }

    #[test]
    fn without_the_capability_nothing_is_valid() {
        assert!(catalogue_counts(catalogue::find(0x10de, 0x2235, 0x145a), 0).is_empty());
    }
}
