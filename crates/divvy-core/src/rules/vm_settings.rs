//! Settings of a VM that conflict with a GPU: refused with the mend, or to be accepted. Divvy does not
//! rewrite what the VM's owner wrote; it says which line to change.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::observed::{ObservedGpu, ObservedPartition};
use crate::vm::{Firmware, Machine, ObservedVm};

/// The VM runs, cannot take the partition while it runs, and would be shut down and started again.
pub const WILL_RESTART: FindingCode = FindingCode::of("vm_will_restart");

/// The 64-bit window that OVMF gives to device memory without being told, bytes (32 GiB).
const DEFAULT_UEFI_WINDOW_BYTES: u64 = 32 << 30;

/// What the VM would get, as far as its settings matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// For people: "the partition needs".
    what: &'static str,
    mmio_bytes: Option<u64>,
    /// Ports of the VM that it takes.
    ports: u32,
}

impl Need {
    /// Nothing in particular is asked for.
    pub const UNKNOWN: Self = Self { what: "", mmio_bytes: None, ports: 1 };

    pub fn of_partition(partition: &ObservedPartition) -> Self {
        Self { what: "the partition needs", mmio_bytes: partition.mmio_bytes, ports: 1 }
    }

    /// All of these GPUs, with everything in their slots.
    pub fn of_whole<'a>(gpus: impl IntoIterator<Item = &'a ObservedGpu>) -> Self {
        let (mut mmio_bytes, mut ports) = (0_u64, 0_u32);
        for gpu in gpus {
            mmio_bytes = mmio_bytes.saturating_add(gpu.slot.mmio_bytes.unwrap_or(0));
            ports = ports.saturating_add(u32::try_from(gpu.slot.functions.len()).unwrap_or(u32::MAX));
        }
        Self { what: "what it gets whole needs", mmio_bytes: Some(mmio_bytes), ports }
    }
}

pub fn findings(vm: &ObservedVm, need: Need, server_memory_bytes: Option<u64>) -> Vec<Finding> {
    let found = [
        not_persistent(vm),
        saved_state(vm),
        ballooning(vm),
        too_much_memory(vm, server_memory_bytes),
        bios(vm),
        machine(vm),
        snapshots(vm),
        mmio_window(vm, need),
        restart(vm, need),
    ];
    found.into_iter().flatten().collect()
}

/// Whether so many things can be put into the VM while it runs.
pub fn takes_running(vm: &ObservedVm, ports: u32) -> bool {
    vm.settings.free_hotplug_ports >= ports
}

fn finding(
    vm: &ObservedVm,
    code: FindingCode,
    severity: Severity,
    text: String,
    mend: String,
) -> Option<Finding> {
    let subject = Subject::Vm(vm.id.clone());
    Some(Finding { code, severity, subject, text, mend })
}

fn not_persistent(vm: &ObservedVm) -> Option<Finding> {
    if vm.settings.persistent {
        return None;
    }
    let text = format!("VM {} has no definition that outlives its power-off", vm.name);
    finding(
        vm,
        FindingCode::of("vm_transient"),
        Severity::Error,
        text,
        format!("virsh define the XML of {}", vm.name),
    )
}

fn saved_state(vm: &ObservedVm) -> Option<Finding> {
    if !vm.settings.saved_state {
        return None;
    }
    let text = format!(
        "VM {} has a saved memory image; it would be restored instead of started, without the GPU",
        vm.name
    );
    let mend = format!("virsh start {0}, then shut it down; or virsh managedsave-remove {0}", vm.name);
    finding(vm, FindingCode::of("vm_saved_state"), Severity::Error, text, mend)
}

fn ballooning(vm: &ObservedVm) -> Option<Finding> {
    let settings = &vm.settings;
    if settings.current_memory_bytes >= settings.memory_bytes {
        return None;
    }
    let mib = |bytes: u64| bytes >> 20;
    let text = format!(
        "VM {} balloons its memory ({} of {} MiB), and a VM with a GPU has all of it pinned",
        vm.name,
        mib(settings.current_memory_bytes),
        mib(settings.memory_bytes)
    );
    let mend = format!("virsh setmem {} {} --config", vm.name, settings.memory_bytes >> 10);
    finding(vm, FindingCode::of("vm_memory_ballooning"), Severity::Error, text, mend)
}

fn too_much_memory(vm: &ObservedVm, server_memory_bytes: Option<u64>) -> Option<Finding> {
    let server = server_memory_bytes?;
    if vm.settings.memory_bytes <= server {
        return None;
    }
    let text = format!(
        "VM {} has {} MiB of memory, its server {} MiB, and a VM with a GPU has all of it pinned",
        vm.name,
        vm.settings.memory_bytes >> 20,
        server >> 20
    );
    let mend = format!("give {} less memory than the server has", vm.name);
    finding(vm, FindingCode::of("vm_memory_exceeds_server"), Severity::Error, text, mend)
}

fn bios(vm: &ObservedVm) -> Option<Finding> {
    if vm.settings.firmware != Firmware::Bios {
        return None;
    }
    let text = format!("VM {} boots by BIOS; GPU drivers for VMs ask for UEFI", vm.name);
    let mend =
        "make the VM anew with <os firmware='efi'>; an installed system does not boot after a change".into();
    finding(vm, FindingCode::of("vm_firmware_bios"), Severity::NeedsAccept, text, mend)
}

fn machine(vm: &ObservedVm) -> Option<Finding> {
    if vm.settings.machine == Machine::Q35 {
        return None;
    }
    let text = format!("VM {} is not a q35 machine: its GPU would not be a PCI Express device", vm.name);
    let mend = format!("virt-xml {} --edit --machine q35, if its system allows", vm.name);
    finding(vm, FindingCode::of("vm_machine_type"), Severity::NeedsAccept, text, mend)
}

fn snapshots(vm: &ObservedVm) -> Option<Finding> {
    if vm.settings.snapshots == 0 {
        return None;
    }
    let text = format!(
        "VM {} has {} snapshots; with a partition, a snapshot of its memory can be neither taken nor restored",
        vm.name, vm.settings.snapshots
    );
    finding(
        vm,
        FindingCode::of("vm_has_snapshots"),
        Severity::NeedsAccept,
        text,
        format!("virsh snapshot-delete {} NAME", vm.name),
    )
}

fn mmio_window(vm: &ObservedVm, need: Need) -> Option<Finding> {
    let needed = need.mmio_bytes?;
    if vm.settings.firmware != Firmware::Uefi || needed <= DEFAULT_UEFI_WINDOW_BYTES {
        return None;
    }
    let text = format!(
        "{} {} GiB of address space, more than the firmware of VM {} gives by default",
        need.what,
        needed.div_ceil(1 << 30),
        vm.name
    );
    let mend = format!("add {} to {}", wider_window(needed), vm.name);
    finding(vm, FindingCode::of("vm_mmio_window"), Severity::NeedsAccept, text, mend)
}

/// What the VM's definition has to have for so much address space.
fn wider_window(needed_bytes: u64) -> String {
    let mib = (needed_bytes.div_ceil(1 << 30) * 2) << 10;
    format!("<qemu:arg value='-fw_cfg'/> <qemu:arg value='name=opt/ovmf/X-PciMmio64Mb,string={mib}'/>")
}

/// What a GPU asks of a VM, whole or with a partition of it, for people.
pub fn implied(gpu: &ObservedGpu) -> Option<String> {
    let of_one = gpu.partitions.iter().filter_map(|partition| partition.mmio_bytes).max();
    let needs = [("the GPU as a whole", gpu.slot.mmio_bytes), ("one of its partitions", of_one)];
    let needs: Vec<(&str, u64)> = needs.iter().filter_map(|(what, bytes)| Some((*what, (*bytes)?))).collect();
    let most = needs.iter().map(|(_, bytes)| *bytes).max()?;
    let spaces: Vec<String> =
        needs.iter().map(|(what, bytes)| format!("{} MiB for {what}", bytes.div_ceil(1 << 20))).collect();
    let window = if most > DEFAULT_UEFI_WINDOW_BYTES {
        format!(
            "; for more than {} GiB its definition needs {}",
            DEFAULT_UEFI_WINDOW_BYTES >> 30,
            wider_window(most)
        )
    } else {
        String::new()
    };
    Some(format!(
        "A VM needs address space: {}{window}. It boots by UEFI, is a q35 machine and has all of its memory \
         at once, without a balloon.",
        spaces.join(", ")
    ))
}

fn restart(vm: &ObservedVm, need: Need) -> Option<Finding> {
    if vm.is_off() || takes_running(vm, need.ports) {
        return None;
    }
    let lacks = match (vm.settings.free_hotplug_ports, need.ports) {
        (0, 0 | 1) => "no free port for a device".into(),
        (free, ports) => format!("{free} free ports for {ports} devices"),
    };
    let text =
        format!("VM {} runs and has {lacks}: it will be shut down, changed and started again", vm.name);
    let mend = format!(
        "save the work in the VM; or add <controller type='pci' model='pcie-root-port'/> to {} while it is off",
        vm.name
    );
    finding(vm, WILL_RESTART, Severity::NeedsAccept, text, mend)
}

#[cfg(test)]
mod tests;
