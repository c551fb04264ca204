//! What the settings say of one webhook: where it is, which events it is told of, whom it is believed to
//! be. Whether somebody answers there is not known here. What stands behind the `?` of an address may be
//! a secret: it is sent, and shown nowhere.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use divvy_api::endpoint::{Endpoint, InvalidAddress};
use hyper::Uri;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::happenings::CODES;
use crate::random::hex;

/// Most webhooks: each is a task, a connection and a place in the file of cursors.
pub const MOST: usize = 8;
/// Longest address.
const MAX_URL_BYTES: usize = 2048;

/// One receiver of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub address: Address,
    pub secret_file: PathBuf,
    /// The authority whose certificates are believed; None: those of this machine.
    pub ca: Option<PathBuf>,
    /// Empty: every event.
    pub codes: BTreeSet<String>,
}

/// Where a receiver is.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub endpoint: Endpoint,
    /// As the receiver is called in a request.
    pub authority: String,
    /// What is asked for there, with what stands behind the `?`.
    pub target: String,
    /// What people are shown.
    pub shown: String,
    /// What names it where no part of it may be read.
    pub name: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// One `[[webhook]]` as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    url: String,
    secret_file: PathBuf,
    ca: Option<PathBuf>,
    codes: Option<Vec<String>>,
    #[serde(default)]
    insecure_plain_http: bool,
}

/// Why a webhook cannot be.
#[derive(Debug, thiserror::Error)]
pub enum InvalidWebhook {
    #[error("there are {count} of them; at most {MOST} may be")]
    TooMany { count: usize },
    #[error("url of number {nth} is no address of a receiver")]
    Url { nth: usize, source: InvalidUrl },
    #[error("url {url} stands there twice")]
    Twice { url: String },
    #[error("url {url} is without TLS beyond this server; with insecure_plain_http = true it is done anyway")]
    PlainHttp { url: String },
    #[error("insecure_plain_http of {url} is for an address with http:// beyond this server")]
    NotPlainHttp { url: String },
    #[error("{member} of {url} is {}, which is no absolute path", path.display())]
    RelativePath { url: String, member: &'static str, path: PathBuf },
    #[error("codes of {url} is an empty list; leave it out for every event")]
    NoCodes { url: String },
    #[error("codes of {url} has {code:?}, which no event has; they are: {}", CODES.join(", "))]
    Code { url: String, code: String },
}

/// Why a text is not the address of a receiver. It is not repeated: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    #[error("it has {bytes} bytes, more than {MAX_URL_BYTES}")]
    Long { bytes: usize },
    #[error("it is not written https://NAME:PORT/PATH, in plain ASCII")]
    NotAnAddress,
    #[error("it has a user or a password; who sends is proved by the signature")]
    Credentials,
    #[error("it has a part behind #, which is never sent")]
    Fragment,
    #[error(transparent)]
    Endpoint(#[from] InvalidAddress),
}

impl Webhook {
    /// Reads all that the settings have.
    pub fn read_all(tables: Vec<Table>) -> Result<Vec<Self>, InvalidWebhook> {
        if tables.len() > MOST {
            return Err(InvalidWebhook::TooMany { count: tables.len() });
        }
        let mut all: Vec<Self> = Vec::new();
        for (at, table) in tables.into_iter().enumerate() {
            let webhook = Self::read(at + 1, table)?;
            if all.iter().any(|other| other.address == webhook.address) {
                return Err(InvalidWebhook::Twice { url: webhook.address.shown });
            }
            all.push(webhook);
        }
        Ok(all)
    }

    fn read(nth: usize, table: Table) -> Result<Self, InvalidWebhook> {
        let address = Address::read(&table.url).map_err(|source| InvalidWebhook::Url { nth, source })?;
        let url = || address.shown.clone();
        match (address.endpoint.is_private(), table.insecure_plain_http) {
            (false, false) => return Err(InvalidWebhook::PlainHttp { url: url() }),
            (true, true) => return Err(InvalidWebhook::NotPlainHttp { url: url() }),
            _ => {}
        }
        let paths = [("secret_file", Some(&table.secret_file)), ("ca", table.ca.as_ref())];
        for (member, path) in paths.into_iter().filter_map(|(member, path)| Some((member, path?))) {
            if !path.is_absolute() {
                return Err(InvalidWebhook::RelativePath { url: url(), member, path: path.clone() });
            }
        }
        let codes: BTreeSet<String> = match table.codes {
            None => BTreeSet::new(),
            Some(codes) if codes.is_empty() => return Err(InvalidWebhook::NoCodes { url: url() }),
            Some(codes) => codes.into_iter().collect(),
        };
        if let Some(code) = codes.iter().find(|code| !CODES.contains(&code.as_str())) {
            return Err(InvalidWebhook::Code { url: url(), code: code.clone() });
        }
        Ok(Self { address, secret_file: table.secret_file, ca: table.ca, codes })
    }

    /// Whether it is told of events with this code.
    pub fn wants(&self, code: &str) -> bool {
        self.codes.is_empty() || self.codes.contains(code)
    }

    /// Everybody on the way can read what it is told.
    pub fn is_plain(&self) -> bool {
        !self.address.endpoint.is_private()
    }
}

impl Address {
    pub fn read(text: &str) -> Result<Self, InvalidUrl> {
        if text.len() > MAX_URL_BYTES {
            return Err(InvalidUrl::Long { bytes: text.len() });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidUrl::NotAnAddress);
        }
        if text.contains('#') {
            return Err(InvalidUrl::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| InvalidUrl::NotAnAddress)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(InvalidUrl::NotAnAddress);
        };
        if authority.as_str().contains('@') {
            return Err(InvalidUrl::Credentials);
        }
        let endpoint = Endpoint::http(&format!("{scheme}://{authority}"))?;
        Ok(Self {
            endpoint,
            authority: authority.to_string(),
            target: target(&uri),
            shown: format!("{scheme}://{authority}{}", uri.path()),
            name: hex(&Sha256::digest(text)),
        })
    }
}

/// A request names at least the `/` that an address may leave out.
fn target(uri: &Uri) -> String {
    match uri.query() {
        Some(query) => format!("{}?{query}", uri.path()),
        None => uri.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_sent_whole_and_shown_without_what_may_be_secret() {
        for (text, target, shown) in [
            ("https://a.example", "/", "https://a.example/"),
            ("https://a.example:8443/x/y?token=1", "/x/y?token=1", "https://a.example:8443/x/y"),
            ("http://[::1]:80/x", "/x", "http://[::1]:80/x"),
            ("http://127.0.0.1?k=v", "/?k=v", "http://127.0.0.1/"),
        ] {
            let address = Address::read(text).expect("is one");
            assert_eq!((address.target.as_str(), address.shown.as_str()), (target, shown));
            assert!(!format!("{address:?}").contains('?'), "{address:?}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_receiver_is_refused_without_repeating_its_secrets() {
        let long = format!("https://a.example/{}", "x".repeat(MAX_URL_BYTES));
        for text in [
            "",
            "secret",
            "/secret",
            "a.example/secret",
            "ftp://a.example/secret",
            "https://me:secret@a.example/",
            "https://secret@a.example/",
            "https://a.example/#secret",
            "https://a.example/ secret",
            "https://a.example:99999/secret",
            "https:///secret",
            "https://ä.example/secret",
            &long,
        ] {
            let error = Address::read(text).expect_err(text);
            assert!(!crate::chain::chain(&error).contains("secret"), "{error}");
        }
    }
}
