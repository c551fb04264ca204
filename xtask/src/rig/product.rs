//! The product in a rig: built here, brought there, installed as its package
//! installs it, and asked as an administrator asks it. What it should answer is
//! the scenario's business.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::live::Rig;
use super::{process, sources};

/// Where the programs go in the rig.
const PROGRAMS: [&str; 2] = ["divvyd", "divvy"];
/// The package's files, and below which folder each has its path.
const FILES: [(&str, &str); 5] = [
    ("divvyd.service", "/usr/lib/systemd/system"),
    ("hooks/qemu.d/divvy", "/etc/libvirt"),
    ("modules-load.d/divvy.conf", "/usr/lib"),
    ("sysusers.d/divvy.conf", "/usr/lib"),
    ("tmpfiles.d/divvy.conf", "/usr/lib"),
];
const POLL: Duration = Duration::from_millis(200);
/// What happens by itself, at most a VM's start, in an emulated machine.
pub const SOON: Duration = Duration::from_secs(60);
/// What waits for a time to try again, or for several VMs.
pub const LONG: Duration = Duration::from_secs(120);

/// The programs, ready to be brought into rigs.
pub struct Product {
    folder: PathBuf,
}

/// How a command of `divvy` ended.
#[derive(Debug)]
pub struct Answer {
    pub status: i32,
    /// What it printed as JSON, on stdout.
    pub document: Value,
    /// Problem details and progress, from stderr.
    pub told: String,
}

impl Product {
    /// Builds the programs and takes off what only a debugger wants.
    pub fn build() -> Result<Product> {
        build_programs(&["divvy-server", "divvy-cli"], &PROGRAMS)?;
        Ok(Product { folder: target_folder()? })
    }

    /// Puts programs, unit, hook and settings in their places and starts the
    /// daemon.
    pub fn install(&self, rig: &Rig, settings: &str) -> Result<()> {
        for name in PROGRAMS {
            rig.upload(&stripped(&self.folder, name), &format!("/usr/bin/{name}"))?;
        }
        let packaging = sources().join("../packaging");
        for (file, folder) in FILES {
            rig.upload(&packaging.join(file), &format!("{folder}/{file}"))?;
        }
        rig.expect("systemd-sysusers && systemd-tmpfiles --create divvy.conf")?;
        rig.write(settings, "/etc/divvy/divvyd.toml")?;
        rig.expect("systemctl daemon-reload && systemctl enable --now divvyd")?;
        // libvirt looks for hooks when it starts, and not again.
        rig.expect("systemctl restart libvirtd")?;
        Ok(())
    }
}

/// Builds programs of these packages, without what only a debugger wants.
pub fn build_programs(packages: &[&str], programs: &[&str]) -> Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet"]);
    for package in packages {
        cargo.args(["--package", package]);
    }
    let status = cargo.current_dir(sources().join("..")).status().context("run cargo")?;
    ensure!(status.success(), "{} do not build", packages.join(" and "));
    let folder = target_folder()?;
    for name in programs {
        let mut strip = Command::new("strip");
        strip.arg("-o").arg(stripped(&folder, name));
        process::output(strip.arg(folder.join(name)))?;
    }
    Ok(())
}

/// A program that was built here, as it is brought into a rig.
pub fn program(name: &str) -> Result<PathBuf> {
    Ok(stripped(&target_folder()?, name))
}

/// The folder that this very program was built into.
fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?;
    let folder = program.parent().context("this program is in no folder")?;
    Ok(folder.to_path_buf())
}

fn stripped(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.stripped"))
}

/// Runs `divvy` in the rig, asking for JSON.
pub fn divvy(rig: &Rig, words: &str) -> Result<Answer> {
    let output = rig.run(&format!(
        "divvy -o json {words} 2> /run/divvy-told; status=$?; echo; echo ==; cat /run/divvy-told; exit $status"
    ))?;
    let (printed, told) = output
        .text
        .split_once("\n==\n")
        .with_context(|| format!("divvy {words} printed {:?}", output.text))?;
    let document = match printed.trim() {
        "" => Value::Null,
        text => serde_json::from_str(text).with_context(|| format!("divvy {words} printed {text}"))?,
    };
    Ok(Answer { status: output.status, document, told: told.trim_end().to_string() })
}

/// What `divvy` prints when it must succeed.
pub fn ask(rig: &Rig, words: &str) -> Result<Value> {
    let answer = divvy(rig, words)?;
    ensure!(answer.status == 0, "divvy {words} ended with {}: {}", answer.status, answer.told);
    Ok(answer.document)
}

/// A command that must fail with a status and these words in what it tells.
pub fn refused(rig: &Rig, words: &str, status: i32, told: &[&str]) -> Result<()> {
    let answer = divvy(rig, words)?;
    ensure!(
        answer.status == status,
        "divvy {words} ended with {}, not {status}: {} {}",
        answer.status,
        answer.document,
        answer.told
    );
    for text in told {
        ensure!(answer.told.contains(text), "divvy {words} does not say {text:?}, but: {}", answer.told);
    }
    Ok(())
}

/// Asks again until it is as promised; the last reason is the failure.
pub fn until<T>(
    limit: Duration,
    promise: &str,
    mut look: impl FnMut() -> Result<T>,
) -> Result<(T, Duration)> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok((found, start.elapsed())),
            Err(error) if start.elapsed() > limit => {
                return Err(error.context(format!("{promise}: not so after {limit:?}")));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Runs a shell command that must fail, and returns what it printed.
pub fn must_fail(rig: &Rig, command: &str) -> Result<String> {
    let output = rig.run(command)?;
    if output.is_success() {
        bail!("in the rig, {command} succeeded: {}", output.text.trim_end());
    }
    Ok(output.text)
}

/// A member of a JSON object as text; what is missing is an error.
pub fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str> {
    value[member].as_str().with_context(|| format!("no text {member:?} in {value}"))
}
