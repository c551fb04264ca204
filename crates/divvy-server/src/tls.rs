//! What a listener with TLS shows: a certificate and its key, from files that the settings name or made
//! by divvyd itself, read again when they change, without a restart and without losing a connection. None
//! of this is loaded unless a listener needs it. Who connects, and what for, is not known here.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use divvy_api::certificate::Fingerprint;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::chain::chain;
use crate::clock::now_ms;
use own::Own;

mod ends;
mod own;

/// A certificate that ends in less than this time is told.
const WARN: Duration = Duration::from_secs(14 * 24 * 60 * 60);

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not PEM as it should be", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate", path.display())]
    Empty { path: PathBuf },
    #[error("the key {} cannot be used with the certificate {}", pair.key.display(), pair.certificate.display())]
    Key { pair: Pair, source: rustls::Error },
    #[error("{} was not made by divvyd; name it and its key under [tls] in the settings, or move it", path.display())]
    NotOurs { path: PathBuf },
    #[error("no certificate can be made for the names of this server")]
    Make(#[source] rcgen::Error),
    #[error("the certificate cannot be kept in {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
    #[error("the addresses of this server cannot be listed")]
    Addresses(#[source] nix::errno::Errno),
}

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A pair that fits.
struct Loaded {
    key: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
    /// Nothing when that cannot be read.
    ends_ms: Option<u64>,
}

impl Pair {
    fn load(&self) -> Result<Loaded, TlsError> {
        let read = |path: &Path| {
            let failed = |source| TlsError::Unreadable { path: path.to_owned(), source };
            std::fs::read(path).map(zeroize::Zeroizing::new).map_err(failed)
        };
        let malformed = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Pem { path, source }
        };
        let text = read(&self.certificate)?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let all = all.map_err(malformed(&self.certificate))?;
        let first = all.first().ok_or_else(|| TlsError::Empty { path: self.certificate.clone() })?;
        let fingerprint = Fingerprint::of(first);
        let ends_ms = ends::of(first).map(|seconds| seconds.saturating_mul(1000));
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(malformed(&self.key))?;
        let key = CertifiedKey::from_der(all, key, &ring::default_provider());
        let key = key.map_err(|source| TlsError::Key { pair: self.clone(), source })?;
        Ok(Loaded { key: Arc::new(key), fingerprint, ends_ms })
    }

    /// What tells that one of the files was changed.
    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).ok().map(|found| Stamp::of(&found)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size_bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self { inode: found.ino(), size_bytes: found.len(), changed: (found.mtime(), found.mtime_nsec()) }
    }
}

/// What is shown now. Every connection that comes gets the newest.
struct Shown(RwLock<Loaded>);

impl Shown {
    fn now<T>(&self, look: impl FnOnce(&Loaded) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shown(…)")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now(|loaded| Arc::clone(&loaded.key)))
    }
}

/// The certificate that this daemon shows, if it shows one.
#[derive(Debug, Clone, Default)]
pub struct Presented(Option<Arc<Shown>>);

impl Presented {
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.0.as_ref().map(|shown| shown.now(|loaded| loaded.fingerprint))
    }
}

/// Where the certificate comes from.
enum Source {
    Files(Pair),
    Own(Own),
}

/// What is wrong with the certificate, for an administrator to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The files have changed and cannot be used; the old certificate is shown still.
    Unusable {
        why: String,
    },
    EndsSoon {
        days: u64,
    },
}

/// TLS of one listener.
pub struct Tls {
    source: Source,
    shown: Arc<Shown>,
    /// The files when they were looked at last, whatever came of it.
    stamps: [Option<Stamp>; 2],
    unusable: Option<String>,
}

impl Tls {
    /// With a certificate that the settings name.
    pub fn of_files(pair: Pair) -> Result<Self, TlsError> {
        Self::of(Source::Files(pair))
    }

    /// With a certificate of our own for these names, kept below the state directory.
    pub fn own(state_dir: &Path, names: BTreeSet<String>, address: IpAddr) -> Result<Self, TlsError> {
        let also = if address.is_unspecified() { addresses()? } else { BTreeSet::new() };
        let own = Own { folder: state_dir.join("tls"), names, also };
        own.ensure(now_ms())?;
        Self::of(Source::Own(own))
    }

    fn of(source: Source) -> Result<Self, TlsError> {
        let pair = source.pair();
        let stamps = pair.stamps();
        let shown = Arc::new(Shown(RwLock::new(pair.load()?)));
        Ok(Self { source, shown, stamps, unusable: None })
    }

    pub fn presented(&self) -> Presented {
        Presented(Some(Arc::clone(&self.shown)))
    }

    /// TLS 1.3 alone: every client of the last years has it.
    pub fn config(&self) -> Result<ServerConfig, TlsError> {
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Setup)?;
        let mut config = config
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.shown) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Looks whether the files have changed or our own certificate ends soon, and shows the new one.
    pub fn look_again(&mut self) {
        if let Source::Own(own) = &self.source
            && let Err(error) = own.ensure(now_ms())
        {
            self.unusable = Some(chain(&error));
            return;
        }
        let pair = self.source.pair();
        let stamps = pair.stamps();
        // Our own pair may be as it was when making another one failed, and be good again.
        let is_mended = self.unusable.is_some() && matches!(self.source, Source::Own(_));
        if stamps != self.stamps || is_mended {
            self.stamps = stamps;
            self.load(&pair);
        }
    }

    /// Loads the files, changed or not.
    pub fn load_again(&mut self) {
        let pair = self.source.pair();
        self.stamps = pair.stamps();
        self.load(&pair);
    }

    fn load(&mut self, pair: &Pair) {
        match pair.load() {
            Ok(loaded) => {
                tracing::info!(fingerprint = %loaded.fingerprint, "the certificate was read again");
                *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                self.unusable = None;
            }
            Err(error) => {
                let why = chain(&error);
                tracing::warn!(why, "the certificate cannot be read again; the old one is shown still");
                self.unusable = Some(why);
            }
        }
    }

    pub fn troubles(&self, now_ms: u64) -> Vec<Trouble> {
        let left_ms = self.shown.now(|loaded| loaded.ends_ms).map(|ends_ms| ends_ms.saturating_sub(now_ms));
        let soon = left_ms.filter(|left_ms| *left_ms < own::milliseconds(WARN));
        let soon = soon.map(|left_ms| Trouble::EndsSoon { days: left_ms / (24 * 60 * 60 * 1000) });
        let unusable = self.unusable.clone().map(|why| Trouble::Unusable { why });
        unusable.into_iter().chain(soon).collect()
    }
}

impl Source {
    fn pair(&self) -> Pair {
        match self {
            Self::Files(pair) => pair.clone(),
            Self::Own(own) => own.pair(),
        }
    }
}

/// The addresses of this server, but for those that lead nowhere from another one.
fn addresses() -> Result<BTreeSet<String>, TlsError> {
    let all = nix::ifaddrs::getifaddrs().map_err(TlsError::Addresses)?.filter_map(|one| one.address);
    let ip = all.filter_map(|address| {
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    let reaches_far = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    Ok(ip.filter(reaches_far).map(|ip| ip.to_string()).collect())
}

#[cfg(test)]
mod tests;
