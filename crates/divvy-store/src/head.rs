//! The newest state, and what one transaction makes of it. Pure: a [`Batch`] is worked out completely
//! before anything is written, so every store refuses the same commits and numbers the same events.
//! Where things are kept is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use divvy_core::change::{Conflict, Edit};
use divvy_core::desired::Desired;
use divvy_core::event::{Event, NumberedEvent};
use divvy_core::id::PartitionId;
use divvy_core::job::{Job, JobId, Progress};

use crate::error::StoreError;
use crate::record::Key;
use crate::watch::Latest;
use crate::{AnswerName, Commit, KeptAnswer, Revision, Snapshot};

/// Numbers stay exact in JSON readers that know only floating point.
const MAX_NUMBER: u64 = 1 << 53;

/// The newest state. Cheap to clone: servers and jobs are shared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub revision: Revision,
    pub desired: Desired,
    pub unfinished: BTreeMap<JobId, Arc<Job>>,
    pub last_event: u64,
}

impl Head {
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            revision: self.revision,
            desired: self.desired.clone(),
            unfinished_jobs: self.unfinished.values().cloned().collect(),
        }
    }

    pub fn latest(&self) -> Latest {
        Latest { revision: self.revision, event: self.last_event }
    }
}

/// One transaction: the head after it, and what differs from the head before it.
#[derive(Debug)]
pub(crate) struct Batch {
    pub next: Head,
    /// Items of the desired state to be written as they are in `next`, or deleted if not there.
    pub touched: BTreeSet<Key>,
    pub jobs: BTreeMap<JobId, Arc<Job>>,
    pub events: Vec<NumberedEvent>,
    pub answers: BTreeMap<AnswerName, KeptAnswer>,
}

impl Batch {
    pub fn on(head: &Head) -> Self {
        Self {
            next: head.clone(),
            touched: BTreeSet::new(),
            jobs: BTreeMap::new(),
            events: Vec::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Takes the whole commit in, or nothing of it.
    pub fn commit(&mut self, commit: Commit) -> Result<Revision, Conflict> {
        commit.change.apply(&mut self.next.desired)?;
        for edit in &commit.change.edits {
            self.touched.insert(key_of(edit));
            self.touched.insert(Key::Generation(edit.server().clone()));
        }
        for server in commit.change.guards.keys() {
            self.touched.insert(Key::Generation(server.clone()));
        }
        for job in commit.jobs {
            self.put_job(job);
        }
        self.append(commit.events);
        self.answers.extend(commit.answers.into_iter().map(|answer| (answer.name.clone(), answer)));
        self.next.revision.0 += 1;
        Ok(self.next.revision)
    }

    pub fn put_job(&mut self, job: Job) {
        let job = Arc::new(job);
        if is_finished(&job) {
            self.next.unfinished.remove(&job.id);
        } else {
            self.next.unfinished.insert(job.id, Arc::clone(&job));
        }
        self.jobs.insert(job.id, job);
    }

    pub fn append(&mut self, events: Vec<Event>) {
        for event in events {
            self.next.last_event += 1;
            self.events.push(NumberedEvent { number: self.next.last_event, event });
        }
    }

    /// Nothing of it needs writing.
    pub fn is_empty(&self, before: &Head) -> bool {
        self.next.revision == before.revision && self.jobs.is_empty() && self.events.is_empty()
    }

    /// Refuses numbers that cannot be kept, before anything is written.
    pub fn check(&self) -> Result<(), StoreError> {
        match self.jobs.keys().next_back() {
            Some(id) if id.0 > MAX_NUMBER => Err(StoreError::JobIdTooLarge { id: *id }),
            _ => Ok(()),
        }
    }

    /// The first id above all jobs of this batch.
    pub fn next_job_id(&self) -> u64 {
        self.jobs.keys().next_back().map_or(0, |id| id.0.saturating_add(1))
    }
}

pub(crate) fn is_finished(job: &Job) -> bool {
    job.progress != Progress::Running
}

fn key_of(edit: &Edit) -> Key {
    let server = edit.server().clone();
    match edit {
        Edit::SetCount { gpu, .. } => Key::Setting(server, gpu.clone()),
        Edit::SetAssignment { assignment, .. } => Key::Assignment(server, assignment.vm.clone()),
        Edit::RemoveAssignment { vm, .. } | Edit::RemoveClaim { vm, .. } => {
            Key::Assignment(server, vm.clone())
        }
        Edit::SetHold { partition, .. } | Edit::RemoveHold { partition, .. } => {
            Key::Hold(server, PartitionId::clone(partition))
        }
        Edit::SetReturning { gpu, .. } | Edit::RemoveReturning { gpu, .. } => {
            Key::Returning(server, gpu.clone())
        }
        Edit::SetPool { gpu, .. } => Key::Pool(server, gpu.clone()),
    }
}
