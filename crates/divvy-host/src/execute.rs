//! Takes one step on this server's GPUs: writes, reads back, waits until it is so. A step leaves no
//! choice, so nothing is decided here; what is no longer as the step says is an error, and the next turn
//! plans from what is really there. There is no way back in here: that is a plan of its own.
//!
//! Taking a step twice is quiet. Nothing is written that would pull hardware from under a VM: who has
//! what open is looked up immediately before each such write, because the kernel would not refuse it
//! (it blocks, or takes the device from the running VM).

use std::time::Duration;

use divvy_core::step::{HostStep, Outcome};

use crate::error::{HostError, Verb};
use crate::scheme::sriov;
use crate::sysfs::Sysfs;
use kernel::Kernel;

pub(crate) mod kernel;
mod partition;

/// How long each kind of access may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A read that can wait behind a write in the kernel.
    pub read: Duration,
    /// A write to an attribute of one device.
    pub write: Duration,
    /// A new partition count: the kernel sleeps 0.1 s or 1 s, drivers take seconds.
    pub count_write: Duration,
    /// A reset: the kernel waits up to 60 s for the device (`pci_dev_wait`).
    pub reset: Duration,
    /// Until partitions, links and drivers have come or gone.
    pub settle: Duration,
    /// Between two looks while waiting.
    pub look_again: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read: Duration::from_secs(2),
            write: Duration::from_secs(10),
            count_write: Duration::from_secs(60),
            reset: Duration::from_secs(70),
            settle: Duration::from_secs(30),
            look_again: Duration::from_millis(20),
        }
    }
}

/// Takes a step. [`Outcome::Already`]: it was so, and nothing was written.
pub fn execute(sys: &dyn Sysfs, step: &HostStep, limits: &Limits) -> Result<Outcome, HostError> {
    let kernel = Kernel { sys, limits };
    match step {
        HostStep::ReservePartitions { gpu, address } => {
            kernel.refuse_another_gpu(Verb::Reserve, *address, gpu)?;
            sriov::reserve(&kernel, *address)
        }
        HostStep::RemovePartitions { gpu, address, count } => {
            kernel.refuse_another_gpu(Verb::Remove, *address, gpu)?;
            sriov::remove(&kernel, *address, *count)
        }
        HostStep::CreatePartitions { gpu, address, count } => {
            kernel.refuse_another_gpu(Verb::Create, *address, gpu)?;
            sriov::create(&kernel, *address, *count)
        }
        HostStep::PreparePartition { partition, address } => partition::prepare(&kernel, partition, *address),
        HostStep::CleanPartition { partition, address } => partition::clean(&kernel, partition, *address),
    }
}

#[cfg(test)]
mod tests;
