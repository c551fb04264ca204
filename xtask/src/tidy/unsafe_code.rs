//! Where `unsafe` may stand: in a few small files behind safe interfaces, and nowhere else.

use anyhow::Result;

use super::Finding;
use super::scan::{Kind, pieces};
use super::sources::{Source, Sources};

/// As `ARCHITECTURE.md` lists them.
const ALLOWED: [&str; 3] = [
    "crates/divvy-host/src/nvml/vgpus.rs",
    "crates/divvy-hypervisor/src/ffi.rs",
    "crates/divvy-server/src/pam/ffi.rs",
];
const LINES: usize = 300;

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    Ok(sources.rust().flat_map(of_file).collect())
}

fn of_file(source: &Source) -> Vec<Finding> {
    let finding = |line, text| Finding { file: source.path.clone(), line, rule: "unsafe", text };
    if ALLOWED.contains(&source.path.as_str()) {
        let lines = source.text.lines().count();
        let text = format!("{lines} lines with unsafe code, at most {LINES}");
        return (lines > LINES).then(|| finding(1, text)).into_iter().collect();
    }
    let code = pieces(&source.text).into_iter().filter(|piece| piece.kind == Kind::Code);
    let has_unsafe = code.filter(|piece| words(piece.text).any(|word| word == "unsafe"));
    has_unsafe
        .map(|piece| finding(piece.line, "unsafe code outside the files that may have it".to_owned()))
        .collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let found = findings(&Sources::of(&[(path, text)])).expect("no I/O");
        found.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unsafe_code_is_found_where_it_may_not_be() {
        assert_eq!(lines("a.rs", "fn f() {\n    unsafe { g() }\n}\n"), [2]);
    }

    #[test]
    fn forbidding_unsafe_code_or_talking_of_it_is_fine() {
        assert_eq!(lines("a.rs", "#![forbid(unsafe_code)]\n// unsafe\nlet a = \"unsafe\";\n"), [0; 0]);
    }

    #[test]
    fn a_file_that_may_have_it_stays_small() {
        assert_eq!(lines(ALLOWED[0], &"unsafe {}\n".repeat(300)), [0; 0]);
        assert_eq!(lines(ALLOWED[0], &"unsafe {}\n".repeat(301)), [1]);
    }
}
