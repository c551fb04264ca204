//! The store of one server: an SQLite database in the state folder, locked to one daemon.
//!
//! ```text
//!   commit ──▶ Batch (pure) ──▶ one transaction, synced ──▶ head ──▶ watch
//!                                      │ error         (a row of the journal; see journal.rs)
//!                                      ▼
//!              drop the handles, open again, load what is really there
//! ```
//!
//! A failed sync is never tried again on the same handle: the kernel may have thrown the data away and
//! then say that all is well. Opening again folds the log into the database, which writes and syncs
//! every page of it anew. The newest state is kept in memory; the disk is read for history alone.

mod answers;
mod files;
mod journal;
mod read;
mod rows;
mod session;
mod write;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use divvy_core::event::{Event, NumberedEvent};
use divvy_core::job::{Job, JobId};
use rusqlite::Connection;

use self::files::StateFiles;
use self::journal::Shared;
use self::read::ReadError;
use self::rows::Rows;
use self::session::{LeftOverLog, Session};
use crate::error::{OpenError, StoreError};
use crate::head::{Batch, Head};
use crate::limits::Limits;
use crate::watch::Watch;
use crate::{AnswerName, Commit, KeptAnswer, Outcomes, Snapshot};

/// Locks are taken in the order of the fields, so they cannot wait for one another in a circle.
pub struct Embedded {
    /// None: stopped after a failed write.
    writer: Mutex<Option<Session>>,
    /// None: opened by the next one who reads.
    reader: Mutex<Option<Connection>>,
    head: RwLock<Arc<Head>>,
    /// What the disk has in the journal alone.
    pending: Arc<Shared>,
    watch: Watch,
    limits: Limits,
    files: StateFiles,
}

impl Embedded {
    pub(crate) fn open(state_dir: &Path, limits: Limits) -> Result<Self, OpenError> {
        let files = StateFiles::lock(state_dir)?;
        if !files.database_exists()? {
            session::create(&files)?;
        }
        let pending = Arc::default();
        let (session, head) = Session::open(&files.database(), LeftOverLog::FoldIfFree, &pending)?;
        let watch = Watch::default();
        watch.announce(head.latest());
        Ok(Self {
            writer: Mutex::new(Some(session)),
            reader: Mutex::new(None),
            head: RwLock::new(Arc::new(head)),
            pending,
            watch,
            limits,
            files,
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.head().snapshot()
    }

    pub(crate) fn commit(&self, commits: Vec<Commit>) -> Result<Outcomes, StoreError> {
        self.transact(|batch| commits.into_iter().map(|commit| batch.commit(commit)).collect())
    }

    pub(crate) fn new_job_id(&self) -> Result<JobId, StoreError> {
        let mut writer = lock(&self.writer);
        let session = self.running(&mut writer)?;
        if let Some(id) = session.take_job_id() {
            return Ok(id);
        }
        let batch = Batch::on(&self.head());
        self.write(&mut writer, batch)?;
        // Every transaction reserves more ids than it uses.
        let id = self.running(&mut writer)?.take_job_id();
        Ok(id.expect("the transaction above reserved ids"))
    }

    pub(crate) fn put_job(&self, job: Job) -> Result<(), StoreError> {
        self.transact(|batch| batch.put_job(job))
    }

    pub(crate) fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        if let Some(row) = self.pending.read().rows.jobs.get(&id) {
            let job = row.as_ref().map(|row| read::unseal_job(id, &row.record.raw()));
            return Ok(job.transpose()?);
        }
        self.read(|connection| read::job(connection, id))
    }

    pub(crate) fn jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, StoreError> {
        // Before the tables are read: what is folded meanwhile is then in both, not in neither.
        let (newer, folded) = self.pending.read().jobs_after(after);
        self.read(|connection| read::jobs(connection, after, limit, newer, folded))
    }

    pub(crate) fn answer(&self, name: &AnswerName) -> Result<Option<KeptAnswer>, StoreError> {
        self.read(|connection| answers::read(connection, name))
    }

    pub(crate) fn append_events(&self, events: Vec<Event>) -> Result<(), StoreError> {
        self.transact(|batch| batch.append(events))
    }

    pub(crate) fn events(&self, after: u64, limit: usize) -> Result<Vec<NumberedEvent>, StoreError> {
        let (after, newer) = self.pending.read().events_after(after, limit);
        self.read(|connection| read::events(connection, after, limit, &newer))
    }

    pub(crate) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, head: Head) {
        let latest = head.latest();
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(head);
        self.watch.announce(latest);
    }

    fn transact<T>(&self, build: impl FnOnce(&mut Batch) -> T) -> Result<T, StoreError> {
        let mut writer = lock(&self.writer);
        // Before the batch: opening again may change the head.
        self.running(&mut writer)?;
        let head = self.head();
        let mut batch = Batch::on(&head);
        let answer = build(&mut batch);
        batch.check()?;
        if !batch.is_empty(&head) {
            self.write(&mut writer, batch)?;
        }
        Ok(answer)
    }

    /// The session; opened again if a failed write stopped it.
    fn running<'a>(&self, writer: &'a mut Option<Session>) -> Result<&'a mut Session, StoreError> {
        let session = match writer.take() {
            Some(session) => session,
            None => self.reopen().map_err(|error| self.stopped(error))?,
        };
        Ok(writer.insert(session))
    }

    fn reopen(&self) -> Result<Session, OpenError> {
        // No handle of this process may be open meanwhile: closing a file drops all locks on it.
        let mut reader = lock(&self.reader);
        *reader = None;
        let (session, head) = Session::open(&self.files.database(), LeftOverLog::Fold, &self.pending)?;
        self.publish(head);
        Ok(session)
    }

    fn write(&self, writer: &mut Option<Session>, batch: Batch) -> Result<(), StoreError> {
        let session = self.running(writer)?;
        let rows = Rows::of(&batch)?;
        let answers = answers::rows_of(&batch)?;
        match session.write(&batch, rows, &answers, &self.limits) {
            Ok(()) => {
                self.publish(batch.next);
                Ok(())
            }
            Err(source) => {
                *writer = None;
                // If this fails too, the next call tries again and says why.
                *writer = self.reopen().ok();
                Err(StoreError::Write { path: self.path(), source })
            }
        }
    }

    fn read<T>(&self, query: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, StoreError> {
        let failed = |source| StoreError::Read { path: self.path(), source };
        let mut reader = lock(&self.reader);
        let connection = match reader.take() {
            Some(connection) => connection,
            None => session::open_reader(&self.files).map_err(failed)?,
        };
        match query(&connection) {
            Ok(answer) => {
                *reader = Some(connection);
                Ok(answer)
            }
            Err(ReadError::Record(error)) => Err(error.into()),
            Err(ReadError::Database(source)) => Err(failed(source)),
        }
    }

    fn stopped(&self, error: OpenError) -> StoreError {
        StoreError::Stopped { path: self.path(), source: Box::new(error) }
    }

    fn path(&self) -> PathBuf {
        self.files.database()
    }
}

impl Drop for Embedded {
    /// Gives unused job ids back and folds the log in. Nothing depends on it: a kill leaves the same.
    fn drop(&mut self) {
        let head = self.head();
        *self.reader.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(session) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            session.close(&head);
        }
    }
}

/// A holder that panicked left whole values behind: they are replaced, never edited in place.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
