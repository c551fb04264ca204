//! The binary as a user runs it, against a server that gives canned answers over a real socket. What the
//! server decides is not tested here, only what is asked, what is printed where, and the exit code.
//!
//! `DIVVY_GOLDEN=write` in the environment writes the golden files again.

mod divvy;
mod golden;
mod room;
mod server;
mod usage;
mod webhooks;
mod whole;

mod changes;
mod exits;
mod help;
mod outputs;
