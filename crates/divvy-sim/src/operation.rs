//! Writes that take a function's lock in the kernel, and may sleep or hang under it: what they check,
//! in the kernel's order, and what they change. Who waits for them is not known here.
//!
//! ```text
//!            ┌─ Blocked: a VM holds what must go, or the driver hangs; asked again later
//!   begin ───┼─ Done(result)
//!            └─ Sleeps(time) ──▶ complete ──▶ result
//! ```

use std::time::Duration;

use divvy_core::pci_address::PciAddress;

use crate::drivers;
use crate::errno::{EBUSY, EINVAL, EIO, ENODEV, ENOENT, ENOMEM, ENOTTY, EOPNOTSUPP, Errno};
use crate::fault::Faults;
use crate::kernel::{Function, Sriov};
use crate::machine::State;
use crate::spec::SriovSupport;
use crate::topology::vf_address;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    SetVfs(u16),
    Bind(String),
    Unbind(String),
    Probe,
    Override(Option<String>),
    Reset,
    ResetMethod(String),
    VfMsixCount,
    /// A write to a file of the GPU's driver.
    Vendor {
        at: PciAddress,
        file: String,
        text: String,
    },
}

#[derive(Debug)]
pub(crate) enum Begin {
    Blocked,
    Done(Result<(), Errno>),
    Sleeps(Duration),
}

impl State {
    pub(crate) fn begin(&mut self, address: PciAddress, operation: &Operation) -> Begin {
        if !self.kernel.functions.contains_key(&address) {
            return Begin::Done(Err(ENODEV));
        }
        if self.hangs(address) {
            return Begin::Blocked;
        }
        match operation {
            Operation::SetVfs(count) => self.begin_set_vfs(address, *count).unwrap_or_else(failed),
            Operation::Unbind(driver) => self.begin_unbind(address, driver).unwrap_or_else(failed),
            Operation::Reset => self.begin_reset(address).unwrap_or_else(failed),
            Operation::Bind(driver) => Begin::Done(self.kernel.bind(driver, address)),
            Operation::Probe => {
                self.kernel.attach_any_driver(address);
                Begin::Done(Ok(()))
            }
            Operation::Override(name) => {
                if let Some(function) = self.kernel.functions.get_mut(&address) {
                    function.driver_override = name.clone();
                }
                Begin::Done(Ok(()))
            }
            Operation::ResetMethod(text) => Begin::Done(self.set_reset_methods(address, text)),
            Operation::VfMsixCount => Begin::Done(Err(EOPNOTSUPP)),
            Operation::Vendor { .. } => Begin::Sleeps(self.faults_of(address).slow),
        }
    }

    pub(crate) fn complete(&mut self, address: PciAddress, operation: &Operation) -> Result<(), Errno> {
        match operation {
            Operation::SetVfs(0) => self.set_count_to_zero(address),
            Operation::SetVfs(count) => {
                let limit = self.faults_of(address).partial.unwrap_or(u16::MAX);
                self.kernel.make_vfs(address, (*count).min(limit), &[]);
            }
            Operation::Unbind(_) => {
                let removes = self.driver_removes_vfs(address);
                self.kernel.detach_driver(address);
                if removes {
                    self.set_count_to_zero(address);
                }
            }
            Operation::Reset => return self.reset_function(address),
            Operation::Vendor { at, file, text } => return self.write_vendor(*at, file, text),
            _ => {}
        }
        Ok(())
    }

    /// The order of the checks is the kernel's.
    fn begin_set_vfs(&mut self, pf: PciAddress, count: u16) -> Result<Begin, Errno> {
        let faults = self.faults_of(pf);
        let sriov = self.kernel.functions.get(&pf).and_then(Function::sriov).ok_or(ENODEV)?;
        if count == sriov.count {
            return Ok(Begin::Done(Ok(())));
        }
        let driver = self.kernel.driver_of(pf).ok_or(ENOENT)?;
        if matches!(driver.spec.sriov, SriovSupport::None | SriovSupport::OnlyRemoves) {
            return Err(ENOENT);
        }
        if count > 0 && sriov.count > 0 {
            return Err(EBUSY);
        }
        if let Some(errno) = faults.write_errno {
            return Err(Errno(errno));
        }
        if count > 0 {
            can_enable(sriov, pf, count, &faults)?;
            if let Some(driver) = drivers::at(&self.kernel, pf) {
                driver.may_make_vfs(&self.kernel, pf, count)?;
            }
            return Ok(Begin::Sleeps(self.delays.enable + faults.slow));
        }
        Ok(self.begin_removal(pf))
    }

    fn write_vendor(&mut self, at: PciAddress, file: &str, text: &str) -> Result<(), Errno> {
        let faults = self.faults_of(at);
        match faults.write_errno {
            // The lock is no change of the GPU.
            Some(errno) if file != drivers::UNBIND_LOCK => Err(Errno(errno)),
            _ if faults.lost => Err(EIO),
            _ => drivers::write(&mut self.kernel, at, file, text),
        }
    }

    fn begin_removal(&mut self, pf: PciAddress) -> Begin {
        let vfs = match self.kernel.functions.get(&pf).and_then(Function::sriov) {
            Some(sriov) => sriov.vfs.clone(),
            None => Vec::new(),
        };
        for vf in &vfs {
            self.ask_for_device(*vf);
        }
        let is_held = |vf: &PciAddress| self.kernel.is_on_vfio(*vf) && self.kernel.is_open(*vf);
        if vfs.iter().any(is_held) || drivers::users(&self.kernel, pf) > 0 {
            return Begin::Blocked;
        }
        self.kernel.drop_vfs(pf);
        Begin::Sleeps(self.delays.disable)
    }

    fn set_count_to_zero(&mut self, pf: PciAddress) {
        if let Some(sriov) = self.kernel.functions.get_mut(&pf).and_then(Function::sriov_mut) {
            sriov.count = 0;
        }
    }

    fn driver_removes_vfs(&self, address: PciAddress) -> bool {
        let support = self.kernel.driver_of(address).map(|driver| driver.spec.sriov);
        matches!(support, Some(SriovSupport::RemovesOnUnbind | SriovSupport::OnlyRemoves))
    }

    fn begin_unbind(&mut self, address: PciAddress, driver: &str) -> Result<Begin, Errno> {
        let function = self.kernel.functions.get(&address).ok_or(ENODEV)?;
        if function.driver.as_deref() != Some(driver) {
            return Err(ENODEV);
        }
        // The driver waits until nobody uses the function any more.
        if self.kernel.users.contains_key(&address) {
            return Ok(Begin::Blocked);
        }
        let has_vfs = function.sriov().is_some_and(|sriov| sriov.count > 0);
        // The driver waits in its removal until the last user of the GPU has gone.
        if function.pf().is_none() && drivers::users(&self.kernel, address) > 0 {
            return Ok(Begin::Blocked);
        }
        if self.kernel.is_on_vfio(address) {
            self.ask_for_device(address);
            if self.kernel.is_open(address) {
                return Ok(Begin::Blocked);
            }
        }
        if has_vfs && self.driver_removes_vfs(address) {
            return Ok(self.begin_removal(address));
        }
        Ok(Begin::Sleeps(Duration::ZERO))
    }

    fn begin_reset(&mut self, address: PciAddress) -> Result<Begin, Errno> {
        let function = self.kernel.functions.get(&address).ok_or(ENODEV)?;
        if function.reset_methods.is_empty() {
            return Err(ENOTTY);
        }
        Ok(Begin::Sleeps(self.delays.reset))
    }

    /// Resets a function at once; its memory is clean after it. A PF's VFs are off and on again by that, also
    /// those in use.
    pub(crate) fn reset_function(&mut self, address: PciAddress) -> Result<(), Errno> {
        let faults = self.faults_of(address);
        let is_wedged = self.kernel.memory.wedged.contains(&address);
        let function = self.kernel.functions.get_mut(&address).ok_or(ENODEV)?;
        if faults.lost || faults.reset_fails || is_wedged || function.reset_methods.is_empty() {
            return Err(ENOTTY);
        }
        function.was_reset();
        for vf in self.kernel.vfs_of(address) {
            if let Some(vf) = self.kernel.functions.get_mut(&vf) {
                vf.was_reset();
            }
        }
        Ok(())
    }

    fn set_reset_methods(&mut self, address: PciAddress, text: &str) -> Result<(), Errno> {
        let function = self.kernel.functions.get_mut(&address).ok_or(ENODEV)?;
        let supported = function.supported_resets.clone();
        let words: Vec<&str> = text.split_whitespace().collect();
        if words == ["default"] {
            function.reset_methods = supported;
            return Ok(());
        }
        let known = |word: &&str| supported.iter().copied().find(|method| method == word);
        let chosen: Option<Vec<&'static str>> = words.iter().map(known).collect();
        function.reset_methods = chosen.ok_or(EINVAL)?;
        Ok(())
    }

    /// Whether whoever takes this function's lock hangs: a GPU's partitions have locks of their own.
    pub(crate) fn hangs(&self, address: PciAddress) -> bool {
        let is_vf = self.kernel.functions.get(&address).is_some_and(|known| known.pf().is_some());
        !is_vf && self.faults_of(address).hang
    }

    /// Faults of the GPU that this function is, or is a part of.
    pub(crate) fn faults_of(&self, address: PciAddress) -> Faults {
        let function = self.kernel.functions.get(&address);
        let pf = function.and_then(Function::pf).unwrap_or(address);
        let serial = self.kernel.functions.get(&pf).and_then(|function| function.serial);
        serial.and_then(|serial| self.faults.get(&serial)).cloned().unwrap_or_default()
    }
}

fn failed(errno: Errno) -> Begin {
    Begin::Done(Err(errno))
}

fn can_enable(sriov: &Sriov, pf: PciAddress, count: u16, faults: &Faults) -> Result<(), Errno> {
    if faults.lost {
        return Err(EIO);
    }
    match vf_address(sriov, pf, count - 1) {
        Some(last) if last.bus <= sriov.last_bus => Ok(()),
        _ => Err(ENOMEM),
    }
}

#[cfg(test)]
mod tests;
