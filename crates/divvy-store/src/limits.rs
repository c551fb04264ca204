//! How much history a store keeps. Pruning happens inside the transactions that add something, a few
//! entries at a time, so that no commit ever waits for a large deletion. What is unfinished is never
//! pruned. Ages are differences between events: no clock is read, and no setting of a clock, however
//! wrong, takes the newest events away.

/// At least so many entries may be pruned in one transaction, if there are that many to prune.
const PRUNE_BATCH: u64 = 64;

/// Upper bounds of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The newest so many events are kept, at least one.
    pub events: u64,
    /// Events older than the newest one by more than this go …
    pub event_age_ms: u64,
    /// … unless they are among the newest so many.
    pub events_always_kept: u64,
    /// The newest so many finished jobs are kept.
    pub finished_jobs: u64,
    /// Answers older than the newest one by more than this go …
    pub answer_age_ms: u64,
    /// … and beyond so many the oldest.
    pub answers: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 50_000,
            event_age_ms: 400 * 24 * 60 * 60 * 1000,
            events_always_kept: 1_000,
            finished_jobs: 1_000,
            answer_age_ms: 24 * 60 * 60 * 1000,
            answers: 10_000,
        }
    }
}

impl Limits {
    /// How many of `kept` events are too many, as far as this transaction, which appends `appended`,
    /// should care.
    pub(crate) fn events_over(&self, kept: u64, appended: u64) -> u64 {
        kept.saturating_sub(self.events.max(1)).min(bound(appended))
    }

    /// How many of `kept` events may go for their age in this transaction.
    pub(crate) fn events_that_may_age(&self, kept: u64, appended: u64) -> u64 {
        kept.saturating_sub(self.events_always_kept.max(1)).min(bound(appended))
    }

    pub(crate) fn is_aged(&self, at_ms: u64, newest_ms: u64) -> bool {
        newest_ms.saturating_sub(at_ms) > self.event_age_ms
    }

    /// How many of `kept` finished jobs are too many, as far as a transaction of `put` jobs should care.
    pub(crate) fn jobs_over(&self, kept: u64, put: u64) -> u64 {
        kept.saturating_sub(self.finished_jobs).min(bound(put))
    }

    /// How many of `kept` answers are too many, as far as a transaction of `put` answers should care.
    pub(crate) fn answers_over(&self, kept: u64, put: u64) -> u64 {
        kept.saturating_sub(self.answers.max(1)).min(bound(put))
    }

    /// Of a transaction of `put` answers, the newest from `newest_ms`: how many old ones may go for their
    /// age, and the time before which they are too old.
    pub(crate) fn answers_that_age(&self, put: u64, newest_ms: u64) -> (u64, u64) {
        (bound(put), newest_ms.saturating_sub(self.answer_age_ms))
    }
}

/// Faster than what is added, or the surplus would never shrink.
fn bound(added: u64) -> u64 {
    PRUNE_BATCH.max(added.saturating_mul(2))
}
