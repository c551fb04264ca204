//! Reads records and believes none of them: each is checked by itself, and the state that they make is
//! checked as a whole. What a damaged record means for the daemon is decided by who asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use divvy_core::desired::Desired;
use divvy_core::event::NumberedEvent;
use divvy_core::job::{Job, JobId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::journal::{self, Pending};
use super::rows::{EventRow, Rows};
use super::session::{HEAD, HeadRecord, Tally, explain};
use crate::error::{Damage, OpenError, RecordError};
use crate::head::{Head, is_finished};
use crate::record::{Key, RawRecord, Record};

/// Why records could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Database(rusqlite::Error),
    Record(RecordError),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<RecordError> for ReadError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

/// Reads the newest state, tables and journal, and checks that it is one.
pub(super) fn load(connection: &Connection, path: &Path) -> Result<(Head, Tally, Pending), OpenError> {
    let damaged = |source| OpenError::Damaged { path: path.to_owned(), source };
    let explain = |error| match error {
        ReadError::Database(source) => explain(path, "read", source),
        ReadError::Record(source @ RecordError::Newer { .. }) => {
            OpenError::Record { path: path.to_owned(), source }
        }
        ReadError::Record(error) => damaged(Damage::Record(error)),
    };
    let tables = head_record(connection).map_err(explain)?.ok_or_else(|| damaged(Damage::Missing(HEAD)))?;
    let mut record = tables;
    let pending = journal::read(connection, &mut record).map_err(explain)?.map_err(damaged)?;
    let mut loaded = Loaded::default();
    loaded.add_desired(connection, &pending.rows).map_err(explain)?;
    loaded.add_jobs(connection, &pending.rows).map_err(explain)?;
    if loaded.tally.checksums != tables.checksums {
        return Err(damaged(Damage::Mixed));
    }
    let events = count_events(connection, tables.last_event).map_err(explain)?.map_err(damaged)?;
    let Loaded { mut head, mut tally } = loaded;
    head.revision = record.revision;
    head.last_event = record.last_event;
    tally.first_event = pending.rows.first_event.max(tables.last_event.saturating_add(1) - events);
    // What was reserved may have been given out before a kill.
    tally.next_job_id = record.job_ids_below;
    tally.job_ids_below = record.job_ids_below;
    Ok((head, tally, pending))
}

#[derive(Default)]
struct Loaded {
    head: Head,
    tally: Tally,
}

impl Loaded {
    /// The items of the tables but for those that the journal replaces; all of them are checked.
    fn add_desired(&mut self, connection: &Connection, newer: &Rows) -> Result<(), ReadError> {
        let mut statement =
            connection.prepare("SELECT key, schema, value, checksum FROM record WHERE key <> ?1")?;
        let mut rows = statement.query([HEAD])?;
        let mut replaced = Desired::default();
        while let Some(row) = rows.next()? {
            let name = String::from_utf8_lossy(bytes(row, 0)?);
            let raw = raw_record(row, 1)?;
            let is_replaced = newer.items.contains_key(name.as_ref());
            let desired = if is_replaced { &mut replaced } else { &mut self.head.desired };
            Key::parse(&name)?.unseal_into(&raw, desired)?;
            self.tally.checksums = self.tally.checksums.wrapping_add(raw.checksum as u64);
        }
        for (name, record) in &newer.items {
            let key = Key::parse(name)?;
            if let Some(record) = record {
                key.unseal_into(&record.raw(), &mut self.head.desired)?;
            }
        }
        Ok(())
    }

    fn add_jobs(&mut self, connection: &Connection, newer: &Rows) -> Result<(), ReadError> {
        let mut statement = connection.prepare("SELECT id, schema, value, checksum, finished FROM job")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let job = job_of(row)?;
            self.tally.checksums = self.tally.checksums.wrapping_add(row.get::<_, i64>(3)? as u64);
            if !newer.jobs.contains_key(&job.id) {
                self.add_job(job);
            }
        }
        for (id, row) in &newer.jobs {
            if let Some(row) = row {
                self.add_job(unseal_job(*id, &row.record.raw())?);
            }
        }
        Ok(())
    }

    fn add_job(&mut self, job: Job) {
        if is_finished(&job) {
            self.tally.finished_jobs.insert(job.id);
        } else {
            self.head.unfinished.insert(job.id, Arc::new(job));
        }
    }
}

fn head_record(connection: &Connection) -> Result<Option<HeadRecord>, ReadError> {
    let mut statement = connection.prepare("SELECT schema, value, checksum FROM record WHERE key = ?1")?;
    let mut rows = statement.query([HEAD])?;
    match rows.next()? {
        Some(row) => Ok(Some(raw_record(row, 0)?.unseal(HEAD)?)),
        None => Ok(None),
    }
}

/// How many events there are: an unbroken row that ends with the last one.
fn count_events(connection: &Connection, last: u64) -> Result<Result<u64, Damage>, ReadError> {
    let query = "SELECT count(*), ifnull(min(number), 1), ifnull(max(number), 0) FROM event";
    let (found, first, newest): (u64, u64, u64) =
        connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let expected = last.saturating_add(1).saturating_sub(first);
    if newest != last || found != expected {
        return Ok(Err(Damage::EventsMissing { expected, found }));
    }
    Ok(Ok(found))
}

/// A job that the journal does not replace.
pub(super) fn job(connection: &Connection, id: JobId) -> Result<Option<Job>, ReadError> {
    let Ok(id) = i64::try_from(id.0) else { return Ok(None) };
    let mut statement =
        connection.prepare_cached("SELECT id, schema, value, checksum, finished FROM job WHERE id = ?1")?;
    let job = statement.query_row([id], |row| Ok(job_of(row))).optional()?;
    job.transpose()
}

/// `newer` are the jobs of the journal in this range, as they were when the tables had all
/// transactions up to `folded`.
pub(super) fn jobs(
    connection: &Connection,
    after: Option<JobId>,
    limit: usize,
    mut newer: BTreeMap<JobId, Option<Record>>,
    folded: u64,
) -> Result<Vec<Job>, ReadError> {
    // Both reads see one and the same revision.
    let transaction = connection.unchecked_transaction()?;
    if head_record(&transaction)?.is_some_and(|head| head.journal > folded) {
        // Meanwhile all of them went into the tables, and maybe newer ones did.
        newer.clear();
    }
    let mut statement = transaction
        .prepare_cached("SELECT id, schema, value, checksum, finished FROM job WHERE id > ?1 ORDER BY id")?;
    let mut rows = statement.query([after.map_or(-1, |id| clamp(id.0))])?;
    let mut jobs = BTreeMap::new();
    while jobs.len() < limit
        && let Some(row) = rows.next()?
    {
        if !newer.contains_key(&JobId(row.get(0)?)) {
            let job = job_of(row)?;
            jobs.insert(job.id, job);
        }
    }
    let newer = newer.iter().filter_map(|(id, record)| record.as_ref().map(|record| (*id, record)));
    for (id, record) in newer.take(limit) {
        jobs.insert(id, unseal_job(id, &record.raw())?);
    }
    Ok(jobs.into_values().take(limit).collect())
}

/// `newer` are the events of the journal in this range.
pub(super) fn events(
    connection: &Connection,
    after: u64,
    limit: usize,
    newer: &[EventRow],
) -> Result<Vec<NumberedEvent>, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, schema, value, checksum FROM event WHERE number > ?1 ORDER BY number LIMIT ?2",
    )?;
    let mut rows = statement.query(params![clamp(after), clamp(limit as u64)])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        events.push(NumberedEvent { number, event: raw_record(row, 1)?.unseal(&event_name(number))? });
    }
    // Those that went into the tables meanwhile were among the rows.
    let last = events.last().map_or(after, |event| event.number);
    let left = limit - events.len().min(limit);
    for EventRow { number, record, .. } in newer.iter().filter(|event| event.number > last).take(left) {
        events.push(NumberedEvent { number: *number, event: record.raw().unseal(&event_name(*number))? });
    }
    Ok(events)
}

pub(super) fn job_name(id: JobId) -> String {
    format!("job/{id}")
}

pub(super) fn event_name(number: u64) -> String {
    format!("event/{number}")
}

/// A row of id, schema, value, checksum, finished.
fn job_of(row: &Row<'_>) -> Result<Job, ReadError> {
    let id = JobId(row.get(0)?);
    let job = unseal_job(id, &raw_record(row, 1)?)?;
    if row.get::<_, bool>(4)? != is_finished(&job) {
        return Err(RecordError::Misplaced { record: job_name(id) }.into());
    }
    Ok(job)
}

pub(super) fn unseal_job(id: JobId, raw: &RawRecord<'_>) -> Result<Job, RecordError> {
    let name = job_name(id);
    let job: Job = raw.unseal(&name)?;
    if job.id != id {
        return Err(RecordError::Misplaced { record: name });
    }
    Ok(job)
}

/// The columns schema, value and checksum, from `first` on.
pub(super) fn raw_record<'a>(row: &'a Row<'_>, first: usize) -> Result<RawRecord<'a>, ReadError> {
    Ok(RawRecord { schema: row.get(first)?, value: bytes(row, first + 1)?, checksum: row.get(first + 2)? })
}

/// A text column, even if a flipped bit left it no text.
fn bytes<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], ReadError> {
    let value = row.get_ref(column)?;
    value.as_bytes().map_err(|error| rusqlite::Error::from(error).into())
}

fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
