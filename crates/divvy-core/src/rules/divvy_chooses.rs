//! The partition is Divvy's choice, never the user's. A user who could name one would pin a VM to
//! hardware that may be dirty, gone, or elsewhere after a boot.

use crate::refusal::Refusal;

pub fn check(partition: Option<&str>) -> Result<(), Refusal> {
    match partition {
        None => Ok(()),
        Some(partition) => Err(Refusal::PartitionNotChosenByUser { partition: partition.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_a_certain_partition_is_refused_with_the_way_to_choose_the_gpu() {
        assert_eq!(check(None), Ok(()));
        let refusal = check(Some("gpu-1.3")).expect_err("refused");
        assert_eq!(refusal.code(), "partition_not_chosen_by_user");
        assert!(refusal.hint().contains("--gpu"));
    }

    proptest::proptest! {
        /// No way of writing a partition gets past.
        #[test]
        fn no_text_chooses_a_partition(text in ".{0,40}") {
            proptest::prop_assert!(check(Some(&text)).is_err());
        }
    }
}
