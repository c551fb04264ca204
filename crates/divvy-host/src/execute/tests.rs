//! Steps on a kernel that reacts: what is written, in which order, what is never written, and what each
//! failure says.

use divvy_core::gpu::{PartitionCount, Scheme};
use divvy_core::id::{GpuId, PartitionId, PartitionIndex};
use divvy_core::pci_address::PciAddress;
use nix::errno::Errno;

use super::*;
use crate::paths;
use crate::testing::partition_group;
use crate::testing::{
    FIRST_SERIAL, Reacting, Tree, config_with_serial, gpu_address, partition_address as at,
};

/// Nothing here waits for anything that takes time.
const QUICK: Limits = Limits {
    read: Duration::from_secs(60),
    write: Duration::from_secs(60),
    count_write: Duration::from_secs(60),
    reset: Duration::from_secs(60),
    settle: Duration::ZERO,
    look_again: Duration::from_millis(1),
    program: Duration::from_secs(60),
    try_again: Duration::from_millis(1),
    sriov_manage: Cow::Borrowed(paths::SRIOV_MANAGE),
};

const SCHEME: Scheme = Scheme::Sriov;

fn gpu() -> GpuId {
    GpuId::new(&format!("gpu-{FIRST_SERIAL:016x}")).expect("an id")
}

fn reserve() -> HostStep {
    HostStep::ReservePartitions { gpu: gpu(), address: gpu_address(0), scheme: SCHEME }
}

fn remove(count: u16) -> HostStep {
    HostStep::RemovePartitions { gpu: gpu(), address: gpu_address(0), scheme: SCHEME, count }
}

fn create(count: u16) -> HostStep {
    let split = Split::Equal(PartitionCount::new(count).expect("a count"));
    HostStep::CreatePartitions { gpu: gpu(), address: gpu_address(0), scheme: SCHEME, split }
}

fn partition(index: u16) -> PartitionId {
    PartitionId::new(&gpu(), PartitionIndex(index))
}

fn prepare(index: u16, address: PciAddress) -> HostStep {
    HostStep::PreparePartition { partition: partition(index), address, scheme: SCHEME }
}

fn clean(index: u16, address: PciAddress) -> HostStep {
    HostStep::CleanPartition { partition: partition(index), address, scheme: SCHEME }
}

fn with_gpu() -> Reacting {
    let tree = Tree::server();
    tree.gpu(0);
    Reacting::on(tree)
}

fn with_partitions(count: u16) -> Reacting {
    Reacting::on(Tree::with_partitions(count))
}

fn run(kernel: &Reacting, step: &HostStep) -> Result<Outcome, HostError> {
    execute(kernel, step, &QUICK)
}

fn failed(kernel: &Reacting, step: &HostStep) -> HostError {
    run(kernel, step).expect_err("fails")
}

#[test]
fn every_step_is_quiet_when_it_is_taken_again() {
    let kernel = with_gpu();
    let steps = [reserve(), create(4), prepare(1, at(0, 1)), remove(4)];
    for step in &steps {
        assert_eq!(run(&kernel, step).expect("first"), Outcome::Changed, "{step}");
        let written = kernel.writes();
        assert_eq!(run(&kernel, step).expect("again"), Outcome::Already, "{step}");
        assert_eq!(kernel.writes(), written, "{step} wrote again");
    }
}

#[test]
fn a_partition_is_prepared_by_override_and_probe() {
    let kernel = with_gpu();
    run(&kernel, &create(2)).expect("creates");
    run(&kernel, &prepare(1, at(0, 1))).expect("prepares");
    assert_eq!(
        kernel.writes()[1..],
        ["0000:41:00.5/driver_override = vfio-pci", "pci/drivers_probe = 0000:41:00.5"]
    );
}

#[test]
fn a_partition_that_another_driver_has_is_taken_from_it_after_the_override() {
    let kernel = with_partitions(1);
    kernel.tree.driver(at(0, 0), "simvf");
    kernel.tree.file("sys/bus/pci/drivers/simvf/unbind", "");
    kernel.tree.file(&paths::driver_override(at(0, 0)), "(null)\n");
    run(&kernel, &prepare(0, at(0, 0))).expect("prepares");
    assert_eq!(
        kernel.writes(),
        [
            "0000:41:00.4/driver_override = vfio-pci",
            "driver/unbind = 0000:41:00.4",
            "pci/drivers_probe = 0000:41:00.4"
        ]
    );
}

#[test]
fn nothing_is_written_to_a_gpus_count_while_a_partition_is_open() {
    let kernel = with_partitions(4);
    kernel.tree.open_group(41, partition_group(0, 3));
    let error = failed(&kernel, &remove(4));
    assert!(matches!(&error, HostError::PartitionOpen { holders, .. } if holders[0].pids == [41]), "{error}");
    assert!(kernel.writes().is_empty());
}

#[test]
fn an_open_partition_is_not_reset() {
    let kernel = with_partitions(2);
    kernel.tree.open_group(41, partition_group(0, 1));
    let error = failed(&kernel, &clean(1, at(0, 1)));
    assert!(matches!(error, HostError::PartitionOpen { .. }), "{error}");
    assert!(kernel.writes().is_empty());
}

#[test]
fn an_open_partition_is_not_taken_from_its_driver() {
    let kernel = with_partitions(1);
    kernel.tree.driver(at(0, 0), "simvf");
    kernel.tree.open_group(41, partition_group(0, 0));
    let error = failed(&kernel, &prepare(0, at(0, 0)));
    assert!(matches!(error, HostError::PartitionOpen { .. }), "{error}");
    assert!(kernel.writes().iter().all(|write| !write.contains("unbind")), "{:?}", kernel.writes());
}

#[test]
fn a_partition_is_reset_while_another_one_of_its_gpu_is_open() {
    let kernel = with_partitions(2);
    kernel.tree.open_group(41, partition_group(0, 0));
    assert_eq!(run(&kernel, &clean(1, at(0, 1))).expect("cleans"), Outcome::Changed);
    assert_eq!(kernel.writes(), ["0000:41:00.5/reset = 1"]);
}

#[test]
fn where_it_cannot_be_told_who_has_what_open_nothing_is_written() {
    let kernel = with_partitions(2);
    kernel.tree.remove("proc");
    assert!(matches!(failed(&kernel, &remove(2)), HostError::OpenUnknown { .. }));
    assert!(matches!(failed(&kernel, &clean(0, at(0, 0))), HostError::OpenUnknown { .. }));
    assert!(kernel.writes().is_empty());
}

#[test]
fn a_refused_count_says_what_the_kernel_meant_and_how_many_came() {
    let mut kernel = with_gpu();
    kernel.faults.fails.insert("sriov_numvfs", Errno::ENOMEM);
    let error = failed(&kernel, &create(8));
    assert!(matches!(error, HostError::NotCreated { asked: 8, came: Some(0), .. }), "{error}");
    assert!(error.hint().contains("Above 4G Decoding"), "{}", error.hint());
}

#[test]
fn fewer_partitions_than_asked_for_are_a_failure_that_says_how_many_came() {
    let mut kernel = with_gpu();
    kernel.faults.makes_at_most = Some(3);
    let error = failed(&kernel, &create(8));
    assert!(matches!(error, HostError::TooFew { asked: 8, came: 3, .. }), "{error}");
    assert_eq!(kernel.writes(), ["0000:41:00.0/sriov_numvfs = 8"], "the way back is a plan of its own");
}

#[test]
fn a_count_is_not_changed_from_one_number_to_another() {
    let kernel = with_partitions(2);
    let error = failed(&kernel, &create(4));
    assert!(matches!(error, HostError::OtherCount { expected: 0, found: 2, .. }), "{error}");
    assert!(kernel.writes().is_empty());
}

#[test]
fn partitions_that_somebody_else_made_since_are_not_removed() {
    let kernel = with_partitions(2);
    let error = failed(&kernel, &remove(4));
    assert!(matches!(error, HostError::OtherCount { expected: 4, found: 2, .. }), "{error}");
    assert!(kernel.writes().is_empty());
}

#[test]
fn a_write_that_hangs_leaves_an_unknown_number() {
    let mut kernel = with_gpu();
    kernel.faults.hangs.insert("sriov_numvfs");
    let error = failed(&kernel, &create(4));
    assert_eq!(error.code(), "gpu_hangs", "{error}");
}

#[test]
fn partitions_that_do_not_go_are_named() {
    let mut kernel = with_partitions(2);
    kernel.faults.removal_leaves_one = true;
    let error = failed(&kernel, &remove(2));
    assert!(matches!(&error, HostError::NotSettled { what, .. } if what.contains("1 partitions")), "{error}");
}

#[test]
fn a_partition_without_its_iommu_group_has_not_come() {
    let kernel = with_partitions(2);
    kernel.tree.remove(&paths::iommu_group(at(0, 1)));
    let error = failed(&kernel, &create(2));
    assert!(matches!(&error, HostError::NotSettled { what, .. } if what.contains("IOMMU group")), "{error}");
}

#[test]
fn without_an_iommu_nobody_waits_for_groups() {
    let kernel = with_partitions(1);
    for address in [gpu_address(0), at(0, 0)] {
        kernel.tree.remove(&paths::iommu_group(address));
    }
    assert_eq!(run(&kernel, &create(1)).expect("is so"), Outcome::Already);
}

#[test]
fn a_stale_address_is_not_trusted() {
    let kernel = with_partitions(4);
    for step in [prepare(1, at(0, 2)), clean(1, at(0, 2))] {
        let error = failed(&kernel, &step);
        assert!(matches!(error, HostError::Moved { .. }), "{step}: {error}");
    }
    assert!(kernel.writes().is_empty());
}

#[test]
fn another_gpu_at_the_address_is_not_touched() {
    let kernel = with_partitions(2);
    kernel.tree.bytes(&paths::config(gpu_address(0)), &config_with_serial(Some(7)));
    for step in [reserve(), create(4), remove(2), prepare(0, at(0, 0)), clean(0, at(0, 0))] {
        let error = failed(&kernel, &step);
        assert!(matches!(error, HostError::OtherGpu { .. }), "{step}: {error}");
    }
    assert!(kernel.writes().is_empty());
}

#[test]
fn without_vfio_loaded_a_partition_keeps_its_driver() {
    let kernel = with_partitions(1);
    kernel.tree.driver(at(0, 0), "simvf");
    kernel.tree.remove(&paths::pci_driver(paths::VFIO_PCI));
    let error = failed(&kernel, &prepare(0, at(0, 0)));
    assert_eq!(error.hint(), "modprobe vfio-pci");
    assert!(kernel.writes().is_empty());
}

#[test]
fn an_override_that_is_not_kept_is_a_failure() {
    let mut kernel = with_gpu();
    kernel.faults.forgets.insert("driver_override");
    run(&kernel, &create(1)).expect("creates");
    let error = failed(&kernel, &prepare(0, at(0, 0)));
    assert!(matches!(error, HostError::ReadBack { .. }), "{error}");
}

#[test]
fn a_driver_that_does_not_take_the_partition_is_a_failure() {
    let mut kernel = with_gpu();
    kernel.faults.forgets.insert("drivers_probe");
    run(&kernel, &create(1)).expect("creates");
    let error = failed(&kernel, &prepare(0, at(0, 0)));
    assert!(matches!(&error, HostError::NotSettled { what, .. } if what.contains("no driver")), "{error}");
}

#[test]
fn autoprobe_that_stays_on_is_a_failure() {
    let mut kernel = with_gpu();
    kernel.faults.forgets.insert("sriov_drivers_autoprobe");
    assert!(matches!(failed(&kernel, &reserve()), HostError::ReadBack { .. }));
}

#[test]
fn a_partition_that_cannot_be_reset_is_not_clean() {
    let kernel = with_partitions(1);
    kernel.tree.remove(&paths::reset(at(0, 0)));
    assert!(matches!(failed(&kernel, &clean(0, at(0, 0))), HostError::NoReset { .. }));
}

#[test]
fn a_reset_that_the_kernel_refuses_is_not_clean() {
    let mut kernel = with_partitions(1);
    kernel.faults.fails.insert("/reset", Errno::ENOTTY);
    let error = failed(&kernel, &clean(0, at(0, 0)));
    assert!(matches!(&error, HostError::Kernel { cause, .. } if cause.raw_os_error() == Some(25)), "{error}");
}

#[test]
fn a_partition_that_does_not_answer_after_its_reset_is_not_clean() {
    let mut kernel = with_partitions(1);
    kernel.faults.reset_kills = true;
    assert!(matches!(failed(&kernel, &clean(0, at(0, 0))), HostError::Lost { .. }));
}

#[test]
fn a_partition_that_is_gone_after_its_reset_is_not_clean() {
    let mut kernel = with_partitions(1);
    kernel.faults.reset_removes = true;
    assert!(matches!(failed(&kernel, &clean(0, at(0, 0))), HostError::Unreadable { .. }));
}

#[test]
fn a_gpu_without_sriov_is_a_failure_and_no_panic() {
    let kernel = with_gpu();
    kernel.tree.remove(&paths::num_vfs(gpu_address(0)));
    let error = failed(&kernel, &create(1));
    assert!(matches!(&error, HostError::Unreadable { cause, .. } if cause.is_absent()), "{error}");
}

#[test]
fn default_limits_outlast_what_the_kernel_itself_waits() {
    let limits = Limits::default();
    assert!(limits.reset > Duration::from_secs(60), "pci_dev_wait waits 60 s");
    assert!(limits.count_write > limits.read);
}
