//! What happened, for people: every change of what was asked for (by whom, before its effect) and every
//! change of what is. Times are for reading; nothing is decided from them.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::finding::Subject;
use crate::id::ServerId;
use crate::job::JobId;

/// An event that has no number yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Wall-clock time, milliseconds since 1970.
    pub at_ms: u64,
    /// Stable name: `assigned`, `gpu_appeared`, `step_failed` …
    pub code: String,
    pub server: Option<ServerId>,
    pub subject: Subject,
    pub text: String,
    /// Who asked for it; None for what the hardware did.
    pub principal: Option<String>,
    pub job: Option<JobId>,
}

/// An event with its place in the log. Numbers grow by one and are never used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedEvent {
    pub number: u64,
    #[serde(flatten)]
    pub event: Event,
}
