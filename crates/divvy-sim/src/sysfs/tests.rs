//! Modes, formats, links and configuration space, as a reader of the tree sees them. What writes do is
//! tested elsewhere.

use divvy_host::sysfs::Sysfs;

use crate::testing::{GPU, errno, file, gpu_file, group, partition, read, server, server_with, set_count};

const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const EINVAL: i32 = 22;

const VF: &str = "0000:41:00.4";

#[test]
fn modes_count_for_root_in_sysfs() {
    let sysfs = server().sysfs();
    assert_eq!(errno(sysfs.write(&gpu_file("vendor"), "0x1234")), EACCES);
    assert_eq!(errno(sysfs.write(&gpu_file("sriov_totalvfs"), "4")), EACCES);
    assert_eq!(errno(sysfs.read(&gpu_file("reset"))), EACCES);
    assert_eq!(errno(sysfs.read("sys/bus/pci/drivers/vfio-pci/bind")), EACCES);
    assert_eq!(errno(sysfs.write("proc/sys/kernel/random/boot_id", "x")), EACCES);
}

#[test]
fn a_read_only_file_in_proc_opens_for_root_and_refuses_the_write() {
    assert_eq!(errno(server().sysfs().write("proc/cmdline", "x")), EIO);
}

#[test]
fn what_is_missing_is_enoent_for_every_verb() {
    let sysfs = server().sysfs();
    let path = gpu_file("no_such_file");
    assert_eq!(errno(sysfs.read(&path)), ENOENT);
    assert_eq!(errno(sysfs.write(&path, "1")), ENOENT);
    assert_eq!(errno(sysfs.list(&path)), ENOENT);
    assert_eq!(errno(sysfs.link(&path)), ENOENT);
    assert!(!sysfs.exists(&path));
}

#[test]
fn folders_files_and_links_refuse_the_wrong_verb() {
    let sysfs = server().sysfs();
    assert_eq!(errno(sysfs.read("sys/bus/pci/devices")), EISDIR);
    assert_eq!(errno(sysfs.write("sys/bus/pci/devices", "1")), EISDIR);
    assert_eq!(errno(sysfs.list(&gpu_file("vendor"))), ENOTDIR);
    assert_eq!(errno(sysfs.link(&gpu_file("vendor"))), EINVAL);
    assert_eq!(errno(sysfs.read("dev/vfio/vfio")), EINVAL);
}

#[test]
fn links_say_what_the_kernels_links_say() {
    let sysfs = server().sysfs();
    partition(&sysfs, 5);
    for (path, target) in [
        (
            format!("sys/bus/pci/devices/{GPU}"),
            "../../../devices/pci0000:40/0000:40:01.0/0000:41:00.0".to_owned(),
        ),
        (gpu_file("driver"), "../../../../bus/pci/drivers/simgpu".to_owned()),
        (gpu_file("virtfn0"), "../0000:41:00.4".to_owned()),
        (gpu_file("virtfn4"), "../0000:41:01.0".to_owned()),
        (file("0000:41:01.0", "physfn"), "../0000:41:00.0".to_owned()),
        (file(VF, "iommu_group"), format!("../../../../kernel/iommu_groups/{}", group(&sysfs, VF))),
    ] {
        assert_eq!(sysfs.link(&path).expect("a link"), target, "{path}");
    }
}

#[test]
fn a_gpu_shows_its_limits_in_the_kernels_formats() {
    let sysfs = server().sysfs();
    for (name, text) in [
        ("sriov_totalvfs", "16\n"),
        ("sriov_numvfs", "0\n"),
        ("sriov_offset", "4\n"),
        ("sriov_stride", "1\n"),
        ("sriov_vf_device", "25b6\n"),
        ("sriov_vf_total_msix", "0\n"),
        ("vendor", "0x10de\n"),
        ("device", "0x25b6\n"),
        ("subsystem_device", "0x157e\n"),
        ("class", "0x030200\n"),
        ("numa_node", "0\n"),
        ("reset_method", "flr bus\n"),
    ] {
        assert_eq!(read(&sysfs, &gpu_file(name)), text, "{name}");
    }
}

#[test]
fn a_partition_has_no_files_of_a_gpu_and_no_model_of_its_own() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    assert!(!sysfs.exists(&file(VF, "sriov_numvfs")) && !sysfs.exists(&file(VF, "sriov_totalvfs")));
    assert_eq!(read(&sysfs, &file(VF, "subsystem_device")), "0x0000\n");
    assert_eq!(read(&sysfs, &file(VF, "device")), "0x25b6\n");
}

#[test]
fn every_partition_has_a_group_of_its_own() {
    let sysfs = server().sysfs();
    partition(&sysfs, 16);
    let folder = format!("sys/kernel/iommu_groups/{}/devices", group(&sysfs, VF));
    assert_eq!(sysfs.list(&folder).expect("listed"), [VF]);
}

#[test]
fn without_isolation_a_gpu_its_partitions_and_its_bridge_share_a_group() {
    let sysfs = server_with(|spec| spec.functions[3].isolated = false).sysfs();
    partition(&sysfs, 2);
    let folder = format!("sys/kernel/iommu_groups/{}/devices", group(&sysfs, VF));
    let members = sysfs.list(&folder).expect("listed");
    assert_eq!(members, ["0000:40:01.0", GPU, VF, "0000:41:00.5"]);
}

/// Follows the chain of extended capabilities.
fn extended(config: &[u8], wanted: u16) -> Option<usize> {
    let long = |at: usize| u32::from_le_bytes(config[at..at + 4].try_into().expect("four bytes"));
    let mut at = 0x100;
    while at != 0 {
        let header = long(at);
        if header as u16 == wanted {
            return Some(at);
        }
        at = (header >> 20) as usize;
    }
    None
}

#[test]
fn the_serial_number_is_in_the_chain_of_extended_capabilities() {
    let server = server();
    let config = server.sysfs().read(&gpu_file("config")).expect("read");
    let at = extended(&config, 3).expect("a serial number");
    let serial = u64::from_le_bytes(config[at + 4..at + 12].try_into().expect("eight bytes"));
    assert_eq!(serial, server.gpus()[0].serial);
    assert_eq!(config.len(), 4096);
}

#[test]
fn the_capability_says_what_sysfs_says() {
    let sysfs = server().sysfs();
    set_count(&sysfs, "4").expect("made");
    let config = sysfs.read(&gpu_file("config")).expect("read");
    let at = extended(&config, 0x10).expect("SR-IOV");
    let word = |offset: usize| u16::from_le_bytes([config[at + offset], config[at + offset + 1]]);
    assert_eq!((word(0x0e), word(0x10), word(0x14), word(0x16)), (16, 4, 4, 1));
}

#[test]
fn a_partitions_configuration_answers_ffff_for_its_vendor() {
    let sysfs = server().sysfs();
    partition(&sysfs, 1);
    let config = sysfs.read(&file(VF, "config")).expect("read");
    assert_eq!(config[..4], [0xff; 4]);
    assert_eq!(config[8..12], [0xa1, 0x00, 0x02, 0x03]);
    assert_eq!(extended(&config, 3), None);
    assert_eq!(read(&sysfs, &file(VF, "vendor")), "0x10de\n");
}

#[test]
fn windows_do_not_overlap() {
    let sysfs = server().sysfs();
    partition(&sysfs, 16);
    let mut ranges = Vec::new();
    for name in sysfs.list("sys/bus/pci/devices").expect("listed") {
        let text = read(&sysfs, &file(&name, "resource"));
        // Lines 7 to 12 are the windows of the partitions, which have them in their own files too.
        for line in text.lines().take(7) {
            let number = |text: &str| u64::from_str_radix(&text[2..], 16).expect("a number");
            let words: Vec<u64> = line.split(' ').map(number).collect();
            if words[2] != 0 {
                ranges.push((words[0], words[1]));
            }
        }
    }
    ranges.sort_unstable();
    assert_eq!(ranges.len(), 1 + 3 + 16 * 3);
    assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:x?}");
}

#[test]
fn the_server_shows_memory_command_line_and_modules() {
    let sysfs = server().sysfs();
    assert!(read(&sysfs, "proc/cmdline").contains("intel_iommu=on"));
    assert!(read(&sysfs, "proc/meminfo").starts_with("MemTotal:       234881024 kB\n"));
    assert_eq!(read(&sysfs, "sys/module/simgpu/version"), "1.4.0\n");
    assert_eq!(sysfs.list("sys/class/iommu").expect("listed"), ["dmar0"]);
    assert_eq!(read(&sysfs, "sys/bus/pci/slots/1/address"), "0000:41:00\n");
}

#[test]
fn interrupt_safety_can_be_switched() {
    let sysfs = server().sysfs();
    let path = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
    assert_eq!(read(&sysfs, path), "N\n");
    sysfs.write(path, "1").expect("written");
    assert_eq!(read(&sysfs, path), "Y\n");
}

#[test]
fn numa_node_takes_the_nodes_that_there_are() {
    let sysfs = server().sysfs();
    sysfs.write(&gpu_file("numa_node"), "-1").expect("written");
    assert_eq!(read(&sysfs, &gpu_file("numa_node")), "-1\n");
    assert_eq!(errno(sysfs.write(&gpu_file("numa_node"), "7")), EINVAL);
}

#[test]
fn uevent_names_the_function_and_takes_actions_alone() {
    let sysfs = server().sysfs();
    let text = read(&sysfs, &gpu_file("uevent"));
    assert!(text.starts_with("DRIVER=simgpu\nPCI_CLASS=30200\nPCI_ID=10DE:25B6\n"), "{text}");
    sysfs.write(&gpu_file("uevent"), "add").expect("an action");
    assert_eq!(errno(sysfs.write(&gpu_file("uevent"), "dance")), EINVAL);
}

#[test]
fn the_configuration_of_a_locked_down_kernel_cannot_be_written() {
    assert_eq!(errno(server().sysfs().write(&gpu_file("config"), "x")), 1);
}
