//! Which branch of a driver a version is of. VMs and partitions lean on the branch; the patch that it is at
//! is the server's own business. What follows from two branches is not known here.
//!
//! | driver | version | branch |
//! |---|---|---|
//! | `nvidia` | 580.65.06 | 580: NVIDIA's branches are the number before the first dot |
//! | others with a version (`gim`, `i915` of a package) | 9.4.0.K | 9.4: releases that differ in what they can |
//! | drivers of the kernel itself (`xe`, `nouveau`) | none | the driver alone: it follows the kernel |

use core::fmt;

const NVIDIA: &str = "nvidia";

/// A branch's number. The greater one is the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Branch {
    major: u32,
    minor: Option<u32>,
}

impl Branch {
    /// None: the version is not known, or has no number.
    pub fn of(driver: &str, version: Option<&str>) -> Option<Self> {
        let mut numbers = version?.split('.').map(number);
        let major = numbers.next()??;
        let minor = if driver == NVIDIA { None } else { numbers.next().flatten() };
        Some(Self { major, minor })
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            Some(minor) => write!(f, "{}.{minor}", self.major),
            None => write!(f, "{}", self.major),
        }
    }
}

/// The digits that it begins with: `65` of `65-rc1`.
fn number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn each_driver_has_the_branches_of_its_vendor() {
        for (driver, version, branch) in [
            ("nvidia", Some("580.65.06"), Some("580")),
            ("nvidia", Some("580"), Some("580")),
            ("gim", Some("9.4.0.K"), Some("9.4")),
            ("i915", Some("1.25.3-backport"), Some("1.25")),
            ("simgpu", Some("2-rc1"), Some("2")),
            ("nvidia", Some("unknown"), None),
            ("nvidia", Some(""), None),
            ("nvidia", Some("99999999999.1"), None),
            ("xe", None, None),
        ] {
            let found = Branch::of(driver, version).map(|branch| branch.to_string());
            assert_eq!(found.as_deref(), branch, "{driver} {version:?}");
        }
    }

    #[test]
    fn a_newer_branch_is_greater_however_it_is_written() {
        let of = |version| Branch::of("gim", Some(version));
        assert!(of("9.10.0") > of("9.4.0") && of("10.0") > of("9.10"));
    }
}
