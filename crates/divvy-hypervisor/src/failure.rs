//! Why a call to libvirt failed: the library is not there, libvirt said no, or nobody answered. Also
//! what the answers that people meet most mean. Which VM and which device were meant is the caller's
//! to say.

use std::io;

/// libvirt's error numbers that Divvy tells apart.
pub(crate) mod code {
    pub(crate) const NO_SUPPORT: i32 = 3;
    pub(crate) const INVALID_ARG: i32 = 8;
    pub(crate) const NO_DOMAIN: i32 = 42;
    pub(crate) const OPERATION_TIMEOUT: i32 = 68;
}

/// libvirt's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({function}, code {code}, domain {domain})")]
pub struct LibvirtError {
    pub function: &'static str,
    pub code: i32,
    pub domain: i32,
    pub message: String,
}

/// Why libvirt cannot be used in this process.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{name} cannot be loaded: libvirt is not installed")]
    Open { name: String, source: libloading::Error },
    #[error("this libvirt is too old: it has no {name}")]
    Symbol { name: &'static str, source: libloading::Error },
    #[error("libvirt cannot be initialised")]
    Initialise { source: LibvirtError },
    #[error("the thread for libvirt's events cannot be started")]
    Thread { source: io::Error },
}

/// Why one call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("libvirt cannot be used")]
    Load(#[source] LoadError),
    #[error("libvirt at {uri} cannot be reached")]
    Open { uri: String, source: LibvirtError },
    #[error("libvirt said no")]
    Refused(#[from] LibvirtError),
    #[error("libvirt did not answer within {timeout_ms} ms; the call may still be carried out")]
    NoAnswer { timeout_ms: u128 },
    #[error("{count} earlier calls to libvirt still hang")]
    Hanging { count: usize },
    #[error("the thread that talks to libvirt cannot be started")]
    Thread { source: io::Error },
    #[error("the thread that talks to libvirt ended in the middle of a call")]
    Ended,
}

impl CallError {
    /// libvirt answered, and the answer was no.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// libvirt or QEMU has already been asked to take the device out, and is at it.
    pub(crate) fn removal_is_under_way(&self) -> bool {
        match self {
            Self::Refused(error) => {
                error.code == code::OPERATION_TIMEOUT
                    || error.message.contains("already in the process of unplug")
            }
            _ => false,
        }
    }

    /// What to do about it, for the answers whose cause is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Refused(error) => known_hint(&error.message),
            Self::Load(LoadError::Open { .. }) => {
                Some("apt install libvirt-daemon-system; divvyd finds it without a restart")
            }
            Self::Hanging { .. } => {
                Some("a QEMU or libvirt itself hangs: systemctl restart libvirtd virtqemud")
            }
            _ => None,
        }
    }
}

/// Parts of libvirt's and QEMU's messages, as libvirt 9 and 11 write them, and what mends the cause.
const KNOWN: [(&str, &str); 9] = [
    (
        "No more available PCI slots",
        "the VM has no free PCI Express port: shut it down and assign again, or give its definition another \
         pcie-root-port",
    ),
    (
        "is in use by driver",
        "another VM has the device: the message names it; unassign it there or shut that VM down",
    ),
    (
        "non unique alias",
        "the VM still has an older device of the same partition: take that one out of its definition first",
    ),
    (
        "could not access /sys/bus/pci/devices",
        "the partition has gone from the server: divvy check shows its GPU",
    ),
    (
        "host doesn't support",
        "the server cannot hand PCI devices to VMs: switch the IOMMU on in firmware and on the kernel command \
         line, and load vfio-pci",
    ),
    ("Device or resource busy", "another process has the device open: divvy explain names it"),
    (
        "Cannot allocate memory",
        "the VM's memory cannot be locked: raise its memory limit (<memtune><hard_limit>) or use less memory",
    ),
    (
        "cannot acquire state change lock",
        "another tool is changing this VM, or its QEMU hangs: virsh domjobinfo tells",
    ),
    (
        "-no-acpi: invalid option",
        "this libvirt is too old for this QEMU and VMs without ACPI: add <acpi/> to the VM's features",
    ),
];

fn known_hint(message: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(part, _)| message.contains(part)).map(|(_, hint)| *hint)
}

/// An error with all of its causes, as one text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: i32, message: &str) -> CallError {
        CallError::Refused(LibvirtError { function: "f", code, domain: 10, message: message.into() })
    }

    #[test]
    fn the_refusals_that_people_meet_have_a_hint_of_their_own() {
        for (message, hint) in [
            ("internal error: No more available PCI slots", "pcie-root-port"),
            ("PCI device 0000:01:10.0 is in use by driver QEMU, domain g1", "another VM"),
            ("unsupported configuration: non unique alias detected: ua-part-10-0", "definition"),
            (
                "Device 0000:01:12.0 not found: could not access /sys/bus/pci/devices/0000:01:12.0/config: \
                 No such file or directory",
                "gone",
            ),
            ("vfio 0000:01:10.0: Could not open '/dev/vfio/6': Device or resource busy", "open"),
        ] {
            let found = refused(1, message).hint().expect("known");
            assert!(found.contains(hint), "{message}: {found}");
        }
    }

    #[test]
    fn a_refusal_that_is_not_known_has_no_invented_hint() {
        assert_eq!(refused(1, "internal error: something new").hint(), None);
    }

    #[test]
    fn a_removal_that_is_already_under_way_is_told_from_a_refusal() {
        let busy = "internal error: unable to execute QEMU command 'device_del': Device ua-x is already in the \
                    process of unplug";
        assert!(refused(1, busy).removal_is_under_way());
        assert!(refused(code::OPERATION_TIMEOUT, "Unplug timeout").removal_is_under_way());
        assert!(!refused(55, "domain is not running").removal_is_under_way());
    }
}
