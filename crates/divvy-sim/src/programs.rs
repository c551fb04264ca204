//! The vendors' programs on a simulated server: the few forms of each that somebody who partitions GPUs
//! needs. They touch the kernel through the same files as everybody, or as their own drivers' ioctls do.
//! A program that a server has no driver for is not installed on it.

mod modprobe;
mod nvidia_smi;
mod sriov_manage;

use std::io;
use std::time::{Duration, Instant};

use divvy_core::pci_address::PciAddress;
use divvy_host::sysfs::{Ran, Sysfs};

use crate::machine::{Machine, State};
use crate::operation::Operation;
use crate::sysfs::SimSysfs;

/// A program as it runs: what it may touch, until when, and what it has said so far.
pub(crate) struct Process<'a> {
    sysfs: &'a SimSysfs,
    machine: &'a Machine,
    limit: Instant,
    said: String,
    complained: String,
}

/// Why a program ended before its time: it was killed, or it gave up with this status.
enum Stop {
    Killed,
    Exit(i32),
}

type Step<T = ()> = Result<T, Stop>;

/// Runs it to its end, or until it is killed half-way.
pub(crate) fn run(
    sysfs: &SimSysfs,
    machine: &Machine,
    program: &str,
    args: &[&str],
    deadline: Duration,
) -> io::Result<Ran> {
    let has =
        |driver: &str| machine.with(|state| state.spec.drivers.iter().any(|known| known.name == driver));
    let limit = Instant::now() + deadline;
    let mut process = Process { sysfs, machine, limit, said: String::new(), complained: String::new() };
    let name = program.rsplit('/').next().unwrap_or(program);
    let ended = match name {
        "sriov-manage" if program == sriov_manage::PATH && has("nvidia") => {
            sriov_manage::run(&mut process, args)
        }
        "nvidia-smi" if has("nvidia") => nvidia_smi::run(&mut process, args),
        "modprobe" if has(crate::drivers::GIM) => modprobe::run(&mut process, args),
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    let code = match ended {
        Ok(()) => 0,
        Err(Stop::Exit(code)) => code,
        Err(Stop::Killed) => return Err(io::ErrorKind::TimedOut.into()),
    };
    Ok(Ran { code: Some(code), stdout: process.said.into_bytes(), stderr: process.complained.into_bytes() })
}

impl Process<'_> {
    fn say(&mut self, line: impl AsRef<str>) {
        self.said.push_str(line.as_ref());
        self.said.push('\n');
    }

    fn complain(&mut self, line: impl AsRef<str>) {
        self.complained.push_str(line.as_ref());
        self.complained.push('\n');
    }

    /// Ends it with this status, after a last word.
    fn fail<T>(&mut self, code: i32, line: impl AsRef<str>) -> Step<T> {
        self.complain(line);
        Err(Stop::Exit(code))
    }

    /// Writes to a file; the kernel's refusal is the program's failure, or its own business.
    fn write(&mut self, path: &str, value: &str) -> Step<io::Result<()>> {
        let left = self.limit.saturating_duration_since(Instant::now());
        killed(self.sysfs.write_within(path, value, left))
    }

    fn read(&self, path: &str) -> String {
        let text = self.sysfs.read(path).unwrap_or_default();
        String::from_utf8_lossy(&text).trim().to_owned()
    }

    fn perform(&mut self, at: PciAddress, operation: Operation) -> Step<io::Result<()>> {
        let left = self.limit.saturating_duration_since(Instant::now());
        killed(self.machine.perform(at, operation, Some(left)))
    }

    fn with<R>(&self, action: impl FnOnce(&mut State) -> R) -> R {
        self.machine.with(action)
    }

    /// GPUs that a driver of this name is meant for, by address.
    fn gpus_of(&self, driver: &str) -> Vec<PciAddress> {
        self.with(|state| {
            let functions = state.kernel.functions.values();
            let own = functions.filter(|function| {
                function.pf().is_none() && function.gpu.is_some_and(|gpu| gpu.driver() == driver)
            });
            own.map(|function| function.address).collect()
        })
    }
}

fn killed(answer: io::Result<()>) -> Step<io::Result<()>> {
    match answer {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Stop::Killed),
        answer => Ok(answer),
    }
}

#[cfg(test)]
mod tests;
