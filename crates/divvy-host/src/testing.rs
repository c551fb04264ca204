//! For the tests of this crate: a folder that looks like a kernel's tree, and a kernel that reacts to
//! writes just enough to take steps on. A believable server is the simulator's, not this one's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use divvy_core::id::PartitionIndex;
use divvy_core::pci_address::PciAddress;
use nix::errno::Errno;

use crate::paths;
use crate::real::RealSysfs;
use crate::sysfs::{Access, Ran, Sysfs};

pub mod gim;
pub mod nvidia;
pub mod recorded;
pub mod steps;

pub const BOOT: &str = "0f2e9d1c-7a55-4b1e-9c39-5f1f6a3b2c10";
pub const FIRST_SERIAL: u64 = 0x48b0_2d0a_41c7_0001;

/// A configuration space with two extended capabilities, the second of them the serial number.
pub fn config_with_serial(serial: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..4].copy_from_slice(&0x25b6_10de_u32.to_le_bytes());
    let next = if serial.is_some() { 0x148_u32 } else { 0 };
    bytes[0x100..0x104].copy_from_slice(&(next << 20 | 0x1_000e).to_le_bytes());
    if let Some(serial) = serial {
        bytes[0x148..0x14c].copy_from_slice(&0x1_0003_u32.to_le_bytes());
        bytes[0x14c..0x154].copy_from_slice(&serial.to_le_bytes());
    }
    bytes
}

/// A configuration space with both kinds of interrupts that are written to memory, each on or off.
pub fn config_with_interrupts(msi: bool, msix: bool) -> Vec<u8> {
    let mut bytes = config_with_serial(None);
    bytes[0x34] = 0x50;
    bytes[0x50..0x54].copy_from_slice(&[0x05, 0x70, u8::from(msi), 0]);
    bytes[0x70..0x74].copy_from_slice(&[0x11, 0, 3, u8::from(msix) << 7]);
    bytes
}

/// The `nth` GPU of the tree.
pub fn gpu_address(nth: u8) -> PciAddress {
    PciAddress { domain: 0, bus: 0x41 + nth, device: 0, function: 0 }
}

pub fn partition_address(nth: u8, index: u16) -> PciAddress {
    gpu_address(nth).routing_id_plus(4 + u32::from(index)).expect("on the bus")
}

pub fn partition_group(nth: u8, index: u16) -> u32 {
    100 * (u32::from(nth) + 1) + u32::from(index)
}

/// A folder that looks like a kernel's tree.
pub struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// A server where everything is as it should be, without a GPU.
    pub fn server() -> Self {
        let tree = Self::new();
        tree.file(paths::BOOT_ID, &format!("{BOOT}\n"));
        tree.file(paths::MEMORY, "MemTotal:       65536 kB\nMemFree: 1 kB\n");
        tree.file(paths::COMMAND_LINE, "BOOT_IMAGE=/vmlinuz root=/dev/sda1 intel_iommu=on iommu=pt quiet\n");
        tree.file(paths::KERNEL_RELEASE, "6.12.1-amd64\n");
        tree.file(paths::TAINTED, "12288\n");
        tree.file(paths::UNSAFE_INTERRUPTS[0], "N\n");
        tree.file(paths::UNSAFE_NOIOMMU, "N\n");
        tree.dir(&format!("{}/0/devices", paths::IOMMU_GROUPS));
        tree.driver_folder(paths::VFIO_PCI);
        tree.dir(paths::PCI_DEVICES);
        tree.dir("proc/1/fd");
        tree.file(paths::DRIVERS_PROBE, "");
        tree
    }

    /// A server with one GPU (an A2) in as many partitions, all prepared.
    pub fn with_partitions(count: u16) -> Self {
        let tree = Self::server();
        tree.gpu(0);
        tree.make_partitions(gpu_address(0), count);
        for index in 0..count {
            tree.prepare(partition_address(0, index));
        }
        tree
    }

    pub fn sys(&self) -> RealSysfs {
        RealSysfs::new(self.folder.path())
    }

    fn full(&self, path: &str) -> PathBuf {
        let full = self.folder.path().join(path);
        fs::create_dir_all(full.parent().expect("below the root")).expect("folders");
        full
    }

    pub fn file(&self, path: &str, text: &str) {
        self.bytes(path, text.as_bytes());
    }

    pub fn bytes(&self, path: &str, bytes: &[u8]) {
        fs::write(self.full(path), bytes).expect("a file");
    }

    pub fn mode(&self, path: &str, mode: u32) {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.folder.path().join(path), permissions).expect("is set");
    }

    pub fn dir(&self, path: &str) {
        fs::create_dir_all(self.full(path)).expect("a folder");
    }

    pub fn symlink(&self, path: &str, target: &str) {
        let full = self.full(path);
        let _ = fs::remove_file(&full);
        symlink(target, full).expect("a link");
    }

    /// Removes a file, a link or a folder; a link to a folder is removed as a link.
    pub fn remove(&self, path: &str) {
        let full = self.folder.path().join(path);
        let is_folder = full.symlink_metadata().is_ok_and(|found| found.is_dir());
        let removed = if is_folder { fs::remove_dir_all(full) } else { fs::remove_file(full) };
        removed.expect("was there");
    }

    pub fn attribute(&self, address: PciAddress, name: &str, text: &str) {
        self.file(&paths::attribute(address, name), text);
    }

    /// A process that has an IOMMU group open.
    pub fn open_group(&self, pid: u32, group: u32) {
        self.symlink(&format!("proc/{pid}/fd/9"), &format!("/dev/vfio/{group}"));
    }

    fn device(&self, port: u8, address: PciAddress) {
        let way = format!("devices/pci0000:40/0000:40:{port:02x}.0/{address}");
        self.dir(&format!("sys/{way}"));
        self.symlink(&paths::device(address), &format!("../../../{way}"));
        for (name, text) in [
            ("vendor", "0x10de\n"),
            ("device", "0x25b6\n"),
            ("subsystem_vendor", "0x10de\n"),
            ("subsystem_device", "0x157e\n"),
            ("class", "0x030200\n"),
            ("driver_override", "(null)\n"),
            ("reset", ""),
            ("reset_method", "flr bus\n"),
            ("resource", "0x0 0x3ffffff 0x40200\n0x4000000 0x7ffffff 0x14220c\n"),
        ] {
            self.attribute(address, name, text);
        }
        self.bytes(&paths::config(address), &config_with_serial(None));
    }

    fn group(&self, address: PciAddress, group: u32) {
        self.dir(&paths::group_members(group));
        self.symlink(&paths::iommu_group(address), &format!("../../../../kernel/iommu_groups/{group}"));
        self.symlink(&format!("{}/{address}", paths::group_members(group)), "../../../../devices/x");
    }

    /// Puts the `nth` GPU in: an A2 with a serial number, 16 partitions at most, none now.
    pub fn gpu(&self, nth: u8) {
        let address = gpu_address(nth);
        self.device(nth + 1, address);
        self.group(address, 10 + u32::from(nth));
        self.bytes(&paths::config(address), &config_with_serial(Some(FIRST_SERIAL + u64::from(nth))));
        self.driver(address, "simgpu");
        self.file("sys/module/simgpu/version", "1.2.3\n");
        for (name, text) in [
            ("numa_node", "0\n"),
            ("sriov_totalvfs", "16\n"),
            ("sriov_numvfs", "0\n"),
            ("sriov_drivers_autoprobe", "1\n"),
        ] {
            self.attribute(address, name, text);
        }
    }

    fn driver_folder(&self, name: &str) {
        for verb in ["bind", "unbind"] {
            self.file(&format!("{}/{verb}", paths::pci_driver(name)), "");
        }
    }

    /// Another function in the slot of a GPU.
    pub fn companion(&self, address: PciAddress, driver: &str, group: u32) {
        self.device(address.bus - 0x40, address);
        self.attribute(address, "class", "0x040300\n");
        self.group(address, group);
        self.driver(address, driver);
    }

    pub fn join_group(&self, address: PciAddress, group: u32) {
        self.symlink(&format!("{}/{address}", paths::group_members(group)), "../../../../devices/x");
    }

    pub fn driver(&self, address: PciAddress, name: &str) {
        self.driver_folder(name);
        self.symlink(&paths::driver(address), &format!("../../../../bus/pci/drivers/{name}"));
    }

    pub fn prepare(&self, address: PciAddress) {
        self.file(&paths::driver_override(address), "vfio-pci\n");
        self.driver(address, paths::VFIO_PCI);
    }

    pub fn make_partitions(&self, gpu: PciAddress, count: u16) {
        let nth = gpu.bus - 0x41;
        for index in 0..count {
            let address = partition_address(nth, index);
            self.device(nth + 1, address);
            self.group(address, partition_group(nth, index));
            self.symlink(&paths::physical_function(address), &format!("../{gpu}"));
            self.symlink(&paths::virtual_function(gpu, PartitionIndex(index)), &format!("../{address}"));
        }
        self.attribute(gpu, "sriov_drivers_autoprobe", "0\n");
        self.attribute(gpu, "sriov_numvfs", &format!("{count}\n"));
    }

    fn remove_partitions(&self, gpu: PciAddress) {
        let nth = gpu.bus - 0x41;
        for index in 0..16 {
            let address = partition_address(nth, index);
            if self.sys().exists(&paths::device(address)) {
                let way = format!("sys/devices/pci0000:40/0000:40:{:02x}.0/{address}", nth + 1);
                self.remove(&way);
                self.remove(&paths::device(address));
                self.remove(&paths::virtual_function(gpu, PartitionIndex(index)));
            }
        }
        self.attribute(gpu, "sriov_numvfs", "0\n");
    }
}

/// What goes wrong, by the end of the path.
#[derive(Default)]
pub struct Faults {
    pub fails: BTreeMap<&'static str, Errno>,
    pub hangs: BTreeSet<&'static str>,
    /// The driver makes no more than this.
    pub makes_at_most: Option<u16>,
    /// Written values that are not kept.
    pub forgets: BTreeSet<&'static str>,
    pub reset_kills: bool,
    pub reset_removes: bool,
    pub removal_leaves_one: bool,
    /// Fails so often, then not any more.
    pub fails_first: Mutex<BTreeMap<&'static str, (Errno, u32)>>,
    /// What vendors' programs do, one run after the other; after that they work.
    pub programs: Mutex<VecDeque<Program>>,
    /// How often NVIDIA's driver refuses to let go.
    pub refuses_lock: AtomicU32,
}

/// What a vendor's program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Works,
    /// Another program holds the GPU.
    Busy,
    /// Ends well and has done nothing.
    Lies,
    /// Leaves the GPU on the stub, with its functions.
    DiesHalfWay,
    /// Ends with 1.
    Fails,
    /// Is not there.
    Missing,
    Hangs,
}

/// A kernel that reacts, on a tree.
pub struct Reacting {
    pub tree: Tree,
    pub faults: Faults,
    pub nvidia: Option<nvidia::Nvidia>,
    writes: Mutex<Vec<String>>,
}

impl Reacting {
    pub fn on(tree: Tree) -> Self {
        Self { tree, faults: Faults::default(), nvidia: None, writes: Mutex::default() }
    }

    fn note(&self, what: String) {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    fn fails_now(&self, path: &str) -> Option<Errno> {
        let mut first = self.faults.fails_first.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, (errno, left)) = first.iter_mut().find(|(name, _)| path.ends_with(**name))?;
        *left = left.checked_sub(1)?;
        Some(*errno)
    }

    /// What was written so far: the last two parts of each path, and the value.
    pub fn writes(&self) -> Vec<String> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_one(names: &BTreeSet<&'static str>, path: &str) -> bool {
        names.iter().any(|name| path.ends_with(name))
    }

    fn react(&self, path: &str, value: &str) -> io::Result<()> {
        let address = path.split('/').nth(4).and_then(|part| part.parse::<PciAddress>().ok());
        match (path.rsplit('/').next(), address) {
            (Some("sriov_numvfs"), Some(gpu)) => self.set_count(gpu, value),
            (Some("drivers_probe"), _) => {
                let address: PciAddress = value.parse().expect("an address");
                let wanted = self.tree.sys().read(&paths::driver_override(address))?;
                if wanted.starts_with(b"vfio-pci") && !Self::is_one(&self.faults.forgets, "drivers_probe") {
                    self.tree.driver(address, paths::VFIO_PCI);
                }
                Ok(())
            }
            (Some("unbind"), Some(address)) => {
                self.tree.remove(&paths::driver(address));
                Ok(())
            }
            (Some("bind"), _) => {
                let driver = path.rsplit('/').nth(1).expect("a driver's folder");
                self.tree.driver(value.parse().expect("an address"), driver);
                Ok(())
            }
            (Some("unbindLock"), _) => {
                let refuses = self.faults.refuses_lock.load(Ordering::SeqCst);
                self.faults.refuses_lock.store(refuses.saturating_sub(1), Ordering::SeqCst);
                let kept = if value == "1" && refuses > 0 { "0" } else { value };
                self.tree.file(path, &format!("{kept}\n"));
                Ok(())
            }
            (Some("current_vgpu_type" | "create" | "remove"), _) if self.nvidia.is_some() => {
                if Self::is_one(&self.faults.forgets, path) {
                    return Ok(());
                }
                self.nvidia.as_ref().expect("just looked").write(&self.tree, path, value)
            }
            (Some("reset"), Some(address)) => {
                if self.faults.reset_kills {
                    self.tree.bytes(&paths::config(address), &[0xff; 4096]);
                }
                if self.faults.reset_removes {
                    self.tree.remove(&paths::device(address));
                }
                Ok(())
            }
            (Some("accelerator_partition_profile"), _) => {
                if !Self::is_one(&self.faults.forgets, path) {
                    gim::write(&self.tree, path, value);
                }
                Ok(())
            }
            _ => {
                if !Self::is_one(&self.faults.forgets, path) {
                    self.tree.file(path, &format!("{value}\n"));
                }
                Ok(())
            }
        }
    }

    fn set_count(&self, gpu: PciAddress, value: &str) -> io::Result<()> {
        let wanted: u16 = value.parse().map_err(|_| io::Error::from(Errno::EINVAL))?;
        if wanted == 0 {
            self.tree.remove_partitions(gpu);
            if self.faults.removal_leaves_one {
                self.tree.make_partitions(gpu, 1);
            }
            return Ok(());
        }
        if self.tree.sys().read(&paths::num_vfs(gpu))? != b"0\n" {
            return Err(Errno::EBUSY.into());
        }
        self.tree.make_partitions(gpu, wanted.min(self.faults.makes_at_most.unwrap_or(wanted)));
        Ok(())
    }
}

impl Sysfs for Reacting {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.tree.sys().read(path)
    }

    fn write(&self, path: &str, value: &str) -> io::Result<()> {
        let parts: Vec<&str> = path.rsplit('/').take(2).collect();
        let short = format!("{}/{} = {value}", parts[1], parts[0]);
        self.note(short);
        if let Some(errno) = self.fails_now(path) {
            return Err(errno.into());
        }
        if let Some((_, errno)) = self.faults.fails.iter().find(|(name, _)| path.ends_with(**name)) {
            return Err((*errno).into());
        }
        if !self.exists(path) {
            return Err(Errno::ENOENT.into());
        }
        self.react(path, value)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.tree.sys().list(path)
    }

    fn link(&self, path: &str) -> io::Result<String> {
        if let Some(errno) = self.fails_now(path) {
            return Err(errno.into());
        }
        self.tree.sys().link(path)
    }

    fn access(&self, path: &str) -> io::Result<Access> {
        self.tree.sys().access(path)
    }

    fn exists(&self, path: &str) -> bool {
        // As the kernel resolves it: through links on the way, but not the last one.
        self.tree.sys().exists(path)
    }

    fn open_vfio_groups(&self) -> io::Result<BTreeMap<u32, Vec<u32>>> {
        self.tree.sys().open_vfio_groups()
    }

    fn write_within(&self, path: &str, value: &str, _deadline: Duration) -> io::Result<()> {
        if Self::is_one(&self.faults.hangs, path) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.write(path, value)
    }

    fn read_within(&self, path: &str, _deadline: Duration) -> io::Result<Vec<u8>> {
        if Self::is_one(&self.faults.hangs, path) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.read(path)
    }

    fn run(&self, program: &str, args: &[&str], _deadline: Duration) -> io::Result<Ran> {
        let name = program.rsplit('/').next().unwrap_or(program);
        if args.iter().any(|arg| arg.starts_with("--query")) {
            let text = self.nvidia.as_ref().map_or("[N/A], [N/A]\n".to_owned(), nvidia::Nvidia::modes);
            return Ok(Ran { code: Some(0), stdout: text.into(), stderr: Vec::new() });
        }
        // A list is a question.
        if !args.iter().any(|arg| ["-lgip", "-lgipp", "-s"].contains(arg)) {
            self.note(format!("{name} {}", args.join(" ")));
        }
        let does = self.faults.programs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let said = |code, text: &str| Ran { code: Some(code), stdout: text.into(), stderr: Vec::new() };
        match does.unwrap_or(Program::Works) {
            Program::Missing => Err(io::ErrorKind::NotFound.into()),
            Program::Hangs => Err(io::ErrorKind::TimedOut.into()),
            Program::Busy => Ok(said(1, "Cannot obtain unbindLock for 0000:41:00.0")),
            Program::Lies => Ok(said(0, "Enabling VFs on 0000:41:00.0")),
            Program::Fails => Ok(said(1, "No such device")),
            _ if name == "modprobe" => {
                gim::modprobe(&self.tree, args);
                Ok(said(0, ""))
            }
            does => {
                let vendor = self.nvidia.as_ref().expect("a vendor whose program it is");
                Ok(said(0, &vendor.run(&self.tree, does, name, args)))
            }
        }
    }
}
