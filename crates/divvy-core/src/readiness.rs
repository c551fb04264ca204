//! From findings to a permission. [`Ready`] is the only way to put anything into a VM: the
//! hypervisor's functions ask for one, and only [`prove`] makes one, from the findings of that same
//! attempt. Who reads the server to make the findings is not known here.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::device::DeviceHandle;
use crate::finding::{Finding, FindingCode, Severity};
use crate::given::Given;
use crate::id::VmId;

/// Proof that one partition, or one function of a whole GPU, passed every check for one VM, moments ago.
/// Not to be kept, not to be copied, good for the one thing and the one VM that it names.
#[derive(Debug, PartialEq, Eq)]
pub struct Ready {
    given: Given,
    device: DeviceHandle,
    vm: VmId,
}

impl Ready {
    pub fn given(&self) -> &Given {
        &self.given
    }

    pub fn device(&self) -> DeviceHandle {
        self.device
    }

    pub fn vm(&self) -> &VmId {
        &self.vm
    }
}

/// The findings that stop an assignment: errors, and those that nobody accepted.
pub fn blocking<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    accepted: &BTreeSet<FindingCode>,
) -> Vec<Finding> {
    let stops = |finding: &&Finding| match finding.severity {
        Severity::Error => true,
        Severity::NeedsAccept => !accepted.contains(&finding.code),
        Severity::Warning | Severity::Info => false,
    };
    findings.into_iter().filter(stops).cloned().collect()
}

/// Makes the proof from every finding about the server, the GPU, what is given and the VM, or answers
/// which of them stop it.
pub fn prove<'a>(
    given: &Given,
    device: impl Into<DeviceHandle>,
    vm: &VmId,
    findings: impl IntoIterator<Item = &'a Finding>,
    accepted: &BTreeSet<FindingCode>,
) -> Result<Ready, Vec<Finding>> {
    let stopping = blocking(findings, accepted);
    if stopping.is_empty() {
        Ok(Ready { given: given.clone(), device: device.into(), vm: vm.clone() })
    } else {
        Err(stopping)
    }
}
