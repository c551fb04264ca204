//! Intel's xe: `sriov_numvfs` works as it is, and `sriov_admin` below the GPU says what each VF gets of it.
//! VFs count from 1 there: `vf1` is `virtfn0`. All of them have a folder, whether they are there or not.

use divvy_core::pci_address::PciAddress;

use super::intel::{self, MOST_PREEMPT_US, MOST_QUANTUM_MS};
use super::{Driver, file, remove};
use crate::errno::{EINVAL, EIO, ENODEV, EOPNOTSUPP, EPERM, Errno};
use crate::kernel::{Function, Kernel};
use crate::kstr;

pub(super) struct Xe;

const FOLDER: &str = "sriov_admin";
const PRIORITIES: [&str; 3] = ["low", "normal", "high"];

/// Which functions a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    All,
    One(u16),
}

/// `sriov_admin/vf3/profile/vram_quota` is about VF 3, and its last word is `vram_quota`.
fn parse(file: &str) -> Option<(Whom, &str)> {
    let mut parts = file.strip_prefix(FOLDER)?.strip_prefix('/')?.split('/');
    let whom = match parts.next()? {
        ".bulk_profile" => Whom::All,
        "pf" => Whom::One(0),
        vf => Whom::One(vf.strip_prefix("vf")?.parse().ok()?),
    };
    Some((whom, parts.next_back()?))
}

impl Driver for Xe {
    fn took(&self, kernel: &mut Kernel, at: PciAddress) {
        if !is_pf(kernel, at) {
            return;
        }
        intel::took(kernel, at);
        for name in ["exec_quantum_ms", "preempt_timeout_us", "sched_priority", "vram_quota"] {
            file(kernel, at, &format!("{FOLDER}/.bulk_profile/{name}"), 0o200);
        }
        for nth in 0..=intel::total(kernel, at) {
            let folder = folder(nth);
            for name in ["exec_quantum_ms", "preempt_timeout_us", "sched_priority"] {
                // The kernel shows a VF's priority read-only, but asks the driver when root writes.
                file(kernel, at, &format!("{folder}/profile/{name}"), 0o644);
            }
            if nth > 0 {
                file(kernel, at, &format!("{folder}/profile/vram_quota"), 0o644);
            }
            file(kernel, at, &format!("{folder}/stop"), 0o200);
        }
        self.vfs_changed(kernel, at);
    }

    fn left(&self, kernel: &mut Kernel, at: PciAddress) {
        if is_pf(kernel, at) {
            remove(kernel, at, FOLDER);
            intel::left(kernel, at);
        }
    }

    fn may_make_vfs(&self, kernel: &Kernel, pf: PciAddress, count: u16) -> Result<(), Errno> {
        intel::may_make_vfs(kernel, pf, count)
    }

    /// `device` links lead to those that are there.
    fn vfs_changed(&self, kernel: &mut Kernel, pf: PciAddress) {
        intel::vfs_changed(kernel, pf);
        let vfs = kernel.vfs_of(pf);
        let Some(path) = kernel.functions.get(&pf).map(|function| function.path.clone()) else { return };
        for nth in 0..=intel::total(kernel, pf) {
            let link = format!("{path}/{}/device", folder(nth));
            let target = match nth.checked_sub(1) {
                None => Some(pf),
                Some(index) => vfs.get(usize::from(index)).copied(),
            };
            kernel.tree.remove(&link);
            let target = target.and_then(|target| kernel.functions.get(&target));
            if let Some(target) = target.map(|function| function.path.clone()) {
                kernel.tree.link(&link, &target);
            }
        }
    }

    fn read(&self, kernel: &Kernel, at: PciAddress, file: &str) -> Result<String, Errno> {
        let known = kernel.memory.intel.get(&at).ok_or(ENODEV)?;
        let Some((Whom::One(nth), name)) = parse(file) else { return Err(EIO) };
        let share = known.share(nth);
        match name {
            "exec_quantum_ms" => Ok(format!("{}\n", share.quantum_ms)),
            "preempt_timeout_us" => Ok(format!("{}\n", share.preempt_us)),
            "vram_quota" => Ok(format!("{}\n", share.vram_bytes)),
            "sched_priority" => Ok(priorities(&known.priority)),
            _ => Err(EIO),
        }
    }

    fn write(&self, kernel: &mut Kernel, at: PciAddress, file: &str, text: &str) -> Result<(), Errno> {
        let (whom, name) = parse(file).ok_or(EIO)?;
        if name == "sched_priority" {
            return set_priority(kernel, at, whom, text);
        }
        if name == "stop" {
            kstr::boolean(text)?;
            return if whom == Whom::One(0) { Err(EPERM) } else { Ok(()) };
        }
        let functions = match whom {
            Whom::One(nth) => nth..=nth,
            Whom::All if name == "vram_quota" => 1..=intel::total(kernel, at),
            Whom::All => 0..=intel::total(kernel, at),
        };
        for nth in functions {
            match name {
                "exec_quantum_ms" => {
                    intel::set_time(kernel, at, nth, (text, MOST_QUANTUM_MS), |share| &mut share.quantum_ms)?;
                }
                "preempt_timeout_us" => {
                    intel::set_time(kernel, at, nth, (text, MOST_PREEMPT_US), |share| &mut share.preempt_us)?;
                }
                "vram_quota" => intel::set_vram(kernel, at, nth, text)?,
                _ => return Err(EIO),
            }
        }
        Ok(())
    }
}

fn is_pf(kernel: &Kernel, at: PciAddress) -> bool {
    kernel.functions.get(&at).and_then(Function::sriov).is_some()
}

fn folder(nth: u16) -> String {
    if nth == 0 { format!("{FOLDER}/pf") } else { format!("{FOLDER}/vf{nth}") }
}

/// `low [normal] high`
fn priorities(chosen: &str) -> String {
    let mark = |name: &&str| if *name == chosen { format!("[{name}]") } else { (*name).to_owned() };
    PRIORITIES.iter().map(mark).collect::<Vec<_>>().join(" ") + "\n"
}

/// One priority for all; that of a single VF cannot be changed.
fn set_priority(kernel: &mut Kernel, at: PciAddress, whom: Whom, text: &str) -> Result<(), Errno> {
    if matches!(whom, Whom::One(1..)) {
        return Err(EOPNOTSUPP);
    }
    let word = kstr::name(text);
    let known = PRIORITIES.into_iter().find(|name| *name == word).ok_or(EINVAL)?;
    kernel.memory.intel.get_mut(&at).ok_or(ENODEV)?.priority = known.to_owned();
    Ok(())
}
