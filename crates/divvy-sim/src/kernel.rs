//! One boot of one server's kernel: its PCI functions, drivers, IOMMU groups and the tree that shows
//! them. Everything in it is gone after a reboot. VMs, faults and waiting are not known here.

use std::collections::{BTreeMap, BTreeSet};

use divvy_core::gpu::Scheme;
use divvy_core::pci_address::PciAddress;

use crate::drivers::{Memory, PendingMode};
use crate::rng::Rng;
use crate::spec::{DriverSpec, FunctionSpec, GpuSpec, Numbers, ServerSpec, SriovSpec};
use crate::tree::{Attr, DriverAttr, Entry, Tree};

/// The part of a PF that makes VFs.
#[derive(Debug, Clone)]
pub(crate) struct Sriov {
    pub spec: SriovSpec,
    pub autoprobe: bool,
    /// By index. Gone at once when they are removed; `count` follows when the kernel has slept.
    pub vfs: Vec<PciAddress>,
    pub count: u16,
    /// Last bus number that the bridge above lets through.
    pub last_bus: u8,
    /// Where the windows of the VFs begin, each for `total` of them.
    pub windows: Vec<Window>,
}

/// Programs that use GPUs are numbered from here.
const CLIENT_PID: u32 = 4_000;

/// One memory window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub bar: usize,
    pub base: u64,
    pub size: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Role {
    Bridge,
    Plain,
    Physical(Sriov),
    Virtual { pf: PciAddress, index: u16 },
}

#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub address: PciAddress,
    /// Its real folder.
    pub path: String,
    pub numbers: Numbers,
    pub class: u32,
    pub serial: Option<u64>,
    pub windows: Vec<Window>,
    pub numa_node: i32,
    /// Its bridge keeps it apart from others (ACS).
    pub isolated: bool,
    pub role: Role,
    pub driver: Option<String>,
    pub driver_override: Option<String>,
    pub supported_resets: Vec<&'static str>,
    pub reset_methods: Vec<&'static str>,
    /// Resets that worked.
    pub resets: u64,
    pub group: Option<u32>,
    /// The VM whose data its memory holds.
    pub residue: Option<divvy_core::id::VmId>,
    /// Of the GPU that it is, or is a part of.
    pub gpu: Option<GpuSpec>,
}

impl Function {
    pub fn sriov(&self) -> Option<&Sriov> {
        match &self.role {
            Role::Physical(sriov) => Some(sriov),
            _ => None,
        }
    }

    /// Its memory is clean after a reset.
    pub fn was_reset(&mut self) {
        self.resets += 1;
        self.residue = None;
    }

    pub fn sriov_mut(&mut self) -> Option<&mut Sriov> {
        match &mut self.role {
            Role::Physical(sriov) => Some(sriov),
            _ => None,
        }
    }

    pub fn pf(&self) -> Option<PciAddress> {
        match self.role {
            Role::Virtual { pf, .. } => Some(pf),
            _ => None,
        }
    }

    pub fn is_bridge(&self) -> bool {
        matches!(self.role, Role::Bridge)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Driver {
    pub spec: DriverSpec,
    /// What `new_id` added.
    pub new_ids: Vec<(u16, u16)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub tree: Tree,
    pub boot_id: String,
    pub functions: BTreeMap<PciAddress, Function>,
    pub drivers: BTreeMap<String, Driver>,
    pub groups: BTreeMap<u32, BTreeSet<PciAddress>>,
    /// Who has which group open.
    pub open: BTreeMap<u32, BTreeSet<u32>>,
    /// Which processes use which function by the files of its driver.
    pub users: BTreeMap<PciAddress, BTreeSet<u32>>,
    pub unsafe_interrupts: bool,
    pub iommu: bool,
    /// What the drivers of GPUs know.
    pub memory: Memory,
    /// GPUs that a program of the server has open, by serial number.
    pub clients: BTreeSet<u64>,
    /// Where the next memory window goes, below and above 4 GiB.
    next_low_window: u64,
    next_window: u64,
}

impl Kernel {
    /// The server as it is right after boot number `boot`, its PCI buses moved on by `bus_shift`.
    pub fn boot(spec: &ServerSpec, boot: u64, bus_shift: u8) -> Self {
        let seed = spec.seed.to_string();
        let boot_id = Rng::of(&["boot", &seed, spec.id.as_str(), &boot.to_string()]).uuid();
        let mut kernel = Self {
            tree: Tree::new(),
            boot_id,
            functions: BTreeMap::new(),
            drivers: BTreeMap::new(),
            groups: BTreeMap::new(),
            open: BTreeMap::new(),
            users: BTreeMap::new(),
            unsafe_interrupts: false,
            iommu: spec.iommu,
            memory: Memory::default(),
            clients: BTreeSet::new(),
            next_low_window: 0x9000_0000,
            next_window: 0x2000_0000_0000,
        };
        kernel.make_static_files(spec);
        for driver in &spec.drivers {
            kernel.load_driver(driver);
        }
        let mut paths: Vec<String> = Vec::new();
        for function in &spec.functions {
            let path = kernel.path_of(&paths, function, bus_shift);
            kernel.plug(function, address_of(function, bus_shift), path.clone());
            paths.push(path);
        }
        if boot == 1 {
            kernel.deliver_mig(spec);
        }
        kernel
    }

    /// GPUs that are delivered with their MIG mode on.
    fn deliver_mig(&mut self, spec: &ServerSpec) {
        let on = PendingMode { current: true, pending: true };
        let with_mig =
            |function: &&FunctionSpec| function.gpu.is_some_and(|gpu| gpu.scheme == Scheme::NvidiaMig);
        let serials = spec.functions.iter().filter(with_mig).filter_map(|function| function.serial);
        self.memory.mig_modes = serials.map(|serial| (serial, on)).collect();
    }

    fn make_static_files(&mut self, spec: &ServerSpec) {
        let tree = &mut self.tree;
        let iommu = if spec.iommu { " intel_iommu=on iommu=pt" } else { "" };
        let cmdline = format!("BOOT_IMAGE=/boot/vmlinuz-6.12.0 root=/dev/sda2 ro quiet{iommu}\n");
        tree.file("proc/cmdline", 0o444, Attr::ProcText(cmdline));
        let kib = spec.memory_bytes / 1024;
        let free = kib - kib / 16;
        let meminfo =
            format!("MemTotal: {kib:>15} kB\nMemFree:  {free:>15} kB\nMemAvailable: {free:>11} kB\n");
        tree.file("proc/meminfo", 0o444, Attr::ProcText(meminfo));
        tree.text("proc/sys/kernel/random/boot_id", format!("{}\n", self.boot_id));
        tree.text("proc/sys/kernel/osrelease", "6.12.0\n");
        for folder in [
            "sys/bus/pci/devices",
            "sys/bus/pci/drivers",
            "sys/bus/pci/slots",
            "sys/class/iommu",
            "sys/kernel/iommu_groups",
            "dev/vfio",
        ] {
            tree.folder(folder);
        }
        tree.file("sys/bus/pci/drivers_probe", 0o200, Attr::DriversProbe);
        tree.file("dev/vfio/vfio", 0o666, Attr::CharDevice);
        let unsafe_interrupts = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
        tree.file(unsafe_interrupts, 0o644, Attr::UnsafeInterrupts);
        if spec.drivers.iter().any(|driver| driver.name == crate::drivers::GIM) {
            // What the module takes where its parameters say nothing, as it is installed.
            tree.text("etc/gim_config", "vf_num=1\n");
        }
        if spec.iommu {
            tree.folder("sys/devices/virtual/iommu/dmar0");
            tree.link("sys/class/iommu/dmar0", "sys/devices/virtual/iommu/dmar0");
        }
    }

    pub(crate) fn load_driver(&mut self, spec: &DriverSpec) {
        let folder = format!("sys/bus/pci/drivers/{}", spec.name);
        let files = [
            ("bind", DriverAttr::Bind),
            ("unbind", DriverAttr::Unbind),
            ("new_id", DriverAttr::NewId),
            ("remove_id", DriverAttr::RemoveId),
        ];
        for (name, attr) in files {
            self.tree.file(&format!("{folder}/{name}"), 0o200, Attr::Driver(spec.name.clone(), attr));
        }
        let module = format!("sys/module/{}", spec.module);
        self.tree.folder(&module);
        self.show_version(spec);
        self.tree.link(&format!("{folder}/module"), &module);
        self.drivers.insert(spec.name.clone(), Driver { spec: spec.clone(), new_ids: Vec::new() });
    }

    /// Other versions of the drivers were loaded.
    pub(crate) fn show_versions(&mut self, spec: &ServerSpec) {
        for driver in &spec.drivers {
            if self.drivers.contains_key(&driver.name) {
                self.show_version(driver);
            }
        }
    }

    fn show_version(&mut self, spec: &DriverSpec) {
        if let Some(version) = &spec.version {
            self.tree.text(&format!("sys/module/{}/version", spec.module), format!("{version}\n"));
        }
    }

    fn path_of(&self, paths: &[String], function: &FunctionSpec, bus_shift: u8) -> String {
        let above = match function.parent.and_then(|parent| paths.get(parent)) {
            Some(path) => path.clone(),
            None => format!("sys/devices/pci{:04x}:{:02x}", function.domain, function.root_bus),
        };
        format!("{above}/{}", address_of(function, bus_shift))
    }

    fn plug(&mut self, spec: &FunctionSpec, address: PciAddress, path: String) {
        let windows = self.windows(&spec.bars, 1);
        let role = match &spec.sriov {
            _ if spec.bridge => Role::Bridge,
            Some(sriov) => Role::Physical(Sriov {
                autoprobe: true,
                vfs: Vec::new(),
                count: 0,
                last_bus: address.bus.saturating_add(spec.spare_buses),
                windows: self.windows(&sriov.vf_bars, u64::from(sriov.total)),
                spec: sriov.clone(),
            }),
            None => Role::Plain,
        };
        let function = Function {
            address,
            path,
            numbers: spec.numbers,
            class: spec.class,
            serial: spec.serial,
            windows,
            numa_node: spec.numa_node,
            isolated: spec.isolated,
            role,
            driver: None,
            driver_override: None,
            supported_resets: spec.reset_methods.clone(),
            reset_methods: spec.reset_methods.clone(),
            resets: 0,
            group: None,
            residue: None,
            gpu: spec.gpu,
        };
        self.add_function(function, None);
        if let Some(slot) = spec.slot {
            let PciAddress { domain, bus, device, .. } = address;
            let text = format!("{domain:04x}:{bus:02x}:{device:02x}\n");
            self.tree.text(&format!("sys/bus/pci/slots/{slot}/address"), text);
        }
    }

    /// Address space for windows, each followed by room for as many copies as there can be.
    fn windows(&mut self, bars: &[(usize, u64)], copies: u64) -> Vec<Window> {
        let mut windows = Vec::new();
        for &(bar, size) in bars {
            // The first window holds registers and is a 32-bit one; the others are prefetchable memory.
            let next = if bar == 0 { &mut self.next_low_window } else { &mut self.next_window };
            let base = next.next_multiple_of(size.max(1));
            *next = base + size * copies;
            windows.push(Window { bar, base, size });
        }
        windows
    }

    pub fn driver_of(&self, address: PciAddress) -> Option<&Driver> {
        self.drivers.get(self.functions.get(&address)?.driver.as_ref()?)
    }

    /// `sriov_totalvfs`: what the hardware can, or less while a driver wants less.
    pub fn most_vfs(&self, pf: PciAddress) -> Option<u16> {
        let total = self.functions.get(&pf)?.sriov()?.spec.total;
        let limit = self.driver_of(pf).and_then(|driver| driver.spec.most_vfs);
        Some(limit.map_or(total, |limit| limit.min(total)))
    }

    /// By index.
    pub fn vfs_of(&self, pf: PciAddress) -> Vec<PciAddress> {
        self.functions.get(&pf).and_then(Function::sriov).map_or(Vec::new(), |sriov| sriov.vfs.clone())
    }

    /// The lowest number that no group has.
    pub fn free_group(&self) -> u32 {
        let is_free = |number: &u32| !self.groups.contains_key(number) && !self.has_mdev_group(*number);
        (0..u32::MAX).find(is_free).unwrap_or(u32::MAX)
    }

    pub fn group_of(&self, address: PciAddress) -> Option<u32> {
        self.functions.get(&address)?.group
    }

    /// Whether a process has the function's group open.
    pub fn is_open(&self, address: PciAddress) -> bool {
        self.group_of(address).is_some_and(|group| self.open.contains_key(&group))
    }

    /// A process opens the render file that the function's driver made.
    pub fn use_function(&mut self, address: PciAddress, pid: u32, name: &str) {
        let Some(function) = self.functions.get(&address) else { return };
        let file = format!("renderD{}", 128 + u32::from(address.bus));
        self.tree.folder(&format!("{}/drm/{file}", function.path));
        self.tree.insert(&format!("proc/{pid}/fd/3"), Entry::Link(format!("/dev/dri/{file}")));
        self.tree.text(&format!("proc/{pid}/comm"), format!("{name}\n"));
        self.users.entry(address).or_default().insert(pid);
    }

    fn client(&self, serial: u64) -> Option<(PciAddress, u32)> {
        let function = self.functions.values().find(|function| function.serial == Some(serial))?;
        Some((function.address, CLIENT_PID + u32::from(function.address.bus)))
    }

    /// A program of the server opens a GPU.
    pub fn start_client(&mut self, serial: u64) {
        if let Some((address, pid)) = self.client(serial) {
            self.use_function(address, pid, "render-job");
        }
    }

    pub fn end_client(&mut self, serial: u64) {
        if let Some((_, pid)) = self.client(serial) {
            self.end_process(pid);
        }
    }

    /// The process ends.
    pub fn end_process(&mut self, pid: u32) {
        self.tree.remove(&format!("proc/{pid}"));
        self.users.values_mut().for_each(|pids| {
            pids.remove(&pid);
        });
        self.users.retain(|_, pids| !pids.is_empty());
    }

    pub fn open_group(&mut self, group: u32, pid: u32) {
        self.open.entry(group).or_default().insert(pid);
    }

    pub fn close_group(&mut self, group: u32, pid: u32) {
        if let Some(pids) = self.open.get_mut(&group) {
            pids.remove(&pid);
            if pids.is_empty() {
                self.open.remove(&group);
            }
        }
    }
}

fn address_of(spec: &FunctionSpec, bus_shift: u8) -> PciAddress {
    let shift = if spec.bus == spec.root_bus { 0 } else { bus_shift };
    let bus = spec.bus.saturating_add(shift);
    PciAddress { domain: spec.domain, bus, device: spec.device, function: spec.function }
}
