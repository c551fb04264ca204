//! This server's GPUs, as the kernel shows them: observe the tree, execute steps, check readiness.
//!
//! Everything goes through the [`sysfs::Sysfs`] trait, so that the same code runs on a real kernel and
//! on a simulated one. VMs, stores and other servers are not known here. Reading order is the order of
//! the modules below: how a kernel is touched, what its files mean, and what Divvy does with them.

#![deny(unsafe_code)]

pub mod paths;
pub mod sysfs;

mod in_flight;
mod open_files;
mod open_groups;
mod program;
pub mod real;
pub mod uevent;
pub mod vfio_watch;
pub mod watch;
pub mod worker;

pub mod attribute;
pub mod codes;
pub mod identity;
pub mod iommu;
pub mod model;
pub mod pci;
mod pci_names;
pub mod scheme;
pub mod slot;
pub mod topology;
pub mod users;
pub mod vfio;

pub mod nvml;
pub mod telemetry;

pub mod observe;

pub mod error;
pub mod execute;

pub mod readiness;

#[cfg(test)]
mod testing;
