//! What the machine that builds the rig must have. QEMU and libvirt are not on
//! the list: both run from the rig's own root and are never installed here.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::process;

/// A program, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 10] = [
    ("mmdebstrap", "mmdebstrap"),
    ("gcc", "gcc"),
    ("ld", "binutils"),
    ("make", "make"),
    ("python3", "python3-minimal"),
    ("mke2fs", "e2fsprogs"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("tar", "tar"),
    ("dpkg-deb", "dpkg"),
];

/// The headers of the C library have no program to look for.
const LIBC_HEADER: (&str, &str) = ("/usr/include/stdio.h", "libc6-dev");

/// This machine cannot build the rig; the text says what would change that.
#[derive(Debug)]
pub struct Unsuited(pub String);

impl std::fmt::Display for Unsuited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsuited {}

/// Makes sure that a build can run here: installs what is missing when root,
/// otherwise says exactly what is missing.
pub fn prepare() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(Unsuited("the rig can be built on amd64 only".into()).into());
    }
    if !Path::new("/etc/debian_version").exists() || find_program("apt-get").is_none() {
        return Err(Unsuited("the rig is built from Debian packages: it needs Debian".into()).into());
    }
    let missing = missing_packages();
    if !is_root()? {
        let mut text = "building the rig needs root (a root file system with many owners)".to_string();
        if !missing.is_empty() {
            text += &format!("; also missing: apt-get install {}", missing.join(" "));
        }
        return Err(Unsuited(text).into());
    }
    if !missing.is_empty() {
        install(&missing)?;
    }
    Ok(())
}

fn missing_packages() -> Vec<&'static str> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| find_program(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !Path::new(LIBC_HEADER.0).exists() {
        missing.push(LIBC_HEADER.1);
    }
    missing
}

/// From the distribution; needs root.
pub fn install(packages: &[&str]) -> Result<()> {
    eprintln!("installing {}", packages.join(" "));
    process::output(Command::new("apt-get").arg("update"))?;
    process::output(
        Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    Ok(())
}

pub fn is_root() -> Result<bool> {
    let id = process::output(Command::new("id").arg("-u")).context("ask who runs this")?;
    Ok(id.trim() == "0")
}

/// Administration programs stand in sbin, which not every PATH names.
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}
