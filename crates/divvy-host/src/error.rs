//! What the machine did to us while a step was taken: what was tried, on which file, the kernel's own
//! cause, what that is known to mean, and what to do. The meanings are those of the kernel's sources
//! (`drivers/pci/iov.c`, `drivers/pci/pci-driver.c`, `drivers/vfio/pci`). What a user did wrong is not
//! here: a refusal comes before any step.

use std::fmt;
use std::io;

use divvy_core::id::GpuId;
use divvy_core::pci_address::PciAddress;

use crate::attribute::AttributeError;
use crate::users::{User, UsersUnknown};
use crate::vfio::{Holder, OpenUnknown};

mod meaning;

pub use meaning::{Meaning, meaning};

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Look,
    Reserve,
    Enable,
    Disable,
    Remove,
    Create,
    Size,
    Override,
    Release,
    Prepare,
    Reset,
    Give,
    Lock,
    Unload,
    ResetGpu,
    TakeBack,
    Renew,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Look => "look at the GPU",
            Self::Reserve => "keep the server's drivers off new partitions",
            Self::Enable => "turn on the GPU's virtual functions",
            Self::Disable => "turn off the GPU's virtual functions",
            Self::Remove => "remove the partitions",
            Self::Create => "make partitions",
            Self::Size => "give the partition its share of the GPU",
            Self::Override => "keep the partition for VFIO",
            Self::Release => "take the partition from its driver",
            Self::Prepare => "give the partition to VFIO",
            Self::Reset => "reset the partition",
            Self::Give => "take the GPU from the server",
            Self::Lock => "ask the driver to let go of the GPU",
            Self::Unload => "take the GPU from its driver",
            Self::ResetGpu => "reset the GPU",
            Self::TakeBack => "give the GPU back to the server",
            Self::Renew => "make the partition anew",
        })
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("cannot {verb} ({path}){}", said(*verb, cause))]
    Kernel {
        verb: Verb,
        path: String,
        #[source]
        cause: io::Error,
    },
    #[error("cannot {verb}: its state cannot be read")]
    Unreadable {
        verb: Verb,
        #[source]
        cause: AttributeError,
    },
    #[error("cannot {verb}: in use: {}", list(holders))]
    PartitionOpen { verb: Verb, holders: Vec<Holder> },
    #[error("cannot {verb}: it cannot be told whether it is in use")]
    OpenUnknown {
        verb: Verb,
        #[source]
        cause: OpenUnknown,
    },
    #[error("cannot make {asked} partitions ({path}), {} came{}", came_text(*came), said(Verb::Create, cause))]
    NotCreated {
        path: String,
        asked: u16,
        /// How many there are now; None: it cannot be told.
        came: Option<u16>,
        #[source]
        cause: io::Error,
    },
    #[error("{asked} partitions were asked for and the driver made {came} ({path})")]
    TooFew { path: String, asked: u16, came: u16 },
    #[error("cannot {verb}: {path} says {found} partitions, expected were {expected}")]
    OtherCount { verb: Verb, path: String, expected: u16, found: u16 },
    #[error("cannot {verb}: {path} reads {found:?} after {wrote:?} was written")]
    ReadBack { verb: Verb, path: String, wrote: String, found: String },
    #[error("cannot {verb}: after {waited_ms} ms {what}")]
    NotSettled { verb: Verb, what: String, waited_ms: u128 },
    #[error("cannot {verb}: {path} leads to {found}, expected was {expected}")]
    Moved { verb: Verb, path: String, expected: PciAddress, found: PciAddress },
    #[error("cannot {verb}: the GPU at {address} is not {gpu}: {why}")]
    OtherGpu { verb: Verb, gpu: GpuId, address: PciAddress, why: String },
    #[error("cannot {verb}: the driver {driver} is not loaded")]
    DriverMissing { verb: Verb, driver: String },
    #[error("cannot {verb}: {program} cannot be run")]
    Program {
        verb: Verb,
        program: String,
        #[source]
        cause: io::Error,
    },
    #[error("cannot {verb}: {program} {}{}", ended(*code), quoted(said))]
    ProgramFailed {
        verb: Verb,
        program: String,
        /// None: a signal ended it.
        code: Option<i32>,
        said: String,
    },
    #[error(
        "cannot make {count} partitions: the driver offers no type for so many ({path}); it offers {offered}"
    )]
    NoType { path: String, count: u16, offered: String },
    #[error(
        "cannot {verb}: the module {module} gives each of its GPUs one at least, and {others} have partitions"
    )]
    ModuleShared { verb: Verb, module: &'static str, others: String },
    #[error("cannot {verb}: {path} says {found}, the other partitions have {expected}")]
    OtherType { verb: Verb, path: String, expected: String, found: String },
    #[error("cannot make a partition of its size: {path} says {found}, of that size is {expected}")]
    OtherSize { path: String, expected: String, found: String },
    #[error("cannot make partitions of different sizes of {address}: its scheme makes equal ones only")]
    EqualOnly { address: PciAddress },
    #[error("cannot {verb}: the kernel knows no way to reset {address}")]
    NoReset { verb: Verb, address: PciAddress },
    #[error("cannot {verb}: {address} does not answer")]
    Lost { verb: Verb, address: PciAddress },
    #[error("cannot {verb}: the slot of {address} has the functions {found:?}, expected were {expected:?}")]
    OtherSlot { verb: Verb, address: PciAddress, expected: Vec<u8>, found: Vec<u8> },
    #[error("cannot {verb}: {address} shares its IOMMU group with {}", addresses(strangers))]
    GroupShared { verb: Verb, address: PciAddress, strangers: Vec<PciAddress> },
    #[error("cannot {verb}: {gpu} is in use by {}", users.iter().map(User::to_string).collect::<Vec<_>>().join(", "))]
    GpuInUse { verb: Verb, gpu: PciAddress, users: Vec<User> },
    #[error("cannot {verb}: it cannot be told whether a process uses the GPU")]
    UsersUnknown {
        verb: Verb,
        #[source]
        cause: UsersUnknown,
    },
    #[error("cannot {verb}: {path} was written {tries} times and does not read 1")]
    LockRefused { verb: Verb, path: String, tries: u32 },
}

impl HostError {
    /// The stable name of this failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Kernel { cause, .. } | Self::NotCreated { cause, .. } | Self::Program { cause, .. }
                if is_timed_out(cause) =>
            {
                "gpu_hangs"
            }
            Self::Unreadable { cause, .. } if cause.is_timed_out() => "gpu_hangs",
            Self::Kernel { .. } => "kernel_refused",
            Self::Unreadable { .. } => "state_unreadable",
            Self::PartitionOpen { .. } => "partition_open",
            Self::OpenUnknown { .. } => "open_unknown",
            Self::NotCreated { .. } => "partitions_not_created",
            Self::TooFew { .. } => "too_few_partitions",
            Self::OtherCount { .. } => "count_changed_meanwhile",
            Self::ReadBack { .. } => "value_not_kept",
            Self::NotSettled { .. } => "not_settled",
            Self::Moved { .. } => "partition_moved",
            Self::OtherGpu { .. } => "gpu_replaced",
            Self::DriverMissing { .. } => "driver_missing",
            Self::Program { .. } => "program_missing",
            Self::ProgramFailed { .. } => "program_failed",
            Self::NoType { .. } => "no_type",
            Self::ModuleShared { .. } => "module_shared",
            Self::OtherType { .. } | Self::OtherSize { .. } => "other_type",
            Self::EqualOnly { .. } => "equal_partitions_only",
            Self::NoReset { .. } => "no_reset",
            Self::Lost { .. } => "gpu_lost",
            Self::OtherSlot { .. } => "slot_changed",
            Self::GroupShared { .. } => "gpu_group_shared",
            Self::GpuInUse { .. } => "gpu_in_use",
            Self::UsersUnknown { .. } => "users_unknown",
            Self::LockRefused { .. } => "driver_lock_refused",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        let known = |verb: Verb, cause: &io::Error| meaning(verb, cause).map(|meaning| meaning.hint);
        let hint = match self {
            Self::Kernel { verb, cause, .. } => known(*verb, cause).unwrap_or(LOOK_AT_LOG),
            Self::NotCreated { cause, .. } => known(Verb::Create, cause).unwrap_or(LOOK_AT_LOG),
            Self::Unreadable { .. } | Self::ReadBack { .. } | Self::NotSettled { .. } => LOOK_AT_LOG,
            Self::PartitionOpen { .. } => {
                "shut the VM down, or end the process that has it open; then try again"
            }
            Self::OpenUnknown { .. } | Self::UsersUnknown { .. } => {
                "run divvyd as root with CAP_SYS_PTRACE, and /proc mounted and not hidden"
            }
            Self::TooFew { .. } => {
                "the driver could not make more: ask for fewer, or look at the server's kernel log (dmesg)"
            }
            Self::OtherCount { .. } => {
                "somebody else changes the partitions of this GPU; stop that program, then try again"
            }
            Self::Moved { .. } | Self::OtherGpu { .. } | Self::OtherSlot { .. } => {
                "the hardware changed; try again"
            }
            Self::GroupShared { .. } => {
                "turn on ACS in the firmware setup, or put the GPU into a slot of its own root port"
            }
            Self::GpuInUse { .. } => {
                "end these processes; for NVIDIA's: systemctl stop nvidia-persistenced, nvidia-smi -pm 0"
            }
            Self::LockRefused { .. } => {
                "something still uses the GPU: nvidia-smi shows it; systemctl stop nvidia-persistenced, \
                 nvidia-smi -pm 0"
            }
            Self::DriverMissing { driver, .. } => return format!("modprobe {driver}"),
            Self::Program { cause, .. } if is_timed_out(cause) => {
                "shut down whatever uses the GPU; the server's kernel log says what the program waits for (dmesg)"
            }
            Self::Program { program, .. } => {
                return format!("install the vendor's driver for virtualization, which brings {program}");
            }
            Self::ProgramFailed { .. } => {
                "end what uses the GPU on the server (nvidia-smi, nvidia-persistenced, DCGM); then try again"
            }
            Self::NoType { .. } => "divvy gpu show GPU lists the valid counts",
            Self::ModuleShared { .. } => "take the partitions of the other GPUs away in the same request",
            Self::EqualOnly { .. } => "divvy gpu partition GPU --count N makes equal partitions",
            Self::OtherType { .. } | Self::OtherSize { .. } => {
                "another program makes partitions of this GPU; stop it, then set the partition count anew"
            }
            Self::NoReset { .. } => {
                "update the GPU's firmware or the kernel; without a reset the partition cannot be proved clean"
            }
            Self::Lost { .. } => {
                "power the server off and on; if the GPU is still lost, reseat or replace it"
            }
        };
        hint.to_owned()
    }
}

const LOOK_AT_LOG: &str = "the server's kernel log says more (dmesg)";

fn is_timed_out(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::TimedOut
}

fn said(verb: Verb, cause: &io::Error) -> String {
    meaning(verb, cause).map(|meaning| format!(": {}", meaning.text)).unwrap_or_default()
}

fn came_text(came: Option<u16>) -> String {
    came.map_or_else(|| "an unknown number".to_owned(), |came| came.to_string())
}

fn addresses(list: &[PciAddress]) -> String {
    let words: Vec<String> = list.iter().map(PciAddress::to_string).collect();
    words.join(", ")
}

fn ended(code: Option<i32>) -> String {
    code.map_or_else(|| "was killed".to_owned(), |code| format!("ended with {code}"))
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" and said {said:?}") }
}

fn list(holders: &[Holder]) -> String {
    let words: Vec<String> = holders.iter().map(Holder::to_string).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests;
