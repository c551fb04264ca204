//! A partition's own conditions, each read from the tree now: it is that partition of that GPU, alone in
//! its IOMMU group, can be reset, answers; and when it is about to go into a VM, it is held by VFIO, kept
//! for VFIO, and open to nobody.

use divvy_core::device::DeviceHandle;
use divvy_core::finding::Severity::{Error, NeedsAccept, Warning};
use divvy_core::gpu::{Carrier, Scheme};
use divvy_core::observed::ObservedPartition;
use divvy_core::pci_address::PciAddress;

use super::gpu_now::GpuNow;
use super::{Check, Found, check, one, trouble};
use crate::attribute::{AttributeError, link_address, optional};
use crate::codes;
use crate::iommu;
use crate::paths;
use crate::pci::{self, Config, interrupts};
use crate::scheme;
use crate::vfio;

pub struct Context<'a> {
    pub now: &'a GpuNow<'a>,
    pub partition: &'a ObservedPartition,
}

impl Context<'_> {
    fn address(&self) -> PciAddress {
        self.partition.address
    }

    fn carrier(&self) -> Carrier {
        self.now.gpu.scheme.map_or(Carrier::Vfio, Scheme::carrier)
    }

    /// It is reset by the kernel, rather than made anew by its driver.
    fn is_cleaned_by_reset(&self) -> bool {
        self.carrier() == Carrier::Vfio
    }

    /// `partition gpu-….3 at 0000:41:00.4`.
    fn name(&self) -> String {
        format!("partition {}.{} at {}", self.now.gpu.id, self.partition.index, self.partition.device)
    }
}

/// Whether it is that partition at all.
pub fn is_it<'a>() -> [Check<Context<'a>>; 4] {
    [
        check(codes::GPU_REPLACED, Error, gpu_is_the_same),
        check(codes::PARTITION_GONE, Error, is_there),
        check(codes::PARTITION_MOVED, Error, is_where_it_was),
        check(codes::COUNT_CONTRADICTION, Error, is_one_of_as_many),
    ]
}

pub fn resting<'a>() -> [Check<Context<'a>>; 8] {
    [
        check(codes::PARTITION_SHARE_LOST, Error, has_its_share),
        check(codes::PARTITION_RESET_IN_USE, Warning, was_left_alone),
        check(codes::NO_IOMMU_GROUP, Error, has_a_group),
        check(codes::NOT_ISOLATED, Error, is_alone_in_its_group),
        check(codes::VFIO_FILE_OPEN_TO_OTHERS, NeedsAccept, only_root_may_open_it),
        check(codes::NO_RESET, Error, can_be_reset),
        check(codes::RESET_UNPROVEN, NeedsAccept, is_reset_in_a_good_way),
        check(codes::PARTITION_SILENT, Error, answers),
    ]
}

pub fn assigning<'a>() -> [Check<Context<'a>>; 4] {
    [
        check(codes::PARTITION_OPEN, Error, is_open_to_nobody),
        check(codes::OPEN_UNKNOWN, Error, is_known_to_be_open_or_not),
        check(codes::DRIVER_NOT_VFIO, Error, is_held_by_vfio),
        check(codes::NOT_KEPT_FOR_VFIO, Error, is_kept_for_vfio),
    ]
}

const TRY_AGAIN: &str = "nothing, Divvy looks again and finds another partition";

fn gpu_is_the_same(context: &Context<'_>) -> Found {
    let gpu = context.now.gpu;
    one(context.now.contradiction().map(|why| {
        trouble(
            format!("the GPU at {} is not {} any more: {why}", gpu.address, gpu.id),
            "if the GPU was replaced, remove its assignments; if it does not answer, power the server off and on",
        )
    }))
}

fn is_there(context: &Context<'_>) -> Found {
    let folder = match context.partition.device {
        DeviceHandle::Pci(address) => paths::device(address),
        DeviceHandle::Mdev(uuid) => paths::mdev_folder(uuid),
    };
    one((!context.now.sys.exists(&folder)).then(|| trouble(format!("{} is gone", context.name()), TRY_AGAIN)))
}

fn is_where_it_was(context: &Context<'_>) -> Found {
    if context.address() == context.now.gpu.address {
        return Ok(Vec::new());
    }
    let up = paths::physical_function(context.address());
    let down = paths::virtual_function(context.now.gpu.address, context.partition.index);
    for (path, expected) in [(up, context.now.gpu.address), (down, context.address())] {
        let found = link_address(context.now.sys, &path)?;
        if found != expected {
            let text = format!("{} is another one by now: /{path} leads to {found}", context.name());
            return Ok(vec![trouble(text, TRY_AGAIN)]);
        }
    }
    Ok(Vec::new())
}

fn is_one_of_as_many(context: &Context<'_>) -> Found {
    let gpu = context.now.gpu;
    let (count, linked) = context.now.count()?;
    let agrees = count.is_some() && gpu.partition_count == count && Some(linked) == count.map(usize::from);
    let in_words =
        |count: Option<u16>| count.map_or_else(|| "an unknown number of".to_owned(), |n| n.to_string());
    let (expected, count) = (in_words(gpu.partition_count), in_words(count));
    one((!agrees).then(|| {
        trouble(
            format!("GPU {} had {expected} partitions; it says {count} and shows {linked} now", gpu.id),
            "somebody else changes its partitions; stop that program",
        )
    }))
}

/// A GPU that was reset may come back with its partitions and without what they had of it.
fn has_its_share(context: &Context<'_>) -> Found {
    let lost = scheme::lost(context.now.sys, context.now.gpu, context.partition.index)?;
    one(lost.map(|path| {
        trouble(
            format!("{} has lost its share of the GPU, as after a reset of the GPU: /{path} is 0", context.name()),
            format!(
                "when no VM has a partition of the GPU: divvy gpu partition {0} --off, then the count again; or \
                 reboot the server",
                context.now.gpu.id
            ),
        )
    }))
}

/// A reset of the GPU takes what was set in a partition also from the VM that uses it. The kernel allows that
/// and says nothing, and the partition would stay dead until its VM is started anew.
fn was_left_alone(context: &Context<'_>) -> Found {
    if !context.partition.open || !context.is_cleaned_by_reset() {
        return Ok(Vec::new());
    }
    let lost = interrupts::are_lost(context.now.sys, context.address(), context.now.settings.read_deadline)?;
    one(lost.then(|| {
        trouble(
            format!(
                "{} was reset while it was in use, as by a reset of its GPU: its interrupts are off, and the kernel \
                 has them on",
                context.name()
            ),
            "shut the VM that uses it down and start it: until then its guest OS has a GPU that does not work",
        )
    }))
}

/// Who may open the file of its group gets the partition, whichever VM it belongs to. The kernel makes it
/// for root alone; libvirt gives it to QEMU's user only while the VM runs.
fn only_root_may_open_it(context: &Context<'_>) -> Found {
    let Some(group) = iommu::group_of(context.now.sys, context.partition.device)? else {
        return Ok(Vec::new());
    };
    let mut files = vec![format!("{}/{group}", paths::DEV_VFIO)];
    let own = paths::attribute(context.address(), "vfio-dev");
    let names = context.now.sys.list(&own).map_err(|cause| AttributeError::unreadable(&own, cause));
    let names = optional(names)?.unwrap_or_default();
    files.extend(names.iter().map(|name| format!("{}/devices/{name}", paths::DEV_VFIO)));
    let mut troubles = Vec::new();
    for path in files {
        let access = context.now.sys.access(&path).map_err(|cause| AttributeError::unreadable(&path, cause));
        let others = optional(access)?.and_then(|access| access.beyond_root(context.partition.open));
        troubles.extend(others.map(|others| {
            trouble(
                format!("{}: /{path} may be opened by {others}", context.name()),
                format!(
                    "take out the rule that opens it (grep -r vfio /etc/udev/rules.d), then: chown root:root /{path}; \
                     chmod 600 /{path}"
                ),
            )
        }));
    }
    Ok(troubles)
}

fn has_a_group(context: &Context<'_>) -> Found {
    let group = iommu::group_of(context.now.sys, context.partition.device)?;
    one(group.is_none().then(|| {
        trouble(
            format!("{} is in no IOMMU group", context.name()),
            "turn on VT-d (Intel) or AMD-Vi / IOMMU (AMD) in the firmware setup; on Intel boot with intel_iommu=on",
        )
    }))
}

fn is_alone_in_its_group(context: &Context<'_>) -> Found {
    // The kernel makes a group for each mediated device.
    let DeviceHandle::Pci(address) = context.partition.device else { return Ok(Vec::new()) };
    let Some(group) = iommu::group(context.now.sys, address)? else { return Ok(Vec::new()) };
    let peers = iommu::peers(context.now.sys, group, context.address())?;
    let names: Vec<String> = peers.iter().map(PciAddress::to_string).collect();
    one((!peers.is_empty()).then(|| {
        trouble(
            format!("{} shares IOMMU group {group} with {}", context.name(), names.join(", ")),
            "turn on ACS (and on AMD servers ARI) in the firmware setup, or put the GPU into a slot of its own root port",
        )
    }))
}

fn can_be_reset(context: &Context<'_>) -> Found {
    if !context.is_cleaned_by_reset() {
        return Ok(Vec::new());
    }
    let path = paths::reset(context.address());
    if !context.now.sys.exists(&path) {
        return one(Some(trouble(
            format!("{} cannot be reset: there is no /{path}", context.name()),
            "update the GPU's firmware or the kernel; without a reset it cannot be proved clean for the next VM",
        )));
    }
    let methods = pci::reset_methods(context.now.sys, context.address())?;
    let path = paths::reset_method(context.address());
    one(methods.is_empty().then(|| {
        trouble(
            format!("{} cannot be reset: somebody took all ways to do it out of /{path}", context.name()),
            format!("echo default > /{path}; without a reset it cannot be proved clean for the next VM"),
        )
    }))
}

/// Function level reset, or a way that the kernel has for this very device: both leave the others alone
/// and do what they say.
fn is_reset_in_a_good_way(context: &Context<'_>) -> Found {
    if !context.is_cleaned_by_reset() {
        return Ok(Vec::new());
    }
    let methods = pci::reset_methods(context.now.sys, context.address())?;
    let Some(first) = methods.first() else { return Ok(Vec::new()) };
    one((!matches!(first.as_str(), "flr" | "device_specific")).then(|| {
        let path = paths::reset_method(context.address());
        trouble(
            format!("{} is reset by {first:?}, which is not proved to leave nothing behind", context.name()),
            format!("if the hardware has it: echo flr > /{path}"),
        )
    }))
}

fn answers(context: &Context<'_>) -> Found {
    let config = pci::config(context.now.sys, context.address(), context.now.settings.read_deadline)?;
    one((config == Config::Lost).then(|| {
        trouble(
            format!("{} does not answer on the bus", context.name()),
            "set the partition count of its GPU anew, or power the server off and on",
        )
    }))
}

fn is_open_to_nobody(context: &Context<'_>) -> Found {
    let Ok(holders) = vfio::open(context.now.sys, &[context.partition.device]) else { return Ok(Vec::new()) };
    let troubles = holders.iter().map(|holder| {
        trouble(
            format!("{} is in use: {holder}", context.name()),
            "shut the VM down, or end the process that has it open",
        )
    });
    Ok(troubles.collect())
}

fn is_known_to_be_open_or_not(context: &Context<'_>) -> Found {
    let unknown = vfio::open(context.now.sys, &[context.partition.device]).err();
    one(unknown.map(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        trouble(
            format!("it cannot be told whether {} is in use: {error}: {cause}", context.name()),
            "run divvyd as root with CAP_SYS_PTRACE, and /proc mounted and not hidden",
        )
    }))
}

fn is_held_by_vfio(context: &Context<'_>) -> Found {
    let driver = vfio::driver(context.now.sys, context.address())?;
    let carrier = context.carrier();
    let is_held = |driver: &str| match carrier {
        Carrier::Vfio => vfio::is_vfio_driver(driver),
        Carrier::Vendor(vendors) => driver == vendors,
        Carrier::Mediated => true,
    };
    let mend = match carrier {
        Carrier::Vfio => "modprobe vfio-pci; Divvy then gives it the partition",
        _ => "set the partition count of its GPU to none and anew when no partition is in use",
    };
    let text = match driver.as_deref() {
        Some(driver) if is_held(driver) => return Ok(Vec::new()),
        Some(driver) => format!("{} is held by the driver {driver}", context.name()),
        None => format!("{} is held by no driver", context.name()),
    };
    Ok(vec![trouble(text, mend)])
}

fn is_kept_for_vfio(context: &Context<'_>) -> Found {
    let kept_for = vfio::driver_override(context.now.sys, context.address())?;
    let is_kept = match context.carrier() {
        Carrier::Vfio => kept_for.as_deref().is_some_and(vfio::is_vfio_driver),
        Carrier::Vendor(vendors) => kept_for.as_deref().is_none_or(|driver| driver == vendors),
        Carrier::Mediated => true,
    };
    one((!is_kept).then(|| {
        let value = kept_for.unwrap_or_else(|| "(null)".to_owned());
        let path = paths::driver_override(context.address());
        trouble(
            format!(
                "{} is kept for another driver than the one that hands it to a VM: /{path} is {value}",
                context.name()
            ),
            "another program changed it; stop that program, Divvy sets it again",
        )
    }))
}
