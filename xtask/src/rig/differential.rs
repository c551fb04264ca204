//! `cargo xtask rig differential`: the same seeded operations on a real kernel
//! and on the simulated one. The simulator is wrong until both answer the same;
//! which operations there are and what counts as the same is divvy-sim's.

use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::build::Built;
use super::live::Rig;
use super::product::{build_programs, program};

const PROGRAM: &str = "divvy-differ";
const IN_RIG: &str = "/opt/divvy-differ";
const LIMIT: Duration = Duration::from_secs(300);

/// How many operations, and of which seed.
#[derive(Clone, Copy)]
pub struct Wish {
    operations: usize,
    seed: u64,
}

impl Wish {
    pub fn parse(words: &[String]) -> Option<Wish> {
        let mut wish = Wish { operations: 2400, seed: 1 };
        for pair in words.chunks(2) {
            match pair {
                [name, value] if name == "--ops" => wish.operations = value.parse().ok()?,
                [name, value] if name == "--seed" => wish.seed = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(wish)
    }
}

pub fn main(wish: Wish) -> Result<ExitCode> {
    let started = Instant::now();
    build_programs(&[PROGRAM], &[PROGRAM])?;
    let answers = Built::obtain()?.with_rig("differential", |rig| answers(rig, wish))?;
    println!("the kernel answered after {:.0} s", started.elapsed().as_secs_f64());
    let code = compare(wish, &answers)?;
    Ok(ExitCode::from(code))
}

/// The kernel's.
fn answers(rig: &Rig, wish: Wish) -> Result<String> {
    rig.upload(&program(PROGRAM)?, IN_RIG)?;
    // The driver of igb's VFs hangs for ever in a reset while its
    // interface is down (napi_disable in igbvf_down), and comes by itself.
    rig.expect("rm $(modinfo --field filename igbvf); rmmod igbvf; ! modprobe igbvf")?;
    let Wish { operations, seed } = wish;
    let answer = format!("timeout {} {IN_RIG} answer {seed} {operations}", LIMIT.as_secs());
    let answers = rig
        .run_within(&answer, LIMIT + Duration::from_secs(30))
        .context("an operation hangs; --ops with a smaller number finds which")?;
    let last = answers.text.lines().last().unwrap_or_default();
    ensure!(answers.is_success(), "the operations ended with {} after: {last}", answers.status);
    Ok(answers.text)
}

/// The simulator runs here, and its comparison prints what differs.
fn compare(wish: Wish, answers: &str) -> Result<u8> {
    let mut differ = Command::new(program(PROGRAM)?)
        .arg("compare")
        .arg(wish.seed.to_string())
        .arg(wish.operations.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .context("start the comparison")?;
    let mut input = differ.stdin.take().context("the comparison has no input")?;
    let written = input.write_all(answers.as_bytes());
    drop(input);
    let status = differ.wait().context("wait for the comparison")?;
    // A comparison that ended early says why by its status.
    if status.success() {
        written.context("give the answers to the comparison")?;
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Option<(usize, u64)> {
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        Wish::parse(&words).map(|wish| (wish.operations, wish.seed))
    }

    #[test]
    fn a_wish_is_read_in_any_order() {
        assert_eq!(parsed(&["--seed", "7", "--ops", "9"]), Some((9, 7)));
    }

    #[test]
    fn a_wish_that_is_not_understood_is_no_wish() {
        for words in [&["--ops"][..], &["--ops", "many"], &["--depth", "3"]] {
            assert_eq!(parsed(words), None, "{words:?}");
        }
    }
}
