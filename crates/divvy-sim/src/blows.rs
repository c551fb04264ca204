//! What happens to a room when somebody types a fault: the named things are found, and the kernel, the
//! VMs and the switches of their server are changed. How a fault is written is not known here.

use divvy_core::id::{ServerId, VmId};
use divvy_core::pci_address::PciAddress;

use crate::drivers::{self, MigError};
use crate::fault::{Fault, FaultError, GpuName};
use crate::kernel::{Function, Kernel};
use crate::machine::State;
use crate::room::Room;
use crate::server::{Addresses, SimServer};

impl Room {
    /// Lets it happen.
    pub fn apply_fault(&self, fault: &Fault) -> Result<(), FaultError> {
        match fault {
            Fault::Gpu { gpu, fault } => {
                let (server, serial) = self.gpu(gpu)?;
                server.set_fault(serial, *fault);
            }
            Fault::WedgeGpu { gpu } => self.on_gpu(gpu, |kernel, pf| {
                let carriers = carriers(kernel, pf);
                kernel.memory.wedged.extend(carriers);
            })?,
            Fault::LoseProfiles { gpu } => self.on_gpu(gpu, drivers::lose_profiles)?,
            Fault::SwitchEcc { gpu, on } => {
                self.switch(gpu, "ECC", |kernel, pf| kernel.set_ecc_mode(pf, *on))?
            }
            Fault::SwitchMig { gpu, on } => self.switch(gpu, "MIG", |kernel, pf| {
                drivers::set_mig_mode(kernel, pf, *on).map(|_is_so_already| ())
            })?,
            Fault::ClearGpu { gpu } => {
                let (server, serial) = self.gpu(gpu)?;
                server.clear_faults(serial);
                self.on_gpu(gpu, mend)?;
            }
            Fault::WedgePartition { gpu, index } => self.on_partition(gpu, *index, |kernel, carrier| {
                kernel.memory.wedged.insert(carrier);
            })?,
            Fault::Linger { gpu, index, times } => self.on_partition(gpu, *index, |kernel, carrier| {
                kernel.memory.lingers.insert(carrier, *times);
            })?,
            Fault::KillVm { vm } => self.kill(vm)?,
            Fault::Reboot { server } => self.named(server)?.reboot(Addresses::Kept),
            Fault::Renumber { server } => self.named(server)?.reboot(Addresses::Renumbered),
            Fault::ReloadDriver { server } => {
                let found = self.named(server)?;
                let in_use = |address| FaultError::DriverInUse { server: server.clone(), address };
                found.machine.with(reload_drivers).map_err(in_use)?;
            }
            Fault::InstallDriver { server, version } => {
                self.named(server)?.machine.with(|state| install_driver(state, version))?;
            }
            Fault::Clear => self.servers.iter().for_each(clear),
        }
        Ok(())
    }

    /// What was switched on and still is.
    pub fn faults(&self) -> Vec<Fault> {
        self.servers.iter().flat_map(|server| server.machine.with(|state| switched_on(state))).collect()
    }

    fn named(&self, id: &ServerId) -> Result<&SimServer, FaultError> {
        self.server(id).ok_or_else(|| FaultError::NoSuchServer { server: id.clone() })
    }

    fn gpu(&self, name: &GpuName) -> Result<(&SimServer, u64), FaultError> {
        let missing = || FaultError::NoSuchGpu { gpu: name.clone() };
        match name {
            GpuName::Serial(serial) => {
                let has = |server: &&SimServer| server.gpus().iter().any(|gpu| gpu.serial == *serial);
                self.servers.iter().find(has).map(|server| (server, *serial)).ok_or_else(missing)
            }
            GpuName::Place(id, address) => {
                let server = self.named(id)?;
                let gpu = server.gpus().into_iter().find(|gpu| gpu.address == *address);
                gpu.map(|gpu| (server, gpu.serial)).ok_or_else(missing)
            }
        }
    }

    fn on_gpu(&self, name: &GpuName, act: impl FnOnce(&mut Kernel, PciAddress)) -> Result<(), FaultError> {
        let (server, serial) = self.gpu(name)?;
        server.machine.with(|state| {
            if let Some(pf) = pf_of(&state.kernel, serial) {
                act(&mut state.kernel, pf);
            }
        });
        Ok(())
    }

    fn switch(
        &self,
        name: &GpuName,
        mode: &'static str,
        switch: impl FnOnce(&mut Kernel, PciAddress) -> Result<(), MigError>,
    ) -> Result<(), FaultError> {
        let mut done = Ok(());
        self.on_gpu(name, |kernel, pf| done = switch(kernel, pf))?;
        done.map_err(|error| match error {
            MigError::InUse => FaultError::GpuInUse { gpu: name.clone() },
            _ => FaultError::NoSuchMode { gpu: name.clone(), mode },
        })
    }

    fn on_partition(
        &self,
        name: &GpuName,
        index: u16,
        act: impl FnOnce(&mut Kernel, PciAddress),
    ) -> Result<(), FaultError> {
        let (server, serial) = self.gpu(name)?;
        let missing = || FaultError::NoSuchPartition { gpu: name.clone(), index };
        server.machine.with(|state| {
            let pf = pf_of(&state.kernel, serial).ok_or_else(missing)?;
            let carrier = carriers(&state.kernel, pf).get(usize::from(index)).copied();
            act(&mut state.kernel, carrier.ok_or_else(missing)?);
            Ok(())
        })
    }

    fn kill(&self, name: &str) -> Result<(), FaultError> {
        let vm = name.to_owned();
        for server in &self.servers {
            let found =
                server.vms().into_iter().find(|known| known.name == name || known.id.as_str() == name);
            if let Some(found) = found {
                return server.kill(&found.id).map_err(|_not_running| FaultError::NotRunning { vm });
            }
        }
        Err(FaultError::NoSuchVm { vm })
    }
}

impl SimServer {
    /// SIGKILL for the QEMU of a VM: partitions on NVIDIA's driver do not come through it.
    pub fn kill(&self, id: &VmId) -> Result<(), crate::vms::LibvirtError> {
        self.machine.with(|state| {
            let groups: Vec<u32> = match &state.vm(id)?.live {
                Some(live) => live.devices.iter().map(|device| device.group).collect(),
                None => Vec::new(),
            };
            let is_hit = |function: &&Function| {
                let is_held = function.group.is_some_and(|group| groups.contains(&group));
                is_held && function.driver.as_deref() == Some("nvidia")
            };
            let hit = state.kernel.functions.values().filter(is_hit).map(|function| function.address);
            let mdevs = state.kernel.memory.mdevs.values();
            let mdevs = mdevs.filter(|mdev| groups.contains(&mdev.group)).map(|mdev| mdev.parent);
            let hit: Vec<PciAddress> = hit.chain(mdevs).collect();
            // First of all: nothing of it can be reset any more when QEMU's files are closed.
            state.kernel.memory.wedged.extend(hit);
            state.stop_vm(id).map(|_resets| ())
        })
    }
}

fn pf_of(kernel: &Kernel, serial: u64) -> Option<PciAddress> {
    let found = kernel.functions.values().find(|function| function.serial == Some(serial));
    found.map(|function| function.address)
}

/// Its VFs, or itself where it has none to have.
fn carriers(kernel: &Kernel, pf: PciAddress) -> Vec<PciAddress> {
    match kernel.functions.get(&pf).and_then(Function::sriov) {
        Some(sriov) => sriov.vfs.clone(),
        None => vec![pf],
    }
}

fn mend(kernel: &mut Kernel, pf: PciAddress) {
    for carrier in carriers(kernel, pf) {
        kernel.memory.wedged.remove(&carrier);
        kernel.memory.lingers.remove(&carrier);
    }
}

fn clear(server: &SimServer) {
    for gpu in server.gpus() {
        server.clear_faults(gpu.serial);
    }
    server.machine.with(|state| {
        state.kernel.memory.wedged.clear();
        state.kernel.memory.lingers.clear();
    });
}

/// Off and on again for the drivers of all GPUs; or the address of one that is in use.
fn reload_drivers(state: &mut State) -> Result<(), PciAddress> {
    let kernel = &mut state.kernel;
    let is_split = |function: &&Function| {
        let own = function.gpu.map(|gpu| gpu.driver());
        function.pf().is_none() && own.is_some() && function.driver.as_deref() == own
    };
    let gpus: Vec<PciAddress> =
        kernel.functions.values().filter(is_split).map(|function| function.address).collect();
    let is_used = |pf: &PciAddress| {
        drivers::users(kernel, *pf) > 0 || kernel.vfs_of(*pf).iter().any(|vf| kernel.is_open(*vf))
    };
    if let Some(used) = gpus.iter().copied().find(is_used) {
        return Err(used);
    }
    for pf in gpus {
        kernel.drop_vfs(pf);
        if let Some(sriov) = kernel.functions.get_mut(&pf).and_then(Function::sriov_mut) {
            sriov.count = 0;
        }
        kernel.detach_driver(pf);
        kernel.attach_any_driver(pf);
    }
    Ok(())
}

/// Another version of NVIDIA's driver, loaded in the place of the one that is there.
fn install_driver(state: &mut State, version: &str) -> Result<(), FaultError> {
    let server = state.spec.id.clone();
    if state.nvidia_version().is_none() {
        return Err(FaultError::NoSuchDriver { server });
    }
    reload_drivers(state).map_err(|address| FaultError::DriverInUse { server, address })?;
    state.set_nvidia_version(version);
    state.kernel.show_versions(&state.spec);
    Ok(())
}

fn switched_on(state: &State) -> Vec<Fault> {
    let mut found = Vec::new();
    for (serial, faults) in &state.faults {
        let gpu = GpuName::Serial(*serial);
        found.extend(faults.all().into_iter().map(|fault| Fault::Gpu { gpu: gpu.clone(), fault }));
    }
    let gpus = state.kernel.functions.values().filter(|function| function.gpu.is_some());
    for (pf, serial) in gpus.filter_map(|function| Some((function.address, function.serial?))) {
        let memory = &state.kernel.memory;
        for (index, carrier) in carriers(&state.kernel, pf).into_iter().enumerate() {
            let (gpu, index) = (GpuName::Serial(serial), index as u16);
            if memory.wedged.contains(&carrier) {
                found.push(Fault::WedgePartition { gpu: gpu.clone(), index });
            }
            if let Some(times) = memory.lingers.get(&carrier).copied().filter(|times| *times > 0) {
                found.push(Fault::Linger { gpu, index, times });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
