//! Where a PCI device sits, told by the way to it: the root it hangs on and the device and function
//! number of every bridge on the way. Firmware hands out bus numbers anew when a machine's population
//! changes; the way stays. What sits there is not known here.
//!
//! The way is the real path that the kernel links to:
//! `../../../devices/pci0000:40/0000:40:01.0/0000:41:00.0` is root pci0000:40, 01.0, 00.0.

use divvy_core::pci_address::PciAddress;

use crate::attribute::AttributeError;
use crate::paths;
use crate::sysfs::Sysfs;

/// The way to a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which of the machine's roots, counted; roots keep their order while their numbers change.
    root: String,
    /// From the device below the root to the device itself.
    way: Vec<PciAddress>,
}

impl Position {
    /// The device itself first, then every bridge above it.
    pub fn upward(&self) -> Vec<PciAddress> {
        self.way.iter().rev().copied().collect()
    }

    /// The whole way as a part of an id: `r1-010-000`.
    pub fn slug(&self) -> String {
        format!("{}-{}", self.root, steps(&self.way))
    }

    /// The way from the `nth` step upward to the device, that step's function first: `0-080-000`.
    pub fn slug_below(&self, nth: usize) -> String {
        let at = self.way.len().saturating_sub(nth.saturating_add(1));
        let function = self.way.get(at).map_or(0, |step| step.function);
        let below = self.way.get(at + 1..).unwrap_or_default();
        if below.is_empty() { function.to_string() } else { format!("{function}-{}", steps(below)) }
    }
}

fn steps(way: &[PciAddress]) -> String {
    let words: Vec<String> = way.iter().map(|step| format!("{:02x}{}", step.device, step.function)).collect();
    words.join("-")
}

/// Follows the link of a device.
pub fn position(sys: &dyn Sysfs, address: PciAddress) -> Result<Position, AttributeError> {
    let path = paths::device(address);
    let target = sys.link(&path).map_err(|cause| AttributeError::unreadable(&path, cause))?;
    let (root, way) = parse_way(&target)
        .filter(|(_, way)| way.last() == Some(&address))
        .ok_or_else(|| AttributeError::malformed(&path, &target, "the way to that device"))?;
    Ok(Position { root: root_label(sys, &root), way })
}

/// The root's name and the addresses after it. A root inside of a device (VMD) is one more step of the
/// way only by the devices around it.
fn parse_way(target: &str) -> Option<(String, Vec<PciAddress>)> {
    let mut parts = target.split('/').skip_while(|part| root_numbers(part).is_none());
    let root = parts.next()?.to_owned();
    let way: Option<Vec<PciAddress>> =
        parts.filter(|part| root_numbers(part).is_none()).map(|part| part.parse().ok()).collect();
    way.filter(|way| !way.is_empty()).map(|way| (root, way))
}

/// Domain and bus of `pci0000:40`.
fn root_numbers(name: &str) -> Option<(u32, u8)> {
    let (domain, bus) = name.strip_prefix("pci")?.split_once(':')?;
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    if !plain(domain) || !plain(bus) {
        return None;
    }
    Some((u32::from_str_radix(domain, 16).ok()?, u8::from_str_radix(bus, 16).ok()?))
}

/// `r` and the root's place among all roots; by its domain where roots are not listed (platforms whose
/// roots are devices of another bus).
fn root_label(sys: &dyn Sysfs, root: &str) -> String {
    let mut roots: Vec<(u32, u8)> =
        sys.list(paths::ROOTS).unwrap_or_default().iter().filter_map(|name| root_numbers(name)).collect();
    roots.sort_unstable();
    let numbers = root_numbers(root);
    match roots.iter().position(|other| Some(*other) == numbers) {
        Some(nth) => format!("r{nth}"),
        None => format!("d{:x}", numbers.map_or(0, |(domain, _)| domain)),
    }
}

/// The position at the end of a way, its root by name.
#[cfg(test)]
pub(crate) fn at(target: &str) -> Position {
    let (root, way) = parse_way(target).expect("a way");
    Position { root: root.replace(':', "-"), way }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_does_not_change_with_the_bus_numbers() {
        let before = at("../../../devices/pci0000:40/0000:40:01.0/0000:41:00.0");
        let after = at("../../../devices/pci0000:40/0000:40:01.0/0000:57:00.0");
        assert_eq!(before.slug(), after.slug());
    }

    #[test]
    fn two_devices_of_one_board_have_different_ways() {
        let one = at("../../../devices/pci0000:40/0000:40:01.0/0000:41:00.0/0000:42:08.0/0000:43:00.0");
        let two = at("../../../devices/pci0000:40/0000:40:01.0/0000:41:00.0/0000:42:10.0/0000:44:00.0");
        assert_ne!(one.slug(), two.slug());
        assert_eq!(one.slug_below(2), "0-080-000");
    }

    #[test]
    fn a_root_inside_of_a_device_is_passed() {
        let way = at("../../../devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0");
        assert_eq!(way.slug(), "pci0000-00-0e0-060-000");
    }

    #[test]
    fn a_root_below_a_platform_device_is_found() {
        let way = at("../../../devices/platform/3b500000.pcie/pci0002:00/0002:00:00.0/0002:01:00.0");
        assert_eq!(way.root, "pci0002-00");
    }

    #[test]
    fn a_root_is_known_by_its_place_among_the_roots_and_not_by_its_number() {
        let tree = crate::testing::Tree::new();
        for root in ["pci0000:00", "pci0000:80", "pci10000:e0"] {
            tree.dir(&format!("sys/devices/{root}"));
        }
        assert_eq!(root_label(&tree.sys(), "pci0000:80"), "r1");
        assert_eq!(root_label(&tree.sys(), "pci0002:00"), "d2");
    }

    #[test]
    fn what_is_no_way_is_refused() {
        for target in ["", "../../../devices/pci0000:40", "a/b", "pci0000:40/x", "pci:/0000:41:00.0"] {
            assert_eq!(parse_way(target), None, "{target:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_target_makes_the_parser_panic(target in "[pci0-9a-f:./]{0,60}") {
            let _ = parse_way(&target);
        }
    }
}
