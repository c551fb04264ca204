//! The last changes, as the bytes that listeners get: a batch for each difference, so that a listener who
//! keeps up gets each batch as one piece that nobody copied. Only the last message of a batch has an id:
//! who lost the connection in the middle of one gets it again from its beginning.

use std::collections::VecDeque;

use axum::body::Bytes;
use divvy_api::stream::{ResetReason, ResetView};

use super::difference::Message;

/// Most bytes that are remembered.
const MAX_BYTES: usize = 4 << 20;
/// Most batches that are remembered.
const MAX_BATCHES: usize = 1_024;

/// Where a listener is: it has all batches up to this one, of this run of the feed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    pub run: u64,
    pub batch: u64,
}

impl Position {
    pub fn read(id: &str) -> Option<Self> {
        let (run, batch) = id.split_once('-')?;
        Some(Self { run: u64::from_str_radix(run, 16).ok()?, batch: batch.parse().ok()? })
    }

    pub fn id(self) -> String {
        format!("{:x}-{}", self.run, self.batch)
    }
}

#[derive(Debug, Default)]
pub struct Ring {
    newest: Position,
    /// In ascending order without a gap, the last one being `newest`.
    batches: VecDeque<Bytes>,
    bytes: usize,
}

impl Ring {
    /// Begins anew; positions of runs before are not understood any more.
    pub fn begin(&mut self, now_ms: u64) {
        *self = Self { newest: Position { run: now_ms.max(1), batch: 0 }, ..Self::default() };
    }

    pub fn newest(&self) -> Position {
        self.newest
    }

    /// Whether everything that followed is still here.
    pub fn remembers(&self, at: Position) -> bool {
        let oldest = self.newest.batch - self.batches.len() as u64;
        at.run == self.newest.run && (oldest..=self.newest.batch).contains(&at.batch)
    }

    /// What followed, and where one is then. Nothing for a position that is not remembered.
    pub fn after(&self, at: Position) -> (Vec<Bytes>, Position) {
        let missing = self.newest.batch.saturating_sub(at.batch);
        let missing = usize::try_from(missing).unwrap_or(usize::MAX).min(self.batches.len());
        let batches = self.batches.range(self.batches.len() - missing..).cloned().collect();
        (batches, self.newest)
    }

    pub fn append(&mut self, messages: &[Message]) {
        let Some((last, others)) = messages.split_last() else { return };
        self.newest.batch += 1;
        let mut text = String::new();
        for message in others {
            write(&mut text, message.topic.word(), &message.data, None);
        }
        write(&mut text, last.topic.word(), &last.data, Some(&self.newest.id()));
        self.bytes += text.len();
        self.batches.push_back(Bytes::from(text));
        while self.bytes > MAX_BYTES || self.batches.len() > MAX_BATCHES {
            let Some(oldest) = self.batches.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }
}

/// Tells a listener that it has to read everything again, and from where it goes on then.
pub fn reset(at: Position, reason: ResetReason) -> Bytes {
    let data = serde_json::to_string(&ResetView { reason }).expect("one word is writable as JSON");
    let mut text = String::new();
    write(&mut text, "reset", &data, Some(&at.id()));
    Bytes::from(text)
}

/// Data is JSON on one line.
fn write(text: &mut String, event: &str, data: &str, id: Option<&str>) {
    let id = id.map_or(String::new(), |id| format!("id: {id}\n"));
    text.push_str(&format!("event: {event}\n{id}data: {data}\n\n"));
}

#[cfg(test)]
mod tests {
    use divvy_api::stream::Topic;

    use super::*;

    fn messages(count: usize, bytes: usize) -> Vec<Message> {
        (0..count).map(|_| Message { topic: Topic::Gpu, data: "x".repeat(bytes) }).collect()
    }

    fn filled(batches: usize) -> Ring {
        let mut ring = Ring::default();
        ring.begin(7);
        (0..batches).for_each(|_| ring.append(&messages(2, 1)));
        ring
    }

    #[test]
    fn a_position_reads_back_from_its_id() {
        let at = Position { run: 0x1234, batch: 56 };
        assert_eq!(at.id(), "1234-56");
        assert_eq!(Position::read(&at.id()), Some(at));
        for wrong in ["", "1", "x-1", "1-x", "1-2-3", "-"] {
            assert_eq!(Position::read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_batch_has_its_id_on_the_last_message_alone() {
        let ring = filled(1);
        let (batches, _) = ring.after(Position { run: 7, batch: 0 });
        assert_eq!(batches, ["event: gpu\ndata: x\n\nevent: gpu\nid: 7-1\ndata: x\n\n"]);
    }

    #[test]
    fn what_follows_a_position_is_told_once() {
        let ring = filled(3);
        let (batches, at) = ring.after(Position { run: 7, batch: 1 });
        assert_eq!((batches.len(), at), (2, Position { run: 7, batch: 3 }));
        assert!(ring.after(at).0.is_empty());
    }

    #[test]
    fn another_run_and_the_future_are_not_remembered() {
        let ring = filled(3);
        assert!(ring.remembers(Position { run: 7, batch: 0 }));
        assert!(!ring.remembers(Position { run: 7, batch: 4 }));
        assert!(!ring.remembers(Position { run: 6, batch: 2 }));
    }

    #[test]
    fn more_than_the_most_is_forgotten_from_the_oldest_on() {
        let ring = filled(MAX_BATCHES + 2);
        assert!(!ring.remembers(Position { run: 7, batch: 1 }));
        assert!(ring.remembers(Position { run: 7, batch: 2 }));
        let mut large = filled(1);
        large.append(&messages(1, MAX_BYTES + 1));
        assert!(!large.remembers(Position { run: 7, batch: 1 }), "too large to be kept");
        assert!(large.remembers(large.newest()));
    }
}
