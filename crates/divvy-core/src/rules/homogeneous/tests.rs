//! Sets of GPUs that are alike but for one thing: what is said of that, and what takes it away.

use super::*;
use crate::testing::{World, gpu_a2, gpu_a40, mig};

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

#[test]
fn the_same_number_in_other_sizes_is_another_split() {
    let gpus =
        [("a", mig("gpu-1", &[2, 4, 4])), ("b", mig("gpu-2", &[2, 4, 4])), ("c", mig("gpu-3", &[3, 3, 3]))];
    let found = findings(&World::of_gpus(&gpus).state());
    let told = found.iter().map(|one| (one.code.clone(), one.mend.as_str())).collect::<Vec<_>>();
    assert_eq!(told, [(COUNT, "divvy gpu partition gpu-3 --sizes 2,4,4")]);
}

#[test]
fn of_as_many_equal_and_different_ones_the_different_ones_are_odd() {
    let gpus = [("a", mig("gpu-1", &[2, 4, 4])), ("b", mig("gpu-2", &[3, 3, 3]))];
    let found = findings(&World::of_gpus(&gpus).state());
    assert_eq!(
        found.iter().map(|one| one.mend.as_str()).collect::<Vec<_>>(),
        ["divvy gpu partition gpu-1 --count 3"]
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
