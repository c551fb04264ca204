//! How long a file and a function may be, and how a file begins: with what it is for.

use anyhow::Result;
use syn::visit::{self, Visit};

use super::sources::{Source, Sources};
use super::{Finding, rust};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;

pub fn findings(sources: &Sources) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for source in sources.rust() {
        let lines = source.text.lines().count();
        let finding = |rule, text| Finding { file: source.path.clone(), line: 1, rule, text };
        if lines > FILE_LINES {
            found.push(finding("file-length", format!("{lines} lines, at most {FILE_LINES}")));
        }
        if !source.is_test() && !source.text.starts_with("//!") {
            found.push(finding("essay", "does not open with //! and what it is for".to_owned()));
        }
        found.extend(functions(source));
    }
    found.extend(sources.all().filter(|source| is_of_console(&source.path)).flat_map(of_console));
    Ok(found)
}

/// Written by hand, and not in Rust.
fn is_of_console(path: &str) -> bool {
    let is_there = path.starts_with("console/src/") || path.starts_with("tests/console/");
    is_there && [".ts", ".tsx", ".mjs", ".css"].iter().any(|end| path.ends_with(end))
}

fn of_console(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let finding = |rule, text| Finding { file: source.path.clone(), line: 1, rule, text };
    let too_long =
        (lines > FILE_LINES).then(|| finding("file-length", format!("{lines} lines, at most {FILE_LINES}")));
    let has_essay = source.text.starts_with("//") || source.text.starts_with("/*");
    let no_essay = (!has_essay).then(|| finding("essay", "does not open with what it is for".to_owned()));
    too_long.into_iter().chain(no_essay).collect()
}

fn functions(source: &Source) -> Vec<Finding> {
    let Some(file) = rust::parse(source) else { return Vec::new() };
    let mut functions = Functions { path: &source.path, found: Vec::new() };
    functions.visit_file(&file);
    functions.found
}

struct Functions<'a> {
    path: &'a str,
    found: Vec<Finding>,
}

impl Functions<'_> {
    /// Counts from the line of `fn` to that of the last brace.
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = rust::line(signature);
        let lines = rust::last_line(block) + 1 - line;
        if lines > FUNCTION_LINES {
            self.found.push(Finding {
                file: self.path.to_owned(),
                line,
                rule: "function-length",
                text: format!("fn {} has {lines} lines, at most {FUNCTION_LINES}", signature.ident),
            });
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        let found = findings(&Sources::of(&[("a.rs", text)])).expect("no I/O");
        found.iter().map(|finding| finding.rule).collect()
    }

    fn function(lines: usize) -> String {
        format!("//! For a test.\nimpl A {{\nfn f() {{\n{}}}\n}}\n", "f();\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_is_measured_from_fn_to_brace() {
        assert_eq!(rules(&function(60)), [""; 0]);
        assert_eq!(rules(&function(61)), ["function-length"]);
    }

    #[test]
    fn a_file_may_have_500_lines() {
        let file = |lines: usize| format!("//! For a test.\n{}", "//\n".repeat(lines - 1));
        assert_eq!(rules(&file(500)), [""; 0]);
        assert_eq!(rules(&file(501)), ["file-length"]);
    }

    #[test]
    fn files_of_the_console_are_short_and_say_what_they_are_for_too() {
        let of = |path: &str, text: &str| {
            let found = findings(&Sources::of(&[(path, text)])).expect("no I/O");
            found.iter().map(|finding| finding.rule).collect::<Vec<_>>()
        };
        assert_eq!(of("console/src/a.tsx", "let a;\n"), ["essay"]);
        assert_eq!(of("console/src/a.css", &"/* For a test. */\n".repeat(501)), ["file-length"]);
        assert_eq!(of("console/dist/assets/a.js", "let a;\n"), [""; 0]);
    }

    #[test]
    fn a_file_says_first_what_it_is_for() {
        assert_eq!(rules("use a::b;\n"), ["essay"]);
    }
}
