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

/// What a program said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran {
    /// None: a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}
