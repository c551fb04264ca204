//! Where the threads of the daemon meet: the published state that everybody may read, the door to the
//! admission thread, one bell per agent, and whether VMs may be started. Nothing is decided here.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use divvy_core::id::ServerId;
use divvy_core::job::{Job, JobId};
use divvy_core::request::Request;
use divvy_core::state::State;
use tokio::sync::{oneshot, watch};

use crate::door::{Answer, Ask, AskError, Message, Wish};
use crate::starts::Starts;
use crate::terms::Terms;

/// A bell: rings stay until somebody waited for them, so none is lost.
#[derive(Clone, Default)]
pub struct Bell {
    inner: Arc<(Mutex<bool>, Condvar)>,
}

impl Bell {
    pub fn ring(&self) {
        *lock(&self.inner.0) = true;
        self.inner.1.notify_all();
    }

    /// Waits for a ring, at most this long; whether it rang.
    pub fn wait(&self, at_most: Duration) -> bool {
        let end = Instant::now() + at_most;
        let mut rang = lock(&self.inner.0);
        while !*rang {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            rang = self.inner.1.wait_timeout(rang, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut *rang)
    }
}

/// A holder that panicked left whole values behind: they are replaced, never edited in place.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state and the unfinished jobs of one moment.
#[derive(Clone, Default)]
pub struct Published {
    pub state: Arc<State>,
    pub running_jobs: Arc<BTreeMap<JobId, Arc<Job>>>,
}

/// What has to be told after a moment was published.
#[must_use]
pub struct News {
    hub: Hub,
    asked_anew: Vec<ServerId>,
}

impl News {
    /// Tells everybody who waits; agents are told only of what was asked for anew.
    pub fn tell(self) {
        for server in self.asked_anew {
            self.hub.bell(&server).ring();
        }
        self.hub.inner.changes.send_modify(|number| *number += 1);
    }
}

/// Shared by all threads of the daemon; clones are the same hub.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    published: RwLock<Published>,
    changes: watch::Sender<u64>,
    bells: Mutex<BTreeMap<ServerId, Bell>>,
    starts: Starts,
    door: Sender<Message>,
}

impl Hub {
    pub fn new(door: Sender<Message>) -> Self {
        let published = RwLock::new(Published::default());
        let (changes, _) = watch::channel(0);
        Self {
            inner: Arc::new(Inner {
                published,
                changes,
                bells: Mutex::default(),
                starts: Starts::default(),
                door,
            }),
        }
    }

    pub fn published(&self) -> Published {
        self.inner.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn state(&self) -> Arc<State> {
        self.published().state
    }

    /// Ends a wait whenever something was published.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Puts a new moment in place of the old one. Who waits is told by [`News::tell`], after those who were
    /// promised an answer.
    pub fn publish(&self, published: Published) -> News {
        let asked_anew: Vec<ServerId> = {
            let mut current = self.inner.published.write().unwrap_or_else(PoisonError::into_inner);
            let asked = &published.state.desired.servers;
            let before = &current.state.desired.servers;
            let changed = asked.iter().filter(|(server, desired)| {
                before.get(*server).is_none_or(|before| before.generation != desired.generation)
            });
            let changed = changed.map(|(server, _)| server.clone()).collect();
            *current = published;
            changed
        };
        News { hub: self.clone(), asked_anew }
    }

    /// The bell of a server's agent.
    pub fn bell(&self, server: &ServerId) -> Bell {
        lock(&self.inner.bells).entry(server.clone()).or_default().clone()
    }

    pub fn starts(&self) -> &Starts {
        &self.inner.starts
    }

    /// The hook is answered from now on: the agents give the starts that waited for it.
    pub fn open_starts(&self) {
        self.inner.starts.open();
        for bell in lock(&self.inner.bells).values() {
            bell.ring();
        }
    }

    pub fn tell(&self, message: Message) {
        // The admission thread is gone only when the daemon ends.
        let _ = self.inner.door.send(message);
    }

    /// Asks and waits for the answer.
    pub async fn ask(
        &self,
        wish: Wish,
        principal: &str,
        terms: Terms,
        dry_run: bool,
    ) -> Result<Answer, AskError> {
        let answer = self.put(wish, principal, terms, dry_run);
        answer.await.unwrap_or(Err(AskError::Stopping))
    }

    /// The same for a thread that may block, without terms.
    pub fn ask_blocking(&self, request: Request, principal: &str) -> Result<Answer, AskError> {
        let answer = self.put(Wish::Change(request), principal, Terms::default(), false);
        answer.blocking_recv().unwrap_or(Err(AskError::Stopping))
    }

    fn put(
        &self,
        wish: Wish,
        principal: &str,
        terms: Terms,
        dry_run: bool,
    ) -> oneshot::Receiver<Result<Answer, AskError>> {
        let (reply, answer) = oneshot::channel();
        let principal = principal.to_owned();
        self.tell(Message::Ask(Box::new(Ask { wish, principal, terms, dry_run, attempts: 0, reply })));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_not_lost_and_counts_once() {
        let bell = Bell::default();
        bell.ring();
        bell.ring();
        assert!(bell.wait(Duration::ZERO) || bell.wait(Duration::from_millis(1)));
        assert!(!bell.wait(Duration::from_millis(1)));
    }
}
