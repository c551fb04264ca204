//! The simulated tree behind the same verbs as a real kernel's: opening by mode first, then the file's
//! own answer, with the kernel's error numbers.
//!
//! The mode counts for root too: sysfs and sysctl check it again for everyone (EACCES), `/proc` lets
//! root open a read-only file, and the write fails (EIO).

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use divvy_core::pci_address::PciAddress;
use divvy_host::sysfs::{Access, Ran, Sysfs};

use crate::attributes::Write;
use crate::errno::{EACCES, EINVAL, EIO, EISDIR, ENOTDIR, Errno};
use crate::machine::{Machine, State};
use crate::programs;
use crate::tree::{Attr, Entry, File, FunctionAttr};

const MAY_READ: u16 = 0o444;
const MAY_WRITE: u16 = 0o222;

/// What a read comes to.
enum Read {
    Done(Vec<u8>),
    Locked(PciAddress, Attr),
}

/// One simulated server's kernel.
#[derive(Clone)]
pub struct SimSysfs {
    machine: Arc<Machine>,
}

impl SimSysfs {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        Self { machine }
    }

    fn read_by(&self, path: &str, deadline: Option<Duration>) -> io::Result<Vec<u8>> {
        let read = self.machine.with(|state| {
            let attr = open(state, path, MAY_READ)?;
            match takes_lock_to_read(attr) {
                Some(address) => Ok(Read::Locked(address, attr.clone())),
                None => state.read_attr(attr).map(Read::Done),
            }
        })?;
        match read {
            Read::Done(bytes) => Ok(bytes),
            Read::Locked(address, attr) => {
                Ok(self.machine.read_locked(address, deadline, |state| state.read_attr(&attr))??)
            }
        }
    }

    fn write_by(&self, path: &str, value: &str, deadline: Option<Duration>) -> io::Result<()> {
        let write = self.machine.with(|state| {
            let attr = open(state, path, MAY_WRITE)?.clone();
            // An empty value is no write at all.
            if value.is_empty() { Ok(Write::Done) } else { state.write_attr(&attr, value) }
        })?;
        match write {
            Write::Done => Ok(()),
            Write::Locked(address, operation) => self.machine.perform(address, operation, deadline),
        }
    }
}

impl Sysfs for SimSysfs {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.read_by(path, None)
    }

    fn write(&self, path: &str, value: &str) -> io::Result<()> {
        self.write_by(path, value, None)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.machine.with(|state| match state.kernel.tree.resolve(path, true)? {
            Entry::Folder(names) => Ok(names.keys().cloned().collect()),
            _ => Err(ENOTDIR.into()),
        })
    }

    fn link(&self, path: &str) -> io::Result<String> {
        self.machine.with(|state| match state.kernel.tree.resolve(path, false)? {
            Entry::Link(target) => Ok(target.clone()),
            _ => Err(EINVAL.into()),
        })
    }

    /// Every file is root's.
    fn access(&self, path: &str) -> io::Result<Access> {
        self.machine.with(|state| match state.kernel.tree.resolve(path, true)? {
            Entry::File(file) => Ok(Access { owner: 0, mode: file.mode.into() }),
            _ => Err(EISDIR.into()),
        })
    }

    fn exists(&self, path: &str) -> bool {
        self.machine.with(|state| state.kernel.tree.exists(path))
    }

    fn open_vfio_groups(&self) -> io::Result<BTreeMap<u32, Vec<u32>>> {
        Ok(self.machine.with(|state| {
            let open = &state.kernel.open;
            open.iter().map(|(group, pids)| (*group, pids.iter().copied().collect())).collect()
        }))
    }

    fn write_within(&self, path: &str, value: &str, deadline: Duration) -> io::Result<()> {
        self.write_by(path, value, Some(deadline))
    }

    fn read_within(&self, path: &str, deadline: Duration) -> io::Result<Vec<u8>> {
        self.read_by(path, Some(deadline))
    }

    fn run(&self, program: &str, args: &[&str], deadline: Duration) -> io::Result<Ran> {
        programs::run(self, &self.machine, program, args, deadline)
    }
}

fn open<'a>(state: &'a State, path: &str, wanted: u16) -> Result<&'a Attr, Errno> {
    match state.kernel.tree.resolve(path, true)? {
        Entry::Folder(_) | Entry::Link(_) => Err(EISDIR),
        Entry::File(file) if file.mode & wanted != 0 => Ok(&file.attr),
        Entry::File(File { attr: Attr::ProcText(_), .. }) => Err(EIO),
        Entry::File(_) => Err(EACCES),
    }
}

/// The kernel reads this count under the lock of the function, so a hanging write hangs the reader.
fn takes_lock_to_read(attr: &Attr) -> Option<PciAddress> {
    match attr {
        Attr::Function(address, FunctionAttr::NumVfs) => Some(*address),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
