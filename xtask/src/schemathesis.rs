//! `cargo xtask schemathesis`: made-up requests to a real divvyd, each answer compared with what
//! `docs/openapi.json` says of it. The tool is a Python program of others; it is installed below `target`,
//! in the versions of `tests/schemathesis/requirements.txt`, and nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::product::{Binaries, Profile, target_folder};
use crate::rig::prerequisites::{find_program, install};

/// This machine has no Python, or the packages do not come.
const EXIT_UNSUITED: u8 = 3;

/// Few enough for a minute or two, and the same ones every time; more can be asked for.
const USUAL: &[&str] = &["--max-examples", "50", "--seed", "1", "--no-shrink"];

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    let tools = match prepare(&target_folder().join("schemathesis"))? {
        Ok(tools) => tools,
        Err(why) => {
            eprintln!("{why}");
            return Ok(ExitCode::from(EXIT_UNSUITED));
        }
    };
    let binaries = Binaries::build(Profile::Debug)?;
    let mut run = Command::new(folder().join("run.sh"));
    run.env("SCHEMATHESIS", tools.join("schemathesis")).env("PYTHON", tools.join("python"));
    run.env("DIVVYD", binaries.divvyd());
    match arguments.is_empty() {
        true => run.args(USUAL),
        false => run.args(arguments),
    };
    let passed = run.status().context("run tests/schemathesis/run.sh")?.success();
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn folder() -> PathBuf {
    crate::repository().join("tests/schemathesis")
}

/// The folder of the tool's programs, or why it cannot be had here.
fn prepare(place: &Path) -> Result<Result<PathBuf, String>> {
    let list = folder().join("requirements.txt");
    let wanted = fs::read(&list).with_context(|| format!("read {}", list.display()))?;
    let (mark, tools) = (place.join(".divvy-requirements"), place.join("bin"));
    if fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(Ok(tools));
    }
    if let Some(why) = lacks_python()? {
        return Ok(Err(why));
    }
    if !succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(place))? {
        return Ok(Err(format!("python3 makes no environment in {}", place.display())));
    }
    let mut pip = Command::new(tools.join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]).arg(&list);
    if !succeeds(&mut pip)? {
        return Ok(Err("schemathesis cannot be installed; what pip said stands above".to_owned()));
    }
    fs::write(&mark, wanted).with_context(|| format!("write {}", mark.display()))?;
    Ok(Ok(tools))
}

/// Debian has what makes environments in a package of its own.
fn lacks_python() -> Result<Option<String>> {
    let can = || succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]));
    if find_program("python3").is_some() && can()? {
        return Ok(None);
    }
    if nix::unistd::geteuid().is_root() && find_program("apt-get").is_some() {
        install(&["python3", "python3-venv"])?;
        return Ok(None);
    }
    Ok(Some("made-up requests need Python: apt-get install python3 python3-venv".to_owned()))
}

fn succeeds(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("run {}", command.get_program().display()))?;
    Ok(status.success())
}
