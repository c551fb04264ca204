//! One batch, one transaction: the records that differ, the sum that ties them together, and a little
//! pruning. The records are made before the transaction starts, so that inside it only the disk can
//! fail. Whether to write, and what to do after a failure, is not known here.

use divvy_core::job::JobId;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::answers::{self, AnswerRow};
use super::read::{event_name, job_name};
use super::session::{HEAD, HeadRecord, Session, Tally};
use crate::error::RecordError;
use crate::head::{Batch, Head, is_finished};
use crate::limits::Limits;
use crate::record::Record;

/// So many job ids are reserved ahead, so that giving one out costs no wait for the disk.
const JOB_IDS_AHEAD: u64 = 32;

/// The records of one batch.
pub(super) struct Rows {
    /// None: the item is gone.
    items: Vec<(String, Option<Record>)>,
    jobs: Vec<JobRow>,
    events: Vec<EventRow>,
}

struct JobRow {
    id: JobId,
    finished: bool,
    record: Record,
}

struct EventRow {
    number: u64,
    at_ms: u64,
    record: Record,
}

impl Rows {
    pub fn of(batch: &Batch) -> Result<Self, RecordError> {
        let items = batch.touched.iter();
        let items = items.map(|key| Ok((key.to_string(), key.seal_from(&batch.next.desired)?)));
        let jobs = batch.jobs.values().map(|job| {
            let record = Record::seal(&job_name(job.id), job.as_ref())?;
            Ok(JobRow { id: job.id, finished: is_finished(job), record })
        });
        let events = batch.events.iter().map(|event| {
            let record = Record::seal(&event_name(event.number), &event.event)?;
            Ok(EventRow { number: event.number, at_ms: event.event.at_ms, record })
        });
        Ok(Self {
            items: items.collect::<Result<_, RecordError>>()?,
            jobs: jobs.collect::<Result<_, RecordError>>()?,
            events: events.collect::<Result<_, RecordError>>()?,
        })
    }
}

impl Session {
    /// Writes the batch. After an error it is unknown whether it was written, and this session is over.
    pub fn write(
        &mut self,
        batch: &Batch,
        rows: &Rows,
        answers: &[AnswerRow],
        limits: &Limits,
    ) -> rusqlite::Result<()> {
        let mut tally = self.tally;
        tally.next_job_id = tally.next_job_id.max(batch.next_job_id());
        if tally.job_ids_below < tally.next_job_id + JOB_IDS_AHEAD / 2 {
            tally.job_ids_below = tally.next_job_id + JOB_IDS_AHEAD;
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (key, record) in &rows.items {
            put_item(&transaction, &mut tally, key, record.as_ref())?;
        }
        put_jobs(&transaction, &mut tally, &rows.jobs, limits)?;
        put_events(&transaction, &mut tally, &rows.events, limits)?;
        put_head(&transaction, &seal_head(&batch.next, &tally))?;
        answers::put(&transaction, answers, limits)?;
        transaction.commit()?;
        #[cfg(test)]
        if self.fail_after_commit {
            return Err(rusqlite::Error::UnwindingPanic);
        }
        self.tally = tally;
        Ok(())
    }

    /// After this the session gives no id out any more.
    pub(super) fn give_back_job_ids(&mut self, head: &Head) -> rusqlite::Result<()> {
        if self.tally.next_job_id < self.tally.job_ids_below {
            self.tally.job_ids_below = self.tally.next_job_id;
            put_head(&self.connection, &seal_head(head, &self.tally))?;
        }
        Ok(())
    }
}

fn seal_head(head: &Head, tally: &Tally) -> Record {
    let record = HeadRecord {
        revision: head.revision,
        last_event: head.last_event,
        job_ids_below: tally.job_ids_below,
        checksums: tally.checksums,
    };
    Record::seal(HEAD, &record).expect("four numbers are writable as JSON")
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
    put.execute(params![key, record.schema, record.value, record.checksum])?;
    Ok(())
}

fn put_item(
    transaction: &Transaction<'_>,
    tally: &mut Tally,
    key: &str,
    record: Option<&Record>,
) -> rusqlite::Result<()> {
    let mut old = transaction.prepare_cached("SELECT checksum FROM record WHERE key = ?1")?;
    let old: Option<u32> = old.query_row([key], |row| row.get(0)).optional()?;
    tally.replace(old, record);
    match record {
        Some(record) => put_record(transaction, key, record),
        None => {
            transaction.prepare_cached("DELETE FROM record WHERE key = ?1")?.execute([key])?;
            Ok(())
        }
    }
}

fn put_jobs(
    transaction: &Transaction<'_>,
    tally: &mut Tally,
    jobs: &[JobRow],
    limits: &Limits,
) -> rusqlite::Result<()> {
    let mut old = transaction.prepare_cached("SELECT checksum, finished FROM job WHERE id = ?1")?;
    let mut put = transaction.prepare_cached(
        "INSERT INTO job (id, finished, schema, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET finished = excluded.finished, schema = excluded.schema,
         value = excluded.value, checksum = excluded.checksum",
    )?;
    for JobRow { id, finished, record } in jobs {
        let before: Option<(u32, bool)> =
            old.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        tally.replace(before.map(|(checksum, _)| checksum), Some(record));
        let was_finished = before.is_some_and(|(_, finished)| finished);
        tally.finished_jobs += u64::from(*finished);
        tally.finished_jobs = tally.finished_jobs.saturating_sub(u64::from(was_finished));
        put.execute(params![id.0, finished, record.schema, record.value, record.checksum])?;
    }
    let over = limits.jobs_over(tally.finished_jobs, jobs.len() as u64);
    if jobs.is_empty() || over == 0 {
        return Ok(());
    }
    let mut prune = transaction.prepare_cached(
        "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE finished = 1 ORDER BY id LIMIT ?1)
         RETURNING checksum",
    )?;
    for checksum in prune.query_map([over], |row| row.get::<_, u32>(0))? {
        tally.replace(Some(checksum?), None);
        tally.finished_jobs = tally.finished_jobs.saturating_sub(1);
    }
    Ok(())
}

fn put_events(
    transaction: &Transaction<'_>,
    tally: &mut Tally,
    events: &[EventRow],
    limits: &Limits,
) -> rusqlite::Result<()> {
    let Some(newest) = events.last() else { return Ok(()) };
    let mut put = transaction.prepare_cached(
        "INSERT INTO event (number, at_ms, schema, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for EventRow { number, at_ms, record } in events {
        put.execute(params![number, clock_column(*at_ms), record.schema, record.value, record.checksum])?;
    }
    let appended = events.len() as u64;
    tally.events += appended;
    let may_age = limits.events_that_may_age(tally.events, appended);
    let aged = count_aged(transaction, may_age, newest.at_ms, limits)?;
    let over = limits.events_over(tally.events, appended).max(aged);
    if over > 0 {
        let first = newest.number + 1 - tally.events;
        let mut prune = transaction.prepare_cached("DELETE FROM event WHERE number < ?1")?;
        tally.events -= prune.execute([first + over])? as u64;
    }
    Ok(())
}

/// How many of the oldest events, without a gap and at most `may_age`, are too old.
fn count_aged(
    transaction: &Transaction<'_>,
    may_age: u64,
    newest_ms: u64,
    limits: &Limits,
) -> rusqlite::Result<u64> {
    let mut oldest = transaction.prepare_cached("SELECT at_ms FROM event ORDER BY number LIMIT ?1")?;
    let mut rows = oldest.query([may_age])?;
    let mut aged = 0;
    while let Some(row) = rows.next()? {
        if !limits.is_aged(row.get(0)?, newest_ms) {
            break;
        }
        aged += 1;
    }
    Ok(aged)
}

/// For age alone; the exact time is in the event's text.
fn clock_column(at_ms: u64) -> i64 {
    i64::try_from(at_ms).unwrap_or(i64::MAX)
}

impl Tally {
    fn replace(&mut self, old: Option<u32>, new: Option<&Record>) {
        let new = new.map_or(0, |record| u64::from(record.checksum));
        self.checksums = self.checksums.wrapping_add(new).wrapping_sub(old.map_or(0, u64::from));
    }
}
