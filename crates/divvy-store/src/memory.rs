//! The store that forgets: for the simulator, for tests, and as the model that the others must equal.
//! It knows no disk and no records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use divvy_core::event::{Event, NumberedEvent};
use divvy_core::job::{Job, JobId};

use crate::error::StoreError;
use crate::head::{Batch, Head, is_finished};
use crate::limits::Limits;
use crate::watch::Watch;
use crate::{AnswerName, Commit, KeptAnswer, Outcomes, Snapshot};

pub struct Memory {
    limits: Limits,
    watch: Watch,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    head: Head,
    last_job_id: u64,
    jobs: BTreeMap<JobId, Arc<Job>>,
    events: VecDeque<NumberedEvent>,
    answers: BTreeMap<AnswerName, KeptAnswer>,
    /// The oldest first.
    answers_by_age: BTreeSet<(u64, AnswerName)>,
}

impl Memory {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, watch: Watch::default(), kept: Mutex::default() }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.kept().head.snapshot()
    }

    pub(crate) fn commit(&self, commits: Vec<Commit>) -> Result<Outcomes, StoreError> {
        self.transact(|batch| commits.into_iter().map(|commit| batch.commit(commit)).collect())
    }

    pub(crate) fn new_job_id(&self) -> Result<JobId, StoreError> {
        let mut kept = self.kept();
        kept.last_job_id += 1;
        Ok(JobId(kept.last_job_id))
    }

    pub(crate) fn put_job(&self, job: Job) -> Result<(), StoreError> {
        self.transact(|batch| batch.put_job(job))
    }

    pub(crate) fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.kept().jobs.get(&id).map(|job| Job::clone(job)))
    }

    pub(crate) fn jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let kept = self.kept();
        let jobs = kept.jobs.range((from, Bound::Unbounded));
        Ok(jobs.take(limit).map(|(_, job)| Job::clone(job)).collect())
    }

    pub(crate) fn answer(&self, name: &AnswerName) -> Result<Option<KeptAnswer>, StoreError> {
        Ok(self.kept().answers.get(name).cloned())
    }

    pub(crate) fn append_events(&self, events: Vec<Event>) -> Result<(), StoreError> {
        self.transact(|batch| batch.append(events))
    }

    pub(crate) fn events(&self, after: u64, limit: usize) -> Result<Vec<NumberedEvent>, StoreError> {
        let kept = self.kept();
        let from = kept.events.partition_point(|event| event.number <= after);
        Ok(kept.events.range(from..).take(limit).cloned().collect())
    }

    pub(crate) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    fn transact<T>(&self, build: impl FnOnce(&mut Batch) -> T) -> Result<T, StoreError> {
        let mut kept = self.kept();
        let mut batch = Batch::on(&kept.head);
        let answer = build(&mut batch);
        batch.check()?;
        kept.take(batch, &self.limits);
        self.watch.announce(kept.head.latest());
        Ok(answer)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing can panic between two edits of what is kept.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn take(&mut self, batch: Batch, limits: &Limits) {
        self.last_job_id = self.last_job_id.max(batch.next_job_id().saturating_sub(1));
        let (appended, put) = (batch.events.len() as u64, batch.jobs.len() as u64);
        self.head = batch.next;
        self.jobs.extend(batch.jobs);
        self.events.extend(batch.events);
        self.put_answers(batch.answers, limits);
        if appended > 0 {
            self.prune_events(limits, appended);
        }
        if put > 0 {
            self.prune_jobs(limits, put);
        }
    }

    fn prune_events(&mut self, limits: &Limits, appended: u64) {
        let kept = self.events.len() as u64;
        let newest_ms = self.events.back().map_or(0, |newest| newest.event.at_ms);
        let may_age = limits.events_that_may_age(kept, appended) as usize;
        let aged = self.events.iter().take(may_age);
        let aged = aged.take_while(|event| limits.is_aged(event.event.at_ms, newest_ms)).count();
        let over = limits.events_over(kept, appended) as usize;
        self.events.drain(..over.max(aged));
    }

    fn put_answers(&mut self, answers: BTreeMap<AnswerName, KeptAnswer>, limits: &Limits) {
        let put = answers.len() as u64;
        let Some(newest_ms) = answers.values().map(|answer| answer.at_ms).max() else { return };
        for (name, answer) in answers {
            let at_ms = answer.at_ms;
            if let Some(old) = self.answers.insert(name.clone(), answer) {
                self.answers_by_age.remove(&(old.at_ms, name.clone()));
            }
            self.answers_by_age.insert((at_ms, name));
        }
        let (may_age, aged_before_ms) = limits.answers_that_age(put, newest_ms);
        let aged = self.answers_by_age.iter().take(may_age as usize);
        let aged = aged.take_while(|(at_ms, _)| *at_ms < aged_before_ms).count();
        let over = limits.answers_over(self.answers.len() as u64, put) as usize;
        for _ in 0..over.max(aged) {
            if let Some((_, name)) = self.answers_by_age.pop_first() {
                self.answers.remove(&name);
            }
        }
    }

    fn prune_jobs(&mut self, limits: &Limits, put: u64) {
        let finished: Vec<JobId> =
            self.jobs.values().filter(|job| is_finished(job)).map(|job| job.id).collect();
        let over = limits.jobs_over(finished.len() as u64, put) as usize;
        for id in &finished[..over] {
            self.jobs.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::conformance::{Make, suite};

    fn with_memory(promise: impl Fn(Make)) {
        promise(&|limits| Store::Memory(Memory::new(limits)));
    }

    suite!(with_memory);
}
