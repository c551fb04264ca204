//! Releases of kernels and drivers with a hole by which a VM that has a partition can harm the server or
//! other VMs: data, with the place that says so beside it. A line is listed only where its makers say which
//! releases are meant; that a release is not here says nothing about it.

use std::borrow::Cow;

/// Releases of one line that are known to be unsafe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Of which driver; None: of the kernel.
    pub driver: Option<Cow<'static, str>>,
    /// How all releases of the line begin: `6.1.`, `580.`.
    pub line: Cow<'static, str>,
    /// The first release of it that is safe.
    pub fixed: Cow<'static, str>,
    pub why: Cow<'static, str>,
}

impl Denied {
    const fn kernel(line: &'static str, fixed: &'static str) -> Self {
        Self {
            driver: None,
            line: Cow::Borrowed(line),
            fixed: Cow::Borrowed(fixed),
            why: Cow::Borrowed(INTX),
        }
    }

    const fn nvidia(line: &'static str, fixed: &'static str) -> Self {
        Self {
            driver: Some(Cow::Borrowed("nvidia")),
            line: Cow::Borrowed(line),
            fixed: Cow::Borrowed(fixed),
            why: Cow::Borrowed(NVIDIA_5821),
        }
    }

    pub fn covers(&self, release: &str) -> bool {
        // After `6.1.0-` a distribution counts its own releases, with mends that the number does not tell.
        let is_of_line =
            release.starts_with(&*self.line) && !release.starts_with(&format!("{}0-", self.line));
        is_of_line && numbers(release).lt(numbers(&self.fixed))
    }

    /// What to have instead.
    pub fn mend(&self) -> String {
        let what =
            self.driver.as_deref().map_or_else(|| "kernel".to_owned(), |name| format!("driver {name}"));
        format!("update the {what} to {} or later", self.fixed)
    }
}

/// Its numbers in their order. One that is too long to be one is the largest.
fn numbers(release: &str) -> impl Iterator<Item = u64> {
    let words = release.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    words.map(|word| word.parse().unwrap_or(u64::MAX))
}

/// Races in the interrupts of devices that a VM has: it can bring the server down (fixed in Linux 6.9; the
/// announcements on linux-cve-announce name the releases of each line).
const INTX: &str = "CVE-2024-26810, CVE-2024-26812: a VM with a device can bring the server down";
/// Security bulletin 5821 of NVIDIA, May 2026, its rows of the Virtual GPU Manager on KVM.
const NVIDIA_5821: &str =
    "NVIDIA's security bulletin 5821, with CVE-2026-24187, CVE-2026-24197 and CVE-2026-24200";

/// What Divvy knows of.
pub const KNOWN: &[Denied] = &[
    Denied::kernel("5.4.", "5.4.274"),
    Denied::kernel("5.10.", "5.10.215"),
    Denied::kernel("5.15.", "5.15.154"),
    Denied::kernel("6.1.", "6.1.84"),
    Denied::kernel("6.6.", "6.6.24"),
    Denied::kernel("6.7.", "6.7.12"),
    Denied::kernel("6.8.", "6.8.3"),
    Denied::nvidia("535.", "535.309.01"),
    Denied::nvidia("580.", "580.159.01"),
    Denied::nvidia("595.", "595.71.03"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn is_denied(driver: Option<&str>, release: &str) -> bool {
        KNOWN.iter().any(|denied| denied.driver.as_deref() == driver && denied.covers(release))
    }

    #[test]
    fn releases_before_the_mend_of_their_line_are_denied_and_later_ones_are_not() {
        for (denied, safe) in
            [("6.1.83", "6.1.84"), ("6.1.9-custom", "6.1.100"), ("6.8.2-060802-generic", "6.8.4-2-pve")]
        {
            assert!(is_denied(None, denied), "{denied}");
            assert!(!is_denied(None, safe), "{safe}");
        }
        for (denied, safe) in
            [("595.58.02", "595.71.03"), ("580.126.08", "580.159.01"), ("535.288.01", "535.309.01")]
        {
            assert!(is_denied(Some("nvidia"), denied), "{denied}");
            assert!(!is_denied(Some("nvidia"), safe), "{safe}");
        }
    }

    #[test]
    fn a_release_that_a_distribution_counts_is_not_judged_by_its_number() {
        for release in
            ["6.1.0-18-amd64", "6.8.0-31-generic", "5.15.0-91-generic", "5.14.0-362.8.1.el9_3.x86_64"]
        {
            assert!(!is_denied(None, release), "{release}");
        }
    }

    #[test]
    fn a_line_that_nobody_named_is_not_denied() {
        for release in ["6.12.0", "6.12.48+deb13-amd64", "4.19.1"] {
            assert!(!is_denied(None, release), "{release}");
        }
        assert!(!is_denied(Some("nvidia"), "550.163.02"));
        assert!(!is_denied(Some("xe"), "580.1"));
    }

    proptest::proptest! {
        #[test]
        fn no_release_makes_it_panic(release: String) {
            let _ = KNOWN.iter().any(|denied| denied.covers(&release));
        }
    }
}
