//! What goes wrong with NVIDIA's GPUs below a step: the step fails and says why, nothing is taken from a
//! VM, and when the cause is gone the same step comes to its end.

use std::error::Error;

use divvy_core::device::DeviceHandle;
use divvy_core::given::Given;
use divvy_core::id::{PartitionId, PartitionIndex, VmId};
use divvy_core::observed::{GpuHealth, ObservedGpu};
use divvy_core::readiness::prove;
use divvy_core::step::{DeviceScope, Outcome};
use divvy_host::error::HostError;
use divvy_hypervisor::Hypervisor;

use crate::bench::{Bench, clean, create, remove};

const A40: &str = "0000:c2:00.0";

/// The lab, and its GPU that is split by types in virtual functions.
fn lab() -> (Bench, ObservedGpu) {
    let bench = Bench::in_room("mixed-lab");
    let gpu = bench.gpu_at(A40);
    (bench, gpu)
}

fn split(count: u16) -> (Bench, ObservedGpu) {
    let (bench, gpu) = lab();
    let gpu = bench.bring(&gpu.id, count).expect("nothing stands in the way");
    (bench, gpu)
}

fn fault(bench: &Bench, text: &str) {
    bench.fault(&format!("gpu lab-1/{A40} {text}"));
}

/// The step fails with this code and a text with these words; without the fault it succeeds.
fn fails_until_it_is_cleared(text: &str, code: &str, words: &str) {
    let (bench, gpu) = lab();
    fault(&bench, text);
    let error = bench.take(&create(&gpu, 8)).expect_err("the fault is in its way");
    assert_eq!(error.code(), code, "{error}");
    assert!(chain(&error).contains(words), "{}", chain(&error));
    bench.fault("clear");
    assert_eq!(bench.take(&create(&gpu, 8)).expect("nothing is in its way"), Outcome::Changed);
    assert_eq!(bench.gpu(&gpu.id).partition_count, Some(8));
}

fn chain(error: &HostError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

/// A VM runs with the first partition.
fn in_use(bench: &Bench, gpu: &ObservedGpu) -> VmId {
    let vm = bench.server().vms()[0].id.clone();
    let device: DeviceHandle = gpu.partitions[0].device;
    let partition = Given::Partition(PartitionId::new(&gpu.id, PartitionIndex(0)));
    let ready = prove(&partition, device, &vm, [], &Default::default()).expect("nothing was found");
    let scope = DeviceScope { defined: true, live: false };
    bench.server().hypervisor().attach(&ready, scope).expect("defined");
    bench.server().power_on(&vm).expect("starts");
    vm
}

#[test]
fn a_program_that_says_yes_and_does_nothing_is_not_believed() {
    fails_until_it_is_cleared("sriov-manage-lies", "program_failed", "ended with 0");
}

/// The GPU is on the stub then, and the next try gives it back first.
#[test]
fn a_program_that_dies_half_way_leaves_a_gpu_that_the_next_try_mends() {
    fails_until_it_is_cleared("sriov-manage-dies", "program_failed", "unexpected end");
}

#[test]
fn a_gpu_that_a_program_of_the_server_has_open_is_not_taken_from_it() {
    fails_until_it_is_cleared("busy", "program_failed", "Cannot obtain unbindLock");
}

#[test]
fn a_kernel_that_refuses_the_program_is_told_with_its_reason() {
    fails_until_it_is_cleared("fail EIO", "program_failed", "Input/output error");
}

/// The functions that came stay: the program makes no more of them while there are any.
#[test]
fn fewer_functions_than_partitions_were_asked_for_are_told_until_the_driver_is_loaded_anew() {
    let (bench, gpu) = lab();
    fault(&bench, "partial 3");
    let error = bench.take(&create(&gpu, 8)).expect_err("three came");
    assert!(matches!(error, HostError::TooFew { asked: 8, came: 3, .. }), "{error}");
    bench.fault("clear");
    bench.fault("server lab-1 reload-driver");
    assert_eq!(bench.take(&create(&gpu, 8)).expect("all come"), Outcome::Changed);
}

/// The program hangs where it takes the GPU from its driver; nothing of the GPU can be believed then.
#[test]
fn a_gpu_that_hangs_is_unknown_until_it_goes_on() {
    let (bench, gpu) = lab();
    fault(&bench, "hang-writes");
    let error = bench.take(&create(&gpu, 8)).expect_err("it hangs");
    assert_eq!(error.code(), "gpu_hangs", "{error}");
    assert!(matches!(bench.gpu(&gpu.id).health, GpuHealth::Unknown { .. }));
    bench.fault("clear");
    let gpu = bench.bring(&gpu.id, 8).expect("it goes on");
    assert_eq!(gpu.health, GpuHealth::Ok);
}

/// Taking it away is refused before NVIDIA's driver could answer EPERM.
#[test]
fn partitions_are_not_taken_from_a_running_vm() {
    let (bench, gpu) = split(4);
    in_use(&bench, &gpu);
    let error = bench.take(&remove(&gpu)).expect_err("a VM has one");
    assert_eq!(error.code(), "partition_open", "{error}");
    assert_eq!(bench.gpu(&gpu.id).partition_count, Some(4));
}

#[test]
fn a_partition_of_a_running_vm_is_not_made_anew() {
    let (bench, gpu) = split(4);
    in_use(&bench, &gpu);
    let error = bench.take(&clean(&gpu, 0)).expect_err("a VM has it");
    assert_eq!(error.code(), "partition_open", "{error}");
}

/// QEMU closes the partition later than it ends.
#[test]
fn a_partition_that_its_driver_does_not_let_go_yet_is_asked_for_again() {
    let (bench, gpu) = split(4);
    bench.fault(&format!("partition lab-1/{A40}.0 linger 1"));
    assert_eq!(bench.take(&clean(&gpu, 0)).expect("let go"), Outcome::Changed);
}

#[test]
fn a_partition_that_its_driver_never_lets_go_is_not_clean() {
    let (bench, gpu) = split(4);
    bench.fault(&format!("partition lab-1/{A40}.0 linger 1000"));
    let error = bench.take(&clean(&gpu, 0)).expect_err("refused again and again");
    assert_eq!(error.code(), "kernel_refused", "{error}");
}

#[test]
fn a_partition_whose_qemu_was_killed_is_not_clean_before_it_is_made_anew() {
    let (bench, gpu) = split(4);
    let vm = in_use(&bench, &gpu);
    bench.fault(&format!("vm {vm} kill"));
    for _try in 0..3 {
        bench.take(&clean(&gpu, 0)).expect_err("it is wedged");
    }
    bench.fault("server lab-1 reboot");
    let after = bench.bring(&gpu.id, 4).expect("made anew");
    assert_eq!(bench.take(&clean(&after, 0)).expect("it works again"), Outcome::Changed);
}

/// The functions themselves are turned off and on for it.
#[test]
fn a_partition_whose_qemu_was_killed_is_new_once_all_of_its_gpu_are_made_again() {
    for address in [A40, "0000:43:00.0"] {
        let bench = Bench::in_room("mixed-lab");
        let gpu = bench.bring(&bench.gpu_at(address).id, 4).expect("split");
        let vm = in_use(&bench, &gpu);
        bench.fault(&format!("vm {vm} kill"));
        bench.take(&clean(&gpu, 0)).expect_err("it is wedged");
        assert_eq!(bench.take(&remove(&gpu)).expect("nothing is in use"), Outcome::Changed, "{}", gpu.model);
        let after = bench.bring(&gpu.id, 4).expect("made anew");
        assert_eq!(bench.take(&clean(&after, 0)).expect("it works again"), Outcome::Changed, "{}", gpu.model);
    }
}

#[test]
fn types_that_were_lost_are_given_again() {
    let (bench, gpu) = split(4);
    fault(&bench, "lose-profiles");
    assert_eq!(bench.gpu(&gpu.id).partition_count, Some(0), "the test needs a loss");
    let after = bench.bring(&gpu.id, 4).expect("given again");
    assert_eq!(after, gpu);
}

#[test]
fn partitions_are_back_after_their_driver_was_loaded_anew() {
    let bench = Bench::in_room("mixed-lab");
    for gpu in bench.gpus() {
        let count = gpu.valid_counts.as_slice()[0].get();
        let before = bench.bring(&gpu.id, count).expect("split");
        bench.fault("server lab-1 reload-driver");
        let after = bench.bring(&gpu.id, count).expect("split again");
        assert_eq!(after.partitions.len(), before.partitions.len(), "{}", gpu.model);
    }
}

#[test]
fn partitions_are_made_of_the_same_gpu_where_another_has_its_address() {
    for room in ["mixed-lab", "h200-mig"] {
        for gpu in Bench::in_room(room).gpus() {
            let bench = Bench::in_room(room);
            let server = bench.server().id().clone();
            let count = gpu.valid_counts.as_slice()[0].get();
            let before = bench.bring(&gpu.id, count).expect("split");
            bench.fault(&format!("server {server} renumber"));
            let after = bench.bring(&gpu.id, count).expect("split again");
            assert_ne!(after.address, before.address, "the test needs a move");
            assert_eq!(after.partition_count, before.partition_count, "{}", gpu.model);
        }
    }
}
