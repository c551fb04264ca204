//! `cargo xtask rig`: the test machine. A real kernel with real SR-IOV, VFIO
//! and libvirt runs in an emulated machine whose GPUs are a device model of our
//! own (rig/), so no GPU and no hardware virtualisation are needed.
//!
//! ```text
//! rig/ ──▶ base ──▶ compile ──▶ image ──▶ build ──▶ cache entry
//!          Debian   model,      disk,     boot,         │ resume, boot
//!          root     driver      initrd    warm, save    ▼
//!                                                      Rig (live.rs)
//! ```
//!
//! Scenarios of the product use `Built::obtain()`, `Built::resume(name)` and the
//! methods of `Rig`; they know nothing of QEMU.

mod agent;
mod apt;
mod base;
mod build;
mod cache;
mod compile;
mod differential;
mod domain;
mod image;
mod kernel;
mod live;
mod machine;
pub mod prerequisites;
mod process;
mod processors;
mod product;
mod qemu;
mod qmp;
mod run_folder;
mod scenario;
mod selftest;
mod shell;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

const USAGE: &str = "usage: cargo xtask rig COMMAND
  build              build the rig, or find it in the cache
  shell [COMMAND]    resume a rig, run a command or read commands
  selftest           prove that the rig itself behaves
  scenario [STORY…]  prove that the product keeps its promises in a rig
  differential [--ops N] [--seed S]
                     prove that the simulated kernel answers as the real one";

/// This machine cannot build a rig; other failures exit with 1.
const EXIT_UNSUITED: u8 = 3;
const EXIT_USAGE: u8 = 2;

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    let result = match arguments.split_first() {
        Some((command, [])) if command == "build" => build_command(),
        Some((command, words)) if command == "shell" => shell::main(words),
        Some((command, [])) if command == "selftest" => selftest::main(),
        Some((command, names)) if command == "scenario" => scenario::main(names),
        Some((command, words)) if command == "differential" => match differential::Wish::parse(words) {
            Some(wish) => differential::main(wish),
            None => return Ok(usage()),
        },
        _ => return Ok(usage()),
    };
    match result {
        Err(error) if error.downcast_ref::<prerequisites::Unsuited>().is_some() => {
            eprintln!("rig: {error:#}");
            Ok(ExitCode::from(EXIT_UNSUITED))
        }
        other => other,
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(EXIT_USAGE)
}

fn build_command() -> Result<ExitCode> {
    let built = build::Built::obtain()?;
    println!("{}", built.folder().display());
    Ok(ExitCode::SUCCESS)
}

/// The rig's sources, in the repository.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rig")
}

/// The lines of a list file, without comments and empty ones.
fn lines_of(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_string)
        .collect())
}
