//! What was told of GPUs, joined with what is known of them: one row for each GPU, whether anything was told
//! of it or not. A library knows VMs and addresses; which partition a VM has, its devices say.

use std::collections::BTreeMap;

use divvy_api::views::{PartitionUsageView, UsageView};
use divvy_api::words::Scheduler as SchedulerWord;
use divvy_core::id::{PartitionId, ServerId};
use divvy_core::observed::{Observed, ObservedGpu, ObservedPartition};
use divvy_core::state::State;
use divvy_core::vm::ObservedVm;
use divvy_host::telemetry::{GpuTelemetry, PartitionTelemetry, Scheduler};

use super::{NoLook, Told};
use crate::chain::chain;

/// The GPUs of the servers that were asked, in no order.
pub fn rows(state: &State, told: &BTreeMap<ServerId, Told>) -> Vec<(UsageView, String)> {
    let gpus = state.gpus().filter_map(|(server, gpu)| Some((state.observed.get(server)?, gpu)));
    let asked = gpus.filter_map(|(observed, gpu)| Some((observed, gpu, told.get(&observed.server)?)));
    asked.map(|(observed, gpu, told)| (row(observed, gpu, told), gpu.address.to_string())).collect()
}

fn row(observed: &Observed, gpu: &ObservedGpu, told: &Told) -> UsageView {
    let found = find(gpu, told);
    let (at_ms, known) = match found {
        Ok((at_ms, known)) => (Some(at_ms), Some(known)),
        Err(_) => (None, None),
    };
    let users = gpu.partitions.iter().filter_map(|partition| {
        let vm = user(observed, partition)?;
        let of_vm = |one: &&PartitionTelemetry| one.vm.as_ref() == Some(&vm.id);
        Some(partition_row(gpu, partition, vm, known.and_then(|known| known.partitions.iter().find(of_vm))))
    });
    let media = known.map(|known| known.media).unwrap_or_default();
    UsageView {
        gpu: gpu.id.to_string(),
        server: observed.server.to_string(),
        at_ms,
        memory_bytes: known.and_then(|known| known.memory_bytes).or(gpu.memory_bytes),
        memory_used_bytes: known.and_then(|known| known.memory_used_bytes),
        utilization_percent: known.and_then(|known| known.utilization_percent),
        encoder_utilization_percent: media.encoder_percent,
        decoder_utilization_percent: media.decoder_percent,
        encoder_capacity_percent: media.encoder_capacity_percent,
        ecc: known.and_then(|known| known.ecc),
        scheduler: known.and_then(|known| known.scheduler).map(word),
        reason: found.err(),
        partitions: users.collect(),
    }
}

/// What was told of this GPU and when, or why nothing was.
fn find<'t>(gpu: &ObservedGpu, told: &'t Told) -> Result<(u64, &'t GpuTelemetry), String> {
    let look = told.as_ref().map_err(|error: &NoLook| chain(error))?;
    if !look.asked.gpus.contains(&gpu.address) {
        return Err(match &gpu.driver {
            Some(driver) => format!("with the driver {driver} there is no library that tells what it uses"),
            None => "without a driver nothing tells what it uses".to_owned(),
        });
    }
    let all = look.asked.told.as_ref().map_err(|error| chain(error))?;
    let known = all.iter().find(|known| known.address == gpu.address);
    known.map(|known| (look.at_ms, known)).ok_or_else(|| "its vendor's library does not see it".to_owned())
}

/// The VM that uses a partition now.
fn user<'o>(observed: &'o Observed, partition: &ObservedPartition) -> Option<&'o ObservedVm> {
    let has_it = |vm: &&ObservedVm| vm.device(partition.device).is_some_and(|device| device.live);
    observed.vms_with_device(partition.device).find(has_it)
}

fn partition_row(
    gpu: &ObservedGpu,
    partition: &ObservedPartition,
    vm: &ObservedVm,
    known: Option<&PartitionTelemetry>,
) -> PartitionUsageView {
    let media = known.map(|known| known.media).unwrap_or_default();
    let engines = known.and_then(|known| known.engines);
    PartitionUsageView {
        partition: PartitionId::new(&gpu.id, partition.index).to_string(),
        vm: Some(vm.id.to_string()),
        vm_name: Some(vm.name.clone()),
        memory_bytes: gpu.memory_of(partition),
        memory_used_bytes: known.and_then(|known| known.memory_used_bytes),
        utilization_percent: known.and_then(|known| known.utilization_percent),
        encoder_utilization_percent: media.encoder_percent,
        decoder_utilization_percent: media.decoder_percent,
        encoder_capacity_percent: media.encoder_capacity_percent,
        multiprocessors: engines.map(|engines| engines.multiprocessors),
        encoders: engines.map(|engines| engines.encoders),
        decoders: engines.map(|engines| engines.decoders),
    }
}

fn word(scheduler: Scheduler) -> SchedulerWord {
    match scheduler {
        Scheduler::BestEffort => SchedulerWord::BestEffort,
        Scheduler::EqualShare => SchedulerWord::EqualShare,
        Scheduler::FixedShare => SchedulerWord::FixedShare,
    }
}
