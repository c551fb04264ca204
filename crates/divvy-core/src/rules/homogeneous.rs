//! All GPUs that are partitioned, on all servers, are alike: same make, model, memory and partition
//! count, sizes included, same branch of the same driver, same ECC mode, with or without MIG. Found by itself and
//! continuously; an administrator on the way from one even set to another is warned, not stopped. One
//! request over unlike models is stopped. What is not known is no difference, and what follows from a
//! difference is not told beside it.
//!
//! ```text
//! model ─▶ of the same model: driver
//!                             ECC mode ─▶ of the same ECC mode: memory
//!                             MIG ──────▶ both with or both without MIG: count
//! ```

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::catalogue;
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::id::{GpuId, ServerId};
use crate::observed::ObservedGpu;
use crate::refusal::Refusal;
use crate::rules::{sizes, whole_or_partitions};
use crate::split::Split;
use crate::state::State;

mod branch;
mod driver;
mod modes;

pub const MODEL: FindingCode = FindingCode::of("not_homogeneous_model");
pub const MEMORY: FindingCode = FindingCode::of("not_homogeneous_memory");
pub const COUNT: FindingCode = FindingCode::of("not_homogeneous_count");
pub const DRIVER: FindingCode = FindingCode::of("not_homogeneous_driver");
pub const ECC: FindingCode = FindingCode::of("not_homogeneous_ecc");
pub const MIG: FindingCode = FindingCode::of("not_homogeneous_mig");

/// A GPU and where it is.
type Located<'a> = (&'a ServerId, &'a ObservedGpu);

/// The GPUs of one request are of one model.
pub fn one_model<'a>(gpus: impl IntoIterator<Item = (&'a ServerId, &'a ObservedGpu)>) -> Result<(), Refusal> {
    let mut models: BTreeMap<_, (String, Vec<String>)> = BTreeMap::new();
    for (server, gpu) in gpus {
        let (_, servers) =
            models.entry(gpu.model.numbers()).or_insert_with(|| (gpu.model.to_string(), Vec::new()));
        if servers.last() != Some(&server.to_string()) {
            servers.push(server.to_string());
        }
    }
    if models.len() <= 1 {
        return Ok(());
    }
    let models =
        models.into_values().map(|(model, servers)| format!("{model} on {}", servers.join(", "))).collect();
    Err(Refusal::ModelsDiffer { models })
}

/// What is unlike the most: a finding for every GPU, or one for a server that is unlike as a whole.
pub fn findings(state: &State) -> Vec<Finding> {
    let is_split = |(server, gpu): &Located<'_>| {
        gpu.scheme.is_some() && !whole_or_partitions::is_kept_whole(state.desired_of(server), &gpu.id)
    };
    let gpus: Vec<Located<'_>> = state.gpus().filter(is_split).collect();
    let Some(model) = most_common(gpus.iter().map(|(_, gpu)| gpu.model.numbers())) else {
        return Vec::new();
    };
    let (alike, unlike): (Vec<_>, Vec<_>) =
        gpus.into_iter().partition(|(_, gpu)| gpu.model.numbers() == model);
    if alike.len() == 1 && unlike.len() > 1 {
        let models: Vec<String> = alike.iter().chain(&unlike).map(|(_, gpu)| gpu.model.to_string()).collect();
        return Vec::from([of_many_models(&models)]);
    }
    let mut found: Vec<Finding> =
        unlike.iter().map(|(server, gpu)| of_model(server, gpu, alike[0].1)).collect();
    found.extend(driver::findings(state, model));
    let ecc = modes::unlike(&alike, |(_, gpu)| gpu.ecc);
    found.extend(memories(&alike, &ecc.ids()));
    found.extend(ecc.findings(modes::of_ecc));
    let mig = modes::unlike(&alike, |(server, gpu)| modes::has_mig(state.desired_of(server), gpu));
    let (counts, common) = counts(state, &alike, &mig.ids());
    found.extend(counts);
    found.extend(mig.findings(|unlike| modes::of_mig(unlike, common)));
    found
}

/// Of those that are not `explained`.
fn memories(alike: &[Located<'_>], explained: &BTreeSet<&GpuId>) -> Vec<Finding> {
    let gpus = || alike.iter().filter(|(_, gpu)| !explained.contains(&gpu.id));
    let Some(common) = most_common(gpus().filter_map(|(_, gpu)| gpu.memory_bytes)) else {
        return Vec::new();
    };
    let finding = |(server, gpu): &Located<'_>| {
        let own = gpu.memory_bytes.filter(|own| *own != common)?;
        (!is_nominal_beside_told(gpu, own, common)).then(|| of_memory(server, gpu, own, common))
    };
    gpus().filter_map(finding).collect()
}

/// Of those that are not `explained`; and the count that most have.
fn counts(
    state: &State,
    alike: &[Located<'_>],
    explained: &BTreeSet<&GpuId>,
) -> (Vec<Finding>, Option<Split>) {
    let gpus = || alike.iter().filter(|(_, gpu)| !explained.contains(&gpu.id));
    let own = |(server, gpu): &Located<'_>| target(state, server, gpu);
    let common = most_common(gpus().map(own)).flatten();
    let unlike = gpus().filter(|located| own(located) != common);
    (unlike.map(|located| of_count(located.0, located.1, own(located), common)).collect(), common)
}

/// The catalogue has the memory that is printed on the box; the vendor's library tells a little less (ECC,
/// what the driver keeps). Where only one of two GPUs was told of, that makes no difference between them.
fn is_nominal_beside_told(gpu: &ObservedGpu, own: u64, common: u64) -> bool {
    let Some(entry) = catalogue::of_model(&gpu.model) else { return false };
    let (less, nominal) = (own.min(common), own.max(common));
    nominal == entry.memory_bytes && less >= nominal - nominal / 10
}

/// What the GPU shall have, or has where nobody asked.
fn target(state: &State, server: &ServerId, gpu: &ObservedGpu) -> Option<Split> {
    let asked = state.desired_of(server).and_then(|desired| desired.settings.get(&gpu.id));
    asked.map_or_else(|| sizes::seen(gpu), |setting| setting.split())
}

/// The value that stands most often; of equals the greatest, so that a set half way to a new count
/// names those that still lack it.
fn most_common<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut tally: BTreeMap<T, usize> = BTreeMap::new();
    for value in values {
        *tally.entry(value).or_default() += 1;
    }
    tally.into_iter().max_by_key(|(value, times)| (*times, *value)).map(|(value, _)| value)
}

fn warning(code: FindingCode, gpu: &ObservedGpu, text: String, mend: String) -> Finding {
    Finding { code, severity: Severity::Warning, subject: Subject::Gpu(gpu.id.clone()), text, mend }
}

/// No two are alike, so there is none to compare the others with.
fn of_many_models(models: &[String]) -> Finding {
    Finding {
        code: MODEL,
        severity: Severity::Warning,
        subject: Subject::Cluster,
        text: format!("no two GPUs are of one model: {}", models.join(", ")),
        mend: "use one model in all servers".to_string(),
    }
}

fn of_model(server: &ServerId, gpu: &ObservedGpu, common: &ObservedGpu) -> Finding {
    let text = format!(
        "GPU {} of server {server} is {}, most of the others are {}",
        gpu.id, gpu.model, common.model
    );
    let mend =
        format!("use one model in all servers: replace it by {}, or leave server {server} out", common.model);
    warning(MODEL, gpu, text, mend)
}

fn of_memory(server: &ServerId, gpu: &ObservedGpu, own: u64, common: u64) -> Finding {
    let text = format!(
        "GPU {} of server {server} has {} MiB of memory, most of the others {} MiB",
        gpu.id,
        own >> 20,
        common >> 20
    );
    warning(
        MEMORY,
        gpu,
        text,
        "see that all GPUs are of the same size and have the same ECC mode".to_string(),
    )
}

fn of_count(server: &ServerId, gpu: &ObservedGpu, own: Option<Split>, common: Option<Split>) -> Finding {
    let in_words =
        |split: Option<Split>| split.map_or_else(|| "no partitions".to_string(), |split| split.to_string());
    let text = format!(
        "GPU {} of server {server} has {}, most of the others have {}",
        gpu.id,
        in_words(own),
        in_words(common)
    );
    let wanted = common.map_or_else(|| "--off".to_string(), |split| split.as_option());
    warning(COUNT, gpu, text, format!("divvy gpu partition {} {wanted}", gpu.id))
}

#[cfg(test)]
mod tests;
