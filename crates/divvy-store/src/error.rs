//! Why a store could not be opened, read or written. Each text names the file and, where a person has
//! to act, says what to do; the cause is in `source()`. What a user asked for wrongly is not here: a
//! stale change is a `Conflict`, which is an answer.

use std::io;
use std::path::PathBuf;

use divvy_core::job::JobId;

use crate::record::SCHEMA;

/// Why the embedded store could not be opened. Nothing of what the folder held was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot make the state folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error(
        "{} is in use by another divvyd{}: stop that one, or start this one with another --state-dir",
        path.display(), process_text(*.process)
    )]
    InUse { path: PathBuf, process: Option<u32> },
    #[error("cannot make the database {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot set up the database {}", path.display())]
    SetUp { path: PathBuf, source: rusqlite::Error },
    #[error(
        "{} is missing, but its log is there: put the database back from a backup, or start with an \
         empty state folder",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error("cannot read the database {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not a database of Divvy: move it away, or start with another --state-dir", path.display())]
    Foreign { path: PathBuf },
    #[error(
        "{} was written by a newer Divvy (format {found}, this one knows {known}): install that version \
         again; nothing was changed",
        path.display()
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("{} can only be read: make it writable for the user that runs divvyd", path.display())]
    ReadOnly { path: PathBuf },
    #[error("cannot use the database {}: {setting} is {found:?}, not {needed:?}, so a power loss could lose changes", path.display())]
    NotDurable { path: PathBuf, setting: &'static str, found: String, needed: &'static str },
    #[error("cannot fold the log of {} in: another program reads it and does not finish", path.display())]
    Busy { path: PathBuf },
    #[error("cannot {doing} {}", path.display())]
    Database { path: PathBuf, doing: &'static str, source: rusqlite::Error },
    #[error(
        "{} is damaged; nothing was overwritten: copy the state folder away for later study, then put a \
         backup in its place or start with an empty one",
        path.display()
    )]
    Damaged { path: PathBuf, source: Damage },
    #[error("cannot use a record of {}; nothing was changed", path.display())]
    Record { path: PathBuf, source: RecordError },
}

fn process_text(process: Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}

/// What is wrong with a database as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    #[error("its header is not that of a database, or is cut off")]
    Header,
    #[error("SQLite cannot make sense of it")]
    Unreadable(#[source] rusqlite::Error),
    #[error("SQLite's check of its structure says: {0}")]
    Structure(String),
    #[error("a table is missing")]
    Tables,
    #[error("the record {0} is missing")]
    Missing(&'static str),
    #[error("its records do not belong to one and the same revision")]
    Mixed,
    #[error("its journal is broken: transaction {expected} is to come, and {found} is there")]
    JournalBroken { expected: u64, found: u64 },
    #[error("events are missing: {found} of {expected} are there")]
    EventsMissing { expected: u64, found: u64 },
    #[error(transparent)]
    Record(RecordError),
}

/// What is wrong with one record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("record {record:?} does not have the checksum it was written with")]
    Checksum { record: String },
    #[error(
        "record {record:?} was written by a newer Divvy (schema {found}, this one knows {SCHEMA}): install that version again"
    )]
    Newer { record: String, found: i64 },
    #[error("record {record:?} is not what its schema says")]
    Malformed { record: String, source: serde_json::Error },
    #[error("record {record:?} contradicts the name it stands under")]
    Misplaced { record: String },
    #[error("{record:?} is not the name of a record")]
    Name { record: String },
    #[error("cannot write record {record:?} as text")]
    Unwritable { record: String, source: serde_json::Error },
}

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was acknowledged; the store was opened again and knows what is really there.
    #[error("cannot write to {}", path.display())]
    Write { path: PathBuf, source: rusqlite::Error },
    #[error("cannot read from {}", path.display())]
    Read { path: PathBuf, source: rusqlite::Error },
    /// A write failed before, and so did every attempt since to open the database again.
    #[error("{} is stopped after a failed write", path.display())]
    Stopped { path: PathBuf, source: Box<OpenError> },
    #[error("a record cannot be used")]
    Record(#[source] RecordError),
    #[error("job id {id} is too large to be kept")]
    JobIdTooLarge { id: JobId },
}

impl From<RecordError> for StoreError {
    fn from(source: RecordError) -> Self {
        Self::Record(source)
    }
}
