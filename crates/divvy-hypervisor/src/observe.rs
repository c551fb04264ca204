//! From what was read of a VM to what is reported of it. Pure. One VM that cannot be understood never
//! hides the others: it is listed with unknown power and whatever could be understood, and a finding
//! says why.
//!
//! The settings of a running VM are those it runs with, of a VM that is off those of its definition.

use divvy_core::finding::{Finding, FindingCode, Severity, Subject};
use divvy_core::id::VmId;
use divvy_core::vm::{Firmware, Machine, ObservedVm, Power, VmSettings};

use crate::domain_xml::{self, Definition, DefinitionError, Settings};
use crate::driver::{Listed, VmFacts};

/// One VM, understood as far as possible.
pub(crate) struct Seen {
    pub(crate) vm: ObservedVm,
    pub(crate) defined: Option<Definition>,
    pub(crate) live: Option<Definition>,
    /// Why a part of it could not be understood.
    pub(crate) problem: Option<DefinitionError>,
}

/// None: the VM went away while it was read.
pub(crate) fn see(facts: VmFacts) -> Option<Seen> {
    if facts.defined_xml.is_none() && facts.live_xml.is_none() {
        return None;
    }
    let mut problem = None;
    let mut understand = |xml: Option<&str>| match xml.map(domain_xml::read)? {
        Ok(definition) => Some(definition),
        Err(error) => {
            problem = Some(error);
            None
        }
    };
    let defined = understand(facts.defined_xml.as_deref());
    // A VM that powered off in the middle answers with its definition instead.
    let live = understand(facts.live_xml.as_deref()).filter(|definition| definition.live);
    let power = if problem.is_some() { Power::Unknown } else { facts.power };
    let devices_of = |definition: &Option<Definition>| {
        definition.as_ref().map(|definition| definition.devices.clone()).unwrap_or_default()
    };
    let devices = domain_xml::merge(&devices_of(&defined), &devices_of(&live));
    let settings = settings(&facts, defined.as_ref(), live.as_ref());
    let vm = ObservedVm { id: facts.id, name: facts.name, power, settings, devices };
    Some(Seen { vm, defined, live, problem })
}

/// One entry of the list, and what there is to say about it.
pub(crate) fn report(listed: Listed) -> Option<(ObservedVm, Option<Finding>)> {
    match listed {
        Listed::Vm(facts) => {
            let seen = see(facts)?;
            let finding = seen.problem.map(|problem| unreadable(&seen.vm.id, &seen.vm.name, &problem));
            Some((seen.vm, finding))
        }
        Listed::Unreadable { id, name, error } => {
            let finding = unreadable(&id, &name, &error);
            let settings = no_settings();
            Some((
                ObservedVm { id, name, power: Power::Unknown, settings, devices: Vec::new() },
                Some(finding),
            ))
        }
    }
}

fn unreadable(vm: &VmId, name: &str, error: &dyn std::error::Error) -> Finding {
    Finding {
        code: FindingCode::of("vm_unreadable"),
        severity: Severity::Error,
        subject: Subject::Vm(vm.clone()),
        text: format!(
            "VM {name} cannot be read, so which devices it has is not known: {}",
            crate::failure::chain(error)
        ),
        mend: format!("virsh dumpxml --inactive {vm} and virsh edit {vm} show and mend its definition"),
    }
}

fn settings(facts: &VmFacts, defined: Option<&Definition>, live: Option<&Definition>) -> VmSettings {
    let base = no_settings();
    let of_vm = live.or(defined).map(|definition| &definition.settings);
    let guest_os = |definition: Option<&Definition>| definition.and_then(|d| d.settings.guest_os.clone());
    let mut settings = VmSettings {
        snapshots: facts.snapshots,
        saved_state: facts.saved_state,
        autostart: facts.autostart,
        persistent: facts.persistent,
        guest_os: guest_os(live).or_else(|| guest_os(defined)),
        ..base
    };
    if let Some(Settings {
        firmware, machine, memory_bytes, current_memory_bytes, free_hotplug_ports, ..
    }) = of_vm
    {
        settings.firmware = *firmware;
        settings.machine = *machine;
        settings.memory_bytes = *memory_bytes;
        settings.current_memory_bytes = *current_memory_bytes;
        settings.free_hotplug_ports = *free_hotplug_ports;
    }
    settings
}

/// The settings of a VM of which nothing is known.
fn no_settings() -> VmSettings {
    VmSettings {
        firmware: Firmware::Bios,
        machine: Machine::Other,
        memory_bytes: 0,
        current_memory_bytes: 0,
        free_hotplug_ports: 0,
        snapshots: 0,
        saved_state: false,
        autostart: false,
        persistent: false,
        guest_os: None,
    }
}

#[cfg(test)]
mod tests;
