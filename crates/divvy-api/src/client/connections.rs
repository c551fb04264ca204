//! Connections that are kept open between questions, because opening one costs as much as a small
//! question. What is asked, and what an answer means, is not known here: divvyd calls others with it too.
//!
//! A kept connection may have been closed by the server meanwhile. A question that was not sent on it is
//! sent on a new one; a question that may have arrived is never sent twice.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::Unreachable;
use super::tls::Trust;
use crate::endpoint::{Endpoint, HttpAddress};

/// How long a connection may take to open.
const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// So many are kept while nobody asks.
const KEPT: usize = 64;

/// One open connection.
pub type Sender = SendRequest<Full<Bytes>>;

/// The idle connections of a client and its clones.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    idle: Arc<Mutex<Vec<Sender>>>,
    trust: Option<Trust>,
}

impl Connections {
    /// That believe these certificates.
    pub fn with_trust(trust: Trust) -> Self {
        Self { trust: Some(trust), ..Self::default() }
    }

    /// Sends a request and answers with the head of the answer, and with the connection that its body is
    /// still to be read from; [`Connections::keep`] it after that.
    pub async fn send(
        &self,
        endpoint: &Endpoint,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Sender), Unreachable> {
        while let Some(mut sender) = self.take() {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut error) => match error.take_message() {
                    Some(not_sent) => request = not_sent,
                    None => return Err(Unreachable::Broken(error.into_error())),
                },
            }
        }
        let mut sender = self.open(endpoint).await?;
        let response = sender.send_request(request).await.map_err(Unreachable::Broken)?;
        Ok((response, sender))
    }

    /// For the next question.
    pub fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(sender);
        }
    }

    /// The one that was used last: the one most likely to be still open.
    fn take(&self) -> Option<Sender> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Sender, Unreachable> {
        let tcp = |address: &HttpAddress| TcpStream::connect((address.host.clone(), address.port));
        match endpoint {
            Endpoint::Unix(path) => start(opened(UnixStream::connect(path)).await?).await,
            Endpoint::Http(address) => start(opened(tcp(address)).await?).await,
            Endpoint::Https(address) => {
                let trust = self.trust.as_ref().ok_or(Unreachable::NoTrust)?;
                let stream = opened(tcp(address)).await?;
                let timeout_ms = CONNECT_TIMEOUT_MS;
                match timeout(Duration::from_millis(timeout_ms), trust.connect(address, stream)).await {
                    Ok(Ok(stream)) => start(stream).await,
                    Ok(Err(untrusted)) => Err(untrusted),
                    Err(_) => Err(Unreachable::ConnectTimeout { timeout_ms }),
                }
            }
        }
    }
}

async fn opened<S>(connecting: impl Future<Output = std::io::Result<S>>) -> Result<S, Unreachable> {
    match timeout(Duration::from_millis(CONNECT_TIMEOUT_MS), connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Unreachable::Connect(error)),
        Err(_) => Err(Unreachable::ConnectTimeout { timeout_ms: CONNECT_TIMEOUT_MS }),
    }
}

async fn start<S>(stream: S) -> Result<Sender, Unreachable>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(Unreachable::Broken)?;
    // Moves the bytes; its own end shows in the answers, so it is not kept.
    tokio::spawn(connection);
    Ok(sender)
}
