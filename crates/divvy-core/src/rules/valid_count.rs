//! A GPU is split into one of its valid partition counts, and no other.

use alloc::format;
use alloc::string::{String, ToString};

use crate::catalogue;
use crate::gpu::{CountSource, PartitionCount, Scheme};
use crate::observed::ObservedGpu;
use crate::refusal::Refusal;

/// The number as a count of this GPU, if it is a valid one.
pub fn check(gpu: &ObservedGpu, count: u16) -> Result<PartitionCount, Refusal> {
    if let Some(valid) = PartitionCount::new(count).filter(|count| gpu.valid_counts.contains(*count)) {
        return Ok(valid);
    }
    Err(Refusal::CountNotValid {
        gpu: gpu.id.clone(),
        model: gpu.model.to_string(),
        count,
        valid: gpu.valid_counts.clone(),
        why: why_not(gpu, count),
    })
}

/// Why another count is not valid, for people; which ones are, the refusal says itself.
fn why_not(gpu: &ObservedGpu, count: u16) -> String {
    if count == 0 {
        return "a GPU without partitions has no count, it is off".to_string();
    }
    if count > gpu.max_partitions {
        return format!("the hardware makes at most {} partitions", gpu.max_partitions);
    }
    if gpu.scheme == Some(Scheme::NvidiaMig) {
        return format!("MIG has no size of which {count} fit side by side and no more");
    }
    let known = catalogue::of_model(&gpu.model);
    let by_size = known.and_then(|entry| catalogue::why_not(entry, count));
    match (by_size, gpu.valid_counts.source()) {
        (Some(why), _) => why,
        (None, CountSource::Catalogue) => "the driver makes fewer than that".to_string(),
        (None, CountSource::Driver) => "its driver does not offer it".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::gpu_a2;

    #[test]
    fn only_a_valid_count_passes_and_the_refusal_lists_them() {
        let gpu = gpu_a2("gpu-1", 0);
        for (number, passes) in
            [(0, false), (1, true), (2, true), (3, false), (4, true), (5, false), (16, true), (32, false)]
        {
            assert_eq!(check(&gpu, number).is_ok(), passes, "count {number}");
        }
        let refusal = check(&gpu, 3).expect_err("3 is not valid");
        assert_eq!(refusal.code(), "count_not_valid");
        assert!(refusal.to_string().contains("1, 2, 4, 8, 16"), "{refusal}");
    }

    fn refused(gpu: &ObservedGpu, count: u16) -> (String, String) {
        let refusal = check(gpu, count).expect_err("is not valid");
        (refusal.to_string(), refusal.hint())
    }

    #[test]
    fn more_than_the_hardware_makes_is_explained_by_the_hardware() {
        assert!(refused(&gpu_a2("gpu-1", 0), 32).0.contains("at most 16"));
    }

    #[test]
    fn a_count_that_mig_has_no_size_for_is_not_explained_by_shares_of_memory() {
        let gpu = ObservedGpu { scheme: Some(Scheme::NvidiaMig), ..gpu_a2("gpu-1", 0) };
        assert!(refused(&gpu, 5).0.contains("MIG has no size of which 5 fit"));
    }

    #[test]
    fn a_count_that_no_size_makes_is_explained_by_the_sizes() {
        let (text, hint) = refused(&gpu_a2("gpu-1", 0), 5);
        assert!(text.contains("5 equal ones would have 3.2 GiB"), "{text}");
        assert_eq!(hint, "choose one of the nearest: --count 4 or --count 8");
    }

    #[test]
    fn a_count_of_the_model_that_the_driver_does_not_offer_is_explained_by_the_driver() {
        let mut gpu = gpu_a2("gpu-1", 0);
        let four = PartitionCount::new(4).into_iter().collect();
        gpu.valid_counts = crate::gpu::ValidPartitionCounts::new(four, CountSource::Driver);
        let (text, hint) = refused(&gpu, 8);
        assert!(text.contains("its driver does not offer it"), "{text}");
        assert_eq!(hint, "choose the largest: --count 4");
        assert_eq!(refused(&gpu, 2).1, "choose the smallest: --count 4");
    }

    #[test]
    fn no_partitions_is_off_and_not_a_count() {
        assert_eq!(refused(&gpu_a2("gpu-1", 0), 0).1, "--off ends the partitioning of a GPU");
    }

    proptest::proptest! {
        /// Whatever the valid counts are, a number passes exactly if it is one of them.
        #[test]
        fn a_number_passes_exactly_if_it_is_listed(valid in proptest::collection::vec(1u16..64, 0..8), asked in 0u16..80) {
            let mut gpu = gpu_a2("gpu-1", 0);
            let counts = valid.iter().filter_map(|count| PartitionCount::new(*count)).collect();
            gpu.valid_counts = crate::gpu::ValidPartitionCounts::new(counts, CountSource::Driver);
            proptest::prop_assert_eq!(check(&gpu, asked).is_ok(), valid.contains(&asked));
        }
    }
}
