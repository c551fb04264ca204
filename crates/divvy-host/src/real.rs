//! A real kernel, or a folder that looks like one. The rules of access are sysfs's own: open for writing
//! without creating or truncating (with O_CREAT a missing attribute answers EACCES instead of ENOENT),
//! one `write` for one value, and the error of the close counts. What the files mean is not known here.
//!
//! Paths come from this crate, but parts of them come from the tree, so every path is checked: relative,
//! no `..`. Only the kernel's own tree is written to.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use crate::in_flight::InFlight;
use crate::nvml::{NvmlGate, Passage};
use crate::open_groups;
use crate::program;
use crate::sysfs::{Access, Ran, Sysfs};
use crate::worker::Worker;

/// The kernel's tree under a root folder: `/` for the kernel that this runs on.
#[derive(Debug, Clone)]
pub struct RealSysfs {
    root: PathBuf,
    worker: Option<Worker>,
    in_flight: InFlight,
    gate: Option<NvmlGate>,
}

impl RealSysfs {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), worker: None, in_flight: InFlight::default(), gate: None }
    }

    /// Runs programs only while nobody looks through NVML, which holds the GPUs that they work on.
    #[must_use]
    pub fn with_gate(mut self, gate: NvmlGate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Makes the writes that may hang by a separate process, `program arguments… PATH`, which ends up in
    /// [`crate::worker::run_write_worker`] with the same root. Without it they are made by a thread.
    #[must_use]
    pub fn with_worker(mut self, program: impl Into<PathBuf>, arguments: Vec<OsString>) -> Self {
        self.worker = Some(Worker::new(program.into(), arguments));
        self
    }

    fn resolve(&self, path: &str) -> io::Result<PathBuf> {
        let relative = Path::new(path);
        let plain = !path.is_empty()
            && !path.contains('\0')
            && relative.components().all(|part| matches!(part, Component::Normal(_)));
        if plain {
            Ok(self.root.join(relative))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} is not a path under the root")))
        }
    }

    fn resolve_writable(&self, path: &str) -> io::Result<PathBuf> {
        if path.starts_with("sys/") {
            self.resolve(path)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path:?} is not a path under sys")))
        }
    }
}

impl Sysfs for RealSysfs {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        fs::read(self.resolve(path)?)
    }

    fn write(&self, path: &str, value: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.resolve_writable(path)?)?;
        let written = file.write(value.as_bytes())?;
        if written != value.len() {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "the kernel took a part of the value only"));
        }
        close(file)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.resolve(path)?)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn link(&self, path: &str) -> io::Result<String> {
        let target = fs::read_link(self.resolve(path)?)?;
        target
            .into_os_string()
            .into_string()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the link's target is not a text"))
    }

    fn access(&self, path: &str) -> io::Result<Access> {
        let found = fs::metadata(self.resolve(path)?)?;
        Ok(Access { owner: found.uid(), mode: found.mode() & 0o777 })
    }

    fn exists(&self, path: &str) -> bool {
        self.resolve(path).is_ok_and(|full| full.symlink_metadata().is_ok())
    }

    fn open_vfio_groups(&self) -> io::Result<BTreeMap<u32, Vec<u32>>> {
        open_groups::scan(self)
    }

    fn write_within(&self, path: &str, value: &str, deadline: Duration) -> io::Result<()> {
        self.resolve_writable(path)?;
        let (owned_path, owned_value) = (path.to_owned(), value.to_owned());
        match self.worker.clone() {
            Some(worker) => {
                self.in_flight.write(path, deadline, move || worker.write(&owned_path, &owned_value))
            }
            None => {
                let sys = self.clone();
                self.in_flight.write(path, deadline, move || sys.write(&owned_path, &owned_value))
            }
        }
    }

    fn read_within(&self, path: &str, deadline: Duration) -> io::Result<Vec<u8>> {
        let (sys, owned) = (self.clone(), path.to_owned());
        self.in_flight.read(path, deadline, move || sys.read(&owned))
    }

    fn run(&self, program: &str, args: &[&str], deadline: Duration) -> io::Result<Ran> {
        let file = program::find(&self.root, program)?;
        let start = Instant::now();
        let _passage = self.gate.as_ref().map(|gate| close_gate(gate, program, deadline)).transpose()?;
        program::run(&file, args, deadline.saturating_sub(start.elapsed()))
    }
}

/// Most of the time is the program's own. It is no timeout of the program: that one was not started.
fn close_gate(gate: &NvmlGate, program: &str, deadline: Duration) -> io::Result<Passage> {
    let patience = deadline / 4;
    gate.close(patience).ok_or_else(|| {
        let text = format!(
            "{program} was not run: NVIDIA's library had the GPUs open for {} ms",
            patience.as_millis()
        );
        io::Error::new(io::ErrorKind::ResourceBusy, text)
    })
}

/// A driver may act, and fail, only when the file is closed.
fn close(file: File) -> io::Result<()> {
    nix::unistd::close(file).map_err(io::Error::from)
}

#[cfg(test)]
mod tests;
