//! This server's VMs, behind one small trait. libvirt is one implementation; the machine room brings
//! another. GPUs, stores and other servers are not known here.
//!
//! libvirt is loaded at run time and may be absent. `DIVVY_LIBVIRT_LIBRARY` names another file than
//! `libvirt.so.0`: with the packages of libvirt0 unpacked into a folder and `LD_LIBRARY_PATH` set to
//! it, the tests run against the real library with nothing installed.

#![deny(unsafe_code)]

use std::time::Duration;

use divvy_core::device::DeviceHandle;
use divvy_core::finding::Finding;
use divvy_core::id::VmId;
use divvy_core::observed::HypervisorHealth;
use divvy_core::readiness::Ready;
use divvy_core::step::{DeviceScope, Outcome};
use divvy_core::vm::ObservedVm;

mod connection;
pub mod domain_xml;
mod driver;
pub mod error;
pub mod failure;
mod ffi;
pub mod hook;
pub mod libvirt;
mod observe;
mod signals;

pub use error::HypervisorError;
pub use libvirt::{LibvirtHypervisor, Timeouts};

/// The verbs by which Divvy touches VMs. Calls block; each has its own deadline inside. Every change
/// is read back before it answers. A lost connection is an error of the call and is opened again by the
/// next one; a call that failed may still have been carried out, so the caller observes again.
pub trait Hypervisor: Send {
    fn health(&mut self) -> HypervisorHealth;

    /// Every VM of this server, whoever made it.
    fn list(&mut self) -> Result<Vec<ObservedVm>, HypervisorError>;

    /// What the last [`Hypervisor::list`] could not understand, one finding for each such VM. Those VMs
    /// are in the list, with unknown power and the devices that could be read.
    fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// Puts what was proved, a partition or a function of a whole GPU, into its VM.
    fn attach(&mut self, ready: &Ready, scope: DeviceScope) -> Result<Outcome, HypervisorError>;

    /// Takes a device out of a VM. For a running VM it waits until the VM has let go.
    fn detach(
        &mut self,
        vm: &VmId,
        device: DeviceHandle,
        scope: DeviceScope,
    ) -> Result<Outcome, HypervisorError>;

    fn start(&mut self, vm: &VmId) -> Result<Outcome, HypervisorError>;

    /// Asks the VM to power off and waits until it did, or the deadline passed.
    fn shut_down(&mut self, vm: &VmId, deadline: Duration) -> Result<Outcome, HypervisorError>;

    /// Calls `wake` from any thread whenever a VM or the connection changed.
    fn on_change(&mut self, wake: Box<dyn Fn() + Send + Sync>);
}
