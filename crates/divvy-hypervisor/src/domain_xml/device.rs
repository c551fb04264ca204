//! The server's devices in a definition, in every form that takes one: `<hostdev>` of a PCI function or
//! of a mediated device, a network interface or an NVMe disk backed by one, and QEMU's own arguments. And the fragment and the alias
//! by which Divvy's own are known.

use std::str::FromStr;

use divvy_core::device::DeviceHandle;
use divvy_core::given::Given;
use divvy_core::pci_address::PciAddress;
use roxmltree::Node;

use super::{DefinitionError, child, children, number_attribute};

/// Where raw arguments for QEMU stand.
const QEMU: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// libvirt keeps an alias that begins so, and lets it have letters, digits, `_` and `-` only.
const ALIAS_PREFIX: &str = "ua-divvy-";

/// How a definition takes a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    Hostdev,
    Interface,
    Disk,
    /// In the arguments that the administrator gives QEMU; libvirt does not know of it.
    CommandLine,
}

/// One device of the server in one description of a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub handle: DeviceHandle,
    pub alias: Option<String>,
    pub kind: DeviceKind,
    /// libvirt gives the device its driver and takes it back. Never so for what Divvy writes.
    pub managed: bool,
}

/// The alias that Divvy leaves with what it gives a VM: partition `gpu-48b0.12` becomes
/// `ua-divvy-gpu-48b0_12`, function `gpu-48b0:1` of a whole GPU `ua-divvy-gpu-48b0_f1`.
pub fn alias(given: &Given) -> String {
    match given {
        Given::Partition(partition) => format!("{ALIAS_PREFIX}{}_{}", partition.gpu, partition.index),
        Given::Function { gpu, function } => format!("{ALIAS_PREFIX}{gpu}_f{function}"),
    }
}

/// What was given under this alias, if it is one of Divvy's.
pub fn given_of_alias(alias: &str) -> Option<Given> {
    // The id of a GPU has no `_`.
    let (gpu, rest) = alias.strip_prefix(ALIAS_PREFIX)?.rsplit_once('_')?;
    let text = match rest.strip_prefix('f') {
        Some(function) => format!("{gpu}:{function}"),
        None => format!("{gpu}.{rest}"),
    };
    Given::from_str(&text).ok()
}

/// The element that puts a device into a VM. Not managed: Divvy has given the device its driver
/// already, and libvirt giving it another would take an NVIDIA partition apart. Nothing in it needs
/// escaping: numbers, and an alias of letters, digits, `_` and `-`.
pub fn fragment(device: impl Into<DeviceHandle>, alias: Option<&str>) -> String {
    let alias = alias.map(|alias| format!("<alias name='{alias}'/>")).unwrap_or_default();
    let (kind, address) = match device.into() {
        DeviceHandle::Pci(PciAddress { domain, bus, device, function }) => (
            "type='pci' managed='no'",
            format!(
                "domain='0x{domain:04x}' bus='0x{bus:02x}' slot='0x{device:02x}' function='0x{function:x}'"
            ),
        ),
        DeviceHandle::Mdev(uuid) => ("type='mdev' model='vfio-pci'", format!("uuid='{uuid}'")),
    };
    format!("<hostdev mode='subsystem' {kind}><source><address {address}/></source>{alias}</hostdev>")
}

/// Every device of the server in the definition, each once.
pub(super) fn read(root: Node<'_, '_>) -> Result<Vec<Device>, DefinitionError> {
    let mut found: Vec<Device> = Vec::new();
    for element in children(root, "devices").flat_map(|devices| devices.children()) {
        if let Some((kind, source)) = physical_source(element) {
            found.push(read_one(element, kind, source)?);
        }
    }
    for argument in root.descendants().filter(|node| node.has_tag_name((QEMU, "arg"))) {
        let handles = in_argument(argument.attribute("value").unwrap_or_default());
        let device = |handle| Device { handle, alias: None, kind: DeviceKind::CommandLine, managed: false };
        found.extend(handles.into_iter().map(device));
    }
    let mut once: Vec<Device> = Vec::new();
    for device in found {
        if once.iter().all(|known| known.handle != device.handle) {
            once.push(device);
        }
    }
    Ok(once)
}

/// What kind of device of the server an element of `<devices>` takes, and where it says which.
pub(super) fn physical_source<'a, 'input>(
    element: Node<'a, 'input>,
) -> Option<(DeviceKind, Option<Node<'a, 'input>>)> {
    let source = child(element, "source");
    let kind = match (element.tag_name().name(), element.attribute("type")) {
        // A mode that is left out means subsystem.
        ("hostdev", Some("pci" | "mdev"))
            if element.attribute("mode").is_none_or(|mode| mode == "subsystem") =>
        {
            DeviceKind::Hostdev
        }
        // Its source can also be a USB device.
        ("interface", Some("hostdev")) if !is_usb(source) => DeviceKind::Interface,
        ("disk", Some("nvme")) => DeviceKind::Disk,
        _ => return None,
    };
    Some((kind, source))
}

fn is_usb(source: Option<Node<'_, '_>>) -> bool {
    let address = source.and_then(|source| child(source, "address"));
    address.is_some_and(|address| address.attribute("type") == Some("usb"))
}

fn read_one(
    element: Node<'_, '_>,
    kind: DeviceKind,
    source: Option<Node<'_, '_>>,
) -> Result<Device, DefinitionError> {
    let unreadable = || DefinitionError::Address { text: element_text(element) };
    let address = source.and_then(|source| child(source, "address")).ok_or_else(unreadable)?;
    // For an NVMe disk the attribute stands on the source.
    let managed =
        [Some(element), source].into_iter().flatten().any(|node| node.attribute("managed") == Some("yes"));
    Ok(Device {
        handle: handle(element, address).ok_or_else(unreadable)?,
        alias: child(element, "alias").and_then(|alias| alias.attribute("name")).map(str::to_owned),
        kind,
        managed,
    })
}

/// The element as it stands, cut to a length that an error can carry.
fn element_text(element: Node<'_, '_>) -> String {
    let text = &element.document().input_text()[element.range()];
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).take(200).collect()
}

/// The handle that an `<address>` in the source of this element says.
pub(super) fn handle(element: Node<'_, '_>, address: Node<'_, '_>) -> Option<DeviceHandle> {
    if element.attribute("type") == Some("mdev") {
        address.attribute("uuid")?.trim().parse().map(DeviceHandle::Mdev).ok()
    } else {
        pci_address(address).map(DeviceHandle::Pci)
    }
}

fn pci_address(node: Node<'_, '_>) -> Option<PciAddress> {
    let within = |name, limit| number_attribute(node, name).filter(|value| *value <= limit);
    Some(PciAddress {
        domain: within("domain", u32::MAX)?,
        bus: within("bus", 0xff)? as u8,
        device: within("slot", 0x1f)? as u8,
        function: within("function", 7)? as u8,
    })
}

/// `vfio-pci,host=41:00.4`, `vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:41:00.4`,
/// `vfio-pci,sysfsdev=/sys/bus/mdev/devices/UUID`, and the same as JSON.
fn in_argument(value: &str) -> Vec<DeviceHandle> {
    if !value.contains("vfio-pci") {
        return Vec::new();
    }
    let words = |joiners: &'static [char]| {
        value.split(move |c: char| !(c.is_ascii_hexdigit() || joiners.contains(&c)))
    };
    let pci = |word: &str| word.parse().or_else(|_| format!("0000:{word}").parse()).ok();
    let mdev = |word: &str| word.parse().map(DeviceHandle::Mdev).ok();
    words(&[':', '.']).filter_map(pci).map(DeviceHandle::Pci).chain(words(&['-']).filter_map(mdev)).collect()
}
