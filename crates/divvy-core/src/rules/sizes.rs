//! Partitions of different sizes: only where somebody asks for them, only by a scheme whose driver can,
//! only if they fit together. Where nobody knows what fits, the shares must not exceed the GPU, and the
//! driver has the last word. Whether those that are there are those that were asked for is asked here
//! too; what is not told is never taken for another size.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::catalogue;
use crate::desired::{DesiredServer, PartitionSetting};
use crate::gpu::{PartitionCount, Scheme};
use crate::id::PartitionIndex;
use crate::observed::ObservedGpu;
use crate::refusal::{Refusal, SizesRefusal};
use crate::rules::valid_count;
use crate::split::{Sizes, Split, typed};

/// What a list of sizes makes of this GPU, if it may be split so.
pub fn check(gpu: &ObservedGpu, sizes: &[u16]) -> Result<Split, Refusal> {
    let mut counts: Vec<PartitionCount> =
        sizes.iter().filter_map(|size| PartitionCount::new(*size)).collect();
    counts.sort_unstable();
    let split = Split::of_sizes(counts.clone());
    if let (Ok(Split::Equal(count)), true) = (split, counts.len() == sizes.len()) {
        return valid_count::check(gpu, count.get()).map(Split::Equal);
    }
    if let Some(why) = why_not_possible(gpu) {
        let (gpu, valid) = (gpu.id.clone(), gpu.valid_counts.clone());
        return Err(SizesRefusal::NotPossible { gpu, why, valid }.into());
    }
    for size in sizes {
        valid_count::check(gpu, *size)?;
    }
    match split {
        Ok(split) if fit(gpu, &counts) => Ok(split),
        _ => Err(SizesRefusal::DoNotFit {
            gpu: gpu.id.clone(),
            model: gpu.model.to_string(),
            sizes: typed(counts.iter().copied()),
            fit: some_that_fit(gpu, &counts),
        }
        .into()),
    }
}

fn why_not_possible(gpu: &ObservedGpu) -> Option<String> {
    match gpu.scheme {
        Some(scheme) if scheme.takes_sizes() => None,
        Some(scheme) => Some(format!("with the scheme {scheme} Divvy makes only equal partitions")),
        None => Some("its driver makes no partitions now".to_string()),
    }
}

fn fit(gpu: &ObservedGpu, sizes: &[PartitionCount]) -> bool {
    if sizes.len() > usize::from(gpu.max_partitions) || sizes.len() > Sizes::MOST {
        return false;
    }
    let known = |entry| match gpu.scheme {
        Some(Scheme::NvidiaMig) => catalogue::parts_fit(entry, sizes),
        Some(Scheme::NvidiaVfio) => catalogue::turns_fit(entry, sizes),
        _ => None,
    };
    catalogue::of_model(&gpu.model).and_then(known).unwrap_or_else(|| shares_fit(sizes))
}

/// Whether the shares make up no more than the whole.
fn shares_fit(sizes: &[PartitionCount]) -> bool {
    let sizes = || sizes.iter().map(|size| u128::from(size.get()));
    let whole = sizes().try_fold(1_u128, |whole, size| whole.checked_mul(size / gcd(whole, size)));
    let Some(whole) = whole else { return false };
    let sum = sizes().try_fold(0_u128, |sum, size| sum.checked_add(whole / size));
    sum.is_some_and(|sum| sum <= whole)
}

fn gcd(one: u128, other: u128) -> u128 {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// As many of them as fit, the largest first, as an option.
fn some_that_fit(gpu: &ObservedGpu, sizes: &[PartitionCount]) -> Option<String> {
    let mut kept = Vec::new();
    for size in sizes {
        kept.push(*size);
        if !fit(gpu, &kept) {
            kept.pop();
        }
    }
    Split::of_sizes(kept).ok().map(|split| split.as_option())
}

/// How the GPU is split now, as far as is told; None: it is not, or it cannot be told.
pub fn seen(gpu: &ObservedGpu) -> Option<Split> {
    let count = gpu.partition_count.and_then(PartitionCount::new)?;
    let size = |index| gpu.partition(PartitionIndex(index))?.size;
    let told: Option<Vec<PartitionCount>> = (0..count.get()).map(size).collect();
    let told = told.filter(|sizes| sizes.iter().any(|size| *size != count));
    let sizes = told.and_then(|sizes| Sizes::try_from(sizes).ok());
    Some(sizes.map_or(Split::Equal(count), Split::Sizes))
}

/// What is kept from now on of partitions that were made by another hand.
pub fn adopted(gpu: &ObservedGpu) -> Result<PartitionSetting, String> {
    let setting = PartitionSetting::of(seen(gpu)).by(gpu.scheme);
    match has(setting, gpu) {
        Ok(true) => Ok(setting),
        _ => {
            Err("its partitions were made by another hand, in sizes that no partition count has".to_string())
        }
    }
}

/// Whether its partitions are of different sizes.
pub fn are_different(gpu: &ObservedGpu) -> bool {
    let mut told = gpu.partitions.iter().filter_map(|partition| partition.size);
    told.next().is_some_and(|first| told.any(|size| size != first))
}

/// Whether the GPU has the partitions that were asked for, in number and in size. An error: what is told
/// does not say so.
pub fn has(setting: PartitionSetting, gpu: &ObservedGpu) -> Result<bool, String> {
    if gpu.partition_count != Some(setting.as_number()) {
        return Ok(false);
    }
    let Some(split) = setting.split() else { return Ok(true) };
    let mut is_told = true;
    for partition in &gpu.partitions {
        match partition.size {
            Some(size) if split.size_of(partition.index).is_some_and(|asked| asked != size) => {
                return Ok(false);
            }
            Some(_) => {}
            None => is_told = false,
        }
    }
    match split {
        Split::Sizes(_) if !is_told => Err("the sizes of its partitions cannot be told".to_string()),
        Split::Sizes(_) | Split::Equal(_) => Ok(true),
    }
}

/// Whether the GPU may be used as it is, as far as its partitions go.
pub fn holds(desired: &DesiredServer, gpu: &ObservedGpu) -> Result<(), String> {
    let Some(setting) = desired.settings.get(&gpu.id) else { return Ok(()) };
    match (has(*setting, gpu)?, gpu.partition_count) {
        (true, _) => Ok(()),
        (false, Some(number)) if number == setting.as_number() => {
            Err("its partitions have other sizes than asked for".to_string())
        }
        (false, Some(number)) => {
            Err(format!("it has {number} partitions and is on the way to {}", setting.as_number()))
        }
        (false, None) => Err("its partition count cannot be read".to_string()),
    }
}

/// Whether those that are there can stay as they are, and only others are missing that can be made now.
pub fn only_some_are_missing(split: Split, gpu: &ObservedGpu) -> bool {
    let count = split.count();
    if gpu.partition_count.is_none_or(|has| has >= count.get()) {
        return false;
    }
    if split == Split::Equal(count) && gpu.sized_for == Some(count) {
        return true;
    }
    let is_right = |index, size: Option<PartitionCount>| size.is_some() && size == split.size_of(index);
    let can_be_made =
        |index: PartitionIndex| split.size_of(index).is_some_and(|size| gpu.sizes_on_offer.contains(&size));
    gpu.partitions.iter().all(|partition| is_right(partition.index, partition.size))
        && (0..count.get())
            .map(PartitionIndex)
            .all(|index| gpu.partition(index).is_some() || can_be_made(index))
}

#[cfg(test)]
mod tests;
