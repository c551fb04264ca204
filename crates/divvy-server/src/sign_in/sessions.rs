//! Who is signed in. Sessions are in memory only: a restart of the daemon signs everybody out. Kept is
//! the hash of a session's id, so that a look at the memory gives no session away. How a session comes to
//! its request and back is not known here.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::auth::Principal;
use crate::random;

/// A session that nobody uses ends after this time.
pub const IDLE: Duration = Duration::from_secs(30 * 60);
/// Every session ends after this time.
pub const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Most sessions that one user has; one more ends the one that was not used for the longest time.
const OF_USER: usize = 32;
/// Most sessions of all users.
const OF_ALL: usize = 1024;

/// Names a session without being of any use to who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// Of the id that a cookie brought.
    pub fn of(id: &str) -> Self {
        Self(Sha256::digest(id.as_bytes()).into())
    }
}

/// What was made at a sign-in.
#[derive(Debug)]
pub struct NewSession {
    /// The secret that the cookie holds.
    pub id: String,
    pub csrf: String,
}

/// What a request is told of its session.
#[derive(Debug, Clone)]
pub struct Signed {
    pub key: SessionKey,
    pub principal: Principal,
    pub csrf: String,
    /// How long the session can last at most from now.
    pub left: Duration,
    /// Says when the session ends before that.
    pub ended: watch::Receiver<()>,
}

struct Session {
    principal: Principal,
    csrf: String,
    made: Instant,
    used: Instant,
    /// Its end is the end of the session, for whoever is being answered in it.
    alive: watch::Sender<()>,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.used) >= IDLE || now.duration_since(self.made) >= LONGEST
    }
}

/// All sessions.
#[derive(Default)]
pub struct Sessions {
    all: HashMap<SessionKey, Session>,
}

impl Sessions {
    pub fn open(&mut self, principal: Principal, now: Instant) -> io::Result<NewSession> {
        let new = NewSession { id: random::secret()?, csrf: random::secret()? };
        self.all.retain(|_, session| !session.is_over(now));
        let own = |session: &Session| session.principal.as_str() == principal.as_str();
        if self.all.values().filter(|session| own(session)).count() >= OF_USER {
            self.end_longest_unused(own);
        }
        if self.all.len() >= OF_ALL {
            self.end_longest_unused(|_| true);
        }
        let alive = watch::Sender::new(());
        let session = Session { principal, csrf: new.csrf.clone(), made: now, used: now, alive };
        self.all.insert(SessionKey::of(&new.id), session);
        Ok(new)
    }

    /// The session of this id, which is used now.
    pub fn find(&mut self, id: &str, now: Instant) -> Option<Signed> {
        let signed = self.look(id, now)?;
        if let Some(session) = self.all.get_mut(&signed.key) {
            session.used = now;
        }
        Some(signed)
    }

    /// The same for what a page asks by itself: nobody uses the session.
    pub fn look(&mut self, id: &str, now: Instant) -> Option<Signed> {
        let key = SessionKey::of(id);
        let session = self.all.get(&key)?;
        if session.is_over(now) {
            self.all.remove(&key);
            return None;
        }
        Some(Signed {
            key,
            principal: session.principal.clone(),
            csrf: session.csrf.clone(),
            left: LONGEST.saturating_sub(now.duration_since(session.made)),
            ended: session.alive.subscribe(),
        })
    }

    pub fn end(&mut self, key: SessionKey) {
        self.all.remove(&key);
    }

    fn end_longest_unused(&mut self, of: impl Fn(&Session) -> bool) {
        let candidates = self.all.iter().filter(|(_, session)| of(session));
        let key = candidates.min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
        key.map(|key| self.all.remove(&key));
    }
}

#[cfg(test)]
mod tests;
