//! The few verbs by which Divvy touches a kernel. Paths are relative to a root and have no leading
//! slash (`sys/bus/pci/devices/0000:41:00.0/sriov_numvfs`); errors carry the kernel's number
//! (`io::Error::raw_os_error`). What the files mean is not known here.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

/// A kernel's view of its devices: a real one under a root folder, or a simulated one that reacts.
pub trait Sysfs: Send + Sync {
    /// The whole file, as it is (a trailing newline included).
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// One `write` of the whole value to an existing file; the error of the close counts too.
    fn write(&self, path: &str, value: &str) -> io::Result<()>;

    /// The names in a folder, sorted.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// The target of a symbolic link, as it is stored.
    fn link(&self, path: &str) -> io::Result<String>;

    /// Who may open a file.
    fn access(&self, path: &str) -> io::Result<Access>;

    /// Whether there is a file, a folder or a link (a dangling one counts).
    fn exists(&self, path: &str) -> bool;

    /// VFIO groups that a process has open, with the ids of those processes.
    fn open_vfio_groups(&self) -> io::Result<BTreeMap<u32, Vec<u32>>>;

    /// Like [`Sysfs::write`] for a file whose write can hang in the kernel: gives up with
    /// [`io::ErrorKind::TimedOut`]. The write may still happen later; the caller must treat the GPU
    /// as unknown.
    fn write_within(&self, path: &str, value: &str, deadline: Duration) -> io::Result<()>;

    /// Like [`Sysfs::read`] for a file whose read can hang behind such a write.
    fn read_within(&self, path: &str, deadline: Duration) -> io::Result<Vec<u8>>;

    /// Runs a vendor's program, waits for its end, at most this long (then [`io::ErrorKind::TimedOut`]; it is killed).
    fn run(&self, program: &str, args: &[&str], deadline: Duration) -> io::Result<Ran>;
}

/// Who may open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    pub owner: u32,
    /// The lowest nine bits of its mode.
    pub mode: u32,
}

impl Access {
    /// Who beside root may open it. The owner of one that is in use is the hypervisor's business.
    pub fn beyond_root(self, in_use: bool) -> Option<String> {
        let owner = self.owner != 0 && !in_use;
        let owner = owner.then(|| format!("user {}", self.owner));
        let group = (self.mode & 0o060 != 0).then(|| "a group".to_owned());
        let all = (self.mode & 0o006 != 0).then(|| "everybody".to_owned());
        let others: Vec<String> = [owner, group, all].into_iter().flatten().collect();
        (!others.is_empty()).then(|| others.join(" and "))
    }
}

/// What a program said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// None: a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beyond_root(owner: u32, mode: u32, in_use: bool) -> Option<String> {
        Access { owner, mode }.beyond_root(in_use)
    }

    #[test]
    fn a_file_of_roots_alone_is_open_to_nobody_else() {
        assert_eq!(beyond_root(0, 0o600, false), None);
    }

    #[test]
    fn whoever_else_may_open_a_file_is_named() {
        assert_eq!(beyond_root(107, 0o600, false).as_deref(), Some("user 107"));
        assert_eq!(beyond_root(0, 0o660, false).as_deref(), Some("a group"));
        assert_eq!(beyond_root(0, 0o666, true).as_deref(), Some("a group and everybody"));
    }

    #[test]
    fn the_hypervisor_owns_what_it_uses() {
        assert_eq!(beyond_root(107, 0o600, true), None);
    }
}
