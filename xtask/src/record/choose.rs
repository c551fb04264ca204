//! What belongs into a fixture: the GPUs with their functions and everything that shares a group with them or
//! stands above them, the drivers and modules that have to do with them, the IOMMU. Everything else of
//! the server stays where it is. How entries are read is not known here.

use std::collections::BTreeSet;

use super::tree::Recorder;

const DEVICES: &str = "sys/bus/pci/devices";
const DRIVERS: &str = "sys/bus/pci/drivers";
const GROUPS: &str = "sys/kernel/iommu_groups";

/// Drivers whose absence or presence says something, whether or not they have a GPU.
const KNOWN_DRIVERS: &[&str] =
    &["amdgpu", "gim", "i915", "nvidia", "pci-pf-stub", "vfio-pci", "xe", "xe-vfio-pci"];
const MODULES: &[&str] = &["amdgpu", "gim", "i915", "iommufd", "mdev", "nvidia", "vfio", "xe"];
const MODULE_FILES: &[&str] = &["version", "srcversion", "initstate", "refcnt", "taint"];

/// Folders of a device that a driver's interface for partitions is in.
const DEVICE_FOLDERS: &[&str] = &["nvidia", "mdev_supported_types", "sriov_admin", "vfio-dev", "iov"];

/// Beginnings of the words of the kernel's command line that are kept.
const WORDS: &[&str] = &[
    "amd_iommu",
    "amdgpu.",
    "gim.",
    "i915.",
    "intel_iommu",
    "iommu",
    "nvidia",
    "pci=",
    "pcie_acs",
    "vfio",
    "xe.",
];

/// Records everything that matters; how many GPUs there are.
pub fn record(tree: &mut Recorder) -> usize {
    let gpus = gpus(tree);
    let devices = with_relations(tree, &gpus);
    for device in &devices {
        record_device(tree, device);
    }
    record_buses(tree, &devices);
    record_drivers(tree, &devices);
    record_iommu(tree);
    record_modules(tree);
    record_mediated(tree);
    record_kernel(tree);
    gpus.len()
}

/// Physical functions that are GPUs by their class: VGA, 3D, other displays, accelerators.
fn gpus(tree: &Recorder) -> Vec<String> {
    let is_gpu = |name: &String| {
        let class = tree.text(&format!("{DEVICES}/{name}/class")).unwrap_or_default();
        let is_class = ["0x0300", "0x0302", "0x0380", "0x1200"].iter().any(|gpu| class.starts_with(gpu));
        is_class && !tree.is_there(&format!("{DEVICES}/{name}/physfn"))
    };
    tree.names(DEVICES).into_iter().filter(is_gpu).collect()
}

/// The GPUs, their partitions, the other functions of their boards, what shares a group with any of these,
/// and every bridge above.
fn with_relations(tree: &Recorder, gpus: &[String]) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = gpus.iter().cloned().collect();
    for name in tree.names(DEVICES) {
        let is_function = gpus.iter().any(|gpu| place(gpu) == place(&name));
        let physical = tree.target(&format!("{DEVICES}/{name}/physfn"));
        if is_function || gpus.iter().any(|gpu| physical.ends_with(&format!("/{gpu}"))) {
            found.insert(name);
        }
    }
    for name in found.clone() {
        let group = tree.target(&format!("{DEVICES}/{name}/iommu_group"));
        found.extend(tree.names(&format!("{group}/devices")));
    }
    for name in found.clone() {
        let way = tree.target(&format!("{DEVICES}/{name}"));
        let above = way.split('/').filter(|part| tree.is_there(&format!("{DEVICES}/{part}")));
        found.extend(above.map(str::to_owned));
    }
    found.retain(|name| tree.is_there(&format!("{DEVICES}/{name}")));
    found
}

/// An address without its function.
fn place(address: &str) -> &str {
    address.rsplit_once('.').map_or(address, |(place, _)| place)
}

fn record_device(tree: &mut Recorder, name: &str) {
    let link = format!("{DEVICES}/{name}");
    tree.entry(&link);
    let real = tree.target(&link);
    let inside = |path: &str| {
        let below: Vec<&str> = path.strip_prefix(&real).unwrap_or(path).split('/').skip(1).collect();
        let is_on_the_way = below.first() == Some(&"drm") && below.len() < 3;
        is_on_the_way || below.iter().any(|part| DEVICE_FOLDERS.contains(part))
    };
    tree.folder(&real, &inside);
}

fn record_buses(tree: &mut Recorder, devices: &BTreeSet<String>) {
    for folder in ["sys/bus", "sys/bus/pci", DEVICES, DRIVERS, "sys/devices"] {
        tree.entry(folder);
    }
    // All roots, also those without a GPU: a place is told by counting them.
    for name in tree.names("sys/devices").iter().filter(|name| name.starts_with("pci")) {
        tree.entry(&format!("sys/devices/{name}"));
    }
    for file in ["drivers_probe", "drivers_autoprobe", "rescan"] {
        tree.entry(&format!("sys/bus/pci/{file}"));
    }
    tree.folder("sys/bus/pci/slots", &|_| true);
    for name in tree.names("sys/class/drm") {
        let link = format!("sys/class/drm/{name}");
        if tree.target(&link).split('/').any(|part| devices.contains(part)) {
            tree.entry(&link);
        }
    }
}

fn record_drivers(tree: &mut Recorder, devices: &BTreeSet<String>) {
    let used = devices.iter().filter_map(|name| {
        let link = format!("{DEVICES}/{name}/driver");
        let driver = tree.target(&link);
        (driver != link).then(|| driver.rsplit('/').next().unwrap_or_default().to_owned())
    });
    let mut drivers: BTreeSet<String> = used.collect();
    drivers.extend(KNOWN_DRIVERS.iter().map(|name| (*name).to_owned()));
    for driver in drivers {
        let folder = format!("{DRIVERS}/{driver}");
        tree.entry(&folder);
        for name in tree.names(&folder) {
            let is_device = name.contains(':') && name != "module";
            if !is_device || devices.contains(&name) {
                tree.entry(&format!("{folder}/{name}"));
            }
        }
    }
}

fn record_iommu(tree: &mut Recorder) {
    tree.folder(GROUPS, &|_| true);
    tree.entry("sys/class/iommu");
    for name in tree.names("sys/class/iommu") {
        let link = format!("sys/class/iommu/{name}");
        tree.entry(&link);
        let real = tree.target(&link);
        tree.folder(&real, &|path| path.ends_with("/intel-iommu") || path.ends_with("/amd-iommu"));
    }
}

fn record_modules(tree: &mut Recorder) {
    for name in tree.names("sys/module") {
        if !MODULES.iter().any(|module| name == *module || name.starts_with(&format!("{module}_"))) {
            continue;
        }
        let folder = format!("sys/module/{name}");
        tree.entry(&folder);
        for file in MODULE_FILES {
            tree.entry(&format!("{folder}/{file}"));
        }
        tree.folder(&format!("{folder}/parameters"), &|_| false);
    }
}

fn record_mediated(tree: &mut Recorder) {
    for folder in ["sys/class/mdev_bus", "sys/bus/mdev/devices"] {
        tree.entry(folder);
        for name in tree.names(folder) {
            let link = format!("{folder}/{name}");
            tree.entry(&link);
            if folder == "sys/bus/mdev/devices" {
                let real = tree.target(&link);
                tree.folder(&real, &|path| path.ends_with("/nvidia"));
            }
        }
    }
}

fn record_kernel(tree: &mut Recorder) {
    tree.folder("proc/driver/nvidia", &|path| path.split('/').count() < 8);
    // The id of the boot is a UUID and is hidden as one.
    for file in ["osrelease", "random/boot_id", "tainted"] {
        tree.entry(&format!("proc/sys/kernel/{file}"));
    }
    tree.replaced("proc/cpuinfo", |text| {
        let vendor = text.lines().find(|line| line.starts_with("vendor_id")).unwrap_or_default();
        format!("{vendor}\n")
    });
    tree.replaced("proc/cmdline", |text| {
        let kept =
            text.split_ascii_whitespace().filter(|word| WORDS.iter().any(|start| word.starts_with(start)));
        kept.collect::<Vec<_>>().join(" ") + "\n"
    });
}
