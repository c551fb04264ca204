//! What the vendor's library tells of a room's GPUs: only those that NVIDIA's driver has, and only what that
//! library tells. How busy a VM keeps its partition is a wave that the seed, the GPU and the VM decide, so
//! that the same moment of the same room is told the same; a paused VM does nothing and keeps its memory.
//! Serial numbers are not told here: the room's GPUs have theirs in their configuration space.
//!
//! ```text
//! percent   ╱╲  ╱╲      each VM its own middle, height and length of the wave; what it gets of the GPU is
//!         ╱    ╲  ╲     its share among those that use it, so that all together are at most 100
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use divvy_core::device::DeviceHandle;
use divvy_core::id::VmId;
use divvy_core::pci_address::PciAddress;
use divvy_host::telemetry::{
    Engines, GpuTelemetry, Media, PartitionTelemetry, Scheduler, Telemetry, TelemetryError,
};

use crate::drivers::{self, Vgpu};
use crate::kernel::{Function, Kernel};
use crate::machine::{Machine, State};
use crate::models;
use crate::rng::Rng;

const LIBRARY: &str = "the room's library";
/// How long the library is waited for, as the real one is.
const DEADLINE: Duration = Duration::from_secs(20);
const MIB: u64 = 1 << 20;

/// One simulated server's library.
pub struct SimTelemetry {
    machine: Arc<Machine>,
    began: Instant,
}

impl SimTelemetry {
    pub(crate) fn new(machine: Arc<Machine>) -> Self {
        Self { machine, began: Instant::now() }
    }

    /// In a room without delays no time passes.
    fn second(&self) -> u64 {
        let has_time = self.machine.with(|state| !state.delays.is_none());
        if has_time { self.began.elapsed().as_secs() } else { 0 }
    }
}

impl Telemetry for SimTelemetry {
    /// A GPU that hangs, hangs the library.
    fn look(&self, gpus: &[PciAddress]) -> Result<Vec<GpuTelemetry>, TelemetryError> {
        let answers = |state: &mut State| !gpus.iter().any(|gpu| state.hangs(*gpu));
        if !self.machine.wait_until(DEADLINE, answers) {
            let waited_ms = DEADLINE.as_millis() as u64;
            return Err(TelemetryError::Silent { library: LIBRARY.to_owned(), waited_ms });
        }
        let second = self.second();
        Ok(self.machine.with(|state| gpus.iter().filter_map(|gpu| look_at(state, *gpu, second)).collect()))
    }
}

/// A VM that has a partition of the GPU.
struct User<'a> {
    vm: &'a VmId,
    vgpu: &'a Vgpu,
    is_paused: bool,
}

/// At so many seconds after the room was opened; None where no library tells anything.
fn look_at(state: &State, gpu: PciAddress, second: u64) -> Option<GpuTelemetry> {
    let function = state.kernel.functions.get(&gpu)?;
    let memory_bytes = state.kernel.gpu_memory_bytes(gpu)?;
    let has_encoders = models::find(function.numbers)?.has_encoders();
    let cut = state.kernel.mig_mode(gpu).is_some_and(|mode| mode.current);
    if !state.kernel.memory.nvidia.contains_key(&gpu) || state.faults_of(gpu).lost {
        return None;
    }
    let users = users(state, gpu);
    let sizes = sizes(&state.kernel, gpu);
    let partitions: Vec<PartitionTelemetry> = users
        .iter()
        .map(|user| {
            let wave = Wave::of(state, function, user.vm);
            let share = if cut { 1 } else { users.len() as u64 };
            let busy = if user.is_paused { 0 } else { wave.percent(second) / share };
            let size = sizes.get(&user.vgpu.type_id).copied();
            PartitionTelemetry {
                vm: Some(user.vm.clone()),
                uuid: None,
                memory_used_bytes: size.map(|size| wave.memory_bytes(size, second)),
                utilization_percent: u8::try_from(busy).ok(),
                media: Media {
                    encoder_percent: wave.encoder_percent(busy).filter(|_| has_encoders),
                    decoder_percent: wave.decoder_percent(busy),
                    encoder_capacity_percent: has_encoders.then_some(100),
                },
                engines: engines(&state.kernel, gpu, user.vgpu),
            }
        })
        .collect();
    let used: u64 = partitions.iter().filter_map(|one| one.memory_used_bytes).sum();
    // Of a GPU that is cut into pieces, each piece is told of, and the whole is not.
    let busy = (!cut).then(|| partitions.iter().filter_map(|one| one.utilization_percent).sum());
    Some(GpuTelemetry {
        memory_bytes: Some(memory_bytes),
        // What the driver keeps to itself stays when nobody is there.
        memory_used_bytes: Some((used + memory_bytes / 128).min(memory_bytes)),
        utilization_percent: busy,
        media: if cut { Media::default() } else { media_of(&partitions, has_encoders) },
        ecc: state.kernel.ecc_mode(gpu).map(|mode| mode.current),
        scheduler: (!cut).then_some(Scheduler::BestEffort),
        partitions,
        ..GpuTelemetry::nothing_of(gpu)
    })
}

/// All together, and what is left of the encoders.
fn media_of(partitions: &[PartitionTelemetry], has_encoders: bool) -> Media {
    let sum = |of: fn(&Media) -> Option<u8>| partitions.iter().filter_map(|one| of(&one.media)).sum();
    let encoding: u8 = sum(|media| media.encoder_percent);
    Media {
        encoder_percent: has_encoders.then_some(encoding),
        decoder_percent: Some(sum(|media| media.decoder_percent)),
        encoder_capacity_percent: has_encoders.then_some(100_u8.saturating_sub(encoding)),
    }
}

/// Of the piece that a partition has.
fn engines(kernel: &Kernel, gpu: PciAddress, vgpu: &Vgpu) -> Option<Engines> {
    let profiles = kernel.mig_profiles(gpu).ok()?;
    let profile = profiles.iter().find(|profile| profile.type_id == vgpu.type_id)?;
    Some(Engines { multiprocessors: 16 * profile.compute, encoders: 0, decoders: profile.compute })
}

/// By VM.
fn users(state: &State, gpu: PciAddress) -> Vec<User<'_>> {
    let of_vm = |device: DeviceHandle| match device {
        DeviceHandle::Pci(address) => {
            let is_of_gpu = state.kernel.functions.get(&address).and_then(Function::pf) == Some(gpu);
            state.kernel.memory.vgpus.get(&address).filter(|_| is_of_gpu)
        }
        DeviceHandle::Mdev(uuid) => {
            let mdev = state.kernel.memory.mdevs.get(&uuid.to_string())?;
            let carrier = state.kernel.functions.get(&mdev.parent).and_then(Function::pf);
            (carrier.unwrap_or(mdev.parent) == gpu).then_some(&mdev.vgpu)
        }
    };
    let running = state.vms.iter().filter_map(|(vm, known)| Some((vm, known.live.as_ref()?)));
    running
        .filter_map(|(vm, live)| {
            let vgpu = live.devices.iter().find_map(|device| of_vm(device.device))?;
            Some(User { vm, vgpu, is_paused: live.paused })
        })
        .collect()
}

/// Bytes of each type.
fn sizes(kernel: &Kernel, gpu: PciAddress) -> BTreeMap<u32, u64> {
    let types = drivers::supported(kernel, gpu).into_iter();
    types.map(|kind| (kind.id, u64::from(kind.frame_buffer_mib) * MIB)).collect()
}

/// What one VM does with a GPU.
struct Wave {
    /// Percent.
    middle: u64,
    height: u64,
    length_seconds: u64,
    start_seconds: u64,
    /// Of its memory, at the least.
    memory_percent: u64,
    /// Of how busy it is.
    encodes_percent: u64,
    decodes_percent: u64,
}

impl Wave {
    fn of(state: &State, gpu: &Function, vm: &VmId) -> Self {
        let (seed, serial) = (state.spec.seed.to_string(), gpu.serial.unwrap_or(0).to_string());
        let mut rng = Rng::of(&["use", &seed, &serial, vm.as_str()]);
        let length_seconds = 30 + rng.below(90);
        Self {
            middle: 25 + rng.below(50),
            height: 5 + rng.below(20),
            length_seconds,
            start_seconds: rng.below(length_seconds),
            memory_percent: 20 + rng.below(50),
            encodes_percent: 5 + rng.below(30),
            decodes_percent: rng.below(20),
        }
    }

    /// From 0 to 100 and back again over the length of the wave.
    fn phase(&self, second: u64) -> u64 {
        let at = (second.wrapping_add(self.start_seconds)) % self.length_seconds * 200 / self.length_seconds;
        if at <= 100 { at } else { 200 - at }
    }

    fn percent(&self, second: u64) -> u64 {
        (self.middle + self.phase(second) * 2 * self.height / 100 - self.height).min(100)
    }

    /// A VM encodes what it shows and decodes what it plays: parts of what keeps it busy.
    fn encoder_percent(&self, busy: u64) -> Option<u8> {
        u8::try_from(busy * self.encodes_percent / 100).ok()
    }

    fn decoder_percent(&self, busy: u64) -> Option<u8> {
        u8::try_from(busy * self.decodes_percent / 100).ok()
    }

    /// Rises by a fifth of the partition with the work; in whole MiB.
    fn memory_bytes(&self, size: u64, second: u64) -> u64 {
        let percent = self.memory_percent + self.phase(second) / 5;
        size / MIB * percent / 100 * MIB
    }
}

#[cfg(test)]
mod tests;
