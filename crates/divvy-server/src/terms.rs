//! The terms on which a change is asked for: do it once however often I ask, and only if the thing is
//! still as I saw it. Both are looked at by the admission thread right before it decides, so nothing can
//! come between the look and the change.

use divvy_api::fingerprint::Fingerprint;
use divvy_api::views::JobView;
use divvy_core::finding::Finding;
use divvy_core::job::{Job, JobId};
use divvy_core::resolve;
use divvy_core::state::State;
use divvy_store::{AnswerName, KeptAnswer};

use crate::views;

/// How long a key stands for its first answer.
pub const KEY_AGE_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Clone, Default)]
pub struct Terms {
    pub once: Option<Once>,
    pub unchanged: Option<Unchanged>,
}

/// Do it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    pub name: AnswerName,
    /// Of the whole request.
    pub fingerprint: String,
}

impl Once {
    /// What is kept for whoever asks again.
    pub fn answer(&self, at_ms: u64, job: Option<&Job>, warnings: &[Finding]) -> KeptAnswer {
        KeptAnswer {
            name: self.name.clone(),
            fingerprint: self.fingerprint.clone(),
            at_ms,
            job: job.cloned(),
            warnings: warnings.to_vec(),
        }
    }

    /// Whether a kept answer still counts. A clock that was set back makes it count for longer, never
    /// for less.
    pub fn counts(answer: &KeptAnswer, now_ms: u64) -> bool {
        now_ms.saturating_sub(answer.at_ms) < KEY_AGE_MS
    }
}

/// Only if it is as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchanged {
    pub object: Object,
    pub tags: Tags,
}

/// What a change names, as its asker named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    Gpu(String),
    Vm(String),
    Job(JobId),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// It only has to be there.
    Any,
    /// One of these.
    OneOf(Vec<String>),
}

impl Tags {
    pub fn holds(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => tags.iter().any(|one| one == tag),
        }
    }
}

impl Unchanged {
    /// Whether the thing is as it was. One that is not there is left to the decision, which says so.
    pub fn holds(&self, state: &State, job: impl FnOnce(JobId) -> Option<JobView>) -> bool {
        let tag = match &self.object {
            Object::Gpu(name) => resolve::gpu(state, name)
                .ok()
                .and_then(|(server, gpu)| views::gpu_view(state, server, gpu))
                .map(|view| Fingerprint::of_json(&view)),
            Object::Vm(name) => resolve::vm(state, name)
                .ok()
                .map(|(server, vm)| Fingerprint::of_json(&views::vm_view(state, server, vm))),
            Object::Job(id) => job(*id).map(|view| Fingerprint::of_json(&view)),
        };
        tag.is_none_or(|tag| self.tags.holds(&tag))
    }

    /// The thing in words.
    pub fn in_words(&self) -> String {
        match &self.object {
            Object::Gpu(name) => format!("GPU {name}"),
            Object::Vm(name) => format!("VM {name}"),
            Object::Job(id) => format!("job {id}"),
        }
    }
}

#[cfg(test)]
mod tests;
