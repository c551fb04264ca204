//! `cargo xtask transcript`: the session that `README.md` shows, really run. Starts a room of its own, runs
//! the commands, and writes what they answered between the two marks; `--check` compares instead, so that
//! the README stays true.

use std::process::{ExitCode, Output};

use anyhow::{Context, Result, ensure};

use crate::product::{Binaries, Profile, Room};

const DOCUMENT: &str = "README.md";
const BEGIN: &str = "<!-- transcript: written by cargo xtask transcript -->";
const END: &str = "<!-- end of transcript -->";
const ROOM: &str = "a2-edge";

/// One A2 in four parts for five VMs: the fifth has to hear why not.
const SESSION: &[&str] = &[
    "gpu list",
    "gpu partition 0000:41:00.0 --count 3",
    "gpu partition 0000:41:00.0 --count 4",
    "assign vm-001 vm-002 vm-003 vm-004",
    "assign vm-005",
    "sim power vm-001 on",
    "partition list",
    "gpu partition 0000:41:00.0 --count 2",
    "unassign vm-004",
    "check",
];

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    let is_check = match arguments {
        [] => false,
        [option] if option == "--check" => true,
        _ => {
            eprintln!("usage: cargo xtask transcript [--check]");
            return Ok(ExitCode::from(2));
        }
    };
    let path = crate::repository().join(DOCUMENT);
    let before = std::fs::read_to_string(&path).with_context(|| format!("read {DOCUMENT}"))?;
    let after = with_transcript(&before, &session()?)?;
    if before == after {
        println!("{DOCUMENT} shows what Divvy does");
    } else if is_check {
        eprintln!("{}", first_difference(&before, &after));
        eprintln!("{DOCUMENT} shows something else than Divvy does; cargo xtask transcript mends it");
        return Ok(ExitCode::FAILURE);
    } else {
        std::fs::write(&path, after).with_context(|| format!("write {DOCUMENT}"))?;
        println!("{DOCUMENT} is written anew");
    }
    Ok(ExitCode::SUCCESS)
}

fn session() -> Result<String> {
    let binaries = Binaries::build(Profile::Debug)?;
    let folder = std::env::temp_dir().join(format!("divvy-transcript-{}", std::process::id()));
    let shown = run_session(&binaries, &folder);
    // What is left behind in a folder for temporary files is nobody's loss.
    let _ = std::fs::remove_dir_all(&folder);
    shown
}

fn run_session(binaries: &Binaries, folder: &std::path::Path) -> Result<String> {
    let room = Room::start(binaries, ROOM, folder, &[])?;
    let mut shown = String::new();
    for line in SESSION {
        let words: Vec<&str> = line.split(' ').collect();
        shown += &as_in_a_terminal(line, &room.divvy(&words)?);
    }
    Ok(shown)
}

fn as_in_a_terminal(line: &str, output: &Output) -> String {
    let mut shown = format!("$ divvy {line}\n");
    for stream in [&output.stdout, &output.stderr] {
        for line in String::from_utf8_lossy(stream).lines() {
            shown += line.trim_end();
            shown.push('\n');
        }
    }
    shown.push('\n');
    shown
}

fn first_difference(before: &str, after: &str) -> String {
    let (mut before, mut after) = (before.lines(), after.lines());
    loop {
        match (before.next(), after.next()) {
            (one, two) if one == two && one.is_some() => {}
            (one, two) => {
                return format!(
                    "it shows  {}\nit is now {}",
                    one.unwrap_or_default(),
                    two.unwrap_or_default()
                );
            }
        }
    }
}

fn with_transcript(document: &str, shown: &str) -> Result<String> {
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.with_context(|| format!("{DOCUMENT} has no place for the transcript"))?;
    ensure!(!after.contains(BEGIN), "{DOCUMENT} has two places for the transcript");
    Ok(format!("{before}{BEGIN}\n```console\n{}\n```\n{END}{after}", shown.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_written_anew() {
        let document = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let written = with_transcript(&document, "$ divvy x\n").expect("has marks");
        assert_eq!(written, format!("before\n{BEGIN}\n```console\n$ divvy x\n```\n{END}\nafter\n"));
    }

    #[test]
    fn the_first_line_that_differs_is_shown() {
        assert_eq!(first_difference("a\nb\nc", "a\nx\nd"), "it shows  b\nit is now x");
        assert_eq!(first_difference("a", "a\nx"), "it shows  \nit is now x");
    }

    #[test]
    fn a_document_without_marks_is_refused() {
        assert!(with_transcript("text", "").is_err());
    }
}
