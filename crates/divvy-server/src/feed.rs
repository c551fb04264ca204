//! What changes, for those who watch: the difference between one published moment and the next, worked
//! out once for all of them and written once, and remembered for a while so that who lost the connection
//! goes on where it was.
//!
//! ```text
//! hub, store ──changed──▶ task ──difference──▶ ring of batches ──▶ listener, listener, listener …
//! ```
//!
//! Nothing runs while nobody listens. A listener that reads more slowly than things change finds that the
//! ring has moved on, and is told to read everything again; nothing is kept for it. Who listens, and how
//! the bytes reach them, is not known here.

mod difference;
mod ring;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use divvy_api::stream::ResetReason;
use divvy_store::Store;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use self::difference::Moment;
use self::ring::{Position, Ring};
use crate::clock::now_ms;
use crate::hub::Hub;

/// What changes within this time is told together: many changes cost each listener one write.
const GATHER: Duration = Duration::from_millis(25);
/// How long the last listener may be away before everything is forgotten.
const GRACE: Duration = Duration::from_secs(30);
/// Most listeners at once.
const MAX_LISTENERS: usize = 1_000;

/// Clones are the same feed.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    hub: Hub,
    store: Arc<Store>,
    newest_event: watch::Receiver<u64>,
    state: Mutex<State>,
    /// Ends a wait whenever the ring has more.
    grown: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    ring: Ring,
    listeners: usize,
    running: bool,
}

/// One who listens. Goes away by being dropped.
pub struct Listener {
    feed: Feed,
    at: Position,
    /// Has to be told first.
    reset: Option<ResetReason>,
    grown: watch::Receiver<()>,
}

/// What a listener gets.
pub enum Next {
    Bytes(Vec<Bytes>),
    Reset(Bytes),
    /// Everything was told.
    Nothing,
}

impl Feed {
    pub fn new(hub: Hub, store: Arc<Store>, newest_event: watch::Receiver<u64>) -> Self {
        let (grown, _) = watch::channel(());
        Self { inner: Arc::new(Inner { hub, store, newest_event, state: Mutex::default(), grown }) }
    }

    /// Listens from the id on that `after` is; None when too many listen already.
    pub fn listen(&self, after: Option<&str>) -> Option<Listener> {
        let mut state = self.state();
        if state.listeners >= MAX_LISTENERS {
            return None;
        }
        if !state.running {
            state.running = true;
            state.ring.begin(now_ms());
            // The moment from which on everything is told is before this listener's first look.
            tokio::spawn(self.clone().run(self.now()));
        }
        state.listeners += 1;
        let (at, reset) = match after {
            None => (state.ring.newest(), Some(ResetReason::Beginning)),
            Some(id) => match Position::read(id).filter(|at| state.ring.remembers(*at)) {
                Some(at) => (at, None),
                None => (state.ring.newest(), Some(ResetReason::Forgotten)),
            },
        };
        Some(Listener { feed: self.clone(), at, reset, grown: self.inner.grown.subscribe() })
    }

    fn now(&self) -> Moment {
        let newest_event = *self.inner.newest_event.borrow();
        Moment::new(self.inner.hub.published(), newest_event)
    }

    /// Tells what changes until nobody has listened for a while.
    async fn run(self, mut told: Moment) {
        let mut changes = self.inner.hub.changes();
        let mut events = self.inner.newest_event.clone();
        let mut alone_since: Option<Instant> = None;
        // The first look tells what changed before the two above were subscribed to.
        let mut look = true;
        loop {
            if look {
                sleep(GATHER).await;
                let (feed, before) = (self.clone(), told);
                let work = tokio::task::spawn_blocking(move || {
                    let now = feed.now();
                    (difference::between(&before, &now, &feed.inner.store), now)
                });
                let Ok((messages, now)) = work.await else { return self.stop() };
                told = now;
                self.append(&messages);
            }
            if self.state().listeners > 0 {
                alone_since = None;
            } else if alone_since.get_or_insert_with(Instant::now).elapsed() >= GRACE && self.stop_if_alone()
            {
                return;
            }
            let change = async {
                tokio::select! { one = changes.changed() => one, one = events.changed() => one }
            };
            look = match timeout(GRACE, change).await {
                Err(_) => false,
                Ok(Ok(())) => true,
                // The daemon is ending.
                Ok(Err(_)) => return self.stop(),
            };
        }
    }

    fn append(&self, messages: &[difference::Message]) {
        if !messages.is_empty() {
            self.state().ring.append(messages);
            self.inner.grown.send_replace(());
        }
    }

    fn stop_if_alone(&self) -> bool {
        let mut state = self.state();
        if state.listeners == 0 {
            state.running = false;
            state.ring = Ring::default();
        }
        !state.running
    }

    /// Whoever listens still is told that everything has to be read again when the next one comes.
    fn stop(&self) {
        let mut state = self.state();
        state.running = false;
        state.ring = Ring::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A holder that panicked left a ring that is whole: a batch is appended last.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// What is new since the last call.
    pub fn take(&mut self) -> Next {
        let state = self.feed.state();
        let lost = (!state.ring.remembers(self.at)).then_some(ResetReason::TooSlow);
        if let Some(reason) = self.reset.take().or(lost) {
            self.at = state.ring.newest();
            return Next::Reset(ring::reset(self.at, reason));
        }
        let (bytes, at) = state.ring.after(self.at);
        drop(state);
        self.at = at;
        if bytes.is_empty() { Next::Nothing } else { Next::Bytes(bytes) }
    }

    /// Waits until there may be more.
    pub async fn grown(&mut self) {
        // The feed lives as long as this listener has it.
        let _ = self.grown.changed().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.feed.state().listeners -= 1;
    }
}

#[cfg(test)]
mod tests;
