//! A GPU's own conditions: the driver that it needs, SR-IOV and address space from the firmware, errors on
//! its link, and other programs that split it. What the look at the GPU told already (it does not answer,
//! it has no serial number) is not told again.

use divvy_core::catalogue::{self, CatalogueEntry};
use divvy_core::finding::Severity::{Error, NeedsAccept, Warning};
use divvy_core::gpu::Scheme;
use divvy_core::observed::ObservedGpu;

use super::denied::Denied;
use super::{Check, Found, Settings, check, one, trouble};
use crate::attribute::{self, AttributeError, optional};
use crate::codes;
use crate::paths;
use crate::pci::{self, Window};
use crate::sysfs::Sysfs;
use crate::vfio;

pub struct Context<'a> {
    pub sys: &'a dyn Sysfs,
    pub gpu: &'a ObservedGpu,
    pub settings: &'a Settings,
}

pub fn checks<'a>() -> [Check<Context<'a>>; 9] {
    [
        check(codes::GPU_WITHOUT_DRIVER, Error, has_a_driver),
        check(codes::GPU_ON_VFIO, Error, partitions_have_their_gpus_driver),
        check(codes::DRIVER_WITHOUT_SRIOV, Warning, driver_makes_partitions),
        check(codes::DRIVER_DENIED, NeedsAccept, driver_is_not_denied),
        check(codes::SRIOV_OFF, Warning, sriov_is_on),
        check(codes::WINDOWS_UNPLACED, Error, partition_windows_have_addresses),
        check(codes::AUTOPROBE_ON, Warning, servers_drivers_keep_off),
        check(codes::FATAL_ERRORS, Warning, link_had_no_fatal_errors),
        check(codes::MDEVS_DEFINED, Warning, mdevctl_keeps_off),
    ]
}

const FIRMWARE: &str = "in the server's firmware setup turn on SR-IOV and Above 4G Decoding, and raise the MMIO High size if there is \
     one; if that does not help, boot with pci=realloc";

fn has_a_driver(context: &Context<'_>) -> Found {
    let gpu = context.gpu;
    let matters = gpu.max_partitions > 0 || catalogue::of_model(&gpu.model).is_some();
    one((matters && gpu.driver.is_none()).then(|| {
        trouble(
            format!("GPU {} ({}) at {} has no driver", gpu.id, gpu.model, gpu.address),
            format!(
                "load the vendor's driver for virtualization; lspci -k -s {} shows what the kernel has",
                gpu.address
            ),
        )
    }))
}

fn partitions_have_their_gpus_driver(context: &Context<'_>) -> Found {
    let gpu = context.gpu;
    let driver = gpu.driver.as_deref().filter(|driver| vfio::is_vfio_driver(driver));
    let has_partitions = gpu.partition_count.unwrap_or(0) > 0;
    one(driver.filter(|_| has_partitions).map(|driver| {
        trouble(
            format!(
                "GPU {} has partitions and is itself held by {driver}, as if it were given away whole",
                gpu.id
            ),
            "remove its partitions, then give the GPU back to the vendor's driver",
        )
    }))
}

fn driver_makes_partitions(context: &Context<'_>) -> Found {
    let gpu = context.gpu;
    let driver = gpu.driver.as_deref().filter(|driver| !vfio::is_vfio_driver(driver));
    one(driver.filter(|_| gpu.scheme.is_none() && gpu.max_partitions > 0).map(|driver| {
        trouble(
            format!("GPU {} has SR-IOV, but its driver {driver} makes no partitions", gpu.id),
            "install the vendor's driver for virtualization on the server",
        )
    }))
}

fn driver_is_not_denied(context: &Context<'_>) -> Found {
    let gpu = context.gpu;
    let (Some(driver), Some(version)) = (&gpu.driver, &gpu.driver_version) else { return Ok(Vec::new()) };
    let mut denied = context.settings.denied.iter();
    let is_it = |denied: &&Denied| denied.driver.as_deref() == Some(driver) && denied.covers(version);
    one(denied.find(is_it).map(|denied| {
        trouble(
            format!("the driver {driver} {version} of GPU {} is known to be unsafe: {}", gpu.id, denied.why),
            denied.mend(),
        )
    }))
}

fn sriov_is_on(context: &Context<'_>) -> Found {
    let gpu = context.gpu;
    let known = catalogue::of_model(&gpu.model).is_some_and(CatalogueEntry::splits_by_sriov);
    one((known && gpu.max_partitions == 0).then(|| {
        let shown = if context.sys.exists(&paths::total_vfs(gpu.address)) { "is 0" } else { "is not there" };
        trouble(
            format!(
                "GPU {} ({}) can be partitioned, but {} {shown}",
                gpu.id,
                gpu.model,
                paths::total_vfs(gpu.address)
            ),
            FIRMWARE,
        )
    }))
}

fn partition_windows_have_addresses(context: &Context<'_>) -> Found {
    let windows = pci::windows(context.sys, context.gpu.address)?;
    let mut unplaced = windows.iter().filter(|window| window.is_for_partitions() && window.is_unplaced);
    one(unplaced.next().map(|Window { number, bytes, .. }| {
        trouble(
            format!(
                "GPU {}: no address space for its partitions (window {number}, {bytes} bytes)",
                context.gpu.id
            ),
            FIRMWARE,
        )
    }))
}

fn servers_drivers_keep_off(context: &Context<'_>) -> Found {
    let gpu = context.gpu;
    let concerns = gpu.scheme.is_none_or(Scheme::keeps_drivers_off);
    if gpu.partition_count.unwrap_or(0) == 0 || !concerns {
        return Ok(Vec::new());
    }
    let path = paths::autoprobe(gpu.address);
    let on = optional(attribute::switch(context.sys, &path))?;
    one((on == Some(true)).then(|| {
        trouble(
            format!("/{path} is 1: the server's own drivers may take partitions of GPU {}", gpu.id),
            "set the partition count anew when no partition is in use: Divvy turns this off before it makes partitions",
        )
    }))
}

/// `TOTAL_ERR_FATAL N` in `aer_dev_fatal` (`Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats`).
fn link_had_no_fatal_errors(context: &Context<'_>) -> Found {
    let gpu = context.gpu;
    let path = paths::attribute(gpu.address, "aer_dev_fatal");
    let Some(text) = optional(attribute::text(context.sys, &path))? else { return Ok(Vec::new()) };
    let total = text.lines().find_map(|line| line.trim().strip_prefix("TOTAL_ERR_FATAL"));
    let malformed = || AttributeError::malformed(&path, &text, "a table with TOTAL_ERR_FATAL");
    let total: u64 = attribute::parse_decimal(total.ok_or_else(malformed)?.trim()).ok_or_else(malformed)?;
    one((total > 0).then(|| {
        trouble(
            format!("GPU {} had {total} fatal errors on its link since boot (/{path})", gpu.id),
            "the server's kernel log says which (dmesg | grep AER); reseat the GPU, check its power and cooling",
        )
    }))
}

fn mdevctl_keeps_off(context: &Context<'_>) -> Found {
    let path = format!("{}/{}", paths::MDEVCTL, context.gpu.address);
    let names = context.sys.list(&path).map_err(|cause| AttributeError::unreadable(&path, cause));
    let names = optional(names)?.unwrap_or_default();
    one((!names.is_empty()).then(|| {
        trouble(
            format!("/{path} makes mediated devices of GPU {}: {}", context.gpu.id, names.join(", ")),
            "mdevctl undefine each of them",
        )
    }))
}
