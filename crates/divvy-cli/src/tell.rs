//! What people read beside the data: warnings, notes, progress and errors, all on stderr. Colours only on
//! a terminal; nothing here can fail, because there is nobody left to tell. With `-o json` or `yaml` an
//! error is one problem document, so that a script reads it the same way as the data.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use divvy_api::problem::Problem;
use divvy_api::views::FindingView;

use crate::print::{Format, printable, to_json, to_yaml};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// Whether somebody watches.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

fn line(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A sentence that is not data.
pub fn note(text: &str) {
    line(&printable(text));
}

pub fn warnings(findings: &[FindingView]) {
    for finding in findings {
        line(&format!("{WARNING}warning:{WARNING:#} {}", printable(&finding.text)));
        if !finding.mend.is_empty() {
            line(&indented(&printable(&finding.mend)));
        }
    }
}

pub fn error(problem: &Problem, format: Format) {
    let document = match format {
        Format::Table => None,
        Format::Json => to_json(problem).ok(),
        Format::Yaml => to_yaml(problem).ok(),
    };
    match document {
        Some(document) => line(document.trim_end()),
        None => line(&in_words(problem)),
    }
}

pub fn bug() {
    line(&format!(
        "{ERROR}bug:{ERROR:#} divvy stopped in a way it never should; please report what stands above"
    ));
}

fn in_words(problem: &Problem) -> String {
    let error = format!("{ERROR}error:{ERROR:#} {}", printable(&problem.detail));
    match &problem.hint {
        None => error,
        Some(hint) => format!("{error}\n\n{HINT}hint:{HINT:#} {}", printable(hint)),
    }
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}
