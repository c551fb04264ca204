//! AMD's GIM: how many VFs a GPU has is said when the module is loaded and at no other time. Its files for
//! partition modes take any write and say yes; what came of it has to be read.

use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

use super::{Driver, file};
use crate::errno::{EINVAL, EIO, ENODEV, Errno};
use crate::kernel::{Function, Kernel};
use crate::kstr;
use crate::models::{self, Table};

pub(super) struct Gim;

pub(crate) const MODULE: &str = "gim";

const WRITABLE: [&str; 2] = ["accelerator_partition_profile", "memory_partition_mode"];
const READABLE: [&str; 4] = [
    "accelerator_partition_profile_config",
    "memory_partition_config",
    "spatial_partition_mode",
    "spatial_partition_caps",
];
const MEMORY_MODES: [&str; 4] = ["NPS1", "NPS2", "NPS4", "NPS8"];

/// The modes of one GPU, as indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gpu {
    pub profile: usize,
    /// One for all GPUs that are linked.
    pub memory: usize,
}

impl Driver for Gim {
    /// As many VFs as the module was told, where its GPU allows that number.
    fn may_take(&self, kernel: &Kernel, function: &Function) -> Result<(), Errno> {
        if function.sriov().is_none() {
            return Err(ENODEV);
        }
        let (counts, _) = table(function).ok_or(ENODEV)?;
        // Log: VF number to be enabled exceeds the limit.
        if counts.contains(&wanted(kernel, function.address)) { Ok(()) } else { Err(EINVAL) }
    }

    fn took(&self, kernel: &mut Kernel, at: PciAddress) {
        for (names, mode) in [(&WRITABLE[..], 0o600), (&READABLE[..], 0o400)] {
            for name in names {
                file(kernel, at, name, mode);
            }
        }
        kernel.memory.gim.insert(at, Gpu::default());
        if kernel.vfs_of(at).is_empty() {
            let count = wanted(kernel, at);
            kernel.make_vfs(at, count, &[]);
        }
    }

    fn left(&self, kernel: &mut Kernel, at: PciAddress) {
        for name in WRITABLE.iter().chain(&READABLE) {
            super::remove(kernel, at, name);
        }
        kernel.memory.gim.remove(&at);
    }

    fn read(&self, kernel: &Kernel, at: PciAddress, file: &str) -> Result<String, Errno> {
        let known = kernel.memory.gim.get(&at).ok_or(ENODEV)?;
        let (_, modes) = kernel.functions.get(&at).and_then(table).ok_or(ENODEV)?;
        let text = match file {
            "accelerator_partition_profile" => known.profile.to_string(),
            "memory_partition_mode" => MEMORY_MODES.get(known.memory).copied().unwrap_or("").to_owned(),
            "accelerator_partition_profile_config" => {
                let row = |(nth, mode): (usize, &&str)| format!("{nth}: {mode}");
                modes.iter().enumerate().map(row).collect::<Vec<_>>().join("\n")
            }
            "memory_partition_config" => MEMORY_MODES.join(", "),
            "spatial_partition_mode" => modes.get(known.profile).copied().unwrap_or("").to_owned(),
            "spatial_partition_caps" => modes.join(", "),
            _ => return Err(EIO),
        };
        Ok(text + "\n")
    }

    /// Yes in any case.
    fn write(&self, kernel: &mut Kernel, at: PciAddress, file: &str, text: &str) -> Result<(), Errno> {
        let Some((_, modes)) = kernel.functions.get(&at).and_then(table) else { return Ok(()) };
        if self.users(kernel, at) > 0 {
            return Ok(());
        }
        match file {
            "accelerator_partition_profile" => {
                let index = kstr::unsigned(text, u64::MAX).ok().and_then(|index| usize::try_from(index).ok());
                let index = index.filter(|index| *index < modes.len());
                if let (Some(index), Some(known)) = (index, kernel.memory.gim.get_mut(&at)) {
                    known.profile = index;
                }
            }
            "memory_partition_mode" => {
                let index = MEMORY_MODES.iter().position(|mode| *mode == kstr::name(text));
                if let Some(index) = index {
                    kernel.memory.gim.values_mut().for_each(|known| known.memory = index);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn users(&self, kernel: &Kernel, pf: PciAddress) -> usize {
        kernel.vfs_of(pf).into_iter().filter(|vf| kernel.is_open(*vf)).count()
    }
}

/// Counts and modes of the model.
fn table(function: &Function) -> Option<(&'static [u16], &'static [&'static str])> {
    match &models::find(function.numbers)?.table {
        Table::Amd { counts, modes } => Some((counts, modes)),
        _ => None,
    }
}

/// What the module's parameter says for this GPU: one number for each in their order, 1 where it says
/// nothing, as `/etc/gim_config` has it (chosen: the least that the module takes).
fn wanted(kernel: &Kernel, at: PciAddress) -> u16 {
    let is_before = |function: &&Function| {
        function.address < at && function.sriov().is_some() && table(function).is_some()
    };
    let nth = kernel.functions.values().filter(is_before).count();
    kernel.memory.gim_counts.get(nth).copied().unwrap_or(1)
}
