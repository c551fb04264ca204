//! Which mechanism a GPU has. The driver is asked first, then what it shows on the GPU and on its virtual
//! functions; the model is never asked.
//!
//! NVIDIA's driver tells its interface on virtual functions only, and these come by its own program
//! alone. A GPU without them is taken for `nvidia_vfio` until they are there, and looked at again then:
//! a step that makes partitions goes by what the functions show once they have come.

use divvy_core::gpu::Scheme;
use divvy_core::pci_address::PciAddress;

use super::{Gpu, nvidia, sriov};
use crate::attribute::AttributeError;
use crate::paths;
use crate::sysfs::Sysfs;
use crate::vfio;

const AMD: u16 = 0x1002;
const NVIDIA: u16 = 0x10de;

/// None: it cannot be split as it is.
pub fn detect(
    sys: &dyn Sysfs,
    gpu: &Gpu,
    vendor: u16,
    driver: Option<&str>,
) -> Result<Option<Scheme>, AttributeError> {
    let address = gpu.address;
    match driver {
        Some(nvidia::DRIVER) => return nvidia::detect(sys, gpu),
        // NVIDIA's program ended half way.
        Some(paths::PF_STUB) if vendor == NVIDIA => return nvidia::detect(sys, gpu),
        _ if gpu.total == 0 => return Ok(None),
        Some(paths::GIM) => return Ok(Some(Scheme::AmdGim)),
        // GIM's module is unloaded while nothing is split; its settings stay.
        None if vendor == AMD && sys.exists(paths::GIM_CONFIG) => return Ok(Some(Scheme::AmdGim)),
        None => return Ok(None),
        Some(driver) if !sriov::is_implemented_by(driver) => return Ok(None),
        Some(_) => {}
    }
    if sys.exists(&paths::sriov_admin(address)) {
        return Ok(Some(Scheme::IntelXe));
    }
    if has_iov(sys, address) {
        return Ok(Some(Scheme::IntelI915));
    }
    Ok(Some(Scheme::Sriov))
}

/// Whether it has virtual functions now.
pub fn has_functions(sys: &dyn Sysfs, address: PciAddress) -> bool {
    vfio::partitions(sys, address).is_ok_and(|functions| !functions.is_empty())
}

/// The i915 of kernels without SR-IOV has no such folder, and needs none to be told from xe.
fn has_iov(sys: &dyn Sysfs, address: PciAddress) -> bool {
    sys.list(&paths::drm(address))
        .is_ok_and(|names| names.iter().any(|name| sys.exists(&paths::iov(address, name))))
}

#[cfg(test)]
mod tests;
