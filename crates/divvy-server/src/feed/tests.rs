//! A listener beside a whole daemon in a room: it hears what a reader would see change, and nothing else.

use std::time::Duration;

use divvy_api::stream::{ChangeKind, Message, Parser, Topic};
use divvy_core::job::Progress;
use serde_json::Value;

use super::*;
use crate::testing::{Daemon, assign, count};

const GPU: &str = "0000:41:00.0";

fn feed(daemon: &Daemon) -> Feed {
    let (newest, told) = watch::channel(0);
    daemon.store.watch().call_back(move |latest| {
        newest.send_replace(latest.event);
    });
    Feed::new(daemon.hub.clone(), Arc::clone(&daemon.store), told)
}

fn with_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("builds");
    runtime.block_on(test);
}

/// Reads until a message is as it is waited for; all of them.
async fn hear(
    listener: &mut Listener,
    parser: &mut Parser,
    until: impl Fn(&Message) -> bool,
) -> Vec<Message> {
    let mut heard = Vec::new();
    let reading = async {
        while !heard.last().is_some_and(&until) {
            let bytes = match listener.take() {
                Next::Bytes(bytes) => bytes.concat(),
                Next::Reset(bytes) => bytes.to_vec(),
                Next::Nothing => {
                    listener.grown().await;
                    continue;
                }
            };
            for message in parser.push(&bytes).expect("is understood") {
                heard.push(message);
                if heard.last().is_some_and(&until) {
                    break;
                }
            }
        }
    };
    timeout(Duration::from_secs(60), reading).await.expect("it is told");
    heard
}

/// Asks and waits where waiting is allowed.
fn beside<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("does not panic"))
}

fn is_reset(message: &Message) -> bool {
    matches!(message, Message::Reset(_))
}

/// The value that a thing has after these messages.
fn value(heard: &[Message], topic: Topic, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
    let values = heard.iter().rev().filter_map(|message| match message {
        Message::Change { topic: of, change } if *of == topic && change.kind == ChangeKind::Put => {
            Some(&change.value)
        }
        _ => None,
    });
    values.into_iter().find(|value| is_it(value)).cloned()
}

fn ends_a_job(message: &Message) -> bool {
    let Message::Change { topic: Topic::Job, change } = message else { return false };
    change.value["progress"] == "succeeded"
}

#[test]
fn who_begins_is_told_to_read_everything_and_then_hears_what_changes() {
    let mut daemon = Daemon::in_room("a2-edge");
    let feed = feed(&daemon);
    with_runtime(async {
        let (mut listener, mut parser) = (feed.listen(None).expect("has room"), Parser::default());
        assert_eq!(
            hear(&mut listener, &mut parser, is_reset).await,
            [Message::Reset(ResetReason::Beginning)]
        );
        let job = beside(|| daemon.carry_out(count(&[GPU], 4)));
        assert_eq!(job.progress, Progress::Succeeded);
        let heard = hear(&mut listener, &mut parser, ends_a_job).await;
        let gpu = value(&heard, Topic::Gpu, |gpu| gpu["pci_address"] == GPU).expect("the GPU changed");
        assert_eq!(gpu["partition_count"], 4);
        assert!(value(&heard, Topic::Partition, |one| one["index"] == 3).is_some(), "{heard:?}");
        assert_eq!(value(&heard, Topic::Vm, |_| true), None, "no VM changed");
    });
}

#[test]
fn events_are_told_in_their_order_without_a_gap() {
    let mut daemon = Daemon::in_room("a2-edge");
    let feed = feed(&daemon);
    let first = daemon.store.watch().latest().event + 1;
    with_runtime(async {
        let (mut listener, mut parser) = (feed.listen(None).expect("has room"), Parser::default());
        beside(|| daemon.carry_out(count(&[GPU], 4)));
        beside(|| daemon.carry_out(assign(&["vm-001"])));
        let last = daemon.store.watch().latest().event;
        let is_last = |message: &Message| matches!(message, Message::Change { topic: Topic::Event, change } if change.value["number"] == last);
        let heard = hear(&mut listener, &mut parser, is_last).await;
        let numbers = heard.iter().filter_map(|message| match message {
            Message::Change { topic: Topic::Event, change } => change.value["number"].as_u64(),
            _ => None,
        });
        assert_eq!(numbers.collect::<Vec<_>>(), (first..=last).collect::<Vec<_>>());
    });
}

#[test]
fn who_comes_back_goes_on_where_it_was() {
    let mut daemon = Daemon::in_room("a2-edge");
    let feed = feed(&daemon);
    with_runtime(async {
        let (mut listener, mut parser) = (feed.listen(None).expect("has room"), Parser::default());
        hear(&mut listener, &mut parser, is_reset).await;
        drop(listener);
        beside(|| daemon.carry_out(count(&[GPU], 4)));
        let mut listener = feed.listen(parser.last_id()).expect("has room");
        let heard = hear(&mut listener, &mut parser, ends_a_job).await;
        assert!(!heard.iter().any(is_reset), "{heard:?}");
    });
}

#[test]
fn who_comes_from_another_daemon_is_told_to_read_everything() {
    let daemon = Daemon::in_room("a2-edge");
    let feed = feed(&daemon);
    with_runtime(async {
        for id in ["1-0", "nonsense", ""] {
            let mut listener = feed.listen(Some(id)).expect("has room");
            let heard = hear(&mut listener, &mut Parser::default(), is_reset).await;
            assert_eq!(heard, [Message::Reset(ResetReason::Forgotten)], "{id:?}");
        }
    });
}

#[test]
fn who_is_too_slow_is_told_to_read_everything_and_then_hears_on() {
    let daemon = Daemon::in_room("a2-edge");
    let feed = feed(&daemon);
    with_runtime(async {
        let (mut listener, mut parser) = (feed.listen(None).expect("has room"), Parser::default());
        hear(&mut listener, &mut parser, is_reset).await;
        for _ in 0..2_000 {
            feed.append(&[difference::Message { topic: Topic::Gpu, data: "{}".to_owned() }]);
        }
        let heard = hear(&mut listener, &mut parser, is_reset).await;
        assert_eq!(heard, [Message::Reset(ResetReason::TooSlow)]);
        assert!(matches!(listener.take(), Next::Nothing));
    });
}

#[test]
fn nobody_more_is_let_in_than_there_is_room_for_and_who_goes_makes_room() {
    let daemon = Daemon::in_room("a2-edge");
    let feed = feed(&daemon);
    with_runtime(async {
        let mut listeners: Vec<Listener> =
            (0..MAX_LISTENERS).map(|_| feed.listen(None).expect("has room")).collect();
        assert!(feed.listen(None).is_none());
        listeners.pop();
        assert!(feed.listen(None).is_some());
    });
}
