//! For the tests of the schemes: steps on the first GPU of a fake tree, by a scheme, and what is observed
//! after them.

use std::time::Duration;

use divvy_core::gpu::{PartitionCount, Scheme};
use divvy_core::id::{GpuId, PartitionId, PartitionIndex, ServerId};
use divvy_core::observed::ObservedGpu;
use divvy_core::pci_address::PciAddress;
use divvy_core::split::Split;
use divvy_core::step::{HostStep, Outcome};

use super::{Reacting, gpu_address};
use crate::error::HostError;
use crate::execute::{Limits, execute};
use crate::observe::{Observer, Settings};

pub fn limits() -> Limits {
    let quick = Duration::from_millis(1);
    Limits { settle: Duration::ZERO, look_again: quick, try_again: quick, ..Limits::default() }
}

pub fn look(kernel: &Reacting) -> Vec<ObservedGpu> {
    let observer = Observer::new(ServerId::new("edge-1").expect("a name"), Settings::default());
    let seen = observer.observe_gpus(kernel).expect("observes");
    assert!(seen.gpus.iter().all(ObservedGpu::is_healthy), "{:?}", seen.findings);
    seen.gpus
}

pub fn observed(kernel: &Reacting) -> ObservedGpu {
    look(kernel).swap_remove(0)
}

fn id(kernel: &Reacting) -> GpuId {
    observed(kernel).id
}

pub fn create(kernel: &Reacting, scheme: Scheme, count: u16) -> Result<Outcome, HostError> {
    let split = Split::Equal(PartitionCount::new(count).expect("a count"));
    let (gpu, address) = (id(kernel), gpu_address(0));
    execute(kernel, &HostStep::CreatePartitions { gpu, address, scheme, split }, &limits())
}

pub fn create_sizes(kernel: &Reacting, scheme: Scheme, sizes: &[u16]) -> Result<Outcome, HostError> {
    let list: Vec<PartitionCount> = sizes.iter().filter_map(|size| PartitionCount::new(*size)).collect();
    let split = Split::Sizes(list.try_into().expect("sizes"));
    let (gpu, address) = (id(kernel), gpu_address(0));
    execute(kernel, &HostStep::CreatePartitions { gpu, address, scheme, split }, &limits())
}

pub fn remove(kernel: &Reacting, scheme: Scheme, count: u16) -> Result<Outcome, HostError> {
    let (gpu, address) = (id(kernel), gpu_address(0));
    execute(kernel, &HostStep::RemovePartitions { gpu, address, scheme, count }, &limits())
}

pub fn turn_off(kernel: &Reacting, scheme: Scheme) -> Result<Outcome, HostError> {
    let (gpu, address) = (id(kernel), gpu_address(0));
    execute(kernel, &HostStep::TurnOff { gpu, address, scheme }, &limits())
}

/// Index and address of a partition.
pub type Place = (u16, PciAddress);

pub fn clean(kernel: &Reacting, scheme: Scheme, (index, address): Place) -> Result<Outcome, HostError> {
    let partition = PartitionId::new(&id(kernel), PartitionIndex(index));
    execute(kernel, &HostStep::CleanPartition { partition, address, scheme }, &limits())
}

pub fn prepare(kernel: &Reacting, scheme: Scheme, (index, address): Place) -> Result<Outcome, HostError> {
    let partition = PartitionId::new(&id(kernel), PartitionIndex(index));
    execute(kernel, &HostStep::PreparePartition { partition, address, scheme }, &limits())
}
