//! Webhooks: receivers that are told of events over HTTP. Each has a courier, a task that reads events from
//! the store behind its own cursor, in order, one at a time, and knows nothing of the others.
//!
//! ```text
//! store ──newest event──▶ courier ──POST, signed──▶ receiver
//!   ▲ a few at a time        │ taken: the cursor moves; not taken: the same again, later
//!   └────────────────────────┴──▶ cursors, in a file, at most once a second
//! ```
//!
//! Whoever changes something does not know that this exists: nothing is handed over and nothing is waited
//! for. What was told and not written down yet is told again after a kill, under the same id. Without a
//! webhook in the settings nothing of this is made, and with nothing to tell no timer runs.

mod courier;
mod cursors;
mod message;
mod pace;
mod post;
mod secret;
pub mod settings;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use divvy_api::views::{WebhookTestView, WebhookView};
use divvy_api::words::WebhookState;
use divvy_store::{Store, StoreError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use self::courier::Courier;
use self::cursors::{Cursor, Cursors, CursorsError};
use self::message::Message;
use self::post::{Post, Unusable};
use self::settings::Webhook;
use crate::chain::chain;
use crate::clock::now_ms;
use crate::notices::Notices;

/// Cursors are written at most so often.
const WRITE: Duration = Duration::from_secs(1);
/// So many failures in a row are a finding: one or two happen to everybody.
const TROUBLE: u32 = 3;
/// Events that are counted together.
const CHUNK: usize = 1_000;

/// Why the daemon cannot begin to tell anybody.
#[derive(Debug, thiserror::Error)]
#[error("the webhook {url} cannot be used")]
pub struct WebhookError {
    url: String,
    source: Unusable,
}

/// All webhooks of a daemon; clones are the same.
#[derive(Clone, Default)]
pub struct Webhooks(Option<Arc<Inner>>);

struct Inner {
    /// What the daemon is called.
    server: String,
    store: Arc<Store>,
    newest_event: watch::Receiver<u64>,
    notices: Notices,
    each: Vec<Receiver>,
    /// Written by one at a time.
    cursors: Mutex<Cursors>,
    /// A cursor moved since the last write.
    moved: AtomicBool,
    moves: Notify,
    /// Held by who looks and tells, so that an older look does not come last.
    telling: Mutex<()>,
}

/// One receiver and how it goes with it.
struct Receiver {
    webhook: Webhook,
    standing: Mutex<Standing>,
    /// Ends a courier's pause.
    again: Notify,
}

#[derive(Default)]
struct Standing {
    told: Cursor,
    failing: Option<Failing>,
    /// It wants no more.
    is_paused: bool,
}

struct Failing {
    since: Instant,
    since_ms: u64,
    /// In a row.
    failures: u32,
    error: String,
}

/// A receiver that takes no events, for an administrator to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub url: String,
    pub is_paused: bool,
    pub since_ms: u64,
    pub waiting: u64,
    pub skipped: u64,
    pub error: String,
}

impl Trouble {
    /// Whether it is the same trouble, however far it went.
    pub fn is_that_of(&self, other: &Self) -> bool {
        (&self.url, self.is_paused) == (&other.url, other.is_paused)
    }
}

/// What the daemon has for webhooks.
pub struct Surroundings<'d> {
    pub server: &'d str,
    pub state_dir: &'d Path,
    pub store: &'d Arc<Store>,
    pub newest_event: &'d watch::Receiver<u64>,
    pub notices: &'d Notices,
}

impl Webhooks {
    /// Looks whether all of them can be used, and how far each was told. A new one is told of what happens
    /// from now on.
    pub fn prepare(webhooks: &[Webhook], around: &Surroundings<'_>) -> Result<Self, WebhookError> {
        if webhooks.is_empty() {
            return Ok(Self::default());
        }
        for webhook in webhooks {
            let unusable = |source| WebhookError { url: webhook.address.shown.clone(), source };
            Post::open(webhook).map_err(unusable)?;
        }
        let newest = *around.newest_event.borrow();
        let cursors = Cursors::new(around.state_dir);
        let known = cursors.read().unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "webhooks are told again of what the store still has");
            let all = webhooks.iter().map(|webhook| (webhook.address.name.clone(), Cursor::default()));
            all.collect()
        });
        let receiver = |webhook: &Webhook| {
            let told = known.get(&webhook.address.name).copied();
            let mut told = told.unwrap_or(Cursor { cursor: newest, ..Cursor::default() });
            // The store came from a backup: its numbers are used again.
            told.cursor = told.cursor.min(newest);
            let standing = Standing { told, ..Standing::default() };
            Receiver { webhook: webhook.clone(), standing: Mutex::new(standing), again: Notify::new() }
        };
        let inner = Inner {
            server: around.server.to_owned(),
            store: Arc::clone(around.store),
            newest_event: around.newest_event.clone(),
            notices: around.notices.clone(),
            each: webhooks.iter().map(receiver).collect(),
            cursors: Mutex::new(cursors),
            moved: AtomicBool::new(false),
            moves: Notify::new(),
            telling: Mutex::new(()),
        };
        // A full disk holds up no boot.
        if let Err(error) = inner.cursors().write_first(inner.told()) {
            inner.unwritten(&error);
        }
        let plain = webhooks.iter().filter(|webhook| webhook.is_plain());
        around.notices.plain_webhooks(plain.map(|webhook| webhook.address.shown.clone()).collect());
        Ok(Self(Some(Arc::new(inner))))
    }

    /// Begins to tell, on the runtime of who calls.
    pub fn start(&self) {
        let Some(inner) = &self.0 else { return };
        for nth in 0..inner.each.len() {
            tokio::spawn(Courier { inner: Arc::clone(inner), nth }.run());
        }
        tokio::spawn(keep(Arc::clone(inner)));
    }

    /// Writes down how far everybody was told, for the last time.
    pub fn keep(&self) {
        if let Some(inner) = &self.0 {
            inner.write();
        }
    }

    /// How it goes with each of them. Reads the store.
    pub fn views(&self) -> Result<Vec<WebhookView>, StoreError> {
        let Some(inner) = &self.0 else { return Ok(Vec::new()) };
        inner.each.iter().map(|receiver| inner.view(receiver)).collect()
    }

    /// Sends a test event to the receiver of this address, or to all of them, and tells what came of it.
    /// One that takes it is told at once of what waits.
    pub async fn test(&self, url: Option<&str>, principal: &str) -> Vec<WebhookTestView> {
        let Some(inner) = &self.0 else { return Vec::new() };
        let is_meant = |receiver: &Receiver| url.is_none_or(|url| url == receiver.webhook.address.shown);
        let meant = (0..inner.each.len()).filter(|nth| is_meant(&inner.each[*nth]));
        let tests: Vec<_> = meant
            .map(|nth| tokio::spawn(test(Courier { inner: Arc::clone(inner), nth }, principal.to_owned())))
            .collect();
        let mut told = Vec::new();
        for test in tests {
            // One that panicked has nothing to tell; its panic is in the log.
            told.extend(test.await.ok());
        }
        told
    }
}

async fn test(courier: Courier, principal: String) -> WebhookTestView {
    let begun = Instant::now();
    let message = Message::test(&courier.inner.server, &principal, now_ms());
    let sent = match courier.open().await {
        Ok(post) => post.send(&message).await,
        Err(error) => Err(error),
    };
    let receiver = courier.receiver();
    if sent.is_ok() {
        receiver.again.notify_waiters();
    }
    WebhookTestView {
        url: receiver.webhook.address.shown.clone(),
        delivered: sent.is_ok(),
        status: sent.as_ref().map_or_else(|error| error.status(), |status| Some(*status)),
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        error: sent.err().map(|error| chain(&error)),
    }
}

/// Writes cursors down when they have moved.
async fn keep(inner: Arc<Inner>) {
    loop {
        inner.moves.notified().await;
        let writer = Arc::clone(&inner);
        // One that panicked is in the log.
        let _ = tokio::task::spawn_blocking(move || writer.write()).await;
        sleep(WRITE).await;
    }
}

impl Inner {
    fn told(&self) -> BTreeMap<String, Cursor> {
        let told = |receiver: &Receiver| (receiver.webhook.address.name.clone(), receiver.standing().told);
        self.each.iter().map(told).collect()
    }

    fn cursors(&self) -> MutexGuard<'_, Cursors> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) {
        let cursors = self.cursors();
        if !self.moved.swap(false, Ordering::AcqRel) {
            return;
        }
        if let Err(error) = cursors.write(self.told()) {
            self.unwritten(&error);
        }
    }

    /// It is tried again with the next event.
    fn unwritten(&self, error: &CursorsError) {
        self.moved.store(true, Ordering::Release);
        tracing::warn!(error = %chain(error), "after a restart, webhooks may be told again of the same");
    }

    /// Tells the administrator who takes no events. Reads the store.
    fn tell(&self) {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let troubles = self.each.iter().filter_map(|receiver| {
            // Something that cannot be counted waits all the same.
            let waiting = self.waiting(receiver).unwrap_or(1);
            receiver.trouble(waiting)
        });
        self.notices.webhooks(troubles.collect());
    }

    fn view(&self, receiver: &Receiver) -> Result<WebhookView, StoreError> {
        let waiting = self.waiting(receiver)?;
        let standing = receiver.standing();
        let failing = standing.failing.as_ref();
        Ok(WebhookView {
            url: receiver.webhook.address.shown.clone(),
            codes: receiver.webhook.codes.iter().cloned().collect(),
            state: match (standing.is_paused, failing) {
                (true, _) => WebhookState::Paused,
                (false, Some(_)) => WebhookState::Retrying,
                (false, None) => WebhookState::Working,
            },
            waiting,
            skipped: standing.told.skipped,
            failing_since_ms: failing.map(|failing| failing.since_ms),
            last_error: failing.map(|failing| failing.error.clone()),
            last_delivered_at_ms: standing.told.delivered_at_ms,
        })
    }

    /// How many events it was not told of yet.
    fn waiting(&self, receiver: &Receiver) -> Result<u64, StoreError> {
        let newest = *self.newest_event.borrow();
        let mut after = receiver.standing().told.cursor;
        if receiver.webhook.codes.is_empty() {
            let first = self.store.events(after, 1)?.first().map(|event| event.number);
            return Ok(first.map_or(0, |first| newest.saturating_add(1).saturating_sub(first)));
        }
        let mut waiting = 0;
        while after < newest {
            let events = self.store.events(after, CHUNK)?;
            let Some(last) = events.last().map(|event| event.number) else { break };
            let meant = events.iter().filter(|event| receiver.webhook.wants(&event.event.code));
            waiting += u64::try_from(meant.count()).unwrap_or(u64::MAX);
            after = last;
        }
        Ok(waiting)
    }
}

impl Receiver {
    /// A holder that panicked left whole values behind.
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, waiting: u64) -> Option<Trouble> {
        let standing = self.standing();
        let failing = standing.failing.as_ref()?;
        (standing.is_paused || failing.failures >= TROUBLE).then(|| Trouble {
            url: self.webhook.address.shown.clone(),
            is_paused: standing.is_paused,
            since_ms: failing.since_ms,
            waiting,
            skipped: standing.told.skipped,
            error: failing.error.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
