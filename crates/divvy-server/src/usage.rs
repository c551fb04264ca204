//! What GPUs use, asked of the vendor's library only when somebody wants to see it. Who asks shortly after
//! another is told the same; while a look is under way, everybody waits for that one. A library that hangs
//! holds up the thread that asks it and nobody else: who asks is told, after a while, that it does not
//! answer.
//!
//! ```text
//! ask ─▶ a fresh answer? ─▶ that one
//!     └▶ a look under way? no: a thread looks ─▶ wait for its answer ─▶ too long: no answer
//! ```

mod rows;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use divvy_core::id::ServerId;
use divvy_host::telemetry::Asked;
use tokio::sync::watch;

use crate::clock::now_ms;

pub use rows::rows;

/// So long an answer is told to others too.
const FRESH: Duration = Duration::from_secs(1);
/// The first look at a GPU that nobody uses wakes it up, which takes seconds; longer is not waited for. A
/// look goes on, and its answer is there for who asks again.
const PATIENCE: Duration = Duration::from_secs(6);

/// Asks one server's libraries.
pub type Looker = Arc<dyn Fn() -> Asked + Send + Sync>;

/// One answer.
#[derive(Debug)]
pub struct Look {
    pub at_ms: u64,
    pub asked: Asked,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoLook {
    #[error("what the GPUs use was not told within {waited_ms} ms")]
    Silent { waited_ms: u64 },
    #[error("a thread to look at the GPUs cannot be started")]
    Thread(#[source] Arc<io::Error>),
}

/// An answer shared by all who asked.
pub type Told = Result<Arc<Look>, NoLook>;

/// Where all servers are asked.
pub struct Desk {
    counters: BTreeMap<ServerId, Arc<Counter>>,
    times: Times,
}

/// Where one server is asked.
struct Counter {
    looker: Looker,
    state: Mutex<State>,
    /// The number of the newest look that has ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    is_looking: bool,
    looks: u64,
    last: Option<Last>,
}

struct Last {
    /// Of the look.
    number: u64,
    at: Instant,
    look: Arc<Look>,
}

/// How long an answer is good, and how long one is waited for.
#[derive(Debug, Clone, Copy)]
struct Times {
    fresh: Duration,
    patience: Duration,
}

impl Counter {
    /// Whole after every statement under the lock, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last answer, if it is good enough.
    fn last(&self, is_good: impl FnOnce(&Last) -> bool) -> Option<Arc<Look>> {
        let state = self.lock();
        state.last.as_ref().filter(|last| is_good(last)).map(|last| Arc::clone(&last.look))
    }

    /// Starts a look unless one is under way; answers the number of the look to wait for.
    fn start(self: &Arc<Self>) -> Result<u64, NoLook> {
        let mut state = self.lock();
        if !state.is_looking {
            let counter = Arc::clone(self);
            let look = move || counter.look();
            let started = thread::Builder::new().name("usage".to_owned()).spawn(look);
            started.map_err(|error| NoLook::Thread(Arc::new(error)))?;
            state.is_looking = true;
            state.looks += 1;
        }
        Ok(state.looks)
    }

    fn look(&self) {
        let ending = Ending(self);
        let asked = (self.looker)();
        let look = Arc::new(Look { at_ms: now_ms(), asked });
        let mut state = self.lock();
        state.last = Some(Last { number: state.looks, at: Instant::now(), look });
        drop(state);
        drop(ending);
    }

    async fn told(self: Arc<Self>, Times { fresh, patience }: Times) -> Told {
        if let Some(look) = self.last(|last| last.at.elapsed() < fresh) {
            return Ok(look);
        }
        let waited_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let silent = NoLook::Silent { waited_ms };
        let mut ended = self.ended.subscribe();
        let number = self.start()?;
        let in_time = tokio::time::timeout(patience, ended.wait_for(|ended| *ended >= number)).await;
        match in_time {
            // A look that ended by a panic has no answer.
            Ok(Ok(_)) => self.last(|last| last.number >= number).ok_or(silent),
            Ok(Err(_)) | Err(_) => Err(silent),
        }
    }
}

/// A look is over however it ends, or nobody could look again.
struct Ending<'c>(&'c Counter);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let looks = {
            let mut state = self.0.lock();
            state.is_looking = false;
            state.looks
        };
        self.0.ended.send_replace(looks);
    }
}

impl Desk {
    pub fn new(lookers: impl Iterator<Item = (ServerId, Looker)>) -> Self {
        let counter =
            |looker| Arc::new(Counter { looker, state: Mutex::default(), ended: watch::channel(0).0 });
        let counters = lookers.map(|(server, looker)| (server, counter(looker)));
        Self { counters: counters.collect(), times: Times { fresh: FRESH, patience: PATIENCE } }
    }

    /// What each of these servers tells, all asked at the same time.
    pub async fn ask(&self, servers: impl Iterator<Item = ServerId>) -> BTreeMap<ServerId, Told> {
        let asking: Vec<_> = servers
            .filter_map(|server| {
                let counter = Arc::clone(self.counters.get(&server)?);
                Some((server, tokio::spawn(counter.told(self.times))))
            })
            .collect();
        let mut told = BTreeMap::new();
        for (server, answer) in asking {
            // A task ends early only with the daemon.
            if let Ok(answer) = answer.await {
                told.insert(server, answer);
            }
        }
        told
    }
}

#[cfg(test)]
mod tests;
