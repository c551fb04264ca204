//! `cargo xtask test`: everything that has to be true, stage by stage, stopping at the first that is not.
//! Each stage is a command of its own, so that a failed one can be run alone; what a stage needs and this
//! machine lacks is said, and the stage is left out.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{libvirt, product};

/// What commands end with on a machine that they cannot run on.
const UNSUITED: i32 = 3;

/// One stage: its name, and the words of the command, `cargo` first where it is ours.
struct Stage {
    name: &'static str,
    words: &'static [&'static str],
    /// Why it cannot run here, if so.
    lacks: fn() -> Option<String>,
    /// What it needs in its environment; made where it is missing.
    environment: fn() -> Vec<(&'static str, OsString)>,
    /// An exit status by which the command says that this machine does not suit it.
    unsuited: Option<i32>,
}

const fn stage(name: &'static str, words: &'static [&'static str]) -> Stage {
    Stage { name, words, lacks: || None, environment: Vec::new, unsuited: None }
}

const STAGES: &[Stage] = &[
    Stage { lacks: no_rustfmt, ..stage("format", &["cargo", "fmt", "--all", "--check"]) },
    stage("tidy", &["cargo", "xtask", "tidy"]),
    Stage {
        lacks: no_clippy,
        ..stage("clippy", &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    },
    Stage { environment: libvirt::environment, ..stage("tests", &["cargo", "test", "--workspace"]) },
    stage("transcript", &["cargo", "xtask", "transcript", "--check"]),
    Stage { unsuited: Some(UNSUITED), ..stage("console", &["cargo", "xtask", "console", "test"]) },
    Stage { unsuited: Some(UNSUITED), ..stage("schemathesis", &["cargo", "xtask", "schemathesis"]) },
    Stage { lacks: no_systemd_analyze, ..stage("units", &["cargo", "xtask", "units"]) },
    Stage { unsuited: Some(UNSUITED), ..stage("rig", &["cargo", "xtask", "rig", "selftest"]) },
    Stage { unsuited: Some(UNSUITED), ..stage("scenario", &["cargo", "xtask", "rig", "scenario"]) },
    Stage { unsuited: Some(UNSUITED), ..stage("differential", &["cargo", "xtask", "rig", "differential"]) },
];

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed(Duration),
    Failed(Duration),
    LeftOut(String),
}

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    let unknown = arguments.iter().find(|name| !STAGES.iter().any(|stage| stage.name == **name));
    if let Some(unknown) = unknown {
        let names: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
        eprintln!(
            "there is no stage {unknown}\nusage: cargo xtask test [STAGE…]\nstages: {}",
            names.join(", ")
        );
        return Ok(ExitCode::from(2));
    }
    let wanted =
        STAGES.iter().filter(|stage| arguments.is_empty() || arguments.iter().any(|name| stage.name == name));
    let mut report = Report::default();
    for stage in wanted {
        println!("== {}: {}", stage.name, stage.words.join(" "));
        report.outcomes.push((stage.name, run(stage)?));
        if report.has_failed() {
            break;
        }
    }
    println!("\n{report}");
    Ok(if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn run(stage: &Stage) -> Result<Outcome> {
    if let Some(why) = (stage.lacks)() {
        println!("left out: {why}");
        return Ok(Outcome::LeftOut(why));
    }
    let mut command = command(stage.words)?;
    command.envs((stage.environment)());
    let started = Instant::now();
    let status = command.current_dir(crate::repository()).status();
    let status = status.with_context(|| format!("run {}", stage.words.join(" ")))?;
    let took = started.elapsed();
    Ok(match status.code() {
        Some(0) => Outcome::Passed(took),
        code if code.is_some() && code == stage.unsuited => {
            Outcome::LeftOut("this machine does not suit it, as said above".to_owned())
        }
        _ => Outcome::Failed(took),
    })
}

/// Our own commands are run by this very program, without asking cargo for it again; it is found by the
/// kernel's link, because a stage before may have built its file anew.
fn command(words: &[&str]) -> Result<Command> {
    let mut command = match words {
        ["cargo", "xtask", rest @ ..] => {
            let mut own = Command::new("/proc/self/exe");
            own.args(rest);
            own
        }
        ["cargo", rest @ ..] => {
            let mut cargo = product::cargo();
            cargo.args(rest);
            cargo
        }
        _ => anyhow::bail!("a stage is a command of cargo"),
    };
    command.env_remove("DIVVY_SOCKET").env_remove("DIVVY_SERVER").env_remove("DIVVY_TOKEN");
    Ok(command)
}

fn lacks_component(name: &str) -> Option<String> {
    let is_there =
        product::cargo().args([name, "--version"]).output().is_ok_and(|output| output.status.success());
    (!is_there).then(|| format!("cargo {name} is missing; rustup component add {name}"))
}

fn no_rustfmt() -> Option<String> {
    lacks_component("fmt").map(|text| text.replace("add fmt", "add rustfmt"))
}

fn no_clippy() -> Option<String> {
    lacks_component("clippy")
}

fn no_systemd_analyze() -> Option<String> {
    let is_there = Path::new("/usr/bin/systemd-analyze").exists();
    (!is_there).then(|| "systemd-analyze is missing; apt-get install systemd".to_owned())
}

#[derive(Default)]
struct Report {
    outcomes: Vec<(&'static str, Outcome)>,
}

impl Report {
    fn count(&self, is_it: fn(&Outcome) -> bool) -> usize {
        self.outcomes.iter().filter(|(_, outcome)| is_it(outcome)).count()
    }

    fn has_failed(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_))) > 0
    }
}

/// The last line is for readers and programs that look at nothing else.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.outcomes {
            match outcome {
                Outcome::Passed(took) => writeln!(f, "{name:<14}passed    {:>7.1} s", took.as_secs_f64())?,
                Outcome::Failed(took) => writeln!(f, "{name:<14}FAILED    {:>7.1} s", took.as_secs_f64())?,
                Outcome::LeftOut(why) => writeln!(f, "{name:<14}left out  {why}")?,
            }
        }
        let passed = self.count(|outcome| matches!(outcome, Outcome::Passed(_)));
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        write!(f, "{passed} passed, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_what_passed_and_what_failed() {
        let second = Duration::from_secs(1);
        let outcomes = vec![
            ("format", Outcome::Passed(second)),
            ("rig", Outcome::LeftOut("not root".to_owned())),
            ("tests", Outcome::Failed(second)),
        ];
        let report = Report { outcomes };
        assert_eq!(report.to_string().lines().last(), Some("1 passed, 1 failed"));
        assert!(report.has_failed());
    }

    #[test]
    fn a_stage_that_the_machine_does_not_suit_is_left_out() {
        let unsuited = Stage { unsuited: Some(2), ..stage("x", &["cargo", "--no-such-option"]) };
        let lacking = Stage { lacks: || Some("no".to_owned()), ..stage("x", &["cargo", "--version"]) };
        let status = product::cargo().arg("--no-such-option").output().expect("cargo runs").status.code();
        let unsuited = Stage { unsuited: status, ..unsuited };
        assert!(matches!(run(&unsuited), Ok(Outcome::LeftOut(_))));
        assert!(matches!(run(&lacking), Ok(Outcome::LeftOut(why)) if why == "no"));
    }

    #[test]
    fn a_command_that_fails_fails_its_stage() {
        assert!(matches!(run(&stage("x", &["cargo", "--no-such-option"])), Ok(Outcome::Failed(_))));
    }
}
