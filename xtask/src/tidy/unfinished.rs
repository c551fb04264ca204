//! What is not finished, or was left behind while looking for a defect.

use anyhow::Result;

use super::Finding;
use super::scan::{Kind, Piece, pieces};
use super::sources::{Source, Sources};

const NOTES: [&str; 3] = ["TODO", "FIXME", "XXX"];
const CODE: [(&str, &str); 4] = [
    ("dbg!", "was left behind"),
    ("todo!", "is not finished"),
    ("unimplemented!", "is not finished"),
    ("#[ignore", "a test that never runs proves nothing"),
];

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for source in sources.all() {
        if source.is_rust() {
            found.extend(of_rust(source));
        } else if is_read_by_people(&source.path) {
            let lines = source.text.lines().enumerate();
            found.extend(lines.flat_map(|(at, line)| notes(source, at + 1, line)));
        }
    }
    Ok(found)
}

fn is_read_by_people(path: &str) -> bool {
    [".md", ".toml", ".sh", ".service", ".conf", ".c", ".h"].iter().any(|end| path.ends_with(end))
        || path.starts_with("packaging/")
}

fn finding(source: &Source, line: usize, text: String) -> Finding {
    Finding { file: source.path.clone(), line, rule: "unfinished", text }
}

fn of_rust(source: &Source) -> Vec<Finding> {
    let in_piece = |piece: Piece<'_>| match piece.kind {
        Kind::Comment => notes(source, piece.line, piece.text),
        Kind::Code => left_behind(source, piece.line, piece.text),
        Kind::Text => Vec::new(),
    };
    pieces(&source.text).into_iter().flat_map(in_piece).collect()
}

fn notes(source: &Source, line: usize, text: &str) -> Vec<Finding> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '`');
    let note = words.find(|word| NOTES.contains(word));
    note.map(|note| finding(source, line, format!("a note {note}: do it, or write down why not")))
        .into_iter()
        .collect()
}

fn left_behind(source: &Source, line: usize, text: &str) -> Vec<Finding> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let found = CODE.iter().filter(|(code, _)| plain.contains(code));
    found.map(|(code, why)| finding(source, line, format!("{code} {why}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let found = findings(&Sources::of(&[(path, text)])).expect("no I/O");
        found.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn each_leftover_in_rust_is_found() {
        let bad = ["// TODO later", "/* FIXME */", "dbg!(x);", "todo!()", "unimplemented!()", "#[ignore]"];
        for text in bad {
            assert_eq!(lines("a.rs", &format!("fn f() {{}}\n{text}\n")), [2], "{text}");
        }
    }

    #[test]
    fn text_about_leftovers_is_none() {
        assert_eq!(lines("a.rs", "let notes = \"TODO dbg! #[ignore]\"; // `TODO` is a note\n"), [0; 0]);
    }

    #[test]
    fn a_note_in_a_document_is_found() {
        assert_eq!(lines("README.md", "One.\n\nTODO: two.\n"), [3]);
    }
}
