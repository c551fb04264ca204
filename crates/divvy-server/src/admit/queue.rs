//! Which messages are taken together. Who asks waits for the answer; nobody waits for a report. So a
//! report waits a moment for company: it shares an asker's wait for the disk, or that of other reports,
//! and an asker seldom waits for a report's. What messages do is not known here.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::door::{DIVVY, Message};

/// Most messages decided and committed together.
const BATCH: usize = 256;
/// So long a report waits for the next message …
const COMPANY: Duration = Duration::from_millis(2);
/// … and so long in all, while others keep coming.
const PATIENCE: Duration = Duration::from_millis(20);
/// Without a report there is nothing to wake up for.
const IDLE: Duration = Duration::from_secs(3600);

/// The messages that came through the door and were not taken yet.
pub struct Queue<'a> {
    door: &'a Receiver<Message>,
    reports: Vec<Message>,
    /// When the oldest of the reports is taken at the latest.
    due: Option<Instant>,
}

impl<'a> Queue<'a> {
    pub fn new(door: &'a Receiver<Message>) -> Self {
        Self { door, reports: Vec::new(), due: None }
    }

    /// What is to be taken next, never empty; None when nobody is left to send anything.
    pub fn next(&mut self) -> Option<Vec<Message>> {
        loop {
            let patience =
                self.due.map_or(IDLE, |due| COMPANY.min(due.saturating_duration_since(Instant::now())));
            let first = match self.door.recv_timeout(patience) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) if self.reports.is_empty() => continue,
                Err(RecvTimeoutError::Disconnected) if self.reports.is_empty() => return None,
                Err(_) => return Some(self.take_reports()),
            };
            let came = std::iter::once(first).chain(self.door.try_iter().take(BATCH - 1));
            let (reports, others): (Vec<_>, Vec<_>) =
                came.partition(|one| matches!(one, Message::Report { .. }));
            if !reports.is_empty() {
                self.due.get_or_insert_with(|| Instant::now() + PATIENCE);
                self.reports.extend(reports);
            }
            let is_due = self.due.is_some_and(|due| due <= Instant::now());
            if is_due || self.reports.len() >= BATCH || others.iter().any(follows_reports) {
                let mut all = self.take_reports();
                all.extend(others);
                return Some(all);
            }
            if !others.is_empty() {
                return Some(others);
            }
        }
    }

    fn take_reports(&mut self) -> Vec<Message> {
        self.due = None;
        std::mem::take(&mut self.reports)
    }
}

/// What an agent asks is decided on what it reported before.
fn follows_reports(message: &Message) -> bool {
    match message {
        Message::Ask(ask) => ask.principal == DIVVY,
        Message::Report { .. } => false,
        Message::Published(_) | Message::Stop => true,
    }
}

#[cfg(test)]
mod tests;
