//! A VM's definition, as libvirt writes it: what in it matters for a GPU, and the one fragment that
//! Divvy puts into it. Pure functions over text.
//!
//! A definition is read for every device of the server that the VM takes, PCI or mediated, however it is written down:
//! Divvy must not give out what somebody else's VM already has. What is not understood and does not
//! matter is passed over; what is not understood and does matter is an error. Who sends the text where
//! is not known here.

mod device;
mod edit;
mod ports;
mod settings;

use divvy_core::vm::VmDevice;
use roxmltree::{Document, Node};

pub use device::{Device, DeviceKind, alias, fragment, given_of_alias};
pub use edit::{with_device, without_device};
pub use settings::Settings;

/// What a definition says, of which no other file of Divvy sees the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub uuid: String,
    pub name: String,
    /// The text describes a VM that runs.
    pub live: bool,
    pub settings: Settings,
    /// In the order of the text; each device once.
    pub devices: Vec<Device>,
}

/// Why a text is not the definition of a VM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    #[error("the text is not XML")]
    Xml(#[source] roxmltree::Error),
    #[error("the text is no VM's definition: it begins with <{found}>")]
    NotAVm { found: String },
    #[error("the definition has no <{what}>")]
    Missing { what: &'static str },
    #[error("{text:?} is not an amount of memory")]
    Memory { text: String },
    #[error("the definition has a physical device whose address cannot be read: {text}")]
    Address { text: String },
}

/// Reads a definition.
pub fn read(xml: &str) -> Result<Definition, DefinitionError> {
    match Document::parse(xml) {
        Ok(document) => read_document(&document),
        // Other tools keep what they like in <metadata>, and libvirt lets through what is not quite
        // XML there (a prefix that is not declared). Nothing in it decides anything.
        Err(error) => match without_metadata(xml) {
            Some(rest) => read_document(&Document::parse(&rest).map_err(|_| DefinitionError::Xml(error))?),
            None => Err(DefinitionError::Xml(error)),
        },
    }
}

fn read_document(document: &Document<'_>) -> Result<Definition, DefinitionError> {
    let root = document.root_element();
    if !is_named(root, "domain") {
        return Err(DefinitionError::NotAVm { found: root.tag_name().name().to_owned() });
    }
    Ok(Definition {
        uuid: child_text(root, "uuid").ok_or(DefinitionError::Missing { what: "uuid" })?.to_owned(),
        name: child_text(root, "name").ok_or(DefinitionError::Missing { what: "name" })?.to_owned(),
        live: root.has_attribute("id"),
        settings: settings::read(root)?,
        devices: device::read(root)?,
    })
}

fn without_metadata(xml: &str) -> Option<String> {
    const CLOSE: &str = "</metadata>";
    let (open, close) = (xml.find("<metadata")?, xml.rfind(CLOSE)?);
    (open < close).then(|| format!("{}{}", &xml[..open], &xml[close + CLOSE.len()..]))
}

/// The devices of a VM's two descriptions as one list, in the order of their handles.
pub fn merge(defined: &[Device], live: &[Device]) -> Vec<VmDevice> {
    let mut merged: Vec<VmDevice> = Vec::new();
    let all = defined.iter().map(|device| (device, false)).chain(live.iter().map(|device| (device, true)));
    for (device, is_live) in all {
        let at = merged.iter().position(|known| known.device == device.handle).unwrap_or_else(|| {
            merged.push(VmDevice { device: device.handle, alias: None, defined: false, live: false });
            merged.len() - 1
        });
        let known = &mut merged[at];
        known.defined |= !is_live;
        known.live |= is_live;
        let left = device.alias.as_deref().and_then(given_of_alias);
        known.alias = known.alias.take().or_else(|| left.map(|given| given.to_string()));
    }
    merged.sort_by_key(|device| device.device);
    merged
}

/// Whether the node is libvirt's element of this name, and not one of somebody's own namespace.
fn is_named(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().namespace().is_none() && node.tag_name().name() == name
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| is_named(*child, name))
}

fn children<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| is_named(*child, name))
}

fn child_text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim).filter(|text| !text.is_empty())
}

/// A number as libvirt reads it in an address: `0x41`, `65`, `0101`.
fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { u32::from_str_radix(digits, radix).ok() } else { None }
}

/// An attribute that is a number; absent is 0, as in libvirt.
fn number_attribute(node: Node<'_, '_>, name: &str) -> Option<u32> {
    node.attribute(name).map_or(Some(0), number)
}

#[cfg(test)]
mod tests;
