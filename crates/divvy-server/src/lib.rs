//! divvyd: the one process that admits changes, keeps them, and makes the hardware follow.
//!
//! ```text
//! http ──▶ admit (one thread, owns the state) ──▶ store
//!            ▲ reports          │ published state
//!            └── agent, one thread per server ◀──┘
//! ```
//!
//! Only `admit` changes what was asked for; only an agent touches a server's GPUs and VMs. Async ends at
//! the door: HTTP runs on tokio, everything behind it is plain threads and messages.

pub mod chain;
pub mod clock;
pub mod random;
mod replace;
pub mod settings;

pub mod admit;
pub mod door;
pub mod happenings;
pub mod hub;
pub mod jobs;
pub mod terms;

pub mod agent;
pub mod claims;
pub mod executor;
pub mod gate;
pub mod host_side;
pub mod pace;
pub mod starts;
pub mod usage;

pub mod auth;
pub mod pam;
pub mod sign_in;

pub mod console;
pub mod findings;
pub mod http;
pub mod views;

pub mod feed;
pub mod webhook;

pub mod listen;
pub mod notices;
pub mod tcp;
pub mod tls;

pub mod daemon;
pub mod hook;
pub mod parts;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
