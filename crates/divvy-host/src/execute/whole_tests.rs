//! Whole GPUs given and taken back, on a tree that reacts: the order of the writes, and what stops them.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use divvy_core::assignment::FormerDriver;
use divvy_core::id::GpuId;
use divvy_core::pci_address::PciAddress;
use divvy_core::step::{HostStep, Outcome};
use nix::errno::Errno;

use super::{Limits, execute};
use crate::paths;
use crate::testing::{FIRST_SERIAL, Reacting, Tree, gpu_address};

fn limits() -> Limits {
    Limits { settle: Duration::ZERO, look_again: Duration::ZERO, ..Limits::default() }
}

fn gpu() -> GpuId {
    GpuId::new(&format!("gpu-{FIRST_SERIAL:016x}")).expect("a name")
}

fn audio() -> PciAddress {
    PciAddress { function: 1, ..gpu_address(0) }
}

/// A GPU with audio in its slot, of which nothing is given.
fn with_audio() -> Tree {
    let tree = Tree::with_partitions(0);
    tree.companion(audio(), "snd_hda_intel", 10);
    tree
}

fn give(kernel: &Reacting) -> Result<Outcome, String> {
    let step = HostStep::GiveGpu { gpu: gpu(), address: gpu_address(0), functions: vec![0, 1] };
    execute(kernel, &step, &limits()).map_err(|error| error.code().to_owned())
}

fn former() -> Vec<FormerDriver> {
    let had = |function, driver: &str| FormerDriver {
        function,
        driver: Some(driver.to_owned()),
        driver_override: None,
    };
    vec![had(0, "simgpu"), had(1, "snd_hda_intel")]
}

fn back(kernel: &Reacting) -> Result<Outcome, String> {
    let step = HostStep::TakeGpuBack { gpu: gpu(), address: gpu_address(0), functions: former() };
    execute(kernel, &step, &limits()).map_err(|error| error.code().to_owned())
}

/// Given already.
fn given() -> Tree {
    let tree = with_audio();
    tree.prepare(gpu_address(0));
    tree.prepare(audio());
    tree
}

#[test]
fn everything_in_the_slot_goes_to_vfio_unbound_first_and_kept_for_it() {
    let kernel = Reacting::on(with_audio());
    assert_eq!(give(&kernel), Ok(Outcome::Changed));
    let writes = [
        "driver/unbind = 0000:41:00.0",
        "0000:41:00.0/driver_override = vfio-pci",
        "vfio-pci/bind = 0000:41:00.0",
        "driver/unbind = 0000:41:00.1",
        "0000:41:00.1/driver_override = vfio-pci",
        "vfio-pci/bind = 0000:41:00.1",
    ];
    assert_eq!(kernel.writes(), writes);
    assert_eq!(give(&kernel), Ok(Outcome::Already));
    assert_eq!(kernel.writes().len(), writes.len());
}

#[test]
fn it_goes_back_after_a_reset_to_what_it_had_and_no_override_is_left() {
    let kernel = Reacting::on(given());
    assert_eq!(back(&kernel), Ok(Outcome::Changed));
    let writes = [
        "0000:41:00.0/reset = 1",
        "driver/unbind = 0000:41:00.0",
        "0000:41:00.0/driver_override = simgpu",
        "simgpu/bind = 0000:41:00.0",
        "0000:41:00.0/driver_override = \n",
        "driver/unbind = 0000:41:00.1",
        "0000:41:00.1/driver_override = snd_hda_intel",
        "snd_hda_intel/bind = 0000:41:00.1",
        "0000:41:00.1/driver_override = \n",
    ];
    assert_eq!(kernel.writes(), writes);
    assert_eq!(back(&kernel), Ok(Outcome::Already));
}

#[test]
fn a_gpu_that_had_no_driver_goes_back_to_none() {
    let kernel = Reacting::on(given());
    let mut functions = former();
    functions[0].driver = None;
    let step = HostStep::TakeGpuBack { gpu: gpu(), address: gpu_address(0), functions };
    execute(&kernel, &step, &limits()).expect("goes back");
    assert!(!kernel.writes().iter().any(|write| write.contains("/bind = 0000:41:00.0")));
    assert!(kernel.writes().contains(&"0000:41:00.0/driver_override = \n".to_owned()));
}

#[test]
fn a_gpu_that_was_ready_for_vms_before_is_reset_and_stays_so() {
    let kernel = Reacting::on(Tree::with_partitions(0));
    kernel.tree.prepare(gpu_address(0));
    let functions = vec![FormerDriver {
        function: 0,
        driver: Some("vfio-pci".to_owned()),
        driver_override: Some("vfio-pci".to_owned()),
    }];
    let step = HostStep::TakeGpuBack { gpu: gpu(), address: gpu_address(0), functions };
    execute(&kernel, &step, &limits()).expect("is back");
    assert_eq!(kernel.writes(), ["0000:41:00.0/reset = 1"]);
}

#[test]
fn each_obstacle_stops_the_giving_before_anything_is_written() {
    type Spoil = fn(&Tree);
    let table: &[(&str, Spoil)] = &[
        ("gpu_in_use", |tree| {
            tree.dir(&paths::attribute(gpu_address(0), "drm/card1"));
            tree.symlink("proc/41/fd/3", "/dev/dri/card1");
        }),
        ("gpu_group_shared", |tree| tree.join_group(PciAddress { bus: 0x77, ..gpu_address(0) }, 10)),
        ("slot_changed", |tree| tree.companion(PciAddress { function: 2, ..gpu_address(0) }, "xhci_hcd", 10)),
        ("count_changed_meanwhile", |tree| tree.make_partitions(gpu_address(0), 2)),
        ("gpu_replaced", |tree| {
            let other = crate::testing::config_with_serial(Some(7));
            tree.bytes(&paths::config(gpu_address(0)), &other);
        }),
        ("driver_missing", |tree| tree.remove(&paths::pci_driver(paths::VFIO_PCI))),
        ("partition_open", |tree| tree.open_group(41, 10)),
        ("users_unknown", |tree| {
            tree.dir(&paths::attribute(gpu_address(0), "drm/card1"));
            tree.remove("proc");
        }),
    ];
    for (code, spoil) in table {
        let kernel = Reacting::on(with_audio());
        spoil(&kernel.tree);
        assert_eq!(give(&kernel), Err((*code).to_owned()));
        assert_eq!(kernel.writes(), [""; 0], "{code}");
    }
}

#[test]
fn nvidias_lock_is_asked_for_up_to_five_times_and_let_go_if_the_gpu_stays() {
    let locked = |refusals| {
        let mut kernel = Reacting::on(with_audio());
        kernel.tree.file(&paths::nvidia(gpu_address(0), "unbindLock"), "0\n");
        kernel.faults.refuses_lock = AtomicU32::new(refusals);
        kernel
    };
    let asked = |kernel: &Reacting, value: &str| {
        kernel.writes().iter().filter(|write| write.ends_with(&format!("unbindLock = {value}"))).count()
    };
    let patient = locked(4);
    assert_eq!(give(&patient), Ok(Outcome::Changed));
    assert_eq!(asked(&patient, "1"), 5);
    let refused = locked(5);
    assert_eq!(give(&refused), Err("driver_lock_refused".to_owned()));
    assert_eq!(refused.writes().len(), 5);
    let mut failing = locked(0);
    failing.faults.fails.insert("driver/unbind", Errno::EPERM);
    assert_eq!(give(&failing), Err("kernel_refused".to_owned()));
    assert_eq!(asked(&failing, "0"), 1);
}

#[test]
fn an_open_gpu_is_not_taken_back_and_a_lost_one_goes_nowhere() {
    let kernel = Reacting::on(given());
    kernel.tree.open_group(41, 10);
    assert_eq!(back(&kernel), Err("partition_open".to_owned()));
    assert_eq!(kernel.writes(), [""; 0]);
    let mut lost = Reacting::on(given());
    lost.faults.reset_kills = true;
    assert_eq!(back(&lost), Err("gpu_lost".to_owned()));
    assert_eq!(lost.writes(), ["0000:41:00.0/reset = 1"]);
}

#[test]
fn a_driver_that_is_not_loaded_any_more_is_named() {
    let kernel = Reacting::on(given());
    kernel.tree.remove(&paths::pci_driver("simgpu"));
    assert_eq!(back(&kernel), Err("driver_missing".to_owned()));
}

#[test]
fn an_override_that_is_not_kept_is_an_error() {
    let mut kernel = Reacting::on(with_audio());
    kernel.faults.forgets.insert("driver_override");
    assert_eq!(give(&kernel), Err("value_not_kept".to_owned()));
}
