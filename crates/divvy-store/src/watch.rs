//! Tells who waits that something new was committed. It carries numbers, never content: a waiter that
//! slept through ten commits takes one snapshot. Nobody is waited for; who does not look misses nothing.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Revision;

/// The newest revision and the newest event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latest {
    pub revision: Revision,
    /// Zero: there was no event yet.
    pub event: u64,
}

type Callback = Box<dyn Fn(Latest) + Send>;

#[derive(Default)]
struct Shared {
    latest: Mutex<Latest>,
    grown: Condvar,
    callbacks: Mutex<Vec<Callback>>,
}

/// A subscription. Clones see the same.
#[derive(Clone, Default)]
pub struct Watch {
    shared: Arc<Shared>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.latest()).finish()
    }
}

impl Watch {
    pub fn latest(&self) -> Latest {
        *lock(&self.shared.latest)
    }

    /// Waits until there is a revision above `seen`; None when the time is up before.
    pub fn wait_revision(&self, seen: Revision, timeout: Duration) -> Option<Revision> {
        self.wait(timeout, |latest| latest.revision > seen).map(|latest| latest.revision)
    }

    /// Waits until there is an event above `seen`; None when the time is up before.
    pub fn wait_event(&self, seen: u64, timeout: Duration) -> Option<u64> {
        self.wait(timeout, |latest| latest.event > seen).map(|latest| latest.event)
    }

    /// Calls back now, and then after every transaction, on the thread that committed it. The call must
    /// be quick and must not write to the store: the next commit waits for it.
    pub fn call_back(&self, callback: impl Fn(Latest) + Send + 'static) {
        // Under the lock of the list, so that no announcement falls between the first call and the push.
        let mut callbacks = lock(&self.shared.callbacks);
        callback(self.latest());
        callbacks.push(Box::new(callback));
    }

    pub(crate) fn announce(&self, latest: Latest) {
        *lock(&self.shared.latest) = latest;
        self.shared.grown.notify_all();
        for callback in lock(&self.shared.callbacks).iter() {
            callback(latest);
        }
    }

    fn wait(&self, timeout: Duration, enough: impl Fn(&Latest) -> bool) -> Option<Latest> {
        let deadline = Instant::now().checked_add(timeout);
        let mut latest = lock(&self.shared.latest);
        while !enough(&latest) {
            // No deadline: so far away that the clock cannot express it.
            let left = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            let woken = self.shared.grown.wait_timeout(latest, left.min(Duration::from_secs(3600)));
            latest = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(*latest)
    }
}

/// A holder that panicked left whole values behind: they are replaced, never edited in place.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
