//! The independent judge: which states are wrong, whatever led there. It shares no code with `decide`
//! and `plan` (nor with the helpers they use) on purpose; what both get wrong the same way, nobody
//! finds. Numbers I2, I9, I10, I11, I22 name the invariants in `ARCHITECTURE.md`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::assignment::Holding;
use crate::desired::{DesiredServer, PartitionSetting};
use crate::device::DeviceHandle;
use crate::id::{GpuId, PartitionId, ServerId, VmId};
use crate::observed::{Observed, ObservedGpu};
use crate::state::State;
use crate::vm::VmDevice;

/// One thing that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// I2: two VMs own one partition.
    TwoOwners { partition: PartitionId, vms: (String, String) },
    /// A VM owns something on two servers.
    TwoPartitions { vm: VmId, servers: (ServerId, ServerId) },
    /// An assignment stands under another VM's key.
    WrongKey { server: ServerId, vm: VmId },
    /// I10: an assignment names a partition that its GPU shall not have.
    BeyondCount { vm: String, partition: PartitionId, count: u16 },
    /// I13: a partition that is not clean belongs to a VM.
    OwnedWhileHeld { partition: PartitionId, vm: String },
    /// I2: a device stands in more than one VM.
    DeviceInTwoVms { server: ServerId, partition: PartitionId, vms: (String, String) },
    /// I3: a running VM uses a partition that belongs to another VM.
    UsesAnothers { vm: String, partition: PartitionId, owner: String },
    /// A GPU is in a VM as a whole and has partitions.
    WholeAndPartitioned { server: ServerId, gpu: String, vm: String },
    /// I2: two VMs own one GPU whole.
    GpuTwoOwners { gpu: GpuId, vms: (String, String) },
    /// I13: a GPU that is not back from one VM belongs to another.
    OwnedWhileReturning { gpu: GpuId, vm: String },
    /// A GPU that is given whole, is on its way back, or is in a pool, shall have partitions.
    WholeAndCount { gpu: GpuId, count: u16 },
    /// I3: a running VM uses a whole GPU that belongs to another VM.
    UsesAnothersGpu { vm: String, gpu: GpuId, owner: String },
    /// A VM has other GPUs than it claims: too many, too few, or of another pool.
    OtherThanClaimed { vm: String, claim: String, gpus: Vec<GpuId> },
    /// A VM claims more GPUs than its pool has on the server.
    BeyondPool { vm: String, claim: String, count: usize },
    /// Two GPUs of the cluster have one id.
    SameGpuId { gpu: String, servers: (ServerId, ServerId) },
}

impl Violation {
    pub fn code(&self) -> &'static str {
        match self {
            Self::TwoOwners { .. } => "violation_two_owners",
            Self::TwoPartitions { .. } => "violation_two_partitions",
            Self::WrongKey { .. } => "violation_wrong_key",
            Self::BeyondCount { .. } => "violation_beyond_count",
            Self::OwnedWhileHeld { .. } => "violation_owned_while_held",
            Self::DeviceInTwoVms { .. } => "violation_device_in_two_vms",
            Self::UsesAnothers { .. } => "violation_uses_anothers",
            Self::WholeAndPartitioned { .. } => "violation_whole_and_partitioned",
            Self::GpuTwoOwners { .. } => "violation_gpu_two_owners",
            Self::OwnedWhileReturning { .. } => "violation_owned_while_returning",
            Self::WholeAndCount { .. } => "violation_whole_and_count",
            Self::UsesAnothersGpu { .. } => "violation_uses_anothers_gpu",
            Self::OtherThanClaimed { .. } => "violation_other_than_claimed",
            Self::BeyondPool { .. } => "violation_beyond_pool",
            Self::SameGpuId { .. } => "violation_same_gpu_id",
        }
    }

    /// What a person can do; Divvy itself changes nothing that it cannot explain.
    pub fn mend(&self) -> String {
        match self {
            Self::DeviceInTwoVms { vms: (one, two), .. } => {
                format!("take the device out of the definition of {one} or of {two}")
            }
            Self::UsesAnothers { vm, .. } | Self::UsesAnothersGpu { vm, .. } => {
                format!("shut {vm} down and take the device out of its definition")
            }
            Self::WholeAndPartitioned { vm, gpu, .. } => format!("take GPU {gpu} out of {vm}"),
            Self::SameGpuId { .. } => {
                "two GPUs tell the same serial number; report it with divvy gpu list -o json".to_string()
            }
            _ => {
                "stop divvyd, keep its state directory, and report it: this is a defect of Divvy".to_string()
            }
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoOwners { partition, vms: (one, two) } => {
                write!(f, "partition {partition} belongs to {one} and to {two}")
            }
            Self::TwoPartitions { vm, servers: (one, two) } => {
                write!(f, "VM {vm} has a partition on {one} and on {two}")
            }
            Self::WrongKey { server, vm } => {
                write!(f, "the record of VM {vm} on {server} is about another VM")
            }
            Self::BeyondCount { vm, partition, count } => {
                write!(f, "VM {vm} has partition {partition}, and the GPU shall have {count}")
            }
            Self::OwnedWhileHeld { partition, vm } => {
                write!(f, "partition {partition} belongs to {vm} before it was proved clean")
            }
            Self::DeviceInTwoVms { server, partition, vms: (one, two) } => {
                write!(f, "partition {partition} is in the definitions of {one} and {two} on {server}")
            }
            Self::UsesAnothers { vm, partition, owner } => {
                write!(f, "VM {vm} runs with partition {partition}, which belongs to {owner}")
            }
            Self::WholeAndPartitioned { server, gpu, vm } => {
                write!(f, "GPU {gpu} of {server} is in VM {vm} as a whole and has partitions")
            }
            Self::GpuTwoOwners { gpu, vms: (one, two) } => {
                write!(f, "GPU {gpu} belongs whole to {one} and to {two}")
            }
            Self::OwnedWhileReturning { gpu, vm } => {
                write!(f, "GPU {gpu} belongs to {vm} before it is back from another VM")
            }
            Self::WholeAndCount { gpu, count } => {
                write!(f, "GPU {gpu} is kept to be given whole, and shall have {count} partitions")
            }
            Self::UsesAnothersGpu { vm, gpu, owner } => {
                write!(f, "VM {vm} runs with GPU {gpu}, which belongs to {owner}")
            }
            Self::OtherThanClaimed { vm, claim, gpus } => {
                let gpus: Vec<String> = gpus.iter().map(GpuId::to_string).collect();
                write!(f, "VM {vm} claims {claim} and has {}", gpus.join(", "))
            }
            Self::BeyondPool { vm, claim, count } => {
                write!(f, "VM {vm} claims {claim}, which has {count} on its server")
            }
            Self::SameGpuId { gpu, servers: (one, two) } => write!(f, "GPU {gpu} is on {one} and on {two}"),
        }
    }
}

pub fn check(state: &State) -> Vec<Violation> {
    let mut found = Vec::new();
    check_owners(state, &mut found);
    for (server, desired) in &state.desired.servers {
        check_records(server, desired, &mut found);
        check_whole(desired, &mut found);
        check_claims(desired, &mut found);
    }
    for (server, observed) in &state.observed {
        check_devices(server, state.desired.servers.get(server).map(|d| d.as_ref()), observed, &mut found);
    }
    check_ids(state, &mut found);
    found
}

fn check_owners(state: &State, found: &mut Vec<Violation>) {
    let mut by_vm: BTreeMap<&VmId, &ServerId> = BTreeMap::new();
    for (server, desired) in &state.desired.servers {
        let mut by_partition: BTreeMap<&PartitionId, &str> = BTreeMap::new();
        for assignment in desired.assignments.values() {
            if let Holding::Partition { partition } = &assignment.holding
                && let Some(other) = by_partition.insert(partition, &assignment.vm_name)
            {
                let vms = (other.to_string(), assignment.vm_name.clone());
                found.push(Violation::TwoOwners { partition: partition.clone(), vms });
            }
            if let Some(other) = by_vm.insert(&assignment.vm, server) {
                let servers = (other.clone(), server.clone());
                found.push(Violation::TwoPartitions { vm: assignment.vm.clone(), servers });
            }
        }
    }
}

fn check_records(server: &ServerId, desired: &DesiredServer, found: &mut Vec<Violation>) {
    for (key, assignment) in &desired.assignments {
        if *key != assignment.vm {
            found.push(Violation::WrongKey { server: server.clone(), vm: key.clone() });
        }
        let Holding::Partition { partition } = &assignment.holding else { continue };
        let count = match desired.settings.get(&partition.gpu) {
            Some(PartitionSetting::Count(asked)) => asked.split.count().get(),
            Some(PartitionSetting::Off) | None => 0,
        };
        if partition.index.0 >= count {
            let vm = assignment.vm_name.clone();
            found.push(Violation::BeyondCount { vm, partition: partition.clone(), count });
        }
        if desired.holds.contains_key(partition) {
            let vm = assignment.vm_name.clone();
            found.push(Violation::OwnedWhileHeld { partition: partition.clone(), vm });
        }
    }
}

/// A GPU that is used whole, is on its way back, or is kept for that, has one owner and no count.
fn check_whole(desired: &DesiredServer, found: &mut Vec<Violation>) {
    let mut owners: BTreeMap<&GpuId, &str> = BTreeMap::new();
    for assignment in desired.assignments.values() {
        let Holding::Dda { gpus, .. } = &assignment.holding else { continue };
        for whole in gpus {
            if let Some(other) = owners.insert(&whole.gpu, &assignment.vm_name) {
                let vms = (other.to_string(), assignment.vm_name.clone());
                found.push(Violation::GpuTwoOwners { gpu: whole.gpu.clone(), vms });
            }
            if desired.returns.contains_key(&whole.gpu) {
                let (gpu, vm) = (whole.gpu.clone(), assignment.vm_name.clone());
                found.push(Violation::OwnedWhileReturning { gpu, vm });
            }
        }
    }
    for (gpu, setting) in &desired.settings {
        let PartitionSetting::Count(count) = setting else { continue };
        if owners.contains_key(gpu) || desired.returns.contains_key(gpu) || desired.pools.contains_key(gpu) {
            found.push(Violation::WholeAndCount { gpu: gpu.clone(), count: count.split.count().get() });
        }
    }
}

/// A VM with a claim has nothing, or as many GPUs of that pool as it claims.
fn check_claims(desired: &DesiredServer, found: &mut Vec<Violation>) {
    for assignment in desired.assignments.values() {
        let (claim, given) = match &assignment.holding {
            Holding::Claim { claim } => (claim, None),
            Holding::Dda { gpus, claim: Some(claim) } => (claim, Some(gpus)),
            Holding::Dda { claim: None, .. } | Holding::Partition { .. } => continue,
        };
        let (vm, text) = (assignment.vm_name.clone(), claim.to_string());
        let count = desired.pools.values().filter(|pool| **pool == claim.pool).count();
        if count < usize::from(claim.count) {
            found.push(Violation::BeyondPool { vm: vm.clone(), claim: text.clone(), count });
        }
        let Some(given) = given else { continue };
        let is_other = |gpu: &GpuId| desired.pools.get(gpu) != Some(&claim.pool);
        if given.len() != usize::from(claim.count) || given.iter().any(|whole| is_other(&whole.gpu)) {
            let gpus = given.iter().map(|whole| whole.gpu.clone()).collect();
            found.push(Violation::OtherThanClaimed { vm, claim: text, gpus });
        }
    }
}

/// A running VM with a GPU that another one was given.
fn check_whole_users(
    desired: Option<&DesiredServer>,
    observed: &Observed,
    gpu: &ObservedGpu,
    found: &mut Vec<Violation>,
) {
    let mut owners = desired.into_iter().flat_map(|desired| desired.assignments.values());
    let owner = owners.find(|one| match &one.holding {
        Holding::Dda { gpus, .. } => gpus.iter().any(|whole| whole.gpu == gpu.id),
        Holding::Partition { .. } | Holding::Claim { .. } => false,
    });
    let Some(owner) = owner else { return };
    for vm in observed.vms.iter().filter(|vm| vm.id != owner.vm) {
        let is_it = |device: &&VmDevice| device.live && device.device == DeviceHandle::Pci(gpu.address);
        if vm.devices.iter().any(|device| is_it(&device)) {
            let (vm, owner) = (vm.name.clone(), owner.vm_name.clone());
            found.push(Violation::UsesAnothersGpu { vm, gpu: gpu.id.clone(), owner });
        }
    }
}

fn check_devices(
    server: &ServerId,
    desired: Option<&DesiredServer>,
    observed: &Observed,
    found: &mut Vec<Violation>,
) {
    for gpu in &observed.gpus {
        check_whole_users(desired, observed, gpu, found);
        for vm in &observed.vms {
            let whole = vm.devices.iter().any(|device| device.device == DeviceHandle::Pci(gpu.address));
            if whole && gpu.partition_count.is_some_and(|count| count > 0) {
                let (gpu, vm) = (gpu.id.to_string(), vm.name.clone());
                found.push(Violation::WholeAndPartitioned { server: server.clone(), gpu, vm });
            }
        }
        for partition in &gpu.partitions {
            let id = PartitionId { gpu: gpu.id.clone(), index: partition.index };
            let mut first: Option<&str> = None;
            for vm in &observed.vms {
                let Some(device) = vm.devices.iter().find(|device| device.device == partition.device) else {
                    continue;
                };
                if let Some(first) = first {
                    let vms = (first.to_string(), vm.name.clone());
                    found.push(Violation::DeviceInTwoVms {
                        server: server.clone(),
                        partition: id.clone(),
                        vms,
                    });
                }
                first = Some(&vm.name);
                let owner = desired.and_then(|d| d.assignments.values().find(|a| a.partition() == Some(&id)));
                if let Some(owner) = owner
                    && device.live
                    && owner.vm != vm.id
                {
                    let (vm, owner) = (vm.name.clone(), owner.vm_name.clone());
                    found.push(Violation::UsesAnothers { vm, partition: id.clone(), owner });
                }
            }
        }
    }
}

fn check_ids(state: &State, found: &mut Vec<Violation>) {
    let mut seen: BTreeMap<&str, &ServerId> = BTreeMap::new();
    for (server, observed) in &state.observed {
        for gpu in &observed.gpus {
            if let Some(other) = seen.insert(gpu.id.as_str(), server) {
                let servers = (other.clone(), server.clone());
                found.push(Violation::SameGpuId { gpu: gpu.id.to_string(), servers });
            }
        }
    }
}

#[cfg(test)]
mod tests;
