//! What the files of the simulated kernel say, and what a write to one of them asks for. The write
//! itself is an [`Operation`] when it takes a lock; otherwise it happens here at once.

use divvy_core::pci_address::PciAddress;

use crate::config_space;
use crate::drivers;
use crate::errno::{EINVAL, EIO, ENODEV, EPERM, ERANGE, Errno};
use crate::kernel::{Function, Kernel};
use crate::kstr;
use crate::machine::State;
use crate::operation::Operation;
use crate::tree::{Attr, DriverAttr, FunctionAttr};

/// What a write comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Done,
    Locked(PciAddress, Operation),
}

/// NUMA nodes of every simulated server.
const NUMA_NODES: i32 = 2;
const UEVENT_ACTIONS: [&str; 8] = ["add", "remove", "change", "move", "online", "offline", "bind", "unbind"];

impl State {
    /// The whole text of a file.
    pub(crate) fn read_attr(&self, attr: &Attr) -> Result<Vec<u8>, Errno> {
        let text = match attr {
            Attr::Text(text) | Attr::ProcText(text) => text.clone(),
            Attr::Function(address, FunctionAttr::Config) => {
                let function = self.kernel.functions.get(address).ok_or(ENODEV)?;
                return Ok(config_space::bytes(function, self.faults_of(*address).lost));
            }
            Attr::Function(address, FunctionAttr::TotalVfs) => {
                format!("{}\n", self.kernel.most_vfs(*address).ok_or(ENODEV)?)
            }
            Attr::Function(address, attr) => {
                function_text(self.kernel.functions.get(address).ok_or(ENODEV)?, *attr)?
            }
            Attr::UnsafeInterrupts => {
                if self.kernel.unsafe_interrupts {
                    "Y\n".to_owned()
                } else {
                    "N\n".to_owned()
                }
            }
            Attr::Vendor(address, file) => drivers::read(&self.kernel, *address, file)?,
            Attr::Driver(..) | Attr::DriversProbe => return Err(EIO),
            Attr::CharDevice => return Err(EINVAL),
        };
        Ok(text.into_bytes())
    }

    /// A write of a value that is not empty (the kernel never hears of an empty one).
    pub(crate) fn write_attr(&mut self, attr: &Attr, value: &str) -> Result<Write, Errno> {
        let text = kstr::c_string(value);
        match attr {
            Attr::Text(_) | Attr::ProcText(_) => Err(EIO),
            Attr::CharDevice => Err(EINVAL),
            Attr::UnsafeInterrupts => {
                self.kernel.unsafe_interrupts = kstr::boolean(text)?;
                Ok(Write::Done)
            }
            Attr::DriversProbe => Ok(Write::Locked(self.kernel.find(text)?, Operation::Probe)),
            Attr::Driver(driver, attr) => self.write_driver(driver, *attr, text),
            Attr::Function(address, attr) => self.write_function(*address, *attr, text),
            Attr::Vendor(address, file) => {
                let function = self.kernel.functions.get(address).ok_or(ENODEV)?;
                let (at, file, text) = (*address, file.clone(), text.to_owned());
                // A driver has one lock for a GPU and all of its VFs.
                let pf = function.pf().unwrap_or(at);
                Ok(Write::Locked(pf, Operation::Vendor { at, file, text }))
            }
        }
    }

    fn write_driver(&mut self, driver: &str, attr: DriverAttr, text: &str) -> Result<Write, Errno> {
        let driver = driver.to_owned();
        match attr {
            DriverAttr::Bind => Ok(Write::Locked(self.kernel.find(text)?, Operation::Bind(driver))),
            DriverAttr::Unbind => {
                let address = self.kernel.find(text)?;
                Ok(Write::Locked(address, Operation::Unbind(driver)))
            }
            DriverAttr::NewId => self.kernel.new_id(&driver, text).map(|()| Write::Done),
            DriverAttr::RemoveId => self.kernel.remove_id(&driver, text).map(|()| Write::Done),
        }
    }

    fn write_function(
        &mut self,
        address: PciAddress,
        attr: FunctionAttr,
        text: &str,
    ) -> Result<Write, Errno> {
        let most_vfs = self.kernel.most_vfs(address);
        let function = self.kernel.functions.get_mut(&address).ok_or(ENODEV)?;
        let operation = match attr {
            // The simulated kernel is locked down, as Secure Boot makes it.
            FunctionAttr::Config => return Err(EPERM),
            FunctionAttr::NumaNode => {
                function.numa_node = numa_node(text)?;
                return Ok(Write::Done);
            }
            FunctionAttr::Uevent => return uevent(text),
            FunctionAttr::Autoprobe => {
                let on = kstr::boolean(text)?;
                function.sriov_mut().ok_or(ENODEV)?.autoprobe = on;
                return Ok(Write::Done);
            }
            FunctionAttr::NumVfs => Operation::SetVfs(vf_count(text, most_vfs.ok_or(ENODEV)?)?),
            // Nobody may open it for writing.
            FunctionAttr::TotalVfs => return Err(EIO),
            FunctionAttr::DriverOverride => Operation::Override(override_name(text)?),
            FunctionAttr::Reset => match kstr::unsigned(text, u64::MAX) {
                Ok(1) => Operation::Reset,
                _ => return Err(EINVAL),
            },
            FunctionAttr::ResetMethod => Operation::ResetMethod(text.to_owned()),
            FunctionAttr::VfMsixCount => match kstr::int(text)? {
                ..0 => return Err(EINVAL),
                _ => Operation::VfMsixCount,
            },
        };
        Ok(Write::Locked(address, operation))
    }
}

impl Kernel {
    /// The function that a written name means.
    fn find(&self, text: &str) -> Result<PciAddress, Errno> {
        let address: PciAddress = kstr::name(text).parse().map_err(|_| ENODEV)?;
        // Names are compared as texts: `0000:C1:00.0` names nothing.
        let is_exact = address.to_string() == kstr::name(text);
        if is_exact && self.functions.contains_key(&address) { Ok(address) } else { Err(ENODEV) }
    }
}

fn vf_count(text: &str, total: u16) -> Result<u16, Errno> {
    let count = kstr::unsigned(text, u64::from(u16::MAX)).map_err(|_| EINVAL)? as u16;
    if count > total { Err(ERANGE) } else { Ok(count) }
}

/// A name, or None to clear it; the value shown must fit into a page with its newline.
fn override_name(text: &str) -> Result<Option<String>, Errno> {
    if text.len() >= 4095 {
        return Err(EINVAL);
    }
    let name = text.split('\n').next().unwrap_or("");
    Ok(if name.is_empty() { None } else { Some(name.to_owned()) })
}

fn numa_node(text: &str) -> Result<i32, Errno> {
    match kstr::int(text)? {
        node @ -1..NUMA_NODES => Ok(node),
        _ => Err(EINVAL),
    }
}

fn uevent(text: &str) -> Result<Write, Errno> {
    let action = text.split_whitespace().next().unwrap_or("");
    if UEVENT_ACTIONS.contains(&action) { Ok(Write::Done) } else { Err(EINVAL) }
}

fn function_text(function: &Function, attr: FunctionAttr) -> Result<String, Errno> {
    let text = match attr {
        FunctionAttr::NumaNode => function.numa_node.to_string(),
        FunctionAttr::Uevent => return Ok(uevent_text(function)),
        FunctionAttr::DriverOverride => {
            function.driver_override.clone().unwrap_or_else(|| "(null)".to_owned())
        }
        FunctionAttr::ResetMethod if function.reset_methods.is_empty() => return Ok(String::new()),
        FunctionAttr::ResetMethod => function.reset_methods.join(" "),
        FunctionAttr::NumVfs => function.sriov().ok_or(ENODEV)?.count.to_string(),
        FunctionAttr::Autoprobe => u8::from(function.sriov().ok_or(ENODEV)?.autoprobe).to_string(),
        FunctionAttr::Config | FunctionAttr::Reset | FunctionAttr::TotalVfs | FunctionAttr::VfMsixCount => {
            return Err(EIO);
        }
    };
    Ok(text + "\n")
}

fn uevent_text(function: &Function) -> String {
    let (vendor, device, sub_vendor, sub_device) = function.numbers;
    let driver = function.driver.as_ref().map_or(String::new(), |name| format!("DRIVER={name}\n"));
    format!(
        "{driver}PCI_CLASS={:X}\nPCI_ID={vendor:04X}:{device:04X}\nPCI_SUBSYS_ID={sub_vendor:04X}:{sub_device:04X}\nPCI_SLOT_NAME={}\n",
        function.class, function.address
    )
}
