//! Looks at this server's GPUs: the tree in, one report out. Nothing is written. A value that makes no
//! sense, a GPU that hangs or one that fell off the bus makes that one GPU unknown, with a finding that
//! names the file; the others are reported as if nothing had happened.
//!
//! What should be is not known here, nor what a VM is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use divvy_core::finding::{Finding, Severity, Subject};
use divvy_core::id::{BootId, GpuId, InvalidId, ServerId};
use divvy_core::observed::ObservedGpu;
use divvy_core::pci_address::PciAddress;

use crate::attribute::{self, AttributeError};
use crate::codes;
use crate::identity::{self, SerialKey};
use crate::paths;
use crate::pci;
use crate::pci_names::PciNames;
use crate::scheme::nvidia::modes::Modes;
use crate::sysfs::Sysfs;
use crate::telemetry::{Asked, Telemetry};
use draft::Draft;
use facts::Vendor;

mod doubt;
mod draft;
mod facts;
mod partition;

/// How to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For reads that can wait behind a write in the kernel.
    pub read_deadline: Duration,
    /// Vendor and device numbers of hardware that counts as a GPU whatever its class.
    pub also: BTreeSet<(u16, u16)>,
    /// Vendor and device numbers of GPUs to be split by MIG, also when their mode is off after a boot.
    pub mig: BTreeSet<(u16, u16)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { read_deadline: Duration::from_secs(2), also: BTreeSet::new(), mig: BTreeSet::new() }
    }
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostObservation {
    pub boot_id: BootId,
    pub memory_bytes: Option<u64>,
    /// By address.
    pub gpus: Vec<ObservedGpu>,
    /// What went wrong while looking. What makes a GPU unfit for a VM is readiness, not looked at here.
    pub findings: Vec<Finding>,
}

impl HostObservation {
    pub fn gpu(&self, id: &GpuId) -> Option<&ObservedGpu> {
        self.gpus.iter().find(|gpu| gpu.id == *id)
    }
}

/// Why there is no report at all. An empty list of GPUs would say that all of them are gone.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    #[error("the identity of this boot cannot be read")]
    BootId(#[source] AttributeError),
    #[error("{path} holds no boot id")]
    BootIdMalformed {
        path: &'static str,
        #[source]
        cause: InvalidId,
    },
    #[error("the PCI devices cannot be listed")]
    Devices(#[source] AttributeError),
}

/// Looks again and again, and keeps in mind what a GPU cannot tell while it does not answer.
#[derive(Debug)]
pub struct Observer {
    server: ServerId,
    settings: Settings,
    memory: Mutex<Memory>,
    vendor: Vendor,
    modes: Modes,
    names: PciNames,
}

/// What earlier looks of this boot saw. Addresses are good for one boot.
#[derive(Debug, Default)]
struct Memory {
    boot_id: Option<BootId>,
    serials: BTreeMap<PciAddress, (pci::Numbers, u64)>,
    shared: BTreeSet<SerialKey>,
}

impl Observer {
    pub fn new(server: ServerId, settings: Settings) -> Self {
        Self {
            server,
            settings,
            memory: Mutex::default(),
            vendor: Vendor::new(None),
            modes: Modes::default(),
            names: PciNames::default(),
        }
    }

    /// Asks a vendor's library for what the kernel does not tell.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Arc<dyn Telemetry>) -> Self {
        Self { vendor: Vendor::new(Some(telemetry)), ..self }
    }

    /// How the GPUs are now, as their vendor's library tells; nobody is asked before the first observation
    /// and where no GPU is known to such a library. It may take seconds.
    pub fn telemetry(&self) -> Asked {
        self.vendor.telemetry()
    }

    /// Looks at everything.
    pub fn observe_gpus(&self, sys: &dyn Sysfs) -> Result<HostObservation, ObserveError> {
        let boot_id = boot_id(sys)?;
        self.begin(&boot_id);
        let mut findings = Vec::new();
        let addresses = self.gpu_addresses(sys, &mut findings)?;
        let mut drafts: Vec<Draft> = addresses
            .into_iter()
            .map(|address| draft::look(sys, address, &self.settings, &self.modes))
            .collect();
        let shared = self.remember(&mut drafts);
        self.add_facts(&mut drafts);
        let traits: Vec<identity::Traits> = drafts.iter().map(|draft| draft.traits.clone()).collect();
        let identities = identity::identify_all(&traits, &shared);
        partition::look_who_is_open(sys, &mut drafts);

        let mut gpus = Vec::new();
        for (draft, identity) in drafts.into_iter().zip(identities) {
            match identity {
                Some(identity) => {
                    let (gpu, mut found) =
                        draft.finish(identity, |vendor, device| self.names.of(sys, vendor, device));
                    gpus.push(gpu);
                    findings.append(&mut found);
                }
                None => findings.push(self.without_identity(&draft)),
            }
        }
        Ok(HostObservation { boot_id, memory_bytes: memory_bytes(sys), gpus, findings })
    }

    /// Every physical function that is a GPU by its class or by the settings.
    fn gpu_addresses(
        &self,
        sys: &dyn Sysfs,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<PciAddress>, ObserveError> {
        let mut addresses = Vec::new();
        for name in device_names(sys).map_err(ObserveError::Devices)? {
            let is_gpu = match name.parse() {
                Ok(address) => self.is_gpu(sys, address).map(|is_gpu| is_gpu.then_some(address)),
                Err(_) => Err(AttributeError::malformed(paths::PCI_DEVICES, &name, "a PCI address")),
            };
            match is_gpu {
                Ok(address) => addresses.extend(address),
                // It went away between the listing and the look.
                Err(error) if error.is_absent() => {}
                Err(error) => findings.push(self.unreadable(&error)),
            }
        }
        addresses.sort_unstable();
        Ok(addresses)
    }

    fn is_gpu(&self, sys: &dyn Sysfs, address: PciAddress) -> Result<bool, AttributeError> {
        if sys.exists(&paths::physical_function(address)) {
            return Ok(false);
        }
        if pci::class(sys, address)?.is_gpu() {
            return Ok(true);
        }
        if self.settings.also.is_empty() {
            return Ok(false);
        }
        let numbers = pci::numbers(sys, address)?;
        Ok(self.settings.also.contains(&(numbers.vendor, numbers.device)))
    }

    /// What was told and seen before a boot is not so after it.
    fn begin(&self, boot_id: &BootId) {
        let mut memory = self.memory();
        if memory.boot_id.as_ref() != Some(boot_id) {
            *memory = Memory { boot_id: Some(boot_id.clone()), ..Memory::default() };
            self.modes.forget();
            self.vendor.forget();
        }
    }

    /// Whole after every statement under the lock, so a poisoned lock is still good.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills in serial numbers that were seen before, and answers which ones are shared.
    fn remember(&self, drafts: &mut [Draft]) -> BTreeSet<SerialKey> {
        let mut memory = self.memory();
        for draft in drafts.iter_mut().filter(|draft| draft.is_silent) {
            let known = memory.serials.get(&draft.traits.address);
            draft.traits.serial =
                known.filter(|(numbers, _)| *numbers == draft.numbers).map(|(_, serial)| *serial);
        }
        memory.serials = drafts
            .iter()
            .filter_map(|draft| Some((draft.traits.address, (draft.numbers, draft.traits.serial?))))
            .collect();
        let traits: Vec<identity::Traits> = drafts.iter().map(|draft| draft.traits.clone()).collect();
        memory.shared.extend(identity::shared_serials(&traits));
        memory.shared.clone()
    }

    fn add_facts(&self, drafts: &mut [Draft]) {
        let candidates = drafts.iter().filter_map(|draft| Some((draft.traits.address, draft.candidate()?)));
        let mut facts = self.vendor.facts(candidates.collect());
        for draft in drafts {
            draft.facts = facts.remove(&draft.traits.address).unwrap_or_default();
        }
    }

    fn unreadable(&self, error: &AttributeError) -> Finding {
        Finding {
            code: codes::PCI_UNREADABLE,
            severity: Severity::Warning,
            subject: Subject::Server(self.server.clone()),
            text: format!("a PCI device cannot be looked at: {}", error.chain()),
            mend: "the server's kernel log may say why (dmesg)".to_owned(),
        }
    }

    fn without_identity(&self, draft: &Draft) -> Finding {
        Finding {
            code: codes::GPU_WITHOUT_IDENTITY,
            severity: Severity::Error,
            subject: Subject::Server(self.server.clone()),
            text: format!(
                "the GPU at {} shows neither a serial number nor its place, and cannot be named",
                draft.traits.address
            ),
            mend: "run divvyd as root, with all of /sys readable".to_owned(),
        }
    }
}

/// A machine without any PCI bus has no GPU; a machine whose tree is not mounted is not known.
fn device_names(sys: &dyn Sysfs) -> Result<Vec<String>, AttributeError> {
    match sys.list(paths::PCI_DEVICES) {
        Ok(names) => Ok(names),
        Err(cause) => {
            let error = AttributeError::unreadable(paths::PCI_DEVICES, cause);
            if error.is_absent() && sys.exists(paths::BUS) { Ok(Vec::new()) } else { Err(error) }
        }
    }
}

fn boot_id(sys: &dyn Sysfs) -> Result<BootId, ObserveError> {
    let path = paths::BOOT_ID;
    let text = attribute::text(sys, path).map_err(ObserveError::BootId)?;
    BootId::new(&text).map_err(|cause| ObserveError::BootIdMalformed { path, cause })
}

/// `MemTotal:       65841212 kB`.
fn memory_bytes(sys: &dyn Sysfs) -> Option<u64> {
    let text = attribute::text(sys, paths::MEMORY).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = attribute::parse_decimal(line.trim().strip_suffix(" kB")?)?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests;
