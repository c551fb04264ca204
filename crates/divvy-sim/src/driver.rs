//! Who drives a function: matching by numbers, override and `new_id`, and what probing it refuses.
//! Links of a bound function stand on both sides. Waiting for users is not known here.

use divvy_core::pci_address::PciAddress;

use crate::drivers;
use crate::errno::{EBUSY, EEXIST, EINVAL, ENODEV, Errno};
use crate::kernel::{Driver, Function, Kernel};
use crate::spec::DriverSpec;
use crate::tree::Attr;

impl Driver {
    fn matches(&self, function: &Function) -> bool {
        let (vendor, device, ..) = function.numbers;
        let numbers = (vendor, device);
        match &function.driver_override {
            Some(name) => *name == self.spec.name,
            None => self.new_ids.contains(&numbers) || self.spec.ids.contains(&numbers),
        }
    }
}

impl Kernel {
    /// A write to a driver's `bind`.
    pub(crate) fn bind(&mut self, driver: &str, address: PciAddress) -> Result<(), Errno> {
        let function = self.functions.get(&address).ok_or(ENODEV)?;
        let found = self.drivers.get(driver).ok_or(ENODEV)?;
        if !found.matches(function) {
            return Err(ENODEV);
        }
        if function.driver.is_some() {
            return Err(EBUSY);
        }
        self.probe(driver, address)
    }

    /// What the kernel does for a new function, and for `drivers_probe`: every driver that matches is
    /// asked in turn, and a refusal is no error.
    pub(crate) fn attach_any_driver(&mut self, address: PciAddress) {
        let Some(function) = self.functions.get(&address) else { return };
        if function.driver.is_some() {
            return;
        }
        let matching = self.drivers.iter().filter(|(_, driver)| driver.matches(function));
        let names: Vec<String> = matching.map(|(name, _)| name.clone()).collect();
        for name in names {
            if self.probe(&name, address).is_ok() {
                return;
            }
        }
    }

    fn probe(&mut self, driver: &str, address: PciAddress) -> Result<(), Errno> {
        let function = self.functions.get(&address).ok_or(ENODEV)?;
        if let Some(pf) = function.pf() {
            let autoprobe =
                self.functions.get(&pf).and_then(Function::sriov).is_some_and(|sriov| sriov.autoprobe);
            if !autoprobe && function.driver_override.is_none() {
                return Err(ENODEV);
            }
        }
        let DriverSpec { vfio, physical_only, .. } = self.drivers.get(driver).ok_or(ENODEV)?.spec;
        if physical_only && function.pf().is_some() {
            return Err(ENODEV);
        }
        if vfio && (function.group.is_none() || function.is_bridge()) {
            return Err(EINVAL);
        }
        if vfio && function.sriov().is_some_and(|sriov| !sriov.vfs.is_empty()) {
            return Err(EBUSY);
        }
        drivers::may_take(self, driver, function)?;
        self.bind_unasked(driver, address);
        Ok(())
    }

    /// Binds without any check: the links on both sides, and the group's file for a VFIO driver.
    pub(crate) fn bind_unasked(&mut self, driver: &str, address: PciAddress) {
        let Some(vfio) = self.drivers.get(driver).map(|driver| driver.spec.vfio) else { return };
        let Some(function) = self.functions.get_mut(&address) else { return };
        function.driver = Some(driver.to_owned());
        let (path, group) = (function.path.clone(), function.group);
        let folder = format!("sys/bus/pci/drivers/{driver}");
        self.tree.link(&format!("{path}/driver"), &folder);
        self.tree.link(&format!("{folder}/{address}"), &path);
        if vfio && group.is_some() {
            self.show_group(address);
        }
        drivers::took(self, address);
    }

    /// Whoever may open the function's group finds it.
    pub(crate) fn show_group(&mut self, address: PciAddress) {
        if let Some(group) = self.group_of(address) {
            self.tree.file(&format!("dev/vfio/{group}"), 0o600, Attr::CharDevice);
        }
    }

    /// Its group's file goes, unless another member can be had by a VM.
    pub(crate) fn hide_group(&mut self, address: PciAddress) {
        if let Some(group) = self.group_of(address)
            && !self.has_vfio_member(group)
        {
            self.tree.remove(&format!("dev/vfio/{group}"));
        }
    }

    /// Takes the driver off. The caller has seen to it that nobody uses the function.
    pub(crate) fn detach_driver(&mut self, address: PciAddress) {
        drivers::left(self, address);
        let Some(function) = self.functions.get_mut(&address) else { return };
        let Some(driver) = function.driver.take() else { return };
        let path = function.path.clone();
        self.tree.remove(&format!("{path}/driver"));
        self.tree.remove(&format!("sys/bus/pci/drivers/{driver}/{address}"));
        self.hide_group(address);
    }

    /// The module goes, off every function and with its driver's folder.
    pub(crate) fn unload_driver(&mut self, driver: &str) {
        let has_it = |function: &&Function| function.driver.as_deref() == Some(driver);
        let addresses = self.functions.values().filter(has_it).map(|function| function.address);
        for address in addresses.collect::<Vec<_>>() {
            self.detach_driver(address);
        }
        let Some(known) = self.drivers.remove(driver) else { return };
        self.tree.remove(&format!("sys/bus/pci/drivers/{driver}"));
        self.tree.remove(&format!("sys/module/{}", known.spec.module));
    }

    fn has_vfio_member(&self, group: u32) -> bool {
        let members = self.groups.get(&group).into_iter().flatten();
        members.into_iter().any(|member| self.is_on_vfio(*member))
    }

    /// A VM can have it: from a VFIO driver, or from its own that can do the same.
    pub(crate) fn is_on_vfio(&self, address: PciAddress) -> bool {
        self.driver_of(address).is_some_and(|driver| driver.spec.vfio) || drivers::offers_vfio(self, address)
    }

    /// Every endpoint of the group is on a VFIO driver or has none.
    pub(crate) fn is_viable(&self, group: u32) -> bool {
        let members = self.groups.get(&group).into_iter().flatten();
        members.filter_map(|member| self.functions.get(member)).all(|function| {
            function.is_bridge() || function.driver.is_none() || self.is_on_vfio(function.address)
        })
    }

    /// A write to `new_id`: the driver takes every function with these numbers that has no driver.
    pub(crate) fn new_id(&mut self, driver: &str, text: &str) -> Result<(), Errno> {
        let numbers = id_pair(text)?;
        let found = self.drivers.get_mut(driver).ok_or(ENODEV)?;
        if found.spec.ids.contains(&numbers) || found.new_ids.contains(&numbers) {
            return Err(EEXIST);
        }
        found.new_ids.push(numbers);
        let addresses: Vec<PciAddress> = self.functions.keys().copied().collect();
        for address in addresses {
            // A refusal of one function is no error of the write.
            let _ = self.bind(driver, address);
        }
        Ok(())
    }

    pub(crate) fn remove_id(&mut self, driver: &str, text: &str) -> Result<(), Errno> {
        let numbers = id_pair(text)?;
        let found = self.drivers.get_mut(driver).ok_or(ENODEV)?;
        let place = found.new_ids.iter().position(|known| *known == numbers).ok_or(ENODEV)?;
        found.new_ids.remove(place);
        Ok(())
    }
}

fn id_pair(text: &str) -> Result<(u16, u16), Errno> {
    let mut words = text.split_whitespace();
    let mut number = || {
        let word = words.next().ok_or(EINVAL)?;
        u16::from_str_radix(word.trim_start_matches("0x"), 16).map_err(|_| EINVAL)
    };
    Ok((number()?, number()?))
}

#[cfg(test)]
mod tests;
