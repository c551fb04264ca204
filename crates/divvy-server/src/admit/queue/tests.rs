use std::sync::mpsc;

use divvy_core::id::ServerId;
use divvy_core::job::JobId;
use divvy_core::observed::{HypervisorHealth, Observed};
use tokio::sync::oneshot;

use super::*;
use crate::door::{Ask, Wish};
use crate::terms::Terms;

fn ask_by(principal: &str) -> Message {
    let (reply, _) = oneshot::channel();
    let (wish, principal) = (Wish::Cancel(JobId(1)), principal.to_owned());
    Message::Ask(Box::new(Ask {
        wish,
        principal,
        terms: Terms::default(),
        dry_run: false,
        attempts: 0,
        reply,
    }))
}

fn report() -> Message {
    let observed = Observed {
        server: ServerId::new("here").expect("is a name"),
        boot_id: None,
        generation: Default::default(),
        hypervisor: HypervisorHealth::NotAsked,
        memory_bytes: None,
        gpus: Vec::new(),
        vms: Vec::new(),
        findings: Vec::new(),
        failures: Vec::new(),
    };
    Message::Report { observed: Box::new(observed), notes: Vec::new(), waiting: Vec::new() }
}

fn kinds(batch: Option<Vec<Message>>) -> String {
    let kind = |message: &Message| match message {
        Message::Ask(_) => 'a',
        Message::Report { .. } => 'r',
        Message::Published(_) => 'p',
        Message::Stop => 's',
    };
    batch.expect("somebody can still send").iter().map(kind).collect()
}

/// What is taken of these messages, batch by batch, when all of them stand at the door.
fn taken(messages: Vec<Message>) -> Vec<String> {
    let count = messages.len();
    let (door, receiver) = mpsc::channel();
    messages.into_iter().for_each(|message| door.send(message).expect("is received"));
    let mut queue = Queue::new(&receiver);
    let mut batches: Vec<String> = Vec::new();
    while batches.iter().map(String::len).sum::<usize>() < count {
        batches.push(kinds(queue.next()));
    }
    batches
}

#[test]
fn who_asks_does_not_wait_for_reports() {
    assert_eq!(taken(vec![report(), ask_by("somebody"), report()]), ["a", "rr"]);
}

#[test]
fn an_agent_asks_after_what_it_reported() {
    assert_eq!(taken(vec![report(), ask_by("somebody"), ask_by(DIVVY)]), ["raa"]);
}

#[test]
fn what_waits_for_all_before_it_comes_after_all_before_it() {
    let (told, _) = mpsc::channel();
    assert_eq!(taken(vec![report(), Message::Published(told)]), ["rp"]);
    assert_eq!(taken(vec![report(), Message::Stop]), ["rs"]);
}

#[test]
fn a_report_is_taken_although_others_keep_asking() {
    let (door, receiver) = mpsc::channel();
    door.send(report()).expect("is received");
    let mut queue = Queue::new(&receiver);
    let all_asks = |batch: &str| batch.bytes().all(|kind| kind == b'a');
    let mut next = || {
        door.send(ask_by("somebody")).expect("is received");
        kinds(queue.next())
    };
    let end = Instant::now() + Duration::from_secs(60);
    while all_asks(&next()) {
        assert!(Instant::now() < end, "the report still waits");
    }
}

#[test]
fn reports_are_taken_when_nobody_is_left_to_send_anything() {
    let (door, receiver) = mpsc::channel();
    door.send(report()).expect("is received");
    drop(door);
    let mut queue = Queue::new(&receiver);
    assert_eq!(kinds(queue.next()), "r");
    assert!(queue.next().is_none());
}
