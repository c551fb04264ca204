//! The files that tidy looks at: everything that git has or would take, as text. What stands in them is
//! not known here.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub struct Source {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// A file that holds nothing but tests.
    pub fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    pub fn read(root: &Path) -> Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("list the repository's files with git")?;
        ensure!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
        let mut files = Vec::new();
        for path in String::from_utf8(listed.stdout)?.split_terminator('\0') {
            // A file that git has and the work tree has not, and a file that is no text, are nothing to read.
            if let Ok(text) = std::fs::read_to_string(root.join(path)) {
                files.push(Source { path: path.to_owned(), text });
            }
        }
        files.sort_by(|one, two| one.path.cmp(&two.path));
        files.dedup_by(|one, two| one.path == two.path);
        Ok(Self { files })
    }

    /// Files that were never on a disk.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| Source { path: path.to_owned(), text: text.to_owned() };
        Self { files: files.iter().map(file).collect() }
    }

    pub fn all(&self) -> impl Iterator<Item = &Source> {
        self.files.iter()
    }

    pub fn rust(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| file.is_rust())
    }

    pub fn get(&self, path: &str) -> Option<&Source> {
        self.files.iter().find(|file| file.path == path)
    }
}
