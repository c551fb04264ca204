//! NVIDIA's MIG: hardware cuts the GPU into parts of their own compute and memory, and a partition is a
//! type on a virtual function, as in `nvidia_vfio`, that takes one part. The order is forced: a mode does
//! not change while there are functions, parts do not survive the making of functions, and no type is
//! offered without a part.
//!
//! ```text
//! mode on ─▶ functions on ─▶ a part for each partition ─▶ a type on as many functions
//! ```
//!
//! Parts never survive a boot, and with Hopper and later the mode does not either; so all of it is done
//! again whenever partitions are made.

use divvy_core::catalogue;
use divvy_core::gpu::{PartitionCount, ValidPartitionCounts};
use divvy_core::id::PartitionId;
use divvy_core::pci_address::PciAddress;
use divvy_core::split::Sizes;
use divvy_core::step::Outcome;

use super::nvidia::modes::{self, Mode, Modes};
use super::nvidia::types::Type;
use super::nvidia::{self, enable};
use super::nvidia_vfio::{self, NvidiaVfio};
use super::{Gpu, Mechanism, Split, Target};
use crate::attribute::{AttributeError, parse_decimal};
use crate::error::{HostError, Verb};
use crate::execute::kernel::Kernel;
use crate::paths;
use crate::sysfs::Sysfs;

mod kinds;
mod sizes;

pub use kinds::Kinds;

pub(crate) struct NvidiaMig;

impl Mechanism for NvidiaMig {
    fn look(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError> {
        look(sys, gpu, None)
    }

    fn create(
        &self,
        kernel: &Kernel<'_>,
        gpu: Target<'_>,
        count: PartitionCount,
    ) -> Result<Outcome, HostError> {
        turn_on(kernel, gpu.address)?;
        let functions = enable::functions(kernel, gpu.address)?;
        if nvidia_vfio::made(kernel, Verb::Create, &functions)?.is_empty() {
            clear(kernel, Verb::Create, gpu.address)?;
            cut(kernel, gpu.address, count)?;
        }
        nvidia_vfio::create(kernel, gpu.address, &functions, count, part_types)
    }

    fn create_sizes(&self, kernel: &Kernel<'_>, gpu: Target<'_>, sizes: Sizes) -> Result<Outcome, HostError> {
        sizes::create(kernel, gpu.address, sizes)
    }

    fn remove(&self, kernel: &Kernel<'_>, gpu: Target<'_>, expected: u16) -> Result<Outcome, HostError> {
        let outcome = nvidia_vfio::remove_types(kernel, gpu.address, expected)?;
        if outcome == Outcome::Changed {
            clear(kernel, Verb::Remove, gpu.address)?;
        }
        Ok(outcome)
    }

    fn turn_off(&self, kernel: &Kernel<'_>, gpu: Target<'_>) -> Result<Outcome, HostError> {
        enable::off(kernel, Verb::Disable, gpu.address)
    }

    fn prepare(
        &self,
        kernel: &Kernel<'_>,
        partition: &PartitionId,
        address: PciAddress,
    ) -> Result<Outcome, HostError> {
        NvidiaVfio.prepare(kernel, partition, address)
    }

    fn clean(
        &self,
        kernel: &Kernel<'_>,
        partition: &PartitionId,
        address: PciAddress,
    ) -> Result<Outcome, HostError> {
        NvidiaVfio.clean(kernel, partition, address)
    }
}

/// Of a model that the catalogue does not know, NVIDIA's program tells the counts; of every model, which
/// size a partition has. Without `modes` nobody asks it.
pub(crate) fn look(sys: &dyn Sysfs, gpu: &Gpu, modes: Option<&Modes>) -> Result<Split, AttributeError> {
    let seen = nvidia_vfio::seen(sys, gpu, part_types)?;
    let known = gpu.entry.and_then(catalogue::mig_partition_counts);
    let told = || modes.and_then(|modes| modes.part_counts(sys, gpu));
    let counts = known.or_else(told).unwrap_or_else(ValidPartitionCounts::none);
    let within = counts.as_slice().iter().filter(|count| count.get() <= gpu.total).copied().collect();
    let valid_counts = ValidPartitionCounts::new(within, counts.source());
    let kinds =
        modes.filter(|_| !seen.made.is_empty()).map(|modes| modes.kinds(sys, gpu)).unwrap_or_default();
    let is_unclear = kinds.is_unclear(&seen.made, &valid_counts);
    let size = |id| kinds.size(id, valid_counts.as_slice()).filter(|_| !is_unclear);
    let mut on_offer: Vec<PartitionCount> = seen.offered.iter().filter_map(|one| size(one.id)).collect();
    on_offer.sort_unstable();
    on_offer.dedup();
    let nvidia_vfio::Seen { parts, made, offered } = seen;
    let mut split = nvidia_vfio::split_of(gpu, parts, &made, &offered);
    let has_free_part = split.parts.iter().any(|part| part.memory_bytes.is_some());
    for (part, id) in split.parts.iter_mut().zip(made) {
        part.size = size(id);
        let told = kinds.of_type(id).map(|one| u64::from(one.gib) << 30);
        part.memory_bytes = told.or(part.memory_bytes);
    }
    let first = split.parts.first().and_then(|part| part.size);
    let sized_for = match first {
        Some(size) if split.parts.iter().all(|part| part.size == first) => {
            Some(size).filter(|size| on_offer.contains(size))
        }
        Some(_) => None,
        // Nobody told. The size is known where their type is on offer once more: a part is free for it.
        None => {
            let mut counts = valid_counts.as_slice().iter();
            let more = counts.find(|count| split.count.is_some_and(|made| made < count.get()));
            more.copied().filter(|_| has_free_part)
        }
    };
    Ok(Split {
        sized_for,
        sizes_on_offer: on_offer,
        valid_counts,
        most: gpu.total,
        difference: None,
        ..split
    })
}

/// Types that take a part. All parts are equal, so each type fits each of them once.
fn part_types(types: Vec<Type>) -> Vec<Type> {
    let on_part = types.into_iter().filter(|one| one.part.is_some());
    on_part.map(|one| Type { most: Some(u16::MAX), ..one }).collect()
}

fn mode(kernel: &Kernel<'_>, gpu: PciAddress) -> Result<Option<Mode>, HostError> {
    let said = kernel.run_to_success(Verb::Enable, paths::NVIDIA_SMI, &modes::question(&gpu.to_string()))?;
    Ok(modes::parse(&said.text).map(|told| told.mig))
}

/// The mode, with the functions off meanwhile if they are in the way.
fn turn_on(kernel: &Kernel<'_>, gpu: PciAddress) -> Result<(), HostError> {
    let verb = Verb::Enable;
    if mode(kernel, gpu)? == Some(Mode::On) {
        return Ok(());
    }
    kernel.refuse_if_any_open(verb, gpu)?;
    enable::off(kernel, verb, gpu)?;
    kernel.run_to_success(verb, paths::NVIDIA_SMI, &["-i", &gpu.to_string(), "-mig", "1"])?;
    if mode(kernel, gpu)? == Some(Mode::On) {
        return Ok(());
    }
    let what =
        format!("the MIG mode of {gpu} is still off; some GPUs turn it on at the next boot of the server");
    Err(HostError::NotSettled { verb, what, waited_ms: 0 })
}

/// Takes all parts away. That there are none is an error of the program and none of ours; parts that
/// stay make the cutting fail.
fn clear(kernel: &Kernel<'_>, verb: Verb, gpu: PciAddress) -> Result<(), HostError> {
    for what in ["-dci", "-dgi"] {
        kernel.run(verb, paths::NVIDIA_SMI, &["mig", "-i", &gpu.to_string(), what])?;
    }
    Ok(())
}

/// Cuts as many equal parts as partitions are wanted.
fn cut(kernel: &Kernel<'_>, gpu: PciAddress, count: PartitionCount) -> Result<(), HostError> {
    let gpu = gpu.to_string();
    let listed = profiles(&nvidia::said(kernel, &nvidia::parts_question(&gpu))?);
    let Some(profile) = best(&listed, count.get()) else {
        let names: Vec<&str> = listed.iter().map(|profile| profile.name.as_str()).collect();
        let path = format!("{} mig -lgip", paths::NVIDIA_SMI);
        return Err(HostError::NoType { path, count: count.get(), offered: names.join(", ") });
    };
    let ids = vec![profile.id.to_string(); usize::from(count.get())].join(",");
    let args = ["mig", "-i", &gpu, "-cgi", &ids, "-C"];
    kernel.run_to_success(Verb::Size, paths::NVIDIA_SMI, &args).map(|_| ())
}

/// A size of part.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub name: String,
    pub id: u32,
    pub most: u16,
    /// Memory in hundredths of GiB, then compute.
    pub size: (u64, u64),
}

impl Profile {
    /// No more and no fewer engines for media than its share: `1g.24gb`, not `1g.24gb+me` or `1g.24gb-me`.
    fn is_plain(&self) -> bool {
        !self.name.contains(['+', '-'])
    }
}

/// The rows of the program's table: `|   0  MIG 1g.12gb   19   7/7   10.62   No   16   1   0   |`.
pub fn profiles(text: &str) -> Vec<Profile> {
    let row = |line: &str| {
        let words: Vec<&str> =
            line.split(|c: char| c == '|' || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
        let at = words.iter().position(|word| *word == "MIG")?;
        let [name, id, number, memory, _, compute, ..] = words.get(at + 1..)? else { return None };
        let (whole, part) = memory.split_once('.').unwrap_or((memory, "0"));
        let hundredths = parse_decimal::<u64>(whole)?.checked_mul(100)?;
        let part: u64 = parse_decimal(part.get(..2).unwrap_or(part))?;
        Some(Profile {
            name: (*name).to_owned(),
            id: parse_decimal(id)?,
            most: parse_decimal(number.split_once('/')?.1)?,
            size: (hundredths.saturating_add(part), parse_decimal(compute)?),
        })
    };
    text.lines().filter_map(row).collect()
}

/// The largest of which there can be so many. Those with the engines for media are for one partition
/// alone, and never needed for equal ones.
pub fn best(profiles: &[Profile], count: u16) -> Option<&Profile> {
    let fits = |profile: &&Profile| profile.most >= count && profile.is_plain();
    profiles.iter().filter(fits).max_by_key(|profile| profile.size)
}

/// The number of parts of each size that fill the GPU.
pub(super) fn counts_of(profiles: &[Profile]) -> Vec<PartitionCount> {
    let plain = profiles.iter().filter(|profile| profile.is_plain());
    plain.filter_map(|profile| PartitionCount::new(profile.most)).collect()
}

#[cfg(test)]
mod tests;
