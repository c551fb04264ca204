//! Who has VFIO open, by looking at every process's open files. The kernel has no list of it, and by the
//! time that it would refuse something, it has already blocked in the refusal. What a group is for is
//! not known here.
//!
//! `/dev/vfio/N` and `/dev/vfio/noiommu-N` name a group; `/dev/vfio/devices/vfioN` names a device whose
//! group the kernel tells (`Documentation/driver-api/vfio.rst`). A file that was deleted counts: the
//! hypervisor deletes them in a VM's private `/dev` while the VM may still hold them.

use std::collections::BTreeMap;
use std::io;

use crate::attribute::{link_name, parse_decimal};
use crate::open_files;
use crate::paths;
use crate::sysfs::Sysfs;

/// What a process has open.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Open {
    Group(u32),
    /// `vfioN`.
    Device(String),
}

/// Every open group with the processes that have it open, ascending.
pub fn scan(sys: &dyn Sysfs) -> io::Result<BTreeMap<u32, Vec<u32>>> {
    let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    open_files::each(sys, |pid, target| {
        let Some(open) = parse_target(target) else { return Ok(()) };
        let Some(group) = group_of(sys, &open)? else { return Ok(()) };
        let pids = groups.entry(group).or_default();
        if pids.last() != Some(&pid) {
            pids.push(pid);
        }
        Ok(())
    })?;
    groups.values_mut().for_each(|pids| pids.sort_unstable());
    Ok(groups)
}

fn parse_target(target: &str) -> Option<Open> {
    let name = target.strip_prefix("/dev/vfio/")?;
    if let Some(device) = name.strip_prefix("devices/") {
        return Some(Open::Device(device.to_owned()));
    }
    parse_decimal(name.strip_prefix("noiommu-").unwrap_or(name)).map(Open::Group)
}

fn group_of(sys: &dyn Sysfs, open: &Open) -> io::Result<Option<u32>> {
    match open {
        Open::Group(group) => Ok(Some(*group)),
        Open::Device(name) => {
            let number = link_name(sys, &paths::vfio_device_group(name)).ok();
            match number.and_then(|number| parse_decimal(&number)) {
                Some(group) => Ok(Some(group)),
                None => {
                    Err(io::Error::other(format!("the IOMMU group of /dev/vfio/devices/{name} is not known")))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_vfio_file_is_known() {
        assert_eq!(parse_target("/dev/vfio/6"), Some(Open::Group(6)));
        assert_eq!(parse_target("/dev/vfio/noiommu-7"), Some(Open::Group(7)));
        assert_eq!(parse_target("/dev/vfio/devices/vfio3"), Some(Open::Device("vfio3".to_owned())));
    }

    #[test]
    fn the_container_and_other_files_are_no_group() {
        for target in ["/dev/vfio/vfio", "/dev/null", "socket:[1]", "/dev/vfio/", "anon_inode:[vfio-device]"]
        {
            assert_eq!(parse_target(target), None, "{target}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_target_makes_the_parser_panic(target in "(/dev/vfio/)?(devices/)?(noiommu-)?.{0,20}") {
            let _ = parse_target(&target);
        }
    }
}
