//! NVIDIA's management library, read only. It is found when it is first needed, and let go after each look:
//! it takes memory, and it holds the GPUs while it is open. A query that fails is a value that is missing.
//! Setting anything by it is not known here, nor how partitions are made.
//!
//! ```text
//! enter the gate ─▶ thread: load, init, ask, shut down, unload ─▶ leave the gate
//!                       └─ answers in time, or nobody waits any more; the gate stays held until it ends
//! ```

use std::ffi::OsString;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use divvy_core::id::VmId;
use divvy_core::pci_address::PciAddress;
use nvml_wrapper::enum_wrappers::vgpu::VmId as NvmlVmId;
use nvml_wrapper::{Device, Nvml as Library};

use crate::telemetry::{GpuTelemetry, PartitionTelemetry, Scheduler, Telemetry};

mod gate;

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
}

impl Nvml {
    pub fn new(gate: NvmlGate) -> Self {
        Self { library: LIBRARY.into(), gate, deadline: DEADLINE }
    }

    /// With another library than the one that the system's loader finds.
    #[must_use]
    pub fn with_library(self, library: impl Into<OsString>) -> Self {
        Self { library: library.into(), ..self }
    }
}

impl Telemetry for Nvml {
    fn look(&self, gpus: &[PciAddress]) -> Vec<GpuTelemetry> {
        if gpus.is_empty() {
            return Vec::new();
        }
        let Some(passage) = self.gate.enter(self.deadline) else { return Vec::new() };
        let (library, gpus) = (self.library.clone(), gpus.to_vec());
        let (answer, answered) = mpsc::channel();
        let looker = move || {
            let seen = session(&library, &gpus);
            drop(passage);
            // Nobody waits any more if it took too long.
            let _ = answer.send(seen);
        };
        // Without a thread there is no look, as without a library.
        match thread::Builder::new().name("nvml".to_owned()).spawn(looker) {
            Ok(_) => answered.recv_timeout(self.deadline).unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}

/// From loading the library to letting it go.
fn session(library: &OsString, gpus: &[PciAddress]) -> Vec<GpuTelemetry> {
    let Ok(library) = Library::builder().lib_path(library).init() else { return Vec::new() };
    let driver_version = library.sys_driver_version().ok();
    gpus.iter()
        .filter_map(|address| {
            // A GPU that another driver holds is not there for NVML.
            let gpu = library.device_by_pci_bus_id(address.to_string()).ok()?;
            Some(GpuTelemetry { driver_version: driver_version.clone(), ..look_at(&gpu, *address) })
        })
        .collect()
}

fn look_at(gpu: &Device<'_>, address: PciAddress) -> GpuTelemetry {
    let memory = gpu.memory_info().ok();
    GpuTelemetry {
        serial: gpu.serial().ok().filter(|serial| is_a_serial(serial)),
        uuid: gpu.uuid().ok(),
        memory_bytes: memory.as_ref().map(|memory| memory.total),
        memory_used_bytes: memory.as_ref().map(|memory| memory.used),
        utilization_percent: gpu.utilization_rates().ok().and_then(|busy| u8::try_from(busy.gpu).ok()),
        ecc: gpu.is_ecc_enabled().ok().map(|ecc| ecc.currently_enabled),
        scheduler: gpu.vgpu_scheduler_state().ok().and_then(|state| scheduler(state.scheduler_policy)),
        partitions: partitions(gpu),
        ..GpuTelemetry::nothing_of(address)
    }
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

/// How busy each one is, the library's safe interface does not tell.
fn partitions(gpu: &Device<'_>) -> Vec<PartitionTelemetry> {
    let active = gpu.active_vgpus().unwrap_or_default();
    let seen = active.iter().map(|vgpu| PartitionTelemetry {
        vm: match vgpu.vm_id() {
            Ok(NvmlVmId::Uuid(text)) => VmId::new(&text).ok(),
            // A number that is good while the VM runs, of a hypervisor that is not ours.
            Ok(NvmlVmId::Domain(_)) | Err(_) => None,
        },
        uuid: vgpu.uuid().ok(),
        memory_used_bytes: vgpu.fb_usage().ok(),
        utilization_percent: None,
    });
    seen.collect()
}

#[cfg(test)]
mod tests;
