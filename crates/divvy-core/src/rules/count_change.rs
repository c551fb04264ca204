//! A partition count changes only while every partition of the GPU is unassigned and closed. The kernel
//! does not guard this: a zero written to `sriov_numvfs` takes the partitions away under running VMs
//! (measured on Linux 6.12), so the rule must.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::assignment::Hold;
use crate::desired::DesiredServer;
use crate::id::PartitionId;
use crate::observed::{Observed, ObservedGpu};
use crate::refusal::Refusal;

/// What keeps a GPU's count from changing: each partition with who is in the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blockers {
    pub assigned: Vec<(PartitionId, String)>,
    pub open: Vec<(PartitionId, String)>,
}

impl Blockers {
    pub fn extend(&mut self, other: Self) {
        self.assigned.extend(other.assigned);
        self.open.extend(other.open);
    }

    /// The refusal, if anything blocks. Assigned partitions are named first: unassigning closes them.
    pub fn into_result(mut self) -> Result<(), Refusal> {
        self.assigned.sort();
        self.open.sort();
        if !self.assigned.is_empty() {
            return Err(Refusal::PartitionsAssigned { owners: self.assigned });
        }
        if !self.open.is_empty() {
            return Err(Refusal::PartitionsOpen { users: self.open });
        }
        Ok(())
    }
}

pub fn blockers(desired: Option<&DesiredServer>, observed: &Observed, gpu: &ObservedGpu) -> Blockers {
    let mut found = Blockers::default();
    if let Some(desired) = desired {
        let of_gpu = |partition: &PartitionId| partition.gpu == gpu.id;
        for assignment in desired.assignments.values() {
            if let Some(partition) = assignment.partition().filter(|partition| of_gpu(partition)) {
                found.assigned.push((partition.clone(), assignment.vm_name.clone()));
            }
        }
        for (partition, hold) in desired.holds.iter().filter(|(partition, _)| of_gpu(partition)) {
            match hold {
                Hold::Releasing { vm_name, .. } => {
                    found.open.push((partition.clone(), format!("still being released by {vm_name}")));
                }
                Hold::Curing { .. } => found.open.push((partition.clone(), "being reset".to_string())),
                Hold::Quarantined { .. } | Hold::Remaking { .. } => {}
            }
        }
    }
    for partition in &gpu.partitions {
        let id = PartitionId::new(&gpu.id, partition.index);
        if found.assigned.iter().chain(&found.open).any(|(known, _)| *known == id) {
            continue;
        }
        let mut vms = observed.vms_with_device(partition.device).peekable();
        if vms.peek().is_none() && partition.open {
            found.open.push((id, "a process that is no known VM".to_string()));
        } else {
            found.open.extend(vms.map(|vm| (id.clone(), format!("in VM {}", vm.name))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, vm_with_device};

    #[test]
    fn an_idle_gpu_may_change() {
        let world = World::one_a2(4);
        assert_eq!(world.blockers().into_result(), Ok(()));
    }

    #[test]
    fn an_assigned_partition_blocks_and_its_vm_is_named() {
        let world = World::one_a2(4).assigned("vm-001", 2);
        let refusal = world.blockers().into_result().expect_err("blocked");
        assert_eq!(refusal.code(), "partitions_assigned");
        assert!(refusal.to_string().contains("vm-001"), "{refusal}");
    }

    #[test]
    fn a_partition_in_a_vm_that_divvy_does_not_manage_blocks() {
        let mut world = World::one_a2(4);
        let address = world.partition_address(1);
        world.observed_mut().vms.push(vm_with_device("foreign", address));
        let refusal = world.blockers().into_result().expect_err("blocked");
        assert_eq!(refusal.code(), "partitions_open");
        assert!(refusal.to_string().contains("foreign"), "{refusal}");
    }

    #[test]
    fn an_open_partition_blocks_even_if_no_vm_is_known_to_have_it() {
        let mut world = World::one_a2(4);
        world.gpu_mut().partitions[3].open = true;
        assert_eq!(world.blockers().into_result().expect_err("blocked").code(), "partitions_open");
    }

    #[test]
    fn a_partition_that_is_still_being_released_blocks() {
        let world = World::one_a2(4).releasing("vm-001", 0);
        assert_eq!(world.blockers().into_result().expect_err("blocked").code(), "partitions_open");
    }

    proptest::proptest! {
        /// A count may change exactly while nobody has, holds, opens or defines any partition.
        #[test]
        fn a_count_may_change_exactly_while_every_partition_is_idle(
            assigned in proptest::option::of(0u16..8),
            releasing in proptest::option::of(0u16..8),
            open in proptest::option::of(0usize..8),
            foreign in proptest::option::of(0usize..8),
        ) {
            let mut world = World::one_a2(8);
            if let Some(index) = assigned {
                world = world.assigned("vm-001", index);
            }
            if let Some(index) = releasing {
                world = world.releasing("vm-002", index);
            }
            if let Some(index) = open {
                world.gpu_mut().partitions[index].open = true;
            }
            if let Some(index) = foreign {
                let address = world.partition_address(index);
                world.observed_mut().vms.push(vm_with_device("foreign", address));
            }
            let idle = assigned.is_none() && releasing.is_none() && open.is_none() && foreign.is_none();
            proptest::prop_assert_eq!(world.blockers().into_result().is_ok(), idle);
        }
    }
}
