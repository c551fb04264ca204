//! This server's GPUs, as the kernel shows them: observe the tree, execute steps, check readiness.
//!
//! Everything goes through the [`sysfs::Sysfs`] trait, so that the same code runs on a real kernel and
//! on a simulated one. VMs, stores and other servers are not known here.

#![forbid(unsafe_code)]

pub mod sysfs;
