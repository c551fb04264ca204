//! The rows that a batch changes, as they will stand in the tables. Made before anything is written, so
//! that afterwards only the disk can fail. Rows of several batches can be put together, the newer ones
//! over the older. When they are put into the tables, and where they wait until then, is not known here.

use std::collections::BTreeMap;

use divvy_core::job::JobId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::read::{event_name, job_name};
use super::session::HEAD;
use crate::error::RecordError;
use crate::head::{Batch, is_finished};
use crate::record::Record;

#[derive(Debug, Default)]
pub(super) struct Rows {
    /// None: the item is gone.
    pub items: BTreeMap<String, Option<Record>>,
    /// None: the job is pruned.
    pub jobs: BTreeMap<JobId, Option<JobRow>>,
    pub events: Vec<EventRow>,
    /// The events before this one are pruned.
    pub first_event: u64,
}

#[derive(Debug, Clone)]
pub(super) struct JobRow {
    /// A copy from the job's text.
    pub finished: bool,
    pub record: Record,
}

#[derive(Debug, Clone)]
pub(super) struct EventRow {
    pub number: u64,
    /// A copy from the event's text.
    pub at_ms: u64,
    pub record: Record,
}

impl Rows {
    pub fn of(batch: &Batch) -> Result<Self, RecordError> {
        let items = batch.touched.iter();
        let items = items.map(|key| Ok((key.to_string(), key.seal_from(&batch.next.desired)?)));
        let jobs = batch.jobs.values().map(|job| {
            let record = Record::seal(&job_name(job.id), job.as_ref())?;
            Ok((job.id, Some(JobRow { finished: is_finished(job), record })))
        });
        let events = batch.events.iter().map(|event| {
            let record = Record::seal(&event_name(event.number), &event.event)?;
            Ok(EventRow { number: event.number, at_ms: event.event.at_ms, record })
        });
        Ok(Self {
            items: items.collect::<Result<_, RecordError>>()?,
            jobs: jobs.collect::<Result<_, RecordError>>()?,
            events: events.collect::<Result<_, RecordError>>()?,
            first_event: 0,
        })
    }

    /// Puts newer rows over these.
    pub fn absorb(&mut self, newer: Self) {
        self.items.extend(newer.items);
        self.jobs.extend(newer.jobs);
        self.events.extend(newer.events);
        self.first_event = self.first_event.max(newer.first_event);
        let pruned = self.events.partition_point(|event| event.number < self.first_event);
        self.events.drain(..pruned);
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        let items = self.items.iter();
        let items = items.map(|(key, record)| key.len() + record.as_ref().map_or(0, |r| r.value.get().len()));
        let jobs = self.jobs.values().flatten().map(|job| job.record.value.get().len());
        let events = self.events.iter().map(|event| event.record.value.get().len());
        items.chain(jobs).chain(events).sum()
    }

    /// Puts them into the tables and keeps the sum of the checksums.
    pub fn put(&self, transaction: &Transaction<'_>, checksums: &mut u64) -> rusqlite::Result<()> {
        for (key, record) in &self.items {
            put_item(transaction, checksums, key, record.as_ref())?;
        }
        for (id, row) in &self.jobs {
            put_job(transaction, checksums, *id, row.as_ref())?;
        }
        self.put_events(transaction)
    }

    fn put_events(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut put = transaction.prepare_cached(
            "INSERT INTO event (number, at_ms, schema, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for EventRow { number, at_ms, record } in &self.events {
            put.execute(params![
                number,
                clock_column(*at_ms),
                record.schema,
                record.value.get(),
                record.checksum
            ])?;
        }
        let mut prune = transaction.prepare_cached("DELETE FROM event WHERE number < ?1")?;
        prune.execute([self.first_event])?;
        Ok(())
    }
}

pub(super) fn put_head(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
    put_record(connection, HEAD, record)
}

fn put_record(connection: &Connection, key: &str, record: &Record) -> rusqlite::Result<()> {
    let mut put = connection.prepare_cached(
        "INSERT INTO record (key, schema, value, checksum) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (key) DO UPDATE
         SET schema = excluded.schema, value = excluded.value, checksum = excluded.checksum",
    )?;
    put.execute(params![key, record.schema, record.value.get(), record.checksum])?;
    Ok(())
}

fn put_item(
    transaction: &Transaction<'_>,
    checksums: &mut u64,
    key: &str,
    record: Option<&Record>,
) -> rusqlite::Result<()> {
    let mut old = transaction.prepare_cached("SELECT checksum FROM record WHERE key = ?1")?;
    let old: Option<u32> = old.query_row([key], |row| row.get(0)).optional()?;
    replace(checksums, old, record);
    match record {
        Some(record) => put_record(transaction, key, record),
        None => {
            transaction.prepare_cached("DELETE FROM record WHERE key = ?1")?.execute([key])?;
            Ok(())
        }
    }
}

fn put_job(
    transaction: &Transaction<'_>,
    checksums: &mut u64,
    id: JobId,
    row: Option<&JobRow>,
) -> rusqlite::Result<()> {
    let mut old = transaction.prepare_cached("SELECT checksum FROM job WHERE id = ?1")?;
    let old: Option<u32> = old.query_row([id.0], |row| row.get(0)).optional()?;
    replace(checksums, old, row.map(|row| &row.record));
    let Some(JobRow { finished, record }) = row else {
        transaction.prepare_cached("DELETE FROM job WHERE id = ?1")?.execute([id.0])?;
        return Ok(());
    };
    let mut put = transaction.prepare_cached(
        "INSERT INTO job (id, finished, schema, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET finished = excluded.finished, schema = excluded.schema,
         value = excluded.value, checksum = excluded.checksum",
    )?;
    put.execute(params![id.0, finished, record.schema, record.value.get(), record.checksum])?;
    Ok(())
}

/// For age alone; the exact time is in the event's text.
fn clock_column(at_ms: u64) -> i64 {
    i64::try_from(at_ms).unwrap_or(i64::MAX)
}

fn replace(checksums: &mut u64, old: Option<u32>, new: Option<&Record>) {
    let new = new.map_or(0, |record| u64::from(record.checksum));
    *checksums = checksums.wrapping_add(new).wrapping_sub(old.map_or(0, u64::from));
}
