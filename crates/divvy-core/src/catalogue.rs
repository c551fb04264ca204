//! The models that Divvy knows, as data: what a driver cannot tell of itself before it is asked for
//! partitions. What the driver says wins over this. A file of `catalogue/` for each vendor; each entry
//! names where its counts come from, and none is guessed: where no source lists a model, the entry says
//! by which rule its counts follow from one that is listed.
//!
//! A count is listed only if the model has a size of partition that fits exactly so many times: each has
//! the same memory, and one more does not fit. Into how many a GPU is split is not known here.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::gpu::{CountSource, GpuModel, PartitionCount, Scheme, ValidPartitionCounts};

mod amd;
mod extent;
mod intel;
mod mig;
mod nvidia;
mod turns;

pub use extent::{Extent, place};
pub use mig::parts_fit;
pub use turns::turns_fit;

const GIB: u64 = 1 << 30;

/// A family of models. Of one family, all behave alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    Volta,
    Turing,
    Ampere,
    Ada,
    Hopper,
    Blackwell,
    Flex,
    Max,
    ArcPro,
    RadeonPro,
    Instinct,
}

/// Where the counts of an entry come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The vendor's documents list them.
    Document(&'static str),
    /// They were read in the vendor's program.
    Program(&'static str),
    /// Somebody else lists them.
    Others(&'static str),
    /// No source lists the model; they follow by this rule.
    Rule(&'static str),
}

/// What MIG makes of a GPU: partitions with engines of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigCount {
    /// How many of the GPU's compute units (7 on most, 4 on some) one part of MIG has: the 3 of `3g`.
    pub compute: u8,
    /// How many partitions that makes on the whole GPU.
    pub count: u16,
    /// The memory of each, nominal.
    pub memory_gib: u16,
}

/// One model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueEntry {
    pub vendor_id: u16,
    /// Every PCI device number that the model has.
    pub device_ids: &'static [u16],
    /// Some models differ in the subsystem alone.
    pub subsystem_device_id: Option<u16>,
    pub vendor: &'static str,
    pub name: &'static str,
    pub series: Series,
    /// What its partitions share. Where the vendor keeps some of it back, this is less than is built in.
    pub memory_bytes: u64,
    /// Partitions have a multiple of this.
    pub grain_bytes: u64,
    /// Counts that split it into equal partitions, ascending.
    pub counts: &'static [u16],
    /// Counts by MIG, which has to be turned on first; by compute units, fewest first.
    pub mig_counts: &'static [MigCount],
    pub source: Source,
}

impl CatalogueEntry {
    /// Whether partitions are virtual functions; of the older series they are devices of the driver's own.
    pub fn splits_by_sriov(&self) -> bool {
        !self.counts.is_empty() && !matches!(self.series, Series::Volta | Series::Turing)
    }

    /// The largest count, MIG left aside.
    pub fn largest_count(&self) -> Option<u16> {
        self.counts.last().copied()
    }
}

/// Every model, by vendor.
pub fn entries() -> impl Iterator<Item = &'static CatalogueEntry> {
    nvidia::ENTRIES.iter().chain(intel::ENTRIES).chain(amd::ENTRIES)
}

/// The entry for these numbers.
pub fn find(vendor_id: u16, device_id: u16, subsystem_device_id: u16) -> Option<&'static CatalogueEntry> {
    entries().find(|entry| {
        entry.vendor_id == vendor_id
            && entry.device_ids.contains(&device_id)
            && entry.subsystem_device_id.is_none_or(|wanted| wanted == subsystem_device_id)
    })
}

/// The entry for a model.
pub fn of_model(model: &GpuModel) -> Option<&'static CatalogueEntry> {
    find(model.vendor_id, model.device_id, model.subsystem_device_id)
}

/// The counts that the model takes by MIG with a part for each partition; None: none are known. More
/// partitions than there are units of compute share parts, and are none of these.
pub fn mig_partition_counts(entry: &CatalogueEntry) -> Option<ValidPartitionCounts> {
    let counts = of_own_parts(entry).filter_map(|one| PartitionCount::new(one.count));
    let counts: Vec<PartitionCount> = counts.collect();
    (!counts.is_empty()).then(|| ValidPartitionCounts::new(counts, CountSource::Catalogue))
}

/// The units of compute of a model that MIG can cut.
fn units(entry: &CatalogueEntry) -> Option<u16> {
    entry.mig_counts.iter().map(|one| u16::from(one.compute)).max()
}

/// The counts by MIG that give each partition a part of its own.
fn of_own_parts(entry: &CatalogueEntry) -> impl Iterator<Item = &MigCount> {
    let units = units(entry).unwrap_or(0);
    entry.mig_counts.iter().filter(move |one| u16::from(one.compute) * one.count <= units)
}

/// What each partition has when the model is split by this scheme into a count that it takes so; None for
/// other counts. MIG cuts into other sizes: of three partitions of an H200 each has 35 GiB, of two 71.
pub fn memory_by(entry: &CatalogueEntry, scheme: Option<Scheme>, count: u16) -> Option<u64> {
    if scheme != Some(Scheme::NvidiaMig) {
        return memory_per_partition(entry, count);
    }
    let part = mig::part_of(entry, PartitionCount::new(count)?)?;
    Some((u64::from(part.memory_gib) * GIB).min(entry.memory_bytes))
}

/// What each partition has when the model is split by a count that it takes; None for other counts.
///
/// The share is rounded down to the grain. A GPU whose own memory is a little short of a whole number
/// of grains (94 GiB that are 96246 MiB) is shared as if it had them all.
pub fn memory_per_partition(entry: &CatalogueEntry, count: u16) -> Option<u64> {
    if !entry.counts.contains(&count) || count == 0 {
        return None;
    }
    let grains = entry.memory_bytes.div_ceil(entry.grain_bytes) / u64::from(count);
    Some((grains * entry.grain_bytes).min(entry.memory_bytes))
}

/// Why the model does not split into that many, for people. None: it does.
pub fn why_not(entry: &CatalogueEntry, count: u16) -> Option<String> {
    if entry.counts.contains(&count) {
        return None;
    }
    let sizes: Vec<String> =
        entry.counts.iter().filter_map(|count| memory_per_partition(entry, *count)).map(in_gib).collect();
    let (Some(largest), Some(smallest)) = (entry.largest_count(), sizes.last()) else {
        return Some("it is not known to split at all".to_string());
    };
    if count > largest {
        return Some(format!("its smallest partition has {smallest}, and it makes at most {largest}"));
    }
    if count == 0 {
        return Some("no partitions is not a count".to_string());
    }
    let has = in_gib(entry.memory_bytes);
    let asked = in_gib(entry.memory_bytes / u64::from(count));
    Some(format!(
        "its {has} make partitions of {}, and {count} equal ones would have {asked}",
        either(&sizes)
    ))
}

/// `16 GiB`, `5.33 GiB`: at most two digits behind the point.
pub fn in_gib(bytes: u64) -> String {
    let hundredths = (u128::from(bytes) * 100 + u128::from(GIB / 2)) / u128::from(GIB);
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    match rest {
        0 => format!("{whole} GiB"),
        rest if rest % 10 == 0 => format!("{whole}.{} GiB", rest / 10),
        rest => format!("{whole}.{rest:02} GiB"),
    }
}

/// `16 GiB, 8 GiB or 4 GiB`, the unit said once: `16, 8 or 4 GiB`.
fn either(sizes: &[String]) -> String {
    let bare: Vec<&str> = sizes.iter().map(|size| size.trim_end_matches(" GiB")).collect();
    match bare.split_last() {
        Some((last, [])) => format!("{last} GiB"),
        Some((last, before)) => format!("{} or {last} GiB", before.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
