//! A believable machine room: servers whose sys tree reacts like a kernel, whose VMs start, stop and
//! hold devices like libvirt's, with seeds instead of chance and no threads of its own.
//!
//! It stands behind the same two traits as the real world ([`divvy_host::sysfs::Sysfs`] and
//! [`divvy_hypervisor::Hypervisor`]) and knows nothing of what Divvy wants: no desired state, no rules,
//! no partition ids. It only answers as hardware would, errors and odd cases included.
//!
//! ```text
//!  Room ── SimServer ──┬── SimSysfs ──────┐
//!                      └── SimHypervisor ─┴── Machine: one lock around State
//!                                              ├── Kernel: tree, functions, drivers, groups
//!                                              │     └── what each vendor's driver adds (drivers/)
//!                                              ├── Vms: definitions and running VMs
//!                                              ├── Faults: per GPU
//!                                              └── Queue: device locks and what sleeps under them
//! ```
//!
//! Reading order is the order of the modules below.

#![forbid(unsafe_code)]

pub mod rng;
pub mod spec;

mod errno;
mod kstr;
mod tree;

mod config_space;
mod driver;
mod kernel;
mod topology;

pub mod models;

mod drivers;

mod attributes;
pub mod fault;
mod operation;

pub mod vms;

pub mod machine;
mod programs;
pub mod sysfs;
pub mod telemetry;

pub mod hypervisor;

mod saved;
pub mod server;

pub mod hardware;
pub mod room;

mod blows;

pub mod ops;

#[cfg(test)]
mod testing;
