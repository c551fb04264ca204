//! Every check refuses what it is there for, at least twice, and nothing else: each fixture is a server
//! where everything is as it should be, with one thing changed.

use std::collections::{BTreeMap, BTreeSet};

use divvy_core::id::PartitionIndex;
use nix::errno::Errno;

use super::*;
use crate::observe::{Observer, Settings as ObserveSettings};
use crate::testing::{
    Reacting, Tree, config_with_interrupts, config_with_serial, gpu_address as gpu_at, partition_address,
    partition_group,
};

/// One thing changed: the code that has to be found, what it is, and the change. Changes before the look
/// at the GPU are what the server is like, changes after it are what happened since.
struct Fixture {
    code: FindingCode,
    what: &'static str,
    before: fn(&Tree),
    after: fn(&Tree),
}

fn is(code: FindingCode, what: &'static str, before: fn(&Tree)) -> Fixture {
    Fixture { code, what, before, after: |_| () }
}

fn happened(code: FindingCode, what: &'static str, after: fn(&Tree)) -> Fixture {
    Fixture { code, what, before: |_| (), after }
}

fn denied(
    driver: Option<&'static str>,
    line: &'static str,
    fixed: &'static str,
    why: &'static str,
) -> Denied {
    Denied { driver: driver.map(Into::into), line: line.into(), fixed: fixed.into(), why: why.into() }
}

fn settings() -> Settings {
    Settings {
        denied: vec![
            denied(None, "5.3.", "5.3.18", "a hole"),
            denied(Some("simgpu"), "0.", "0.9.2", "another hole"),
        ]
        .into(),
        ..Settings::default()
    }
}

/// Everything that is found about the server, its GPU and its partition 1 before an assignment.
fn findings(before: fn(&Tree), after: fn(&Tree)) -> Vec<Finding> {
    let tree = Tree::with_partitions(2);
    before(&tree);
    let server = ServerId::new("edge-1").expect("a name");
    let seen = Observer::new(server.clone(), ObserveSettings::default());
    let seen = seen.observe_gpus(&tree.sys()).expect("observes");
    after(&tree);
    let (sys, settings) = (tree.sys(), settings());
    let mut found = server_findings(&sys, &server, &settings);
    let Some(gpu) = seen.gpus.first() else { return found };
    found.extend(gpu_findings(&sys, gpu, &settings));
    let partition = gpu.partition(PartitionIndex(1));
    found.extend(partition.map(|p| partition_findings(&sys, gpu, p, &settings)).into_iter().flatten());
    found
}

fn codes_in(findings: &[Finding]) -> BTreeSet<FindingCode> {
    findings.iter().map(|finding| finding.code.clone()).collect()
}

fn command_line(tree: &Tree, words: &str) {
    tree.file(paths::COMMAND_LINE, &format!("root=/dev/sda1 {words} quiet\n"));
}

fn of_server() -> Vec<Fixture> {
    vec![
        is(codes::HOOK_MISSING, "libvirt without the hook", |t| t.file("etc/libvirt/libvirtd.conf", "")),
        is(codes::HOOK_MISSING, "another hook in its place", |t| {
            t.file("etc/libvirt/hooks/qemu.d/divvy", "#!/bin/sh\nexit 0\n");
        }),
        is(codes::SLEEP_POSSIBLE, "sleep", |t| t.file("sys/power/state", "freeze mem\n")),
        is(codes::SLEEP_POSSIBLE, "hibernation", |t| t.file("sys/power/state", "disk\n")),
        is(codes::IOMMU_OFF_BY_OPTION, "intel_iommu=off", |t| command_line(t, "intel_iommu=off")),
        is(codes::IOMMU_OFF_BY_OPTION, "amd_iommu=fullflush,off", |t| {
            command_line(t, "amd_iommu=fullflush,off")
        }),
        is(codes::IOMMU_OFF_BY_OPTION, "iommu=off", |t| command_line(t, "iommu=off")),
        is(codes::VFIO_MISSING, "not loaded", |t| t.remove(&paths::pci_driver("vfio-pci"))),
        is(codes::VFIO_MISSING, "no drivers at all", |t| t.remove("sys/bus/pci/drivers")),
        is(codes::UNSAFE_INTERRUPTS, "type 1", |t| t.file(paths::UNSAFE_INTERRUPTS[0], "Y\n")),
        is(codes::UNSAFE_INTERRUPTS, "iommufd", |t| t.file(paths::UNSAFE_INTERRUPTS[1], "Y\n")),
        is(codes::INTERRUPT_REMAPPING_OFF, "off", |t| command_line(t, "intremap=off")),
        is(codes::INTERRUPT_REMAPPING_OFF, "nosid", |t| command_line(t, "intremap=on,nosid")),
        is(codes::UNSAFE_NOIOMMU, "parameter", |t| t.file(paths::UNSAFE_NOIOMMU, "1\n")),
        is(codes::UNSAFE_NOIOMMU, "file", |t| t.file("dev/vfio/noiommu-3", "")),
        is(codes::ACS_WEAKENED, "override", |t| {
            command_line(t, "pcie_acs_override=downstream,multifunction")
        }),
        is(codes::ACS_WEAKENED, "redirection", |t| {
            command_line(t, "pci=noaer,disable_acs_redir=0000:40:01.0")
        }),
        is(codes::ACS_WEAKENED, "flags", |t| {
            command_line(t, "pci=config_acs=x1@0000:40:01.0;10x@0000:40:02.0")
        }),
        is(codes::KERNEL_DENIED, "one", |t| t.file(paths::KERNEL_RELEASE, "5.3.17-190-generic\n")),
        is(codes::KERNEL_DENIED, "another", |t| t.file(paths::KERNEL_RELEASE, "5.3.1-rt\n")),
        is(codes::KERNEL_TAINTED, "oops", |t| t.file(paths::TAINTED, "128\n")),
        is(codes::KERNEL_TAINTED, "machine check", |t| t.file(paths::TAINTED, "12304\n")),
        is(codes::OTHER_AGENT, "udev rule", |t| {
            t.file("etc/udev/rules.d/50-x.rules", "# x\nACTION==\"add\", ATTR{sriov_numvfs}=\"4\"\n");
        }),
        is(codes::OTHER_AGENT, "unit", |t| {
            t.file(
                "etc/systemd/system/vf.service",
                "[Service]\nExecStart=/usr/lib/nvidia/sriov-manage -e ALL\n",
            );
        }),
        is(codes::OTHER_AGENT, "rc.local", |t| t.file("etc/rc.local", "echo 4 > /sys/x/sriov_numvfs\n")),
        is(codes::SERVER_UNREADABLE, "garbage", |t| t.file(paths::UNSAFE_NOIOMMU, "perhaps\n")),
        is(codes::SERVER_UNREADABLE, "missing", |t| t.remove(paths::COMMAND_LINE)),
        is(codes::SERVER_UNREADABLE, "not a number", |t| t.file(paths::TAINTED, "-1\n")),
    ]
}

/// Without any group the GPU's partitions have none either: more than one thing is wrong then.
fn iommu_off(tree: &Tree) {
    tree.remove("sys/kernel/iommu_groups");
    for address in [0, 1].map(|index| partition_address(0, index)).into_iter().chain([gpu_at(0)]) {
        tree.remove(&paths::iommu_group(address));
    }
}

fn of_gpu() -> Vec<Fixture> {
    vec![
        is(codes::GPU_WITHOUT_DRIVER, "of the catalogue", |t| t.remove(&paths::driver(gpu_at(0)))),
        is(codes::GPU_WITHOUT_DRIVER, "outside the catalogue", |t| {
            t.attribute(gpu_at(0), "vendor", "0x1234\n");
            t.remove(&paths::driver(gpu_at(0)));
        }),
        is(codes::GPU_ON_VFIO, "vfio-pci", |t| t.driver(gpu_at(0), "vfio-pci")),
        is(codes::GPU_ON_VFIO, "a variant", |t| t.driver(gpu_at(0), "xe-vfio-pci")),
        is(codes::DRIVER_WITHOUT_SRIOV, "nvidia", |t| t.driver(gpu_at(0), "nvidia")),
        is(codes::DRIVER_WITHOUT_SRIOV, "nouveau", |t| t.driver(gpu_at(0), "nouveau")),
        is(codes::DRIVER_DENIED, "one", |t| t.file("sys/module/simgpu/version", "0.9.1\n")),
        is(codes::DRIVER_DENIED, "another", |t| t.file("sys/module/simgpu/version", "0.9\n")),
        is(codes::WINDOWS_UNPLACED, "registers", |t| unplaced(t, 7)),
        is(codes::WINDOWS_UNPLACED, "memory", |t| unplaced(t, 9)),
        happened(codes::AUTOPROBE_ON, "1", |t| t.attribute(gpu_at(0), "sriov_drivers_autoprobe", "1\n")),
        happened(codes::AUTOPROBE_ON, "Y", |t| t.attribute(gpu_at(0), "sriov_drivers_autoprobe", "Y\n")),
        is(codes::FATAL_ERRORS, "one", |t| fatal(t, "Undefined 0\nTOTAL_ERR_FATAL 1\n")),
        is(codes::FATAL_ERRORS, "many", |t| fatal(t, "TOTAL_ERR_FATAL 4096\n")),
        is(codes::MDEVS_DEFINED, "one", |t| t.file("etc/mdevctl.d/0000:41:00.0/aa", "{}")),
        is(codes::MDEVS_DEFINED, "two", |t| {
            t.file("etc/mdevctl.d/0000:41:00.0/aa", "{}");
            t.file("etc/mdevctl.d/0000:41:00.0/bb", "{}");
        }),
        is(codes::GPU_UNREADABLE, "no total", |t| fatal(t, "Undefined 0\n")),
        is(codes::GPU_UNREADABLE, "no number", |t| fatal(t, "TOTAL_ERR_FATAL x\n")),
    ]
}

fn unplaced(tree: &Tree, number: usize) {
    let zero = "0x0 0x0 0x0\n".repeat(number);
    tree.attribute(gpu_at(0), "resource", &format!("{zero}0x0 0x3ffffff 0x2014220c\n"));
}

fn fatal(tree: &Tree, text: &str) {
    tree.attribute(gpu_at(0), "aer_dev_fatal", text);
}

fn vf() -> divvy_core::pci_address::PciAddress {
    partition_address(0, 1)
}

/// The file of the partition's group, or of itself, with this mode.
fn mode(tree: &Tree, folder: &str, mode: u32) {
    let name = if folder.is_empty() { partition_group(0, 1).to_string() } else { "vfio1".to_owned() };
    let path = format!("dev/vfio/{folder}{name}");
    tree.attribute(vf(), "vfio-dev/vfio1/dev", "511:1\n");
    tree.file(&path, "");
    tree.mode(&path, mode);
}

/// The GPU is one of Intel's xe, and its second partition has this of its memory.
fn share_of_memory(tree: &Tree, text: &str) {
    tree.driver(gpu_at(0), "xe");
    tree.file(&format!("{}/vf2/profile/vram_quota", paths::sriov_admin(gpu_at(0))), text);
}

fn of_partition() -> Vec<Fixture> {
    vec![
        is(codes::PARTITION_SHARE_LOST, "ever", |t| share_of_memory(t, "0\n")),
        Fixture {
            code: codes::PARTITION_SHARE_LOST,
            what: "since",
            before: |t| share_of_memory(t, "2147483648\n"),
            after: |t| share_of_memory(t, "0\n"),
        },
        happened(codes::GPU_REPLACED, "serial number", |t| {
            t.bytes(&paths::config(gpu_at(0)), &config_with_serial(Some(7)));
        }),
        happened(codes::GPU_REPLACED, "lost", |t| t.bytes(&paths::config(gpu_at(0)), &[0xff; 4096])),
        happened(codes::GPU_REPLACED, "no serial number", |t| {
            t.bytes(&paths::config(gpu_at(0)), &config_with_serial(None));
        }),
        happened(codes::PARTITION_MOVED, "of another GPU", |t| {
            t.symlink(&paths::physical_function(vf()), "../0000:42:00.0");
        }),
        happened(codes::PARTITION_MOVED, "of another index", |t| {
            t.symlink(&paths::virtual_function(gpu_at(0), PartitionIndex(1)), "../0000:41:00.6");
        }),
        happened(codes::COUNT_CONTRADICTION, "number", |t| t.attribute(gpu_at(0), "sriov_numvfs", "3\n")),
        happened(codes::COUNT_CONTRADICTION, "links", |t| {
            t.remove(&paths::virtual_function(gpu_at(0), PartitionIndex(0)));
        }),
        happened(codes::VFIO_FILE_OPEN_TO_OTHERS, "group", |t| mode(t, "", 0o660)),
        happened(codes::VFIO_FILE_OPEN_TO_OTHERS, "file of the device", |t| mode(t, "devices/", 0o606)),
        happened(codes::NO_IOMMU_GROUP, "since", |t| t.remove(&paths::iommu_group(vf()))),
        is(codes::NO_IOMMU_GROUP, "ever", |t| t.remove(&paths::iommu_group(vf()))),
        is(codes::NOT_ISOLATED, "with another partition", |t| share(t, "0000:41:00.6")),
        is(codes::NOT_ISOLATED, "with what cannot be looked at", |t| share(t, "0000:50:00.0")),
        happened(codes::PARTITION_OPEN, "by one", |t| t.open_group(41, partition_group(0, 1))),
        happened(codes::PARTITION_OPEN, "by two", |t| {
            t.open_group(41, partition_group(0, 1));
            t.open_group(42, partition_group(0, 1));
        }),
        happened(codes::OPEN_UNKNOWN, "unknown device", |t| {
            t.symlink("proc/9/fd/3", "/dev/vfio/devices/vfio9")
        }),
        happened(codes::OPEN_UNKNOWN, "no processes", |t| t.symlink("proc/9/fd/3", "/dev/vfio/devices/x")),
        is(codes::NO_RESET, "ever", |t| t.remove(&paths::reset(vf()))),
        happened(codes::NO_RESET, "since", |t| t.remove(&paths::reset(vf()))),
        is(codes::PARTITION_RESET_IN_USE, "MSI-X", |t| reset_in_use(t, "msix")),
        is(codes::PARTITION_RESET_IN_USE, "MSI", |t| reset_in_use(t, "msi")),
        is(codes::RESET_UNPROVEN, "bus", |t| t.attribute(vf(), "reset_method", "bus\n")),
        is(codes::RESET_UNPROVEN, "pm before flr", |t| t.attribute(vf(), "reset_method", "pm flr\n")),
        is(codes::RESET_UNPROVEN, "not told", |t| t.remove(&paths::reset_method(vf()))),
        is(codes::PARTITION_SILENT, "ever", |t| t.bytes(&paths::config(vf()), &[0xff; 4096])),
        happened(codes::PARTITION_SILENT, "since", |t| t.bytes(&paths::config(vf()), &[0xff; 64])),
        is(codes::DRIVER_NOT_VFIO, "another", |t| t.driver(vf(), "simvf")),
        is(codes::DRIVER_NOT_VFIO, "none", |t| t.remove(&paths::driver(vf()))),
        is(codes::NOT_KEPT_FOR_VFIO, "for nobody", |t| t.attribute(vf(), "driver_override", "(null)\n")),
        is(codes::NOT_KEPT_FOR_VFIO, "for another", |t| t.attribute(vf(), "driver_override", "simvf\n")),
        happened(codes::PARTITION_UNREADABLE, "config", |t| t.bytes(&paths::config(vf()), b"short")),
        happened(codes::PARTITION_UNREADABLE, "group", |t| {
            t.symlink(&paths::iommu_group(vf()), "../../../../kernel/iommu_groups/x");
        }),
    ]
}

#[test]
fn a_server_where_everything_is_as_it_should_be_has_no_findings() {
    assert_eq!(findings(|_| (), |_| ()), []);
}

#[test]
fn each_thing_that_is_wrong_is_found_under_its_code_and_under_no_other() {
    for fixture in of_server().into_iter().chain(of_gpu()).chain(of_partition()) {
        let Fixture { code, what, before, after } = fixture;
        let found = findings(before, after);
        assert!(codes_in(&found).contains(&code), "{code}: {what}: {found:?}");
        let others = codes_in(&found).into_iter().filter(|other| *other != code && !follows(&code, other));
        assert_eq!(others.collect::<Vec<_>>(), [], "{code}: {what}");
    }
}

/// What cannot but come with another thing.
fn follows(cause: &FindingCode, effect: &FindingCode) -> bool {
    (*cause == codes::PARTITION_UNREADABLE && *effect == codes::OPEN_UNKNOWN)
        || (*cause == codes::PARTITION_RESET_IN_USE && *effect == codes::PARTITION_OPEN)
}

/// A VM uses the partition, and its interrupts are off while the kernel has some of this kind.
fn reset_in_use(tree: &Tree, kind: &str) {
    tree.open_group(41, partition_group(0, 1));
    tree.attribute(vf(), "msi_irqs/33", &format!("{kind}\n"));
    tree.bytes(&paths::config(vf()), &config_with_interrupts(false, false));
}

#[test]
fn a_partition_in_use_with_its_interrupts_on_or_without_any_was_left_alone() {
    let on: fn(&Tree) = |tree| {
        reset_in_use(tree, "msix");
        tree.bytes(&paths::config(vf()), &config_with_interrupts(false, true));
    };
    let without: fn(&Tree) = |tree| {
        reset_in_use(tree, "msix");
        tree.remove(&paths::attribute(vf(), "msi_irqs/33"));
    };
    for before in [on, without] {
        assert_eq!(codes_in(&findings(before, |_| ())), BTreeSet::from([codes::PARTITION_OPEN]));
    }
}

#[test]
fn ways_to_reset_that_were_switched_off_are_switched_on_again() {
    let found = findings(|_| (), |tree| tree.attribute(vf(), "reset_method", ""));
    let mend = found.iter().find(|finding| finding.code == codes::NO_RESET).map(|finding| &finding.mend);
    assert!(mend.is_some_and(|mend| mend.contains("echo default > /sys/bus/pci/")), "{mend:?}");
}

#[test]
fn an_iommu_that_is_off_is_found() {
    for before in [iommu_off as fn(&Tree), |tree: &Tree| {
        iommu_off(tree);
        tree.dir(paths::IOMMU_GROUPS);
    }] {
        assert!(codes_in(&findings(before, |_| ())).contains(&codes::IOMMU_OFF));
    }
}

#[test]
fn sriov_that_the_firmware_keeps_off_is_found() {
    let gone: fn(&Tree) = |tree| {
        tree.gpu(0);
        tree.remove(&paths::total_vfs(gpu_at(0)));
    };
    let zero: fn(&Tree) = |tree| tree.attribute(gpu_at(0), "sriov_totalvfs", "0\n");
    for before in [gone, zero] {
        let found = findings(before, |_| ());
        let finding = found.iter().find(|finding| finding.code == codes::SRIOV_OFF).expect("is found");
        assert!(finding.mend.contains("Above 4G Decoding"), "{}", finding.mend);
    }
}

#[test]
fn a_model_whose_partitions_are_not_virtual_functions_needs_no_sriov() {
    let t4: fn(&Tree) = |tree| {
        tree.gpu(0);
        tree.remove(&paths::total_vfs(gpu_at(0)));
        tree.attribute(gpu_at(0), "device", "0x1eb8\n");
    };
    assert!(!codes_in(&findings(t4, |_| ())).contains(&codes::SRIOV_OFF));
}

#[test]
fn a_partition_that_is_gone_is_found_and_nothing_else_is_said_of_it() {
    let dangling: fn(&Tree) = |tree| tree.remove(&paths::device(vf()));
    let renumbered: fn(&Tree) = |tree| {
        tree.remove(&paths::device(vf()));
        tree.symlink(&paths::virtual_function(gpu_at(0), PartitionIndex(1)), "../0000:41:01.7");
    };
    for after in [dangling, renumbered] {
        let codes = codes_in(&findings(|_| (), after));
        assert!(codes.contains(&codes::PARTITION_GONE), "{codes:?}");
        assert!(!codes.contains(&codes::DRIVER_NOT_VFIO), "{codes:?}");
    }
}

#[test]
fn every_check_of_a_table_has_at_least_two_fixtures_that_it_refuses() {
    let elsewhere = [codes::IOMMU_OFF, codes::SRIOV_OFF, codes::PARTITION_GONE];
    let mut times: BTreeMap<FindingCode, usize> = BTreeMap::new();
    for fixture in of_server().into_iter().chain(of_gpu()).chain(of_partition()) {
        *times.entry(fixture.code).or_default() += 1;
    }
    let server = server::checks().map(|row| row.code).into_iter();
    let gpu = gpu::checks().map(|row| row.code).into_iter();
    let partition = partition::is_it().into_iter().chain(partition::resting()).chain(partition::assigning());
    for code in server.chain(gpu).chain(partition.map(|row| row.code)) {
        let refused = times.get(&code).copied().unwrap_or(0);
        assert!(refused >= 2 || elsewhere.contains(&code), "{code} has {refused}");
    }
}

#[test]
fn a_free_partition_that_is_not_prepared_yet_is_fit_at_rest() {
    let tree = Tree::with_partitions(2);
    tree.remove(&paths::driver(vf()));
    tree.attribute(vf(), "driver_override", "(null)\n");
    let server = ServerId::new("edge-1").expect("a name");
    let seen = Observer::new(server, ObserveSettings::default()).observe_gpus(&tree.sys()).expect("observes");
    let gpu = &seen.gpus[0];
    assert_eq!(resting_partition_findings(&tree.sys(), gpu, &settings()), []);
}

#[test]
fn a_gpu_is_asked_once_for_all_its_partitions_and_anew_in_every_round() {
    let tree = Tree::with_partitions(2);
    let server = ServerId::new("edge-1").expect("a name");
    let seen = Observer::new(server, ObserveSettings::default()).observe_gpus(&tree.sys()).expect("observes");
    let sys = Reacting::on(tree);
    // Asked a second time, it would answer.
    sys.faults.fails_first.lock().expect("whole").insert("virtfn1", (Errno::EIO, 1));
    let round = || resting_partition_findings(&sys, &seen.gpus[0], &settings());
    let texts: Vec<String> = round().into_iter().map(|finding| finding.text).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    let said = "cannot be checked for count_contradiction";
    assert!(texts.iter().all(|text| text.contains(said) && text.contains("virtfn1")), "{texts:?}");
    assert_eq!(round(), []);
}

#[test]
fn what_takes_isolation_away_can_be_accepted_and_what_breaks_it_cannot() {
    let severity = |code: &FindingCode| {
        let server = server::checks().into_iter().map(|row| (row.code, row.severity));
        let partition = partition::resting().into_iter().map(|row| (row.code, row.severity));
        server.chain(partition).find(|(found, _)| found == code).map(|(_, severity)| severity)
    };
    for code in [codes::UNSAFE_INTERRUPTS, codes::ACS_WEAKENED, codes::UNSAFE_NOIOMMU, codes::RESET_UNPROVEN]
    {
        assert_eq!(severity(&code), Some(Severity::NeedsAccept), "{code}");
    }
    for code in [codes::IOMMU_OFF, codes::VFIO_MISSING, codes::NOT_ISOLATED, codes::NO_RESET] {
        assert_eq!(severity(&code), Some(Severity::Error), "{code}");
    }
}

#[test]
fn a_hook_that_asks_divvyd_and_a_masked_sleep_are_no_finding() {
    let found = findings(
        |tree| {
            tree.file("etc/libvirt/hooks/qemu.d/divvy", "#!/bin/sh\nexec divvyd --libvirt-hook \"$@\"\n");
            tree.file("sys/power/state", "mem disk\n");
            tree.dir("etc/systemd/system");
            tree.symlink("etc/systemd/system/sleep.target", "/dev/null");
        },
        |_| (),
    );
    assert_eq!(found, []);
}

#[test]
fn options_that_keep_the_isolation_are_no_finding() {
    for words in [
        "intel_iommu=on,sm_on iommu=pt",
        "pci=noaer,realloc intremap=on",
        "pci=config_acs=11x@0000:40:01.0",
        "-- iommu=off",
        "notiommu=off",
    ] {
        let tree = Tree::server();
        command_line(&tree, words);
        let server = ServerId::new("edge-1").expect("a name");
        assert_eq!(server_findings(&tree.sys(), &server, &settings()), [], "{words}");
    }
}

fn share(tree: &Tree, other: &str) {
    let members = paths::group_members(partition_group(0, 1));
    tree.symlink(&format!("{members}/{other}"), "../../../../devices/x");
}

#[test]
fn a_gpu_that_processes_use_is_good_to_know_and_divvys_own_look_at_it_is_not() {
    let tree = Tree::with_partitions(0);
    tree.dir(&paths::attribute(gpu_at(0), "drm/card1"));
    for pid in [41, 42] {
        tree.symlink(&format!("proc/{pid}/fd/3"), "/dev/dri/card1");
    }
    tree.symlink(paths::OWN_PROCESS, "41");
    let seen = Observer::new(ServerId::new("edge-1").expect("a name"), ObserveSettings::default());
    let gpus = seen.observe_gpus(&tree.sys()).expect("observes").gpus;
    let texts =
        || use_findings(&tree.sys(), &gpus).into_iter().map(|finding| finding.text).collect::<Vec<_>>();
    let told = texts();
    assert!(
        matches!(&told[..], [text] if text.ends_with("is in use on the server by process 42")),
        "{told:?}"
    );
    tree.remove("proc/42");
    assert_eq!(texts(), [""; 0]);
}
