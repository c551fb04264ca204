//! The journal: one row for each transaction that is not in the tables yet, and the same rows in memory.
//!
//! ```text
//!   commit ──▶ one row of the journal, synced      … 63 more, or a large batch …
//!                                                          │
//!              record, job, event ◀── all at once ─────────┘  and the journal is empty again
//! ```
//!
//! A row holds all that its transaction changes, pruning included, under its own number: the rows follow
//! one another without a gap, the first of them the one that the record `head` waits for. So a row that
//! is missing, damaged or left over is found. When the rows go into the tables is not known here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use divvy_core::event::Event;
use divvy_core::job::JobId;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::read::{ReadError, event_name, job_name, raw_record, unseal_job};
use super::rows::{EventRow, JobRow, Rows};
use super::session::HeadRecord;
use crate::Revision;
use crate::error::{Damage, RecordError};
use crate::head::is_finished;
use crate::record::{Record, SCHEMA};

/// So many transactions wait in the journal at most …
pub(super) const ENTRIES: u64 = 64;
/// … and so many bytes.
const BYTES: usize = 256 << 10;
/// A batch of more bytes is not worth writing twice.
const LARGE_BYTES: usize = 16 << 10;

/// What the journal holds and the tables do not.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub rows: Rows,
    /// The last transaction that is in the tables.
    pub folded: u64,
    pub entries: u64,
    bytes: usize,
}

impl Pending {
    /// Everything up to this transaction is in the tables.
    pub fn none_after(folded: u64) -> Self {
        Self { folded, ..Self::default() }
    }

    /// The last transaction of all.
    pub fn last(&self) -> u64 {
        self.folded.saturating_add(self.entries)
    }

    /// Whether one more transaction may wait.
    pub fn has_room(&self, bytes: usize, entries: u64) -> bool {
        self.entries < entries && bytes <= LARGE_BYTES && self.bytes + bytes <= BYTES
    }

    pub fn absorb(&mut self, rows: Rows) {
        self.bytes += rows.bytes();
        self.entries += 1;
        self.rows.absorb(rows);
    }

    /// The jobs with a higher id, and the last transaction that is in the tables.
    pub fn jobs_after(&self, after: Option<JobId>) -> (BTreeMap<JobId, Option<Record>>, u64) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let jobs = self.rows.jobs.range((from, Bound::Unbounded));
        let jobs = jobs.map(|(id, row)| (*id, row.as_ref().map(|row| row.record.clone())));
        (jobs.collect(), self.folded)
    }

    /// At most `limit` events with a higher number, and from where on to look for the older ones.
    pub fn events_after(&self, after: u64, limit: usize) -> (u64, Vec<EventRow>) {
        let after = after.max(self.rows.first_event.saturating_sub(1));
        let newer = self.rows.events.iter().filter(|event| event.number > after);
        (after, newer.take(limit).cloned().collect())
    }
}

/// [`Pending`], for the one who writes and for those who read history.
#[derive(Debug, Default)]
pub(super) struct Shared(RwLock<Pending>);

impl Shared {
    /// What changes in place here is a few maps: none of it can panic half way.
    pub fn read(&self) -> RwLockReadGuard<'_, Pending> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, Pending> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text of a row.
#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    revision: Revision,
    last_event: u64,
    job_ids_below: u64,
    first_event: u64,
    /// Null: the item is gone.
    #[serde(borrow)]
    items: BTreeMap<Cow<'a, str>, Option<&'a RawValue>>,
    /// Null: the job is pruned.
    #[serde(borrow)]
    jobs: BTreeMap<JobId, Option<&'a RawValue>>,
    #[serde(borrow)]
    events: BTreeMap<u64, &'a RawValue>,
}

pub(super) fn append(
    connection: &Connection,
    number: u64,
    head: &HeadRecord,
    rows: &Rows,
) -> rusqlite::Result<()> {
    let name = entry_name(number);
    let record = Record::seal(&name, &Entry::of(head, rows)).expect("numbers and JSON are writable as JSON");
    let mut append = connection
        .prepare_cached("INSERT INTO journal (number, schema, value, checksum) VALUES (?1, ?2, ?3, ?4)")?;
    append.execute(params![number, record.schema, record.value.get(), record.checksum])?;
    Ok(())
}

fn entry_name(number: u64) -> String {
    format!("journal/{number}")
}

/// Reads the whole journal. `head` is what the tables say, and afterwards what the journal says.
pub(super) fn read(
    connection: &Connection,
    head: &mut HeadRecord,
) -> Result<Result<Pending, Damage>, ReadError> {
    let mut pending = Pending::none_after(head.journal);
    let mut statement =
        connection.prepare("SELECT number, schema, value, checksum FROM journal ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (expected, found) = (pending.last().saturating_add(1), row.get(0)?);
        if found != expected {
            return Ok(Err(Damage::JournalBroken { expected, found }));
        }
        let raw = raw_record(row, 1)?;
        let name = entry_name(found);
        let entry: Entry<'_> = raw.unseal(&name)?;
        let next_event = head.last_event.saturating_add(1);
        if !entry.events.keys().copied().eq(next_event..entry.last_event.saturating_add(1)) {
            return Err(RecordError::Misplaced { record: name }.into());
        }
        (head.revision, head.last_event) = (entry.revision, entry.last_event);
        head.job_ids_below = entry.job_ids_below;
        // Unsealing refused what is newer than this version knows, so it is a small number.
        pending.absorb(entry.rows(u32::try_from(raw.schema).unwrap_or(SCHEMA))?);
    }
    Ok(Ok(pending))
}

impl<'a> Entry<'a> {
    fn of(head: &HeadRecord, rows: &'a Rows) -> Self {
        let items = rows.items.iter();
        let items = items.map(|(key, record)| (Cow::from(key), record.as_ref().map(|r| r.value.as_ref())));
        let jobs = rows.jobs.iter();
        let jobs = jobs.map(|(id, job)| (*id, job.as_ref().map(|job| job.record.value.as_ref())));
        let events = rows.events.iter().map(|event| (event.number, event.record.value.as_ref()));
        Self {
            revision: head.revision,
            last_event: head.last_event,
            job_ids_below: head.job_ids_below,
            first_event: rows.first_event,
            items: items.collect(),
            jobs: jobs.collect(),
            events: events.collect(),
        }
    }

    fn rows(self, schema: u32) -> Result<Rows, RecordError> {
        let seal = |name: &str, text: &RawValue| Record::of_text(name, schema, text.to_owned());
        let items = self.items.into_iter().map(|(key, text)| {
            let record = text.map(|text| seal(&key, text));
            (key.into_owned(), record)
        });
        let jobs = self.jobs.into_iter().map(|(id, text)| {
            let Some(text) = text else { return Ok((id, None)) };
            let record = seal(&job_name(id), text);
            let finished = is_finished(&unseal_job(id, &record.raw())?);
            Ok((id, Some(JobRow { finished, record })))
        });
        let events = self.events.into_iter().map(|(number, text)| {
            let record = seal(&event_name(number), text);
            let at_ms = record.raw().unseal::<Event>(&event_name(number))?.at_ms;
            Ok(EventRow { number, at_ms, record })
        });
        Ok(Rows {
            items: items.collect(),
            jobs: jobs.collect::<Result<_, RecordError>>()?,
            events: events.collect::<Result<_, RecordError>>()?,
            first_event: self.first_event,
        })
    }
}
