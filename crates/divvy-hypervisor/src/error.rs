//! What the hypervisor did to us: what was tried, on which VM, why it failed, and what to do next.

use divvy_core::device::DeviceHandle;
use divvy_core::id::VmId;

use crate::failure::CallError;

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum HypervisorError {
    #[error("connecting to the hypervisor failed")]
    Connect { source: Cause },
    #[error("the hypervisor has no VM {vm}")]
    NoSuchVm { vm: VmId },
    #[error("listing the VMs failed")]
    List { source: Cause },
    #[error("putting the device at {device} into VM {vm} failed")]
    Attach { vm: VmId, device: DeviceHandle, source: Cause },
    #[error("taking the device at {device} out of VM {vm} failed")]
    Detach { vm: VmId, device: DeviceHandle, source: Cause },
    #[error("VM {vm} did not let go of the device at {device} within {seconds} s")]
    StillHeld { vm: VmId, device: DeviceHandle, seconds: u64 },
    #[error("the hypervisor said yes, but VM {vm} is not as it should be after it: {what}")]
    NotAsWritten { vm: VmId, what: &'static str },
    #[error("starting VM {vm} failed")]
    Start { vm: VmId, source: Cause },
    #[error("shutting VM {vm} down failed")]
    ShutDown { vm: VmId, source: Cause },
    #[error("VM {vm} did not power off within {seconds} s")]
    StillRunning { vm: VmId, seconds: u64 },
    #[error("the definition of VM {vm} cannot be read")]
    Definition { vm: VmId, source: Cause },
}

impl HypervisorError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        self.known_cause().and_then(CallError::hint).unwrap_or_else(|| self.general_hint())
    }

    /// The call to libvirt that failed, where that is the cause.
    fn known_cause(&self) -> Option<&CallError> {
        std::error::Error::source(self)?.downcast_ref()
    }

    fn general_hint(&self) -> &'static str {
        match self {
            Self::Connect { .. } | Self::List { .. } => {
                "systemctl status libvirtd virtqemud; divvyd connects again by itself"
            }
            Self::NoSuchVm { .. } => "divvy vm list shows every VM",
            Self::Attach { .. } | Self::Start { .. } => {
                "the cause names it; divvy check lists what stands in the way"
            }
            Self::Detach { .. } | Self::NotAsWritten { .. } | Self::Definition { .. } => {
                "virsh dumpxml shows the VM as the hypervisor has it"
            }
            Self::StillHeld { .. } => {
                "eject the GPU inside the VM, or shut the VM down: the partition is released then"
            }
            Self::ShutDown { .. } | Self::StillRunning { .. } => {
                "shut the VM down from inside, then try again"
            }
        }
    }
}
