//! The server's own conditions: IOMMU, VFIO, kernel options and parameters that take the isolation away,
//! kernels known to be unsafe, and other programs that would change partitions behind Divvy's back.
//! Sources: `Documentation/admin-guide/kernel-parameters.txt`, `tainted-kernels.rst`, `vfio.rst`.

use divvy_core::finding::Severity::{Error, NeedsAccept, Warning};

use super::{Check, Found, Settings, Trouble, check, one, trouble};
use crate::attribute::{self, AttributeError, optional};
use crate::codes;
use crate::iommu;
use crate::paths;
use crate::sysfs::Sysfs;

pub struct Context<'a> {
    pub sys: &'a dyn Sysfs,
    pub settings: &'a Settings,
}

pub fn checks<'a>() -> [Check<Context<'a>>; 12] {
    [
        check(codes::IOMMU_OFF, Error, iommu_is_on),
        check(codes::IOMMU_OFF_BY_OPTION, Error, no_option_turns_the_iommu_off),
        check(codes::VFIO_MISSING, Error, vfio_is_loaded),
        check(codes::UNSAFE_INTERRUPTS, NeedsAccept, unsafe_interrupts_are_refused),
        check(codes::INTERRUPT_REMAPPING_OFF, NeedsAccept, no_option_weakens_interrupt_remapping),
        check(codes::UNSAFE_NOIOMMU, NeedsAccept, unsafe_noiommu_is_off),
        check(codes::ACS_WEAKENED, NeedsAccept, no_option_weakens_acs),
        check(codes::KERNEL_DENIED, NeedsAccept, kernel_is_not_denied),
        check(codes::KERNEL_TAINTED, Warning, kernel_is_not_damaged),
        check(codes::OTHER_AGENT, Warning, nobody_else_makes_partitions_at_boot),
        check(codes::HOOK_MISSING, Warning, libvirt_asks_divvy),
        check(codes::SLEEP_POSSIBLE, Warning, server_does_not_sleep),
    ]
}

fn iommu_is_on(context: &Context<'_>) -> Found {
    one((!iommu::is_on(context.sys)).then(|| {
        trouble(
            format!("the IOMMU is off: /{} has no group", paths::IOMMU_GROUPS),
            "turn on VT-d (Intel) or AMD-Vi / IOMMU (AMD) in the firmware setup; on Intel add intel_iommu=on \
             to the kernel's command line; reboot",
        )
    }))
}

fn vfio_is_loaded(context: &Context<'_>) -> Found {
    let path = paths::pci_driver(paths::VFIO_PCI);
    one((!context.sys.exists(&path)).then(|| {
        trouble(
            format!("the driver vfio-pci is not loaded: there is no /{path}"),
            "modprobe vfio-pci; for every boot: echo vfio-pci > /etc/modules-load.d/vfio-pci.conf",
        )
    }))
}

/// Without the hook, libvirt starts a VM whose partition is gone, or somebody else's (libvirt,
/// docs/hooks.rst). A server without libvirt needs none.
fn libvirt_asks_divvy(context: &Context<'_>) -> Found {
    if !context.sys.exists(paths::LIBVIRT) {
        return Ok(Vec::new());
    }
    let text = optional(attribute::text(context.sys, paths::LIBVIRT_HOOK))?.unwrap_or_default();
    one((!text.contains("--libvirt-hook")).then(|| {
        trouble(
            format!("/{} is not there or does not ask divvyd", paths::LIBVIRT_HOOK),
            "install it again (it runs: divvyd --libvirt-hook \"$@\"), make it executable, then restart libvirt",
        )
    }))
}

/// After a sleep the kernel makes the partitions again, and nobody has looked at what the hardware kept
/// of them.
fn server_does_not_sleep(context: &Context<'_>) -> Found {
    let states = optional(attribute::text(context.sys, paths::SLEEP_STATES))?.unwrap_or_default();
    let can_sleep = states.split_ascii_whitespace().any(|state| matches!(state, "mem" | "disk"));
    let masked = context.sys.link(paths::SLEEP_TARGET).is_ok_and(|target| target == "/dev/null");
    one((can_sleep && !masked).then(|| {
        trouble(
            format!(
                "the server can be put to sleep (/{} is {states:?}), and partitions do not survive that",
                paths::SLEEP_STATES
            ),
            "systemctl mask sleep.target suspend.target hibernate.target hybrid-sleep.target",
        )
    }))
}

fn unsafe_interrupts_are_refused(context: &Context<'_>) -> Found {
    let mut troubles = Vec::new();
    for path in paths::UNSAFE_INTERRUPTS {
        if optional(attribute::switch(context.sys, path))? == Some(true) {
            troubles.push(trouble(
                format!("/{path} is Y: a VM with a device can inject interrupts into the server"),
                format!("echo N > /{path}, and take the option out of /etc/modprobe.d"),
            ));
        }
    }
    Ok(troubles)
}

fn unsafe_noiommu_is_off(context: &Context<'_>) -> Found {
    let path = paths::UNSAFE_NOIOMMU;
    if optional(attribute::switch(context.sys, path))? == Some(true) {
        return Ok(vec![trouble(
            format!("/{path} is Y: devices may be given away without any isolation"),
            format!("echo N > /{path}, and take the option out of /etc/modprobe.d"),
        )]);
    }
    let names = names(context.sys, paths::DEV_VFIO)?;
    let unisolated = names.into_iter().find(|name| name.starts_with("noiommu-"));
    one(unisolated.map(|name| {
        trouble(
            format!("/{}/{name} gives a device away without any isolation", paths::DEV_VFIO),
            "take that device from vfio-pci; turn the IOMMU on",
        )
    }))
}

/// The words of the kernel's command line; what follows `--` is for init.
fn options(sys: &dyn Sysfs) -> Result<Vec<String>, AttributeError> {
    let line = attribute::text(sys, paths::COMMAND_LINE)?;
    let words = line.split_ascii_whitespace().take_while(|word| *word != "--");
    Ok(words.map(|word| word.trim_matches('"').to_owned()).collect())
}

fn weak_options(context: &Context<'_>, is_weak: fn(&str) -> bool, what: &str) -> Found {
    let troubles = options(context.sys)?.into_iter().filter(|word| is_weak(word)).map(|word| {
        trouble(
            format!("the kernel's command line has {word}, {what}"),
            format!("take {word} out of the kernel's command line and reboot"),
        )
    });
    Ok(troubles.collect())
}

fn no_option_turns_the_iommu_off(context: &Context<'_>) -> Found {
    weak_options(context, turns_iommu_off, "which turns the IOMMU off")
}

fn turns_iommu_off(word: &str) -> bool {
    let Some((name, values)) = word.split_once('=') else { return false };
    matches!(name, "iommu" | "intel_iommu" | "amd_iommu") && values.split(',').any(|value| value == "off")
}

fn no_option_weakens_interrupt_remapping(context: &Context<'_>) -> Found {
    weak_options(
        context,
        weakens_remapping,
        "so that a VM with a device can inject interrupts into the server",
    )
}

fn weakens_remapping(word: &str) -> bool {
    let values = word.strip_prefix("intremap=");
    word == "nointremap" || values.is_some_and(|v| v.split(',').any(|value| matches!(value, "off" | "nosid")))
}

fn no_option_weakens_acs(context: &Context<'_>) -> Found {
    weak_options(context, weakens_acs, "so that devices which look isolated can reach each other")
}

/// `pcie_acs_override` is of patched kernels; `pci=disable_acs_redir=…` and `pci=config_acs=FLAGS@…` are
/// the kernel's own, and a flag 0 takes a protection away.
fn weakens_acs(word: &str) -> bool {
    if word == "pcie_acs_override" || word.starts_with("pcie_acs_override=") {
        return true;
    }
    let Some(values) = word.strip_prefix("pci=") else { return false };
    values.split(',').any(|value| match value.split_once('=') {
        Some(("disable_acs_redir", _)) => true,
        Some(("config_acs", rules)) => {
            rules.split(';').any(|rule| rule.split('@').next().is_some_and(|flags| flags.contains('0')))
        }
        _ => false,
    })
}

fn kernel_is_not_denied(context: &Context<'_>) -> Found {
    let release = attribute::text(context.sys, paths::KERNEL_RELEASE)?;
    let mut denied = context.settings.denied.iter();
    let denied = denied.find(|denied| denied.driver.is_none() && denied.covers(&release));
    one(denied.map(|denied| {
        let mend = format!("{}, and reboot", denied.mend());
        trouble(format!("the kernel {release} is known to be unsafe: {}", denied.why), mend)
    }))
}

/// Bits that say that the kernel or the hardware has gone wrong since boot; the rest (modules of other
/// makers and the like) is usual on servers with GPUs.
const DAMAGE: &[(u32, &str)] = &[
    (1, "a module was loaded by force"),
    (3, "a module was unloaded by force"),
    (4, "the processor reported a machine check"),
    (5, "a page of memory was bad"),
    (7, "the kernel has had an oops"),
    (14, "a processor was stuck"),
];

fn kernel_is_not_damaged(context: &Context<'_>) -> Found {
    let path = paths::TAINTED;
    let Some(bits) = optional(attribute::decimal::<u64>(context.sys, path))? else { return Ok(Vec::new()) };
    let set: Vec<&str> =
        DAMAGE.iter().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, words)| *words).collect();
    one((!set.is_empty()).then(|| {
        trouble(
            format!("/{path} is {bits}: {}", set.join(", ")),
            "the server's kernel log says more (dmesg); reboot when its VMs can be shut down",
        )
    }))
}

/// The attribute and the tool by which partitions are made.
const MAKERS: &[&str] = &["sriov_numvfs", "sriov-manage"];

fn nobody_else_makes_partitions_at_boot(context: &Context<'_>) -> Found {
    let mut files: Vec<String> = paths::BOOT_ACTION_FILES.iter().map(|path| (*path).to_owned()).collect();
    for folder in paths::BOOT_ACTIONS {
        files.extend(names(context.sys, folder)?.iter().map(|name| format!("{folder}/{name}")));
    }
    Ok(files.iter().filter_map(|path| makes_partitions(context.sys, path)).collect())
}

/// Folders, links to nowhere and files that are no text make no partitions.
fn makes_partitions(sys: &dyn Sysfs, path: &str) -> Option<Trouble> {
    let text = attribute::text(sys, path).ok()?;
    let is_comment = |line: &str| line.trim_start().starts_with(['#', ';']);
    let line =
        text.lines().find(|line| !is_comment(line) && MAKERS.iter().any(|maker| line.contains(maker)))?;
    Some(trouble(
        format!("/{path} makes partitions at boot, and Divvy makes its own: {}", line.trim()),
        format!("take it out of /{path}"),
    ))
}

/// The names in a folder; none where there is no such folder.
fn names(sys: &dyn Sysfs, folder: &str) -> Result<Vec<String>, AttributeError> {
    let names = sys.list(folder).map_err(|cause| AttributeError::unreadable(folder, cause));
    Ok(optional(names)?.unwrap_or_default())
}
