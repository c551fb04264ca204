//! What a change was answered, kept under the key that its asker gave it, so that asking again with the
//! same key gets the same answer. Kept with the change or not at all. How long a key is good for is
//! decided by who asks; here old answers go only to make room.

use divvy_core::finding::Finding;
use divvy_core::job::Job;
use serde::{Deserialize, Serialize};

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    pub name: AnswerName,
    /// Tells whether the same thing is asked again.
    pub fingerprint: String,
    pub at_ms: u64,
    /// As it was when the change was accepted; None: there was nothing to do.
    pub job: Option<Job>,
    pub warnings: Vec<Finding>,
}

/// Whose key: keys of two askers never meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AnswerName {
    pub principal: String,
    pub key: String,
}

impl AnswerName {
    /// The name of the record. A key has no line break, so no two names run into the same text.
    pub(crate) fn record(&self) -> String {
        format!("answer/{}\n{}", self.principal, self.key)
    }
}
