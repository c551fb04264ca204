//! Types of different sizes on one GPU. The driver mixes them only after it was told to, while nothing is
//! made, and until its functions are off; then each needs a place that it finds by itself. Which sizes fit
//! together is not known here.
//!
//! ```text
//! functions on ─▶ vgpu -shm 1 ─▶ a type of its size on each function        all off: equal ones again
//! ```
//!
//! A type's name tells its memory; its size is the count of which so much memory fits so often. What is
//! on offer tells the type of equal partitions, and only NVIDIA's program those of different ones.

use divvy_core::catalogue::{self, CatalogueEntry};
use divvy_core::gpu::{PartitionCount, Scheme, ValidPartitionCounts};
use divvy_core::pci_address::PciAddress;
use divvy_core::split::Sizes;
use divvy_core::step::Outcome;

use super::{Seen, by_size, made_within, split_of};
use crate::attribute::{self, optional};
use crate::error::{HostError, Verb};
use crate::execute::kernel::Kernel;
use crate::paths;
use crate::pci;
use crate::scheme::nvidia::modes::Modes;
use crate::scheme::nvidia::types::{self, Type};
use crate::scheme::nvidia::{self, enable};
use crate::scheme::{Gpu, Split, catalogue_counts};
use crate::sysfs::Sysfs;

/// Which size a type has on one GPU.
struct Measure {
    whole_gib: u32,
    valid: ValidPartitionCounts,
}

impl Measure {
    fn of(entry: Option<&CatalogueEntry>, total: u16, types: &[Type]) -> Option<Self> {
        let whole_gib = nvidia::whole_gib(entry, types)?;
        Some(Self { whole_gib, valid: catalogue_counts(entry, nvidia::most(total)) })
    }

    fn size(&self, one: &Type) -> Option<PartitionCount> {
        nvidia::sized_for(&self.valid, nvidia::fits(one.gib, self.whole_gib))
    }
}

/// The split with the size of each partition, where that is told.
pub fn told(sys: &dyn Sysfs, gpu: &Gpu, seen: Seen, modes: Option<&Modes>) -> Split {
    let Seen { parts, made, offered } = seen;
    let mut split = split_of(gpu, parts, &made, &offered);
    // More than can be of different sizes are equal, whatever room they leave.
    if made.is_empty() || made.len() > Sizes::MOST {
        return split;
    }
    let is_one_type = made.iter().all(|id| made.first() == Some(id));
    let asked = modes.filter(|_| !is_one_type).map(|modes| modes.types(sys, gpu)).unwrap_or_default();
    let types = if is_one_type { &offered } else { &*asked };
    let Some(measure) = Measure::of(gpu.entry, gpu.total, types) else { return split };
    for (part, id) in split.parts.iter_mut().zip(&made) {
        let Some(own) = types.iter().find(|one| one.id == *id) else { continue };
        part.size = measure.size(own);
        part.memory_bytes = Some(u64::from(own.gib) << 30);
    }
    split.sizes_on_offer = offered.iter().filter_map(|one| measure.size(one)).collect();
    split.sizes_on_offer.sort_unstable();
    split.sizes_on_offer.dedup();
    split
}

pub fn create(kernel: &Kernel<'_>, gpu: PciAddress, sizes: Sizes) -> Result<Outcome, HostError> {
    let functions = enable::functions(kernel, gpu)?;
    // Only now the driver tells which interface it has.
    let interface = functions.values().find_map(|function| nvidia::interface(kernel.sys, *function));
    if interface == Some(Scheme::NvidiaMdev) {
        return Err(HostError::EqualOnly { address: gpu });
    }
    let made = made_within(kernel, gpu, &functions, sizes.count().get())?;
    let address = gpu.to_string();
    let told = nvidia::said(kernel, &nvidia::types_question(&address))?;
    let types = types::parse_of_whole_gpu(&told);
    let measure = measure(kernel, gpu, &types)?;
    let are_different = sizes.iter().any(|size| Some(size) != sizes.iter().next());
    let begins_to_mix = made.is_empty() && are_different;
    if begins_to_mix {
        kernel.run_to_success(Verb::Size, paths::NVIDIA_SMI, &["vgpu", "-i", &address, "-shm", "1"])?;
    }
    let own = |size| types::best_first(types.iter().filter(|one| measure.size(one) == Some(size)));
    let outcome = by_size::give(kernel, &functions, &made, sizes, own);
    if outcome.is_err() && begins_to_mix {
        // Nothing shows that the driver mixes, so whoever goes on from here could not end it. Why this
        // failed is told by what failed before.
        let _ = enable::off_with_all(kernel, Verb::Disable, gpu);
    }
    outcome
}

fn measure(kernel: &Kernel<'_>, gpu: PciAddress, types: &[Type]) -> Result<Measure, HostError> {
    let verb = Verb::Size;
    let numbers = kernel.look(verb, pci::numbers(kernel.sys, gpu))?;
    let entry = catalogue::find(numbers.vendor, numbers.device, numbers.subsystem_device);
    let total = kernel.look(verb, optional(attribute::decimal(kernel.sys, &paths::total_vfs(gpu))))?;
    Measure::of(entry, total.unwrap_or(0), types).ok_or_else(|| HostError::NoType {
        path: format!("{} vgpu -s -v", paths::NVIDIA_SMI),
        count: 1,
        offered: "none".to_owned(),
    })
}

#[cfg(test)]
mod tests;
