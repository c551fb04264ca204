//! `cargo xtask record`: takes a fixture of a server's real tree, for tests to observe from. Only reads: what
//! cannot be read, or is better not touched, is in the fixture as such. What would name this very server
//! or its hardware is replaced or left out; what stays is model, layout and settings.
//!
//! The fixture is a text of one JSON object a line, sorted by path, so that two of them can be compared:
//!
//! ```text
//! {"fixture":1,"about":"what this is"}
//! {"path":"sys/bus/pci/devices","is":"folder"}
//! {"path":"sys/bus/pci/devices/0000:41:00.0","is":"link","to":"../../../devices/…"}
//! {"path":"…/sriov_numvfs","is":"file","mode":"0644","text":"4\n"}
//! {"path":"…/config","is":"file","mode":"0644","hex":"de10b625…","bytes":4096}   zeros at the end are left out
//! {"path":"…/reset","is":"file","mode":"0200"}                                   can only be written
//! {"path":"…/current_link","is":"file","mode":"0444","errno":"EIO"}
//! {"path":"…/vpd","is":"file","mode":"0600","left_out":"serial numbers"}
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use conceal::Concealer;
use tree::Recorder;

mod choose;
mod conceal;
mod tree;

const USAGE: &str = "usage: cargo xtask record [--root DIR] [--about TEXT] OUT
  --root DIR     record the tree below DIR instead of /
  --about TEXT   what it is a fixture of: the first line of OUT says so";

const ABOUT: &str = "recorded from a server by cargo xtask record";

struct Arguments {
    root: PathBuf,
    about: String,
    out: PathBuf,
}

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    let Some(Arguments { root, about, out }) = parse(arguments) else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    let (text, gpus) = fixture(&root, &about);
    std::fs::write(&out, &text).with_context(|| format!("write {}", out.display()))?;
    println!("{}: {} entries, GPUs: {gpus}", out.display(), text.lines().count() - 1);
    if gpus == 0 {
        println!("no GPU was found below {}; the fixture shows a server without one", root.display());
    }
    println!("read it before you give it away: it should not name your server, and you know its names best");
    Ok(ExitCode::SUCCESS)
}

fn parse(arguments: &[String]) -> Option<Arguments> {
    let (mut root, mut about, mut out) = (PathBuf::from("/"), ABOUT.to_owned(), None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--root" => root = rest.next()?.into(),
            "--about" => about = rest.next()?.clone(),
            option if option.starts_with('-') => return None,
            path if out.is_none() => out = Some(path.into()),
            _ => return None,
        }
    }
    Some(Arguments { root, about, out: out? })
}

/// The text, and of how many GPUs it tells.
fn fixture(root: &std::path::Path, about: &str) -> (String, usize) {
    let mut recorder = Recorder::new(root);
    let gpus = choose::record(&mut recorder);
    let concealer = Concealer::new(recorder.host_name());
    (recorder.into_text(about, concealer), gpus)
}

#[cfg(test)]
mod tests;
