//! The real libvirt, with its built-in test driver and with sockets behind which nobody answers. Where
//! libvirt is not installed these are left out and say so; `DIVVY_LIBVIRT_LIBRARY` names a library that
//! stands elsewhere.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use super::*;
use crate::libvirt::LibvirtHypervisor;
use crate::{Hypervisor, HypervisorError};
use divvy_core::observed::HypervisorHealth;
use divvy_core::step::Outcome;

/// Runs the rest of a test only where libvirt is.
macro_rules! needs_libvirt {
    () => {
        match library() {
            Ok(_) => {}
            Err(LoadError::Open { .. }) => {
                println!("left out: libvirt is not installed");
                return;
            }
            Err(error) => panic!("libvirt is installed and cannot be used: {error:?}"),
        }
    };
}

const FAR: Duration = Duration::from_secs(60);

fn timeouts(call: Duration) -> Timeouts {
    Timeouts { call, long_call: call, health: call, ..Timeouts::default() }
}

fn connection(uri: &str, call: Duration) -> Connection {
    Connection::new(uri, timeouts(call), Arc::default())
}

fn refused(error: CallError) -> LibvirtError {
    match error {
        CallError::Refused(error) => error,
        error => panic!("not libvirt's own answer: {error:?}"),
    }
}

/// A file of its own for one test, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let file = std::env::temp_dir().join(format!("divvy-{}-{count}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&file);
        Self(file)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const OFF: &str = "3a2f4de3-6b7e-4c7d-8f4b-8a2e6f0d1c01";
const ON: &str = "3a2f4de3-6b7e-4c7d-8f4b-8a2e6f0d1c02";

/// The test driver with one VM that is off and one that runs.
fn room(name: &str) -> (Scratch, String) {
    let vm = |uuid, name, state| {
        format!(
            "<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>{name}</name>\
             <uuid>{uuid}</uuid><memory unit='MiB'>64</memory><os><type arch='i686'>hvm</type></os>\
             <test:runstate>{state}</test:runstate></domain>"
        )
    };
    let file = Scratch::new(name);
    let node = format!("<node>{}{}</node>", vm(OFF, "off", 5), vm(ON, "on", 1));
    std::fs::write(&file.0, node).expect("the temporary folder can be written");
    let uri = format!("test://{}", file.0.display());
    (file, uri)
}

fn id(text: &str) -> VmId {
    VmId::new(text).expect("a UUID")
}

#[test]
fn a_library_that_is_not_there_is_an_error_that_names_it() {
    let Err(error) = ffi::Library::load("libdivvy-is-not-a-library.so.0") else { panic!("it was found") };
    assert!(matches!(&error, LoadError::Open { name, .. } if name.contains("not-a-library")), "{error:?}");
}

#[test]
fn a_library_without_libvirts_functions_is_an_error_that_names_the_function() {
    let Err(error) = ffi::Library::load("libc.so.6") else { panic!("libc is not libvirt") };
    assert!(matches!(error, LoadError::Symbol { name: "virInitialize", .. }), "{error:?}");
}

#[test]
fn the_version_of_libvirt_is_told() {
    needs_libvirt!();
    let version = connection("test:///default", FAR).version(FAR).expect("the test driver answers");
    let numbers = version.strip_prefix("libvirt ").expect("says what it is");
    assert_eq!(numbers.split('.').filter(|number| number.parse::<u32>().is_ok()).count(), 3, "{version}");
}

#[test]
fn every_vm_is_listed_with_both_descriptions() {
    needs_libvirt!();
    let (_file, uri) = room("list");
    let listed = connection(&uri, FAR).list().expect("the test driver answers");
    let mut facts: Vec<VmFacts> = listed
        .into_iter()
        .map(|listed| match listed {
            Listed::Vm(facts) => facts,
            Listed::Unreadable { error, .. } => panic!("{error:?}"),
        })
        .collect();
    facts.sort_by(|a, b| a.id.cmp(&b.id));
    let [off, on] = facts.as_slice() else { panic!("two VMs, not {}", facts.len()) };
    assert_eq!((off.id.as_str(), off.name.as_str(), off.power), (OFF, "off", Power::Off));
    assert_eq!((on.id.as_str(), on.name.as_str(), on.power), (ON, "on", Power::Running));
    assert!(off.live_xml.is_none() && off.defined_xml.is_some() && off.persistent);
    let live = on.live_xml.as_deref().map(crate::domain_xml::read).expect("it runs");
    assert!(live.expect("can be read").live, "the live description has no id");
}

#[test]
fn a_vm_that_is_not_there_is_none() {
    needs_libvirt!();
    let (_file, uri) = room("none");
    let mut connection = connection(&uri, FAR);
    assert_eq!(connection.read(&id("00000000-0000-0000-0000-000000000000")).expect("answers"), None);
    assert_eq!(connection.read(&id("abc")).expect("answers"), None);
}

#[test]
fn a_refusal_has_libvirts_number_and_words() {
    needs_libvirt!();
    let (_file, uri) = room("refusal");
    let nobody = id("00000000-0000-0000-0000-000000000000");
    let error = refused(connection(&uri, FAR).start(&nobody).expect_err("it is not there"));
    assert_eq!((error.function, error.code), ("virDomainLookupByUUIDString", code::NO_DOMAIN));
    assert!(!error.message.is_empty());
}

#[test]
fn a_driver_without_a_feature_says_so() {
    needs_libvirt!();
    let (_file, uri) = room("feature");
    let scope = DeviceScope { defined: true, live: false };
    // No version of the test driver can change the devices of a definition.
    assert!(connection(&uri, FAR).attach(&id(OFF), "<hostdev/>", scope).is_err());
}

#[test]
fn starting_and_shutting_down_is_done_and_announced() {
    needs_libvirt!();
    let (_file, uri) = room("power");
    let mut hypervisor = LibvirtHypervisor::new(&uri, timeouts(FAR));
    let (woken, wakes) = mpsc::channel();
    hypervisor.on_change(Box::new(move || {
        let _ = woken.send(());
    }));
    assert_eq!(hypervisor.start(&id(OFF)).expect("starts"), Outcome::Changed);
    wakes.recv_timeout(FAR).expect("the start is announced");
    assert_eq!(hypervisor.shut_down(&id(OFF), FAR).expect("shuts down"), Outcome::Changed);
    wakes.recv_timeout(FAR).expect("the power-off is announced");
    assert_eq!(hypervisor.shut_down(&id(OFF), FAR).expect("is off"), Outcome::Already);
}

#[test]
fn an_event_of_another_connection_is_announced() {
    needs_libvirt!();
    // Connections to the default room of one process share it.
    let signals = Arc::new(Signals::default());
    let mut watching = Connection::new("test:///default", timeouts(FAR), Arc::clone(&signals));
    let Listed::Vm(vm) = watching.list().expect("answers").remove(0) else { panic!("it can be read") };
    let mark = signals.mark();
    connection("test:///default", FAR).shut_down(&vm.id).expect("shuts down");
    let until = Instant::now() + FAR;
    signals.wait_past(mark, until);
    assert!(Instant::now() < until, "no event came");
}

#[test]
fn after_a_call_without_an_answer_the_next_one_has_a_new_connection() {
    needs_libvirt!();
    let (_file, uri) = room("again");
    let mut connection = connection(&uri, FAR);
    let (release, hold) = mpsc::channel::<()>();
    let stuck = move |_: &Asked<'_>| {
        let _ = hold.recv();
        Ok(())
    };
    let error = connection.call(Duration::from_millis(20), stuck).expect_err("no answer");
    assert!(matches!(error, CallError::NoAnswer { timeout_ms: 20 }), "{error:?}");
    connection.version(FAR).expect("the new connection answers");
    drop(release);
}

#[test]
fn a_change_that_the_caller_gave_up_is_not_done_later() {
    needs_libvirt!();
    let (_file, uri) = room("given-up");
    let (given_up, looked) = connection(&uri, FAR)
        .call(FAR, |asked| {
            let given_up = AtomicBool::new(true);
            let late = Asked { connection: asked.connection, given_up: &given_up };
            Ok((late.domain(&id(ON)).map(drop), asked.domain(&id(ON)).map(drop)))
        })
        .expect("answers");
    assert!(matches!(given_up, Err(CallError::Ended)), "{given_up:?}");
    assert!(looked.is_ok(), "{looked:?}");
}

#[test]
fn a_job_that_panics_is_an_error_of_its_call_alone() {
    needs_libvirt!();
    let (_file, uri) = room("panic");
    let mut connection = connection(&uri, FAR);
    let error = connection.call(FAR, |_| -> Result<(), CallError> { panic!("on purpose") });
    assert!(matches!(error, Err(CallError::Ended)), "{error:?}");
    connection.version(FAR).expect("the next call has a new thread");
}

#[test]
fn a_libvirt_that_is_not_running_is_unavailable_with_a_reason() {
    needs_libvirt!();
    let socket = Scratch::new("nobody");
    let uri = format!("qemu+unix:///system?socket={}", socket.0.display());
    let mut hypervisor = LibvirtHypervisor::new(&uri, timeouts(FAR));
    let HypervisorHealth::Unavailable { reason } = hypervisor.health() else { panic!("nobody is there") };
    assert!(reason.contains(&socket.0.display().to_string()), "{reason}");
    assert!(matches!(hypervisor.list(), Err(HypervisorError::Connect { .. })));
}

#[test]
fn a_uri_with_a_zero_byte_is_an_error() {
    needs_libvirt!();
    let error = connection("test:///default\0", FAR).version(FAR).expect_err("no such text in C");
    assert!(matches!(error, CallError::Open { .. }), "{error:?}");
}

/// Takes connections and answers nothing, until it is dropped: a libvirt that hangs.
struct Silent {
    socket: Scratch,
    listener: UnixListener,
}

impl Silent {
    fn new() -> Self {
        let socket = Scratch::new("silent");
        let listener = UnixListener::bind(&socket.0).expect("the temporary folder can be written");
        Self { socket, listener }
    }

    fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket.0.display())
    }

    fn take(&self) -> UnixStream {
        self.listener.accept().expect("libvirt connects").0
    }
}

#[test]
fn a_libvirt_that_hangs_is_given_up_at_the_time_out() {
    needs_libvirt!();
    let silent = Silent::new();
    let mut hypervisor = LibvirtHypervisor::new(&silent.uri(), timeouts(Duration::from_millis(50)));
    let HypervisorHealth::Unavailable { reason } = hypervisor.health() else { panic!("nobody answers") };
    assert!(reason.contains("did not answer within 50 ms"), "{reason}");
}

#[test]
fn threads_that_hang_are_counted_and_end_when_libvirt_does() {
    needs_libvirt!();
    let silent = Silent::new();
    let mut connection = connection(&silent.uri(), Duration::from_millis(20));
    let short = Duration::from_millis(20);
    for _ in 0..MAX_THREADS {
        let error = connection.version(short).expect_err("nobody answers");
        assert!(matches!(error, CallError::NoAnswer { .. }), "{error:?}");
    }
    let error = connection.version(short).expect_err("enough of them hang");
    assert!(matches!(error, CallError::Hanging { count: MAX_THREADS }), "{error:?}");
    // libvirt goes away: the threads get their errors and end, and the next call is a plain one again.
    for _ in 0..MAX_THREADS {
        drop(silent.take());
    }
    drop(silent);
    let until = Instant::now() + FAR;
    loop {
        match connection.version(FAR) {
            Err(CallError::Open { .. }) => break,
            Err(CallError::Hanging { .. }) if Instant::now() < until => {
                thread::sleep(Duration::from_millis(5))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn states_of_libvirt_become_power() {
    for (state, active, expected) in [
        (1, true, Power::Running),
        (2, true, Power::Running),
        (3, true, Power::Paused),
        (4, true, Power::Running),
        (5, false, Power::Off),
        (6, false, Power::Off),
        (6, true, Power::Unknown),
        (7, true, Power::Paused),
        (1, false, Power::Unknown),
        (99, true, Power::Unknown),
    ] {
        assert_eq!(power(state, active), expected, "{state} {active}");
    }
}

mod daemon;
