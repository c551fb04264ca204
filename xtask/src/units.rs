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
