//! What a GPU must be to be given whole, with everything in its slot. Some of it an administrator may
//! accept; a GPU whose IOMMU group has strangers in it is never given. Asked before the decision and
//! again, of a fresh look, right before the VM gets it. Who gets it is not known here.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::whole_or_partitions;
use crate::desired::{DesiredServer, PartitionSetting};
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::observed::{GpuHealth, Observed, ObservedGpu};
use crate::pci_address::PciAddress;
use crate::refusal::{Refusal, WholeRefusal};

pub const SLOT_UNREADABLE: FindingCode = FindingCode::of("slot_unreadable");
pub const NO_GROUP: FindingCode = FindingCode::of("gpu_without_group");
pub const GROUP_SHARED: FindingCode = FindingCode::of("gpu_group_shared");
pub const BOOT_DISPLAY: FindingCode = FindingCode::of("gpu_is_boot_display");
pub const NO_CLEAN_RESET: FindingCode = FindingCode::of("gpu_reset_unproven");
/// Found by the look at the server, not here: processes of the server use the GPU.
pub const IN_USE: FindingCode = FindingCode::of("gpu_in_use");

/// The GPU is free to be given whole: it answers, has no partitions and shall have none, and nobody has it.
pub fn is_free(
    desired: Option<&DesiredServer>,
    observed: &Observed,
    gpu: &ObservedGpu,
) -> Result<(), Refusal> {
    if let GpuHealth::Unknown { reason } = &gpu.health {
        return Err(Refusal::GpuUnknown { gpu: gpu.id.clone(), reason: reason.clone() });
    }
    let asked = desired.and_then(|desired| desired.settings.get(&gpu.id));
    if let Some(PartitionSetting::Count(count)) = asked {
        let why = format!("it shall have {}", count.split);
        return Err(WholeRefusal::GpuPartitioned { gpu: gpu.id.clone(), why }.into());
    }
    whole_or_partitions::may_use_whole(gpu)?;
    whole_or_partitions::nobody_has_it(desired, observed, gpu)
}

/// What stands against giving it, or has to be accepted.
pub fn findings(gpu: &ObservedGpu) -> Vec<Finding> {
    let found = [unreadable(gpu), no_group(gpu), shared_group(gpu), boot_display(gpu), no_clean_reset(gpu)];
    found.into_iter().flatten().collect()
}

fn finding(
    gpu: &ObservedGpu,
    code: FindingCode,
    severity: Severity,
    text: String,
    mend: &str,
) -> Option<Finding> {
    let subject = Subject::Gpu(gpu.id.clone());
    Some(Finding { code, severity, subject, text, mend: mend.to_string() })
}

fn unreadable(gpu: &ObservedGpu) -> Option<Finding> {
    if gpu.slot.functions.iter().any(|function| function.address == gpu.address) {
        return None;
    }
    let text = format!("it cannot be told what else is in the slot of GPU {}", gpu.id);
    let mend = "run divvyd as root, with all of /sys readable";
    finding(gpu, SLOT_UNREADABLE, Severity::Error, text, mend)
}

fn no_group(gpu: &ObservedGpu) -> Option<Finding> {
    let without = gpu.slot.functions.iter().find(|function| function.iommu_group.is_none())?;
    let text = format!("GPU {}: {} is in no IOMMU group", gpu.id, without.address);
    let mend = "turn on VT-d (Intel) or AMD-Vi / IOMMU (AMD) in the firmware setup; on Intel boot with \
                intel_iommu=on";
    finding(gpu, NO_GROUP, Severity::Error, text, mend)
}

fn shared_group(gpu: &ObservedGpu) -> Option<Finding> {
    if gpu.slot.strangers.is_empty() {
        return None;
    }
    let names: Vec<String> = gpu.slot.strangers.iter().map(PciAddress::to_string).collect();
    let text = format!("GPU {} shares its IOMMU group with {}", gpu.id, names.join(", "));
    let mend = "turn on ACS in the firmware setup, or put the GPU into a slot of its own root port";
    finding(gpu, GROUP_SHARED, Severity::Error, text, mend)
}

fn boot_display(gpu: &ObservedGpu) -> Option<Finding> {
    if !gpu.slot.is_boot_display {
        return None;
    }
    let text = format!("GPU {} shows the server's own console", gpu.id);
    let mend = "choose another GPU as the primary display in the firmware setup; without one the server \
                has no screen while a VM has this GPU";
    finding(gpu, BOOT_DISPLAY, Severity::NeedsAccept, text, mend)
}

/// Function level reset, or a way that the kernel has for this very GPU.
fn no_clean_reset(gpu: &ObservedGpu) -> Option<Finding> {
    let method = gpu.slot.reset_methods.first().map(String::as_str);
    if matches!(method, Some("flr" | "device_specific")) {
        return None;
    }
    let how = method.map_or_else(
        || "cannot be reset".to_string(),
        |method| format!("is reset by {method:?}, which is not proved to leave nothing behind"),
    );
    let text = format!("GPU {} {how}: what one VM left in it, the next one may find", gpu.id);
    let mend = "give it only to VMs that trust each other, or power the server off in between";
    finding(gpu, NO_CLEAN_RESET, Severity::NeedsAccept, text, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, vm_with_device};

    type Spoil = fn(&mut World);

    #[test]
    fn a_gpu_that_nobody_has_and_that_is_not_split_is_free() {
        let world = World::one_a2(0);
        assert_eq!(is_free(None, world.observed(), world.gpu()), Ok(()));
        assert_eq!(findings(world.gpu()), []);
    }

    #[test]
    fn each_reason_against_using_it_whole_is_refused_with_its_code() {
        let table: &[(&str, Spoil)] = &[
            ("gpu_partitioned", |world| *world = World::one_a2(4)),
            ("gpu_partitioned", |world| {
                *world = World::one_a2(4);
                world.gpu_mut().partitions.clear();
                world.gpu_mut().partition_count = Some(0);
            }),
            ("gpu_unknown", |world| world.gpu_mut().partition_count = None),
            ("gpu_unknown", |world| {
                world.gpu_mut().health = GpuHealth::Unknown { reason: "hangs".into() };
            }),
            ("gpu_used_whole", |world| *world = world.clone().whole("vm-001")),
            ("gpu_used_whole", |world| *world = world.clone().returning("vm-001")),
            ("gpu_used_whole", |world| {
                let address = world.gpu().address;
                world.observed_mut().vms.push(vm_with_device("whole", address));
            }),
        ];
        for (code, spoil) in table {
            let mut world = World::one_a2(0);
            spoil(&mut world);
            let (desired, observed) = &world.servers[0];
            let refusal = is_free(Some(desired), observed, world.gpu()).expect_err("refused");
            assert_eq!(refusal.code(), *code);
        }
    }

    #[test]
    fn each_finding_about_the_slot_is_found_alone() {
        let table: &[(&FindingCode, Severity, Spoil)] = &[
            (&SLOT_UNREADABLE, Severity::Error, |world| world.gpu_mut().slot.functions.clear()),
            (&NO_GROUP, Severity::Error, |world| world.gpu_mut().slot.functions[0].iommu_group = None),
            (&GROUP_SHARED, Severity::Error, |world| {
                let stranger = world.gpu().address;
                world.gpu_mut().slot.strangers.push(stranger);
            }),
            (&BOOT_DISPLAY, Severity::NeedsAccept, |world| world.gpu_mut().slot.is_boot_display = true),
            (&NO_CLEAN_RESET, Severity::NeedsAccept, |world| {
                world.gpu_mut().slot.reset_methods = Vec::from(["bus".to_string()]);
            }),
            (&NO_CLEAN_RESET, Severity::NeedsAccept, |world| world.gpu_mut().slot.reset_methods.clear()),
        ];
        for (code, severity, spoil) in table {
            let mut world = World::one_a2(0);
            spoil(&mut world);
            let found: Vec<_> = findings(world.gpu()).into_iter().map(|f| (f.code, f.severity)).collect();
            assert_eq!(found, [((*code).clone(), *severity)]);
        }
    }

    proptest::proptest! {
        /// No GPU is free to be given whole and to be partitioned by somebody who has it.
        #[test]
        fn a_gpu_is_free_exactly_if_it_is_not_split_and_nobody_has_it(partitions in proptest::sample::select(&[0u16, 1, 4, 16][..]), owned: bool, returning: bool) {
            let mut world = World::one_a2(partitions);
            if owned {
                world = world.whole("vm-001");
            }
            if returning {
                world = world.returning("vm-002");
            }
            let (desired, observed) = &world.servers[0];
            let free = is_free(Some(desired), observed, world.gpu()).is_ok();
            proptest::prop_assert_eq!(free, partitions == 0 && !owned && !returning);
        }
    }
}
