//! All GPUs that are partitioned, on all servers, are alike: same make, model, memory and partition
//! count. Found by itself and continuously; an administrator on the way from one even set to another is
//! warned, not stopped. One request over unlike models is stopped.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::catalogue;
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::id::ServerId;
use crate::observed::ObservedGpu;
use crate::refusal::Refusal;
use crate::rules::whole_or_partitions;
use crate::state::State;

pub const MODEL: FindingCode = FindingCode::of("not_homogeneous_model");
pub const MEMORY: FindingCode = FindingCode::of("not_homogeneous_memory");
pub const COUNT: FindingCode = FindingCode::of("not_homogeneous_count");

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

/// One finding for every GPU that is unlike the most of them.
pub fn findings(state: &State) -> Vec<Finding> {
    let counts = |(server, gpu): &(&ServerId, &ObservedGpu)| {
        gpu.scheme.is_some() && !whole_or_partitions::is_kept_whole(state.desired_of(server), &gpu.id)
    };
    let gpus: Vec<(&ServerId, &ObservedGpu)> = state.gpus().filter(counts).collect();
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
    let memory = most_common(alike.iter().filter_map(|(_, gpu)| gpu.memory_bytes));
    let count = most_common(alike.iter().map(|(server, gpu)| target_count(state, server, gpu)));
    for (server, gpu) in &alike {
        if let (Some(common), Some(own)) = (memory, gpu.memory_bytes)
            && own != common
            && !is_nominal_beside_told(gpu, own, common)
        {
            found.push(of_memory(server, gpu, own, common));
        }
        let own = target_count(state, server, gpu);
        if let Some(common) = count
            && own != common
        {
            found.push(of_count(server, gpu, own, common));
        }
    }
    found
}

/// The catalogue has the memory that is printed on the box; the vendor's library tells a little less (ECC,
/// what the driver keeps). Where only one of two GPUs was told of, that makes no difference between them.
fn is_nominal_beside_told(gpu: &ObservedGpu, own: u64, common: u64) -> bool {
    let Some(entry) = catalogue::of_model(&gpu.model) else { return false };
    let (less, nominal) = (own.min(common), own.max(common));
    nominal == entry.memory_bytes && less >= nominal - nominal / 10
}

/// What the GPU shall have, or has where nobody asked.
fn target_count(state: &State, server: &ServerId, gpu: &ObservedGpu) -> u16 {
    let asked = state.desired_of(server).and_then(|desired| desired.settings.get(&gpu.id));
    asked.map_or(gpu.partition_count.unwrap_or(0), |setting| setting.as_number())
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

fn of_count(server: &ServerId, gpu: &ObservedGpu, own: u16, common: u16) -> Finding {
    let in_words =
        |count: u16| if count == 0 { "no partitions".to_string() } else { format!("{count} partitions") };
    let text = format!(
        "GPU {} of server {server} has {}, most of the others have {}",
        gpu.id,
        in_words(own),
        in_words(common)
    );
    let wanted = if common == 0 { "--off".to_string() } else { format!("--count {common}") };
    warning(COUNT, gpu, text, format!("divvy gpu partition {} {wanted}", gpu.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, gpu_a2, gpu_a40};

    #[test]
    fn equal_gpus_on_all_servers_have_no_finding() {
        let world = World::of_gpus(&[("a", gpu_a2("gpu-1", 4)), ("b", gpu_a2("gpu-2", 4))]);
        assert_eq!(findings(&world.state()), []);
        assert_eq!(one_model(world.state().gpus()), Ok(()));
    }

    #[test]
    fn the_server_with_another_model_is_named_and_one_count_for_all_is_refused() {
        let gpus = [("a", gpu_a2("gpu-1", 4)), ("b", gpu_a2("gpu-2", 4)), ("c", gpu_a40("gpu-3", 4))];
        let world = World::of_gpus(&gpus);
        let found = findings(&world.state());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].code, MODEL);
        assert!(found[0].text.contains("server c"), "{}", found[0].text);
        assert_eq!(one_model(world.state().gpus()).expect_err("differ").code(), "models_differ");
    }

    #[test]
    fn gpus_of_which_no_two_are_alike_are_told_at_once_and_none_is_called_the_usual_one() {
        let mut other = gpu_a40("gpu-3", 4);
        other.model.device_id += 1;
        let gpus = [("a", gpu_a2("gpu-1", 4)), ("b", gpu_a40("gpu-2", 4)), ("c", other)];
        let found = findings(&World::of_gpus(&gpus).state());
        let subjects: Vec<&Subject> = found.iter().map(|finding| &finding.subject).collect();
        assert_eq!(subjects, [&Subject::Cluster]);
    }

    #[test]
    fn the_gpu_with_another_count_is_named_with_the_command_that_mends_it() {
        let gpus = [("a", gpu_a2("gpu-1", 4)), ("b", gpu_a2("gpu-2", 4)), ("c", gpu_a2("gpu-3", 8))];
        let found = findings(&World::of_gpus(&gpus).state());
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].code.clone(), found[0].mend.as_str()),
            (COUNT, "divvy gpu partition gpu-3 --count 4")
        );
    }

    fn memory_findings(memory_mib: [u64; 3]) -> Vec<FindingCode> {
        let gpus = memory_mib.iter().zip(["a", "b", "c"]).map(|(mib, name)| {
            let mut gpu = gpu_a2(&format!("gpu-{name}"), 4);
            gpu.memory_bytes = Some(mib << 20);
            (name, gpu)
        });
        let found = findings(&World::of_gpus(&gpus.collect::<Vec<_>>()).state());
        found.into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn another_memory_size_is_a_finding() {
        assert_eq!(memory_findings([16384, 16384, 8192]), [MEMORY]);
        assert_eq!(memory_findings([16380, 16380, 15356]), [MEMORY]);
    }

    #[test]
    fn a_nominal_size_beside_one_that_was_told_is_none() {
        assert_eq!(memory_findings([16384, 16384, 15356]), []);
        assert_eq!(memory_findings([15356, 15356, 16384]), []);
    }

    proptest::proptest! {
        /// Unlike counts are found exactly if there are any, and taking every mend leaves none.
        #[test]
        fn taking_every_mend_makes_the_set_even(counts in proptest::collection::vec(proptest::sample::select(&[0u16, 2, 4, 8][..]), 1..6)) {
            let names = ["a", "b", "c", "d", "e", "f"];
            let gpus: Vec<_> = counts.iter().zip(names).map(|(count, name)| (name, gpu_a2(&format!("gpu-{name}"), *count))).collect();
            let found = findings(&World::of_gpus(&gpus).state());
            proptest::prop_assert_eq!(found.is_empty(), counts.iter().all(|count| *count == counts[0]));
            let mended = gpus.into_iter().map(|(name, mut gpu)| {
                let mend = found.iter().find(|finding| finding.subject == Subject::Gpu(gpu.id.clone())).map(|f| f.mend.clone());
                if let Some(mend) = mend {
                    let count = mend.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
                    gpu = gpu_a2(gpu.id.as_str(), count);
                }
                (name, gpu)
            });
            let mended: Vec<_> = mended.collect();
            proptest::prop_assert_eq!(findings(&World::of_gpus(&mended).state()), []);
        }
    }
}
