//! The ECC mode of NVIDIA's GPUs. It is kept in the board, and what was switched is so after the next reset
//! of the GPU or the next boot. On memory that has no room for it by itself, it takes a sixteenth.

use std::collections::BTreeMap;

use divvy_core::pci_address::PciAddress;

use super::nvidia_mig::table;
use super::{MigError, PendingMode};
use crate::kernel::{Function, Kernel};
use crate::models;

impl Kernel {
    /// None: it is no GPU of NVIDIA's.
    pub(crate) fn ecc_mode(&self, pf: PciAddress) -> Option<PendingMode> {
        table(self, pf)?;
        let function = self.functions.get(&pf)?;
        let known = self.memory.ecc_modes.get(&function.serial?).copied();
        let delivered = models::find(function.numbers)?.has_ecc_memory();
        Some(known.unwrap_or(PendingMode { current: delivered, pending: delivered }))
    }

    pub(crate) fn set_ecc_mode(&mut self, pf: PciAddress, on: bool) -> Result<(), MigError> {
        let mode = self.ecc_mode(pf).ok_or(MigError::NotSupported)?;
        let serial = self.functions.get(&pf).and_then(|function| function.serial);
        let serial = serial.ok_or(MigError::NotSupported)?;
        self.memory.ecc_modes.insert(serial, PendingMode { pending: on, ..mode });
        Ok(())
    }

    /// What a reboot leaves of the modes: all, as they were to become.
    pub(crate) fn ecc_modes_kept(&self) -> BTreeMap<u64, PendingMode> {
        let settled = |(serial, mode): (&u64, &PendingMode)| (*serial, mode.settled());
        self.memory.ecc_modes.iter().map(settled).collect()
    }

    /// The GPU was reset: what was pending is so now.
    pub(crate) fn settle_ecc_mode(&mut self, pf: PciAddress) {
        let serial = self.functions.get(&pf).and_then(|function| function.serial);
        if let Some(mode) = serial.and_then(|serial| self.memory.ecc_modes.get_mut(&serial)) {
            *mode = mode.settled();
        }
    }

    /// All of its memory that can be used now.
    pub(crate) fn gpu_memory_bytes(&self, pf: PciAddress) -> Option<u64> {
        let model = models::find(self.functions.get(&pf).map(|function: &Function| function.numbers)?)?;
        let gives_some_away = !model.has_ecc_memory() && self.ecc_mode(pf).is_some_and(|mode| mode.current);
        Some(if gives_some_away { model.memory_bytes / 16 * 15 } else { model.memory_bytes })
    }
}
