//! What a vendor's library told of GPUs and does not change while the server is up: serial number and
//! memory. Whoever observes never waits for the library: it is asked by a thread of its own, and what it
//! told stands in the next report. Without an NVIDIA GPU nobody asks, and no library is loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use divvy_core::pci_address::PciAddress;

use crate::pci::Numbers;
use crate::telemetry::{Asked, GpuTelemetry, Telemetry};

/// A GPU of which nothing could be told may be asked again after so long.
const AGAIN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    pub serial: Option<String>,
    pub memory_bytes: Option<u64>,
}

/// A GPU that could be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub numbers: Numbers,
    /// Its Device Serial Number: what was told of another GPU in this place is not told of this one.
    pub serial: Option<u64>,
    /// The library's own driver has it, so that the library can see it.
    pub answers: bool,
}

impl Candidate {
    fn is_same_hardware(&self, other: &Self) -> bool {
        (self.numbers, self.serial) == (other.numbers, other.serial)
    }
}

#[derive(Default)]
struct Known {
    facts: BTreeMap<PciAddress, (Candidate, Facts)>,
    /// At the last observation.
    present: BTreeMap<PciAddress, Candidate>,
    /// What the last question was about, as far as it has answered ever since.
    asked_about: BTreeSet<PciAddress>,
    asked: Option<Instant>,
    asking: bool,
}

impl Known {
    fn answering(&self) -> BTreeSet<PciAddress> {
        let answering = self.present.iter().filter(|(_, gpu)| gpu.answers);
        answering.map(|(address, _)| *address).collect()
    }

    /// Forgets what was told of GPUs that others have replaced.
    fn update(&mut self, present: BTreeMap<PciAddress, Candidate>) {
        self.facts
            .retain(|address, (told, _)| present.get(address).is_some_and(|gpu| gpu.is_same_hardware(told)));
        self.present = present;
        let answering = self.answering();
        self.asked_about.retain(|address| answering.contains(address));
    }

    /// A driver that has just come may have changed the memory (ECC), so all of it is asked again.
    fn is_to_ask(&self) -> bool {
        let answering = self.answering();
        let is_new = answering.iter().any(|address| !self.asked_about.contains(address));
        let is_unknown = answering.iter().any(|address| !self.facts.contains_key(address));
        let is_due = self.asked.is_none_or(|asked| asked.elapsed() >= AGAIN);
        !self.asking && (is_new || is_unknown && is_due)
    }
}

/// Who to ask, and what was told.
#[derive(Clone)]
pub struct Vendor {
    telemetry: Option<Arc<dyn Telemetry>>,
    known: Arc<Mutex<Known>>,
}

impl std::fmt::Debug for Vendor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vendor").field("is_asked", &self.telemetry.is_some()).finish_non_exhaustive()
    }
}

impl Vendor {
    /// Without somebody to ask nothing is ever told.
    pub fn new(telemetry: Option<Arc<dyn Telemetry>>) -> Self {
        Self { telemetry, known: Arc::default() }
    }

    /// Whole after every statement under the lock, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of these GPUs. What is not known yet is asked for meanwhile.
    pub fn facts(&self, present: BTreeMap<PciAddress, Candidate>) -> BTreeMap<PciAddress, Facts> {
        let Some(telemetry) = &self.telemetry else { return BTreeMap::new() };
        let mut known = self.lock();
        known.update(present);
        if known.is_to_ask() {
            known.asked = Some(Instant::now());
            known.asking = true;
            known.asked_about = known.answering();
            let gpus = known.asked_about.iter().copied().collect();
            self.ask(&mut known, Arc::clone(telemetry), gpus);
        }
        known.facts.iter().map(|(address, (_, facts))| (*address, facts.clone())).collect()
    }

    fn ask(&self, known: &mut Known, telemetry: Arc<dyn Telemetry>, gpus: Vec<PciAddress>) {
        let vendor = self.clone();
        let asker = move || {
            // Who asks how busy the GPUs are is told why nothing was told.
            let told = telemetry.look(&gpus).unwrap_or_default();
            vendor.learn(told);
        };
        if thread::Builder::new().name("gpu-facts".to_owned()).spawn(asker).is_err() {
            known.asking = false;
        }
    }

    fn learn(&self, told: Vec<GpuTelemetry>) {
        let mut known = self.lock();
        for GpuTelemetry { address, serial, memory_bytes, .. } in told {
            if let Some(gpu) = known.present.get(&address).copied() {
                known.facts.insert(address, (gpu, Facts { serial, memory_bytes }));
            }
        }
        known.asking = false;
    }

    /// After a boot everything may be another way.
    pub fn forget(&self) {
        let mut known = self.lock();
        known.facts.clear();
        known.asked_about.clear();
    }

    /// How the GPUs are now that were there at the last observation.
    pub fn telemetry(&self) -> Asked {
        let gpus: Vec<PciAddress> = match self.telemetry {
            Some(_) => self.lock().answering().into_iter().collect(),
            None => Vec::new(),
        };
        let told = match &self.telemetry {
            Some(telemetry) if !gpus.is_empty() => telemetry.look(&gpus),
            _ => Ok(Vec::new()),
        };
        Asked { gpus, told }
    }
}

#[cfg(test)]
mod tests;
