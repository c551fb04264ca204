//! What xe and the i915 backport have in common: a share of the GPU for each VF, given by hand before the
//! VFs are made or split evenly by the driver when they are. The files are those of each driver.
//!
//! ```text
//! all quotas 0 ── VFs made ─▶ each gets an even share ── VFs removed ─▶ all 0 again
//! one quota set ── VFs made ─▶ each needs one of its own (ENODATA) ── VFs removed ─▶ stays as it is
//! ```

use std::collections::BTreeMap;

use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

use crate::errno::{EBUSY, EINVAL, ENODATA, ENODEV, ENOSPC, ERANGE, Errno};
use crate::kernel::{Function, Kernel};
use crate::kstr;
use crate::models::{self, Table};

const MIB: u64 = 1 << 20;
/// Memory is given out in steps of it.
const STEP_BYTES: u64 = 2 * MIB;
/// What an even split leaves for the GPU itself.
const SPARE_BYTES: u64 = 128 * MIB;
pub(super) const MOST_QUANTUM_MS: u64 = 100_000;
pub(super) const MOST_PREEMPT_US: u64 = 100_000_000;

/// What one function has of the GPU; 0 is the PF, VFs count from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Share {
    pub vram_bytes: u64,
    pub ggtt_bytes: u64,
    pub contexts: u64,
    pub doorbells: u64,
    pub quantum_ms: u64,
    pub preempt_us: u64,
}

impl Share {
    fn has_quota(&self) -> bool {
        self.vram_bytes > 0 || self.ggtt_bytes > 0 || self.contexts > 0 || self.doorbells > 0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Provisioning {
    pub free_bytes: u64,
    pub shares: BTreeMap<u16, Share>,
    /// low, normal or high, for all functions.
    pub priority: String,
    /// The present VFs got an even share.
    pub automatic: bool,
}

impl Provisioning {
    /// As the driver begins with this GPU.
    fn of(kernel: &Kernel, pf: PciAddress) -> Self {
        let numbers = kernel.functions.get(&pf).map(|function| function.numbers);
        let free_bytes = match numbers.and_then(models::find).map(|model| &model.table) {
            Some(Table::Intel { vram_free_bytes }) => *vram_free_bytes,
            _ => 0,
        };
        Self { free_bytes, shares: BTreeMap::new(), priority: "normal".to_owned(), automatic: false }
    }

    pub fn fresh(&self) -> Self {
        Self { shares: BTreeMap::new(), automatic: false, priority: "normal".to_owned(), ..*self }
    }

    pub fn share(&self, nth: u16) -> Share {
        self.shares.get(&nth).cloned().unwrap_or_default()
    }

    fn vfs(&self) -> impl Iterator<Item = (&u16, &Share)> {
        self.shares.iter().filter(|(nth, _)| **nth > 0)
    }

    /// What no VF has yet.
    pub fn unclaimed_bytes(&self) -> u64 {
        self.vfs().fold(self.free_bytes, |free, (_, share)| free.saturating_sub(share.vram_bytes))
    }

    /// Somebody set a quota: the driver splits nothing by itself.
    fn is_custom(&self) -> bool {
        !self.automatic && self.vfs().any(|(_, share)| share.has_quota())
    }

    fn even_bytes(&self, count: u16) -> u64 {
        let free = self.free_bytes.saturating_sub(SPARE_BYTES) / u64::from(count.max(1));
        free - free % STEP_BYTES
    }
}

pub(super) fn took(kernel: &mut Kernel, pf: PciAddress) {
    let provisioning = Provisioning::of(kernel, pf);
    kernel.memory.intel.insert(pf, provisioning);
}

pub(super) fn left(kernel: &mut Kernel, pf: PciAddress) {
    kernel.memory.intel.remove(&pf);
}

/// With quotas set by hand every VF needs one.
pub(super) fn may_make_vfs(kernel: &Kernel, pf: PciAddress, count: u16) -> Result<(), Errno> {
    let Some(known) = kernel.memory.intel.get(&pf) else { return Err(ENODEV) };
    if !known.is_custom() {
        return if known.even_bytes(count) == 0 { Err(ENOSPC) } else { Ok(()) };
    }
    let all = (1..=count).all(|nth| known.share(nth).vram_bytes > 0);
    if all { Ok(()) } else { Err(ENODATA) }
}

/// Splits evenly when VFs came, takes that back when they are gone.
pub(super) fn vfs_changed(kernel: &mut Kernel, pf: PciAddress) {
    let vfs = kernel.vfs_of(pf);
    let count = vfs.len() as u16;
    show_consumers(kernel, pf, &vfs);
    let Some(known) = kernel.memory.intel.get_mut(&pf) else { return };
    if count == 0 && known.automatic {
        known.automatic = false;
        for share in known.shares.iter_mut().filter(|(nth, _)| **nth > 0).map(|(_, share)| share) {
            (share.vram_bytes, share.ggtt_bytes, share.contexts, share.doorbells) = (0, 0, 0, 0);
        }
    } else if count > 0 && !known.is_custom() {
        known.automatic = true;
        let vram_bytes = known.even_bytes(count);
        for nth in 1..=count {
            let share = known.shares.entry(nth).or_default();
            share.vram_bytes = vram_bytes;
            share.ggtt_bytes = round_down_to_power((3840 * MIB) / u64::from(count));
            share.contexts = 1024;
            share.doorbells = round_down_to_power(256 / u64::from(count));
        }
    }
}

fn round_down_to_power(number: u64) -> u64 {
    number.checked_ilog2().map_or(0, |power| 1 << power)
}

/// These drivers make each VF a consumer of its PF, and the PF's folder shows it.
fn show_consumers(kernel: &mut Kernel, pf: PciAddress, vfs: &[PciAddress]) {
    let Some(path) = kernel.functions.get(&pf).map(|function| function.path.clone()) else { return };
    for name in kernel.tree.names(&path).into_iter().filter(|name| name.starts_with("consumer:")) {
        kernel.tree.remove(&format!("{path}/{name}"));
    }
    for vf in vfs {
        let link = format!("sys/devices/virtual/devlink/pci:{pf}--pci:{vf}");
        kernel.tree.folder(&link);
        kernel.tree.link(&format!("{path}/consumer:pci:{vf}"), &link);
    }
}

/// Whether VF number `nth` is there now.
fn is_there(kernel: &Kernel, pf: PciAddress, nth: u16) -> bool {
    nth > 0 && usize::from(nth) <= kernel.vfs_of(pf).len()
}

/// Memory for one VF, rounded up to a step. Not while it is there.
pub(super) fn set_vram(kernel: &mut Kernel, pf: PciAddress, nth: u16, text: &str) -> Result<(), Errno> {
    let bytes = kstr::unsigned(text, u64::MAX)?;
    let bytes = bytes.checked_next_multiple_of(STEP_BYTES).ok_or(ERANGE)?;
    set(kernel, pf, nth, |known| {
        let own = known.share(nth).vram_bytes;
        if bytes > known.unclaimed_bytes().saturating_add(own) {
            return Err(ENOSPC);
        }
        known.shares.entry(nth).or_default().vram_bytes = bytes;
        Ok(())
    })
}

/// Another quota of one VF.
pub(super) fn set_quota(
    kernel: &mut Kernel,
    pf: PciAddress,
    nth: u16,
    text: &str,
    member: fn(&mut Share) -> &mut u64,
) -> Result<(), Errno> {
    let value = kstr::unsigned(text, u64::MAX)?;
    set(kernel, pf, nth, |known| {
        *member(known.shares.entry(nth).or_default()) = value;
        Ok(())
    })
}

fn set(
    kernel: &mut Kernel,
    pf: PciAddress,
    nth: u16,
    change: impl FnOnce(&mut Provisioning) -> Result<(), Errno>,
) -> Result<(), Errno> {
    if is_there(kernel, pf, nth) {
        return Err(EBUSY);
    }
    change(kernel.memory.intel.get_mut(&pf).ok_or(ENODEV)?)
}

/// A time, also while the VF is there.
pub(super) fn set_time(
    kernel: &mut Kernel,
    pf: PciAddress,
    nth: u16,
    (text, most): (&str, u64),
    member: fn(&mut Share) -> &mut u64,
) -> Result<(), Errno> {
    let value = kstr::unsigned(text, u64::from(u32::MAX))?;
    if value > most {
        return Err(EINVAL);
    }
    let known = kernel.memory.intel.get_mut(&pf).ok_or(ENODEV)?;
    *member(known.shares.entry(nth).or_default()) = value;
    Ok(())
}

/// How many VFs the hardware has: each has a folder, whether it is there or not.
pub(super) fn total(kernel: &Kernel, pf: PciAddress) -> u16 {
    kernel.functions.get(&pf).and_then(Function::sriov).map_or(0, |sriov| sriov.spec.total)
}
