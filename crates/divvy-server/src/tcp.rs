//! Answering over TCP, with TLS or without. Each connection is a task of its own, and everything before
//! its first request has a deadline: garbage, silence and slowness cost whoever sends them a connection,
//! and nobody else anything. Who asks, and whether that is allowed, is decided behind this.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::auth::Peer;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may be quiet between two.
const HEAD: Duration = Duration::from_secs(30);
/// Most connections at a time, and most of one address: one client cannot take all of them.
const OF_ALL: usize = 1024;
const OF_ADDRESS: usize = 128;
/// When no connection can be taken (no file descriptors are left), the next try is after this time.
const BREATH: Duration = Duration::from_millis(200);
/// What a TLS handshake begins with.
const HANDSHAKE_BYTE: u8 = 0x16;
/// What somebody is told who speaks plain HTTP to a listener with TLS.
const SPEAK_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    divvyd answers here over TLS only: https://\n";

/// Waits until the daemon ends.
pub async fn until(mut ended: watch::Receiver<bool>) {
    // The sender is gone only when the daemon ends.
    let _ = ended.wait_for(|ended| *ended).await;
}

/// Answers until the daemon ends.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    ended: watch::Receiver<bool>,
) {
    let open = Open::default();
    let end = ended.clone();
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    // One too many is closed at once.
                    if let Some(place) = open.take(address.ip()) {
                        let connection = connection(stream, address, tls.clone(), app.clone(), end.clone());
                        tokio::spawn(async move {
                            connection.await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    sleep(BREATH).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = until(ended) => {}
    }
}

/// The connections that are open now, by address.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection's place among them.
struct Place {
    open: Open,
    address: IpAddr,
}

impl Open {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.entry(address).or_default();
        if *own >= OF_ADDRESS || all >= OF_ALL {
            return None;
        }
        *own += 1;
        Some(Place { open: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// One connection from its first byte to its last. Whatever goes wrong is the other end's to notice.
async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    app: Router,
    ended: watch::Receiver<bool>,
) {
    // An answer is sent when it is there, not when there is more of it.
    let _ = stream.set_nodelay(true);
    let peer = Peer::Tcp { address, is_tls: tls.is_some() };
    let Some(tls) = tls else { return answer(stream, peer, app, ended).await };
    match timeout(HANDSHAKE, handshake(stream, tls)).await {
        Ok(Ok(Some(stream))) => answer(stream, peer, app, ended).await,
        Ok(Ok(None)) => {}
        Ok(Err(error)) => tracing::debug!(%address, %error, "no TLS came about"),
        Err(_) => tracing::debug!(%address, "no TLS came about in time"),
    }
}

/// Nothing for who does not speak TLS and was told so.
async fn handshake(
    mut stream: TcpStream,
    tls: TlsAcceptor,
) -> std::io::Result<Option<tokio_rustls::server::TlsStream<TcpStream>>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() && first[0] != HANDSHAKE_BYTE {
        stream.write_all(SPEAK_TLS).await?;
        return Ok(None);
    }
    tls.accept(stream).await.map(Some)
}

async fn answer<S>(stream: S, peer: Peer, app: Router, ended: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer.clone()));
        let answered = app.call(request);
        async move { answered.await as Result<Response<Body>, Infallible> }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A connection that breaks has nobody to be told.
        _ = connection.as_mut() => {}
        () = until(ended) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

#[cfg(test)]
mod tests;
