//! The codes of all events, for those who choose among them: a choice that no event can have is a typing
//! error. What an event means is not known here.

/// In the order of the words.
pub const CODES: [&str; 35] = [
    "assigned",
    "claimed",
    "count_changed",
    "count_set",
    "curing",
    "finding",
    "finding_accepted",
    "gpu_answers",
    "gpu_appeared",
    "gpu_disappeared",
    "gpu_moved",
    "gpu_returned",
    "gpu_unknown",
    "hypervisor_connected",
    "hypervisor_lost",
    "job_cancelled",
    "job_failed",
    "job_succeeded",
    "partition_closed",
    "partition_free",
    "partition_opened",
    "pooled",
    "quarantined",
    "releasing",
    "remaking",
    "returning",
    "server_booted",
    "step_failed",
    "unassigned",
    "unclaimed",
    "unpooled",
    "vm_appeared",
    "vm_disappeared",
    "vm_power",
    "vm_started",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Words in the texts of events.
    const NO_CODES: [&str; 7] = ["belong", "belongs", "partition", "done", "failed", "open", "closed"];

    #[test]
    fn every_code_that_an_event_is_made_with_can_be_chosen_and_no_other() {
        let source = include_str!("../happenings.rs");
        let is_word = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let texts = source.lines().flat_map(|line| line.split('"').skip(1).step_by(2));
        let made: BTreeSet<&str> = texts.filter(|text| is_word(text) && !NO_CODES.contains(text)).collect();
        assert_eq!(made, CODES.into_iter().collect());
    }

    #[test]
    fn the_description_of_webhooks_names_every_code() {
        let described = include_str!("../../../../docs/api.md");
        let missing = CODES.iter().filter(|code| !described.contains(&format!("`{code}`")));
        assert_eq!(missing.collect::<Vec<_>>(), [&""; 0]);
    }
}
