//! Who asks. On the Unix socket the kernel tells (SO_PEERCRED) and the socket's mode says who may
//! connect; over TCP a token does, or a session that somebody signed in for. Roles come later; today
//! whoever gets in may do everything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use nix::unistd::{Uid, User};
use tokio::net::UnixListener;

use crate::random;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub enum Peer {
    User {
        uid: u32,
    },
    /// The kernel did not tell who.
    Nobody,
    Tcp {
        address: SocketAddr,
        is_tls: bool,
    },
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        stream.io().peer_cred().map_or(Self::Nobody, |credentials| Self::User { uid: credentials.uid() })
    }
}

/// Who is written into the record of a change.
#[derive(Debug, Clone)]
pub struct Principal(String);

impl Principal {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whoever has the token.
    pub fn token() -> Self {
        Self("token".to_owned())
    }

    /// A user who signed in.
    pub fn named(name: String) -> Self {
        Self(name)
    }

    /// A user of this machine, who may be known by number only.
    fn user(uid: u32, name: Option<String>) -> Self {
        Self(name.unwrap_or_else(|| format!("uid {uid}")))
    }
}

/// So long a user's name is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// The users of this machine. A directory on another machine may know their names, so a name is looked up
/// beside the thread that answers, and remembered for a while.
#[derive(Clone, Default)]
pub struct Users {
    known: Arc<Mutex<BTreeMap<u32, (Instant, Principal)>>>,
}

impl Users {
    pub async fn principal(&self, uid: u32) -> Principal {
        let known = self.lock().get(&uid).filter(|(found, _)| found.elapsed() < REMEMBERED).cloned();
        if let Some((_, principal)) = known {
            return principal;
        }
        let look_up = move || User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        let name = tokio::task::spawn_blocking(look_up).await.ok().flatten();
        let principal = Principal::user(uid, name);
        self.lock().insert(uid, (Instant::now(), principal.clone()));
        principal
    }

    /// Whole after every statement under the lock, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, (Instant, Principal)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret that a TCP client must know: 32 random bytes, in hex.
#[derive(Clone)]
pub struct Token(pub std::sync::Arc<str>);

impl Token {
    pub fn is(&self, given: &str) -> bool {
        random::same(&self.0, given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_user_is_called_by_name_or_by_number_and_the_same_every_time() {
        let users = Users::default();
        for _ in 0..2 {
            assert_eq!(users.principal(0).await.as_str(), "root");
            assert_eq!(users.principal(4_000_000_000).await.as_str(), "uid 4000000000");
        }
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token("0123456789abcdef".into());
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!token.is(wrong), "{wrong:?} passed");
        }
    }
}
