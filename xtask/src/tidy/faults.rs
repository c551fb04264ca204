//! `docs/faults.md` says of each fault what proves that Divvy does what it says. A proof is a line of a
//! list, `` - `name` in `path` ``: a test of that name in that file, or a script that is played. Here it
//! is only looked whether it is there, and whether each fault has one.

use anyhow::Result;

use super::Finding;
use super::sources::{Source, Sources};

const DOCUMENT: &str = "docs/faults.md";
/// Faults that the document has to have, by the number at the beginning of their heading.
const FAULTS: std::ops::RangeInclusive<u32> = 20..=25;

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    let Some(document) = sources.get(DOCUMENT) else {
        return Ok(vec![finding(1, format!("there is no {DOCUMENT}"))]);
    };
    let mut found = Vec::new();
    let faults = faults(document);
    for number in FAULTS {
        let fault = faults.iter().find(|fault| fault.name == format!("F{number}"));
        match fault {
            None => found.push(finding(1, format!("F{number} has no heading"))),
            Some(fault) if fault.proofs.is_empty() => {
                found.push(finding(fault.line, format!("F{number} has no proof")));
            }
            Some(_) => {}
        }
    }
    for (line, proof) in faults.iter().flat_map(|fault| &fault.proofs) {
        found.extend(wrong(sources, proof).map(|why| finding(*line, why)));
    }
    Ok(found)
}

fn finding(line: usize, text: String) -> Finding {
    Finding { file: DOCUMENT.to_owned(), line, rule: "fault", text }
}

/// A section of the document.
struct Fault<'d> {
    name: &'d str,
    line: usize,
    proofs: Vec<(usize, Proof<'d>)>,
}

struct Proof<'d> {
    name: &'d str,
    path: &'d str,
}

fn faults(document: &Source) -> Vec<Fault<'_>> {
    let mut faults: Vec<Fault<'_>> = Vec::new();
    for (at, text) in document.text.lines().enumerate() {
        let line = at + 1;
        if let Some(heading) = text.strip_prefix("## ") {
            let name = heading.split(':').next().unwrap_or(heading);
            faults.push(Fault { name, line, proofs: Vec::new() });
        }
        if let (Some(fault), Some(proof)) = (faults.last_mut(), proof(text)) {
            fault.proofs.push((line, proof));
        }
    }
    faults
}

/// `` - `name` in `path` ``
fn proof(line: &str) -> Option<Proof<'_>> {
    let (name, path) = line.strip_prefix("- `")?.split_once("` in `")?;
    Some(Proof { name, path: path.strip_suffix('`')? })
}

/// What is wrong with a proof, if anything is.
fn wrong(sources: &Sources, proof: &Proof<'_>) -> Option<String> {
    let Proof { name, path } = proof;
    let Some(file) = sources.get(path) else { return Some(format!("there is no {path}")) };
    let is_there = if path.ends_with(".rs") {
        file.text.contains(&format!("fn {name}("))
    } else {
        path.rsplit('/').next() == Some(&format!("{name}.txt"))
    };
    (!is_there).then(|| format!("{path} has no test {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(document: &str) -> Vec<String> {
        let sources = Sources::of(&[
            (DOCUMENT, document),
            ("crates/a/src/tests.rs", "#[test]\nfn it_is_so() {}\n"),
            ("tests/scenarios/cure.txt", "room a2-edge\n"),
        ]);
        findings(&sources).expect("is read").into_iter().map(|finding| finding.text).collect()
    }

    fn with(f25: &str) -> String {
        let rest: String = (20..25)
            .map(|number| format!("## F{number}: one\n\n- `it_is_so` in `crates/a/src/tests.rs`\n"))
            .collect();
        format!("{rest}## F25: reset\n\n{f25}\n")
    }

    #[test]
    fn a_fault_that_a_test_or_a_script_proves_is_good() {
        assert_eq!(told(&with("- `it_is_so` in `crates/a/src/tests.rs`")), [""; 0]);
        assert_eq!(told(&with("- `cure` in `tests/scenarios/cure.txt`")), [""; 0]);
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        let found = told(&with("- `it_was_so` in `crates/a/src/tests.rs`"));
        assert_eq!(found, ["crates/a/src/tests.rs has no test it_was_so"]);
    }

    #[test]
    fn a_file_that_is_not_there_is_found() {
        assert_eq!(told(&with("- `it_is_so` in `crates/b.rs`")), ["there is no crates/b.rs"]);
    }

    #[test]
    fn a_fault_without_a_proof_is_found() {
        assert_eq!(told(&with("It is proved by nothing.")), ["F25 has no proof"]);
    }

    #[test]
    fn a_fault_without_a_heading_is_found() {
        let without = with("- `it_is_so` in `crates/a/src/tests.rs`").replace("## F21", "## G21");
        assert_eq!(told(&without), ["F21 has no heading"]);
    }
}
