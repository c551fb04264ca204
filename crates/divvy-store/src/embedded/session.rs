//! One stay in the database: set it up, open it, make sure that it keeps its word, close it. A session
//! that failed once is dropped, so nothing here mends anything. What the records say is not known here.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use divvy_core::job::JobId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};
use serde::{Deserialize, Serialize};

use super::files::{APPLICATION_ID, FORMAT, StateFiles, check_format, inspect_header, lengthen_log};
use super::journal::{self, Shared};
use super::{answers, read, rows};
use crate::Revision;
use crate::error::{Damage, OpenError};
use crate::head::Head;
use crate::record::Record;

/// The record that says which revision all the others belong to.
pub(super) const HEAD: &str = "head";

/// How long to wait for an administrator's own look into the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The log is that long from the start: what SQLite writes before it folds the log into the database
/// (1,000 pages, each with a head) fits.
const LOG_BYTES: u64 = 4_200_000;
/// The log is cut back to this when it was longer for a while.
const LOG_BYTES_KEPT: i64 = 8 << 20;

/// `finished` is a copy from the job's text, for the index; the text has the checksum.
const TABLES: &str = "
    CREATE TABLE record (key TEXT PRIMARY KEY, schema INTEGER NOT NULL, value TEXT NOT NULL,
                         checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE job (id INTEGER PRIMARY KEY, finished INTEGER NOT NULL, schema INTEGER NOT NULL,
                      value TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT;
    CREATE TABLE event (number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, schema INTEGER NOT NULL,
                        value TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT;
    CREATE INDEX job_finished ON job (finished) WHERE finished = 1;
";
/// What the other tables do not have yet.
const JOURNAL: &str = "
    CREATE TABLE journal (number INTEGER PRIMARY KEY, schema INTEGER NOT NULL, value TEXT NOT NULL,
                          checksum INTEGER NOT NULL) STRICT;
";

/// What the record [`HEAD`] holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeadRecord {
    pub revision: Revision,
    pub last_event: u64,
    /// Job ids below this may have been given out.
    pub job_ids_below: u64,
    /// The sum of the checksums of all other records and of all jobs. A state put together from two
    /// revisions, every record of it sound, does not add up.
    pub checksums: u64,
    /// The last transaction that went into the tables; those after it are in the journal.
    #[serde(default)]
    pub journal: u64,
}

/// What the session keeps count of beside the head. After an error it is wrong, and the session over.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Of the tables alone.
    pub checksums: u64,
    /// The oldest event that is kept, or the next one if none is.
    pub first_event: u64,
    /// The times of that event and of some that follow it, so that most commits need not look them up.
    pub oldest_ms: VecDeque<u64>,
    pub finished_jobs: BTreeSet<JobId>,
    pub next_job_id: u64,
    pub job_ids_below: u64,
}

pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) tally: Tally,
    pub(super) pending: Arc<Shared>,
    /// So many transactions wait in the journal at most.
    pub(super) journal_entries: u64,
    #[cfg(test)]
    pub(super) fail_after_commit: bool,
}

/// What to do with the log of the session before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOverLog {
    /// A sync of it failed: none of it may be relied on until it was written and synced again.
    Fold,
    /// Shorter logs open faster; but a reader or a full disk is no reason not to start.
    FoldIfFree,
}

/// Makes the database under another name, and renames it when it proved to be complete and is on disk.
pub(super) fn create(files: &StateFiles) -> Result<(), OpenError> {
    let failed = |source| OpenError::Create { path: files.database(), source };
    let path = files.start_unfinished().map_err(failed)?;
    fill(&path).map_err(|source| OpenError::SetUp { path: files.database(), source })?;
    // SQLite closes without a word about what it could not write: only reading it back tells.
    let (session, head) = Session::open(&path, LeftOverLog::Fold, &Arc::default())?;
    session.close(&head);
    files.finish(&path).map_err(failed)
}

fn fill(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
    // Synced once, as a whole, before it gets its name.
    connection.pragma_update(None, "synchronous", "OFF")?;
    let transaction = connection.transaction()?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.execute_batch(TABLES)?;
    transaction.execute_batch(JOURNAL)?;
    transaction.execute_batch(answers::TABLES)?;
    let first = HeadRecord { job_ids_below: 1, ..HeadRecord::default() };
    let record = Record::seal(HEAD, &first).expect("four numbers are writable as JSON");
    rows::put_head(&transaction, &record)?;
    transaction.commit()?;
    // Last, so that all of it is in the database and nothing in a log.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}

fn flags(mode: OpenFlags) -> OpenFlags {
    // Each connection is behind a mutex of ours.
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// A connection for looking at history while the session writes.
pub(super) fn open_reader(files: &StateFiles) -> rusqlite::Result<Connection> {
    let mode = flags(OpenFlags::SQLITE_OPEN_READ_ONLY);
    let connection = Connection::open_with_flags(files.database(), mode)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

impl Session {
    /// Opens the database, checks it, and reads the newest state.
    /// What is not in the tables yet goes into `pending`.
    pub fn open(path: &Path, log: LeftOverLog, pending: &Arc<Shared>) -> Result<(Self, Head), OpenError> {
        inspect_header(path)?;
        let explain = |doing| move |source| explain(path, doing, source);
        let opened = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE));
        let mut connection = opened.map_err(explain("open"))?;
        configure(&connection).map_err(explain("configure"))?;
        require_durability(&connection, path)?;
        let format = pragma(&connection, "user_version").map_err(explain("read the format of"))?;
        check_format(path, format)?;
        check_structure(&connection, path, format)?;
        // One transaction, so that a database that is refused keeps its format.
        let transaction = connection.transaction().map_err(explain("read"))?;
        upgrade(&transaction, format).map_err(explain("upgrade"))?;
        let (head, tally, unfolded) = read::load(&transaction, path)?;
        transaction.commit().map_err(explain("upgrade"))?;
        fold(&connection, path, log)?;
        // Without it commits are as durable, only slower; a full disk is no reason not to start.
        let _ = lengthen_log(path, LOG_BYTES);
        *pending.write() = unfolded;
        let session = Self {
            connection,
            tally,
            pending: Arc::clone(pending),
            journal_entries: journal::ENTRIES,
            #[cfg(test)]
            fail_after_commit: false,
        };
        Ok((session, head))
    }

    /// None: all ids that are reserved on disk are given out.
    pub fn take_job_id(&mut self) -> Option<JobId> {
        let id = self.tally.next_job_id;
        (id < self.tally.job_ids_below).then(|| {
            self.tally.next_job_id += 1;
            JobId(id)
        })
    }

    pub fn close(mut self, head: &Head) {
        // Failures change nothing: the log and the journal keep all that was acknowledged, the ids stay unused.
        let _ = self.finish(head);
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        let _ = self.connection.close();
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // A session that is dropped after a failure must leave the files as they are.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {LOG_BYTES_KEPT}"), [], |_| Ok(()))
}

/// Asks SQLite what it will really do. Answers of a build or a file system that cannot are refused.
pub(super) fn require_durability(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let read = |source| explain(path, "configure", source);
    if connection.is_readonly("main").map_err(read)? {
        return Err(OpenError::ReadOnly { path: path.to_owned() });
    }
    let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(read)?;
    let synchronous = pragma(connection, "synchronous").map_err(read)?.to_string();
    let needed = [("journal_mode", journal, "wal"), ("synchronous", synchronous, "2")];
    match needed.into_iter().find(|(_, found, needed)| found != needed) {
        Some((setting, found, needed)) => {
            Err(OpenError::NotDurable { path: path.to_owned(), setting, found, needed })
        }
        None => Ok(()),
    }
}

fn check_structure(connection: &Connection, path: &Path, format: i64) -> Result<(), OpenError> {
    let answer: rusqlite::Result<String> =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match answer.map_err(|source| explain(path, "check", source))? {
        answer if answer == "ok" => {}
        answer => {
            return Err(OpenError::Damaged { path: path.to_owned(), source: Damage::Structure(answer) });
        }
    }
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN
                  ('record', 'job', 'event', 'job_finished', 'journal', 'answer', 'answer_age')";
    let expected = if format == 1 { 4 } else { 7 };
    match connection.query_row(tables, [], |row| row.get::<_, i64>(0)) {
        Ok(found) if found == expected => Ok(()),
        Ok(_) => Err(OpenError::Damaged { path: path.to_owned(), source: Damage::Tables }),
        Err(source) => Err(explain(path, "check", source)),
    }
}

/// Makes an older format the newest one.
fn upgrade(transaction: &Transaction<'_>, format: i64) -> rusqlite::Result<()> {
    if format == 1 {
        transaction.execute_batch(JOURNAL)?;
        transaction.execute_batch(answers::TABLES)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    Ok(())
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Copies the log into the database, syncs that, and empties the log.
fn fold(connection: &Connection, path: &Path, log: LeftOverLog) -> Result<(), OpenError> {
    let folded = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    match folded {
        Ok(0) => Ok(()),
        Ok(_) if log == LeftOverLog::FoldIfFree => Ok(()),
        Ok(_) => Err(OpenError::Busy { path: path.to_owned() }),
        Err(error) if log == LeftOverLog::FoldIfFree && has_code(&error, ErrorCode::DiskFull) => Ok(()),
        Err(source) => Err(explain(path, "fold the log into", source)),
    }
}

fn has_code(error: &rusqlite::Error, code: ErrorCode) -> bool {
    error.sqlite_error_code() == Some(code)
}

/// Says "damaged" where SQLite says so.
pub(super) fn explain(path: &Path, doing: &'static str, source: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    if has_code(&source, ErrorCode::DatabaseCorrupt) || has_code(&source, ErrorCode::NotADatabase) {
        return OpenError::Damaged { path, source: Damage::Unreadable(source) };
    }
    OpenError::Database { path, doing, source }
}
