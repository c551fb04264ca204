//! Random commits against the plainest model there is: a desired state, a map of jobs and a number of
//! events.

use std::collections::BTreeMap;

use divvy_core::desired::Desired;
use divvy_core::job::{Job, JobId, Progress};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::Make;
use super::samples::{Draft, random_batches};
use crate::{Limits, Revision, Store};

const CASES: u32 = 24;

#[derive(Default)]
pub(crate) struct Model {
    desired: Desired,
    revision: u64,
    events: u64,
    jobs: BTreeMap<JobId, Job>,
}

impl Model {
    /// Gives the batch to the store and to the model and compares the answers.
    pub fn commit(&mut self, store: &Store, batch: &[Draft]) {
        let mut commits = Vec::new();
        let mut expected = Vec::new();
        for draft in batch {
            let commit = draft.commit(&self.desired);
            commits.push(commit.clone());
            expected.push(commit.change.apply(&mut self.desired).map(|()| {
                self.revision += 1;
                self.events += commit.events.len() as u64;
                self.jobs.extend(commit.jobs.into_iter().map(|job| (job.id, job)));
                Revision(self.revision)
            }));
        }
        assert_eq!(store.commit(commits).expect("writes"), expected);
    }

    pub fn assert_equals(&self, store: &Store) {
        let snapshot = store.snapshot();
        assert_eq!(snapshot.desired, self.desired);
        assert_eq!(snapshot.revision, Revision(self.revision));
        let unfinished = self.jobs.values().filter(|job| job.progress == Progress::Running);
        assert!(snapshot.unfinished_jobs.iter().map(AsRef::as_ref).eq(unfinished));
        assert!(store.jobs(None, usize::MAX).expect("reads").iter().eq(self.jobs.values()));
        let events = store.events(0, usize::MAX).expect("reads");
        assert!(events.iter().map(|event| event.number).eq(1..=self.events));
        assert_eq!(store.watch().latest().event, self.events);
    }
}

/// Runs `promise` on some random histories; always the same ones would find less, so a failure prints
/// the history it shrank to.
pub(crate) fn on_random_histories(promise: impl Fn(&[Vec<Draft>])) {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&random_batches(), |batches| {
        promise(&batches);
        Ok::<(), TestCaseError>(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

pub(crate) fn random_commits_leave_what_the_model_says(make: Make) {
    on_random_histories(|batches| {
        let store = make(Limits::default());
        let mut model = Model::default();
        for batch in batches {
            model.commit(&store, batch);
            model.assert_equals(&store);
        }
    });
}
