//! One batch, one transaction: as one more row of the journal, or straight into the tables together with
//! all that waits in the journal. What is pruned is decided here too, before the transaction starts, so
//! that a journal that is read again prunes the same. What to do after a failure is not known here.

use rusqlite::TransactionBehavior;

use super::answers::{self, AnswerRow};
use super::journal::{self, Pending};
use super::rows::{EventRow, Rows, put_head};
use super::session::{HEAD, HeadRecord, Session};
use crate::head::{Batch, Head};
use crate::limits::Limits;
use crate::record::Record;

/// So many job ids are reserved ahead, so that giving one out costs no wait for the disk.
const JOB_IDS_AHEAD: u64 = 32;
/// The times of so many of the oldest events are looked up at once.
const LOOK_AHEAD: u64 = 256;

impl Session {
    /// Writes the batch. After an error it is unknown whether it was written, and this session is over.
    pub fn write(
        &mut self,
        batch: &Batch,
        mut rows: Rows,
        answers: &[AnswerRow],
        limits: &Limits,
    ) -> rusqlite::Result<()> {
        let tally = &mut self.tally;
        tally.next_job_id = tally.next_job_id.max(batch.next_job_id());
        if tally.job_ids_below < tally.next_job_id + JOB_IDS_AHEAD / 2 {
            tally.job_ids_below = tally.next_job_id + JOB_IDS_AHEAD;
        }
        self.prune_jobs(&mut rows, limits);
        self.prune_events(&mut rows, limits)?;
        if self.pending.read().has_room(rows.bytes(), self.journal_entries) {
            let head = self.head_record(&batch.next);
            let number = self.pending.read().last() + 1;
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            journal::append(&transaction, number, &head, &rows)?;
            answers::put(&transaction, answers, limits)?;
            transaction.commit()?;
            #[cfg(test)]
            self.fail_if_told()?;
            self.pending.write().absorb(rows);
            return Ok(());
        }
        self.fold(&batch.next, &rows, answers, limits)
    }

    /// Puts all that waits into the tables, `rows` over it, and empties the journal.
    fn fold(
        &mut self,
        head: &Head,
        rows: &Rows,
        answers: &[AnswerRow],
        limits: &Limits,
    ) -> rusqlite::Result<()> {
        let last = self.pending.read().last();
        let mut record = HeadRecord { journal: last, ..self.head_record(head) };
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.pending.read().rows.put(&transaction, &mut record.checksums)?;
        rows.put(&transaction, &mut record.checksums)?;
        answers::put(&transaction, answers, limits)?;
        let sealed = Record::seal(HEAD, &record).expect("five numbers are writable as JSON");
        put_head(&transaction, &sealed)?;
        transaction.prepare_cached("DELETE FROM journal")?.execute([])?;
        transaction.commit()?;
        #[cfg(test)]
        self.fail_if_told()?;
        self.tally.checksums = record.checksums;
        *self.pending.write() = Pending::none_after(last);
        Ok(())
    }

    /// Leaves an empty journal, and no job id that was reserved for nothing. After this the session
    /// gives no id out any more.
    pub(super) fn finish(&mut self, head: &Head) -> rusqlite::Result<()> {
        let reserved = self.tally.next_job_id < self.tally.job_ids_below;
        if reserved || self.pending.read().entries > 0 {
            self.tally.job_ids_below = self.tally.next_job_id;
            self.fold(head, &Rows::default(), &[], &Limits::default())?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn fold_now(&mut self, head: &Head) -> rusqlite::Result<()> {
        self.fold(head, &Rows::default(), &[], &Limits::default())
    }

    fn head_record(&self, head: &Head) -> HeadRecord {
        HeadRecord {
            revision: head.revision,
            last_event: head.last_event,
            job_ids_below: self.tally.job_ids_below,
            checksums: self.tally.checksums,
            journal: self.pending.read().folded,
        }
    }

    fn prune_jobs(&mut self, rows: &mut Rows, limits: &Limits) {
        let finished = &mut self.tally.finished_jobs;
        for (id, job) in &rows.jobs {
            match job.as_ref().is_some_and(|job| job.finished) {
                true => finished.insert(*id),
                false => finished.remove(id),
            };
        }
        let put = rows.jobs.len() as u64;
        let over = if put == 0 { 0 } else { limits.jobs_over(finished.len() as u64, put) };
        rows.jobs.extend((0..over).map_while(|_| finished.pop_first()).map(|id| (id, None)));
    }

    fn prune_events(&mut self, rows: &mut Rows, limits: &Limits) -> rusqlite::Result<()> {
        if let Some(newest) = rows.events.last() {
            let appended = rows.events.len() as u64;
            let kept = (newest.number + 1).saturating_sub(self.tally.first_event);
            let may_age = limits.events_that_may_age(kept, appended);
            let aged = self.count_aged(&rows.events, may_age, newest.at_ms, limits)?;
            let over = limits.events_over(kept, appended).max(aged);
            self.tally.first_event += over;
            let known = self.tally.oldest_ms.len();
            self.tally.oldest_ms.drain(..known.min(over as usize));
        }
        rows.first_event = self.tally.first_event;
        Ok(())
    }

    /// How many of the oldest events, without a gap and at most `may_age`, are too old.
    fn count_aged(
        &mut self,
        new: &[EventRow],
        may_age: u64,
        newest_ms: u64,
        limits: &Limits,
    ) -> rusqlite::Result<u64> {
        let mut aged = 0;
        while aged < may_age as usize {
            if aged == self.tally.oldest_ms.len() {
                self.look_up_oldest(new)?;
            }
            match self.tally.oldest_ms.get(aged) {
                Some(at_ms) if limits.is_aged(*at_ms, newest_ms) => aged += 1,
                _ => break,
            }
        }
        Ok(aged as u64)
    }

    /// Some more times: from the tables, or if those have none from the journal, or from the new events.
    fn look_up_oldest(&mut self, new: &[EventRow]) -> rusqlite::Result<()> {
        let oldest_ms = &mut self.tally.oldest_ms;
        let from = self.tally.first_event + oldest_ms.len() as u64;
        let mut statement = self
            .connection
            .prepare_cached("SELECT at_ms FROM event WHERE number >= ?1 ORDER BY number LIMIT ?2")?;
        let mut rows = statement.query([from, LOOK_AHEAD])?;
        let mut found = false;
        while let Some(row) = rows.next()? {
            oldest_ms.push_back(row.get(0)?);
            found = true;
        }
        if !found {
            let pending = self.pending.read();
            let events = pending.rows.events.iter().chain(new).filter(|event| event.number >= from);
            oldest_ms.extend(events.map(|event| event.at_ms).take(LOOK_AHEAD as usize));
        }
        Ok(())
    }

    #[cfg(test)]
    fn fail_if_told(&self) -> rusqlite::Result<()> {
        if self.fail_after_commit { Err(rusqlite::Error::UnwindingPanic) } else { Ok(()) }
    }
}
