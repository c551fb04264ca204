//! Functions coming and going: their folders, files, links and IOMMU groups. Which driver takes them
//! is asked of the drivers; why they come and go is not known here.

use divvy_core::pci_address::PciAddress;

use crate::drivers;
use crate::kernel::{Function, Kernel, Role, Sriov, Window};
use crate::tree::{Attr, FunctionAttr};

const MEMORY_64_PREFETCH: u64 = 0x14220c;
const MEMORY_32: u64 = 0x40200;

impl Kernel {
    /// Puts a function on the bus and lets drivers look at it. `group` names its IOMMU group when it must
    /// be the one of before.
    pub(crate) fn add_function(&mut self, mut function: Function, group: Option<u32>) {
        let address = function.address;
        if self.iommu {
            function.group = Some(group.unwrap_or_else(|| self.pick_group(&function)));
        }
        self.make_files(&function);
        self.tree.link(&format!("sys/bus/pci/devices/{address}"), &function.path);
        if let Some(group) = function.group {
            self.join_group(&function, group);
        }
        if let Role::Virtual { pf, index } = function.role
            && let Some(parent) = self.functions.get(&pf)
        {
            self.tree.link(&format!("{}/virtfn{index}", parent.path), &function.path);
            self.tree.link(&format!("{}/physfn", function.path), &parent.path);
        }
        self.functions.insert(address, function);
        self.attach_any_driver(address);
    }

    /// Takes a function off the bus, with all that points to it.
    pub(crate) fn remove_function(&mut self, address: PciAddress) {
        self.detach_driver(address);
        self.memory.forget(address);
        let Some(function) = self.functions.remove(&address) else { return };
        self.tree.remove(&format!("sys/bus/pci/devices/{address}"));
        self.tree.remove(&function.path);
        if let Some(group) = function.group {
            self.leave_group(address, group);
        }
        if let Role::Virtual { pf, index } = function.role
            && let Some(parent) = self.functions.get(&pf)
        {
            self.tree.remove(&format!("{}/virtfn{index}", parent.path));
        }
    }

    /// Makes VFs 0 to `count` - 1; `groups` names their groups when they must be the ones of before.
    pub(crate) fn make_vfs(&mut self, pf: PciAddress, count: u16, groups: &[Option<u32>]) {
        let Some(parent) = self.functions.get(&pf).cloned() else { return };
        let Some(sriov) = parent.sriov() else { return };
        let mut made = Vec::new();
        for index in 0..count {
            let Some(address) = vf_address(sriov, pf, index) else { break };
            let group = groups.get(usize::from(index)).copied().flatten();
            self.add_function(virtual_function(&parent, sriov, address, index), group);
            made.push(address);
        }
        if let Some(sriov) = self.functions.get_mut(&pf).and_then(Function::sriov_mut) {
            sriov.count = made.len() as u16;
            sriov.vfs = made;
        }
        drivers::vfs_changed(self, pf);
    }

    pub(crate) fn drop_vfs(&mut self, pf: PciAddress) {
        let vfs = match self.functions.get_mut(&pf).and_then(Function::sriov_mut) {
            Some(sriov) => std::mem::take(&mut sriov.vfs),
            None => return,
        };
        for address in vfs {
            self.remove_function(address);
        }
        drivers::vfs_changed(self, pf);
    }

    /// A group of its own, or without isolation the one of its PF, of the first function of its slot, or of
    /// the bridge above it.
    fn pick_group(&self, function: &Function) -> u32 {
        let shared = match function.role {
            Role::Virtual { pf, .. } => self.group_of(pf),
            _ => {
                let first = PciAddress { function: 0, ..function.address };
                let above = self.functions.values().find(|other| is_right_above(other, function));
                self.group_of(first).or_else(|| above.and_then(|above| above.group))
            }
        };
        if !function.isolated
            && let Some(group) = shared
        {
            return group;
        }
        self.free_group()
    }

    fn join_group(&mut self, function: &Function, group: u32) {
        let folder = format!("sys/kernel/iommu_groups/{group}");
        if !self.groups.contains_key(&group) {
            self.tree.text(&format!("{folder}/type"), "identity\n");
            self.tree.text(&format!("{folder}/reserved_regions"), RESERVED_REGIONS);
        }
        self.groups.entry(group).or_default().insert(function.address);
        self.tree.link(&format!("{folder}/devices/{}", function.address), &function.path);
        self.tree.link(&format!("{}/iommu_group", function.path), &folder);
    }

    fn leave_group(&mut self, address: PciAddress, group: u32) {
        let folder = format!("sys/kernel/iommu_groups/{group}");
        self.tree.remove(&format!("{folder}/devices/{address}"));
        if let Some(members) = self.groups.get_mut(&group) {
            members.remove(&address);
            if members.is_empty() {
                self.groups.remove(&group);
                self.tree.remove(&folder);
            }
        }
    }

    fn make_files(&mut self, function: &Function) {
        let (vendor, device, sub_vendor, sub_device) = function.numbers;
        let class = function.class;
        for (name, text) in [
            ("vendor", format!("0x{vendor:04x}\n")),
            ("device", format!("0x{device:04x}\n")),
            ("subsystem_vendor", format!("0x{sub_vendor:04x}\n")),
            ("subsystem_device", format!("0x{sub_device:04x}\n")),
            ("class", format!("0x{class:06x}\n")),
            ("revision", "0xa1\n".to_owned()),
            ("modalias", modalias(function)),
            ("resource", resource(function)),
        ] {
            self.tree.text(&format!("{}/{name}", function.path), text);
        }
        self.tree.link(&format!("{}/subsystem", function.path), "sys/bus/pci");
        self.attr_file(function, "config", 0o644, FunctionAttr::Config);
        self.attr_file(function, "numa_node", 0o644, FunctionAttr::NumaNode);
        self.attr_file(function, "uevent", 0o644, FunctionAttr::Uevent);
        self.attr_file(function, "driver_override", 0o644, FunctionAttr::DriverOverride);
        if !function.supported_resets.is_empty() {
            self.attr_file(function, "reset", 0o200, FunctionAttr::Reset);
            self.attr_file(function, "reset_method", 0o644, FunctionAttr::ResetMethod);
        }
        match &function.role {
            Role::Physical(sriov) => self.make_sriov_files(function, sriov),
            Role::Virtual { .. } => {
                self.attr_file(function, "sriov_vf_msix_count", 0o200, FunctionAttr::VfMsixCount);
            }
            Role::Bridge | Role::Plain => {}
        }
    }

    fn make_sriov_files(&mut self, function: &Function, sriov: &Sriov) {
        for (name, text) in [
            ("sriov_offset", format!("{}\n", sriov.spec.offset)),
            ("sriov_stride", format!("{}\n", sriov.spec.stride)),
            ("sriov_vf_device", format!("{:x}\n", sriov.spec.vf_device_id)),
            ("sriov_vf_total_msix", "0\n".to_owned()),
        ] {
            self.tree.text(&format!("{}/{name}", function.path), text);
        }
        self.attr_file(function, "sriov_totalvfs", 0o444, FunctionAttr::TotalVfs);
        self.attr_file(function, "sriov_numvfs", 0o644, FunctionAttr::NumVfs);
        self.attr_file(function, "sriov_drivers_autoprobe", 0o644, FunctionAttr::Autoprobe);
    }

    fn attr_file(&mut self, function: &Function, name: &str, mode: u16, attr: FunctionAttr) {
        let path = format!("{}/{name}", function.path);
        self.tree.file(&path, mode, Attr::Function(function.address, attr));
    }
}

const RESERVED_REGIONS: &str = "0x00000000fee00000 0x00000000feefffff msi\n";

/// Where VF `index` of this PF is: its routing id carries into the bus number.
pub(crate) fn vf_address(sriov: &Sriov, pf: PciAddress, index: u16) -> Option<PciAddress> {
    let distance = u32::from(sriov.spec.offset) + u32::from(sriov.spec.stride) * u32::from(index);
    pf.routing_id_plus(distance)
}

fn is_right_above(bridge: &Function, function: &Function) -> bool {
    bridge.is_bridge() && function.path.rsplit_once('/').is_some_and(|(above, _)| above == bridge.path)
}

fn virtual_function(parent: &Function, sriov: &Sriov, address: PciAddress, index: u16) -> Function {
    let (vendor, _, sub_vendor, _) = parent.numbers;
    let folder = parent.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let place = |window: &Window| Window { base: window.base + window.size * u64::from(index), ..*window };
    Function {
        address,
        path: format!("{folder}/{address}"),
        numbers: (vendor, sriov.spec.vf_device_id, sub_vendor, sriov.spec.vf_subsystem_id),
        class: parent.class,
        serial: None,
        windows: sriov.windows.iter().map(place).collect(),
        numa_node: parent.numa_node,
        isolated: parent.isolated,
        role: Role::Virtual { pf: parent.address, index },
        driver: None,
        driver_override: None,
        supported_resets: vec!["flr"],
        reset_methods: vec!["flr"],
        resets: 0,
        group: None,
        residue: None,
        gpu: parent.gpu,
    }
}

fn modalias(function: &Function) -> String {
    let (vendor, device, sub_vendor, sub_device) = function.numbers;
    let (base, sub, interface) = (function.class >> 16, function.class >> 8 & 0xff, function.class & 0xff);
    format!(
        "pci:v{vendor:08X}d{device:08X}sv{sub_vendor:08X}sd{sub_device:08X}bc{base:02X}sc{sub:02X}i{interface:02X}\n"
    )
}

/// Thirteen lines: six windows, the ROM, and six windows for VFs.
fn resource(function: &Function) -> String {
    let mut rows = [(0, 0, 0); 13];
    let row = |base: u64, size: u64| {
        let kind = if size > 1 << 31 || base > 1 << 32 { MEMORY_64_PREFETCH } else { MEMORY_32 };
        (base, base + size - 1, kind)
    };
    for window in &function.windows {
        rows[window.bar.min(5)] = row(window.base, window.size);
    }
    if let Some(sriov) = function.sriov() {
        for window in &sriov.windows {
            let size = window.size * u64::from(sriov.spec.total);
            rows[7 + window.bar.min(5)] = row(window.base, size);
        }
    }
    rows.iter().map(|(base, end, kind)| format!("0x{base:016x} 0x{end:016x} 0x{kind:016x}\n")).collect()
}
