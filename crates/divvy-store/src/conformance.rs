//! What every store promises, as one suite. [`suite!`] makes one test of each promise for one kind of
//! store; a promise gets a way to make an empty store and knows nothing else about it.

mod answers;
mod history;
mod model;
mod samples;

use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use divvy_core::change::Change;
use divvy_core::desired::{Desired, Generation};
use divvy_core::job::{JobId, Progress};

use self::samples::{server, unassign};
use crate::{Commit, Latest, Limits, Revision, Store};

pub(crate) use self::answers::*;
pub(crate) use self::history::*;
pub(crate) use self::model::{Model, on_random_histories, random_commits_leave_what_the_model_says};
pub(crate) use self::samples::{answer, assign, event, job, name};

/// Makes an empty store.
pub(crate) type Make<'a> = &'a dyn Fn(Limits) -> Store;

/// Longer than anything here takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

macro_rules! suite {
    ($with_a_maker:path) => {
        $crate::conformance::suite!($with_a_maker:
            an_empty_store_asks_for_nothing
            a_commit_shows_in_the_next_snapshot
            a_stale_commit_is_refused_and_says_what_was_found
            a_refused_commit_leaves_no_trace
            a_batch_is_guarded_in_its_order
            a_refused_commit_does_not_stop_the_others_of_its_batch
            the_revision_grows_by_one_with_every_commit_that_went_through
            jobs_and_events_alone_leave_the_revision
            a_snapshot_does_not_change_afterwards
            of_threads_that_rely_on_the_same_generation_one_wins
            random_commits_leave_what_the_model_says
            events_are_numbered_from_one_in_their_order
            events_are_read_in_pages
            event_numbers_go_on_after_pruning
            old_events_go_but_the_newest_stay_whatever_their_age
            jobs_are_read_by_id_and_in_pages
            a_put_job_replaces_the_one_with_its_id
            a_snapshot_has_the_unfinished_jobs_alone
            finished_jobs_are_pruned_and_unfinished_ones_never
            job_ids_ascend_past_every_job_there_is
            a_job_id_too_large_to_keep_is_refused
            an_answer_is_kept_with_its_change_and_under_its_askers_name_alone
            an_answer_alone_is_kept
            a_later_answer_under_the_same_name_replaces_the_first
            beyond_their_number_the_oldest_answers_go
            answers_that_are_too_old_go
            a_commit_wakes_who_waits_for_a_revision
            an_event_wakes_who_waits_for_events
            a_wait_that_sees_nothing_new_ends
            a_callback_hears_the_present_and_every_transaction
        );
    };
    ($with_a_maker:path: $($promise:ident)*) => {
        $(#[test]
        fn $promise() {
            $with_a_maker($crate::conformance::$promise);
        })*
    };
}
pub(crate) use suite;

/// Commits one change that must go through.
pub(crate) fn commit(store: &Store, change: Change) -> Revision {
    let outcomes = store.commit(vec![Commit { change, ..Commit::default() }]).expect("the store writes");
    outcomes.into_iter().next().expect("one answer").expect("no conflict")
}

pub(crate) fn an_empty_store_asks_for_nothing(make: Make) {
    let snapshot = make(Limits::default()).snapshot();
    assert_eq!(snapshot.revision, Revision(0));
    assert_eq!(snapshot.desired, Desired::default());
    assert!(snapshot.unfinished_jobs.is_empty());
}

pub(crate) fn a_commit_shows_in_the_next_snapshot(make: Make) {
    let store = make(Limits::default());
    let mut desired = Desired::default();
    let change = assign(1, 0, &desired);
    change.apply(&mut desired).expect("applies to the model");
    commit(&store, change);
    assert_eq!(store.snapshot().desired, desired);
}

pub(crate) fn a_stale_commit_is_refused_and_says_what_was_found(make: Make) {
    let store = make(Limits::default());
    let stale = assign(2, 1, &store.snapshot().desired);
    commit(&store, assign(1, 0, &store.snapshot().desired));
    let outcomes = store.commit(vec![Commit { change: stale, ..Commit::default() }]).expect("answers");
    let conflict = outcomes[0].as_ref().expect_err("a stale commit went through");
    assert_eq!(conflict.server, server());
    assert_eq!((conflict.expected, conflict.found), (Generation(0), Generation(1)));
}

pub(crate) fn a_refused_commit_leaves_no_trace(make: Make) {
    let store = make(Limits::default());
    let stale = assign(2, 1, &store.snapshot().desired);
    commit(&store, assign(1, 0, &store.snapshot().desired));
    let before = store.snapshot();
    let refused = Commit {
        change: stale,
        events: vec![event("assigned", 1)],
        jobs: vec![job(7, Progress::Running)],
        answers: vec![answer("a-key", 1)],
    };
    store.commit(vec![refused]).expect("answers")[0].as_ref().expect_err("is stale");
    assert_eq!(store.snapshot(), before);
    assert_eq!(store.events(0, 10).expect("reads"), []);
    assert_eq!(store.jobs(None, 10).expect("reads"), []);
    assert_eq!(store.answer(&name("a-key")).expect("reads"), None);
}

pub(crate) fn a_batch_is_guarded_in_its_order(make: Make) {
    let store = make(Limits::default());
    let mut desired = Desired::default();
    let changes = [(1, 0), (2, 1), (3, 2)].map(|(vm, index)| {
        let change = assign(vm, index, &desired);
        change.apply(&mut desired).expect("applies to the model");
        change
    });
    let batch = changes.map(|change| Commit { change, ..Commit::default() });
    let outcomes = store.commit(batch.to_vec()).expect("writes");
    assert_eq!(outcomes, [Ok(Revision(1)), Ok(Revision(2)), Ok(Revision(3))]);
    assert_eq!(store.snapshot().desired, desired);
}

pub(crate) fn a_refused_commit_does_not_stop_the_others_of_its_batch(make: Make) {
    let store = make(Limits::default());
    let mut desired = Desired::default();
    let first = assign(1, 0, &desired);
    let stale = assign(2, 1, &desired);
    first.apply(&mut desired).expect("applies to the model");
    let last = unassign(1, &desired);
    last.apply(&mut desired).expect("applies to the model");
    let batch = [first, stale, last].map(|change| Commit { change, ..Commit::default() });
    let outcomes = store.commit(batch.to_vec()).expect("writes");
    assert_eq!(outcomes[0], Ok(Revision(1)));
    assert!(outcomes[1].is_err());
    assert_eq!(outcomes[2], Ok(Revision(2)));
    assert_eq!(store.snapshot().desired, desired);
}

pub(crate) fn the_revision_grows_by_one_with_every_commit_that_went_through(make: Make) {
    let store = make(Limits::default());
    let stale = assign(9, 3, &store.snapshot().desired);
    for expected in 1..=3 {
        let change = assign(expected as u32, 0, &store.snapshot().desired);
        assert_eq!(commit(&store, change), Revision(expected));
    }
    store.commit(vec![Commit { change: stale, ..Commit::default() }]).expect("answers");
    store.commit(Vec::new()).expect("answers");
    assert_eq!(store.snapshot().revision, Revision(3));
    assert_eq!(commit(&store, Change::default()), Revision(4));
}

pub(crate) fn jobs_and_events_alone_leave_the_revision(make: Make) {
    let store = make(Limits::default());
    store.put_job(job(1, Progress::Running)).expect("writes");
    store.append_events(vec![event("assigned", 1)]).expect("writes");
    store.new_job_id().expect("writes");
    assert_eq!(store.snapshot().revision, Revision(0));
}

pub(crate) fn a_snapshot_does_not_change_afterwards(make: Make) {
    let store = make(Limits::default());
    commit(&store, assign(1, 0, &store.snapshot().desired));
    let before = store.snapshot();
    let kept = before.clone();
    commit(&store, unassign(1, &before.desired));
    store.put_job(job(1, Progress::Running)).expect("writes");
    assert_eq!(before, kept);
    assert_ne!(store.snapshot(), kept);
}

pub(crate) fn of_threads_that_rely_on_the_same_generation_one_wins(make: Make) {
    const THREADS: u32 = 4;
    const ROUNDS: u32 = 8;
    let store = make(Limits::default());
    let barrier = Barrier::new(THREADS as usize);
    let race = |thread: u32| {
        let mut wins = 0;
        for round in 0..ROUNDS {
            barrier.wait();
            let change = assign(round * THREADS + thread, 0, &store.snapshot().desired);
            barrier.wait();
            let outcomes = store.commit(vec![Commit { change, ..Commit::default() }]).expect("writes");
            wins += u32::from(outcomes[0].is_ok());
        }
        wins
    };
    let wins: u32 = thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|number| scope.spawn(move || race(number)));
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    });
    assert_eq!(wins, ROUNDS);
    assert_eq!(store.snapshot().revision, Revision(u64::from(ROUNDS)));
}

pub(crate) fn a_commit_wakes_who_waits_for_a_revision(make: Make) {
    let store = make(Limits::default());
    let watch = store.watch();
    let waiter = thread::spawn(move || watch.wait_revision(Revision(1), PATIENCE));
    commit(&store, Change::default());
    commit(&store, Change::default());
    assert_eq!(waiter.join().expect("does not panic"), Some(Revision(2)));
}

pub(crate) fn an_event_wakes_who_waits_for_events(make: Make) {
    let store = make(Limits::default());
    let watch = store.watch();
    let waiter = thread::spawn(move || watch.wait_event(0, PATIENCE));
    store.append_events(vec![event("assigned", 1)]).expect("writes");
    assert_eq!(waiter.join().expect("does not panic"), Some(1));
}

pub(crate) fn a_wait_that_sees_nothing_new_ends(make: Make) {
    let store = make(Limits::default());
    commit(&store, Change::default());
    assert_eq!(store.watch().wait_revision(Revision(1), Duration::from_millis(1)), None);
    assert_eq!(store.watch().wait_event(0, Duration::ZERO), None);
}

pub(crate) fn a_callback_hears_the_present_and_every_transaction(make: Make) {
    let store = make(Limits::default());
    commit(&store, Change::default());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let listen = move |latest| hearing.lock().unwrap_or_else(PoisonError::into_inner).push(latest);
    store.watch().call_back(listen);
    commit(&store, Change::default());
    store.append_events(vec![event("assigned", 1)]).expect("writes");
    let expected =
        [(1, 0), (2, 0), (2, 1)].map(|(revision, event)| Latest { revision: Revision(revision), event });
    assert_eq!(*heard.lock().expect("no listener panics"), expected);
}

pub(crate) fn job_ids_ascend_past_every_job_there_is(make: Make) {
    let store = make(Limits::default());
    let mut last = 0;
    for _ in 0..100 {
        let JobId(id) = store.new_job_id().expect("answers");
        assert!(id > last, "{id} was given after {last}");
        last = id;
    }
    store.put_job(job(5000, Progress::Succeeded)).expect("writes");
    assert!(store.new_job_id().expect("answers") > JobId(5000));
}
