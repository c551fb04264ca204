//! NVIDIA's own VFIO: a virtual function becomes a partition when a type is written into it. It stays on
//! NVIDIA's driver, and a VM gets it as it is: `vfio-pci` would not take it, and once it has left its
//! driver, it does not come back.
//!
//! ```text
//! function ── type ─▶ partition: current_vgpu_type reads the type
//!          ◀── 0 ───  no partition; all sizes are on offer again when the last one is gone
//! ```
//!
//! The first partition fixes the size of all others of its GPU, so a new size begins with no partition;
//! unless the driver was told to mix them (`sizes.rs`).

use std::collections::BTreeMap;

use divvy_core::gpu::{PartitionCount, Scheme, ValidPartitionCounts};
use divvy_core::id::{PartitionId, PartitionIndex};
use divvy_core::pci_address::PciAddress;
use divvy_core::split::Sizes;
use divvy_core::step::Outcome;

use super::nvidia::modes::Modes;
use super::nvidia::types::{self, Type};
use super::nvidia::{self, DRIVER, enable};
use super::nvidia_mdev::NvidiaMdev;
use super::{Gpu, Mechanism, Part, Split, Target, catalogue_counts};
use crate::attribute::{self, AttributeError, optional};
use crate::error::{HostError, Verb};
use crate::execute::kernel::{Kernel, another_count, refuse_another_count};
use crate::execute::partition::refuse_moved;
use crate::paths;
use crate::sysfs::Sysfs;
use crate::vfio;

pub(crate) mod by_size;
mod sizes;

/// Where no type is.
const NONE: u32 = 0;

pub(crate) struct NvidiaVfio;

type Functions = BTreeMap<PartitionIndex, PciAddress>;

impl Mechanism for NvidiaVfio {
    fn look(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError> {
        look(sys, gpu, None)
    }

    fn create(
        &self,
        kernel: &Kernel<'_>,
        gpu: Target<'_>,
        count: PartitionCount,
    ) -> Result<Outcome, HostError> {
        let functions = enable::functions(kernel, gpu.address)?;
        // Only now the driver tells which interface it has.
        let interface = functions.values().find_map(|function| nvidia::interface(kernel.sys, *function));
        if interface == Some(Scheme::NvidiaMdev) {
            return NvidiaMdev::OnFunctions.create_on_parents(kernel, gpu, count);
        }
        create(kernel, gpu.address, &functions, count, whole_gpu_types)
    }

    fn create_sizes(&self, kernel: &Kernel<'_>, gpu: Target<'_>, sizes: Sizes) -> Result<Outcome, HostError> {
        sizes::create(kernel, gpu.address, sizes)
    }

    /// The driver goes on mixing sizes until its functions are off, and equal ones lack room then.
    fn remove(&self, kernel: &Kernel<'_>, gpu: Target<'_>, expected: u16) -> Result<Outcome, HostError> {
        let verb = Verb::Remove;
        let made = made(kernel, verb, &kernel.partitions(verb, gpu.address)?)?;
        if made.values().all(|id| made.values().next() == Some(id)) {
            return remove_types(kernel, gpu.address, expected);
        }
        refuse_another_count(verb, &paths::device(gpu.address), expected, made.len())?;
        enable::off_with_all(kernel, verb, gpu.address)
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
        let verb = Verb::Prepare;
        refuse_moved(kernel, verb, partition, address)?;
        let mut outcome = Outcome::Already;
        let kept_for = kernel.look(verb, vfio::driver_override(kernel.sys, address))?;
        if kept_for.is_some_and(|name| name != DRIVER) {
            kernel.write(Verb::Override, &paths::driver_override(address), DRIVER)?;
            outcome = Outcome::Changed;
        }
        let driver = kernel.look(verb, vfio::driver(kernel.sys, address))?;
        if driver.as_deref() == Some(DRIVER) {
            return Ok(outcome);
        }
        // It does not come back by a probe.
        let what = format!(
            "{address} has left NVIDIA's driver; it comes back when the partition count is set to none and anew"
        );
        Err(HostError::NotSettled { verb, what, waited_ms: 0 })
    }

    /// A reset leaves the type's memory as it was; without the type there is no memory, and the driver
    /// clears what it gives out.
    fn clean(
        &self,
        kernel: &Kernel<'_>,
        partition: &PartitionId,
        address: PciAddress,
    ) -> Result<Outcome, HostError> {
        let verb = Verb::Renew;
        refuse_moved(kernel, verb, partition, address)?;
        let path = paths::current_type(address);
        let id = kernel.look(verb, type_in(&path, kernel.text(&path)))?;
        if id == NONE {
            // It is made anew by the next plan, and cleaned then.
            let cause = AttributeError::malformed(&path, "0", "the type of a partition");
            return Err(HostError::Unreadable { verb, cause });
        }
        kernel.refuse_if_open(verb, &[address.into()])?;
        set(kernel, verb, address, NONE)?;
        set(kernel, verb, address, id)?;
        kernel.refuse_lost(verb, address)?;
        Ok(Outcome::Changed)
    }
}

/// Without `modes` nobody asks NVIDIA's program which type has which size.
pub(crate) fn look(sys: &dyn Sysfs, gpu: &Gpu, modes: Option<&Modes>) -> Result<Split, AttributeError> {
    let seen = seen(sys, gpu, whole_gpu_types)?;
    Ok(sizes::told(sys, gpu, seen, modes))
}

/// What the functions show.
pub(crate) struct Seen {
    pub parts: Vec<Part>,
    /// Of each of these, the number of its type.
    pub made: Vec<u32>,
    /// What a function without a type could get, as far as it is usable.
    pub offered: Vec<Type>,
}

/// The functions, those with a type as partitions; `usable` leaves the types that there are to choose from.
pub(crate) fn seen(
    sys: &dyn Sysfs,
    gpu: &Gpu,
    usable: fn(Vec<Type>) -> Vec<Type>,
) -> Result<Seen, AttributeError> {
    nvidia::wait_for_changes(sys, gpu)?;
    let functions = vfio::partitions(sys, gpu.address)?;
    let mut parts = Vec::new();
    let mut made: Vec<u32> = Vec::new();
    let mut offered = Vec::new();
    for (index, address) in functions {
        // A function that its driver has not taken yet shows nothing.
        match optional(current(sys, address, gpu))?.unwrap_or(NONE) {
            NONE if offered.is_empty() => offered = usable(listed(sys, address, gpu)?),
            NONE => {}
            id => {
                made.push(id);
                parts.push(Part { index, address, device: address.into(), memory_bytes: None, size: None });
            }
        }
    }
    Ok(Seen { parts, made, offered })
}

/// `made` and `offered` as they were seen.
pub(crate) fn split_of(gpu: &Gpu, mut parts: Vec<Part>, made: &[u32], offered: &[Type]) -> Split {
    // With partitions there, only their own size is offered.
    let (valid_counts, difference) = if made.is_empty() {
        nvidia::counts_of_names(gpu.entry, offered, gpu.total)
    } else {
        (catalogue_counts(gpu.entry, nvidia::most(gpu.total)), None)
    };
    let size = offered.iter().find(|one| made.first() == Some(&one.id)).map(|one| one.gib);
    parts.iter_mut().for_each(|part| part.memory_bytes = size.map(|gib| u64::from(gib) << 30));
    let is_one_type = made.iter().all(|id| made.first() == Some(id));
    Split {
        count: u16::try_from(parts.len()).ok(),
        unreadable: None,
        sized_for: size.filter(|_| is_one_type).and_then(|gib| sized_for(gpu, gib, &valid_counts)),
        sizes_on_offer: Vec::new(),
        parts,
        valid_counts,
        most: nvidia::most(gpu.total),
        contradiction: None,
        difference,
    }
}

/// Types that do not need the GPU to be cut into parts.
fn whole_gpu_types(types: Vec<Type>) -> Vec<Type> {
    types.into_iter().filter(|one| one.part.is_none()).collect()
}

fn sized_for(gpu: &Gpu, gib: u32, valid: &ValidPartitionCounts) -> Option<PartitionCount> {
    let whole = nvidia::whole_gib(gpu.entry, &[])?;
    nvidia::sized_for(valid, nvidia::fits(gib, whole))
}

/// Takes the types off all functions, which stay.
pub(crate) fn remove_types(
    kernel: &Kernel<'_>,
    gpu: PciAddress,
    expected: u16,
) -> Result<Outcome, HostError> {
    let verb = Verb::Remove;
    let functions = kernel.partitions(verb, gpu)?;
    let made = made(kernel, verb, &functions)?;
    if made.is_empty() {
        return Ok(Outcome::Already);
    }
    refuse_another_count(verb, &paths::device(gpu), expected, made.len())?;
    kernel.refuse_if_any_open(verb, gpu)?;
    for function in made.keys().rev().filter_map(|index| functions.get(index)) {
        match set(kernel, verb, *function, NONE) {
            Err(error) if enable::is_wedged(&error) => {
                return enable::off_with_all(kernel, verb, gpu);
            }
            result => result?,
        }
    }
    Ok(Outcome::Changed)
}

/// Gives the first functions a type each: the one that the others have, or else the best of those that
/// `usable` leaves.
pub(crate) fn create(
    kernel: &Kernel<'_>,
    gpu: PciAddress,
    functions: &Functions,
    count: PartitionCount,
    usable: fn(Vec<Type>) -> Vec<Type>,
) -> Result<Outcome, HostError> {
    let asked = count.get();
    let made = made_within(kernel, gpu, functions, asked)?;
    let missing: Vec<PciAddress> = functions
        .iter()
        .filter(|(index, _)| index.0 < asked && !made.contains_key(index))
        .map(|(_, function)| *function)
        .collect();
    let Some(first) = missing.first() else { return Ok(Outcome::Already) };
    let id = match made.iter().next() {
        Some((index, id)) => {
            refuse_other_types(functions, &made, *index)?;
            *id
        }
        None => best(kernel, *first, asked, usable)?,
    };
    for function in &missing {
        set(kernel, Verb::Size, *function, id)?;
    }
    Ok(Outcome::Changed)
}

/// Somebody made partitions of several sizes; which of them is meant is not for a step to choose.
fn refuse_other_types(
    functions: &Functions,
    made: &BTreeMap<PartitionIndex, u32>,
    first: PartitionIndex,
) -> Result<(), HostError> {
    let expected = made.get(&first).copied().unwrap_or(NONE);
    let Some((index, found)) = made.iter().find(|(_, id)| **id != expected) else { return Ok(()) };
    let path = functions.get(index).map(|function| paths::current_type(*function)).unwrap_or_default();
    let (expected, found) = (expected.to_string(), found.to_string());
    Err(HostError::OtherType { verb: Verb::Create, path, expected, found })
}

/// The type for so many equal partitions, of those that an empty function offers.
fn best(
    kernel: &Kernel<'_>,
    function: PciAddress,
    count: u16,
    usable: fn(Vec<Type>) -> Vec<Type>,
) -> Result<u32, HostError> {
    let path = paths::creatable_types(function);
    let text = kernel.look(Verb::Create, kernel.text(&path))?;
    let offered = usable(types::parse_list(&text));
    let whole = offered.iter().map(|one| one.gib).max().unwrap_or(0);
    match types::best(&offered, count, whole) {
        Some(best) => Ok(best.id),
        None => Err(HostError::NoType { path, count, offered: types::names(&offered) }),
    }
}

/// The same, of so many functions as are asked for, which are there; no others are partitions.
pub(crate) fn made_within(
    kernel: &Kernel<'_>,
    gpu: PciAddress,
    functions: &Functions,
    asked: u16,
) -> Result<BTreeMap<PartitionIndex, u32>, HostError> {
    let verb = Verb::Create;
    let came = u16::try_from(functions.len()).unwrap_or(u16::MAX);
    if came < asked {
        return Err(HostError::TooFew { path: paths::num_vfs(gpu), asked, came });
    }
    let made = made(kernel, verb, functions)?;
    if made.keys().any(|index| index.0 >= asked) {
        return Err(another_count(verb, &paths::device(gpu), asked, made.len()));
    }
    Ok(made)
}

/// The types of those functions that are partitions.
pub(crate) fn made(
    kernel: &Kernel<'_>,
    verb: Verb,
    functions: &Functions,
) -> Result<BTreeMap<PartitionIndex, u32>, HostError> {
    let mut made = BTreeMap::new();
    for (index, function) in functions {
        let path = paths::current_type(*function);
        let id = kernel.look(verb, optional(type_in(&path, kernel.text(&path))))?.unwrap_or(NONE);
        if id != NONE {
            made.insert(*index, id);
        }
    }
    Ok(made)
}

pub(crate) fn set(kernel: &Kernel<'_>, verb: Verb, function: PciAddress, id: u32) -> Result<(), HostError> {
    kernel.write_and_read_back(verb, &paths::current_type(function), &id.to_string())
}

pub(crate) fn current(sys: &dyn Sysfs, function: PciAddress, gpu: &Gpu) -> Result<u32, AttributeError> {
    let path = paths::current_type(function);
    type_in(&path, attribute::text_within(sys, &path, gpu.deadline))
}

fn type_in(path: &str, text: Result<String, AttributeError>) -> Result<u32, AttributeError> {
    let text = text?;
    attribute::parse_decimal(&text).ok_or_else(|| AttributeError::malformed(path, &text, "a type's number"))
}

pub(crate) fn listed(sys: &dyn Sysfs, function: PciAddress, gpu: &Gpu) -> Result<Vec<Type>, AttributeError> {
    let path = paths::creatable_types(function);
    let text = optional(attribute::text_within(sys, &path, gpu.deadline))?;
    Ok(text.map(|text| types::parse_list(&text)).unwrap_or_default())
}

#[cfg(test)]
mod tests;
