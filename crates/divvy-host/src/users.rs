//! Which processes of the server use a GPU itself, by the files under `/dev` that its driver made for
//! it. A driver that is taken from a GPU in use blocks in the kernel, or takes the process down. Who has
//! a GPU open by VFIO is not asked here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use divvy_core::pci_address::PciAddress;

use crate::attribute::{self, AttributeError, optional};
use crate::open_files;
use crate::paths;
use crate::sysfs::Sysfs;

/// Where a driver links the files of a GPU, and where they are then.
const FOLDERS: &[(&str, &str)] = &[("drm", "/dev/dri"), ("accel", "/dev/accel")];

/// A process that uses a GPU.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    pub pid: u32,
    /// What it calls itself; empty where that cannot be read.
    pub name: String,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(f, "process {}", self.pid),
            name => write!(f, "process {} ({name})", self.pid),
        }
    }
}

/// Why it cannot be told who uses a GPU.
#[derive(Debug, thiserror::Error)]
pub enum UsersUnknown {
    #[error("the files of the GPU cannot be told")]
    Files(#[source] AttributeError),
    #[error("the open files of all processes cannot be read")]
    Processes(#[source] io::Error),
}

/// The users of each of these GPUs that has any. All processes are looked at once; where no GPU has a
/// file, none is looked at.
pub fn of_gpus(
    sys: &dyn Sysfs,
    gpus: &[PciAddress],
) -> Result<BTreeMap<PciAddress, Vec<User>>, UsersUnknown> {
    let mut by_file: BTreeMap<String, PciAddress> = BTreeMap::new();
    for gpu in gpus {
        let files = files(sys, *gpu).map_err(UsersUnknown::Files)?;
        by_file.extend(files.into_iter().map(|file| (file, *gpu)));
    }
    if by_file.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut users: BTreeMap<PciAddress, BTreeSet<u32>> = BTreeMap::new();
    let note = |pid: u32, target: &str| {
        if let Some(gpu) = by_file.get(target) {
            users.entry(*gpu).or_default().insert(pid);
        }
        Ok(())
    };
    open_files::each(sys, note).map_err(UsersUnknown::Processes)?;
    let named =
        |pids: BTreeSet<u32>| pids.into_iter().map(|pid| User { pid, name: name(sys, pid) }).collect();
    Ok(users.into_iter().map(|(gpu, pids)| (gpu, named(pids))).collect())
}

fn name(sys: &dyn Sysfs, pid: u32) -> String {
    attribute::text(sys, &format!("{}/{pid}/comm", paths::PROCESSES)).unwrap_or_default()
}

fn files(sys: &dyn Sysfs, gpu: PciAddress) -> Result<BTreeSet<String>, AttributeError> {
    let mut files = BTreeSet::new();
    for (folder, place) in FOLDERS {
        let path = paths::attribute(gpu, folder);
        let names = sys.list(&path).map_err(|cause| AttributeError::unreadable(&path, cause));
        let names = optional(names)?.unwrap_or_default();
        files.extend(names.iter().map(|name| format!("{place}/{name}")));
    }
    if let Some(minor) = nvidia_minor(sys, gpu)? {
        files.insert(format!("/dev/nvidia{minor}"));
    }
    Ok(files)
}

/// `Device Minor: 0`, in the file that NVIDIA's driver has for each GPU.
fn nvidia_minor(sys: &dyn Sysfs, gpu: PciAddress) -> Result<Option<u32>, AttributeError> {
    let path = paths::nvidia(gpu, "information");
    let Some(text) = optional(attribute::text(sys, &path))? else { return Ok(None) };
    let Some(line) = text.lines().find_map(|line| line.strip_prefix("Device Minor:")) else {
        return Ok(None);
    };
    match attribute::parse_decimal(line.trim()) {
        Some(minor) => Ok(Some(minor)),
        None => Err(AttributeError::malformed(&path, line, "a minor number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Tree, gpu_address};

    fn users(tree: &Tree) -> Vec<String> {
        let found = of_gpus(&tree.sys(), &[gpu_address(0)]).expect("can be told");
        found.into_values().flatten().map(|user| user.to_string()).collect()
    }

    #[test]
    fn a_process_with_any_file_of_the_gpu_open_uses_it() {
        for (made, file) in [
            ("drm/card1", "/dev/dri/card1"),
            ("drm/renderD129", "/dev/dri/renderD129 (deleted)"),
            ("accel/accel0", "/dev/accel/accel0"),
        ] {
            let tree = Tree::with_partitions(0);
            tree.dir(&paths::attribute(gpu_address(0), made));
            assert_eq!(users(&tree), [""; 0], "{file}");
            tree.symlink("proc/41/fd/3", file);
            tree.symlink("proc/41/fd/4", file);
            tree.file("proc/41/comm", "Xorg\n");
            assert_eq!(users(&tree), ["process 41 (Xorg)"], "{file}");
        }
    }

    #[test]
    fn nvidias_file_is_found_by_its_minor_number() {
        let tree = Tree::with_partitions(0);
        let information = paths::nvidia(gpu_address(0), "information");
        tree.file(&information, "Model: \t\t NVIDIA A2\nDevice Minor: \t 3\n");
        tree.symlink("proc/41/fd/3", "/dev/nvidia3");
        tree.symlink("proc/42/fd/3", "/dev/nvidia31");
        assert_eq!(users(&tree), ["process 41"]);
        tree.file(&information, "Device Minor: many\n");
        assert!(of_gpus(&tree.sys(), &[gpu_address(0)]).is_err());
    }

    #[test]
    fn another_gpus_file_is_no_use_of_this_one() {
        let tree = Tree::with_partitions(0);
        tree.dir(&paths::attribute(gpu_address(0), "drm/card1"));
        tree.symlink("proc/41/fd/3", "/dev/dri/card0");
        assert_eq!(users(&tree), [""; 0]);
    }
}
