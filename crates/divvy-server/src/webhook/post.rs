//! One message on its way to one receiver: signed, posted, and what became of it. The answer's status
//! decides; what else a receiver says is read to its end if that is near, so that the connection can be
//! used again, and forgotten. Redirects are not followed. Who is told again, and when, is not known here.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use divvy_api::client::{Connections, InvalidTrust, Sender, Trust, Unreachable, system_certificates};
use divvy_api::endpoint::Endpoint;
use divvy_store::StoreError;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use tokio::time::timeout;

use super::message::Message;
use super::secret::{SecretError, Secrets};
use super::settings::{Address, Webhook};
use crate::clock::now_ms;

/// How long a receiver may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the rest of an answer may take that is read for the sake of its connection, and how long it may be.
const REST: Duration = Duration::from_secs(1);
const REST_BYTES: usize = 16 * 1024;

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error("it cannot be sent")]
    Unusable(#[from] Unusable),
    #[error("the receiver cannot be reached")]
    Unreachable(#[source] Unreachable),
    #[error("the receiver did not answer within {} seconds", ANSWER.as_secs())]
    Late,
    #[error("the receiver answered with status {}: it is told no more until divvyd is restarted", StatusCode::GONE.as_u16())]
    Gone,
    #[error("the receiver answered with status {status}; webhooks follow no redirects")]
    Redirect { status: u16 },
    #[error("the receiver answered with status {status}")]
    Status { status: u16, retry_after: Option<Duration> },
    #[error("the events cannot be read")]
    Store(#[from] StoreError),
    #[error("the next event is not in the store yet")]
    NotThere,
}

/// What keeps us from sending anything.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("ca {} cannot be read", path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error("ca {} cannot be used", path.display())]
    Ca { path: PathBuf, source: InvalidTrust },
    #[error("this server has no certificates that it trusts; name those of the receiver's authority with ca")]
    NoSystemCa,
}

impl NotTaken {
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Gone => Some(StatusCode::GONE.as_u16()),
            Self::Redirect { status } | Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the receiver asks to be left alone.
    pub fn asked_pause(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What is needed to tell one receiver. Read anew for every few events: its files may change, and nothing
/// of it is kept while there is nothing to tell.
pub struct Post {
    address: Address,
    secrets: Secrets,
    connections: Connections,
}

impl Post {
    /// Reads files.
    pub fn open(webhook: &Webhook) -> Result<Self, Unusable> {
        let secrets = Secrets::read(&webhook.secret_file)?;
        let connections = match webhook.address.endpoint {
            Endpoint::Https(_) => Connections::with_trust(trust(webhook)?),
            Endpoint::Http(_) | Endpoint::Unix(_) => Connections::default(),
        };
        Ok(Self { address: webhook.address.clone(), secrets, connections })
    }

    /// The status of the answer, if that says that the message was taken.
    pub async fn send(&self, message: &Message) -> Result<u16, NotTaken> {
        let exchange = self.connections.send(&self.address.endpoint, self.request(message));
        let (response, connection) = match timeout(ANSWER, exchange).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => return Err(NotTaken::Unreachable(error)),
            Err(_) => return Err(NotTaken::Late),
        };
        let outcome = outcome(response.status(), response.headers());
        self.finish(response, connection).await;
        outcome
    }

    fn request(&self, message: &Message) -> Request<Full<hyper::body::Bytes>> {
        let seconds = now_ms() / 1000;
        Request::post(self.address.target.as_str())
            .header(HOST, self.address.authority.as_str())
            .header(USER_AGENT, concat!("divvyd/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id.as_str())
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", self.secrets.sign(&message.id, seconds, &message.body))
            .body(Full::new(message.body.clone()))
            .expect("the address was read as one, and the rest is hex digits, base64 and words of ours")
    }

    /// Keeps the connection if the rest of the answer is short and comes soon.
    async fn finish(&self, response: Response<Incoming>, connection: Sender) {
        let mut body = response.into_body();
        let mut left = REST_BYTES;
        let rest = async {
            while let Some(frame) = body.frame().await {
                let length = frame.ok()?.data_ref().map_or(0, |data| data.len());
                left = left.checked_sub(length)?;
            }
            Some(())
        };
        if let Ok(Some(())) = timeout(REST, rest).await {
            self.connections.keep(connection);
        }
    }
}

fn outcome(status: StatusCode, headers: &HeaderMap) -> Result<u16, NotTaken> {
    let number = status.as_u16();
    match status {
        StatusCode::GONE => Err(NotTaken::Gone),
        _ if status.is_success() => Ok(number),
        _ if status.is_redirection() => Err(NotTaken::Redirect { status: number }),
        _ => {
            // A date is left alone: what we wait then is about as long.
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Err(NotTaken::Status { status: number, retry_after: seconds.map(Duration::from_secs) })
        }
    }
}

fn trust(webhook: &Webhook) -> Result<Trust, Unusable> {
    let path = webhook.ca.clone().or_else(system_certificates).ok_or(Unusable::NoSystemCa)?;
    match std::fs::read(&path) {
        Ok(pem) => Trust::certificates(&pem).map_err(|source| Unusable::Ca { path, source }),
        Err(source) => Err(Unusable::CaFile { path, source }),
    }
}
