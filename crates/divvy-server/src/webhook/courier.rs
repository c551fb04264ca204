//! The courier of one receiver: waits for an event behind its cursor, sends it, and sends it again until it
//! is taken or given up.
//!
//! ```text
//!            ┌──────────── nothing behind the cursor: wait, without a timer
//!            ▼                                          ▲
//!   read a few ──▶ open ──▶ send one ── taken ──▶ cursor moves, next one
//!            ▲                 │
//!            └── pause ◀── not taken          410: paused, for good
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;

use divvy_api::views::EventView;
use divvy_core::event::NumberedEvent;
use tokio::time::{Instant, sleep};

use super::message::Message;
use super::post::{NotTaken, Post};
use super::{Failing, Inner, Receiver, TROUBLE, pace};
use crate::chain::chain;
use crate::clock::now_ms;
use crate::random;

/// So many events are read at a time; the secret and the certificates are read anew with them.
const BATCH: usize = 64;

pub struct Courier {
    pub inner: Arc<Inner>,
    /// Whose it is.
    pub nth: usize,
}

impl Courier {
    pub fn receiver(&self) -> &Receiver {
        &self.inner.each[self.nth]
    }

    /// Tells what there is to tell until the daemon ends or the receiver wants no more.
    pub async fn run(self) {
        let mut newest = self.inner.newest_event.clone();
        loop {
            let told = self.receiver().standing().told.cursor;
            if newest.wait_for(|number| *number > told).await.is_err() {
                return;
            }
            match self.batch().await {
                Ok(()) => {}
                Err(error) => {
                    let failures = self.not_taken(&error).await;
                    if matches!(error, NotTaken::Gone) {
                        return;
                    }
                    // Without chance, servers come back together: not nice, and no harm.
                    let chance = random::number().unwrap_or_default();
                    tokio::select! {
                        () = sleep(pace::pause(failures, chance, error.asked_pause())) => {}
                        () = self.receiver().again.notified() => {}
                    }
                }
            }
        }
    }

    /// Sends the next few events, if there are any that this receiver wants.
    async fn batch(&self) -> Result<(), NotTaken> {
        let events = self.read().await?;
        let mut post = None;
        for event in events {
            if self.is_given_up(&event) {
                self.moved(&event, 1);
                continue;
            }
            if !self.receiver().webhook.wants(&event.event.code) {
                self.moved(&event, 0);
                continue;
            }
            let opened = match post.take() {
                Some(opened) => opened,
                None => self.open().await?,
            };
            let post = post.insert(opened);
            post.send(&Message::of_event(&self.inner.server, &EventView::from(&event))).await?;
            self.taken(&event).await;
        }
        Ok(())
    }

    async fn read(&self) -> Result<Vec<NumberedEvent>, NotTaken> {
        let (store, told) = (Arc::clone(&self.inner.store), self.receiver().standing().told.cursor);
        let events = blocking(move || store.events(told, BATCH)).await?;
        let first = events.first().ok_or(NotTaken::NotThere)?.number;
        // The store keeps so many events and no more.
        let forgotten = first.saturating_sub(told.saturating_add(1));
        if forgotten > 0 {
            self.move_to(first - 1, forgotten);
        }
        Ok(events)
    }

    /// Reads what is needed to send something.
    pub async fn open(&self) -> Result<Post, NotTaken> {
        let webhook = self.receiver().webhook.clone();
        Ok(blocking(move || Post::open(&webhook)).await?)
    }

    fn is_given_up(&self, event: &NumberedEvent) -> bool {
        let standing = self.receiver().standing();
        let failing = standing.failing.as_ref();
        failing.is_some_and(|failing| {
            pace::is_given_up(failing.since.elapsed(), event.event.at_ms, now_ms())
                && self.receiver().webhook.wants(&event.event.code)
        })
    }

    /// Done with this event, one way or the other.
    fn moved(&self, event: &NumberedEvent, skipped: u64) {
        self.move_to(event.number, skipped);
    }

    fn move_to(&self, cursor: u64, skipped: u64) {
        {
            let mut standing = self.receiver().standing();
            standing.told.cursor = cursor;
            standing.told.skipped = standing.told.skipped.saturating_add(skipped);
        }
        self.inner.moved.store(true, Ordering::Release);
        self.inner.moves.notify_one();
    }

    async fn taken(&self, event: &NumberedEvent) {
        let failing = {
            let mut standing = self.receiver().standing();
            standing.told.delivered_at_ms = Some(now_ms());
            standing.failing.take()
        };
        self.moved(event, 0);
        if failing.is_some_and(|failing| failing.failures >= TROUBLE) {
            tracing::info!(url = %self.receiver().webhook.address.shown, "the webhook takes events again");
            self.tell().await;
        }
    }

    /// How often it was so, in a row.
    async fn not_taken(&self, error: &NotTaken) -> u32 {
        let failures = {
            let mut standing = self.receiver().standing();
            standing.is_paused = matches!(error, NotTaken::Gone);
            let begun =
                || Failing { since: Instant::now(), since_ms: now_ms(), failures: 0, error: String::new() };
            let failing = standing.failing.get_or_insert_with(begun);
            failing.failures = failing.failures.saturating_add(1);
            failing.error = chain(error);
            failing.failures
        };
        let is_told = matches!(error, NotTaken::Gone) || failures == TROUBLE;
        if is_told {
            let url = &self.receiver().webhook.address.shown;
            tracing::warn!(%url, error = %chain(error), "the webhook takes no events");
        }
        if is_told || failures > TROUBLE {
            self.tell().await;
        }
        failures
    }

    async fn tell(&self) {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.tell()).await;
    }
}

/// Runs what may wait for a disk elsewhere.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
