//! Divvy on this server: packages that are missing, the programs, the service.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::install;
use crate::product::Binaries;

/// What has to be there, and the package that brings it.
const NEEDED: &[(&[&str], &str)] = &[
    (&["/usr/sbin/libvirtd", "/usr/sbin/virtqemud"], "libvirt-daemon-system"),
    (&["/usr/bin/qemu-system-x86_64"], "qemu-system-x86"),
    // Names of GPUs that the catalogue does not know.
    (&["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"], "pci.ids"),
];

const NEXT: &str = "\
Divvy runs on this server and starts with it.

  divvy check
  divvy gpu list
  divvy gpu partition GPU --count N
  divvy vm list
  divvy assign VM

Its log: journalctl -u divvyd. Its settings: /etc/divvy/divvyd.toml. More: docs/admin-guide.md
To stop it for good: systemctl disable --now divvyd; VMs and partitions stay as they are.";

pub fn run(binaries: &Binaries) -> Result<ExitCode> {
    install_packages()?;
    install::all(binaries, Path::new("/"))?;
    if !Path::new("/run/systemd/system").exists() {
        println!("systemd does not run here, so nothing is started. As root: divvyd");
        return Ok(ExitCode::SUCCESS);
    }
    // Where it cannot be loaded, `divvy check` says so with the mend.
    let _ = Command::new("modprobe").arg("vfio-pci").status();
    let commands: [&[&str]; 5] = [
        &["systemd-sysusers", "divvy.conf"],
        &["systemd-tmpfiles", "--create", "divvy.conf"],
        &["systemctl", "daemon-reload"],
        &["systemctl", "enable", "divvyd.service"],
        &["systemctl", "restart", "divvyd.service"],
    ];
    for words in commands {
        do_it(words)?;
    }
    restart_libvirt()?;
    println!("\n{NEXT}");
    Ok(ExitCode::SUCCESS)
}

/// libvirt looks for hooks when it starts; VMs that run go on running meanwhile.
fn restart_libvirt() -> Result<()> {
    for service in ["libvirtd.service", "virtqemud.service"] {
        let asked = Command::new("systemctl").args(["is-active", "--quiet", service]).status();
        if asked.context("ask systemd whether libvirt runs")?.success() {
            do_it(&["systemctl", "restart", service])?;
        }
    }
    Ok(())
}

fn install_packages() -> Result<()> {
    let is_missing = |(paths, _): &&(&[&str], &str)| !paths.iter().any(|path| Path::new(path).exists());
    let missing: Vec<&str> = NEEDED.iter().filter(is_missing).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Installing {}", missing.join(" "));
    do_it(&["apt-get", "update"])?;
    let mut words = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
    words.extend(missing);
    do_it(&words)
}

fn do_it(words: &[&str]) -> Result<()> {
    let line = words.join(" ");
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    let status = command.status().with_context(|| format!("run {line}"))?;
    ensure!(status.success(), "{line} failed ({status})");
    Ok(())
}
