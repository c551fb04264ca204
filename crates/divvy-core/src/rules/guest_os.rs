//! Which guest operating systems a partition is known to work in. Another one, or one that the VM's
//! definition does not tell, is accepted by the administrator or refused; it is never passed silently.
//!
//! Source: the supported lists of GPU partitioning (Windows 10 and 11 with their multi-session editions,
//! Windows Server 2019 and later, Ubuntu 18.04, 20.04, 22.04). Ids are those of libosinfo, which
//! virt-manager, virt-install and Cockpit leave in a VM's metadata.

use alloc::format;

use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::vm::ObservedVm;

pub const UNKNOWN: FindingCode = FindingCode::of("guest_os_unknown");
pub const UNSUPPORTED: FindingCode = FindingCode::of("guest_os_unsupported");

const SUPPORTED: &[&str] = &[
    "http://microsoft.com/win/10",
    "http://microsoft.com/win/11",
    "http://microsoft.com/win/2k19",
    "http://microsoft.com/win/2k22",
    "http://microsoft.com/win/2k25",
    "http://ubuntu.com/ubuntu/18.04",
    "http://ubuntu.com/ubuntu/20.04",
    "http://ubuntu.com/ubuntu/22.04",
    "http://ubuntu.com/ubuntu/24.04",
];

pub fn is_supported(libosinfo_id: &str) -> bool {
    let plain = libosinfo_id.trim_end_matches('/').replacen("https://", "http://", 1);
    SUPPORTED.contains(&plain.as_str())
}

pub fn finding(vm: &ObservedVm) -> Option<Finding> {
    let (code, text) = match vm.settings.guest_os.as_deref() {
        Some(os) if is_supported(os) => return None,
        Some(os) => (
            UNSUPPORTED,
            format!(
                "VM {} runs {os}, which is not on the list of supported guest operating systems",
                vm.name
            ),
        ),
        None => (UNKNOWN, format!("VM {} does not tell its guest operating system", vm.name)),
    };
    Some(Finding {
        code,
        severity: Severity::NeedsAccept,
        subject: Subject::Vm(vm.id.clone()),
        text,
        mend: format!(
            "see that the GPU vendor's driver for VMs supports it; virt-xml {} --edit --osinfo NAME tells what it is",
            vm.name
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::vm;

    #[test]
    fn a_listed_guest_os_passes_in_either_spelling() {
        for os in [
            "http://microsoft.com/win/11",
            "https://ubuntu.com/ubuntu/22.04",
            "http://ubuntu.com/ubuntu/20.04/",
        ] {
            let mut vm = vm("vm-001");
            vm.settings.guest_os = Some(os.into());
            assert_eq!(finding(&vm), None, "{os}");
        }
    }

    #[test]
    fn another_or_an_unknown_guest_os_must_be_accepted() {
        let mut vm = vm("vm-001");
        for (os, code) in [(Some("http://debian.org/debian/12"), UNSUPPORTED), (None, UNKNOWN)] {
            vm.settings.guest_os = os.map(Into::into);
            let found = finding(&vm).expect("a finding");
            assert_eq!((found.code, found.severity), (code, Severity::NeedsAccept));
        }
    }

    proptest::proptest! {
        /// Only a listed guest operating system passes in silence.
        #[test]
        fn nothing_unlisted_passes_in_silence(os in proptest::option::of("(https?://)?[a-z./0-9]{0,30}")) {
            let mut vm = vm("vm-001");
            vm.settings.guest_os.clone_from(&os);
            let listed = os.as_deref().is_some_and(is_supported);
            proptest::prop_assert_eq!(finding(&vm).is_none(), listed);
        }
    }
}
