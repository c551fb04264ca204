//! The promises about events and jobs.

use divvy_core::job::{Job, JobId, Progress};

use super::Make;
use super::samples::{event, job};
use crate::{Limits, Store, StoreError};

fn numbers(store: &Store) -> Vec<u64> {
    store.events(0, usize::MAX).expect("reads").iter().map(|event| event.number).collect()
}

fn ids(jobs: &[Job]) -> Vec<u64> {
    jobs.iter().map(|job| job.id.0).collect()
}

pub(crate) fn events_are_numbered_from_one_in_their_order(make: Make) {
    let store = make(Limits::default());
    let events = [event("assigned", 5), event("gpu_appeared", u64::MAX), event("step_failed", 0)];
    store.append_events(events[..2].to_vec()).expect("writes");
    store.append_events(Vec::new()).expect("answers");
    store.append_events(events[2..].to_vec()).expect("writes");
    let read = store.events(0, 10).expect("reads");
    assert_eq!(read.iter().map(|event| event.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(read.into_iter().map(|event| event.event).collect::<Vec<_>>(), events);
}

pub(crate) fn events_are_read_in_pages(make: Make) {
    let store = make(Limits::default());
    store.append_events(vec![event("assigned", 1); 5]).expect("writes");
    let page = |after, limit| {
        let events = store.events(after, limit).expect("reads");
        events.into_iter().map(|event| event.number).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 2), [1, 2]);
    assert_eq!(page(2, 2), [3, 4]);
    assert_eq!(page(4, usize::MAX), [5]);
    assert_eq!(page(5, 2), [0; 0]);
    assert_eq!(page(u64::MAX, 2), [0; 0]);
    assert_eq!(page(0, 0), [0; 0]);
}

pub(crate) fn event_numbers_go_on_after_pruning(make: Make) {
    let store = make(Limits { events: 3, ..Limits::default() });
    for _ in 0..5 {
        store.append_events(vec![event("assigned", 1); 100]).expect("writes");
    }
    assert_eq!(numbers(&store), [498, 499, 500]);
    store.append_events(vec![event("assigned", 1)]).expect("writes");
    assert_eq!(numbers(&store), [499, 500, 501]);
}

pub(crate) fn old_events_go_but_the_newest_stay_whatever_their_age(make: Make) {
    let limits = Limits { event_age_ms: 10, events_always_kept: 2, ..Limits::default() };
    let store = make(limits);
    store.append_events([1, 2, 20, 3].map(|at_ms| event("assigned", at_ms)).to_vec()).expect("writes");
    assert_eq!(numbers(&store), [1, 2, 3, 4]);
    store.append_events(vec![event("assigned", 25)]).expect("writes");
    // The fourth is old as well, but stands after one that is not.
    assert_eq!(numbers(&store), [3, 4, 5]);
    store.append_events(vec![event("assigned", u64::MAX)]).expect("writes");
    assert_eq!(numbers(&store), [5, 6]);
}

pub(crate) fn jobs_are_read_by_id_and_in_pages(make: Make) {
    let store = make(Limits::default());
    for id in [3, 0, 9] {
        store.put_job(job(id, Progress::Running)).expect("writes");
    }
    let page = |after: Option<u64>, limit| ids(&store.jobs(after.map(JobId), limit).expect("reads"));
    assert_eq!(page(None, 2), [0, 3]);
    assert_eq!(page(Some(3), usize::MAX), [9]);
    assert_eq!(page(Some(u64::MAX), 1), [0; 0]);
    assert_eq!(store.job(JobId(0)).expect("reads"), Some(job(0, Progress::Running)));
    assert_eq!(store.job(JobId(4)).expect("reads"), None);
    assert_eq!(store.job(JobId(u64::MAX)).expect("reads"), None);
}

pub(crate) fn a_put_job_replaces_the_one_with_its_id(make: Make) {
    let store = make(Limits::default());
    store.put_job(job(1, Progress::Running)).expect("writes");
    store.put_job(job(1, Progress::Failed)).expect("writes");
    assert_eq!(store.jobs(None, 10).expect("reads"), [job(1, Progress::Failed)]);
}

pub(crate) fn a_snapshot_has_the_unfinished_jobs_alone(make: Make) {
    let store = make(Limits::default());
    for id in [4, 2, 3] {
        store.put_job(job(id, Progress::Running)).expect("writes");
    }
    store.put_job(job(2, Progress::Succeeded)).expect("writes");
    store.put_job(job(5, Progress::Failed)).expect("writes");
    let unfinished = store.snapshot().unfinished_jobs;
    assert_eq!(unfinished.iter().map(|job| job.id.0).collect::<Vec<_>>(), [3, 4]);
}

pub(crate) fn finished_jobs_are_pruned_and_unfinished_ones_never(make: Make) {
    let store = make(Limits { finished_jobs: 2, ..Limits::default() });
    store.put_job(job(1, Progress::Running)).expect("writes");
    for id in 2..=20 {
        store.put_job(job(id, Progress::Running)).expect("writes");
        store.put_job(job(id, Progress::Succeeded)).expect("writes");
    }
    assert_eq!(ids(&store.jobs(None, usize::MAX).expect("reads")), [1, 19, 20]);
    store.put_job(job(1, Progress::Failed)).expect("writes");
    assert_eq!(ids(&store.jobs(None, usize::MAX).expect("reads")), [19, 20]);
}

pub(crate) fn a_job_id_too_large_to_keep_is_refused(make: Make) {
    let store = make(Limits::default());
    let refused = store.put_job(job(u64::MAX, Progress::Running));
    assert!(matches!(refused, Err(StoreError::JobIdTooLarge { id: JobId(u64::MAX) })));
    assert_eq!(store.jobs(None, 1).expect("reads"), []);
    assert!(store.snapshot().unfinished_jobs.is_empty());
}
