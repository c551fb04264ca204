//! How askers share looks. Who looks is a function of the test, which says when it answers. Rows are made of
//! a room's own answers.

use std::sync::Condvar;
use std::sync::atomic::{AtomicUsize, Ordering};

use divvy_api::views::UsageView;
use divvy_core::pci_address::PciAddress;
use divvy_host::telemetry::{Engines, Media, Telemetry, TelemetryError};

use super::*;
use crate::testing::{Daemon, assign, count};

const LONG: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(20);

/// A library that answers while it is open, and counts how often it was asked.
#[derive(Default)]
struct Library {
    is_open: Mutex<bool>,
    opened: Condvar,
    asked: AtomicUsize,
}

impl Library {
    fn open() -> Arc<Self> {
        let library = Arc::new(Self::default());
        library.set_open();
        library
    }

    fn set_open(&self) {
        *self.is_open.lock().expect("no test panics while it holds this") = true;
        self.opened.notify_all();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn looker(self: &Arc<Self>) -> Looker {
        let library = Arc::clone(self);
        Arc::new(move || {
            library.asked.fetch_add(1, Ordering::SeqCst);
            let is_open = library.is_open.lock().expect("no test panics while it holds this");
            let is_closed = |is_open: &mut bool| !*is_open;
            drop(library.opened.wait_while(is_open, is_closed).expect("no test panics while it holds this"));
            Asked { gpus: Vec::new(), told: Ok(Vec::new()) }
        })
    }
}

fn server(name: &str) -> ServerId {
    ServerId::new(name).expect("a name")
}

fn desk(times: Times, lookers: Vec<(&str, Looker)>) -> Desk {
    let lookers = lookers.into_iter().map(|(name, looker)| (server(name), looker));
    Desk { times, ..Desk::new(lookers) }
}

async fn ask(desk: &Desk, name: &str) -> Told {
    desk.ask([server(name)].into_iter()).await.remove(&server(name)).expect("is a server of the desk")
}

#[tokio::test]
async fn nobody_looks_before_somebody_asks_and_an_answer_is_shared_while_it_is_fresh() {
    let library = Library::open();
    let desk = desk(Times { fresh: LONG, patience: LONG }, vec![("a", library.looker())]);
    assert_eq!(library.asked(), 0);
    let first = ask(&desk, "a").await.expect("is told");
    let second = ask(&desk, "a").await.expect("is told");
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(library.asked(), 1);
}

#[tokio::test]
async fn who_asks_later_is_told_anew() {
    let library = Library::open();
    let desk = desk(Times { fresh: Duration::ZERO, patience: LONG }, vec![("a", library.looker())]);
    ask(&desk, "a").await.expect("is told");
    ask(&desk, "a").await.expect("is told");
    assert_eq!(library.asked(), 2);
}

#[tokio::test]
async fn all_who_ask_while_a_look_is_under_way_wait_for_that_one() {
    const MANY: usize = 20;
    let library = Arc::new(Library::default());
    let desk = Arc::new(desk(Times { fresh: Duration::ZERO, patience: LONG }, vec![("a", library.looker())]));
    let asking: Vec<_> = (0..MANY)
        .map(|_| {
            let desk = Arc::clone(&desk);
            tokio::spawn(async move { ask(&desk, "a").await })
        })
        .collect();
    while desk.counters[&server("a")].ended.receiver_count() < MANY {
        tokio::task::yield_now().await;
    }
    library.set_open();
    for one in asking {
        one.await.expect("does not panic").expect("is told");
    }
    assert_eq!(library.asked(), 1);
}

#[tokio::test]
async fn a_library_that_hangs_holds_nobody_up_and_is_not_asked_twice() {
    let (hanging, well) = (Arc::new(Library::default()), Library::open());
    let lookers = vec![("a", hanging.looker()), ("b", well.looker())];
    let desk = desk(Times { fresh: LONG, patience: SOON }, lookers);
    let told = desk.ask([server("a"), server("b")].into_iter()).await;
    assert!(matches!(told[&server("a")], Err(NoLook::Silent { waited_ms: 20 })));
    ask(&desk, "a").await.expect_err("it still hangs");
    assert_eq!(hanging.asked(), 1);
    hanging.set_open();
    while ask(&desk, "a").await.is_err() {}
    assert_eq!(hanging.asked(), 1, "the answer that came late is an answer");
}

#[tokio::test]
async fn a_look_that_ends_by_a_panic_keeps_nobody_from_looking_again() {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let looker: Looker = Arc::new(move || {
        assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "the first look of this test panics");
        Asked { gpus: Vec::new(), told: Ok(Vec::new()) }
    });
    let desk = desk(Times { fresh: LONG, patience: LONG }, vec![("a", looker)]);
    ask(&desk, "a").await.expect_err("it panicked");
    ask(&desk, "a").await.expect("is told");
}

/// A room with one GPU in four partitions, of which a running VM has the first.
fn daemon() -> (Daemon, PciAddress) {
    let mut daemon = Daemon::in_room("a2-edge");
    let address = daemon.server().gpus()[0].address;
    daemon.carry_out(count(&[&address.to_string()], 4));
    daemon.carry_out(assign(&["vm-001", "vm-002"]));
    let vm = divvy_core::resolve::vm(&daemon.state(), "vm-001").expect("is there").1.id.clone();
    daemon.server().power_on(&vm).expect("starts");
    daemon.turn();
    (daemon, address)
}

/// The row of the one GPU, when this was told.
fn row_when(daemon: &Daemon, asked: Asked) -> UsageView {
    let told = Ok(Arc::new(Look { at_ms: 5, asked }));
    row_of(daemon, told)
}

fn row_of(daemon: &Daemon, told: Told) -> UsageView {
    let told = BTreeMap::from([(daemon.server().id().clone(), told)]);
    rows(&daemon.state(), &told).remove(0).0
}

#[test]
fn what_a_vm_uses_stands_with_its_partition() {
    let (daemon, address) = daemon();
    let told = daemon.server().telemetry().look(&[address]);
    let row = row_when(&daemon, Asked { gpus: vec![address], told });
    assert_eq!((row.at_ms, row.memory_bytes, &row.reason), (Some(5), Some(16 << 30), &None));
    assert!(row.utilization_percent > Some(0) && row.memory_used_bytes > Some(0), "{row:?}");
    let [one] = &row.partitions[..] else { panic!("not one user: {row:?}") };
    assert_eq!(one.partition, format!("{}.0", row.gpu));
    assert_eq!((one.vm_name.as_deref(), one.memory_bytes), (Some("vm-001"), Some(4 << 30)));
    assert!(one.utilization_percent > Some(0) && one.memory_used_bytes <= one.memory_bytes, "{one:?}");
}

#[test]
fn what_is_told_of_encoders_decoders_and_own_hardware_is_passed_on_and_nothing_else() {
    let (daemon, address) = daemon();
    let look = || daemon.server().telemetry().look(&[address]).expect("is told").remove(0);
    let row_with = |media: Media, engines: Option<Engines>| {
        let mut gpu = look();
        gpu.media = media;
        gpu.partitions[0].media = media;
        gpu.partitions[0].engines = engines;
        row_when(&daemon, Asked { gpus: vec![address], told: Ok(vec![gpu]) })
    };
    let media =
        Media { encoder_percent: Some(3), decoder_percent: Some(4), encoder_capacity_percent: Some(5) };
    let own = Engines { multiprocessors: 16, encoders: 0, decoders: 1 };
    let of_gpu = |row: &UsageView| {
        (row.encoder_utilization_percent, row.decoder_utilization_percent, row.encoder_capacity_percent)
    };
    let of_partition = |row: &UsageView| {
        let one = &row.partitions[0];
        let busy =
            (one.encoder_utilization_percent, one.decoder_utilization_percent, one.encoder_capacity_percent);
        (busy, (one.multiprocessors, one.encoders, one.decoders))
    };
    let told = row_with(media, Some(own));
    let busy = (Some(3), Some(4), Some(5));
    assert_eq!((of_gpu(&told), of_partition(&told)), (busy, (busy, (Some(16), Some(0), Some(1)))));
    let silent = row_with(Media::default(), None);
    assert_eq!(of_gpu(&silent), (None, None, None));
    assert_eq!(of_partition(&silent), ((None, None, None), (None, None, None)));
}

#[test]
fn what_cannot_be_told_is_null_with_the_reason_and_users_are_named_all_the_same() {
    let (daemon, address) = daemon();
    let busy = Asked { gpus: vec![address], told: Err(TelemetryError::Busy) };
    let unseen = Asked { gpus: vec![address], told: Ok(Vec::new()) };
    let unknown = Asked { gpus: Vec::new(), told: Ok(Vec::new()) };
    for (told, reason) in [
        (Ok(busy), "being worked on"),
        (Ok(unseen), "does not see it"),
        (Ok(unknown), "with the driver nvidia there is no library"),
        (Err(NoLook::Silent { waited_ms: 6000 }), "not told within 6000 ms"),
    ] {
        let row = row_of(&daemon, told.map(|asked| Arc::new(Look { at_ms: 5, asked })));
        let known = (row.at_ms, row.memory_used_bytes, row.utilization_percent, row.ecc, row.scheduler);
        assert_eq!(known, (None, None, None, None, None));
        assert!(row.reason.as_ref().is_some_and(|text| text.contains(reason)), "{row:?}");
        assert_eq!(row.partitions[0].vm_name.as_deref(), Some("vm-001"));
        assert_eq!(row.partitions[0].memory_used_bytes, None);
    }
}
