//! One look at a tree: what is reported, and that what goes wrong with one GPU stays with that GPU.

use std::collections::BTreeSet;

use divvy_core::finding::FindingCode;
use divvy_core::gpu::{CountSource, Scheme};
use divvy_core::id::PartitionIndex;
use divvy_core::observed::GpuHealth;

use super::*;
use crate::testing::{BOOT, FIRST_SERIAL, Reacting, Tree, config_with_serial, gpu_address};
use crate::testing::{partition_address, partition_group};

fn observer() -> Observer {
    Observer::new(ServerId::new("edge-1").expect("a name"), Settings::default())
}

fn observe(tree: &Tree) -> HostObservation {
    observer().observe_gpus(&tree.sys()).expect("observes")
}

/// Two GPUs; the first is split into two.
fn two_gpus() -> Tree {
    let tree = Tree::with_partitions(2);
    tree.gpu(1);
    tree
}

fn codes_of(observation: &HostObservation) -> BTreeSet<FindingCode> {
    observation.findings.iter().map(|finding| finding.code.clone()).collect()
}

#[test]
fn a_healthy_gpu_is_reported_with_everything_it_shows() {
    let tree = Tree::with_partitions(2);
    tree.file("sys/bus/pci/slots/4/address", "0000:41:00\n");
    let seen = observe(&tree);
    let gpu = &seen.gpus[0];
    assert_eq!(gpu.id.as_str(), format!("gpu-{FIRST_SERIAL:016x}"));
    assert_eq!(gpu.serial, Some(format!("{FIRST_SERIAL:016x}")));
    assert_eq!(gpu.model.to_string(), "NVIDIA A2");
    assert_eq!(gpu.memory_bytes, Some(16 << 30));
    assert_eq!((gpu.driver.as_deref(), gpu.driver_version.as_deref()), (Some("simgpu"), Some("1.2.3")));
    assert_eq!((gpu.numa_node, gpu.iommu_group), (Some(0), Some(10)));
    assert_eq!((gpu.scheme, gpu.max_partitions, gpu.partition_count), (Some(Scheme::Sriov), 16, Some(2)));
    assert_eq!(gpu.valid_counts.source(), CountSource::Catalogue);
    assert_eq!((&gpu.health, gpu.autoprobe), (&GpuHealth::Ok, false));
}

#[test]
fn the_server_is_reported_with_its_boot_and_its_memory() {
    let seen = observe(&Tree::server());
    assert_eq!((seen.boot_id.as_str(), seen.memory_bytes), (BOOT, Some(65536 * 1024)));
}

#[test]
fn a_partition_is_reported_with_everything_it_shows() {
    let tree = Tree::with_partitions(2);
    tree.open_group(41, partition_group(0, 1));
    let seen = observe(&tree);
    let partition = seen.gpus[0].partition(PartitionIndex(1)).expect("is there");
    assert_eq!(partition.address, partition_address(0, 1));
    assert_eq!(partition.iommu_group, Some(partition_group(0, 1)));
    assert_eq!(partition.group_peers, []);
    assert_eq!(partition.driver.as_deref(), Some("vfio-pci"));
    assert_eq!(partition.driver_override.as_deref(), Some("vfio-pci"));
    assert_eq!(partition.reset_methods, ["flr", "bus"]);
    assert_eq!(partition.mmio_bytes, Some(128 << 20));
    assert!(partition.open);
}

#[test]
fn a_healthy_server_has_no_findings() {
    assert_eq!(observe(&two_gpus()).findings, []);
}

#[test]
fn partitions_come_in_the_order_of_their_numbers_and_not_of_their_names() {
    let tree = Tree::with_partitions(12);
    let indexes: Vec<u16> = observe(&tree).gpus[0].partitions.iter().map(|p| p.index.0).collect();
    assert_eq!(indexes, (0..12).collect::<Vec<u16>>());
}

#[test]
fn partitions_are_not_gpus_themselves() {
    assert_eq!(observe(&Tree::with_partitions(3)).gpus.len(), 1);
}

#[test]
fn other_hardware_is_a_gpu_only_when_the_settings_name_it() {
    let tree = Tree::server();
    tree.gpu(0);
    tree.attribute(gpu_address(0), "class", "0x020000\n");
    assert_eq!(observe(&tree).gpus.len(), 0);
    let settings = Settings { also: BTreeSet::from([(0x10de, 0x25b6)]), ..Settings::default() };
    let observer = Observer::new(ServerId::new("edge-1").expect("a name"), settings);
    assert_eq!(observer.observe_gpus(&tree.sys()).expect("observes").gpus.len(), 1);
}

#[test]
fn a_bridge_in_the_group_is_no_peer_and_an_endpoint_is() {
    let tree = two_gpus();
    let members = paths::group_members(partition_group(0, 0));
    tree.file("sys/bus/pci/devices/0000:40:01.0/class", "0x060400\n");
    for member in ["0000:40:01.0", "0000:42:00.0"] {
        tree.symlink(&format!("{members}/{member}"), "../../../../devices/x");
    }
    assert_eq!(observe(&tree).gpus[0].partitions[0].group_peers, [gpu_address(1)]);
}

#[test]
fn a_gpu_outside_the_catalogue_has_every_count_and_the_memory_of_its_largest_window() {
    let tree = Tree::server();
    tree.gpu(0);
    tree.attribute(gpu_address(0), "vendor", "0x1234\n");
    tree.attribute(gpu_address(0), "sriov_totalvfs", "3\n");
    let seen = observe(&tree);
    assert_eq!(seen.gpus[0].valid_counts.to_string(), "1, 2, 3");
    assert_eq!(seen.gpus[0].memory_bytes, Some(64 << 20));
}

#[test]
fn a_gpu_without_the_capability_has_no_scheme_and_no_partitions() {
    let tree = Tree::server();
    tree.gpu(0);
    for name in ["sriov_totalvfs", "sriov_numvfs", "sriov_drivers_autoprobe"] {
        tree.remove(&paths::attribute(gpu_address(0), name));
    }
    let seen = observe(&tree);
    let gpu = &seen.gpus[0];
    assert_eq!((gpu.scheme, gpu.max_partitions, gpu.partition_count), (None, 0, Some(0)));
    assert_eq!((&gpu.health, gpu.valid_counts.is_empty()), (&GpuHealth::Ok, true));
}

/// What is broken in the first of two GPUs, and the finding that names it.
const BROKEN: &[(&str, &str, &str)] = &[
    ("vendor", "nvidia\n", "gpu_unreadable"),
    ("device", "0x25b60000\n", "gpu_unreadable"),
    ("subsystem_device", "", "gpu_unreadable"),
    ("sriov_totalvfs", "-1\n", "gpu_unreadable"),
    ("sriov_numvfs", "two\n", "gpu_unreadable"),
    ("sriov_numvfs", "99999999\n", "gpu_unreadable"),
    ("sriov_drivers_autoprobe", "perhaps\n", "gpu_unreadable"),
    ("numa_node", "x\n", "gpu_unreadable"),
    ("resource", "0x5 0x4 0x200\n", "gpu_unreadable"),
    ("sriov_numvfs", "3\n", "count_contradiction"),
    ("sriov_numvfs", "0\n", "count_contradiction"),
];

#[test]
fn garbage_in_one_file_makes_that_gpu_unknown_and_leaves_the_other_as_it_is() {
    let healthy = observe(&two_gpus());
    for (name, text, code) in BROKEN {
        let tree = two_gpus();
        tree.attribute(gpu_address(0), name, text);
        let seen = observe(&tree);
        assert!(!seen.gpus[0].is_healthy(), "{name} {text:?}");
        assert_eq!(codes_of(&seen), BTreeSet::from([code.parse().expect("a code")]), "{name} {text:?}");
        assert_eq!(seen.gpus[1], healthy.gpus[1], "{name} {text:?}");
    }
}

#[test]
fn a_configuration_space_that_is_none_makes_the_gpu_unknown() {
    let tree = two_gpus();
    tree.bytes(&paths::config(gpu_address(0)), b"short");
    let seen = observe(&tree);
    assert!(!seen.gpus[0].is_healthy());
    assert!(codes_of(&seen).contains(&codes::GPU_UNREADABLE));
}

#[test]
fn the_reason_names_the_file_and_the_value() {
    let tree = two_gpus();
    tree.attribute(gpu_address(0), "sriov_numvfs", "two\n");
    let seen = observe(&tree);
    let GpuHealth::Unknown { reason } = &seen.gpus[0].health else { panic!("is healthy") };
    assert!(reason.contains("sriov_numvfs") && reason.contains("\"two\""), "{reason}");
}

#[test]
fn a_partition_that_is_linked_and_not_there_makes_its_gpu_unknown() {
    let tree = two_gpus();
    tree.remove(&paths::device(partition_address(0, 1)));
    let seen = observe(&tree);
    assert_eq!(codes_of(&seen), BTreeSet::from([codes::COUNT_CONTRADICTION]));
}

#[test]
fn a_gpu_that_hangs_is_unknown_and_the_others_are_reported() {
    for file in ["0000:41:00.0/sriov_numvfs", "0000:41:00.0/config"] {
        let mut kernel = Reacting::on(two_gpus());
        kernel.faults.hangs.insert(file);
        let seen = observer().observe_gpus(&kernel).expect("observes");
        assert_eq!(codes_of(&seen).first(), Some(&codes::GPU_HANGS), "{file}");
        assert_eq!((seen.gpus[0].is_healthy(), seen.gpus[1].is_healthy()), (false, true), "{file}");
    }
}

#[test]
fn a_gpu_that_fell_off_the_bus_is_unknown_and_keeps_its_id() {
    for length in [64, 4096] {
        let tree = two_gpus();
        let observer = observer();
        let before = observer.observe_gpus(&tree.sys()).expect("observes");
        tree.bytes(&paths::config(gpu_address(0)), &vec![0xff; length]);
        let after = observer.observe_gpus(&tree.sys()).expect("observes");
        assert_eq!(after.gpus[0].id, before.gpus[0].id);
        assert_eq!(codes_of(&after), BTreeSet::from([codes::GPU_LOST]));
    }
}

#[test]
fn a_serial_number_is_not_remembered_for_other_hardware_at_the_address() {
    let tree = two_gpus();
    let observer = observer();
    let before = observer.observe_gpus(&tree.sys()).expect("observes");
    tree.attribute(gpu_address(0), "device", "0x2236\n");
    tree.bytes(&paths::config(gpu_address(0)), &[0xff; 64]);
    let after = observer.observe_gpus(&tree.sys()).expect("observes");
    assert_ne!(after.gpus[0].id, before.gpus[0].id);
}

#[test]
fn a_serial_number_is_not_remembered_across_a_boot() {
    let tree = two_gpus();
    let observer = observer();
    let before = observer.observe_gpus(&tree.sys()).expect("observes");
    tree.file(paths::BOOT_ID, "11111111-7a55-4b1e-9c39-5f1f6a3b2c10\n");
    tree.bytes(&paths::config(gpu_address(0)), &[0xff; 64]);
    let after = observer.observe_gpus(&tree.sys()).expect("observes");
    assert_ne!(after.gpus[0].id, before.gpus[0].id);
}

#[test]
fn a_gpu_known_by_its_place_says_so() {
    for serial in [None, Some(0), Some(u64::MAX), Some(FIRST_SERIAL)] {
        let tree = two_gpus();
        tree.bytes(&paths::config(gpu_address(1)), &config_with_serial(serial));
        let seen = observe(&tree);
        assert_eq!(codes_of(&seen), BTreeSet::from([codes::GPU_IDENTITY_BY_SLOT]), "{serial:?}");
        assert_ne!(seen.gpus[0].id, seen.gpus[1].id, "{serial:?}");
    }
}

#[test]
fn a_gpu_that_shows_nothing_that_stays_is_not_reported_but_found() {
    for way in ["../../../devices/nowhere", "../../../devices/pci0000:40/0000:40:09.0/0000:49:00.0"] {
        let tree = Tree::server();
        tree.gpu(0);
        tree.bytes(&paths::config(gpu_address(0)), &config_with_serial(None));
        tree.remove(&paths::device(gpu_address(0)));
        tree.symlink("sys/devices/nowhere", "pci0000:40/0000:40:01.0/0000:41:00.0");
        tree.symlink("sys/devices/pci0000:40/0000:40:09.0/0000:49:00.0", "../0000:40:01.0/0000:41:00.0");
        tree.symlink(&paths::device(gpu_address(0)), way);
        let seen = observe(&tree);
        assert_eq!((seen.gpus.len(), codes_of(&seen)), (0, BTreeSet::from([codes::GPU_WITHOUT_IDENTITY])));
    }
}

#[test]
fn a_device_that_cannot_be_looked_at_is_found_and_stops_nobody() {
    for class in ["garbage\n", "0x1030200\n"] {
        let tree = two_gpus();
        tree.attribute(gpu_address(0), "class", class);
        let seen = observe(&tree);
        assert_eq!((seen.gpus.len(), codes_of(&seen)), (1, BTreeSet::from([codes::PCI_UNREADABLE])));
    }
}

#[test]
fn a_device_that_goes_away_meanwhile_is_no_finding() {
    let tree = two_gpus();
    tree.symlink("sys/bus/pci/devices/0000:50:00.0", "../../../devices/gone");
    let seen = observe(&tree);
    assert_eq!((seen.gpus.len(), seen.findings), (2, Vec::new()));
}

#[test]
fn where_processes_cannot_be_looked_at_no_partition_is_believed_closed() {
    for target in ["/dev/vfio/devices/vfio9", "/dev/vfio/devices/"] {
        let tree = two_gpus();
        tree.symlink("proc/41/fd/3", target);
        let seen = observe(&tree);
        assert_eq!(codes_of(&seen), BTreeSet::from([codes::OPEN_UNKNOWN]), "{target}");
        assert_eq!((seen.gpus[0].is_healthy(), seen.gpus[1].is_healthy()), (false, true), "{target}");
    }
}

#[test]
fn a_tree_that_is_not_mounted_is_an_error_and_not_an_empty_server() {
    let tree = Tree::server();
    tree.remove("sys");
    assert!(matches!(observer().observe_gpus(&tree.sys()), Err(ObserveError::Devices(_))));
}

#[test]
fn a_machine_without_a_pci_bus_has_no_gpus() {
    let tree = Tree::server();
    tree.remove("sys/bus/pci");
    assert_eq!(observe(&tree).gpus, []);
}

#[test]
fn without_a_boot_id_there_is_no_report() {
    let tree = Tree::server();
    tree.file(paths::BOOT_ID, "not an id\n");
    assert!(matches!(observer().observe_gpus(&tree.sys()), Err(ObserveError::BootIdMalformed { .. })));
    tree.remove(paths::BOOT_ID);
    assert!(matches!(observer().observe_gpus(&tree.sys()), Err(ObserveError::BootId(_))));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(32))]
    #[test]
    fn no_bytes_in_any_file_of_a_gpu_stop_the_look(
        which in 0_usize..12,
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
    ) {
        const FILES: [&str; 12] = [
            "vendor", "device", "subsystem_vendor", "subsystem_device", "class", "config", "resource",
            "sriov_totalvfs", "sriov_numvfs", "sriov_drivers_autoprobe", "numa_node", "driver_override",
        ];
        let tree = two_gpus();
        tree.bytes(&paths::attribute(gpu_address(0), FILES[which]), &bytes);
        let seen = observe(&tree);
        proptest::prop_assert!(seen.gpus.iter().any(|gpu| gpu.address == gpu_address(1) && gpu.is_healthy()));
    }
}
