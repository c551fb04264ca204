//! Random sequences: the tree must agree with itself, and the same sequence must answer the same. Also
//! that the sequences reach what they are made for.

use proptest::prelude::*;

use super::*;
use crate::sysfs::SimSysfs;
use crate::testing::{GPU, at, file as path_of, read, server};

fn targets() -> Targets {
    let vfs = (4..20).filter_map(|distance| at(GPU).routing_id_plus(distance)).collect();
    let drivers = ["simgpu", "vfio-pci", "pci-pf-stub"].map(str::to_owned).to_vec();
    Targets { pf: at(GPU), vfs, total_vfs: 16, drivers }
}

fn names(sysfs: &SimSysfs, path: &str) -> Vec<String> {
    sysfs.list(path).expect("listed")
}

/// The tree agrees with itself, seen through the same verbs as everybody sees it.
fn check_consistent(sysfs: &SimSysfs) {
    for name in names(sysfs, "sys/bus/pci/devices") {
        let files = names(sysfs, &format!("sys/bus/pci/devices/{name}"));
        for link in files.iter().filter(|file| file.starts_with("virtfn")) {
            let vf = last(&sysfs.link(&path_of(&name, link)).expect("a link"));
            let back = sysfs.link(&path_of(&vf, "physfn")).expect("a way back");
            assert_eq!(last(&back), name, "{vf} does not lead back");
        }
        if files.iter().any(|file| file == "sriov_numvfs") {
            let links = files.iter().filter(|file| file.starts_with("virtfn")).count();
            assert_eq!(read(sysfs, &path_of(&name, "sriov_numvfs")), format!("{links}\n"));
        }
        if let Ok(driver) = sysfs.link(&path_of(&name, "driver")) {
            assert!(sysfs.exists(&format!("sys/bus/pci/drivers/{}/{name}", last(&driver))));
        }
        let group = last(&sysfs.link(&path_of(&name, "iommu_group")).expect("a group"));
        assert!(sysfs.exists(&format!("sys/kernel/iommu_groups/{group}/devices/{name}")));
    }
    check_groups(sysfs);
}

fn check_groups(sysfs: &SimSysfs) {
    for group in names(sysfs, "sys/kernel/iommu_groups") {
        let members = names(sysfs, &format!("sys/kernel/iommu_groups/{group}/devices"));
        assert!(!members.is_empty(), "group {group} is empty");
        let on_vfio = |member: &String| {
            let own = sysfs.link(&path_of(member, "iommu_group")).expect("a group");
            assert_eq!(last(&own), group, "{member}");
            sysfs.link(&path_of(member, "driver")).is_ok_and(|driver| last(&driver) == "vfio-pci")
        };
        let has_file = sysfs.exists(&format!("dev/vfio/{group}"));
        assert_eq!(members.iter().any(on_vfio), has_file, "file of group {group}");
    }
}

fn last(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_sequence_of_operations_makes_the_tree_contradict_itself(seed in any::<u64>()) {
        let sysfs = server().sysfs();
        for (nth, op) in generate(seed, 60, &targets()).iter().enumerate() {
            apply(&*sysfs, op);
            if nth % 6 == 5 {
                check_consistent(&sysfs);
            }
        }
    }

    #[test]
    fn the_same_sequence_on_a_fresh_server_answers_the_same(seed in any::<u64>()) {
        let (one, other) = (server().sysfs(), server().sysfs());
        for op in generate(seed, 60, &targets()) {
            prop_assert_eq!(apply(&*one, &op), apply(&*other, &op));
        }
    }

    #[test]
    fn no_path_and_no_value_makes_the_kernel_panic(path in "[a-z0-9:./_]{0,40}", value in ".{0,12}") {
        let sysfs = server().sysfs();
        for path in [path.clone(), format!("sys/bus/pci/devices/{GPU}/{path}")] {
            for op in [
                SysOp::Read { path: path.clone() },
                SysOp::List { path: path.clone() },
                SysOp::Link { path: path.clone() },
                SysOp::Write { path: path.clone(), value: value.clone() },
            ] {
                apply(&*sysfs, &op);
            }
        }
    }
}

#[test]
fn sequences_reach_success_and_every_refusal_that_matters() {
    let sysfs = server().sysfs();
    let mut seen = std::collections::BTreeSet::new();
    let mut counts = std::collections::BTreeSet::new();
    for op in generate(3, 3000, &targets()) {
        if let OpResult::Err(errno) = apply(&*sysfs, &op) {
            seen.insert(errno);
        }
        counts.insert(read(&sysfs, &path_of(GPU, "sriov_numvfs")));
    }
    // ENOENT, EACCES, EBUSY, ENODEV, ENOTDIR, EINVAL, ENOTTY, ERANGE
    for errno in [2, 13, 16, 19, 20, 22, 25, 34] {
        assert!(seen.contains(&errno), "{errno} was never answered");
    }
    assert!(counts.len() > 8, "{counts:?}");
}

#[test]
fn an_operation_reads_back_from_its_record() {
    for op in generate(5, 50, &targets()) {
        let text = serde_json::to_string(&op).expect("written");
        assert_eq!(serde_json::from_str::<SysOp>(&text).expect("read"), op);
    }
}

#[test]
fn group_numbers_and_topology_may_differ_and_errors_may_not() {
    let link = |name: &str| SysOp::Link { path: path_of(GPU, name) };
    let ok = |text: &str| OpResult::Ok(text.to_owned());
    assert!(agree(&link("iommu_group"), &ok("../kernel/iommu_groups/7"), &ok("../kernel/iommu_groups/9")));
    assert!(agree(&link("driver"), &ok("../../bus/pci/drivers/x"), &ok("../../../bus/pci/drivers/x")));
    assert!(!agree(&link("driver"), &ok("../drivers/x"), &ok("../drivers/y")));
    assert!(!agree(&link("driver"), &OpResult::Err(2), &OpResult::Err(22)));
}
