//! The rules of GPU partitioning, and nothing else.
//!
//! Intent ([`desired`]) and observation ([`observed`]) meet here in pure functions: [`decide`] says
//! what a request changes, [`plan`] says which steps bring one server to what was decided, [`check`]
//! judges a state without sharing code with either. Files, clocks, threads, environment and hash-map
//! order do not exist in this crate: `no_std` makes purity a compile error.
//!
//! Reading order is the order of the modules below.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod as_text;

pub mod device;
pub mod given;
pub mod id;
pub mod pci_address;

pub mod assignment;
pub mod catalogue;
pub mod finding;
pub mod gpu;
pub mod split;
pub mod vm;

pub mod desired;
pub mod observed;
pub mod state;

pub mod event;
pub mod job;

pub mod change;
pub mod readiness;
pub mod refusal;
pub mod request;
pub mod step;

pub mod check;
pub mod claims;
pub mod decide;
pub mod explain;
pub mod plan;
pub mod progress;
pub mod resolve;
pub mod rules;
pub mod start_gate;
pub mod status;

#[cfg(test)]
mod testing;
