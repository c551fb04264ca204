//! The slow layer of the rig: what comes from Debian, as it comes from there.
//! A root file system with QEMU and libvirt, the kernel and its modules, and
//! the headers to compile against. Nothing of the project is in it, so it stays
//! when the rig's sources change.
//!
//! ```text
//! root/            the rig's root; its QEMU also runs from here
//! modules/VERSION/ kernel modules of rig/image/modules, uncompressed
//! vmlinux          the kernel as an ELF file: boots without decompressing
//! kbuild/          kernel headers
//! samples/         the kernel's samples of rig/image/samples
//! qemu/            QEMU headers, with the generated ones in qemu/gen
//! glib/            GLib headers
//! versions         what was fetched
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt::{self, Apt};
use super::cache::{Cache, Key, KeyBuilder};
use super::qemu::Qemu;
use super::{kernel, lines_of, prerequisites, process, sources};

pub struct Base {
    pub path: PathBuf,
    pub key: Key,
}

impl Base {
    pub fn obtain(cache: &Cache) -> Result<Base> {
        let image = sources().join("image");
        let read = |name: &str| {
            let path = image.join(name);
            fs::read(&path).with_context(|| format!("read {}", path.display()))
        };
        let key = KeyBuilder::new()
            .add(include_bytes!("apt.rs"))
            .add(include_bytes!("base.rs"))
            .add(include_bytes!("kernel.rs"))
            .add(&read("packages")?)
            .add(&read("modules")?)
            .add(&read("samples")?)
            .finish();
        let logs = cache.folder("log")?;
        let path = cache.entry("base", &key, |folder| build(folder, &logs))?;
        Ok(Base { path, key })
    }

    pub fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    pub fn kernel(&self) -> PathBuf {
        self.path.join("vmlinux")
    }

    pub fn samples(&self) -> PathBuf {
        self.path.join("samples")
    }

    pub fn kernel_version(&self) -> Result<String> {
        kernel::version_below(&self.path.join("modules"))
    }
}

fn build(folder: &Path, logs: &Path) -> Result<()> {
    prerequisites::prepare()?;
    eprintln!("rig: fetching packages (log: {})", logs.display());
    let apt = Apt::create(&folder.join("apt"))?;
    let candidate = record_field(&apt.show("qemu-system-x86")?, "Version")?;
    // The root takes longest and is mostly waiting; the rest goes beside it.
    std::thread::scope(|scope| {
        let root = scope.spawn(|| make_root(folder, &apt, logs));
        kernel::fetch(folder, &apt)?;
        fetch_qemu_headers(folder, &apt, &candidate, logs)?;
        fetch_glib_headers(folder, &apt)?;
        root.join().expect("the thread returns its failures")
    })?;
    check_qemu_version(folder)?;
    let versions = installed_versions(&folder.join("root"))?;
    fs::write(folder.join("versions"), versions).context("write the versions")?;
    fs::remove_dir_all(folder.join("apt")).context("remove the private apt")?;
    fs::remove_dir_all(folder.join("debs")).context("remove the downloads")
}

fn make_root(folder: &Path, apt: &Apt, logs: &Path) -> Result<()> {
    let packages = lines_of(&sources().join("image/packages"))?.join(",");
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--mode=root", "--variant=minbase", "--format=directory"])
        .arg("--aptopt=Apt::Install-Recommends \"false\"");
    for setting in apt::proxy_settings()? {
        command.arg(format!("--aptopt={setting}"));
    }
    for unused in ["man", "doc", "locale", "info"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{unused}/*"));
    }
    // The pin is needed from the first package on.
    command
        .arg(format!(
            "--setup-hook=install -D -m 644 '{}' \"$1\"/etc/apt/preferences.d/backports",
            apt.preferences().display()
        ))
        .arg(format!("--include={packages}"))
        .arg(apt::RELEASE)
        .arg(folder.join("root"))
        .arg(apt.sources());
    process::step(&mut command, &logs.join("mmdebstrap.log"))
}

/// Only headers are needed; QEMU itself is not compiled.
fn fetch_qemu_headers(folder: &Path, apt: &Apt, version: &str, logs: &Path) -> Result<()> {
    let tarball = folder.join("debs/qemu.tar");
    let qemu = folder.join("qemu");
    fs::create_dir_all(folder.join("debs")).context("create the download folder")?;
    fs::create_dir(&qemu).context("create the folder of QEMU's headers")?;
    apt.download_upstream("qemu", version, &tarball)?;
    process::step(
        Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(&tarball)
            .arg("--directory")
            .arg(&qemu)
            .args(["--strip-components=1", "--wildcards"])
            .arg("--no-wildcards-match-slash")
            .args(["*/VERSION", "*/include", "*/host/include", "*/qapi"])
            .args(["*/scripts/qapi", "*/scripts/qapi-gen.py", "*/linux-headers"]),
        &logs.join("qemu-headers.log"),
    )?;
    // Some headers are made from the schema of QMP.
    process::step(
        Command::new("python3")
            .args(["scripts/qapi-gen.py", "--builtins", "--output-dir"])
            .arg(qemu.join("gen/qapi"))
            .arg("qapi/qapi-schema.json")
            .current_dir(&qemu),
        &logs.join("qapi-gen.log"),
    )
}

fn fetch_glib_headers(folder: &Path, apt: &Apt) -> Result<()> {
    let debs = folder.join("debs/glib");
    apt.download(&["libglib2.0-dev".to_string()], &debs)?;
    unpack_all(&debs, &folder.join("glib"))
}

/// Unpacks every package in a folder, without installing anything.
pub fn unpack_all(debs: &Path, into: &Path) -> Result<()> {
    for deb in fs::read_dir(debs).with_context(|| format!("list {}", debs.display()))? {
        let deb = deb.context("read a folder entry")?.path();
        process::output(Command::new("dpkg-deb").arg("-x").arg(deb).arg(into))?;
    }
    Ok(())
}

/// The model of the GPU is loaded into QEMU: its headers must be QEMU's own.
fn check_qemu_version(folder: &Path) -> Result<()> {
    let headers =
        fs::read_to_string(folder.join("qemu/VERSION")).context("read the version of QEMU's headers")?;
    let program = Qemu::in_root(&folder.join("root")).version()?;
    if program != headers.trim() {
        bail!("the root has QEMU {program}, the headers are of {}", headers.trim());
    }
    Ok(())
}

fn installed_versions(root: &Path) -> Result<String> {
    process::output(
        Command::new("dpkg-query")
            .arg("--admindir")
            .arg(root.join("var/lib/dpkg"))
            .args(["--show", "--showformat=${Package} ${Version}\\n"]),
    )
}

/// A field of a package record as apt-cache prints it.
pub fn record_field(record: &str, name: &str) -> Result<String> {
    record
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_string())
        .with_context(|| format!("no {name} in the package record"))
}
