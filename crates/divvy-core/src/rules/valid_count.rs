//! A GPU is split into one of its valid partition counts, and no other.

use alloc::format;
use alloc::string::{String, ToString};

use crate::gpu::{CountSource, PartitionCount};
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

/// Why another count is not valid, for people.
pub fn why_not(gpu: &ObservedGpu, count: u16) -> String {
    if count == 0 {
        return format!("--off ends the partitioning of a GPU; choose one of {}", gpu.valid_counts);
    }
    if count > gpu.max_partitions {
        return format!(
            "the hardware makes at most {} partitions; choose one of {}",
            gpu.max_partitions, gpu.valid_counts
        );
    }
    match gpu.valid_counts.source() {
        CountSource::Catalogue => format!(
            "{} has no partition size that fits exactly {count} times; choose one of {}",
            gpu.model, gpu.valid_counts
        ),
        CountSource::Driver => format!("the driver does not offer it; choose one of {}", gpu.valid_counts),
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

    #[test]
    fn more_than_the_hardware_makes_is_explained_by_the_hardware() {
        assert!(why_not(&gpu_a2("gpu-1", 0), 32).contains("at most 16"));
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
