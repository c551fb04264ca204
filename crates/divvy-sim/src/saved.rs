//! A server as it is kept while nobody looks: what it is beyond its hardware, enough to find it again as
//! it was left. Faults, half-done writes and connections are not kept.

use std::collections::BTreeMap;

use divvy_core::id::{ServerId, VmId};
use divvy_core::pci_address::PciAddress;
use serde::{Deserialize, Serialize};

use crate::drivers::Memory;
use crate::hardware::NVIDIA_VERSION;
use crate::kernel::{Function, Kernel};
use crate::machine::State;
use crate::vms::Vm;

/// What a server is beyond its hardware: enough to find it again as it was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedServer {
    pub id: ServerId,
    boots: u64,
    bus_shift: u8,
    next_pid: u32,
    functions: Vec<SavedFunction>,
    vms: Vec<Vm>,
    /// Of NVIDIA's driver, if another one was installed than the room came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nvidia_version: Option<String>,
    #[serde(default, skip_serializing_if = "Memory::is_empty")]
    memory: Memory,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedFunction {
    address: PciAddress,
    driver: Option<String>,
    driver_override: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    residue: Option<VmId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    autoprobe: Option<bool>,
    #[serde(default, skip_serializing_if = "is_zero")]
    count: u16,
}

fn is_zero(count: &u16) -> bool {
    *count == 0
}

impl SavedServer {
    pub fn of(state: &State) -> Self {
        let function = |function: &Function| SavedFunction {
            address: function.address,
            driver: function.driver.clone(),
            driver_override: function.driver_override.clone(),
            group: function.pf().and(function.group),
            residue: function.residue.clone(),
            autoprobe: function.sriov().map(|sriov| sriov.autoprobe),
            count: function.sriov().map_or(0, |sriov| sriov.vfs.len() as u16),
        };
        Self {
            id: state.spec.id.clone(),
            boots: state.boots,
            bus_shift: state.bus_shift,
            next_pid: state.next_pid,
            functions: state.kernel.functions.values().map(function).collect(),
            vms: state.vms.values().cloned().collect(),
            nvidia_version: state
                .nvidia_version()
                .filter(|version| *version != NVIDIA_VERSION)
                .map(str::to_owned),
            memory: state.kernel.memory.clone(),
        }
    }

    pub fn into_state(self, state: &mut State) {
        state.set_nvidia_version(self.nvidia_version.as_deref().unwrap_or(NVIDIA_VERSION));
        let mut kernel = Kernel::boot(&state.spec, self.boots, self.bus_shift);
        let groups: BTreeMap<PciAddress, u32> =
            self.functions.iter().filter_map(|saved| Some((saved.address, saved.group?))).collect();
        for driver in &self.memory.unloaded {
            kernel.unload_driver(driver);
        }
        for saved in &self.functions {
            // Also the VFs that a driver makes at boot come back with the groups that they had.
            if saved.count > 0 || !kernel.vfs_of(saved.address).is_empty() {
                kernel.drop_vfs(saved.address);
                let groups = vf_groups(&kernel, saved, &groups);
                kernel.make_vfs(saved.address, saved.count, &groups);
            }
        }
        for saved in &self.functions {
            saved.restore(&mut kernel);
        }
        kernel.memory = self.memory;
        kernel.show_mdevs();
        for live in self.vms.iter().filter_map(|vm| vm.live.as_ref()) {
            for device in &live.devices {
                kernel.open_group(device.group, live.pid);
            }
        }
        state.boots = self.boots;
        state.bus_shift = self.bus_shift;
        state.next_pid = self.next_pid;
        state.kernel = kernel;
        state.vms = self.vms.into_iter().map(|vm| (vm.definition.id.clone(), vm)).collect();
        state.wake = true;
    }
}

fn vf_groups(kernel: &Kernel, saved: &SavedFunction, groups: &BTreeMap<PciAddress, u32>) -> Vec<Option<u32>> {
    let sriov = kernel.functions.get(&saved.address).and_then(Function::sriov);
    let address = |index| crate::topology::vf_address(sriov?, saved.address, index);
    (0..saved.count).map(|index| groups.get(&address(index)?).copied()).collect()
}

impl SavedFunction {
    /// Puts driver and override where they were. The override stands while the driver binds, as it did.
    fn restore(&self, kernel: &mut Kernel) {
        kernel.detach_driver(self.address);
        if let Some(function) = kernel.functions.get_mut(&self.address) {
            function.driver_override = self.driver_override.clone();
            function.residue = self.residue.clone();
        }
        if let Some(driver) = &self.driver {
            kernel.bind_unasked(driver, self.address);
        }
        if let (Some(on), Some(sriov)) =
            (self.autoprobe, kernel.functions.get_mut(&self.address).and_then(Function::sriov_mut))
        {
            sriov.autoprobe = on;
        }
    }
}
