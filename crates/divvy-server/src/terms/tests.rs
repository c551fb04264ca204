use divvy_core::job::Progress;

use super::*;
use crate::door::{Answer, AskError, Wish};
use crate::jobs;
use crate::testing::{Daemon, assign, count, unassign};

const GPU: &str = "0000:41:00.0";

fn once(key: &str, fingerprint: &str) -> Terms {
    let name = AnswerName { principal: "test".to_owned(), key: key.to_owned() };
    Terms { once: Some(Once { name, fingerprint: fingerprint.to_owned() }), unchanged: None }
}

fn ask(daemon: &Daemon, wish: Wish, terms: Terms) -> Result<Answer, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("builds");
    runtime.block_on(daemon.hub.ask(wish, "test", terms, false))
}

fn job_of(answer: Result<Answer, AskError>) -> (Job, bool) {
    match answer {
        Ok(Answer::Accepted { job: Some(job), again, .. }) => (Job::clone(&job), again),
        other => panic!("no job: {other:?}"),
    }
}

fn refusal(answer: Result<Answer, AskError>) -> &'static str {
    match answer {
        Err(AskError::Refused(refusal)) => refusal.code(),
        other => panic!("not refused: {other:?}"),
    }
}

fn partition_count(daemon: &Daemon) -> Option<u16> {
    daemon.state().gpus().next().expect("one GPU").1.partition_count
}

#[test]
fn a_key_is_forgotten_after_a_day_and_not_before() {
    let terms = once("k", "f").once.expect("has a key");
    let answer = terms.answer(1_000, None, &[]);
    assert!(Once::counts(&answer, 1_000 + KEY_AGE_MS - 1));
    assert!(Once::counts(&answer, 0), "the clock was set back");
    assert!(!Once::counts(&answer, 1_000 + KEY_AGE_MS));
}

#[test]
fn one_tag_of_several_is_enough() {
    let tags = Tags::OneOf(vec!["a".to_owned(), "b".to_owned()]);
    assert!(tags.holds("b") && !tags.holds("c") && Tags::Any.holds("c"));
}

#[test]
fn a_change_with_a_key_happens_once_and_is_answered_the_same_also_after_a_restart() {
    let daemon = Daemon::in_room("a2-edge");
    let wish = || Wish::Change(count(&[GPU], 4));
    let first = job_of(ask(&daemon, wish(), once("key", "four")));
    assert!(!first.1);
    assert_eq!(job_of(ask(&daemon, wish(), once("key", "four"))), (first.0.clone(), true));
    let (room, store) = daemon.end();
    let daemon = Daemon::with_store(room, store);
    assert_eq!(job_of(ask(&daemon, wish(), once("key", "four"))), (first.0, true));
    assert_eq!(daemon.store.jobs(None, 10).expect("reads").len(), 1);
}

#[test]
fn many_who_ask_at_once_with_one_key_change_once() {
    let daemon = Daemon::in_room("a2-edge");
    let askers: Vec<_> = (0..8)
        .map(|_| {
            let hub = daemon.hub.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("builds");
                let wish = Wish::Change(count(&[GPU], 4));
                runtime.block_on(hub.ask(wish, "test", once("key", "four"), false))
            })
        })
        .collect();
    let answers: Vec<(Job, bool)> =
        askers.into_iter().map(|asker| job_of(asker.join().expect("no panic"))).collect();
    assert!(answers.iter().all(|(job, _)| *job == answers[0].0));
    assert_eq!(answers.iter().filter(|(_, again)| !again).count(), 1);
}

#[test]
fn a_key_that_was_given_to_another_change_is_refused() {
    let daemon = Daemon::in_room("a2-edge");
    job_of(ask(&daemon, Wish::Change(count(&[GPU], 4)), once("key", "four")));
    let other = ask(&daemon, Wish::Change(count(&[GPU], 8)), once("key", "eight"));
    assert!(matches!(other, Err(AskError::KeyReused { key }) if key == "key"));
}

#[test]
fn a_refusal_leaves_the_key_free() {
    let mut daemon = Daemon::in_room("a2-edge");
    let wish = || Wish::Change(assign(&["vm-001"]));
    assert_eq!(refusal(ask(&daemon, wish(), once("key", "vm-001"))), "no_free_partition");
    daemon.carry_out(count(&[GPU], 4));
    assert!(!job_of(ask(&daemon, wish(), once("key", "vm-001"))).1);
}

#[test]
fn a_change_that_changes_nothing_is_answered_the_same_later_too() {
    let mut daemon = Daemon::in_room("a2-edge");
    daemon.carry_out(count(&[GPU], 4));
    let wish = || Wish::Change(count(&[GPU], 4));
    let nothing = |answer| matches!(answer, Ok(Answer::Accepted { job: None, .. }));
    assert!(nothing(ask(&daemon, wish(), once("key", "four"))));
    daemon.carry_out(count(&[GPU], 8));
    assert!(nothing(ask(&daemon, wish(), once("key", "four"))), "it was changed back");
    assert_eq!(partition_count(&daemon), Some(8));
}

#[test]
fn a_change_of_what_is_not_as_it_was_read_is_refused_and_changes_nothing() {
    let mut daemon = Daemon::in_room("a2-edge");
    let tag =
        |daemon: &Daemon| Fingerprint::of_json(&views::gpus_of(&daemon.state(), daemon.server().id())[0]);
    let terms = |tag: String| {
        let unchanged = Unchanged { object: Object::Gpu(GPU.to_owned()), tags: Tags::OneOf(vec![tag]) };
        Terms { once: None, unchanged: Some(unchanged) }
    };
    let read = tag(&daemon);
    daemon.carry_out(count(&[GPU], 4));
    let late = ask(&daemon, Wish::Change(count(&[GPU], 8)), terms(read));
    assert!(matches!(&late, Err(AskError::Changed { what }) if what.contains(GPU)), "{late:?}");
    assert_eq!(partition_count(&daemon), Some(4));
    job_of(ask(&daemon, Wish::Change(count(&[GPU], 8)), terms(tag(&daemon))));
}

/// Asks for a count that cannot be reached yet, so that its job runs.
fn running_count(daemon: &mut Daemon, wanted: u16) -> Job {
    job_of(ask(daemon, Wish::Change(count(&[GPU], wanted)), Terms::default())).0
}

#[test]
fn a_cancelled_count_is_taken_back_and_the_gpu_goes_back() {
    let mut daemon = Daemon::in_room("a2-edge");
    daemon.carry_out(count(&[GPU], 4));
    let job = running_count(&mut daemon, 8);
    let (cancelled, _) = job_of(ask(&daemon, Wish::Cancel(job.id), Terms::default()));
    assert_eq!((cancelled.progress, cancelled.finished_ms.is_some()), (Progress::Failed, true));
    assert_eq!(cancelled.targets[0].detail.as_deref(), Some("cancelled by test"));
    daemon.turn();
    assert_eq!(partition_count(&daemon), Some(4));
    let kept = daemon.store.job(job.id).expect("reads").expect("is kept");
    assert_eq!(kept, cancelled, "a later report changed it");
}

#[test]
fn the_end_of_a_cancelled_job_and_its_taking_back_are_kept_together() {
    let daemon = Daemon::in_room("a2-edge");
    daemon.ask(count(&[GPU], 4)).expect("is accepted");
    let revision = daemon.store.snapshot().revision.0;
    let job = daemon.hub.published().running_jobs.keys().next().copied().expect("runs");
    job_of(ask(&daemon, Wish::Cancel(job), Terms::default()));
    assert_eq!(daemon.store.snapshot().revision.0, revision + 1, "it was more than one commit");
}

#[test]
fn who_cancelled_is_in_the_record() {
    let mut daemon = Daemon::in_room("a2-edge");
    let job = running_count(&mut daemon, 8);
    job_of(ask(&daemon, Wish::Cancel(job.id), Terms::default()));
    let events = daemon.store.events(0, 100).expect("reads");
    let cancelled = events.iter().find(|event| event.event.code == "job_cancelled").expect("is told");
    assert_eq!((cancelled.event.principal.as_deref(), cancelled.event.job), (Some("test"), Some(job.id)));
}

#[test]
fn what_a_cancelled_job_has_reached_stays() {
    let daemon = Daemon::in_room("a16-pair");
    let gpus = views::gpus_of(&daemon.state(), daemon.server().id());
    let gpus: Vec<String> = gpus.into_iter().map(|gpu| gpu.id).collect();
    let mut job = job_of(daemon.ask(count(&[&gpus[0], &gpus[1]], 4))).0;
    job.targets[0].progress = Progress::Succeeded;
    let (cancelled, requests) = jobs::cancel(&job, "test", 1).expect("runs");
    let progress: Vec<Progress> = cancelled.targets.iter().map(|target| target.progress).collect();
    assert_eq!(progress, [Progress::Succeeded, Progress::Failed]);
    assert_eq!(requests.len(), 1, "{requests:?}");
}

#[test]
fn a_job_that_takes_partitions_back_is_not_cancelled() {
    let mut daemon = Daemon::in_room("a2-edge");
    daemon.carry_out(count(&[GPU], 4));
    daemon.carry_out(assign(&["vm-001"]));
    let job = job_of(ask(&daemon, Wish::Change(unassign(&["vm-001"])), Terms::default())).0;
    assert_eq!(refusal(ask(&daemon, Wish::Cancel(job.id), Terms::default())), "job_not_cancellable");
}

#[test]
fn a_job_that_nobody_knows_is_not_cancelled() {
    let daemon = Daemon::in_room("a2-edge");
    assert_eq!(refusal(ask(&daemon, Wish::Cancel(JobId(4711)), Terms::default())), "job_not_found");
}

#[test]
fn a_job_is_cancelled_once() {
    let mut daemon = Daemon::in_room("a2-edge");
    let job = running_count(&mut daemon, 8);
    job_of(ask(&daemon, Wish::Cancel(job.id), once("key", "cancel")));
    assert!(job_of(ask(&daemon, Wish::Cancel(job.id), once("key", "cancel"))).1, "with its key again");
    assert_eq!(refusal(ask(&daemon, Wish::Cancel(job.id), Terms::default())), "job_finished");
}
