//! What the checks of all partitions of a GPU compare with, read once in a round of checks. A driver may
//! take its time to answer, and to say how many partitions there are it is asked about each of them.

use std::cell::OnceCell;

use divvy_core::observed::ObservedGpu;

use super::Settings;
use crate::attribute::AttributeError;
use crate::identity;
use crate::scheme;
use crate::sysfs::Sysfs;

/// One GPU in one round of checks. It is as old as the round: right before a partition goes into a VM
/// there is a new one.
pub struct GpuNow<'a> {
    pub sys: &'a dyn Sysfs,
    pub gpu: &'a ObservedGpu,
    pub settings: &'a Settings,
    contradiction: OnceCell<Option<String>>,
    count: OnceCell<Result<(Option<u16>, usize), AttributeError>>,
}

impl<'a> GpuNow<'a> {
    pub fn new(sys: &'a dyn Sysfs, gpu: &'a ObservedGpu, settings: &'a Settings) -> Self {
        Self { sys, gpu, settings, contradiction: OnceCell::new(), count: OnceCell::new() }
    }

    /// What speaks against it being that GPU.
    pub fn contradiction(&self) -> Option<&str> {
        let (gpu, deadline) = (self.gpu, self.settings.read_deadline);
        let look = || identity::contradiction(self.sys, gpu.address, &gpu.id, deadline);
        self.contradiction.get_or_init(look).as_deref()
    }

    /// How many partitions it says that it has, and how many it shows.
    pub fn count(&self) -> Result<(Option<u16>, usize), AttributeError> {
        let look = || scheme::count_now(self.sys, self.gpu, self.settings.read_deadline);
        self.count.get_or_init(look).as_ref().copied().map_err(AttributeError::again)
    }
}
