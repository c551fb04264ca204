//! MIG: a GPU is cut into parts of its own compute and memory before a type can be put on one of them.
//! The mode outlives the driver, and with some GPUs a reboot; parts live as long as the driver has the
//! GPU. What a program prints of it is not known here.
//!
//! ```text
//! mode on ─▶ VFs ─▶ parts (seven of compute, eight of memory) ─▶ a type on a VF takes one part
//! ```

use std::collections::BTreeMap;

use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

use super::{nvidia, vgpu};
use crate::kernel::{Function, Kernel};
use crate::models::{self, MigProfile, Nvidia, Table};

const COMPUTE: u32 = 7;
const MEMORY: u32 = 8;

/// A mode that changes by a reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingMode {
    pub current: bool,
    /// From the next reset of the GPU on.
    pub pending: bool,
}

impl PendingMode {
    pub fn settled(self) -> Self {
        Self { current: self.pending, ..self }
    }
}

/// A piece that was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub id: u32,
    pub profile: u32,
    /// Where its memory begins, in eighths.
    pub start: u32,
    /// Something can run in it.
    pub computes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MigError {
    NotSupported,
    /// VFs, types or parts are in the way.
    InUse,
    NoSuchProfile,
    NoRoom,
    NothingThere,
}

/// What the driver knows of this model.
pub(super) fn table(kernel: &Kernel, pf: PciAddress) -> Option<&'static Nvidia> {
    match &models::find(kernel.functions.get(&pf)?.numbers)?.table {
        Table::Nvidia(nvidia) => Some(nvidia),
        _ => None,
    }
}

fn supporting(kernel: &Kernel, pf: PciAddress) -> Result<&'static Nvidia, MigError> {
    table(kernel, pf).filter(|table| !table.mig.is_empty()).ok_or(MigError::NotSupported)
}

pub(super) fn is_on(kernel: &Kernel, pf: PciAddress) -> bool {
    kernel.mig_mode(pf).is_some_and(|mode| mode.current)
}

impl Kernel {
    /// None: the GPU knows no MIG.
    pub(crate) fn mig_mode(&self, pf: PciAddress) -> Option<PendingMode> {
        supporting(self, pf).ok()?;
        let serial = self.functions.get(&pf)?.serial?;
        Some(self.memory.mig_modes.get(&serial).copied().unwrap_or_default())
    }

    pub(crate) fn mig_profiles(&self, pf: PciAddress) -> Result<&'static [MigProfile], MigError> {
        let table = supporting(self, pf)?;
        if is_on(self, pf) { Ok(table.mig) } else { Err(MigError::NotSupported) }
    }

    /// How many more of a profile there is room for.
    pub(crate) fn mig_room(&self, pf: PciAddress, profile: &MigProfile) -> u32 {
        let mut parts = self.memory.nvidia.get(&pf).map_or(Vec::new(), |gpu| gpu.parts.clone());
        let before = parts.len();
        let Some(table) = table(self, pf) else { return 0 };
        while let Some(part) = fit(table, &parts, profile, None) {
            parts.push(part);
        }
        (parts.len() - before) as u32
    }

    /// Cuts one part off, where its memory begins at `start`, or else where it fits first.
    pub(crate) fn make_part(
        &mut self,
        pf: PciAddress,
        (profile, start): (u32, Option<u32>),
        computes: bool,
    ) -> Result<Part, MigError> {
        let profiles = self.mig_profiles(pf)?;
        let profile = profiles.iter().find(|known| known.id == profile).ok_or(MigError::NoSuchProfile)?;
        let table = supporting(self, pf)?;
        let gpu = self.memory.nvidia.get_mut(&pf).ok_or(MigError::NotSupported)?;
        let part = Part { computes, ..fit(table, &gpu.parts, profile, start).ok_or(MigError::NoRoom)? };
        gpu.parts.push(part.clone());
        Ok(part)
    }

    /// Takes from all parts what can run in them (`-dci`), or the parts themselves (`-dgi`).
    pub(crate) fn drop_parts(&mut self, pf: PciAddress, whole: bool) -> Result<Vec<u32>, MigError> {
        self.mig_profiles(pf)?;
        if !vgpu::live(self, pf).is_empty() {
            return Err(MigError::InUse);
        }
        let gpu = self.memory.nvidia.get_mut(&pf).ok_or(MigError::NotSupported)?;
        if whole && gpu.parts.iter().any(|part| part.computes) {
            return Err(MigError::InUse);
        }
        let of: Vec<u32> =
            gpu.parts.iter().filter(|part| whole || part.computes).map(|part| part.id).collect();
        if of.is_empty() {
            return Err(MigError::NothingThere);
        }
        gpu.parts.iter_mut().for_each(|part| part.computes = false);
        if whole {
            gpu.parts.clear();
        }
        Ok(of)
    }

    /// What a reboot leaves of the modes: those of GPUs that keep theirs, as they were to become.
    pub(crate) fn mig_modes_kept(&self) -> BTreeMap<u64, PendingMode> {
        let kept = |function: &Function| {
            table(self, function.address).filter(|table| table.keeps_mig_mode)?;
            let serial = function.serial?;
            let mode = self.memory.mig_modes.get(&serial)?;
            Some((serial, mode.settled()))
        };
        self.functions.values().filter_map(kept).collect()
    }

    /// The GPU was reset: what was pending is so now.
    pub(crate) fn settle_mig_mode(&mut self, pf: PciAddress) {
        let serial = self.functions.get(&pf).and_then(|function| function.serial);
        if let Some(mode) = serial.and_then(|serial| self.memory.mig_modes.get_mut(&serial)) {
            *mode = mode.settled();
        }
    }
}

/// Where the memory of a part of this profile may begin.
pub(crate) fn starts(profile: &MigProfile) -> impl Iterator<Item = u32> {
    let memory = profile.memory;
    (0..profile.most).map(move |nth| nth * memory).filter(move |start| start + memory <= MEMORY)
}

/// One more part of this profile, at its wished start or at the first that is free.
fn fit(table: &Nvidia, parts: &[Part], profile: &MigProfile, wished: Option<u32>) -> Option<Part> {
    let known = |part: &Part| table.mig.iter().find(|known| known.id == part.profile);
    let compute: u32 = parts.iter().filter_map(known).map(|known| known.compute).sum();
    if compute + profile.compute > COMPUTE {
        return None;
    }
    let taken = |start: u32| {
        parts.iter().any(|part| {
            let memory = known(part).map_or(0, |known| known.memory);
            part.start < start + profile.memory && start < part.start.saturating_add(memory)
        })
    };
    let is_wished = |start: &u32| wished.is_none_or(|wished| wished == *start);
    let start = starts(profile).filter(is_wished).find(|start| !taken(*start))?;
    let first = match profile.compute {
        7 => 0,
        3 | 4 => 1,
        2 => 3,
        _ => 7,
    };
    let id = (first..u32::MAX).find(|id| parts.iter().all(|part| part.id != *id))?;
    Some(Part { id, profile: profile.id, start, computes: false })
}

/// Switches the mode. Answers whether it is so already, rather than after a reset.
pub(crate) fn set_mode(kernel: &mut Kernel, pf: PciAddress, on: bool) -> Result<bool, MigError> {
    let table = supporting(kernel, pf)?;
    let mode = kernel.mig_mode(pf).ok_or(MigError::NotSupported)?;
    if mode.pending == on && mode.current == on {
        return Ok(true);
    }
    let has_vfs = kernel.functions.get(&pf).and_then(Function::sriov).is_some_and(|sriov| sriov.count > 0);
    let has_parts = kernel.memory.nvidia.get(&pf).is_some_and(|gpu| !gpu.parts.is_empty());
    let in_use = nvidia::users(kernel, pf) > 0 || !vgpu::live(kernel, pf).is_empty();
    if in_use || !on && (has_vfs || has_parts) {
        return Err(MigError::InUse);
    }
    let serial = kernel.functions.get(&pf).and_then(|function| function.serial);
    let serial = serial.ok_or(MigError::NotSupported)?;
    let current = if table.keeps_mig_mode { mode.current } else { on };
    kernel.memory.mig_modes.insert(serial, PendingMode { current, pending: on });
    Ok(current == on)
}
