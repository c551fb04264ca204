//! libvirt's C functions, found at run time, each behind a safe function. A missing library or a
//! missing function is an ordinary error, so Divvy starts and runs where there is no libvirt.
//!
//! A [`Domain`] cannot outlive its [`Connection`]; the library is never unloaded, because its event loop
//! runs until the process ends. What the calls are good for is not known here.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use crate::failure::{LibvirtError, LoadError, code};
use crate::signals::{Event, Handler};

mod functions;
use functions::{CloseCallback, Conn, Dom, ErrorCallback, FreeCallback, RawError, functions};

const EVENT_LIFECYCLE: c_int = 0;
const EVENT_DEVICE_REMOVED: c_int = 15;
const EVENT_DEVICE_ADDED: c_int = 19;
const EVENT_DEVICE_REMOVAL_FAILED: c_int = 22;

type Answer<T> = Result<T, LibvirtError>;

unsafe extern "C" {
    fn free(memory: *mut c_void);
}

macro_rules! symbols {
    ($($name:ident: fn($($argument:ty),*) -> $answer:ty;)*) => {
        #[allow(non_snake_case, reason = "the names are libvirt's")]
        struct Symbols { $($name: unsafe extern "C" fn($($argument),*) -> $answer,)* }

        impl Symbols {
            fn find(library: &libloading::Library) -> Result<Self, LoadError> {
                Ok(Self { $($name: {
                    // SAFETY: the type written below is that of libvirt's public header.
                    let found = unsafe { library.get(concat!(stringify!($name), "\0")) };
                    *found.map_err(|source| LoadError::Symbol { name: stringify!($name), source })?
                },)* })
            }
        }
    };
}

functions!(symbols);

/// Calls one function and turns a negative answer into libvirt's own error.
///
/// SAFETY of every use below: a handle is alive as long as the Rust value that holds it; texts are C
/// strings that outlive the call; places for answers are on this stack.
macro_rules! call {
    ($library:expr, $name:ident($($argument:expr),*)) => {
        $library.checked(stringify!($name), unsafe { ($library.0.$name)($($argument),*) })
    };
}

/// The loaded library.
pub(crate) struct Library(Symbols);

extern "C" fn say_nothing(_: *mut c_void, _: *const RawError) {}

impl Library {
    /// Loads the library and makes its event loop ready; once in a process.
    pub(crate) fn load(name: &str) -> Result<&'static Self, LoadError> {
        // SAFETY: the initialisers of libvirt and of what it depends on have no preconditions.
        let opened = unsafe { libloading::Library::new(name) };
        let opened = opened.map_err(|source| LoadError::Open { name: name.to_owned(), source })?;
        // Never unloaded, whatever comes next: it has threads and exit handlers of its own.
        let symbols = Symbols::find(Box::leak(Box::new(opened)))?;
        let library: &'static Self = Box::leak(Box::new(Self(symbols)));
        // SAFETY: a function that does nothing can be called at any time. Without it libvirt prints.
        unsafe { (library.0.virSetErrorFunc)(ptr::null_mut(), say_nothing) };
        let ready =
            call!(library, virInitialize()).and_then(|_| call!(library, virEventRegisterDefaultImpl()));
        ready.map(|_| library).map_err(|source| LoadError::Initialise { source })
    }

    /// One turn of the event loop. Only one thread may be in it.
    pub(crate) fn run_events(&self) -> Answer<()> {
        call!(self, virEventRunDefaultImpl()).map(drop)
    }

    fn checked(&self, function: &'static str, answer: c_int) -> Answer<c_int> {
        if answer < 0 { Err(self.last_error(function)) } else { Ok(answer) }
    }

    fn last_error(&self, function: &'static str) -> LibvirtError {
        // SAFETY: the error and its message are this thread's own and stay until its next call.
        let error = unsafe { (self.0.virGetLastError)().as_ref() };
        let (code, domain, message) = error.map_or((0, 0, ptr::null()), |e| (e.code, e.domain, e.message));
        LibvirtError { function, code, domain, message: unsafe { text(message) } }
    }
}

/// SAFETY: `from` is null, or a C string that lives as long as this call.
unsafe fn text(from: *const c_char) -> String {
    let from = if from.is_null() { c"" } else { unsafe { CStr::from_ptr(from) } };
    from.to_string_lossy().into_owned()
}

/// What libvirt keeps for a callback, and hands back to [`forget`].
struct Opaque {
    library: &'static Library,
    handler: Handler,
}

extern "C" fn forget(opaque: *mut c_void) {
    // SAFETY: made by Box::into_raw; libvirt calls this once, after the last event.
    drop(unsafe { Box::from_raw(opaque.cast::<Opaque>()) });
}

/// A panic must not cross into C.
///
/// SAFETY: `opaque` was registered and not yet forgotten; libvirt sees to it in all callbacks below.
unsafe fn deliver(opaque: *mut c_void, event: impl FnOnce(&'static Library) -> Event) {
    let opaque = unsafe { &*opaque.cast::<Opaque>() };
    let _ = catch_unwind(AssertUnwindSafe(|| (opaque.handler)(event(opaque.library))));
}

extern "C" fn on_lifecycle(_: Conn, _: Dom, _event: c_int, _detail: c_int, opaque: *mut c_void) -> c_int {
    unsafe { deliver(opaque, |_| Event::Lifecycle) };
    0
}

extern "C" fn on_device<const ID: c_int>(_: Conn, vm: Dom, alias: *const c_char, opaque: *mut c_void) {
    let event = |library| match (ID, uuid(library, vm)) {
        // SAFETY: libvirt lends the VM and the alias for the time of this call.
        (EVENT_DEVICE_REMOVAL_FAILED, Ok(vm)) => Event::RemovalFailed { vm, alias: unsafe { text(alias) } },
        _ => Event::Device,
    };
    unsafe { deliver(opaque, event) };
}

extern "C" fn on_close(_: Conn, _reason: c_int, opaque: *mut c_void) {
    unsafe { deliver(opaque, |_| Event::Closed) };
}

fn uuid(library: &Library, vm: Dom) -> Answer<String> {
    let mut buffer = [0; 37];
    call!(library, virDomainGetUUIDString(vm, buffer.as_mut_ptr()))?;
    // SAFETY: libvirt has written a C string of 36 characters.
    Ok(unsafe { text(buffer.as_ptr()) })
}

/// One open connection. Used by the one thread that opened it.
pub(crate) struct Connection {
    library: &'static Library,
    raw: NonNull<c_void>,
    callbacks: Vec<c_int>,
}

impl Connection {
    pub(crate) fn open(library: &'static Library, uri: &CStr) -> Answer<Self> {
        // SAFETY: a C string that outlives the call.
        let raw = unsafe { (library.0.virConnectOpen)(uri.as_ptr()) };
        let raw = NonNull::new(raw).ok_or_else(|| library.last_error("virConnectOpen"))?;
        Ok(Self { library, raw, callbacks: Vec::new() })
    }

    /// Keep-alive, the close callback and all event callbacks.
    pub(crate) fn watch(&mut self, interval_s: i32, count: u32, handler: &Handler) -> Answer<()> {
        let Self { library, raw, .. } = *self;
        // The test driver has no keep-alive; an answer of 1 says that the other side has none.
        call!(library, virConnectSetKeepAlive(raw.as_ptr(), interval_s, count))
            .or_else(|error| if error.code == code::NO_SUPPORT { Ok(0) } else { Err(error) })?;
        let opaque = || Box::into_raw(Box::new(Opaque { library, handler: handler.clone() })).cast();
        let kept = opaque();
        call!(library, virConnectRegisterCloseCallback(raw.as_ptr(), on_close, kept, forget))
            .inspect_err(|_| forget(kept))?;
        for (id, callback) in [
            (EVENT_LIFECYCLE, on_lifecycle as *const c_void),
            (EVENT_DEVICE_ADDED, on_device::<EVENT_DEVICE_ADDED> as *const c_void),
            (EVENT_DEVICE_REMOVED, on_device::<EVENT_DEVICE_REMOVED> as *const c_void),
            (EVENT_DEVICE_REMOVAL_FAILED, on_device::<EVENT_DEVICE_REMOVAL_FAILED> as *const c_void),
        ] {
            let (conn, every, kept) = (raw.as_ptr(), ptr::null_mut(), opaque());
            call!(library, virConnectDomainEventRegisterAny(conn, every, id, callback, kept, forget))
                .inspect_err(|_| forget(kept))
                .map(|callback| self.callbacks.push(callback))?;
        }
        Ok(())
    }

    /// The version of the other side's libvirt: major * 1,000,000 + minor * 1,000 + release.
    pub(crate) fn version(&self) -> Answer<u64> {
        let mut version = 0;
        call!(self.library, virConnectGetLibVersion(self.raw.as_ptr(), &mut version))?;
        Ok(version)
    }

    pub(crate) fn domains(&self) -> Answer<Vec<Domain<'_>>> {
        let mut list = ptr::null_mut();
        let count = call!(self.library, virConnectListAllDomains(self.raw.as_ptr(), &mut list, 0))?;
        // SAFETY: libvirt has made a list of that many domains, all ours now, and the list itself too.
        let domains = (0..count as usize).filter_map(|at| self.own(unsafe { *list.add(at) })).collect();
        unsafe { free(list.cast()) };
        Ok(domains)
    }

    pub(crate) fn domain(&self, uuid: &CStr) -> Answer<Domain<'_>> {
        let look_up = self.library.0.virDomainLookupByUUIDString;
        // SAFETY: a C string that outlives the call.
        self.own(unsafe { look_up(self.raw.as_ptr(), uuid.as_ptr()) })
            .ok_or_else(|| self.library.last_error("virDomainLookupByUUIDString"))
    }

    fn own(&self, raw: Dom) -> Option<Domain<'_>> {
        NonNull::new(raw).map(|raw| Domain { library: self.library, raw, connection: PhantomData })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Of a dead connection these fail at once, and there is nobody to tell.
        for callback in &self.callbacks {
            let _ = call!(self.library, virConnectDomainEventDeregisterAny(self.raw.as_ptr(), *callback));
        }
        let _ = call!(self.library, virConnectUnregisterCloseCallback(self.raw.as_ptr(), on_close));
        let _ = call!(self.library, virConnectClose(self.raw.as_ptr()));
    }
}

/// One VM, as a handle of one connection.
pub(crate) struct Domain<'connection> {
    library: &'static Library,
    raw: NonNull<c_void>,
    connection: PhantomData<&'connection Connection>,
}

/// Methods that are one function each.
macro_rules! plain_calls {
    ($type:ty: $($method:ident($($name:ident: $of:ty),*) = $symbol:ident($($argument:expr),*);)*) => {
        impl $type {
            $(pub(crate) fn $method(&self, $($name: $of),*) -> Answer<c_int> {
                call!(self.library, $symbol(self.raw.as_ptr() $(, $argument)*))
            })*
        }
    };
}

plain_calls! { Connection:
    // 1: it still works, as far as this side knows; asks nobody.
    is_alive() = virConnectIsAlive();
}

plain_calls! { Domain<'_>:
    is_active() = virDomainIsActive();
    is_persistent() = virDomainIsPersistent();
    has_saved_state() = virDomainHasManagedSaveImage(0);
    snapshots() = virDomainSnapshotNum(0);
    create() = virDomainCreate();
    shut_down() = virDomainShutdown();
    attach(xml: &CStr, flags: c_uint) = virDomainAttachDeviceFlags(xml.as_ptr(), flags);
    detach(xml: &CStr, flags: c_uint) = virDomainDetachDeviceFlags(xml.as_ptr(), flags);
}

impl Domain<'_> {
    pub(crate) fn uuid(&self) -> Answer<String> {
        uuid(self.library, self.raw.as_ptr())
    }

    pub(crate) fn name(&self) -> String {
        // SAFETY: the name belongs to the handle.
        unsafe { text((self.library.0.virDomainGetName)(self.raw.as_ptr())) }
    }

    pub(crate) fn xml(&self, flags: c_uint) -> Answer<String> {
        // SAFETY: libvirt answers null, or a C string that is ours.
        let raw = unsafe { (self.library.0.virDomainGetXMLDesc)(self.raw.as_ptr(), flags) };
        let raw = NonNull::new(raw).ok_or_else(|| self.library.last_error("virDomainGetXMLDesc"))?;
        let xml = unsafe { text(raw.as_ptr()) };
        unsafe { free(raw.as_ptr().cast()) };
        Ok(xml)
    }

    pub(crate) fn state(&self) -> Answer<c_int> {
        let (mut state, why) = (0, ptr::null_mut());
        call!(self.library, virDomainGetState(self.raw.as_ptr(), &mut state, why, 0)).map(|_| state)
    }

    pub(crate) fn autostart(&self) -> Answer<bool> {
        let mut yes = 0;
        call!(self.library, virDomainGetAutostart(self.raw.as_ptr(), &mut yes)).map(|_| yes != 0)
    }
}

impl Drop for Domain<'_> {
    fn drop(&mut self) {
        let _ = call!(self.library, virDomainFree(self.raw.as_ptr()));
    }
}
