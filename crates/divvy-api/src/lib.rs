//! The wire between Divvy's server and everything that talks to it: what is asked ([`requests`],
//! [`queries`]), what is answered ([`views`], [`problem`]), where ([`paths`]), and a client that does both ([`client`]).
//!
//! Nothing here decides: a request is checked for its size and shape, never for its sense. The server's
//! web framework is not known here either. An unknown word from a newer server reads as `unknown`
//! where one exists, so that an older client goes on working.
//!
//! Reading order is the order of the modules below.

#![forbid(unsafe_code)]

pub mod words;

pub mod problem;
pub mod queries;
pub mod requests;
pub mod session;
pub mod views;

pub mod fingerprint;
mod from_core;
#[cfg(feature = "openapi")]
pub mod openapi;

pub mod certificate;
pub mod client;
pub mod endpoint;
pub mod paths;
pub mod stream;
pub mod timestamp;
