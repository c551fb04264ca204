//! For the tests of AMD's scheme: GPUs whose count is a parameter of their driver's module.

use divvy_core::pci_address::PciAddress;

use super::{Reacting, Tree, gpu_address};
use crate::paths;
use crate::sysfs::Sysfs;

const MODES: &[&str] = &["SPX", "DPX", "QPX", "CPX"];

/// As many GPUs, on their driver, with these counts.
pub fn with(counts: &[u16]) -> Reacting {
    let tree = Tree::server();
    for (nth, _) in (0_u8..).zip(counts) {
        tree.gpu(nth);
        tree.attribute(gpu_address(nth), "vendor", "0x1002\n");
        tree.attribute(gpu_address(nth), "device", "0x74a1\n");
    }
    tree.file(paths::GIM_CONFIG, "vf_num=1\n");
    let numbers: Vec<String> = counts.iter().map(u16::to_string).collect();
    load(&tree, &numbers.join(","));
    Reacting::on(tree)
}

fn entry(gpu: PciAddress) -> String {
    format!("{}/{gpu}", paths::pci_driver(paths::GIM))
}

fn gpus(tree: &Tree) -> impl Iterator<Item = PciAddress> {
    (0..8).map(gpu_address).filter(|gpu| tree.sys().exists(&paths::device(*gpu)))
}

fn load(tree: &Tree, numbers: &str) {
    let mut numbers = numbers.split(',').map(|number| number.parse::<u16>().expect("a number"));
    for gpu in gpus(tree) {
        let count = numbers.next().unwrap_or(1);
        tree.driver(gpu, paths::GIM);
        tree.symlink(&entry(gpu), "../../../../devices/x");
        if count > 0 {
            tree.make_partitions(gpu, count);
        }
        let listed: Vec<String> =
            MODES.iter().enumerate().map(|(index, mode)| format!("{index}: {mode}")).collect();
        tree.attribute(gpu, "accelerator_partition_profile_config", &format!("{}\n", listed.join("\n")));
        tree.attribute(gpu, "accelerator_partition_profile", "0\n");
        tree.attribute(gpu, "spatial_partition_mode", "SPX\n");
        tree.attribute(gpu, "memory_partition_mode", "NPS1\n");
    }
}

/// `modprobe`.
pub fn modprobe(tree: &Tree, args: &[&str]) {
    match args {
        ["-r", "gim"] => {
            for gpu in gpus(tree) {
                tree.remove_partitions(gpu);
                tree.remove(&paths::driver(gpu));
                tree.remove(&entry(gpu));
            }
        }
        ["gim", parameter] => load(tree, parameter.strip_prefix("vf_num=").expect("counts")),
        _ => panic!("modprobe {args:?}"),
    }
}

/// What a mode's file does when it is written.
pub fn write(tree: &Tree, path: &str, value: &str) {
    tree.file(path, &format!("{value}\n"));
    if let Some(folder) = path.strip_suffix("accelerator_partition_profile") {
        let mode = value.parse::<usize>().ok().and_then(|index| MODES.get(index)).unwrap_or(&"SPX");
        tree.file(&format!("{folder}spatial_partition_mode"), &format!("{mode}\n"));
    }
}
