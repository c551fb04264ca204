//! A GPU is split by the scheme that its count was asked with. The same count by another scheme is other
//! partitions: of MIG each has engines of its own, without it all take turns. How a scheme is turned on
//! is not known here, only whether making partitions does that by itself.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use crate::catalogue;
use crate::desired::{DesiredServer, PartitionSetting};
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::gpu::Scheme;
use crate::observed::ObservedGpu;

pub const DIFFERS: FindingCode = FindingCode::of("scheme_differs");

/// Whether one was asked for with another scheme than the other. What is not known does not differ.
pub fn differ(one: PartitionSetting, other: PartitionSetting) -> bool {
    one.scheme().zip(other.scheme()).is_some_and(|(one, other)| !one.is_like(other))
}

/// The scheme to make partitions by; None: the GPU has none now. An error tells what has to be mended.
pub fn to_split_by(setting: PartitionSetting, gpu: &ObservedGpu) -> Result<Option<Scheme>, String> {
    let (Some(asked), Some(now)) = (setting.scheme(), gpu.scheme) else { return Ok(gpu.scheme) };
    if asked.is_like(now) {
        return Ok(Some(now));
    }
    if asked.comes_back_from(now) && gpu.partition_count == Some(0) {
        return Ok(Some(asked));
    }
    Err(format!(
        "its {} partitions were asked for by the scheme {asked}, and it has the scheme {now} now",
        setting.as_number()
    ))
}

/// Whether the GPU may be used as it is, as far as its scheme goes.
pub fn holds(desired: &DesiredServer, gpu: &ObservedGpu) -> Result<(), String> {
    desired.settings.get(&gpu.id).map_or(Ok(()), |setting| to_split_by(*setting, gpu).map(|_| ()))
}

/// The GPU as it is when partitions were made on it: with the scheme that comes back by that, and with
/// the counts of it that are known. Only without a count the scheme is forgotten.
pub fn as_it_will_be(asked: Option<PartitionSetting>, gpu: &ObservedGpu) -> Cow<'_, ObservedGpu> {
    let is_lost = |asked: &Scheme| {
        gpu.partition_count == Some(0) && gpu.scheme.is_some_and(|now| asked.comes_back_from(now))
    };
    let Some(scheme) = asked.and_then(PartitionSetting::scheme).filter(is_lost) else {
        return Cow::Borrowed(gpu);
    };
    let mut gpu = gpu.clone();
    gpu.scheme = Some(scheme);
    if let Some(counts) = catalogue::of_model(&gpu.model).and_then(catalogue::mig_partition_counts) {
        gpu.valid_counts = counts;
    }
    Cow::Owned(gpu)
}

/// What an administrator is told of a GPU that waits for this reason.
pub fn finding(desired: &DesiredServer, gpu: &ObservedGpu) -> Option<Finding> {
    let why = holds(desired, gpu).err()?;
    let asked = desired.settings.get(&gpu.id)?.scheme()?;
    Some(Finding {
        code: DIFFERS,
        severity: Severity::Error,
        subject: Subject::Gpu(gpu.id.clone()),
        text: format!("GPU {} ({}) is left as it is: {why}", gpu.id, gpu.model),
        mend: mend(asked, gpu),
    })
}

fn mend(asked: Scheme, gpu: &ObservedGpu) -> String {
    let accept =
        format!("or ask for a count by the scheme that it has: divvy gpu partition {} --count N", gpu.id);
    let back = match gpu.scheme {
        Some(now) if asked.comes_back_from(now) => {
            "remove the partitions that were made without Divvy, which then turns MIG on by itself".into()
        }
        Some(Scheme::NvidiaMig) => format!(
            "turn MIG off while the GPU has no partitions (nvidia-smi -i {} -mig 0), and take its model out of \
             mig_gpus in the settings",
            gpu.address
        ),
        _ => format!("give the GPU the driver again that has the scheme {asked}"),
    };
    format!("{back}; {accept}")
}

#[cfg(test)]
mod tests;
