//! The kernel as a step sees it: every access carries what is being tried and has a deadline, and every
//! write that could hurt a VM has its question asked first. Which step it is for is not known here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use divvy_core::id::{GpuId, PartitionIndex};
use divvy_core::pci_address::PciAddress;

use super::Limits;
use crate::attribute::AttributeError;
use crate::error::{HostError, Verb};
use crate::identity;
use crate::scheme::sriov;
use crate::sysfs::Sysfs;
use crate::vfio;

pub struct Kernel<'a> {
    pub sys: &'a dyn Sysfs,
    pub limits: &'a Limits,
}

impl Kernel<'_> {
    /// What was read, or why the try ends here.
    pub fn look<T>(&self, verb: Verb, read: Result<T, AttributeError>) -> Result<T, HostError> {
        read.map_err(|cause| HostError::Unreadable { verb, cause })
    }

    pub fn count(&self, verb: Verb, gpu: PciAddress) -> Result<u16, HostError> {
        self.look(verb, sriov::count(self.sys, gpu, self.limits.read))
    }

    pub fn partitions(
        &self,
        verb: Verb,
        gpu: PciAddress,
    ) -> Result<BTreeMap<PartitionIndex, PciAddress>, HostError> {
        self.look(verb, vfio::partitions(self.sys, gpu))
    }

    /// One write. Any of them can wait for a lock that a hanging one holds, so all have a deadline.
    pub fn write(&self, verb: Verb, path: &str, value: &str) -> Result<(), HostError> {
        let deadline = match verb {
            Verb::Create | Verb::Remove => self.limits.count_write,
            Verb::Reset => self.limits.reset,
            _ => self.limits.write,
        };
        self.sys.write_within(path, value, deadline).map_err(|cause| HostError::Kernel {
            verb,
            path: path.to_owned(),
            cause,
        })
    }

    /// Looks until `missing` has nothing to name, but not for longer than things may take to settle.
    pub fn wait_until(
        &self,
        verb: Verb,
        mut missing: impl FnMut() -> Result<Option<String>, HostError>,
    ) -> Result<(), HostError> {
        let start = Instant::now();
        loop {
            let Some(what) = missing()? else { return Ok(()) };
            let waited = start.elapsed();
            if waited >= self.limits.settle {
                return Err(HostError::NotSettled { verb, what, waited_ms: waited.as_millis() });
            }
            std::thread::sleep(self.limits.look_again.max(Duration::from_millis(1)));
        }
    }

    pub fn refuse_another_gpu(&self, verb: Verb, address: PciAddress, gpu: &GpuId) -> Result<(), HostError> {
        match identity::contradiction(self.sys, address, gpu, self.limits.read) {
            None => Ok(()),
            Some(why) => Err(HostError::OtherGpu { verb, gpu: gpu.clone(), address, why }),
        }
    }

    /// For writes that concern the whole GPU.
    pub fn refuse_if_any_open(&self, verb: Verb, gpu: PciAddress) -> Result<(), HostError> {
        let mut addresses: Vec<PciAddress> = self.partitions(verb, gpu)?.into_values().collect();
        addresses.push(gpu);
        self.refuse_if_open(verb, &addresses)
    }

    /// For writes that concern these devices alone.
    pub fn refuse_if_open(&self, verb: Verb, addresses: &[PciAddress]) -> Result<(), HostError> {
        let holders =
            vfio::open(self.sys, addresses).map_err(|cause| HostError::OpenUnknown { verb, cause })?;
        if holders.is_empty() { Ok(()) } else { Err(HostError::PartitionOpen { verb, holders }) }
    }
}
