//! Giving types by size: each function gets the best type of the size that its index has, so that a
//! partition has the same size after every boot. Which types are of a size, the interfaces know that split
//! a GPU into different ones.

use std::collections::BTreeMap;

use divvy_core::gpu::PartitionCount;
use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;
use divvy_core::split::Sizes;
use divvy_core::step::Outcome;

use super::{Functions, set};
use crate::error::{HostError, Verb};
use crate::execute::kernel::Kernel;
use crate::paths;
use crate::scheme::nvidia::types::{self, Type};

/// Gives each function that has none the best type of its size. `own`: the types of a size, best first.
pub(crate) fn give<'a>(
    kernel: &Kernel<'_>,
    functions: &Functions,
    made: &BTreeMap<PartitionIndex, u32>,
    sizes: Sizes,
    own: impl Fn(PartitionCount) -> Vec<&'a Type>,
) -> Result<Outcome, HostError> {
    let mut outcome = Outcome::Already;
    for ((index, function), size) in functions.iter().zip(sizes.iter()) {
        let own = own(size);
        match made.get(index) {
            Some(id) if own.iter().any(|one| one.id == *id) => {}
            Some(id) => {
                let (path, expected) = (paths::current_type(*function), types::names(own));
                return Err(HostError::OtherSize { path, expected, found: id.to_string() });
            }
            None => {
                give_one(kernel, *function, &own, size)?;
                outcome = Outcome::Changed;
            }
        }
    }
    Ok(outcome)
}

/// The best that this function offers.
fn give_one(
    kernel: &Kernel<'_>,
    function: PciAddress,
    own: &[&Type],
    size: PartitionCount,
) -> Result<(), HostError> {
    let path = paths::creatable_types(function);
    let offered = types::parse_list(&kernel.look(Verb::Create, kernel.text(&path))?);
    match own.iter().find(|one| offered.iter().any(|other| other.id == one.id)) {
        Some(best) => set(kernel, Verb::Size, function, best.id),
        None => Err(HostError::NoType { path, count: size.get(), offered: types::names(&offered) }),
    }
}
