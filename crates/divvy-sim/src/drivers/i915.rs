//! Intel's i915 backport for servers: as xe, but its files are below the GPU's node for programs that
//! draw, `/sys/class/drm/cardN/iov`, with a quota for each resource. VFs count from 1.

use divvy_core::pci_address::PciAddress;

use super::intel::{self, MOST_PREEMPT_US, MOST_QUANTUM_MS, Share};
use super::{Driver, file, remove};
use crate::errno::{EIO, ENODEV, Errno};
use crate::kernel::Kernel;

pub(super) struct I915;

const QUOTAS: [&str; 4] = ["lmem_quota", "ggtt_quota", "contexts_quota", "doorbells_quota"];
const TIMES: [&str; 2] = ["exec_quantum_ms", "preempt_timeout_us"];
const MIB: u64 = 1 << 20;
const GGTT_BYTES: u64 = 3840 * MIB;
/// For all functions together.
const CONTEXTS: u64 = 64 * 1024;
const DOORBELLS: u64 = 256;

/// `drm/card1/iov/vf3/gt/lmem_quota` is about VF 3, and its last word is `lmem_quota`.
fn parse(file: &str) -> Option<(u16, &str)> {
    let mut parts = file.split('/').skip(3);
    let nth = match parts.next()? {
        "pf" => 0,
        vf => vf.strip_prefix("vf")?.parse().ok()?,
    };
    Some((nth, parts.last()?))
}

impl Driver for I915 {
    fn took(&self, kernel: &mut Kernel, at: PciAddress) {
        let Some(function) = kernel.functions.get(&at) else { return };
        let (is_pf, path) = (function.sriov().is_some(), function.path.clone());
        let number = (0..u32::MAX).find(|number| !kernel.tree.exists(&node(*number))).unwrap_or(0);
        let own = format!("drm/card{number}");
        kernel.tree.folder(&format!("{path}/{own}"));
        kernel.tree.link(&node(number), &format!("{path}/{own}"));
        kernel.tree.link(&format!("{path}/{own}/device"), &path);
        if !is_pf {
            return;
        }
        intel::took(kernel, at);
        for name in ["lmem_free", "ggtt_free", "contexts_free", "doorbells_free"] {
            file(kernel, at, &format!("{own}/iov/pf/gt/available/{name}"), 0o444);
        }
        for nth in 0..=intel::total(kernel, at) {
            let folder = if nth == 0 { format!("{own}/iov/pf") } else { format!("{own}/iov/vf{nth}") };
            for name in TIMES.iter().chain(QUOTAS.iter().filter(|_| nth > 0)) {
                file(kernel, at, &format!("{folder}/gt/{name}"), 0o644);
            }
        }
        self.vfs_changed(kernel, at);
    }

    fn left(&self, kernel: &mut Kernel, at: PciAddress) {
        let Some(own) = own_node(kernel, at) else { return };
        kernel.tree.remove(&format!("sys/class/{own}"));
        remove(kernel, at, "drm");
        intel::left(kernel, at);
    }

    fn may_make_vfs(&self, kernel: &Kernel, pf: PciAddress, count: u16) -> Result<(), Errno> {
        intel::may_make_vfs(kernel, pf, count)
    }

    fn vfs_changed(&self, kernel: &mut Kernel, pf: PciAddress) {
        intel::vfs_changed(kernel, pf);
        let Some(own) = own_node(kernel, pf) else { return };
        let Some(path) = kernel.functions.get(&pf).map(|function| function.path.clone()) else { return };
        let vfs = kernel.vfs_of(pf);
        for nth in 1..=intel::total(kernel, pf) {
            let link = format!("{path}/{own}/iov/vf{nth}/device");
            kernel.tree.remove(&link);
            let vf = vfs.get(usize::from(nth) - 1).and_then(|vf| kernel.functions.get(vf));
            if let Some(target) = vf.map(|vf| vf.path.clone()) {
                kernel.tree.link(&link, &target);
            }
        }
    }

    fn read(&self, kernel: &Kernel, at: PciAddress, file: &str) -> Result<String, Errno> {
        let known = kernel.memory.intel.get(&at).ok_or(ENODEV)?;
        let (nth, name) = parse(file).ok_or(EIO)?;
        let left = |all: u64, member: fn(&Share) -> u64| {
            let vfs = known.shares.iter().filter(|(nth, _)| **nth > 0);
            vfs.fold(all, |left, (_, share)| left.saturating_sub(member(share)))
        };
        let share = known.share(nth);
        let number = match name {
            "lmem_free" => known.unclaimed_bytes(),
            "ggtt_free" => left(GGTT_BYTES, |share| share.ggtt_bytes),
            "contexts_free" => left(CONTEXTS, |share| share.contexts),
            "doorbells_free" => left(DOORBELLS, |share| share.doorbells),
            "lmem_quota" => share.vram_bytes,
            "ggtt_quota" => share.ggtt_bytes,
            "contexts_quota" => share.contexts,
            "doorbells_quota" => share.doorbells,
            "exec_quantum_ms" => share.quantum_ms,
            "preempt_timeout_us" => share.preempt_us,
            _ => return Err(EIO),
        };
        Ok(format!("{number}\n"))
    }

    fn write(&self, kernel: &mut Kernel, at: PciAddress, file: &str, text: &str) -> Result<(), Errno> {
        let (nth, name) = parse(file).ok_or(EIO)?;
        match name {
            "lmem_quota" => intel::set_vram(kernel, at, nth, text),
            "ggtt_quota" => intel::set_quota(kernel, at, nth, text, |share| &mut share.ggtt_bytes),
            "contexts_quota" => intel::set_quota(kernel, at, nth, text, |share| &mut share.contexts),
            "doorbells_quota" => intel::set_quota(kernel, at, nth, text, |share| &mut share.doorbells),
            "exec_quantum_ms" => {
                intel::set_time(kernel, at, nth, (text, MOST_QUANTUM_MS), |share| &mut share.quantum_ms)
            }
            "preempt_timeout_us" => {
                intel::set_time(kernel, at, nth, (text, MOST_PREEMPT_US), |share| &mut share.preempt_us)
            }
            _ => Err(EIO),
        }
    }
}

fn node(number: u32) -> String {
    format!("sys/class/drm/card{number}")
}

/// `drm/card1`
fn own_node(kernel: &Kernel, at: PciAddress) -> Option<String> {
    let path = &kernel.functions.get(&at)?.path;
    let names = kernel.tree.names(&format!("{path}/drm"));
    names.first().map(|name| format!("drm/{name}"))
}
