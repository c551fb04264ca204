//! How many more PCI Express devices a running VM can take. A PCI Express port is a bus of its own with
//! room for one device; a conventional PCI bus, which only the old machine has, gives a slot each.

use std::collections::BTreeSet;

use divvy_core::vm::Machine;
use roxmltree::Node;

use super::{child, children, is_named, number, number_attribute};

/// Slots of the old machine's first bus that are never free: the host bridge, the ISA bridge with its
/// companions, and the one that libvirt keeps for the first display.
const FIRST_FREE_SLOT_OF_ROOT: u32 = 3;

/// A bridge keeps its slot 0 for its own hot-plug controller.
const FIRST_FREE_SLOT_OF_BRIDGE: u32 = 1;

const SLOTS: u32 = 32;

pub(super) fn free(root: Node<'_, '_>, machine: Machine) -> u32 {
    let Some(devices) = child(root, "devices") else { return 0 };
    let taken = taken(devices);
    let slots_from =
        |bus: u32, first: u32| (first..SLOTS).filter(|slot| !taken.contains(&(bus, *slot))).count() as u32;
    let mut free = 0_u32;
    for controller in children(devices, "controller").filter(|c| c.attribute("type") == Some("pci")) {
        // The number of a controller is the number of the bus behind it.
        let Some(bus) = controller.attribute("index").and_then(number) else { continue };
        if child(controller, "target").and_then(|target| target.attribute("hotplug")) == Some("off") {
            continue;
        }
        let more = match controller.attribute("model").unwrap_or_default() {
            "pcie-root-port" | "pcie-switch-downstream-port" => {
                u32::from(!taken.iter().any(|(on, _)| *on == bus))
            }
            "pci-root" if machine == Machine::I440fx => slots_from(bus, FIRST_FREE_SLOT_OF_ROOT),
            "pci-bridge" if machine == Machine::I440fx => slots_from(bus, FIRST_FREE_SLOT_OF_BRIDGE),
            _ => 0,
        };
        free = free.saturating_add(more);
    }
    free
}

/// Every (bus, slot) inside the VM that has a device. The address in a `<source>` is the server's.
fn taken(devices: Node<'_, '_>) -> BTreeSet<(u32, u32)> {
    let inside = |node: &Node<'_, '_>| {
        is_named(*node, "address")
            && node.attribute("type") == Some("pci")
            && !node.parent().is_some_and(|parent| is_named(parent, "source"))
    };
    let place = |node: Node<'_, '_>| Some((number_attribute(node, "bus")?, number_attribute(node, "slot")?));
    devices.descendants().filter(inside).filter_map(place).collect()
}
