//! Why a VM has no GPU, why a GPU is as it is: sentences from the live state, for people.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::assignment::{Assignment, Hold};
use crate::catalogue;
use crate::desired::DesiredServer;
use crate::finding::{Finding, Subject};
use crate::gpu::CountSource;
use crate::id::{PartitionId, ServerId};
use crate::observed::{Failure, Observed, ObservedGpu};
use crate::plan::plan;
use crate::rules::vm_settings::Need;
use crate::rules::{guest_os, same_scheme, sizes, vm_settings};
use crate::state::State;
use crate::status::{self, PartitionState};
use crate::vm::ObservedVm;

/// An explanation: sentences in reading order, and the findings they lean on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explanation {
    pub sentences: Vec<String>,
    pub findings: Vec<Finding>,
}

fn waiting_and_failures(
    desired: Option<&DesiredServer>,
    observed: &Observed,
    about: impl Fn(&Subject) -> bool,
    failed: impl Fn(&Failure) -> bool,
) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(desired) = desired {
        let waiting = plan(desired, observed).waiting;
        sentences.extend(
            waiting
                .into_iter()
                .filter(|one| about(&one.subject))
                .map(|one| format!("Divvy waits: {}.", one.why)),
        );
    }
    for failure in observed.failures.iter().filter(|failure| failed(failure)) {
        sentences
            .push(format!("The last attempt failed: {}: {}. {}.", failure.step, failure.error, failure.hint));
    }
    sentences
}

pub fn gpu(state: &State, server: &ServerId, gpu: &ObservedGpu) -> Explanation {
    let Some(observed) = state.observed.get(server) else { return Explanation::default() };
    let desired = state.desired_of(server);
    let partitions = status::Partitions::of(desired, observed);
    let (mode, reason) = partitions.mode(gpu);
    let mut sentences = Vec::from([
        format!("GPU {} is a {} in server {server}, now at {}.", gpu.id, gpu.model, gpu.address),
        format!("Its mode is {mode}: {reason}."),
        counts(gpu),
    ]);
    sentences.extend(vm_settings::implied(gpu));
    for partition in &gpu.partitions {
        let status = partitions.status(gpu, partition);
        if !matches!(status.state, PartitionState::Free | PartitionState::Assigned) {
            let id = PartitionId::new(&gpu.id, partition.index);
            sentences
                .push(format!("Partition {id} is {}.", why_partition(desired, observed, &id, status.state)));
        }
    }
    if let Some(pool) = desired.and_then(|desired| desired.pools.get(&gpu.id)) {
        sentences.push(format!("It is in pool {pool}: it is given whole to VMs and not partitioned."));
    }
    let in_way = crate::rules::count_change::blockers(desired, observed, gpu);
    if let Err(refusal) = in_way.into_result() {
        sentences.push(format!("Its count cannot change now: {refusal}."));
    }
    let own = |subject: &Subject| match subject {
        Subject::Gpu(id) => *id == gpu.id,
        Subject::Partition(id) => id.gpu == gpu.id,
        _ => false,
    };
    sentences.extend(waiting_and_failures(desired, observed, own, |failure| {
        failure.gpu.as_ref() == Some(&gpu.id)
    }));
    let mut findings: Vec<Finding> =
        observed.findings.iter().filter(|finding| own(&finding.subject)).cloned().collect();
    findings.extend(desired.and_then(|desired| same_scheme::finding(desired, gpu)));
    Explanation { sentences, findings }
}

/// The counts that it takes, with what a partition has by each; and why it takes no other.
fn counts(gpu: &ObservedGpu) -> String {
    let sizes: Vec<String> = gpu
        .valid_counts
        .as_slice()
        .iter()
        .map(|count| match gpu.memory_of_each(count.get()) {
            Some(bytes) => format!("{count} ({} each)", catalogue::in_gib(bytes)),
            None => count.to_string(),
        })
        .collect();
    if sizes.is_empty() {
        return "It takes no partition count.".to_string();
    }
    let who = match gpu.valid_counts.source() {
        CountSource::Driver => "its driver makes no other partitions",
        CountSource::Catalogue => "there are no other sizes that fill it equally",
    };
    format!("Its valid partition counts are {}: {who}.", sizes.join(", "))
}

fn why_partition(
    desired: Option<&DesiredServer>,
    observed: &Observed,
    id: &PartitionId,
    state: PartitionState,
) -> String {
    let hold = desired.and_then(|desired| desired.holds.get(id));
    match (state, hold) {
        (PartitionState::Quarantined, Some(Hold::Quarantined { reason })) => format!("quarantined: {reason}"),
        (PartitionState::Quarantined, Some(Hold::Remaking { reason })) => {
            format!("quarantined ({reason}), and all partitions of its GPU are made again")
        }
        (PartitionState::Releasing, Some(Hold::Curing { reason })) => {
            format!("quarantined ({reason}), and its reset is tried once more")
        }
        (PartitionState::Releasing, Some(Hold::Releasing { vm_name, .. })) => {
            format!("given up by VM {vm_name} and not proved clean yet")
        }
        (PartitionState::InUse, _) => match desired.and_then(|desired| desired.owner(id)) {
            Some(owner) => format!("in use by its VM {}", owner.vm_name),
            None => {
                let seen = observed.gpu(&id.gpu).and_then(|gpu| gpu.partition(id.index));
                let vm = seen.and_then(|partition| observed.vms_with_device(partition.device).next());
                vm.map_or_else(
                    || "open by a process that is no known VM".to_string(),
                    |vm| format!("in VM {}, not by Divvy", vm.name),
                )
            }
        },
        _ => "in a state that cannot be told".to_string(),
    }
}

pub fn vm(state: &State, server: &ServerId, vm: &ObservedVm) -> Explanation {
    let Some(observed) = state.observed.get(server) else { return Explanation::default() };
    let desired = state.desired_of(server);
    let mut sentences = Vec::from([format!("VM {} is on server {server} and is {}.", vm.name, vm.power)]);
    let mut findings: Vec<Finding> = guest_os::finding(vm).into_iter().collect();
    findings.extend(vm_settings::findings(vm, Need::UNKNOWN, observed.memory_bytes));
    match state.desired.assignment(&vm.id) {
        Some((on, assignment)) => sentences.push(match assignment.partition() {
            Some(partition) => {
                let about = Subject::Partition(partition.clone());
                findings.extend(observed.findings.iter().filter(|one| one.subject == about).cloned());
                let gpu = observed.gpu(&partition.gpu);
                let how = if gpu.is_some_and(sizes::are_different) {
                    "the smallest free one that was large enough"
                } else {
                    "the lowest free one of the GPU with the fewest free"
                };
                format!("It has partition {partition} on server {on}: Divvy picked {how}.")
            }
            None => whole_in_words(on, assignment),
        }),
        None => {
            sentences.push("It has no partition: nobody assigned one.".to_string());
            sentences.extend(observed.gpus.iter().map(|gpu| free_on(desired, observed, gpu)));
            if observed.gpus.is_empty() {
                sentences.push(format!("Server {server} has no GPU."));
            }
        }
    }
    let own = |subject: &Subject| *subject == Subject::Vm(vm.id.clone());
    sentences
        .extend(waiting_and_failures(desired, observed, own, |failure| failure.vm.as_ref() == Some(&vm.id)));
    Explanation { sentences, findings }
}

fn whole_in_words(on: &ServerId, assignment: &Assignment) -> String {
    match (assignment.claim(), assignment.waits_for_start()) {
        (None, _) => format!("It has {} on server {on}, whole.", assignment.in_words()),
        (Some(claim), true) => format!(
            "It has no GPU now: it is promised {claim} on server {on}, picked when it starts, if so many are free then."
        ),
        (Some(claim), false) => format!(
            "It has {} on server {on}, whole, picked for its claim to {claim}; back in the pool when it is off.",
            assignment.in_words()
        ),
    }
}

fn free_on(desired: Option<&DesiredServer>, observed: &Observed, gpu: &ObservedGpu) -> String {
    let partitions = status::Partitions::of(desired, observed);
    if let Err(why) = partitions.gives(gpu) {
        return format!("GPU {} gives no partition: {why}.", gpu.id);
    }
    let free = gpu.partitions.iter().filter(|partition| partitions.is_free(gpu, partition)).count();
    format!("GPU {} has {free} of {} partitions free.", gpu.id, gpu.partitions.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{FindingCode, Severity};
    use crate::testing::{World, partition_id, server_id};

    #[test]
    fn a_vm_without_a_partition_is_told_what_each_gpu_could_give() {
        let world = World::one_a2(0);
        let state = world.state();
        let told = vm(&state, &server_id("a"), &world.observed().vms[0]).sentences.join(" ");
        assert!(told.contains("nobody assigned one") && told.contains("it is not partitioned"), "{told}");
    }

    #[test]
    fn a_vm_with_a_claim_is_told_what_it_is_promised_and_what_it_has() {
        let told =
            |world: &World| vm(&world.state(), &server_id("a"), &world.observed().vms[0]).sentences.join(" ");
        let pooled = World::one_a2(0).pooled("ml");
        let open = told(&pooled.clone().claimed("vm-001", "ml", 1));
        assert!(open.contains("promised 1 GPU of pool ml"), "{open}");
        let filled = told(&pooled.whole("vm-001").claimed("vm-001", "ml", 1));
        assert!(
            filled.contains("GPU gpu-1") && filled.contains("back in the pool when it is off"),
            "{filled}"
        );
    }

    #[test]
    fn a_gpu_whose_count_cannot_change_names_the_vm() {
        let world = World::one_a2(4).assigned("vm-001", 0);
        let told = gpu(&world.state(), &server_id("a"), world.gpu()).sentences.join(" ");
        assert!(told.contains("vm-001"), "{told}");
    }

    #[test]
    fn a_gpu_tells_what_a_partition_has_by_each_count_and_what_a_vm_needs_for_it() {
        let world = World::one_a2(0);
        let told = gpu(&world.state(), &server_id("a"), world.gpu()).sentences.join(" ");
        assert!(told.contains("4 (4 GiB each), 8 (2 GiB each)"), "{told}");
        assert!(told.contains("16384 MiB for the GPU as a whole"), "{told}");
    }

    #[test]
    fn a_vm_is_told_what_is_wrong_with_its_own_partition() {
        let mut world = World::one_a2(2).assigned("vm-001", 0).assigned("vm-002", 1);
        let finding = Finding {
            code: FindingCode::of("partition_reset_in_use"),
            severity: Severity::Warning,
            subject: Subject::Partition(partition_id("gpu-1", 0)),
            text: "it was reset".into(),
            mend: "start the VM anew".into(),
        };
        world.observed_mut().findings.push(finding.clone());
        let told = |nth: usize| vm(&world.state(), &server_id("a"), &world.observed().vms[nth]).findings;
        assert!(told(0).contains(&finding) && !told(1).contains(&finding));
    }
}
