//! Where what was asked for is kept: the desired state, the jobs that bring it about, the events that
//! tell of it, the answers to changes that have a key.
//!
//! One [`Store`], several places to keep things, one behaviour: `conformance.rs` is the suite that each
//! of them passes. Every call blocks until the answer is final; after `Ok` the data survives a kill and
//! a power loss (of the memory store: nothing). A batch of commits is one transaction, so that many
//! requests cost one wait for the disk. What a change means is not known here: a change is applied by
//! its own rules, guarded by the generations it relied on. Nothing here looks at a clock.

#![forbid(unsafe_code)]

mod answer;
mod head;
mod limits;
mod watch;

pub mod error;
pub mod record;

mod embedded;
mod memory;

#[cfg(test)]
mod conformance;

use std::path::Path;
use std::sync::Arc;

use divvy_core::change::{Change, Conflict};
use divvy_core::desired::Desired;
use divvy_core::event::{Event, NumberedEvent};
use divvy_core::job::{Job, JobId};
use serde::{Deserialize, Serialize};

pub use crate::answer::{AnswerName, KeptAnswer};
pub use crate::embedded::Embedded;
pub use crate::error::{OpenError, StoreError};
pub use crate::limits::Limits;
pub use crate::memory::Memory;
pub use crate::watch::{Latest, Watch};

/// Grows by one with every commit that went through. Putting a job and appending events leave it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// What goes in together or not at all. Jobs replace those of the same id, answers those of the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    pub change: Change,
    pub events: Vec<Event>,
    pub jobs: Vec<Job>,
    pub answers: Vec<KeptAnswer>,
}

/// What was asked for, at one revision, and the jobs that were not finished then, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub revision: Revision,
    pub desired: Desired,
    pub unfinished_jobs: Vec<Arc<Job>>,
}

/// Answers of one batch, in its order.
pub type Outcomes = Vec<Result<Revision, Conflict>>;

/// One of the places to keep things. Shared by reference between threads: one writes at a time, readers
/// do not wait for it.
#[allow(clippy::large_enum_variant, reason = "a process has one of them, behind a reference")]
pub enum Store {
    Memory(Memory),
    Embedded(Embedded),
}

/// Calls the same method of whichever store it is.
macro_rules! each {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            Self::Memory($store) => $call,
            Self::Embedded($store) => $call,
        }
    };
}

impl Store {
    /// A store that forgets everything when it is dropped.
    pub fn memory() -> Self {
        Self::memory_with(Limits::default())
    }

    pub fn memory_with(limits: Limits) -> Self {
        Self::Memory(Memory::new(limits))
    }

    /// The store in a folder of this server. Makes the folder and the database on the first start.
    pub fn open_embedded(state_dir: &Path) -> Result<Self, OpenError> {
        Self::open_embedded_with(state_dir, Limits::default())
    }

    pub fn open_embedded_with(state_dir: &Path, limits: Limits) -> Result<Self, OpenError> {
        Embedded::open(state_dir, limits).map(Self::Embedded)
    }

    /// What is asked for now. From memory: it never waits for the disk.
    pub fn snapshot(&self) -> Snapshot {
        each!(self, store => store.snapshot())
    }

    /// Applies the commits in order, each guarded against the result of those before it, all in one
    /// durable transaction. One that conflicts is refused alone, with its events and jobs.
    ///
    /// After an error none of them was acknowledged, yet they may have been kept, all or none: look at
    /// a new snapshot before trying again.
    pub fn commit(&self, commits: Vec<Commit>) -> Result<Outcomes, StoreError> {
        each!(self, store => store.commit(commits))
    }

    /// A number that no job had before, whatever happens next. Ascending; a kill may leave a gap.
    pub fn new_job_id(&self) -> Result<JobId, StoreError> {
        each!(self, store => store.new_job_id())
    }

    /// Keeps a job, in place of the one with its id.
    pub fn put_job(&self, job: Job) -> Result<(), StoreError> {
        each!(self, store => store.put_job(job))
    }

    pub fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        each!(self, store => store.job(id))
    }

    /// Jobs with a higher id than `after`, ascending, at most `limit`.
    pub fn jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, StoreError> {
        each!(self, store => store.jobs(after, limit))
    }

    /// What was answered under this name, if it was not forgotten yet.
    pub fn answer(&self, name: &AnswerName) -> Result<Option<KeptAnswer>, StoreError> {
        each!(self, store => store.answer(name))
    }

    /// Numbers the events and keeps them.
    pub fn append_events(&self, events: Vec<Event>) -> Result<(), StoreError> {
        each!(self, store => store.append_events(events))
    }

    /// Events with a higher number than `after`, ascending, at most `limit`. The first number is 1.
    pub fn events(&self, after: u64, limit: usize) -> Result<Vec<NumberedEvent>, StoreError> {
        each!(self, store => store.events(after, limit))
    }

    /// Wakes who waits for the next revision or the next event.
    pub fn watch(&self) -> Watch {
        each!(self, store => store.watch())
    }
}
