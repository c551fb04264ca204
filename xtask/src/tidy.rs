//! `cargo xtask tidy`: house style as code. Each rule is a file of `tidy/`, takes the sources and answers
//! findings; none knows of the others, and none mends anything.
//!
//! A finding that has to stay is written into `xtask/tidy-exceptions.toml` with a reason. An exception
//! that nothing needs any more is a finding itself, so that the list can only get shorter.

mod arrows;
mod codes;
mod exceptions;
mod faults;
mod orphans;
mod places;
mod reasons;
mod rust;
mod scan;
mod sizes;
mod sources;
mod unfinished;
mod unsafe_code;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use sources::Sources;

/// One thing that is not as the house wants it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub file: String,
    pub line: usize,
    pub rule: &'static str,
    pub text: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {} [{}]", self.file, self.line, self.text, self.rule)
    }
}

type Rule = fn(&Sources) -> Result<Vec<Finding>>;

const RULES: &[Rule] = &[
    arrows::findings,
    reasons::findings,
    sizes::findings,
    orphans::findings,
    words::findings,
    unfinished::findings,
    places::findings,
    unsafe_code::findings,
    codes::findings,
    faults::findings,
];

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    anyhow::ensure!(arguments.is_empty(), "usage: cargo xtask tidy");
    let root = crate::repository();
    let found = look(&root)?;
    for finding in &found {
        println!("{finding}");
    }
    let mut of_rule: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in &found {
        *of_rule.entry(finding.rule).or_default() += 1;
    }
    if found.is_empty() {
        println!("tidy: nothing found");
        return Ok(ExitCode::SUCCESS);
    }
    let tally: Vec<String> = of_rule.iter().map(|(rule, times)| format!("{times} {rule}")).collect();
    println!("tidy: {}", tally.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Every finding of the repository that no exception covers.
fn look(root: &Path) -> Result<Vec<Finding>> {
    let sources = Sources::read(root)?;
    let mut found = Vec::new();
    for rule in RULES {
        found.extend(rule(&sources)?);
    }
    let mut left = exceptions::read(&sources)?.apply(found);
    left.sort();
    Ok(left)
}
