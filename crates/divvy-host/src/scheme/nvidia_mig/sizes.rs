//! Parts of different sizes. They are cut at places that are found beforehand: the driver takes them one
//! after the other and would leave holes that the last one does not fit in.

use divvy_core::catalogue::{Extent, place};
use divvy_core::pci_address::PciAddress;
use divvy_core::split::Sizes;
use divvy_core::step::Outcome;

use super::kinds::{Kinds, extent};
use super::{clear, turn_on};
use crate::error::{HostError, Verb};
use crate::execute::kernel::Kernel;
use crate::paths;
use crate::scheme::nvidia::{enable, said};
use crate::scheme::nvidia_vfio::{by_size, made_within};

pub fn create(kernel: &Kernel<'_>, gpu: PciAddress, sizes: Sizes) -> Result<Outcome, HostError> {
    let verb = Verb::Create;
    turn_on(kernel, gpu)?;
    let functions = enable::functions(kernel, gpu)?;
    let made = made_within(kernel, gpu, &functions, sizes.count().get())?;
    let kinds = Kinds::ask(gpu, |question| said(kernel, question))?;
    if made.is_empty() {
        clear(kernel, verb, gpu)?;
        cut(kernel, gpu, &kinds, sizes)?;
    }
    by_size::give(kernel, &functions, &made, sizes, |size| kinds.types(size))
}

/// Cuts a part for each partition.
fn cut(kernel: &Kernel<'_>, gpu: PciAddress, kinds: &Kinds, sizes: Sizes) -> Result<(), HostError> {
    let gpu = gpu.to_string();
    let mut profiles = Vec::new();
    for size in sizes.iter() {
        let Some(profile) = kinds.profile(size) else {
            let path = format!("{} mig -lgip", paths::NVIDIA_SMI);
            return Err(HostError::NoType { path, count: size.get(), offered: kinds.names() });
        };
        profiles.push((size, profile.id));
    }
    // The largest first: where no places are told, that leaves the fewest holes.
    profiles.sort_unstable();
    let text = said(kernel, &["mig", "-i", &gpu, "-lgipp"])?;
    let extents: Option<Vec<Extent>> = profiles.iter().map(|(_, profile)| extent(&text, *profile)).collect();
    let words: Vec<String> = match extents.and_then(|extents| place(&extents)) {
        Some(starts) => {
            profiles.iter().zip(starts).map(|((_, profile), start)| format!("{profile}:{start}")).collect()
        }
        None => profiles.iter().map(|(_, profile)| profile.to_string()).collect(),
    };
    let args = ["mig", "-i", &gpu, "-cgi", &words.join(","), "-C"];
    kernel.run_to_success(Verb::Size, paths::NVIDIA_SMI, &args).map(|_| ())
}

#[cfg(test)]
mod tests;
