//! libvirt's functions that Divvy uses, with the types that libvirt's public header gives them: a table
//! and nothing else. `ffi.rs` makes the struct of them and is the only caller.

use std::ffi::{c_char, c_int, c_void};

pub(super) type Conn = *mut c_void;
pub(super) type Dom = *mut c_void;
pub(super) type FreeCallback = extern "C" fn(*mut c_void);
pub(super) type ErrorCallback = extern "C" fn(*mut c_void, *const RawError);
pub(super) type CloseCallback = extern "C" fn(Conn, c_int, *mut c_void);

/// The first members of libvirt's `virError`; the rest is not read.
#[repr(C)]
pub(super) struct RawError {
    pub(super) code: c_int,
    pub(super) domain: c_int,
    pub(super) message: *const c_char,
}

macro_rules! functions {
    ($use_table:ident) => {
        $use_table! {
            virInitialize: fn() -> c_int;
            virGetLastError: fn() -> *const RawError;
            virSetErrorFunc: fn(*mut c_void, ErrorCallback) -> ();
            virEventRegisterDefaultImpl: fn() -> c_int;
            virEventRunDefaultImpl: fn() -> c_int;
            virConnectOpen: fn(*const c_char) -> Conn;
            virConnectClose: fn(Conn) -> c_int;
            virConnectIsAlive: fn(Conn) -> c_int;
            virConnectSetKeepAlive: fn(Conn, c_int, c_uint) -> c_int;
            virConnectRegisterCloseCallback: fn(Conn, CloseCallback, *mut c_void, FreeCallback) -> c_int;
            virConnectUnregisterCloseCallback: fn(Conn, CloseCallback) -> c_int;
            virConnectDomainEventRegisterAny: fn(Conn, Dom, c_int, *const c_void, *mut c_void, FreeCallback) -> c_int;
            virConnectDomainEventDeregisterAny: fn(Conn, c_int) -> c_int;
            virConnectGetLibVersion: fn(Conn, *mut c_ulong) -> c_int;
            virConnectListAllDomains: fn(Conn, *mut *mut Dom, c_uint) -> c_int;
            virDomainLookupByUUIDString: fn(Conn, *const c_char) -> Dom;
            virDomainFree: fn(Dom) -> c_int;
            virDomainGetUUIDString: fn(Dom, *mut c_char) -> c_int;
            virDomainGetName: fn(Dom) -> *const c_char;
            virDomainGetXMLDesc: fn(Dom, c_uint) -> *mut c_char;
            virDomainGetState: fn(Dom, *mut c_int, *mut c_int, c_uint) -> c_int;
            virDomainGetAutostart: fn(Dom, *mut c_int) -> c_int;
            virDomainIsActive: fn(Dom) -> c_int;
            virDomainIsPersistent: fn(Dom) -> c_int;
            virDomainHasManagedSaveImage: fn(Dom, c_uint) -> c_int;
            virDomainSnapshotNum: fn(Dom, c_uint) -> c_int;
            virDomainAttachDeviceFlags: fn(Dom, *const c_char, c_uint) -> c_int;
            virDomainDetachDeviceFlags: fn(Dom, *const c_char, c_uint) -> c_int;
            virDomainCreate: fn(Dom) -> c_int;
            virDomainShutdown: fn(Dom) -> c_int;
        }
    };
}

pub(super) use functions;
