//! One connection to libvirt and the one thread that uses it.
//!
//! libvirt's calls block, some of them without end (a QEMU that hangs, a stopped daemon). So the caller
//! sends a closure to the thread and waits for its answer no longer than a time-out:
//!
//! ```text
//!   caller ──job──▶ thread ──▶ libvirt        answer in time: the thread stays for the next job
//!      ◀──answer──┘                           time-out: the thread is left alone; it ends after its call,
//!                                             the next job gets a new thread and a new connection
//! ```
//!
//! A connection that broke is opened again by the next job; handles cannot survive it, because they
//! borrow from it. A job is never tried twice: what failed may still have been carried out. What the
//! jobs are for is not known here.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use divvy_core::id::VmId;
use divvy_core::step::DeviceScope;
use divvy_core::vm::Power;

use crate::driver::{Driver, Listed, VmFacts};
use crate::failure::{CallError, LibvirtError, LoadError, code};
use crate::ffi;
use crate::libvirt::Timeouts;
use crate::signals::{Handler, Signals};

/// Threads that may hang in a call at once. More would only hang too, and libvirt answers few at a time.
const MAX_THREADS: usize = 4;

/// Every Linux distribution's name of the library; it has not changed since 2005.
const LIBRARY: &str = "libvirt.so.0";

const XML_INACTIVE: u32 = 2;
const AFFECT_LIVE: u32 = 1;
const AFFECT_CONFIG: u32 = 2;

type Job = Box<dyn FnOnce(&mut Session) + Send>;

pub(crate) struct Connection {
    uri: String,
    timeouts: Timeouts,
    signals: Arc<Signals>,
    jobs: Option<mpsc::Sender<Job>>,
    /// Each thread holds one clone as long as it lives.
    threads: Arc<()>,
}

impl Connection {
    pub(crate) fn new(uri: &str, timeouts: Timeouts, signals: Arc<Signals>) -> Self {
        Self { uri: uri.to_owned(), timeouts, signals, jobs: None, threads: Arc::new(()) }
    }

    /// Runs one closure on the connection's thread, with a connection that works.
    fn call<T: Send + 'static>(
        &mut self,
        timeout: Duration,
        work: impl FnOnce(&Asked<'_>) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let (answer, answered) = mpsc::channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&given_up);
        let job: Job = Box::new(move |session| {
            let ask = |session: &mut Session| {
                let asked = Asked { connection: session.connection()?, given_up: &theirs };
                asked.still_wanted()?;
                work(&asked)
            };
            // Nobody may be waiting any more; then the answer is not wanted.
            let _ = answer.send(ask(session));
        });
        if self.jobs()?.send(job).is_err() {
            self.jobs = None;
            return Err(CallError::Ended);
        }
        match answered.recv_timeout(timeout) {
            Ok(result) => result,
            Err(reason) => {
                given_up.store(true, Ordering::SeqCst);
                self.jobs = None;
                Err(match reason {
                    RecvTimeoutError::Timeout => CallError::NoAnswer { timeout_ms: timeout.as_millis() },
                    RecvTimeoutError::Disconnected => CallError::Ended,
                })
            }
        }
    }

    fn jobs(&mut self) -> Result<&mpsc::Sender<Job>, CallError> {
        if self.jobs.is_none() {
            let count = Arc::strong_count(&self.threads) - 1;
            if count >= MAX_THREADS {
                return Err(CallError::Hanging { count });
            }
            self.jobs = Some(self.start_thread()?);
        }
        Ok(self.jobs.as_ref().expect("it was made a line above"))
    }

    fn start_thread(&self) -> Result<mpsc::Sender<Job>, CallError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let signals = Arc::clone(&self.signals);
        let (uri, timeouts) = (self.uri.clone(), self.timeouts);
        let alive = Arc::clone(&self.threads);
        let body = move || {
            let handler: Handler = Arc::new(move |event| signals.note(event));
            let mut session = Session { uri, timeouts, handler, connection: None };
            for job in queue {
                job(&mut session);
            }
            // Closing may block as well; the thread counts until it is done.
            drop(session);
            drop(alive);
        };
        let named = thread::Builder::new().name("libvirt-calls".into());
        named.spawn(body).map_err(|source| CallError::Thread { source })?;
        Ok(jobs)
    }
}

/// What a job has: the connection, and whether anybody still waits for it.
struct Asked<'session> {
    connection: &'session ffi::Connection,
    given_up: &'session AtomicBool,
}

impl Asked<'_> {
    /// Opening a connection or finding a VM can take longer than the caller waited. A change that the
    /// caller has given up must not follow then: it may have planned otherwise by now.
    fn still_wanted(&self) -> Result<(), CallError> {
        if self.given_up.load(Ordering::SeqCst) { Err(CallError::Ended) } else { Ok(()) }
    }

    fn domain(&self, vm: &VmId) -> Result<ffi::Domain<'_>, CallError> {
        let domain = self.connection.domain(&c_string("virDomainLookupByUUIDString", vm.as_str())?)?;
        self.still_wanted()?;
        Ok(domain)
    }
}

/// What the thread keeps between two jobs.
struct Session {
    uri: String,
    timeouts: Timeouts,
    handler: Handler,
    connection: Option<ffi::Connection>,
}

impl Session {
    /// The open connection, or a new one.
    fn connection(&mut self) -> Result<&ffi::Connection, CallError> {
        if !self.connection.as_ref().is_some_and(works) {
            self.connection = None;
            let library = library().map_err(CallError::Load)?;
            let opened = self.open(library);
            self.connection =
                Some(opened.map_err(|source| CallError::Open { uri: self.uri.clone(), source })?);
        }
        Ok(self.connection.as_ref().expect("it was opened a line above"))
    }

    fn open(&self, library: &'static ffi::Library) -> Result<ffi::Connection, LibvirtError> {
        let mut connection = ffi::Connection::open(library, &c_string("virConnectOpen", &self.uri)?)?;
        let Timeouts { keep_alive_s, keep_alive_count, .. } = self.timeouts;
        connection.watch(keep_alive_s, keep_alive_count, &self.handler)?;
        Ok(connection)
    }
}

/// The library of this process. Tried again at each call until it is found: libvirt may be installed
/// while Divvy runs. `DIVVY_LIBVIRT_LIBRARY` names another file, for developers who have libvirt in a
/// folder of their own.
#[allow(clippy::disallowed_methods, reason = "the one place of this crate that reads the environment")]
fn library() -> Result<&'static ffi::Library, LoadError> {
    static LOADED: Mutex<Option<&'static ffi::Library>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = *loaded {
        return Ok(library);
    }
    let name = std::env::var("DIVVY_LIBVIRT_LIBRARY").unwrap_or_else(|_| LIBRARY.to_owned());
    let library = ffi::Library::load(&name)?;
    let events = thread::Builder::new().name("libvirt-events".into());
    let body = move || {
        loop {
            if library.run_events().is_err() {
                // A poll that fails at once must not become a busy loop.
                thread::sleep(Duration::from_millis(100));
            }
        }
    };
    events.spawn(body).map_err(|source| LoadError::Thread { source })?;
    *loaded = Some(library);
    Ok(library)
}

fn c_string(function: &'static str, value: &str) -> Result<CString, LibvirtError> {
    let message = format!("{value:?} has a zero byte");
    CString::new(value).map_err(|_| LibvirtError { function, code: code::INVALID_ARG, domain: 0, message })
}

fn flags(scope: DeviceScope) -> u32 {
    let config = if scope.defined { AFFECT_CONFIG } else { 0 };
    config | if scope.live { AFFECT_LIVE } else { 0 }
}

/// The numbers are libvirt's `virDomainState`.
fn power(state: i32, active: bool) -> Power {
    match (state, active) {
        // Running, blocked, and on its way to off: the VM still has its devices.
        (1 | 2 | 4, true) => Power::Running,
        // Paused, and asleep by its own wish.
        (3 | 7, true) => Power::Paused,
        (0 | 5 | 6, false) => Power::Off,
        // Crashed with its QEMU kept for inspection, a state that is new to us, or a moment in between.
        _ => Power::Unknown,
    }
}

/// Whether the connection still works, as far as this side knows.
fn works(connection: &ffi::Connection) -> bool {
    connection.is_alive() == Ok(1)
}

/// An answer that a driver without the feature cannot give.
fn if_supported<T: Default>(answer: Result<T, LibvirtError>) -> Result<T, LibvirtError> {
    match answer {
        Err(error) if error.code == code::NO_SUPPORT => Ok(T::default()),
        answer => answer,
    }
}

fn read_facts(domain: &ffi::Domain<'_>, id: VmId) -> Result<VmFacts, LibvirtError> {
    let active = domain.is_active()? == 1;
    let persistent = domain.is_persistent()? == 1;
    Ok(VmFacts {
        id,
        name: domain.name(),
        power: power(domain.state()?, active),
        autostart: if_supported(domain.autostart())?,
        persistent,
        saved_state: if_supported(domain.has_saved_state())? == 1,
        snapshots: u32::try_from(if_supported(domain.snapshots())?).unwrap_or_default(),
        defined_xml: persistent.then(|| domain.xml(XML_INACTIVE)).transpose()?,
        live_xml: active.then(|| domain.xml(0)).transpose()?,
    })
}

fn read_all(connection: &ffi::Connection) -> Result<Vec<Listed>, LibvirtError> {
    let mut all = Vec::new();
    for domain in connection.domains()? {
        // libvirt writes every UUID as 36 hexadecimal digits and dashes.
        let Ok(id) = VmId::new(&domain.uuid()?) else { continue };
        match read_facts(&domain, id.clone()) {
            Ok(facts) => all.push(Listed::Vm(facts)),
            // It went away between the list and the question.
            Err(error) if error.code == code::NO_DOMAIN => {}
            Err(error) if !works(connection) => return Err(error),
            Err(error) => all.push(Listed::Unreadable { id, name: domain.name(), error }),
        }
    }
    Ok(all)
}

impl Driver for Connection {
    fn version(&mut self, timeout: Duration) -> Result<String, CallError> {
        let number = self.call(timeout, |asked| Ok(asked.connection.version()?))?;
        let (major, minor, release) = (number / 1_000_000, number / 1_000 % 1_000, number % 1_000);
        Ok(format!("libvirt {major}.{minor}.{release}"))
    }

    fn list(&mut self) -> Result<Vec<Listed>, CallError> {
        self.call(self.timeouts.call, |asked| Ok(read_all(asked.connection)?))
    }

    fn read(&mut self, vm: &VmId) -> Result<Option<VmFacts>, CallError> {
        let vm = vm.clone();
        match self.call(self.timeouts.call, move |asked| Ok(read_facts(&asked.domain(&vm)?, vm)?)) {
            // An id that is no UUID is no VM's either.
            Err(CallError::Refused(error)) if matches!(error.code, code::NO_DOMAIN | code::INVALID_ARG) => {
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    fn attach(&mut self, vm: &VmId, fragment: &str, scope: DeviceScope) -> Result<(), CallError> {
        let (vm, fragment) = (vm.clone(), c_string("virDomainAttachDeviceFlags", fragment)?);
        let timeout = if scope.live { self.timeouts.long_call } else { self.timeouts.call };
        self.call(timeout, move |asked| Ok(asked.domain(&vm)?.attach(&fragment, flags(scope)).map(drop)?))
    }

    fn detach(&mut self, vm: &VmId, fragment: &str, scope: DeviceScope) -> Result<(), CallError> {
        let (vm, fragment) = (vm.clone(), c_string("virDomainDetachDeviceFlags", fragment)?);
        let timeout = self.timeouts.call;
        self.call(timeout, move |asked| Ok(asked.domain(&vm)?.detach(&fragment, flags(scope)).map(drop)?))
    }

    fn start(&mut self, vm: &VmId) -> Result<(), CallError> {
        let vm = vm.clone();
        self.call(self.timeouts.long_call, move |asked| Ok(asked.domain(&vm)?.create().map(drop)?))
    }

    fn shut_down(&mut self, vm: &VmId) -> Result<(), CallError> {
        let vm = vm.clone();
        self.call(self.timeouts.call, move |asked| Ok(asked.domain(&vm)?.shut_down().map(drop)?))
    }
}

#[cfg(test)]
mod tests;
