//! May this VM start, now, with these devices? Asked by the hypervisor's hook at every start, whoever
//! starts the VM: a VM that was given a partition or a whole GPU starts only with it, and no other VM
//! starts with it.

use alloc::format;
use alloc::string::{String, ToString};

use crate::assignment::{Hold, Holding};
use crate::desired::DesiredServer;
use crate::device::DeviceHandle;
use crate::finding::{Finding, Severity, Subject};
use crate::gpu::PartitionCount;
use crate::id::{PartitionId, ServerId, VmId};
use crate::observed::{GpuHealth, Observed, ObservedGpu, ObservedPartition};
use crate::plan::is_prepared;
use crate::refusal::Refusal;
use crate::rules::same_scheme;
use crate::state::State;

mod whole;

/// The VM as the hypervisor is about to start it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartingVm<'a> {
    pub id: &'a VmId,
    pub name: &'a str,
    pub devices: &'a [DeviceHandle],
}

pub fn may_start(state: &State, server: &ServerId, vm: &StartingVm<'_>) -> Result<(), Refusal> {
    let Some(observed) = state.observed.get(server) else {
        return if vm.devices.is_empty() {
            Ok(())
        } else {
            Err(refused(vm, "the server's GPUs were not read yet", "systemctl status divvyd"))
        };
    };
    let desired = state.desired_of(server);
    if let Some(assignment) = desired.and_then(|desired| desired.assignments.get(vm.id)) {
        match &assignment.holding {
            Holding::Partition { partition } => has_its_partition(desired, observed, partition, vm)?,
            Holding::Claim { claim } => {
                let why = format!("its claim to {claim} is not filled yet");
                return Err(refused(vm, &why, &explain(vm, "dda unassign")));
            }
            Holding::Dda { gpus, .. } => {
                gpus.iter().try_for_each(|whole| whole::has(observed, &whole.gpu, vm))?;
            }
        }
    }
    if let Some((elsewhere, assignment)) = state.desired.assignment(vm.id)
        && elsewhere != server
    {
        let why = format!("its {} is on server {elsewhere}", assignment.in_words());
        let command = if assignment.partition().is_some() { "unassign" } else { "dda unassign" };
        return Err(refused(vm, &why, &format!("start it on {elsewhere}, or divvy {command} {}", vm.name)));
    }
    vm.devices.iter().try_for_each(|device| may_have_device(desired, observed, vm, *device))
}

fn refused(vm: &StartingVm<'_>, why: &str, hint: &str) -> Refusal {
    Refusal::StartRefused { vm: String::from(vm.name), why: why.to_string(), hint: hint.to_string() }
}

fn explain(vm: &StartingVm<'_>, command: &str) -> String {
    format!("divvy explain {0} says what is missing; divvy {command} {0} lets it start without", vm.name)
}

/// The partition that the VM was given is there, is ready, and is in the definition under its address.
fn has_its_partition(
    desired: Option<&DesiredServer>,
    observed: &Observed,
    id: &PartitionId,
    vm: &StartingVm<'_>,
) -> Result<(), Refusal> {
    let explain = explain(vm, "unassign");
    let refuse = |why: String| Err(refused(vm, &why, &explain));
    let Some(gpu) = observed.gpu(&id.gpu) else {
        return refuse(format!("GPU {} with its partition {id} is not in the server", id.gpu));
    };
    if let GpuHealth::Unknown { reason } = &gpu.health {
        return refuse(format!("GPU {} with its partition {id} does not answer: {reason}", id.gpu));
    }
    if let Some(Err(why)) = desired.map(|desired| same_scheme::holds(desired, gpu)) {
        return refuse(format!("GPU {} with its partition {id} is not as it was: {why}", id.gpu));
    }
    let size = gpu.partition(id.index).and_then(|partition| partition.size);
    if let (Some(size), Some(asked)) = (size, asked_size(desired, id))
        && size != asked
    {
        return refuse(format!("its partition {id} has the size {size}, and {asked} was asked for"));
    }
    let Some(partition) = gpu.partition(id.index) else {
        return refuse(format!(
            "its partition {id} is gone: the GPU has {} partitions",
            gpu.partitions.len()
        ));
    };
    let wrong = |finding: &&Finding| {
        finding.severity == Severity::Error && finding.subject == Subject::Partition(id.clone())
    };
    if let Some(finding) = observed.findings.iter().find(wrong) {
        return Err(refused(vm, &format!("its {}", finding.text), &finding.mend));
    }
    if !vm.devices.contains(&partition.device) {
        return refuse(format!("its partition {id} at {} is not in its definition yet", partition.device));
    }
    if partition.open {
        return refuse(format!("its partition {id} is open by another process"));
    }
    if !is_prepared(gpu, partition) {
        return refuse(format!("its partition {id} is not ready yet"));
    }
    Ok(())
}

/// None: nobody asked.
fn asked_size(desired: Option<&DesiredServer>, id: &PartitionId) -> Option<PartitionCount> {
    desired?.settings.get(&id.gpu)?.split()?.size_of(id.index)
}

/// One device of the VM: not another VM's partition, not one that is held, not a whole GPU that is split.
fn may_have_device(
    desired: Option<&DesiredServer>,
    observed: &Observed,
    vm: &StartingVm<'_>,
    device: DeviceHandle,
) -> Result<(), Refusal> {
    for gpu in &observed.gpus {
        if whole::is_part_of(gpu, device) {
            whole::may_have(desired, gpu, vm, device)?;
        }
        if let Some(partition) = gpu.partitions.iter().find(|partition| is_part_of(partition, device)) {
            may_have_partition(desired, gpu, vm, &PartitionId::new(&gpu.id, partition.index))?;
        }
    }
    Ok(())
}

/// The partition itself, or the function that a driver made it on.
fn is_part_of(partition: &ObservedPartition, device: DeviceHandle) -> bool {
    partition.device == device || DeviceHandle::Pci(partition.address) == device
}

fn may_have_partition(
    desired: Option<&DesiredServer>,
    gpu: &ObservedGpu,
    vm: &StartingVm<'_>,
    id: &PartitionId,
) -> Result<(), Refusal> {
    let Some(desired) = desired else { return Ok(()) };
    let take_out =
        format!("take the device out of its definition; divvy assign {} gives it a partition", vm.name);
    match (desired.owner(id), desired.holds.get(id)) {
        (Some(owner), _) if owner.vm == *vm.id => Ok(()),
        (Some(owner), _) => Err(refused(
            vm,
            &format!("partition {id} in its definition belongs to VM {}", owner.vm_name),
            &take_out,
        )),
        (None, Some(Hold::Quarantined { reason } | Hold::Remaking { reason })) => {
            Err(refused(vm, &format!("partition {id} in its definition is quarantined: {reason}"), &take_out))
        }
        (None, Some(Hold::Releasing { .. } | Hold::Curing { .. })) => {
            Err(refused(vm, &format!("partition {id} in its definition is not proved clean yet"), &take_out))
        }
        (None, None) if desired.settings.contains_key(&gpu.id) => Err(refused(
            vm,
            &format!("partition {id} in its definition was not assigned by Divvy, which keeps this GPU"),
            &take_out,
        )),
        // Divvy was never asked to keep this GPU: whoever split it may use it.
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::PartitionSetting;
    use crate::device::MdevUuid;
    use crate::gpu::Scheme;
    use crate::id::PartitionIndex;
    use crate::testing::{World, server_id, vm_id};

    fn prepared(mut world: World) -> World {
        for partition in &mut world.gpu_mut().partitions {
            partition.driver = Some("vfio-pci".into());
            partition.driver_override = Some("vfio-pci".into());
        }
        world
    }

    fn start(world: &World, name: &str, devices: &[DeviceHandle]) -> Result<(), Refusal> {
        may_start(&world.state(), &server_id("a"), &StartingVm { id: &vm_id(name), name, devices })
    }

    #[test]
    fn a_vm_without_gpu_devices_starts() {
        assert_eq!(start(&World::one_a2(4), "vm-001", &[]), Ok(()));
    }

    #[test]
    fn a_vm_starts_with_its_own_partition() {
        let world = prepared(World::one_a2(4).assigned("vm-001", 1));
        assert_eq!(start(&world, "vm-001", &[world.partition_device(1)]), Ok(()));
    }

    #[test]
    fn a_vm_does_not_start_with_a_partition_of_another_scheme_than_its_own() {
        let mut world = prepared(World::one_a2(4).assigned("vm-001", 1));
        let asked = PartitionSetting::from_number(4).by(Some(Scheme::IntelXe));
        let id = world.gpu().id.clone();
        world.desired_mut().settings.insert(id, asked);
        let refusal = start(&world, "vm-001", &[world.partition_device(1)]).expect_err("is another");
        assert!(refusal.to_string().contains("scheme"), "{refusal}");
    }

    #[test]
    fn a_vm_does_not_start_with_a_partition_of_another_size_than_its_own() {
        let mut world = prepared(World::one_a2(4).assigned("vm-001", 1));
        world.gpu_mut().partitions[1].size = PartitionCount::new(4);
        assert_eq!(start(&world, "vm-001", &[world.partition_device(1)]), Ok(()));
        world.gpu_mut().partitions[1].size = PartitionCount::new(8);
        let refusal = start(&world, "vm-001", &[world.partition_device(1)]).expect_err("is another");
        assert!(refusal.to_string().contains("size 8"), "{refusal}");
    }

    #[test]
    fn a_vm_does_not_start_with_a_partition_that_lost_its_share_of_the_gpu() {
        let mut world = prepared(World::one_a2(4).assigned("vm-001", 1));
        let of = |world: &World, index| PartitionId::new(&world.gpu().id, PartitionIndex(index));
        let finding = |partition, severity| Finding {
            code: crate::finding::FindingCode::of("partition_share_lost"),
            severity,
            subject: Subject::Partition(partition),
            text: "partition has lost its share".into(),
            mend: "make it again".into(),
        };
        let harmless =
            [finding(of(&world, 0), Severity::Error), finding(of(&world, 1), Severity::NeedsAccept)];
        world.observed_mut().findings.extend(harmless);
        assert_eq!(
            start(&world, "vm-001", &[world.partition_device(1)]),
            Ok(()),
            "it is another's, or accepted"
        );
        let own = finding(of(&world, 1), Severity::Error);
        world.observed_mut().findings.push(own);
        let refusal = start(&world, "vm-001", &[world.partition_device(1)]).expect_err("it has no share");
        assert!(refusal.to_string().contains("lost its share"), "{refusal}");
    }

    #[test]
    fn a_vm_does_not_start_without_the_partition_it_was_given() {
        let world = prepared(World::one_a2(4).assigned("vm-001", 1));
        assert!(
            start(&world, "vm-001", &[]).expect_err("missing").to_string().contains("not in its definition")
        );
        let mut gone = world.clone();
        gone.gpu_mut().partitions.clear();
        gone.gpu_mut().partition_count = Some(0);
        let refusal = start(&gone, "vm-001", &[world.partition_device(1)]).expect_err("gone");
        assert!(refusal.to_string().contains("is gone"), "{refusal}");
    }

    #[test]
    fn a_vm_does_not_start_with_a_partition_that_is_not_its_own() {
        let world = prepared(World::one_a2(4).assigned("vm-001", 1).releasing("vm-003", 2));
        for (index, text) in
            [(1, "belongs to VM vm-001"), (2, "not proved clean"), (3, "not assigned by Divvy")]
        {
            let refusal = start(&world, "vm-002", &[world.partition_device(index)]).expect_err("not its own");
            assert!(refusal.to_string().contains(text), "{refusal}");
        }
    }

    #[test]
    fn partitions_of_a_gpu_that_divvy_never_touched_are_their_makers_business() {
        let mut world = World::one_a2(4);
        world.desired_mut().settings.clear();
        assert_eq!(start(&world, "vm-002", &[world.partition_device(0)]), Ok(()));
    }

    #[test]
    fn the_function_below_a_mediated_partition_is_as_much_its_owners_as_the_partition() {
        let mut world = prepared(World::one_a2(4).assigned("vm-001", 1));
        let function = world.partition_device(1);
        let uuid = MdevUuid::of(&PartitionId::new(&world.gpu().id, PartitionIndex(1)));
        world.gpu_mut().partitions[1].device = uuid.into();
        assert_eq!(start(&world, "vm-001", &[uuid.into()]), Ok(()));
        for device in [function, uuid.into()] {
            let refusal = start(&world, "vm-002", &[device]).expect_err("not its own");
            assert!(refusal.to_string().contains("belongs to VM vm-001"), "{refusal}");
        }
    }

    fn given(mut world: World) -> World {
        for function in &mut world.gpu_mut().slot.functions {
            function.driver = Some("vfio-pci".into());
            function.driver_override = Some("vfio-pci".into());
        }
        world
    }

    #[test]
    fn a_vm_starts_with_the_gpu_that_it_was_given_whole_and_not_without() {
        let world = given(World::one_a2(0).whole("vm-001"));
        let device = world.gpu().address.into();
        assert_eq!(start(&world, "vm-001", &[device]), Ok(()));
        let missing = start(&world, "vm-001", &[]).expect_err("missing").to_string();
        assert!(missing.contains("not in its definition"), "{missing}");
        let mut open = world.clone();
        open.gpu_mut().slot.open = true;
        assert!(start(&open, "vm-001", &[device]).expect_err("open").to_string().contains("open by another"));
        let own = start(&World::one_a2(0).whole("vm-001"), "vm-001", &[device]).expect_err("not given yet");
        assert!(own.to_string().contains("not ready"), "{own}");
    }

    #[test]
    fn a_vm_does_not_start_before_the_gpus_that_it_claims_were_picked() {
        let world = World::one_a2(0).pooled("ml").claimed("vm-001", "ml", 1);
        let refusal = start(&world, "vm-001", &[]).expect_err("nothing was picked");
        assert!(refusal.to_string().contains("its claim to 1 GPU of pool ml is not filled yet"), "{refusal}");
        let filled = given(World::one_a2(0).pooled("ml").whole("vm-001").claimed("vm-001", "ml", 1));
        assert_eq!(start(&filled, "vm-001", &[filled.gpu().address.into()]), Ok(()));
    }

    #[test]
    fn no_other_vm_starts_with_a_gpu_that_divvy_gave_or_keeps_whole() {
        let table = [
            (World::one_a2(0).whole("vm-001"), "belongs to VM vm-001"),
            (World::one_a2(0).returning("vm-001"), "not back from VM vm-001"),
            (World::one_a2(0).pooled("ml"), "kept by pool ml"),
        ];
        for (world, text) in table {
            let device = world.gpu().address.into();
            let refusal = start(&given(world), "vm-002", &[device]).expect_err("not its own");
            assert!(refusal.to_string().contains(text), "{refusal}");
        }
        let free = World::one_a2(0);
        assert_eq!(start(&free, "vm-002", &[free.gpu().address.into()]), Ok(()), "nobody asked Divvy");
    }

    #[test]
    fn a_partitioned_gpu_does_not_start_as_a_whole() {
        let world = World::one_a2(4);
        assert!(start(&world, "vm-002", &[world.gpu().address.into()]).is_err());
    }
}
