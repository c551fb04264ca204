//! The product as it is used: the real `divvyd` on simulated rooms, asked by the real `divvy` or byte by
//! byte over its sockets. What a crate promises by itself is tested in that crate; here stands what only
//! the whole can promise.

mod programs;

mod daemon;
mod web;

mod documents;
mod exits;
mod scenario;
mod scenarios;

mod api;
mod bad_bodies;
mod bad_commands;
mod bad_starts;
mod crash;
mod loopback;
mod models;
mod pam;
mod parsers;
mod sign_in;
mod tls;
mod usage;
mod use_cases;
mod webhooks;
