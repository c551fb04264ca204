//! Which mechanism each tree shows. The model is the same in all of them: nothing here may go by it.

use std::time::Duration;

use super::*;
use crate::testing::nvidia::{Nvidia, fresh, ready};
use crate::testing::{Tree, gpu_address, partition_address};

const SERVER: u16 = 0x1234;

fn detected(tree: &Tree, vendor: u16) -> Option<Scheme> {
    let sys = tree.sys();
    let address = gpu_address(0);
    let driver = crate::vfio::driver(&sys, address).expect("readable");
    let total = crate::attribute::decimal(&sys, &paths::total_vfs(address)).unwrap_or(0);
    let gpu = Gpu { address, entry: None, total, deadline: Duration::from_secs(60) };
    detect(&sys, &gpu, vendor, driver.as_deref()).expect("readable")
}

fn with_driver(driver: &str) -> Tree {
    let tree = Tree::server();
    tree.gpu(0);
    tree.driver(gpu_address(0), driver);
    tree
}

#[test]
fn a_driver_that_makes_partitions_by_a_number_is_plain() {
    assert_eq!(detected(&with_driver("simgpu"), SERVER), Some(Scheme::Sriov));
}

#[test]
fn a_driver_that_is_known_not_to_split_is_no_scheme() {
    for driver in ["nouveau", "vfio-pci"] {
        assert_eq!(detected(&with_driver(driver), SERVER), None, "{driver}");
    }
}

#[test]
fn without_the_capability_there_is_no_scheme() {
    for driver in ["simgpu", "nvidia", "gim"] {
        let tree = with_driver(driver);
        tree.attribute(gpu_address(0), "sriov_totalvfs", "0\n");
        assert_eq!(detected(&tree, SERVER), None, "{driver}");
    }
}

#[test]
fn intels_drivers_are_told_apart_by_where_they_keep_the_shares() {
    let xe = with_driver("xe");
    xe.dir(&paths::sriov_admin(gpu_address(0)));
    assert_eq!(detected(&xe, SERVER), Some(Scheme::IntelXe));
    let i915 = with_driver("i915");
    i915.dir(&paths::iov(gpu_address(0), "card1"));
    assert_eq!(detected(&i915, SERVER), Some(Scheme::IntelI915));
    let bare = with_driver("i915");
    bare.dir(&format!("{}/card1", paths::drm(gpu_address(0))));
    assert_eq!(detected(&bare, SERVER), Some(Scheme::Sriov));
}

#[test]
fn nvidias_interface_is_what_its_functions_show() {
    for scheme in [Scheme::NvidiaVfio, Scheme::NvidiaMdev, Scheme::NvidiaMdevPf] {
        let kernel = ready(Nvidia::a2(scheme));
        assert_eq!(detected(&kernel.tree, NVIDIA), Some(scheme));
    }
}

#[test]
fn nvidias_gpu_without_functions_is_taken_for_the_newer_interface() {
    for scheme in [Scheme::NvidiaVfio, Scheme::NvidiaMdev] {
        assert_eq!(detected(&fresh(Nvidia::a2(scheme)).tree, NVIDIA), Some(Scheme::NvidiaVfio));
    }
}

#[test]
fn functions_without_any_of_nvidias_files_are_no_scheme() {
    let tree = with_driver("nvidia");
    tree.make_partitions(gpu_address(0), 4);
    assert_eq!(detected(&tree, NVIDIA), None);
}

#[test]
fn one_function_with_its_files_is_enough() {
    let tree = with_driver("nvidia");
    tree.make_partitions(gpu_address(0), 4);
    tree.file(&paths::current_type(partition_address(0, 2)), "0\n");
    assert_eq!(detected(&tree, NVIDIA), Some(Scheme::NvidiaVfio));
}

#[test]
fn a_gpu_of_nvidia_on_the_stub_is_nvidias_and_another_is_plain() {
    let tree = with_driver(paths::PF_STUB);
    assert_eq!(detected(&tree, NVIDIA), Some(Scheme::NvidiaVfio));
    assert_eq!(detected(&tree, SERVER), Some(Scheme::Sriov));
}

#[test]
fn a_gpu_of_amd_without_a_driver_is_gims_where_gim_has_settings() {
    assert_eq!(detected(&with_driver(paths::GIM), AMD), Some(Scheme::AmdGim));
    let tree = with_driver(paths::GIM);
    tree.remove(&paths::driver(gpu_address(0)));
    assert_eq!(detected(&tree, AMD), None);
    tree.file(paths::GIM_CONFIG, "vf_num=1\n");
    assert_eq!(detected(&tree, AMD), Some(Scheme::AmdGim));
    assert_eq!(detected(&tree, SERVER), None);
}
