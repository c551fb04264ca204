//! The verbs of a hypervisor's driver, one call each, and what is read of one VM. The rules of Divvy
//! stand above it (`libvirt.rs`); the real one below it is `connection.rs`, and tests bring their own.

use std::time::Duration;

use divvy_core::id::VmId;
use divvy_core::step::DeviceScope;
use divvy_core::vm::Power;

use crate::failure::{CallError, LibvirtError};

/// What is read of one VM. Texts are as the hypervisor wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VmFacts {
    pub(crate) id: VmId,
    pub(crate) name: String,
    pub(crate) power: Power,
    pub(crate) autostart: bool,
    pub(crate) persistent: bool,
    pub(crate) saved_state: bool,
    pub(crate) snapshots: u32,
    /// The definition that the next start uses; a VM that is not persistent has none.
    pub(crate) defined_xml: Option<String>,
    /// The VM that runs now.
    pub(crate) live_xml: Option<String>,
}

/// One entry of the list of VMs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    Vm(VmFacts),
    /// It is there, and the hypervisor did not say more.
    Unreadable {
        id: VmId,
        name: String,
        error: LibvirtError,
    },
}

pub(crate) trait Driver: Send {
    /// What answers, and its version.
    fn version(&mut self, timeout: Duration) -> Result<String, CallError>;

    fn list(&mut self) -> Result<Vec<Listed>, CallError>;

    /// None: there is no such VM.
    fn read(&mut self, vm: &VmId) -> Result<Option<VmFacts>, CallError>;

    fn attach(&mut self, vm: &VmId, fragment: &str, scope: DeviceScope) -> Result<(), CallError>;

    /// For a running VM this only asks it to let go.
    fn detach(&mut self, vm: &VmId, fragment: &str, scope: DeviceScope) -> Result<(), CallError>;

    fn start(&mut self, vm: &VmId) -> Result<(), CallError>;

    /// Asks the VM to power off.
    fn shut_down(&mut self, vm: &VmId) -> Result<(), CallError>;
}
