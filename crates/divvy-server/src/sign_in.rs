//! Signing in: a local account's password, or the token, becomes a session. Every attempt is counted
//! before it is looked at; every refusal is the same and takes the same time, whatever was wrong. How a
//! session travels with a request is not known here.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::auth::{Principal, Token};
use crate::pam::{Pam, PamUnavailable};
use rate::{Allowance, Buckets};
use sessions::{NewSession, Sessions};

pub mod rate;
pub mod sessions;

/// One address may be mistaken so often, then once in this time.
const OF_ADDRESS: Allowance = Allowance { attempts: 10, refill: Duration::from_secs(10) };
/// The same for one user's name, wherever the attempts come from.
const OF_USER: Allowance = Allowance { attempts: 20, refill: Duration::from_secs(5) };
/// When a refusal is told: later than a check of a password takes, so that what was wrong does not show.
const REFUSED_AFTER: Duration = Duration::from_secs(2);
/// Longest name and password that PAM is asked about.
const NAME_BYTES: usize = 256;
const PASSWORD_BYTES: usize = 511;

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("too many attempts to sign in")]
    TooMany { wait: Duration },
    #[error("the user, the password or the token is wrong, or may not sign in here")]
    Refused,
    #[error("nobody can sign in with a password on this server now")]
    Unavailable(#[from] PamUnavailable),
    #[error("no session can be made")]
    Random(#[source] std::io::Error),
}

/// The rules of signing in, and everybody who is.
pub struct SignIn {
    sessions: Mutex<Sessions>,
    rates: Mutex<Rates>,
    pam: Pam,
    token: Token,
    refused_after: Duration,
}

struct Rates {
    addresses: Buckets,
    users: Buckets,
}

impl Rates {
    /// Takes an attempt from both, or says how long to wait and takes none.
    fn take(&mut self, address: &Source, user: Option<&str>, now: Instant) -> Result<(), SignInError> {
        let of_user = user.and_then(|user| self.users.wait(&user, now));
        if let Some(wait) = self.addresses.wait(address, now).max(of_user) {
            return Err(SignInError::TooMany { wait });
        }
        self.addresses.take(address, now);
        user.inspect(|user| self.users.take(user, now));
        Ok(())
    }

    fn give_back(&mut self, address: &Source, user: Option<&str>) {
        self.addresses.give_back(address);
        user.inspect(|user| self.users.give_back(user));
    }
}

/// Where attempts come from. An IPv6 network is one source: whoever has one has 2⁶⁴ addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Source([u8; 8]);

impl Source {
    fn of(address: IpAddr) -> Self {
        let mut own = [0; 8];
        match address.to_canonical() {
            IpAddr::V4(address) => own[4..].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => own.copy_from_slice(&address.octets()[..8]),
        }
        Self(own)
    }
}

impl SignIn {
    pub fn new(token: Token, pam: Pam) -> Self {
        let rates = Rates { addresses: Buckets::new(OF_ADDRESS), users: Buckets::new(OF_USER) };
        Self {
            sessions: Mutex::default(),
            rates: Mutex::new(rates),
            pam,
            token,
            refused_after: REFUSED_AFTER,
        }
    }

    /// Everybody who is signed in.
    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_token(&self, given: &str) -> bool {
        self.token.is(given)
    }

    pub async fn with_password(
        &self,
        address: IpAddr,
        user: &str,
        password: &Zeroizing<String>,
    ) -> Result<(Principal, NewSession), SignInError> {
        let check = async {
            if user.is_empty() || user.len() > NAME_BYTES || password.len() > PASSWORD_BYTES {
                return Ok(None);
            }
            let name = self.pam.ask(user, password, &address.to_string()).await?;
            Ok(name.map(Principal::named))
        };
        self.attempt(address, Some(user), check).await
    }

    pub async fn with_token(
        &self,
        address: IpAddr,
        token: &str,
    ) -> Result<(Principal, NewSession), SignInError> {
        let check = async { Ok(self.is_token(token).then(Principal::token)) };
        // It cannot be guessed, so that wrong ones of others need not keep its owner out.
        self.attempt(address, None, check).await
    }

    async fn attempt(
        &self,
        address: IpAddr,
        user: Option<&str>,
        check: impl Future<Output = Result<Option<Principal>, PamUnavailable>>,
    ) -> Result<(Principal, NewSession), SignInError> {
        let (source, started) = (Source::of(address), tokio::time::Instant::now());
        self.rates().take(&source, user, started.into_std())?;
        let Some(principal) = check.await? else {
            tokio::time::sleep_until(started + self.refused_after).await;
            return Err(SignInError::Refused);
        };
        self.rates().give_back(&source, user);
        let session = self.sessions().open(principal.clone(), Instant::now()).map_err(SignInError::Random)?;
        tracing::info!(user = principal.as_str(), %address, "signed in");
        Ok((principal, session))
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn sign_in() -> SignIn {
        let token = Token("a".repeat(64).as_str().into());
        SignIn { refused_after: Duration::ZERO, ..SignIn::new(token, Pam::new(None)) }
    }

    async fn with_token(sign_in: &SignIn, token: &str) -> Result<(), SignInError> {
        sign_in.with_token(HERE, token).await.map(|_| ())
    }

    #[tokio::test]
    async fn the_token_opens_a_session() {
        let sign_in = sign_in();
        let (principal, new) = sign_in.with_token(HERE, &"a".repeat(64)).await.expect("is let in");
        assert_eq!(principal.as_str(), "token");
        assert!(sign_in.sessions().find(&new.id, Instant::now()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_comes_at_the_same_time_whatever_was_wrong() {
        let sign_in = SignIn { refused_after: REFUSED_AFTER, ..sign_in() };
        let long = Zeroizing::new("x".repeat(600));
        for _ in 0..2 {
            let begun = tokio::time::Instant::now();
            assert!(with_token(&sign_in, "wrong").await.is_err());
            assert_eq!(begun.elapsed(), REFUSED_AFTER);
            let begun = tokio::time::Instant::now();
            assert!(sign_in.with_password(HERE, "ann", &long).await.is_err());
            assert_eq!(begun.elapsed(), REFUSED_AFTER);
        }
    }

    #[tokio::test]
    async fn wrong_attempts_are_counted_until_nobody_looks_at_the_next() {
        let sign_in = sign_in();
        for _ in 0..OF_ADDRESS.attempts {
            assert!(matches!(with_token(&sign_in, "wrong").await, Err(SignInError::Refused)));
        }
        let right = with_token(&sign_in, &"a".repeat(64)).await;
        assert!(matches!(right, Err(SignInError::TooMany { wait }) if !wait.is_zero()), "{right:?}");
    }

    #[tokio::test]
    async fn good_attempts_are_not_counted() {
        let sign_in = sign_in();
        for _ in 0..3 * OF_ADDRESS.attempts {
            with_token(&sign_in, &"a".repeat(64)).await.expect("is let in");
        }
    }

    #[tokio::test]
    async fn a_name_or_password_that_no_account_has_is_refused_without_asking() {
        let sign_in = sign_in();
        let long = "x".repeat(600);
        for (user, password) in [("", "x"), (long.as_str(), "x"), ("ann", long.as_str())] {
            let answer = sign_in.with_password(HERE, user, &Zeroizing::new(password.to_owned())).await;
            assert!(matches!(answer, Err(SignInError::Refused)), "{user} {password}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_an_address_of_ipv4_is_one() {
        let source = |text: &str| Source::of(text.parse().expect("is an address"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:2"));
        assert_ne!(source("2001:db8:0:1::1"), source("2001:db8:0:2::1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }
}
