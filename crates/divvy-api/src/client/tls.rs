//! TLS to a server: which certificate is believed to be its own, and the connection over it. What is
//! asked there is not known here.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Unreachable;
use crate::certificate::Fingerprint;
use crate::endpoint::HttpAddress;

/// Which certificates are believed. Cheap to clone.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(…)")
    }
}

/// Why nothing can be believed.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrust {
    #[error("it is not PEM as it should be")]
    Pem(#[source] rustls::pki_types::pem::Error),
    #[error("there is no certificate in it")]
    Empty,
    #[error("TLS cannot be set up")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The file of certificates that this machine trusts; each family of systems has its own place for it.
pub fn system_certificates() -> Option<PathBuf> {
    const PLACES: [&str; 3] =
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];
    PLACES.iter().map(PathBuf::from).find(|place| place.exists())
}

impl Trust {
    /// Believes what these certificates (PEM) or who they belong to have signed, for the name that is asked.
    pub fn certificates(pem: &[u8]) -> Result<Self, InvalidTrust> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let mut roots = RootCertStore::empty();
        // Systems come with certificates that newer rules do not take; the others do.
        roots.add_parsable_certificates(all.map_err(InvalidTrust::Pem)?);
        if roots.is_empty() {
            return Err(InvalidTrust::Empty);
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = verifier.build().map_err(|error| InvalidTrust::Setup(error.into()))?;
        Self::of(verifier, provider)
    }

    /// Believes this certificate and no other, whatever it says of itself.
    pub fn fingerprint(fingerprint: Fingerprint) -> Result<Self, InvalidTrust> {
        let provider = Arc::new(ring::default_provider());
        Self::of(Arc::new(Pinned { fingerprint, provider: Arc::clone(&provider) }), provider)
    }

    fn of(
        verifier: Arc<dyn ServerCertVerifier>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, InvalidTrust> {
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| InvalidTrust::Setup(error.into()))?;
        let mut config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) async fn connect(
        &self,
        address: &HttpAddress,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Unreachable> {
        let name = ServerName::try_from(address.host.clone()).map_err(std::io::Error::other);
        let name = name.map_err(Unreachable::Tls)?;
        let connected = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await;
        connected.map_err(|error| match other_certificate(&error) {
            Some(shown) => Unreachable::OtherCertificate { shown },
            None => Unreachable::Tls(error),
        })
    }
}

/// Compares the fingerprint, and lets the handshake prove that the server has the key to it.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

/// Another certificate than the one that is believed.
#[derive(Debug, thiserror::Error)]
#[error("its fingerprint is {shown}")]
struct OtherCertificate {
    shown: Fingerprint,
}

/// What the server showed, if that is why the handshake failed.
fn other_certificate(error: &std::io::Error) -> Option<Fingerprint> {
    match error.get_ref()?.downcast_ref()? {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.0.downcast_ref::<OtherCertificate>().map(|other| other.shown)
        }
        _ => None,
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(certificate);
        if shown == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        let other = rustls::OtherError(Arc::new(OtherCertificate { shown }));
        Err(Error::InvalidCertificate(CertificateError::Other(other)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_nothing_to_believe() {
        for pem in ["", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(Trust::certificates(pem.as_bytes()), Err(InvalidTrust::Empty)), "{pem:?}");
        }
        let torn = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(Trust::certificates(torn.as_bytes()), Err(InvalidTrust::Pem(_))));
    }
}
