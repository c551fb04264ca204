//! For the tests of NVIDIA's schemes: the files of its driver on the virtual functions of the fake tree,
//! and the rule by which the driver makes partitions: the first one fixes the size.

use std::io;

use divvy_core::device::MdevUuid;
use divvy_core::gpu::Scheme;
use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;
use nix::errno::Errno;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Program, Tree, gpu_address, partition_address};
use crate::paths;
use crate::sysfs::Sysfs;

/// Number, name, GiB, how many there can be.
pub type TypeRow = (u32, &'static str, u32, u16);

/// An A2 has these, in two series.
pub const A2: &[TypeRow] = &[
    (742, "NVIDIA A2-1B", 1, 16),
    (745, "NVIDIA A2-1Q", 1, 16),
    (746, "NVIDIA A2-2Q", 2, 8),
    (747, "NVIDIA A2-4Q", 4, 4),
    (748, "NVIDIA A2-8Q", 8, 2),
    (749, "NVIDIA A2-16Q", 16, 1),
    (755, "NVIDIA A2-4C", 4, 4),
];
pub const A2_FUNCTIONS: u16 = 16;

/// What the first GPU's driver is.
pub struct Nvidia {
    pub interface: Scheme,
    pub types: &'static [TypeRow],
    /// The list as NVIDIA's guide has it.
    pub number_last: bool,
    pub has_ecc: bool,
    pub mig: Mutex<Mig>,
}

/// The parts that a GPU is cut into.
#[derive(Debug, Clone, Default)]
pub struct Mig {
    pub is_on: bool,
    /// Profiles, by their numbers.
    pub parts: Vec<u32>,
    /// Sizes may be mixed.
    pub is_mixed: bool,
}

/// Of an H100: number, sevenths, how many there can be, GiB of memory.
const PROFILES: &[(u32, u32, u16, u32)] =
    &[(19, 1, 7, 10), (15, 1, 4, 20), (14, 2, 3, 20), (9, 3, 2, 40), (5, 4, 1, 40), (0, 7, 1, 80)];
pub const H100_PARTS: &[TypeRow] = &[
    (1, "NVIDIA H100-80C", 80, 1),
    (2, "NVIDIA H100-10C", 10, 8),
    (11, "NVIDIA H100-1-10C", 10, 7),
    (12, "NVIDIA H100-1-20C", 20, 4),
    (13, "NVIDIA H100-2-20C", 20, 3),
    (14, "NVIDIA H100-3-40C", 40, 2),
    (15, "NVIDIA H100-7-80C", 80, 1),
];

impl Nvidia {
    pub fn a2(interface: Scheme) -> Self {
        Self { interface, types: A2, number_last: false, has_ecc: false, mig: Mutex::default() }
    }

    /// A GPU that can be cut into parts.
    pub fn h100(is_on: bool) -> Self {
        let mig = Mutex::new(Mig { is_on, ..Mig::default() });
        Self { interface: Scheme::NvidiaMig, types: H100_PARTS, number_last: false, has_ecc: false, mig }
    }

    fn mig(&self) -> MutexGuard<'_, Mig> {
        self.mig.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With its ECC mode so.
    pub fn with_ecc(self, has_ecc: bool) -> Self {
        Self { has_ecc, ..self }
    }

    /// What `nvidia-smi` says of the MIG mode and of the ECC mode.
    pub fn modes(&self) -> String {
        let mig = match (self.interface, self.mig().is_on) {
            (Scheme::NvidiaMig, true) => "Enabled",
            (Scheme::NvidiaMig, false) => "Disabled",
            _ => "[N/A]",
        };
        format!("{mig}, {}\n", if self.has_ecc { "Enabled" } else { "Disabled" })
    }

    /// The driver takes the first GPU; functions come later, unless there are none.
    pub fn take(&self, tree: &Tree) {
        let gpu = gpu_address(0);
        tree.driver(gpu, "nvidia");
        tree.file(&paths::bind("nvidia"), "");
        if self.interface == Scheme::NvidiaMdevPf {
            for name in ["sriov_totalvfs", "sriov_numvfs", "sriov_drivers_autoprobe"] {
                tree.remove(&paths::attribute(gpu, name));
            }
            self.mdev_types(tree, gpu);
        }
    }

    pub fn enable(&self, tree: &Tree) {
        let gpu = gpu_address(0);
        tree.make_partitions(gpu, A2_FUNCTIONS);
        tree.attribute(gpu, "sriov_drivers_autoprobe", "1\n");
        for index in 0..A2_FUNCTIONS {
            let function = partition_address(0, index);
            tree.driver(function, "nvidia");
            match self.interface {
                Scheme::NvidiaMdev => self.mdev_types(tree, function),
                _ => tree.file(&paths::current_type(function), "0\n"),
            }
        }
        self.show_offers(tree);
    }

    /// `sriov-manage` and `nvidia-smi`.
    pub fn run(&self, tree: &Tree, does: Program, name: &str, args: &[&str]) -> String {
        let gpu = gpu_address(0);
        assert!(args.contains(&gpu.to_string().as_str()), "{name} {args:?}");
        if name == "nvidia-smi" {
            return self.smi(tree, args);
        }
        self.mig().parts.clear();
        self.mig().is_mixed = false;
        if args[0] == "-d" {
            tree.remove_partitions(gpu);
            return String::new();
        }
        self.enable(tree);
        if does == Program::DiesHalfWay {
            tree.driver(gpu, paths::PF_STUB);
            tree.file("sys/bus/pci/drivers/pci-pf-stub/unbind", "");
        }
        format!("Enabling VFs on {gpu}")
    }

    fn smi(&self, tree: &Tree, args: &[&str]) -> String {
        let has_functions = tree.sys().read(&paths::num_vfs(gpu_address(0))).expect("readable") != b"0\n";
        match args {
            ["-i", _, "-mig", mode] => {
                assert!(!has_functions, "in use by another client");
                self.mig().is_on = *mode == "1";
            }
            ["mig", .., "-dci" | "-dgi"] => self.mig().parts.clear(),
            ["mig", .., "-lgip"] => {
                let row = |(id, part, most, gib): &(u32, u32, u16, u32)| {
                    format!(
                        "|   0  MIG {part}g.{gib}gb       {id}   {most}/{most}   {gib}.50   No   {}   1   0   |\n",
                        part * 16
                    )
                };
                return PROFILES
                    .iter()
                    .map(row)
                    .chain(["|   0  MIG 1g.10gb+me  20   1/1   99.00   No   16   1   0   |\n".to_owned()])
                    .collect();
            }
            ["mig", .., "-cgi", ids, "-C"] => {
                assert!(self.mig().is_on && has_functions, "the order is forced");
                let id = |word: &str| word.split(':').next().expect("a word").parse().expect("a number");
                self.mig().parts = ids.split(',').map(id).collect();
            }
            ["mig", .., "-lgipp"] => {
                return [(19, "0,1,2,3,4,5,6", 1), (15, "0,2,4,6", 2), (14, "0,2,4", 2), (9, "0,4", 4)]
                    .map(|(id, at, long)| format!("GPU  0 Profile ID {id:>2} Placements: {{{at}}}:{long}\n"))
                    .concat();
            }
            ["vgpu", .., "-shm", mode] => {
                let functions = (0..A2_FUNCTIONS).map(|index| partition_address(0, index));
                let is_made = |function| self.current(tree, function) != 0;
                assert!(has_functions && !functions.into_iter().any(is_made), "in use by another client");
                self.mig().is_mixed = *mode == "1";
            }
            ["vgpu", .., "-s", "-v"] => return self.types.iter().map(supported).collect(),
            _ => panic!("nvidia-smi {args:?}"),
        }
        self.show_offers(tree);
        String::new()
    }

    pub fn write(&self, tree: &Tree, path: &str, value: &str) -> io::Result<()> {
        let address = path.split('/').nth(4).and_then(|part| part.parse::<PciAddress>().ok());
        match (path.rsplit('/').next(), address) {
            (Some("current_vgpu_type"), Some(function)) => self.set_type(tree, function, value),
            (Some("create"), Some(parent)) => {
                let folder = path.rsplit('/').nth(1).expect("a type's folder");
                self.create_mdev(tree, parent, folder, value)
            }
            _ => {
                let uuid = path.rsplit('/').nth(1).expect("a mediated device's folder");
                let parent = tree.sys().link(&paths::mdev_folder(uuid.parse().expect("a UUID")))?;
                let parent = parent.rsplit('/').nth(1).expect("a parent");
                tree.remove(&format!("{}/{parent}/{uuid}", paths::PCI_DEVICES));
                tree.remove(&paths::mdev_folder(uuid.parse().expect("a UUID")));
                Ok(())
            }
        }
    }

    fn set_type(&self, tree: &Tree, function: PciAddress, value: &str) -> io::Result<()> {
        let id: u32 = value.parse().map_err(|_| io::Error::from(Errno::EINVAL))?;
        if id != 0 && (self.current(tree, function) != 0 || !self.offers(tree).any(|row| row.0 == id)) {
            return Err(Errno::EIO.into());
        }
        tree.file(&paths::current_type(function), &format!("{id}\n"));
        self.show_offers(tree);
        Ok(())
    }

    fn current(&self, tree: &Tree, function: PciAddress) -> u32 {
        let text = tree.sys().read(&paths::current_type(function)).expect("readable");
        String::from_utf8(text).expect("a text").trim().parse().expect("a number")
    }

    /// What can be made now.
    fn offers<'a>(&'a self, tree: &Tree) -> impl Iterator<Item = &'a TypeRow> + use<'a> {
        let functions = (0..A2_FUNCTIONS).map(|index| partition_address(0, index));
        let made: Vec<u32> =
            functions.map(|function| self.current(tree, function)).filter(|id| *id != 0).collect();
        let Mig { is_on, parts, is_mixed } = self.mig().clone();
        let many = made.len();
        let first = self.types.iter().find(|row| made.first() == Some(&row.0)).map(|row| (row.2, row.3));
        let gib = |id: &u32| self.types.iter().find(|row| row.0 == *id).map_or(0, |row| row.2);
        let left = 16_u32.saturating_sub(made.iter().map(gib).sum());
        let has_part = move |id: u32| {
            let of = |profile: Option<u32>| made.iter().filter(|id| profile_of(**id) == profile).count();
            profile_of(id)
                .is_some_and(|own| parts.iter().filter(|part| **part == own).count() > of(Some(own)))
        };
        let fits = move |row: &&TypeRow| match first {
            _ if is_on => has_part(row.0),
            _ if is_mixed => row.2 <= left,
            None => true,
            Some((gib, most)) => row.2 == gib && many < usize::from(most),
        };
        self.types.iter().filter(fits)
    }

    /// A function that is a partition offers nothing.
    fn show_offers(&self, tree: &Tree) {
        let has_files = tree.sys().exists(&paths::current_type(partition_address(0, 0)));
        if !has_files {
            return;
        }
        let line = |row: &TypeRow| match self.number_last {
            true => format!("{} {}\n", row.1, row.0),
            false => format!("{:<6}: {}\n", row.0, row.1),
        };
        let rows: String = self.offers(tree).map(line).collect();
        for index in 0..A2_FUNCTIONS {
            let function = partition_address(0, index);
            let rows = if self.current(tree, function) == 0 { rows.as_str() } else { "" };
            let head = if self.number_last { "" } else { "ID    : vGPU Name\n" };
            tree.file(&paths::creatable_types(function), &format!("{head}{rows}"));
        }
    }

    fn mdev_types(&self, tree: &Tree, parent: PciAddress) {
        for (id, name, gib, most) in self.types {
            let folder = format!("nvidia-{id}");
            let mib = gib * 1024;
            let text = format!(
                "num_heads=4, frl_config=60, framebuffer={mib}M, max_resolution=4096x2160, max_instance={most}\n"
            );
            tree.file(&paths::mdev_type(parent, &folder, "name"), &format!("{name}\n"));
            tree.file(&paths::mdev_type(parent, &folder, "description"), &text);
            tree.file(&paths::mdev_type(parent, &folder, "create"), "");
        }
    }

    fn create_mdev(&self, tree: &Tree, parent: PciAddress, folder: &str, value: &str) -> io::Result<()> {
        let uuid: MdevUuid = value.parse().map_err(|_| io::Error::from(Errno::EINVAL))?;
        if tree.sys().exists(&paths::mdev_folder(uuid)) {
            return Err(Errno::EEXIST.into());
        }
        let own = paths::attribute(parent, &uuid.to_string());
        let group = 1000 + tree.sys().list("sys/bus/mdev/devices").map_or(0, |all| all.len());
        tree.symlink(&format!("{own}/mdev_type"), &format!("../mdev_supported_types/{folder}"));
        tree.symlink(&format!("{own}/iommu_group"), &format!("../../../../kernel/iommu_groups/{group}"));
        tree.file(&format!("{own}/remove"), "");
        tree.symlink(&paths::mdev_folder(uuid), &format!("../../pci/devices/{parent}/{uuid}"));
        Ok(())
    }
}

/// The part that a type of an H100 takes.
fn profile_of(id: u32) -> Option<u32> {
    let (_, name, ..) = H100_PARTS.iter().find(|row| row.0 == id)?;
    let own = |(_, part, _, gib): &&(u32, u32, u16, u32)| name.ends_with(&format!("-{part}-{gib}C"));
    PROFILES.iter().find(own).map(|profile| profile.0)
}

/// A type in the program's list of all that there are.
fn supported((id, name, gib, most): &TypeRow) -> String {
    let profile = profile_of(*id).map_or("N/A".to_owned(), |profile| profile.to_string());
    format!(
        "    vGPU Type ID                      : {id:#x}\n        Name                          : {name}\n        \
         GPU Instance Profile ID       : {profile}\n        Max Instances                 : {most}\n        \
         FB Memory                     : {} MiB\n",
        gib * 1024
    )
}

/// The first GPU with its functions on, where it has any.
pub fn ready(nvidia: Nvidia) -> super::Reacting {
    let mut kernel = fresh(nvidia);
    let nvidia = kernel.nvidia.take().expect("just put in");
    if nvidia.interface != Scheme::NvidiaMdevPf {
        nvidia.enable(&kernel.tree);
    }
    kernel.nvidia = Some(nvidia);
    kernel
}

/// The first GPU as it is after a boot.
pub fn fresh(nvidia: Nvidia) -> super::Reacting {
    let tree = Tree::server();
    tree.gpu(0);
    nvidia.take(&tree);
    let mut kernel = super::Reacting::on(tree);
    kernel.nvidia = Some(nvidia);
    kernel
}

/// The types of the functions, as far as they are partitions.
pub fn made(kernel: &super::Reacting) -> Vec<(PartitionIndex, u32)> {
    let nvidia = kernel.nvidia.as_ref().expect("NVIDIA's");
    let all = (0..A2_FUNCTIONS)
        .map(|index| (PartitionIndex(index), nvidia.current(&kernel.tree, partition_address(0, index))));
    all.filter(|(_, id)| *id != 0).collect()
}
