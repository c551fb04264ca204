//! Does the simulated kernel answer as the real one does? One program for both
//! ends, so that both make the same operations of the same seed:
//!
//! ```text
//! in the rig   divvy-differ answer  SEED OPS ──▶ one answer per line
//! here         divvy-differ compare SEED OPS ◀── the same lines
//! here         divvy-differ list    SEED OPS     what would be done, to look into a difference
//! ```
//!
//! It changes partition counts, drivers and more of whatever it finds: it runs
//! in a rig and nowhere else.

mod hardware;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use divvy_host::real::RealSysfs;
use divvy_host::sysfs::Sysfs;
use divvy_sim::ops::{self, OpResult, SysOp};
use divvy_sim::rng::Rng;
use serde::{Deserialize, Serialize};

/// What answers as the rig's kernel does, and no other machine.
const OWN_DRIVER: &str = "sys/bus/pci/drivers/rigpf";

/// Differences that are shown; the first one explains most of the others.
const SHOWN: usize = 10;

#[derive(Serialize, Deserialize)]
struct Answer {
    number: usize,
    result: OpResult,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("divvy-differ: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    let [verb, seed, number] = words else { bail!("usage: divvy-differ list|answer|compare SEED OPS") };
    let seed = seed.parse().context("SEED is a number")?;
    let operations = operations(seed, number.parse().context("OPS is a number")?);
    match *verb {
        "list" => list(&operations),
        "answer" => answer(&operations),
        "compare" => compare(seed, &operations),
        _ => bail!("{verb} is none of list, answer, compare"),
    }
}

/// Operations on all PFs, mixed. One PF's own sequence does not change with the
/// others.
fn operations(seed: u64, number: usize) -> Vec<SysOp> {
    let targets = hardware::targets();
    let generate = |nth: usize| ops::generate(seed.wrapping_add(nth as u64), number, &targets[nth]);
    let mut sequences: Vec<_> = (0..targets.len()).map(|nth| generate(nth).into_iter()).collect();
    let mut rng = Rng::of(&["mix", &seed.to_string()]);
    let mut mix = || {
        let nth = rng.below(sequences.len() as u64) as usize;
        sequences[nth].next()
    };
    (0..number).filter_map(|_| mix()).collect()
}

/// What would be done, and what the simulator answers, for whoever looks into a difference.
fn list(operations: &[SysOp]) -> Result<ExitCode> {
    let server = hardware::simulated();
    let simulated = server.sysfs();
    let mut out = std::io::stdout().lock();
    for (number, operation) in operations.iter().enumerate() {
        let own = ops::apply(simulated.as_ref(), operation);
        writeln!(out, "{number} {operation:?} {own:?}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(operations: &[SysOp]) -> Result<ExitCode> {
    let kernel = RealSysfs::new("/");
    ensure!(kernel.exists(OWN_DRIVER), "this is not the rig: there is no /{OWN_DRIVER}");
    let mut out = std::io::stdout().lock();
    for (number, operation) in operations.iter().enumerate() {
        let result = ops::apply(&kernel, operation);
        let line = serde_json::to_string(&Answer { number, result })?;
        writeln!(out, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(seed: u64, operations: &[SysOp]) -> Result<ExitCode> {
    let server = hardware::simulated();
    let simulated = server.sysfs();
    let mut lines = std::io::stdin().lock().lines();
    let (mut compared, mut differences, mut changes) = (0, 0, 0);
    for (number, operation) in operations.iter().enumerate() {
        let line = lines.next().with_context(|| format!("no answer to operation {number}"))??;
        let real: Answer = serde_json::from_str(&line).with_context(|| format!("read {line}"))?;
        ensure!(real.number == number, "the answer to {} stands for {number}", real.number);
        let own = ops::apply(simulated.as_ref(), operation);
        changes += usize::from(matches!((operation, &real.result), (SysOp::Write { .. }, OpResult::Ok(_))));
        compared += 1;
        if !ops::agree(operation, &own, &real.result) {
            differences += 1;
            if differences <= SHOWN {
                tell(seed, number, operation, &real.result, &own);
            }
        }
    }
    println!(
        "seed {seed}: {compared} operations, {changes} writes that the kernel took, {differences} differences"
    );
    Ok(if differences == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn tell(seed: u64, number: usize, operation: &SysOp, real: &OpResult, own: &OpResult) {
    println!("seed {seed}, operation {number}: {operation:?}");
    println!("  kernel    {:?}", ops::normalise(operation, real));
    println!("  simulator {:?}", ops::normalise(operation, own));
}
