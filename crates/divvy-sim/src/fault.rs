//! What can be wrong with one GPU, to be switched on and off from outside. The kernel's own refusals
//! are not faults: they come from the state of things.

use serde::{Deserialize, Serialize};

/// A switch on one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// Its driver answers a change of `sriov_numvfs` with this error number.
    WriteFails { errno: i32 },
    /// Its driver makes at most this many partitions, and says yes.
    Partial { count: u16 },
    /// Whoever takes its lock hangs in the kernel until the fault is cleared.
    Hang,
    /// It has gone from the bus: its configuration reads ff everywhere.
    Lost,
    /// Neither it nor its partitions can be reset.
    ResetFails,
}

/// All switches of one GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub write_errno: Option<i32>,
    pub partial: Option<u16>,
    pub hang: bool,
    pub lost: bool,
    pub reset_fails: bool,
}

impl Faults {
    pub fn set(&mut self, fault: Fault) {
        match fault {
            Fault::WriteFails { errno } => self.write_errno = Some(errno),
            Fault::Partial { count } => self.partial = Some(count),
            Fault::Hang => self.hang = true,
            Fault::Lost => self.lost = true,
            Fault::ResetFails => self.reset_fails = true,
        }
    }

    /// A power cycle mends what hangs and what was lost.
    pub fn reboot(&mut self) {
        self.hang = false;
        self.lost = false;
    }
}
