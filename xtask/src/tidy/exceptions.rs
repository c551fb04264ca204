//! The findings that may stay, each with its reason. One that covers nothing any more is a finding.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Finding;
use super::sources::Sources;

pub const FILE: &str = "xtask/tidy-exceptions.toml";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exceptions {
    exception: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    rule: String,
    /// A file, or a folder with its last slash.
    file: String,
    /// Part of the finding's text; without it every finding of the rule in the file is covered.
    text: Option<String>,
    reason: String,
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        let in_file = match self.file.ends_with('/') {
            true => finding.file.starts_with(&self.file),
            false => finding.file == self.file,
        };
        in_file
            && self.rule == finding.rule
            && self.text.as_deref().is_none_or(|text| finding.text.contains(text))
    }

    fn complaint(&self, text: &str) -> Finding {
        let what = self.text.as_deref().unwrap_or("all");
        let text = format!("{text}: {} in {} ({what})", self.rule, self.file);
        Finding { file: FILE.to_owned(), line: 1, rule: "exception", text }
    }
}

pub fn read(sources: &Sources) -> Result<Exceptions> {
    let text = sources.get(FILE).map_or("", |file| file.text.as_str());
    toml::from_str(text).with_context(|| format!("read {FILE}"))
}

impl Exceptions {
    /// What is left of the findings, and what is wrong with the exceptions themselves.
    pub fn apply(&self, found: Vec<Finding>) -> Vec<Finding> {
        let is_used = |exception: &&Exception| found.iter().any(|finding| exception.covers(finding));
        let unused = self.exception.iter().filter(|exception| !is_used(exception));
        let mut left: Vec<Finding> =
            unused.map(|exception| exception.complaint("nothing needs this any more, remove it")).collect();
        let unreasoned = self.exception.iter().filter(|exception| exception.reason.trim().len() < 10);
        left.extend(unreasoned.map(|exception| exception.complaint("has no reason")));
        let is_covered = |finding: &Finding| self.exception.iter().any(|exception| exception.covers(finding));
        left.extend(found.into_iter().filter(|finding| !is_covered(finding)));
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(file: &str, text: &str) -> Finding {
        Finding { file: file.to_owned(), line: 1, rule: "word", text: text.to_owned() }
    }

    fn left(exceptions: &str, found: Vec<Finding>) -> Vec<String> {
        let exceptions = read(&Sources::of(&[(FILE, exceptions)])).expect("is TOML");
        exceptions
            .apply(found)
            .into_iter()
            .map(|finding| format!("{}: {}", finding.file, finding.text))
            .collect()
    }

    const ONE: &str =
        "[[exception]]\nrule = 'word'\nfile = 'docs/'\ntext = 'blue'\nreason = 'the words of others'\n";

    #[test]
    fn an_exception_covers_its_rule_its_files_and_its_text() {
        let found = vec![finding("docs/a.md", "blue"), finding("docs/a.md", "red"), finding("a.md", "blue")];
        assert_eq!(left(ONE, found), ["docs/a.md: red", "a.md: blue"]);
    }

    #[test]
    fn an_exception_that_nothing_needs_is_found() {
        assert_eq!(left(ONE, Vec::new()).len(), 1);
    }

    #[test]
    fn an_exception_without_a_reason_is_found() {
        let bare = ONE.replace("the words of others", "");
        assert_eq!(left(&bare, vec![finding("docs/a.md", "blue")]).len(), 1);
    }
}
