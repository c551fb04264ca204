//! What can be made to happen to a room, from outside and by name: faults of one GPU or partition, and
//! blows to a server. The kernel's own refusals are not faults: they come from the state of things.
//!
//! ```text
//! gpu GPU lose │ hang-writes │ fail ERRNO │ partial N │ reset-fails │ slow MS │ busy │ sriov-manage-lies
//!       │ sriov-manage-dies │ wedge │ lose-profiles │ ecc on/off │ mig on/off │ clear
//! partition GPU.INDEX wedge │ linger N         vm VM kill (by name or id)
//! server SERVER reboot │ renumber │ reload-driver │ nvidia-driver VERSION         clear
//! ```

mod text;

use std::time::Duration;

use divvy_core::id::ServerId;
use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

pub use text::ParseFaultError;

/// A switch on one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GpuFault {
    /// Its driver answers a change of `sriov_numvfs`, or of a file of its own, with this error number.
    WriteFails { errno: i32 },
    /// Its driver makes at most this many partitions, and says yes.
    Partial { count: u16 },
    /// Whoever takes its lock hangs in the kernel until the fault is cleared.
    Hang,
    /// It has gone from the bus: its configuration reads ff everywhere.
    Lost,
    /// Neither it nor its partitions can be reset.
    ResetFails,
    /// Each write to it takes so much longer.
    Slow { time_ms: u32 },
    /// A program of the server has it open: its driver does not leave it.
    Busy,
    /// `sriov-manage` says that all went well, and has done nothing.
    ManageLies,
    /// `sriov-manage` dies half-way, and leaves the GPU on `pci-pf-stub`.
    ManageDies,
}

/// All switches of one GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub write_errno: Option<i32>,
    pub partial: Option<u16>,
    pub hang: bool,
    pub lost: bool,
    pub reset_fails: bool,
    pub slow: Duration,
    pub busy: bool,
    pub manage_lies: bool,
    pub manage_dies: bool,
}

impl Faults {
    pub fn set(&mut self, fault: GpuFault) {
        match fault {
            GpuFault::WriteFails { errno } => self.write_errno = Some(errno),
            GpuFault::Partial { count } => self.partial = Some(count),
            GpuFault::Hang => self.hang = true,
            GpuFault::Lost => self.lost = true,
            GpuFault::ResetFails => self.reset_fails = true,
            GpuFault::Slow { time_ms } => self.slow = Duration::from_millis(time_ms.into()),
            GpuFault::Busy => self.busy = true,
            GpuFault::ManageLies => self.manage_lies = true,
            GpuFault::ManageDies => self.manage_dies = true,
        }
    }

    /// A power cycle mends what hangs and what was lost, and ends programs.
    pub fn reboot(&mut self) {
        self.hang = false;
        self.lost = false;
        self.busy = false;
    }

    pub fn all(&self) -> Vec<GpuFault> {
        let time_ms = self.slow.as_millis().try_into().unwrap_or(u32::MAX);
        [
            self.write_errno.map(|errno| GpuFault::WriteFails { errno }),
            self.partial.map(|count| GpuFault::Partial { count }),
            self.hang.then_some(GpuFault::Hang),
            self.lost.then_some(GpuFault::Lost),
            self.reset_fails.then_some(GpuFault::ResetFails),
            (time_ms > 0).then_some(GpuFault::Slow { time_ms }),
            self.busy.then_some(GpuFault::Busy),
            self.manage_lies.then_some(GpuFault::ManageLies),
            self.manage_dies.then_some(GpuFault::ManageDies),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Which GPU of a room.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GpuName {
    /// `gpu-48b02db7b700001d`: by its serial number, wherever it is.
    Serial(u64),
    /// `a16-1/0000:43:00.0`: by its place now.
    Place(ServerId, PciAddress),
}

/// One thing to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Stays until it is cleared.
    Gpu {
        gpu: GpuName,
        fault: GpuFault,
    },
    /// Each of its partitions works for nobody until it is made anew.
    WedgeGpu {
        gpu: GpuName,
    },
    /// Its partitions stay, and lose types and shares.
    LoseProfiles {
        gpu: GpuName,
    },
    /// Somebody switches its ECC mode; the next boot of its server makes it so.
    SwitchEcc {
        gpu: GpuName,
        on: bool,
    },
    /// Somebody switches its MIG mode.
    SwitchMig {
        gpu: GpuName,
        on: bool,
    },
    ClearGpu {
        gpu: GpuName,
    },
    WedgePartition {
        gpu: GpuName,
        index: u16,
    },
    /// The next deletions of its type are refused: QEMU takes its time.
    Linger {
        gpu: GpuName,
        index: u16,
        times: u32,
    },
    /// SIGKILL for its QEMU: NVIDIA's partitions that it had are wedged.
    KillVm {
        vm: String,
    },
    Reboot {
        server: ServerId,
    },
    /// A reboot with something new in a slot: addresses name other GPUs.
    Renumber {
        server: ServerId,
    },
    /// The drivers of its GPUs are loaded anew.
    ReloadDriver {
        server: ServerId,
    },
    /// NVIDIA's driver of this version takes the place of the one that is there.
    InstallDriver {
        server: ServerId,
        version: String,
    },
    /// All that was switched on is off.
    Clear,
}

/// Why a fault does not take place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    #[error("the room has no GPU {gpu}")]
    NoSuchGpu { gpu: GpuName },
    #[error("GPU {gpu} has no partition {index} now")]
    NoSuchPartition { gpu: GpuName, index: u16 },
    #[error("the room has no server {server}")]
    NoSuchServer { server: ServerId },
    #[error("the room has no VM {vm}")]
    NoSuchVm { vm: String },
    #[error("VM {vm} does not run")]
    NotRunning { vm: String },
    #[error("GPU {gpu} has no {mode} mode that could be switched now")]
    NoSuchMode { gpu: GpuName, mode: &'static str },
    #[error("GPU {gpu} is in use, or has what partitions need; take its partitions away first")]
    GpuInUse { gpu: GpuName },
    #[error("server {server} has no driver of NVIDIA's")]
    NoSuchDriver { server: ServerId },
    #[error("the driver of {address} on {server} is in use; turn its VMs off first")]
    DriverInUse { server: ServerId, address: PciAddress },
}

#[cfg(test)]
mod tests;
