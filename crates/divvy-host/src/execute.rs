//! Takes one step on this server's GPUs: writes, reads back, waits until it is so. A step leaves no
//! choice, so nothing is decided here; what is no longer as the step says is an error, and the next turn
//! plans from what is really there. There is no way back in here: that is a plan of its own.
//!
//! Taking a step twice is quiet. Nothing is written that would pull hardware from under a VM: who has
//! what open is looked up immediately before each such write, because the kernel would not refuse it
//! (it blocks, or takes the device from the running VM).

use std::borrow::Cow;
use std::time::Duration;

use divvy_core::split::Split;
use divvy_core::step::{HostStep, Outcome};

use crate::error::{HostError, Verb};
use crate::paths;
use crate::scheme::{self, Target, sriov};
use crate::sysfs::Sysfs;
use kernel::Kernel;

pub(crate) mod kernel;
pub(crate) mod partition;
mod whole;

/// How long each kind of access may take, and where a vendor's program is.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// A vendor's program.
    pub program: Duration,
    /// Between two tries of what a driver refuses while it is busy.
    pub try_again: Duration,
    /// NVIDIA's program that turns virtual functions on.
    pub sriov_manage: Cow<'static, str>,
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
            program: Duration::from_secs(120),
            try_again: Duration::from_secs(1),
            sriov_manage: Cow::Borrowed(paths::SRIOV_MANAGE),
        }
    }
}

/// Takes a step. [`Outcome::Already`]: it was so, and nothing was written.
pub fn execute(sys: &dyn Sysfs, step: &HostStep, limits: &Limits) -> Result<Outcome, HostError> {
    let kernel = Kernel { sys, limits };
    match step {
        HostStep::ReservePartitions { gpu, address, .. } => {
            kernel.refuse_another_gpu(Verb::Reserve, *address, gpu)?;
            sriov::reserve(&kernel, *address)
        }
        HostStep::RemovePartitions { gpu, address, scheme, count } => {
            kernel.refuse_another_gpu(Verb::Remove, *address, gpu)?;
            scheme::of(*scheme).remove(&kernel, Target { id: gpu, address: *address }, *count)
        }
        HostStep::CreatePartitions { gpu, address, scheme, split } => {
            kernel.refuse_another_gpu(Verb::Create, *address, gpu)?;
            let (mechanism, target) = (scheme::of(*scheme), Target { id: gpu, address: *address });
            match split {
                Split::Equal(count) => mechanism.create(&kernel, target, *count),
                Split::Sizes(sizes) => mechanism.create_sizes(&kernel, target, *sizes),
            }
        }
        HostStep::TurnOff { gpu, address, scheme } => {
            kernel.refuse_another_gpu(Verb::Disable, *address, gpu)?;
            scheme::of(*scheme).turn_off(&kernel, Target { id: gpu, address: *address })
        }
        HostStep::PreparePartition { partition, address, scheme } => {
            scheme::of(*scheme).prepare(&kernel, partition, *address)
        }
        HostStep::CleanPartition { partition, address, scheme } => {
            scheme::of(*scheme).clean(&kernel, partition, *address)
        }
        HostStep::GiveGpu { gpu, address, functions } => whole::give(&kernel, gpu, *address, functions),
        HostStep::TakeGpuBack { gpu, address, functions } => {
            whole::take_back(&kernel, gpu, *address, functions)
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole_tests;
