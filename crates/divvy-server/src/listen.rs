//! Where and how divvyd answers over TCP: without TLS on loopback, with TLS everywhere else, without TLS
//! elsewhere only if the settings insist. It keeps the certificate fresh while it listens. What is
//! answered is not known here.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::clock::now_ms;
use crate::daemon::Options;
use crate::http::Names;
use crate::notices::Notices;
use crate::settings::{Settings, is_name};
use crate::tcp;
use crate::tls::{Presented, Tls, TlsError};

/// How often the certificate's files are looked at.
const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("listening on {address} failed")]
    Address { address: SocketAddr, source: std::io::Error },
    #[error("the certificate for {address} cannot be used or made")]
    Certificate { address: SocketAddr, source: Box<TlsError> },
    #[error("this machine's name cannot be read")]
    Name(#[source] nix::errno::Errno),
    #[error("the signal to read the certificate again cannot be caught")]
    Signal(#[source] std::io::Error),
}

/// What is needed to listen, found before anything runs.
pub struct Listening {
    address: Option<SocketAddr>,
    tls: Option<Tls>,
    names: Names,
    notices: Notices,
}

impl Listening {
    pub fn prepare(options: &Options, notices: &Notices) -> Result<Self, ListenError> {
        let Some(address) = options.listen else {
            let names = Names::default();
            return Ok(Self { address: None, tls: None, names, notices: notices.clone() });
        };
        let settings = &options.settings;
        let all = names(settings)?;
        let is_loopback = address.ip().to_canonical().is_loopback();
        let failed = |error| ListenError::Certificate { address, source: Box::new(error) };
        let tls = match (&settings.tls, is_loopback || settings.insecure_plain_http) {
            (_, true) => None,
            (Some(pair), false) => Some(Tls::of_files(pair.clone()).map_err(failed)?),
            (None, false) => {
                let certified = certified(&all, address);
                Some(Tls::own(&options.state_dir, certified, address.ip()).map_err(failed)?)
            }
        };
        if tls.is_none() && !is_loopback {
            tracing::warn!(%address, "answering without TLS, as the settings say");
            notices.plain_http();
        }
        if let Some(tls) = &tls {
            notices.certificate(tls.troubles(now_ms()));
        }
        Ok(Self { address: Some(address), tls, names: Names::new(all), notices: notices.clone() })
    }

    /// Under which names divvyd may be asked.
    pub fn names(&self) -> Names {
        self.names.clone()
    }

    pub fn presented(&self) -> Presented {
        self.tls.as_ref().map(Tls::presented).unwrap_or_default()
    }

    pub async fn open(self) -> Result<Tcp, ListenError> {
        // Caught also where there is nothing to read again: a reload must not end the daemon.
        let reload = signal(SignalKind::hangup()).map_err(ListenError::Signal)?;
        let Some(address) = self.address else {
            return Ok(Tcp { listener: None, fresh: Fresh { tls: None, reload, notices: self.notices } });
        };
        let failed = |error| ListenError::Certificate { address, source: Box::new(error) };
        let acceptor = match &self.tls {
            Some(tls) => {
                let config = tls.config().map_err(failed)?;
                Some(TlsAcceptor::from(Arc::new(config)))
            }
            None => None,
        };
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ListenError::Address { address, source })?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        match self.presented().fingerprint() {
            Some(fingerprint) => tracing::info!(%address, scheme, %fingerprint, "answering over TCP"),
            None => tracing::info!(%address, scheme, "answering over TCP"),
        }
        let fresh = Fresh { tls: self.tls, reload, notices: self.notices };
        Ok(Tcp { listener: Some((listener, acceptor)), fresh })
    }
}

/// The names by which people reach this server.
fn names(settings: &Settings) -> Result<BTreeSet<String>, ListenError> {
    let own = nix::unistd::gethostname().map_err(ListenError::Name)?;
    let own = own.to_string_lossy().into_owned();
    let called = settings.server_name.as_ref().map(ToString::to_string);
    let all = settings.names.iter().cloned().chain([own]).chain(called);
    Ok(all.filter(|name| is_name(name)).collect())
}

/// What a certificate of our own is made for.
fn certified(names: &BTreeSet<String>, address: SocketAddr) -> BTreeSet<String> {
    let specific = Some(address.ip().to_canonical()).filter(|ip| !ip.is_unspecified());
    let here = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    names.iter().cloned().chain(here).chain(specific.map(|ip| ip.to_string())).collect()
}

/// An open listener, or none.
pub struct Tcp {
    listener: Option<(TcpListener, Option<TlsAcceptor>)>,
    fresh: Fresh,
}

impl Tcp {
    /// Answers until the daemon ends.
    pub async fn serve(self, app: Router, ended: watch::Receiver<bool>) {
        let until = tcp::until(ended.clone());
        let answering = async {
            if let Some((listener, acceptor)) = self.listener {
                tcp::serve(listener, acceptor, app, ended).await;
            }
        };
        let keeping = async {
            tokio::select! {
                () = self.fresh.keep() => {}
                () = until => {}
            }
        };
        tokio::join!(answering, keeping);
    }
}

/// Keeps the certificate that is shown fresh.
struct Fresh {
    tls: Option<Tls>,
    reload: Signal,
    notices: Notices,
}

impl Fresh {
    async fn keep(mut self) {
        let Some(mut tls) = self.tls else {
            while self.reload.recv().await.is_some() {
                tracing::info!("there is no certificate to read again; other settings need a restart");
            }
            return;
        };
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => tls.look_again(),
                _ = self.reload.recv() => tls.load_again(),
            }
            self.notices.certificate(tls.troubles(now_ms()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_the_server_this_machine_and_the_address_it_listens_on() {
        let certified = |address: &str| {
            let names = BTreeSet::from(["edge-1".to_owned()]);
            certified(&names, address.parse().expect("an address")).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(certified("0.0.0.0:1"), ["127.0.0.1", "::1", "edge-1", "localhost"]);
        assert_eq!(certified("192.0.2.1:1"), ["127.0.0.1", "192.0.2.1", "::1", "edge-1", "localhost"]);
    }
}
