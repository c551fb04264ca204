//! Where a server listens: a Unix socket, or an address for HTTP, plain or over TLS. Whether somebody listens there
//! is not known here, and neither is who may ask.

use std::fmt;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use hyper::Uri;

/// The socket of the server on this machine.
pub const DEFAULT_SOCKET: &str = "/run/divvy/divvy.sock";

/// The socket of a server that this user starts: the machine's for root, one of the user's own for
/// anybody else.
pub fn own_socket() -> PathBuf {
    // The owner of our own folder in /proc is our effective user id.
    let user = std::fs::metadata("/proc/self").map_or(0, |own| own.uid());
    if user == 0 {
        return PathBuf::from(DEFAULT_SOCKET);
    }
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    folder.unwrap_or_else(|| PathBuf::from(format!("/tmp/divvy-{user}"))).join("divvy/divvy.sock")
}

/// The socket to ask on: the user's own server if there is one, else the machine's.
pub fn usual_socket() -> PathBuf {
    let own = own_socket();
    if own.exists() { own } else { PathBuf::from(DEFAULT_SOCKET) }
}

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    Unix(PathBuf),
    Http(HttpAddress),
    /// Over TLS.
    Https(HttpAddress),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAddress {
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Why a text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    #[error("{text:?} is not an address; write https://HOST:PORT or http://HOST:PORT")]
    NotAnAddress { text: String },
    #[error("{text:?} has the scheme {scheme}; only https and http are spoken")]
    Scheme { text: String, scheme: String },
    #[error("{text:?} has more than a host and a port")]
    MoreThanHostAndPort { text: String },
}

impl Endpoint {
    /// Reads `https://HOST:PORT` or `http://HOST:PORT`; a port that is left out is 443 or 80.
    pub fn http(text: &str) -> Result<Self, InvalidAddress> {
        let not_an_address = || InvalidAddress::NotAnAddress { text: text.to_owned() };
        let uri: Uri = text.parse().map_err(|_| not_an_address())?;
        let scheme = uri.scheme_str().ok_or_else(not_an_address)?;
        let (usual_port, of): (u16, fn(HttpAddress) -> Self) = match scheme {
            "https" => (443, Self::Https),
            "http" => (80, Self::Http),
            other => {
                return Err(InvalidAddress::Scheme { text: text.to_owned(), scheme: other.to_owned() });
            }
        };
        let authority = uri.authority().ok_or_else(not_an_address)?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !bare || authority.as_str().contains('@') {
            return Err(InvalidAddress::MoreThanHostAndPort { text: text.to_owned() });
        }
        let bracketed = authority.host();
        let host = bracketed.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(bracketed);
        let after_host = &authority.as_str()[bracketed.len()..];
        let port = match after_host.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| not_an_address())?,
            None => usual_port,
        };
        if host.is_empty() {
            return Err(not_an_address());
        }
        Ok(of(HttpAddress { host: host.to_owned(), port }))
    }

    /// Whether nobody else can read what is sent there: it stays on this machine, or goes over TLS.
    pub fn is_private(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Https(_) => true,
            Self::Http(address) => {
                let ip = address.host.parse::<IpAddr>();
                ip.map_or(address.host == "localhost", |ip| ip.is_loopback())
            }
        }
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_it_was_written() {
        for text in ["http://127.0.0.1:7480", "http://[::1]:7480", "http://srv-a:80", "https://srv-a:7480"] {
            assert_eq!(Endpoint::http(text).expect("is an address").to_string(), text);
        }
    }

    #[test]
    fn a_port_that_is_left_out_is_the_usual_one() {
        for (text, whole) in [("http://srv-a/", "http://srv-a:80"), ("https://srv-a", "https://srv-a:443")] {
            assert_eq!(Endpoint::http(text).expect("is an address").to_string(), whole);
        }
    }

    #[test]
    fn what_is_not_a_host_and_a_port_is_refused() {
        let wrong = [
            "",
            "srv-a",
            "srv-a:7480",
            "ftp://srv-a:7480",
            "https://srv-a:7480/v1",
            "http://srv-a:7480/v1",
            "http://srv-a:7480?x=1",
            "http://me@srv-a:7480",
            "http://srv-a:70000",
            "http://srv-a:",
            "http://:80",
        ];
        for text in wrong {
            assert!(Endpoint::http(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn what_stays_here_or_goes_over_tls_is_private() {
        for (text, private) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9:1", true),
            ("http://[::1]:1", true),
            ("http://localhost:1", true),
            ("http://192.0.2.1:1", false),
            ("http://localhost.example:1", false),
            ("https://192.0.2.1:1", true),
        ] {
            assert_eq!(Endpoint::http(text).expect("is an address").is_private(), private, "{text}");
        }
    }
}
