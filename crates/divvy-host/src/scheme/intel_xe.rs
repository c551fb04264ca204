//! Intel's xe: plain SR-IOV, and below `sriov_admin` what each partition gets of the GPU. Left to itself
//! the driver gives each the same share of the memory; a share of any partition that is not 0 switches
//! that off. So Divvy writes no shares but zeros, and looks whether they came out equal.
//!
//! The priority of a partition is the driver's to say: a write of it is refused (EOPNOTSUPP).

use divvy_core::gpu::PartitionCount;
use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;
use divvy_core::step::Outcome;

use super::{Gpu, Mechanism, Split, Target, intel, sriov};
use crate::attribute::AttributeError;
use crate::error::{HostError, Verb};
use crate::execute::kernel::Kernel;
use crate::paths;
use crate::sysfs::Sysfs;

pub(crate) struct IntelXe;

/// Memory of a partition; GPUs that use the server's memory, and kernels before 7.0, do not have it.
fn memory(gpu: PciAddress, folder: &str) -> String {
    format!("{}/{folder}/profile/vram_quota", paths::sriov_admin(gpu))
}

fn all(sys: &dyn Sysfs, gpu: PciAddress) -> Result<Vec<String>, AttributeError> {
    let folders = intel::folders(sys, &paths::sriov_admin(gpu))?;
    Ok(folders.iter().map(|folder| memory(gpu, folder)).collect())
}

impl Mechanism for IntelXe {
    fn look(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError> {
        let mut split = sriov::look(sys, gpu)?;
        for part in &mut split.parts {
            let share = intel::share(sys, &memory(gpu.address, &intel::folder(part.index.0)))?;
            part.memory_bytes = share.filter(|bytes| *bytes > 0);
        }
        Ok(split)
    }

    fn lost(
        &self,
        sys: &dyn Sysfs,
        gpu: PciAddress,
        index: PartitionIndex,
    ) -> Result<Option<String>, AttributeError> {
        let path = memory(gpu, &intel::folder(index.0));
        Ok((intel::share(sys, &path)? == Some(0)).then_some(path))
    }

    fn create(
        &self,
        kernel: &Kernel<'_>,
        gpu: Target<'_>,
        count: PartitionCount,
    ) -> Result<Outcome, HostError> {
        let verb = Verb::Create;
        if intel::has_none(kernel, verb, gpu.address)? {
            kernel.refuse_if_any_open(verb, gpu.address)?;
            let shares = kernel.look(Verb::Size, all(kernel.sys, gpu.address))?;
            intel::clear(kernel, Verb::Size, &shares)?;
        }
        let outcome = sriov::create(kernel, gpu.address, count)?;
        let made = (0..count.get()).map(|index| memory(gpu.address, &intel::folder(index)));
        intel::refuse_unequal(kernel, &made.collect::<Vec<_>>())?;
        Ok(outcome)
    }

    fn remove(&self, kernel: &Kernel<'_>, gpu: Target<'_>, expected: u16) -> Result<Outcome, HostError> {
        let outcome = sriov::remove(kernel, gpu.address, expected)?;
        let shares = kernel.look(Verb::Remove, all(kernel.sys, gpu.address))?;
        intel::clear(kernel, Verb::Remove, &shares)?;
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests;
