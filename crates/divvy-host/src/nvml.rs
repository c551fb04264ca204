//! NVIDIA's management library, read only. It is found when it is first needed, and let go after each look:
//! it takes memory, and it holds the GPUs while it is open. A query that fails is a value that is missing.
//! Setting anything by it is not known here, nor how partitions are made.
//!
//! ```text
//! enter the gate ─▶ thread: load, init, ask, shut down, unload ─▶ leave the gate
//!                       └─ answers in time, or nobody waits any more; the gate stays held until it ends
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use divvy_core::id::VmId;
use divvy_core::pci_address::PciAddress;
use nvml_wrapper::enum_wrappers::device::EncoderType;
use nvml_wrapper::enum_wrappers::vgpu::VmId as NvmlVmId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::vgpu::VgpuInstance;
use nvml_wrapper::{Device, Nvml as Library};

use crate::telemetry::{GpuTelemetry, Media, PartitionTelemetry, Scheduler, Telemetry, TelemetryError};
use vgpus::{Load, Unfilled};

mod gate;
mod parts;
mod vgpus;

pub use gate::{NvmlGate, Passage};

/// What the driver package installs (`libnvidia-ml`), without the link for developers.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// The first look at a GPU that nobody uses wakes it up, which takes seconds for each.
const DEADLINE: Duration = Duration::from_secs(20);

/// Looks through NVML.
#[derive(Debug, Clone)]
pub struct Nvml {
    library: OsString,
    gate: NvmlGate,
    deadline: Duration,
    seen: Seen,
}

/// Until when the driver told how busy the partitions of each GPU were, in microseconds of its own clock.
/// From there on it is asked the next time. It outlives the library, as the driver does.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<PciAddress, u64>>>);

impl Seen {
    /// Whole after every statement under the lock, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PciAddress, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nvml {
    pub fn new(gate: NvmlGate) -> Self {
        Self { library: LIBRARY.into(), gate, deadline: DEADLINE, seen: Seen::default() }
    }

    /// With another library than the one that the system's loader finds.
    #[must_use]
    pub fn with_library(self, library: impl Into<OsString>) -> Self {
        Self { library: library.into(), ..self }
    }

    fn name(&self) -> String {
        self.library.to_string_lossy().into_owned()
    }

    fn silent(&self) -> TelemetryError {
        let waited_ms = u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX);
        TelemetryError::Silent { library: self.name(), waited_ms }
    }

    /// From loading the library to letting it go.
    fn session(&self, gpus: &[PciAddress]) -> Result<Vec<GpuTelemetry>, TelemetryError> {
        let opened = Library::builder().lib_path(&self.library).init();
        let unusable =
            |error: NvmlError| TelemetryError::Library { library: self.name(), source: error.into() };
        let library = opened.map_err(unusable)?;
        let driver_version = library.sys_driver_version().ok();
        let seen = gpus.iter().filter_map(|address| {
            // A GPU that another driver holds is not there for NVML.
            let gpu = library.device_by_pci_bus_id(address.to_string()).ok()?;
            let partitions = self.partitions(&gpu, *address);
            Some(GpuTelemetry {
                driver_version: driver_version.clone(),
                partitions,
                ..look_at(&gpu, *address)
            })
        });
        Ok(seen.collect())
    }

    /// Those that a VM uses now.
    fn partitions(&self, gpu: &Device<'_>, address: PciAddress) -> Vec<PartitionTelemetry> {
        let active = vgpus::active(gpu).unwrap_or_default();
        if active.is_empty() {
            return Vec::new();
        }
        let is_cut = parts::is_cut(gpu);
        let loads = if is_cut { of_pieces(gpu, &active) } else { self.loads(gpu, address) };
        let engines = is_cut.then(|| parts::engines(gpu)).flatten();
        let seen = active.iter().map(|id| {
            let vgpu = VgpuInstance::new(*id, gpu);
            let load = loads.get(id).copied().unwrap_or_default();
            PartitionTelemetry {
                vm: match vgpu.vm_id() {
                    Ok(NvmlVmId::Uuid(text)) => VmId::new(&text).ok(),
                    // A number that is good while the VM runs, of a hypervisor that is not ours.
                    Ok(NvmlVmId::Domain(_)) | Err(_) => None,
                },
                uuid: vgpu.uuid().ok(),
                memory_used_bytes: vgpu.fb_usage().ok(),
                utilization_percent: load.compute,
                media: Media {
                    encoder_percent: load.encoder,
                    decoder_percent: load.decoder,
                    encoder_capacity_percent: vgpu.encoder_capacity().ok().and_then(percent),
                },
                engines,
            }
        });
        seen.collect()
    }

    /// By the number that a partition has while it is in use.
    fn loads(&self, gpu: &Device<'_>, address: PciAddress) -> BTreeMap<u32, Load> {
        let since = self.seen.lock().get(&address).copied().unwrap_or(0);
        let samples = match vgpus::utilization(gpu, since) {
            // Asked again too soon, or the driver began its clock anew: all that it remembers.
            Err(Unfilled::Nothing) if since > 0 => vgpus::utilization(gpu, 0),
            told => told,
        };
        let samples = samples.unwrap_or_default();
        if let Some(last) = samples.iter().map(|sample| sample.at_us).max().filter(|last| *last > 0) {
            self.seen.lock().insert(address, last);
        }
        samples.iter().map(|sample| (sample.vgpu, sample.load)).collect()
    }
}

/// The same of a GPU that is cut into pieces of hardware.
fn of_pieces(gpu: &Device<'_>, active: &[u32]) -> BTreeMap<u32, Load> {
    let piece = |id: &u32| VgpuInstance::new(*id, gpu).gpu_instance_id().ok();
    let of = parts::utilization(gpu, active.iter().filter_map(piece));
    active.iter().filter_map(|id| Some((*id, *of.get(&piece(id)?)?))).collect()
}

impl Telemetry for Nvml {
    fn look(&self, gpus: &[PciAddress]) -> Result<Vec<GpuTelemetry>, TelemetryError> {
        if gpus.is_empty() {
            return Ok(Vec::new());
        }
        let passage = self.gate.enter(self.deadline).ok_or(TelemetryError::Busy)?;
        let (nvml, gpus) = (self.clone(), gpus.to_vec());
        let (answer, answered) = mpsc::channel();
        let looker = move || {
            let seen = nvml.session(&gpus);
            drop(passage);
            // Nobody waits any more if it took too long.
            let _ = answer.send(seen);
        };
        let started = thread::Builder::new().name("nvml".to_owned()).spawn(looker);
        started.map_err(|source| TelemetryError::Thread { library: self.name(), source })?;
        answered.recv_timeout(self.deadline).unwrap_or_else(|_| Err(self.silent()))
    }
}

fn look_at(gpu: &Device<'_>, address: PciAddress) -> GpuTelemetry {
    let memory = gpu.memory_info().ok();
    GpuTelemetry {
        serial: gpu.serial().ok().filter(|serial| is_a_serial(serial)),
        uuid: gpu.uuid().ok(),
        memory_bytes: memory.as_ref().map(|memory| memory.total),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used),
        utilization_percent: gpu.utilization_rates().ok().and_then(|busy| percent(busy.gpu)),
        media: Media {
            encoder_percent: gpu.encoder_utilization().ok().and_then(|busy| percent(busy.utilization)),
            decoder_percent: gpu.decoder_utilization().ok().and_then(|busy| percent(busy.utilization)),
            encoder_capacity_percent: gpu.encoder_capacity(EncoderType::H264).ok().and_then(percent),
        },
        ecc: gpu.is_ecc_enabled().ok().map(|ecc| ecc.currently_enabled),
        scheduler: gpu.vgpu_scheduler_state().ok().and_then(|state| scheduler(state.scheduler_policy)),
        ..GpuTelemetry::nothing_of(address)
    }
}

/// What is more says that it is not known.
fn percent(told: u32) -> Option<u8> {
    u8::try_from(told).ok().filter(|percent| *percent <= 100)
}

/// Boards without one say zero.
fn is_a_serial(serial: &str) -> bool {
    serial.chars().any(|c| c.is_ascii_alphanumeric() && c != '0')
}

/// `NVML_VGPU_SCHEDULER_POLICY_…` of `nvml.h`; 0 is unknown.
fn scheduler(policy: u32) -> Option<Scheduler> {
    match policy {
        1 => Some(Scheduler::BestEffort),
        2 => Some(Scheduler::EqualShare),
        3 => Some(Scheduler::FixedShare),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
