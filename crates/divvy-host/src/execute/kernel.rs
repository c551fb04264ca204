//! The kernel as a step sees it: every access carries what is being tried and has a deadline, and every
//! write that could hurt a VM has its question asked first. Which step it is for is not known here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use divvy_core::device::DeviceHandle;
use divvy_core::id::{GpuId, PartitionIndex};
use divvy_core::pci_address::PciAddress;
use nix::errno::Errno;

use super::Limits;
use crate::attribute::{self, AttributeError};
use crate::error::{HostError, Verb};
use crate::identity;
use crate::paths;
use crate::pci::{self, Config};
use crate::sysfs::{Ran, Sysfs};
use crate::vfio;

/// How often a busy driver is asked.
const PATIENT_TRIES: u32 = 10;
/// What is repeated of what a program said, in characters.
const SAID_CHARS: usize = 300;

/// What a program said, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub code: Option<i32>,
    pub text: String,
}

impl Said {
    fn of(ran: &Ran) -> Self {
        let both = [&ran.stdout[..], &ran.stderr[..]].map(String::from_utf8_lossy);
        let words: Vec<&str> = both.iter().flat_map(|text| text.split_whitespace()).collect();
        Self { code: ran.code, text: words.join(" ").chars().take(SAID_CHARS).collect() }
    }
}

fn is_busy(cause: &std::io::Error) -> bool {
    let errno = cause.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EPERM | Errno::EBUSY))
}

/// A value that was written is what is read afterwards.
fn kept(verb: Verb, path: &str, wrote: &str, found: String) -> Result<(), HostError> {
    if found == wrote {
        return Ok(());
    }
    Err(HostError::ReadBack { verb, path: path.to_owned(), wrote: wrote.to_owned(), found })
}

/// Somebody else made partitions, or took some away, since the step was planned: they are not for it to
/// go on with.
pub fn refuse_another_count(verb: Verb, path: &str, expected: u16, found: usize) -> Result<(), HostError> {
    if found == usize::from(expected) {
        return Ok(());
    }
    Err(another_count(verb, path, expected, found))
}

pub fn another_count(verb: Verb, path: &str, expected: u16, found: usize) -> HostError {
    let found = u16::try_from(found).unwrap_or(u16::MAX);
    HostError::OtherCount { verb, path: path.to_owned(), expected, found }
}

pub struct Kernel<'a> {
    pub sys: &'a dyn Sysfs,
    pub limits: &'a Limits,
}

impl Kernel<'_> {
    /// What was read, or why the try ends here.
    pub fn look<T>(&self, verb: Verb, read: Result<T, AttributeError>) -> Result<T, HostError> {
        read.map_err(|cause| HostError::Unreadable { verb, cause })
    }

    pub fn count(&self, verb: Verb, gpu: PciAddress) -> Result<u16, HostError> {
        self.look(verb, pci::function_count(self.sys, gpu, self.limits.read))
    }

    pub fn partitions(
        &self,
        verb: Verb,
        gpu: PciAddress,
    ) -> Result<BTreeMap<PartitionIndex, PciAddress>, HostError> {
        self.look(verb, vfio::partitions(self.sys, gpu))
    }

    /// One write. Any of them can wait for a lock that a hanging one holds, so all have a deadline.
    pub fn write(&self, verb: Verb, path: &str, value: &str) -> Result<(), HostError> {
        let deadline = match verb {
            Verb::Create | Verb::Remove | Verb::Size | Verb::Renew => self.limits.count_write,
            Verb::Reset | Verb::ResetGpu => self.limits.reset,
            _ => self.limits.write,
        };
        self.sys.write_within(path, value, deadline).map_err(|cause| HostError::Kernel {
            verb,
            path: path.to_owned(),
            cause,
        })
    }

    /// As [`Kernel::write`], again and again for a while where the driver says that it is busy: it may be
    /// letting go of a VM that has just ended.
    pub fn write_patiently(&self, verb: Verb, path: &str, value: &str) -> Result<(), HostError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.write(verb, path, value) {
                Err(HostError::Kernel { cause, .. }) if tries < PATIENT_TRIES && is_busy(&cause) => {
                    self.pause()
                }
                result => return result,
            }
        }
    }

    /// Between two tries.
    pub fn pause(&self) {
        std::thread::sleep(self.limits.try_again);
    }

    /// Writes a value that has to be there afterwards.
    pub fn write_and_read_back(&self, verb: Verb, path: &str, value: &str) -> Result<(), HostError> {
        self.write_patiently(verb, path, value)?;
        kept(verb, path, value, self.look(verb, self.text(path))?)
    }

    /// Keeps a device for one driver, so that the kernel gives it to no other; None: for whichever takes it.
    pub fn keep_for(&self, device: PciAddress, driver: Option<&str>) -> Result<(), HostError> {
        let verb = Verb::Override;
        let read = || self.look(verb, vfio::driver_override(self.sys, device));
        if read()?.as_deref() == driver {
            return Ok(());
        }
        let path = paths::driver_override(device);
        self.write(verb, &path, driver.unwrap_or("\n"))?;
        kept(verb, &path, driver.unwrap_or_default(), read()?.unwrap_or_default())
    }

    /// A file that a driver answers, which can take its time.
    pub fn text(&self, path: &str) -> Result<String, AttributeError> {
        attribute::text_within(self.sys, path, self.limits.read)
    }

    /// A vendor's program, to its end.
    pub fn run(&self, verb: Verb, program: &str, args: &[&str]) -> Result<Said, HostError> {
        match self.sys.run(program, args, self.limits.program) {
            Ok(ran) => Ok(Said::of(&ran)),
            Err(cause) => Err(HostError::Program { verb, program: program.to_owned(), cause }),
        }
    }

    /// A vendor's program that has to say that it did what it was asked to.
    pub fn run_to_success(&self, verb: Verb, program: &str, args: &[&str]) -> Result<Said, HostError> {
        let said = self.run(verb, program, args)?;
        if said.code == Some(0) {
            return Ok(said);
        }
        let program = format!("{program} {}", args.join(" "));
        Err(HostError::ProgramFailed { verb, program, code: said.code, said: said.text })
    }

    /// Looks until `missing` has nothing to name, but not for longer than things may take to settle.
    pub fn wait_until(
        &self,
        verb: Verb,
        mut missing: impl FnMut() -> Result<Option<String>, HostError>,
    ) -> Result<(), HostError> {
        let start = Instant::now();
        loop {
            let Some(what) = missing()? else { return Ok(()) };
            let waited = start.elapsed();
            if waited >= self.limits.settle {
                return Err(HostError::NotSettled { verb, what, waited_ms: waited.as_millis() });
            }
            std::thread::sleep(self.limits.look_again.max(Duration::from_millis(1)));
        }
    }

    /// Until the kernel has given a device to this driver.
    pub fn wait_for_driver(&self, verb: Verb, device: PciAddress, driver: &str) -> Result<(), HostError> {
        self.wait_until(verb, || {
            Ok(match self.look(verb, vfio::driver(self.sys, device))? {
                Some(now) if now == driver => None,
                Some(now) => Some(format!("{device} has the driver {now}")),
                None => Some(format!("{device} has no driver")),
            })
        })
    }

    pub fn refuse_missing_driver(&self, verb: Verb, driver: &str) -> Result<(), HostError> {
        if self.sys.exists(&paths::pci_driver(driver)) {
            return Ok(());
        }
        Err(HostError::DriverMissing { verb, driver: driver.to_owned() })
    }

    /// A device that was reset or made anew may not have come back.
    pub fn refuse_lost(&self, verb: Verb, address: PciAddress) -> Result<(), HostError> {
        match self.look(verb, pci::config(self.sys, address, self.limits.read))? {
            Config::Answers { .. } => Ok(()),
            Config::Lost => Err(HostError::Lost { verb, address }),
        }
    }

    pub fn refuse_another_gpu(&self, verb: Verb, address: PciAddress, gpu: &GpuId) -> Result<(), HostError> {
        match identity::contradiction(self.sys, address, gpu, self.limits.read) {
            None => Ok(()),
            Some(why) => Err(HostError::OtherGpu { verb, gpu: gpu.clone(), address, why }),
        }
    }

    /// For writes that concern the whole GPU.
    pub fn refuse_if_any_open(&self, verb: Verb, gpu: PciAddress) -> Result<(), HostError> {
        let functions = self.partitions(verb, gpu)?.into_values();
        let devices: Vec<DeviceHandle> = functions.chain([gpu]).map(DeviceHandle::Pci).collect();
        self.refuse_if_open(verb, &devices)
    }

    /// For writes that concern these devices alone.
    pub fn refuse_if_open(&self, verb: Verb, devices: &[DeviceHandle]) -> Result<(), HostError> {
        let holders =
            vfio::open(self.sys, devices).map_err(|cause| HostError::OpenUnknown { verb, cause })?;
        if holders.is_empty() { Ok(()) } else { Err(HostError::PartitionOpen { verb, holders }) }
    }
}
