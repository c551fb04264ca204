//! Asked-for and observed, joined into what people are shown: a GPU's mode with its reason, a
//! partition's state with its VM.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use crate::assignment::Hold;
use crate::desired::{AskedCount, DesiredServer, PartitionSetting};
use crate::gpu::Mode;
use crate::id::{GpuId, PartitionId, PartitionIndex, VmId};
use crate::observed::{GpuHealth, Observed, ObservedGpu, ObservedPartition};
use crate::rules::whole_or_partitions::Whole;
use crate::rules::{same_scheme, sizes};
use crate::split::Split;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    Free,
    /// Belongs to a VM, which does not use it now.
    Assigned,
    /// A VM or another process has it open, or has it in its definition by another hand.
    InUse,
    /// Given up, not yet proved clean.
    Releasing,
    Quarantined,
    Unknown,
}

/// A partition's state and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    pub state: PartitionState,
    pub vm: Option<VmId>,
}

/// Who has which partition of one server, looked up once for many questions.
pub struct Partitions<'s> {
    desired: Option<&'s DesiredServer>,
    owners: BTreeMap<&'s GpuId, BTreeMap<PartitionIndex, &'s VmId>>,
    whole: Whole<'s>,
}

impl<'s> Partitions<'s> {
    pub fn of(desired: Option<&'s DesiredServer>, observed: &'s Observed) -> Self {
        let mut owners = BTreeMap::<_, BTreeMap<_, _>>::new();
        for one in desired.into_iter().flat_map(|desired| desired.assignments.values()) {
            if let Some(PartitionId { gpu, index }) = one.partition() {
                owners.entry(gpu).or_default().insert(*index, &one.vm);
            }
        }
        Self { desired, owners, whole: Whole::of(desired, observed) }
    }

    pub fn status(&self, gpu: &ObservedGpu, partition: &ObservedPartition) -> PartitionStatus {
        if let Some(vm) = self.owner(gpu, partition) {
            let state = match (gpu.is_healthy(), partition.open) {
                (false, _) => PartitionState::Unknown,
                (true, true) => PartitionState::InUse,
                (true, false) => PartitionState::Assigned,
            };
            return PartitionStatus { state, vm: Some(vm.clone()) };
        }
        let in_vm = self.whole.vm_with(partition.device).map(|vm| vm.id.clone());
        let hold = self.hold(gpu, partition);
        let state = match hold {
            Some(Hold::Quarantined { .. } | Hold::Remaking { .. }) => PartitionState::Quarantined,
            Some(Hold::Curing { .. }) => PartitionState::Releasing,
            Some(Hold::Releasing { vm, .. }) => {
                return PartitionStatus { state: PartitionState::Releasing, vm: Some(vm.clone()) };
            }
            None if !gpu.is_healthy() => PartitionState::Unknown,
            None if partition.open || in_vm.is_some() => PartitionState::InUse,
            None => PartitionState::Free,
        };
        PartitionStatus { state, vm: in_vm }
    }

    fn owner(&self, gpu: &ObservedGpu, partition: &ObservedPartition) -> Option<&'s VmId> {
        self.owners.get(&gpu.id)?.get(&partition.index).copied()
    }

    fn hold(&self, gpu: &ObservedGpu, partition: &ObservedPartition) -> Option<&'s Hold> {
        // There are seldom any, and this is asked of every partition.
        let holds = self.desired.map(|desired| &desired.holds).filter(|holds| !holds.is_empty())?;
        holds.get(&PartitionId::new(&gpu.id, partition.index))
    }

    pub fn is_free(&self, gpu: &ObservedGpu, partition: &ObservedPartition) -> bool {
        self.status(gpu, partition).state == PartitionState::Free
    }

    /// Divvy was asked what this GPU shall be.
    pub fn is_kept(&self, gpu: &ObservedGpu) -> bool {
        self.desired.is_some_and(|desired| desired.settings.contains_key(&gpu.id))
    }

    /// Whether partitions of this GPU may be given out at all, or why not.
    pub fn gives(&self, gpu: &ObservedGpu) -> Result<(), String> {
        let desired = self.desired;
        if let GpuHealth::Unknown { reason } = &gpu.health {
            return Err(format!("it does not answer: {reason}"));
        }
        if let Some(by) = self.whole.used_by(gpu) {
            return Err(format!("it is used whole by {by}"));
        }
        if let Some(pool) = desired.and_then(|desired| desired.pools.get(&gpu.id)) {
            return Err(format!("it is in pool {pool}, whose GPUs are given whole"));
        }
        let remaking =
            |(id, hold): (&PartitionId, &Hold)| id.gpu == gpu.id && matches!(hold, Hold::Remaking { .. });
        if desired.is_some_and(|desired| desired.holds.iter().any(remaking)) {
            return Err("its partitions are being made again".to_string());
        }
        let Some(has) = gpu.partition_count else {
            return Err("its partition count cannot be read".to_string());
        };
        desired.map_or(Ok(()), |desired| same_scheme::holds(desired, gpu))?;
        desired.map_or(Ok(()), |desired| sizes::holds(desired, gpu))?;
        if has == 0 { Err("it is not partitioned".to_string()) } else { Ok(()) }
    }

    /// How a GPU is used, and why Divvy says so.
    pub fn mode(&self, gpu: &ObservedGpu) -> (Mode, String) {
        let desired = self.desired;
        if let GpuHealth::Unknown { reason } = &gpu.health {
            return (Mode::Unknown, reason.clone());
        }
        if let Some(by) = self.whole.used_by(gpu) {
            return (Mode::Dda, format!("used whole by {by}"));
        }
        if let (Some(pool), Some(0)) =
            (desired.and_then(|desired| desired.pools.get(&gpu.id)), gpu.partition_count)
        {
            return (Mode::Dda, format!("free, kept for VMs by pool {pool}"));
        }
        let asked = desired.and_then(|desired| desired.settings.get(&gpu.id)).copied();
        match (gpu.partition_count, gpu.scheme) {
            (Some(count), _) if count > 0 => (Mode::Partitioned, partitioned_reason(gpu, count, asked)),
            (_, Some(_)) => match asked {
                Some(PartitionSetting::Count(asked)) => {
                    (Mode::Partitionable, format!("{} are asked for and not there yet", asked.split))
                }
                _ => (Mode::Partitionable, "no partitions yet; divvy gpu partition makes them".to_string()),
            },
            (_, None) => unpartitionable_mode(gpu),
        }
    }
}

fn partitioned_reason(gpu: &ObservedGpu, count: u16, asked: Option<PartitionSetting>) -> String {
    let seen = sizes::seen(gpu).map_or_else(|| format!("{count} partitions"), |split| split.to_string());
    match asked {
        Some(asked) if sizes::has(asked, gpu) != Ok(false) => format!("split into {seen}"),
        Some(PartitionSetting::Count(AskedCount { split: Split::Sizes(sizes), .. })) => {
            format!("split into {seen}, the sizes {sizes} are asked for")
        }
        Some(asked) => format!("split into {seen}, {} are asked for", asked.as_number()),
        None => format!("split into {seen} by another hand than Divvy"),
    }
}

fn unpartitionable_mode(gpu: &ObservedGpu) -> (Mode, String) {
    if gpu.iommu_group.is_none() {
        return (Mode::NotAssignable, "it is in no IOMMU group; divvy check says what to do".to_string());
    }
    match &gpu.driver {
        Some(driver) => {
            (Mode::Host, format!("the server's driver {driver} has it, and it offers no partitions"))
        }
        None => (Mode::Dda, "ready to be given whole to a VM; it offers no partitions".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, vm_id, vm_with_device};
    use alloc::vec::Vec;

    fn states(world: &World) -> Vec<PartitionState> {
        let (desired, observed) = &world.servers[0];
        let gpu = world.gpu();
        let partitions = Partitions::of(Some(desired), observed);
        gpu.partitions.iter().map(|one| partitions.status(gpu, one).state).collect()
    }

    #[test]
    fn each_partition_shows_its_one_state() {
        use PartitionState::{Assigned, Free, InUse, Releasing};
        let mut world = World::one_a2(8).assigned("vm-001", 0).assigned("vm-002", 1).releasing("vm-003", 2);
        world.gpu_mut().partitions[1].open = true;
        let address = world.partition_address(3);
        world.observed_mut().vms.push(vm_with_device("foreign", address));
        assert_eq!(states(&world), [Assigned, InUse, Releasing, InUse, Free, Free, Free, Free]);
    }

    #[test]
    fn an_assigned_partition_names_its_vm() {
        let world = World::one_a2(4).assigned("vm-001", 0);
        let (desired, observed) = &world.servers[0];
        let partitions = Partitions::of(Some(desired), observed);
        let status = partitions.status(world.gpu(), &world.gpu().partitions[0]);
        assert_eq!(status.vm, Some(vm_id("vm-001")));
    }

    #[test]
    fn each_mode_is_told_with_its_reason() {
        type Spoil = fn(&mut World);
        let table: &[(Mode, Spoil)] = &[
            (Mode::Partitioned, |_| ()),
            (Mode::Partitionable, |world| *world = World::one_a2(0)),
            (Mode::Unknown, |world| {
                world.gpu_mut().health = GpuHealth::Unknown { reason: "the write hangs".into() };
            }),
            (Mode::Dda, |world| {
                let address = world.gpu().address;
                world.observed_mut().vms.push(vm_with_device("whole", address));
            }),
            (Mode::Dda, |world| *world = World::one_a2(0).whole("vm-001")),
            (Mode::Dda, |world| *world = World::one_a2(0).returning("vm-001")),
            (Mode::Dda, |world| *world = World::one_a2(0).pooled("ml")),
            (Mode::Host, |world| {
                *world = World::one_a2(0);
                world.gpu_mut().scheme = None;
            }),
            (Mode::NotAssignable, |world| {
                *world = World::one_a2(0);
                world.gpu_mut().scheme = None;
                world.gpu_mut().iommu_group = None;
            }),
        ];
        for (mode, spoil) in table {
            let mut world = World::one_a2(4);
            spoil(&mut world);
            let (desired, observed) = &world.servers[0];
            let (told, reason) = Partitions::of(Some(desired), observed).mode(world.gpu());
            assert_eq!(told, *mode);
            assert!(!reason.is_empty());
        }
    }
}
