//! The settings in a definition that can conflict with a GPU. What conflicts with what is not decided
//! here.

use divvy_core::vm::{Firmware, Machine};
use roxmltree::Node;

use super::{DefinitionError, child, child_text, ports};

/// Tools that make VMs leave the name of the guest OS here.
const LIBOSINFO: &str = "http://libosinfo.org/xmlns/libvirt/domain/1.0";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub firmware: Firmware,
    pub machine: Machine,
    pub memory_bytes: u64,
    pub current_memory_bytes: u64,
    pub free_hotplug_ports: u32,
    pub guest_os: Option<String>,
}

pub(super) fn read(root: Node<'_, '_>) -> Result<Settings, DefinitionError> {
    let machine = machine(root);
    let memory_bytes = memory(root, "memory")?.ok_or(DefinitionError::Missing { what: "memory" })?;
    // Without a balloon the VM has all of its memory, whatever the second number says.
    let current = if has_balloon(root) { memory(root, "currentMemory")? } else { None };
    Ok(Settings {
        firmware: firmware(root),
        machine,
        memory_bytes,
        current_memory_bytes: current.unwrap_or(memory_bytes).min(memory_bytes),
        free_hotplug_ports: ports::free(root, machine),
        guest_os: guest_os(root),
    })
}

/// UEFI places the devices even of a VM that gets its kernel from the server, so it is asked first.
fn firmware(root: Node<'_, '_>) -> Firmware {
    let Some(os) = child(root, "os") else { return Firmware::Bios };
    let loader = child(os, "loader");
    let flash = loader.is_some_and(|loader| loader.attribute("type") == Some("pflash"));
    // Confidential VMs have their UEFI as a ROM, so only the file's name tells it from a BIOS.
    let rom = loader.and_then(|loader| loader.text()).unwrap_or_default().to_ascii_lowercase();
    let named = ["ovmf", "edk2", "aavmf", "uefi"].iter().any(|name| rom.contains(name));
    if os.attribute("firmware") == Some("efi") || flash || named {
        Firmware::Uefi
    } else if child_text(os, "kernel").is_some() {
        Firmware::DirectKernel
    } else {
        Firmware::Bios
    }
}

fn machine(root: Node<'_, '_>) -> Machine {
    let kind = child(root, "os").and_then(|os| child(os, "type"));
    let name = kind.and_then(|kind| kind.attribute("machine")).unwrap_or_default();
    if name.contains("q35") {
        Machine::Q35
    } else if name == "pc" || name.starts_with("pc-") {
        // `pc-i440fx-9.2`, and `pc-1.3` from before the chip was in the name.
        Machine::I440fx
    } else {
        Machine::Other
    }
}

fn has_balloon(root: Node<'_, '_>) -> bool {
    let balloon = child(root, "devices").and_then(|devices| child(devices, "memballoon"));
    // libvirt gives one to every VM that does not say "none".
    balloon.and_then(|balloon| balloon.attribute("model")) != Some("none")
}

fn memory(root: Node<'_, '_>, name: &str) -> Result<Option<u64>, DefinitionError> {
    let Some(node) = child(root, name) else { return Ok(None) };
    let unit = node.attribute("unit").unwrap_or("KiB").trim();
    let amount = node.text().unwrap_or_default().trim();
    let bytes = amount.parse::<u64>().ok().zip(unit_bytes(unit)).and_then(|(n, unit)| n.checked_mul(unit));
    match bytes {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(DefinitionError::Memory { text: format!("{amount} {unit}") }),
    }
}

/// As libvirt scales: `k` and `KiB` are 1024, `KB` is 1000, in any case of letters.
fn unit_bytes(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    if matches!(unit.as_str(), "" | "b" | "byte" | "bytes") {
        return Some(1);
    }
    let power = "kmgtpe".find(unit.chars().next()?)? as u32 + 1;
    match &unit[1..] {
        "" | "ib" => Some(1024_u64.pow(power)),
        "b" => Some(1000_u64.pow(power)),
        _ => None,
    }
}

fn guest_os(root: Node<'_, '_>) -> Option<String> {
    let metadata = child(root, "metadata")?;
    let os = metadata.descendants().find(|node| node.has_tag_name((LIBOSINFO, "os")))?;
    os.attribute("id").filter(|id| !id.is_empty()).map(str::to_owned)
}
