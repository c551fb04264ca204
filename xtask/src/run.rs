//! `cargo xtask run`: from a fresh machine with Rust and a C compiler to a running Divvy. On a server
//! with GPUs that can be partitioned, and as root, Divvy is installed there; anywhere else a simulated
//! machine room is started, which needs no root and no package. It says which of both it does, and why.

mod here;
mod plan;
mod room;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::product::{Binaries, Profile};
use plan::Plan;

const USAGE: &str = "usage: cargo xtask run [--sim ROOM] [--debug] [-- ARGUMENTS OF DIVVYD]
  --sim ROOM   a simulated room, whatever this machine has: a2-edge, a16-pair, a10-trio, a40-rack,
               mixed-lab, h200-mig, a16-meets-a40
  --debug      programs that are built faster and run slower";

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    room: Option<String>,
    is_debug: bool,
    for_divvyd: Vec<String>,
}

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    let Some(options) = parse(arguments) else {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    let is_root = nix::unistd::geteuid().is_root();
    let plan = plan::choose(is_root, &plan::partitionable(Path::new("/sys")), options.room.as_deref());
    println!("{plan}\n");
    if matches!(plan, Plan::Here { .. }) && !options.for_divvyd.is_empty() {
        bail!("arguments of divvyd are for a simulated room; here divvyd reads /etc/divvy/divvyd.toml");
    }
    let binaries = Binaries::build(if options.is_debug { Profile::Debug } else { Profile::Release })?;
    match plan {
        Plan::Here { .. } => here::run(&binaries),
        Plan::Room { room, .. } => room::run(&binaries, &room, &options.for_divvyd),
    }
}

fn parse(arguments: &[String]) -> Option<Options> {
    let mut options = Options::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--sim" => options.room = Some(arguments.next()?.clone()),
            "--debug" => options.is_debug = true,
            "--" => options.for_divvyd.extend(arguments.by_ref().cloned()),
            _ => return None,
        }
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<Options> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_stands_behind_two_hyphens_is_for_divvyd() {
        let options = parsed("--sim a16-pair -- --listen 127.0.0.1:8080").expect("is well formed");
        assert_eq!(options.room.as_deref(), Some("a16-pair"));
        assert_eq!(options.for_divvyd, ["--listen", "127.0.0.1:8080"]);
    }

    #[test]
    fn another_option_or_a_missing_room_is_refused() {
        assert_eq!((parsed("--simulate"), parsed("--sim")), (None, None));
    }
}
