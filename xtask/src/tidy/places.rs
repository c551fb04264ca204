//! Paths of one machine and names of package registries: what works on one desk only.

use anyhow::Result;

use super::Finding;
use super::sources::{Source, Sources};

/// Written in two parts, so that this file does not find itself.
const PLACES: [&str; 10] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/tmp/", "briefs"),
    concat!("/Us", "ers/"),
    concat!("crates", ".io"),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
    concat!("pypi", ".org"),
    concat!("registry.npmjs", ".org"),
];

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    // Cargo writes the lock file.
    let own = sources.all().filter(|source| !source.path.ends_with("Cargo.lock"));
    Ok(own.flat_map(of_file).collect())
}

fn of_file(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, line) in source.text.lines().enumerate() {
        for place in PLACES.iter().filter(|place| stands_alone(line, place)) {
            found.push(Finding {
                file: source.path.clone(),
                line: at + 1,
                rule: "place",
                text: format!("{place} is a place of one machine"),
            });
        }
    }
    found
}

/// `/a/home/b` is a path below `/a`, not the folder of somebody.
fn stands_alone(line: &str, place: &str) -> bool {
    let inside_a_word = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || "._-}".contains(c));
    line.match_indices(place).any(|(at, _)| !place.starts_with('/') || !inside_a_word(&line[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let found = findings(&Sources::of(&[("a.md", text)])).expect("no I/O");
        found.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn each_place_is_found() {
        for place in PLACES {
            assert_eq!(lines(&format!("one\nsee {place}x\n")), [2], "{place}");
        }
    }

    #[test]
    fn a_folder_below_another_is_no_place() {
        assert_eq!(lines(concat!("{folder}/ro", "ot/x and a/ho", "me/b\n")), [0; 0]);
    }
}
