//! By which mechanism a GPU is split: one file per mechanism, all of them behind one trait. Which one a
//! GPU has is told by what its folder, its functions and its driver show, never by its model
//! (`detect.rs`).
//!
//! | | partitions come by | a partition is clean after |
//! |---|---|---|
//! | `sriov`, `intel_*` | a number in `sriov_numvfs` | a reset |
//! | `nvidia_vfio`, `nvidia_mig` | a type in a virtual function | no type, then the type again |
//! | `nvidia_mdev` | a UUID in the `create` of a type | removal, then the UUID again |
//! | `amd_gim` | a parameter of the module | a reset |

use std::time::Duration;

use divvy_core::catalogue::CatalogueEntry;
use divvy_core::device::DeviceHandle;
use divvy_core::gpu::{CountSource, PartitionCount, Scheme, ValidPartitionCounts};
use divvy_core::id::{GpuId, PartitionId, PartitionIndex};
use divvy_core::observed::{ObservedGpu, ObservedPartition};
use divvy_core::pci_address::PciAddress;
use divvy_core::split::Sizes;
use divvy_core::step::Outcome;

use crate::attribute::AttributeError;
use crate::error::HostError;
use crate::execute::kernel::Kernel;
use crate::execute::partition;
use crate::sysfs::Sysfs;

pub mod amd_gim;
pub(crate) mod detect;
pub mod intel;
pub(crate) mod intel_i915;
pub(crate) mod intel_xe;
pub mod nvidia;
pub(crate) mod nvidia_mdev;
pub mod nvidia_mig;
pub(crate) mod nvidia_vfio;
pub mod sriov;

/// A GPU to look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gpu {
    pub address: PciAddress,
    pub entry: Option<&'static CatalogueEntry>,
    /// `sriov_totalvfs`; 0 where there is none.
    pub total: u16,
    /// For reads that can wait behind a write.
    pub deadline: Duration,
}

/// How a GPU is split now.
#[derive(Debug)]
pub(crate) struct Split {
    /// None: it cannot be told.
    pub count: Option<u16>,
    /// Why it cannot.
    pub unreadable: Option<AttributeError>,
    pub parts: Vec<Part>,
    pub valid_counts: ValidPartitionCounts,
    /// The most partitions that the hardware can make.
    pub most: u16,
    pub sized_for: Option<PartitionCount>,
    /// Sizes of which one more can be made now, where partitions can differ.
    pub sizes_on_offer: Vec<PartitionCount>,
    /// What the GPU says that cannot be.
    pub contradiction: Option<String>,
    /// What the driver says otherwise than the catalogue. The driver wins.
    pub difference: Option<String>,
}

impl Split {
    /// Nothing could be read of it.
    pub fn unknown(gpu: &Gpu) -> Self {
        Self {
            count: None,
            unreadable: None,
            parts: Vec::new(),
            valid_counts: catalogue_counts(gpu.entry, gpu.total),
            most: gpu.total,
            sized_for: None,
            sizes_on_offer: Vec::new(),
            contradiction: None,
            difference: None,
        }
    }
}

/// One partition, before anything else is read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub index: PartitionIndex,
    pub address: PciAddress,
    pub device: DeviceHandle,
    pub memory_bytes: Option<u64>,
    /// Where partitions of one GPU can differ and the driver tells.
    pub size: Option<PartitionCount>,
}

/// The GPU of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub id: &'a GpuId,
    pub address: PciAddress,
}

/// One way to split GPUs. Each write is read back; taking a step twice is quiet.
pub(crate) trait Mechanism: Sync {
    /// Counts, sizes and partitions as the driver shows them. Nothing is written.
    fn look(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError>;

    /// What the driver has lost of a partition that is there, as after a reset of its GPU: the file that
    /// shows it.
    fn lost(
        &self,
        _sys: &dyn Sysfs,
        _gpu: PciAddress,
        _index: PartitionIndex,
    ) -> Result<Option<String>, AttributeError> {
        Ok(None)
    }

    /// Gives partitions the indexes that only the name of their GPU tells.
    fn name(&self, _gpu: &GpuId, _partitions: &mut Vec<ObservedPartition>) {}

    /// Makes as many, or those that are missing, after a boot or a new start of the driver too. What has
    /// to be turned on first is turned on.
    fn create(
        &self,
        kernel: &Kernel<'_>,
        gpu: Target<'_>,
        count: PartitionCount,
    ) -> Result<Outcome, HostError>;

    /// The same with partitions of these sizes, by index.
    fn create_sizes(
        &self,
        _kernel: &Kernel<'_>,
        gpu: Target<'_>,
        _sizes: Sizes,
    ) -> Result<Outcome, HostError> {
        Err(HostError::EqualOnly { address: gpu.address })
    }

    /// Takes all of them away and waits until the last one is gone.
    fn remove(&self, kernel: &Kernel<'_>, gpu: Target<'_>, expected: u16) -> Result<Outcome, HostError>;

    /// Takes away what carried partitions and stayed, once there are none.
    fn turn_off(&self, _kernel: &Kernel<'_>, _gpu: Target<'_>) -> Result<Outcome, HostError> {
        Ok(Outcome::Already)
    }

    /// Gives one to what hands it to a VM.
    fn prepare(
        &self,
        kernel: &Kernel<'_>,
        partition: &PartitionId,
        address: PciAddress,
    ) -> Result<Outcome, HostError> {
        partition::prepare(kernel, partition, address)
    }

    /// Makes one that a VM gave up as if it were new, and proves it. Any error means: not clean.
    fn clean(
        &self,
        kernel: &Kernel<'_>,
        partition: &PartitionId,
        address: PciAddress,
    ) -> Result<Outcome, HostError> {
        partition::clean(kernel, partition, address)
    }
}

pub(crate) fn of(scheme: Scheme) -> &'static dyn Mechanism {
    match scheme {
        Scheme::NvidiaVfio => &nvidia_vfio::NvidiaVfio,
        Scheme::NvidiaMdev => &nvidia_mdev::NvidiaMdev::OnFunctions,
        Scheme::NvidiaMdevPf => &nvidia_mdev::NvidiaMdev::OnGpu,
        Scheme::NvidiaMig => &nvidia_mig::NvidiaMig,
        Scheme::IntelXe => &intel_xe::IntelXe,
        Scheme::IntelI915 => &intel_i915::IntelI915,
        Scheme::AmdGim => &amd_gim::AmdGim,
        Scheme::Sriov => &sriov::Sriov,
    }
}

/// What the driver of a GPU has lost of one of its partitions.
pub(crate) fn lost(
    sys: &dyn Sysfs,
    gpu: &ObservedGpu,
    index: PartitionIndex,
) -> Result<Option<String>, AttributeError> {
    gpu.scheme.map_or(Ok(None), |scheme| of(scheme).lost(sys, gpu.address, index))
}

/// How many partitions a GPU says that it has, and how many it shows.
pub(crate) fn count_now(
    sys: &dyn Sysfs,
    gpu: &ObservedGpu,
    deadline: Duration,
) -> Result<(Option<u16>, usize), AttributeError> {
    let (address, total) = (gpu.address, gpu.max_partitions);
    let split = gpu
        .scheme
        .map_or(&sriov::Sriov as &dyn Mechanism, of)
        .look(sys, &Gpu { address, entry: None, total, deadline })?;
    match split.unreadable {
        Some(error) => Err(error),
        None => Ok((split.count, split.parts.len())),
    }
}

/// The counts that the catalogue knows, never more than the hardware can make; of a model that it does
/// not know, every one of those.
pub(crate) fn catalogue_counts(entry: Option<&CatalogueEntry>, most: u16) -> ValidPartitionCounts {
    let within = |counts: &mut dyn Iterator<Item = u16>| {
        counts.filter(|count| *count <= most).filter_map(PartitionCount::new).collect()
    };
    match entry {
        _ if most == 0 => ValidPartitionCounts::none(),
        Some(entry) => {
            ValidPartitionCounts::new(within(&mut entry.counts.iter().copied()), CountSource::Catalogue)
        }
        None => ValidPartitionCounts::new(within(&mut (1..=most)), CountSource::Driver),
    }
}

#[cfg(test)]
mod tests;
