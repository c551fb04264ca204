//! A device put into the text of a definition, or taken out of it, with every other byte as it was.
//! For definitions that Divvy itself starts; a definition that libvirt keeps is changed by libvirt.

use divvy_core::device::DeviceHandle;
use roxmltree::{Document, Node};

use super::device::{DeviceKind, handle, physical_source};
use super::{DefinitionError, child, children, is_named};

/// The definition with one more device, as the last one.
pub fn with_device(xml: &str, fragment: &str) -> Result<String, DefinitionError> {
    let document = Document::parse(xml).map_err(DefinitionError::Xml)?;
    let root = domain(&document)?;
    Ok(match child(root, "devices") {
        Some(devices) => append(xml, devices, fragment),
        None => append(xml, root, &format!("<devices>{fragment}</devices>")),
    })
}

/// The definition without the `<hostdev>` of this device; None: it has none.
pub fn without_device(xml: &str, device: impl Into<DeviceHandle>) -> Result<Option<String>, DefinitionError> {
    let device = device.into();
    let document = Document::parse(xml).map_err(DefinitionError::Xml)?;
    let mut elements = children(domain(&document)?, "devices").flat_map(|devices| devices.children());
    let found = elements.find(|element| is_hostdev_of(*element, device));
    Ok(found.map(|element| {
        let range = element.range();
        // The line that the element stood on goes with it.
        let before = xml[..range.start].trim_end_matches([' ', '\t', '\r', '\n']);
        format!("{before}{}", &xml[range.end..])
    }))
}

fn domain<'a, 'input>(document: &'a Document<'input>) -> Result<Node<'a, 'input>, DefinitionError> {
    let root = document.root_element();
    if is_named(root, "domain") {
        Ok(root)
    } else {
        Err(DefinitionError::NotAVm { found: root.tag_name().name().to_owned() })
    }
}

fn is_hostdev_of(element: Node<'_, '_>, device: DeviceHandle) -> bool {
    let Some((DeviceKind::Hostdev, Some(source))) = physical_source(element) else { return false };
    child(source, "address").and_then(|address| handle(element, address)) == Some(device)
}

/// `xml` with `more` as the last child of the element.
fn append(xml: &str, element: Node<'_, '_>, more: &str) -> String {
    let range = element.range();
    let text = &xml[range.clone()];
    match text.strip_suffix("/>") {
        Some(open) => {
            let name = element.tag_name().name();
            format!("{}{open}>{more}</{name}>{}", &xml[..range.start], &xml[range.end..])
        }
        None => {
            let close = range.start + text.rfind("</").unwrap_or(text.len());
            format!("{}{more}{}", &xml[..close], &xml[close..])
        }
    }
}
