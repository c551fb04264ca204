//! Who asks. On the Unix socket the kernel tells (SO_PEERCRED) and the socket's mode says who may
//! connect; over TCP a token does, or a session that somebody signed in for. Roles come later; today
//! whoever gets in may do everything.

use std::net::SocketAddr;

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

    /// A user of this machine.
    pub fn user(uid: u32) -> Self {
        let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        Self(name.unwrap_or_else(|| format!("uid {uid}")))
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

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token("0123456789abcdef".into());
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!token.is(wrong), "{wrong:?} passed");
        }
    }
}
