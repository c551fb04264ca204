//! The real library against a daemon of our own, which speaks just enough of libvirt's wire protocol
//! to be opened, asked for its version, and to send events: connections that break, daemons that stop
//! answering, and the events that the test driver never has.

use std::io::{Read, Write};
use std::net::Shutdown;

use super::*;

/// Numbers of libvirt's wire protocol.
mod wire {
    pub(super) const REMOTE: u32 = 0x2000_8086;
    pub(super) const REPLY: u32 = 1;
    pub(super) const MESSAGE: u32 = 2;
    pub(super) const LOOK_UP: u32 = 24;
    pub(super) const SUPPORTS_FEATURE: u32 = 60;
    pub(super) const AUTH_LIST: u32 = 66;
    pub(super) const GET_LIB_VERSION: u32 = 157;
    pub(super) const ATTACH: u32 = 160;
    pub(super) const DETACH: u32 = 161;
    pub(super) const REGISTER_EVENT: u32 = 316;
    pub(super) const LIFECYCLE: u32 = 318;
    pub(super) const REMOVAL_FAILED: u32 = 367;
    pub(super) const FEATURE_KEEP_ALIVE: u32 = 10;
    pub(super) const FEATURE_EVENTS: u32 = 14;
}

const VM: &str = "abababab-abab-abab-abab-abababababab";

struct Shared {
    streams: Mutex<Vec<UnixStream>>,
    /// Reads what it gets and says nothing, as a stopped process does.
    stopped: AtomicBool,
    opened: AtomicUsize,
    /// Every call: its procedure and what came with it.
    calls: Mutex<Vec<(u32, Vec<u8>)>>,
}

struct Daemon {
    socket: Scratch,
    shared: Arc<Shared>,
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn packet(head: [u32; 6], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(28 + payload.len()).expect("short");
    let mut packet = words(&[length]);
    packet.extend(words(&head));
    packet.extend(payload);
    packet
}

/// A text on the wire: its length, and its bytes filled up to four.
fn text(value: &str) -> Vec<u8> {
    let mut bytes = words(&[u32::try_from(value.len()).expect("short")]);
    bytes.extend(value.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A running VM: its name, its UUID and its number.
fn the_vm() -> Vec<u8> {
    [text("web"), vec![0xab; 16], words(&[7])].concat()
}

fn answer(procedure: u32, argument: u32, events: &AtomicUsize) -> Vec<u8> {
    match procedure {
        // One way to log in: none.
        wire::AUTH_LIST => words(&[1, 0]),
        wire::SUPPORTS_FEATURE => {
            let has = [wire::FEATURE_KEEP_ALIVE, wire::FEATURE_EVENTS].contains(&argument);
            words(&[u32::from(has)])
        }
        wire::GET_LIB_VERSION => words(&[0, 9_001_002]),
        wire::LOOK_UP => the_vm(),
        wire::REGISTER_EVENT => words(&[events.fetch_add(1, Ordering::SeqCst) as u32]),
        _ => Vec::new(),
    }
}

fn serve(mut stream: UnixStream, shared: &Shared) -> std::io::Result<()> {
    let events = AtomicUsize::new(0);
    loop {
        let mut head = [0_u8; 28];
        stream.read_exact(&mut head)?;
        let word = |at: usize| u32::from_be_bytes(head[at * 4..at * 4 + 4].try_into().expect("four bytes"));
        let mut payload = vec![0; word(0) as usize - 28];
        stream.read_exact(&mut payload)?;
        if shared.stopped.load(Ordering::SeqCst) || word(1) != wire::REMOTE {
            continue;
        }
        shared.calls.lock().expect("no test panics with it").push((word(3), payload.clone()));
        let argument = payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let reply = answer(word(3), argument, &events);
        stream.write_all(&packet([word(1), word(2), word(3), wire::REPLY, word(5), 0], &reply))?;
    }
}

impl Daemon {
    fn new() -> Self {
        let socket = Scratch::new("daemon");
        let listener = UnixListener::bind(&socket.0).expect("the temporary folder can be written");
        let shared = Arc::new(Shared {
            streams: Mutex::default(),
            stopped: AtomicBool::new(false),
            opened: AtomicUsize::new(0),
            calls: Mutex::default(),
        });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Ok(kept) = stream.try_clone() else { return };
                theirs.streams.lock().expect("no test panics with it").push(kept);
                theirs.opened.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&theirs);
                // Ends with its connection.
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { socket, shared }
    }

    fn connection(&self, signals: &Arc<Signals>) -> Connection {
        let uri = format!("qemu+unix:///system?socket={}", self.socket.0.display());
        let timeouts = Timeouts { keep_alive_s: 1, keep_alive_count: 1, ..timeouts(FAR) };
        Connection::new(&uri, timeouts, Arc::clone(signals))
    }

    fn break_connections(&self) {
        for stream in self.shared.streams.lock().expect("no test panics with it").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// An event for the callback that was registered as number `callback`.
    fn send_event(&self, procedure: u32, callback: u32, rest: &[u8]) {
        let mut payload = words(&[callback]);
        payload.extend(the_vm());
        payload.extend(rest);
        let packet = packet([wire::REMOTE, 1, procedure, wire::MESSAGE, 0, 0], &payload);
        for stream in self.shared.streams.lock().expect("no test panics with it").iter_mut() {
            stream.write_all(&packet).expect("the client is there");
        }
    }

    /// What came with the last call of a procedure.
    fn last(&self, procedure: u32) -> Option<Vec<u8>> {
        let calls = self.shared.calls.lock().expect("no test panics with it");
        calls.iter().rev().find(|(called, _)| *called == procedure).map(|(_, with)| with.clone())
    }

    fn opened(&self) -> usize {
        self.shared.opened.load(Ordering::SeqCst)
    }
}

/// Waits until something is so that an event announces.
fn wait_for(signals: &Signals, what: &str, so: impl Fn() -> bool) {
    let until = Instant::now() + FAR;
    let mut mark = signals.mark();
    while !so() {
        assert!(Instant::now() < until, "{what} did not come");
        signals.wait_past(mark, until.min(Instant::now() + Duration::from_millis(100)));
        mark = signals.mark();
    }
}

/// A connection's signals, and whether its end was announced.
fn watched() -> (Arc<Signals>, Arc<AtomicUsize>) {
    let (signals, woken) = (Arc::new(Signals::default()), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&woken);
    signals.set_wake(Box::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    }));
    (signals, woken)
}

#[test]
fn one_connection_serves_many_calls() {
    needs_libvirt!();
    let (daemon, signals) = (Daemon::new(), Arc::default());
    let mut connection = daemon.connection(&signals);
    for _ in 0..3 {
        assert_eq!(connection.version(FAR).expect("answers"), "libvirt 9.1.2");
    }
    assert_eq!(daemon.opened(), 1);
}

#[test]
fn a_broken_connection_is_announced_and_opened_again_by_the_next_call() {
    needs_libvirt!();
    let daemon = Daemon::new();
    let (signals, woken) = watched();
    let mut connection = daemon.connection(&signals);
    connection.version(FAR).expect("answers");
    daemon.break_connections();
    wait_for(&signals, "the announcement", || woken.load(Ordering::SeqCst) > 0);
    connection.version(FAR).expect("answers again");
    assert_eq!(daemon.opened(), 2);
}

#[test]
fn a_daemon_that_stops_answering_is_noticed_by_keep_alive_long_before_the_time_out() {
    needs_libvirt!();
    let daemon = Daemon::new();
    let mut connection = daemon.connection(&Arc::default());
    connection.version(FAR).expect("answers");
    daemon.shared.stopped.store(true, Ordering::SeqCst);
    let error = connection.version(FAR).expect_err("nobody answers");
    assert!(error.is_refusal(), "the time-out came first: {error:?}");
}

#[test]
fn a_daemon_that_goes_on_is_used_again() {
    needs_libvirt!();
    let daemon = Daemon::new();
    let mut connection = daemon.connection(&Arc::default());
    daemon.shared.stopped.store(true, Ordering::SeqCst);
    let error = connection.version(Duration::from_millis(50)).expect_err("nobody answers");
    assert!(matches!(error, CallError::NoAnswer { .. }), "{error:?}");
    daemon.shared.stopped.store(false, Ordering::SeqCst);
    connection.version(FAR).expect("answers again");
}

#[test]
fn a_lifecycle_event_of_the_daemon_wakes() {
    needs_libvirt!();
    let daemon = Daemon::new();
    let (signals, woken) = watched();
    let mut connection = daemon.connection(&signals);
    connection.version(FAR).expect("answers");
    // Event 5 is "stopped", detail 0.
    daemon.send_event(wire::LIFECYCLE, 0, &words(&[5, 0]));
    wait_for(&signals, "the event", || woken.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_refused_removal_names_its_vm_and_its_device() {
    needs_libvirt!();
    let daemon = Daemon::new();
    let signals = Arc::new(Signals::default());
    let mut connection = daemon.connection(&signals);
    connection.version(FAR).expect("answers");
    let mark = signals.mark();
    // Registered last, so its number is 3.
    daemon.send_event(wire::REMOVAL_FAILED, 3, &text("ua-divvy-gpu-a_3"));
    wait_for(&signals, "the event", || signals.removal_was_refused(mark, VM, "ua-divvy-gpu-a_3"));
}

#[test]
fn dropping_the_hypervisor_closes_its_connection() {
    needs_libvirt!();
    let daemon = Daemon::new();
    let mut connection = daemon.connection(&Arc::default());
    connection.version(FAR).expect("answers");
    let threads = Arc::downgrade(&connection.threads);
    drop(connection);
    let until = Instant::now() + FAR;
    while threads.upgrade().is_some() {
        assert!(Instant::now() < until, "the thread did not end");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_change_of_a_vms_devices_says_where_it_is_meant() {
    needs_libvirt!();
    let daemon = Daemon::new();
    let mut connection = daemon.connection(&Arc::default());
    for (defined, live, flags) in [(false, true, 1), (true, false, 2), (true, true, 3)] {
        let scope = DeviceScope { defined, live };
        let expected = [the_vm(), text("<hostdev/>"), words(&[flags])].concat();
        connection.attach(&id(VM), "<hostdev/>", scope).expect("the daemon says yes");
        assert_eq!(daemon.last(wire::ATTACH).as_ref(), Some(&expected), "in: {scope}");
        connection.detach(&id(VM), "<hostdev/>", scope).expect("the daemon says yes");
        assert_eq!(daemon.last(wire::DETACH).as_ref(), Some(&expected), "out: {scope}");
    }
}
