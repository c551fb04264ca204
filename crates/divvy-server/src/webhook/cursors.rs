//! How far each receiver was told, in one small file of the state directory: written beside and moved, so
//! that a kill or a power cut leaves the old one or the new one. What was told after the last write is told
//! again. Receivers have no addresses here, only the names of those: an address may hold a secret.
//!
//! ```json
//! {"webhooks": {"3b1f…": {"cursor": 4711, "skipped": 0, "delivered_at_ms": 1772355907000}}}
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::replace::replace;

/// How far one receiver was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The number of the last event that is done with.
    pub cursor: u64,
    /// How many were given up.
    #[serde(default)]
    pub skipped: u64,
    #[serde(default)]
    pub delivered_at_ms: Option<u64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    webhooks: BTreeMap<String, Cursor>,
}

/// The file.
#[derive(Debug)]
pub struct Cursors {
    path: PathBuf,
}

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum CursorsError {
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not as it should be", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("{} cannot be written", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
}

impl Cursors {
    pub fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join("webhooks.json") }
    }

    /// By name; nothing before the first start with a webhook.
    pub fn read(&self) -> Result<BTreeMap<String, Cursor>, CursorsError> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(source) => return Err(CursorsError::Unreadable { path: self.path.clone(), source }),
        };
        let kept: Result<Kept, _> = serde_json::from_slice(&text);
        let kept = kept.map_err(|source| CursorsError::Malformed { path: self.path.clone(), source })?;
        Ok(kept.webhooks)
    }

    /// The same, and whether the file was there or not survives a power cut too.
    pub fn write_first(&self, webhooks: BTreeMap<String, Cursor>) -> Result<(), CursorsError> {
        self.write(webhooks)?;
        let folder = self.path.parent().map(File::open).transpose();
        let synced = folder.and_then(|folder| folder.map_or(Ok(()), |folder| folder.sync_all()));
        synced.map_err(|source| CursorsError::Unwritable { path: self.path.clone(), source })
    }

    pub fn write(&self, webhooks: BTreeMap<String, Cursor>) -> Result<(), CursorsError> {
        let text = serde_json::to_vec(&Kept { webhooks }).expect("names and numbers are JSON");
        let written = replace(&self.path, &text, 0o600);
        written.map_err(|source| CursorsError::Unwritable { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_no_file_is_no_cursor() {
        let folder = tempfile::tempdir().expect("a folder");
        let cursors = Cursors::new(folder.path());
        assert_eq!(cursors.read().expect("no file is fine"), BTreeMap::new());
        let cursor = Cursor { cursor: 7, skipped: 1, delivered_at_ms: Some(3) };
        let all = BTreeMap::from([("a".to_owned(), cursor), ("b".to_owned(), Cursor::default())]);
        cursors.write(all.clone()).expect("is written");
        assert_eq!(cursors.read().expect("is there"), all);
    }

    #[test]
    fn a_file_that_is_torn_is_an_error_and_no_cursor() {
        let folder = tempfile::tempdir().expect("a folder");
        let cursors = Cursors::new(folder.path());
        cursors.write(BTreeMap::from([("a".to_owned(), Cursor::default())])).expect("is written");
        let text = std::fs::read(&cursors.path).expect("is there");
        for length in 0..text.len() {
            std::fs::write(&cursors.path, &text[..length]).expect("is written");
            assert!(matches!(cursors.read(), Err(CursorsError::Malformed { .. })), "{length}");
        }
    }
}
