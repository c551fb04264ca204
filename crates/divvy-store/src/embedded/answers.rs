//! Answers in a table of their own: written in the transaction of their change, read one by one. They are
//! no part of the state, so losing one to a damaged page loses the state nothing; each has a checksum.

use rusqlite::{Connection, params};

use super::read::{ReadError, raw_record};
use crate::error::RecordError;
use crate::head::Batch;
use crate::limits::Limits;
use crate::record::Record;
use crate::{AnswerName, KeptAnswer};

pub(super) const TABLES: &str = "
    CREATE TABLE answer (name TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, schema INTEGER NOT NULL,
                         value TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT;
    CREATE INDEX answer_age ON answer (at_ms);
";

/// One answer as it is written.
pub(super) struct AnswerRow {
    name: String,
    at_ms: u64,
    record: Record,
}

pub(super) fn rows_of(batch: &Batch) -> Result<Vec<AnswerRow>, RecordError> {
    let row = |answer: &KeptAnswer| {
        let name = answer.name.record();
        let record = Record::seal(&name, answer)?;
        Ok(AnswerRow { name, at_ms: answer.at_ms, record })
    };
    batch.answers.values().map(row).collect()
}

/// Part of a transaction that is under way.
pub(super) fn put(connection: &Connection, rows: &[AnswerRow], limits: &Limits) -> rusqlite::Result<()> {
    let Some(newest_ms) = rows.iter().map(|row| row.at_ms).max() else { return Ok(()) };
    let mut put = connection.prepare_cached(
        "INSERT INTO answer (name, at_ms, schema, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms, schema = excluded.schema,
         value = excluded.value, checksum = excluded.checksum",
    )?;
    for AnswerRow { name, at_ms, record } in rows {
        put.execute(params![name, clock_column(*at_ms), record.schema, record.value.get(), record.checksum])?;
    }
    prune(connection, rows.len() as u64, newest_ms, limits)
}

fn prune(connection: &Connection, put: u64, newest_ms: u64, limits: &Limits) -> rusqlite::Result<()> {
    let (may_age, aged_before_ms) = limits.answers_that_age(put, newest_ms);
    let mut count = connection.prepare_cached(
        "SELECT (SELECT count(*) FROM answer),
                (SELECT count(*) FROM (SELECT 1 FROM answer WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2))",
    )?;
    let (kept, aged): (u64, u64) = count
        .query_row(params![clock_column(aged_before_ms), may_age], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let over = limits.answers_over(kept, put).max(aged);
    if over > 0 {
        let oldest =
            "DELETE FROM answer WHERE name IN (SELECT name FROM answer ORDER BY at_ms, name LIMIT ?1)";
        connection.prepare_cached(oldest)?.execute([over])?;
    }
    Ok(())
}

pub(super) fn read(connection: &Connection, name: &AnswerName) -> Result<Option<KeptAnswer>, ReadError> {
    let mut statement =
        connection.prepare_cached("SELECT schema, value, checksum FROM answer WHERE name = ?1")?;
    let record = name.record();
    let mut rows = statement.query([&record])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let answer: KeptAnswer = raw_record(row, 0)?.unseal(&record)?;
    if answer.name != *name {
        return Err(RecordError::Misplaced { record }.into());
    }
    Ok(Some(answer))
}

/// For age alone; the exact time is in the text.
fn clock_column(at_ms: u64) -> i64 {
    i64::try_from(at_ms).unwrap_or(i64::MAX)
}
