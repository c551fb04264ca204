//! `cargo xtask units`: what systemd itself thinks of the unit, by `systemd-analyze verify`. The programs
//! that it names are put beside it below a root of its own, so that nothing has to be installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

const UNIT: &str = "packaging/divvyd.service";

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    anyhow::ensure!(arguments.is_empty(), "usage: cargo xtask units");
    let root = std::env::temp_dir().join(format!("divvy-units-{}", std::process::id()));
    let verdict = verify(&root);
    // What is left behind in a folder for temporary files is nobody's loss.
    let _ = fs::remove_dir_all(&root);
    let complaints = verdict?;
    if complaints.is_empty() {
        println!("{UNIT}: systemd has no complaint");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{complaints}");
    Ok(ExitCode::FAILURE)
}

fn verify(root: &Path) -> Result<String> {
    let folder = root.join("units");
    fs::create_dir_all(&folder).context("make a folder for the unit")?;
    let program = root.join("divvyd");
    fs::write(&program, "#!/bin/sh\n").context("write a program for the unit")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).context("set its mode")?;
    let unit = fs::read_to_string(crate::repository().join(UNIT)).with_context(|| format!("read {UNIT}"))?;
    let unit = unit.replace("/usr/bin/divvyd", &program.to_string_lossy());
    let path = folder.join("divvyd.service");
    fs::write(&path, unit).context("write the unit")?;
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output();
    let output = output.context("run systemd-analyze")?;
    let said = String::from_utf8_lossy(&output.stderr);
    // It looks at what the unit leads to as well; only what it says of ours is ours to mend.
    let ours = said.lines().filter(|line| line.contains("divvyd.service"));
    Ok(ours.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of every line of the unit that sets `name`.
    fn setting(name: &str) -> Vec<String> {
        let unit = fs::read_to_string(crate::repository().join(UNIT)).expect("the unit is there");
        let values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.flat_map(str::split_whitespace).map(str::to_owned).collect()
    }

    #[test]
    fn partitions_are_restored_before_either_libvirt_starts_a_vm() {
        let before = setting("Before");
        for service in ["libvirtd.service", "virtqemud.service", "libvirt-guests.service"] {
            assert!(before.iter().any(|name| name == service), "{service} does not wait");
        }
        assert_eq!((setting("Type"), setting("Requires")), (vec!["notify".to_owned()], Vec::new()));
    }

    #[test]
    fn the_sandbox_leaves_what_divvyd_needs() {
        for hidden in
            ["ProtectKernelTunables", "PrivateDevices", "PrivateNetwork", "ProtectProc", "ProcSubset"]
        {
            assert_eq!(
                setting(hidden),
                [""; 0],
                "{hidden} takes /sys, /dev, the kernel's events or /proc away"
            );
        }
        let families = setting("RestrictAddressFamilies");
        assert!(families.iter().any(|family| family == "AF_NETLINK"), "{families:?}");
    }
}
