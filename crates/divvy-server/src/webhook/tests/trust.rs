//! Receivers over TLS: an authority of one's own, and certificates that nobody vouches for.

use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::receiver::Request;
use super::{Place, view, wait_until};

/// An authority and what it has signed for this name.
fn signed_for(name: &str) -> (String, ServerConfig) {
    let mut of_authority = CertificateParams::new(Vec::new()).expect("no names are fine");
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(of_authority, KeyPair::generate().expect("a key"));
    let authority = authority.expect("is signed");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("is signed");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("is one");
    let config = config.expect("are known").with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).expect("fits");
    (authority.pem(), config)
}

/// Answers one request after the other with 204, over TLS, and tells the first line of each.
fn serve(config: ServerConfig) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let port = listener.local_addr().expect("has an address").port();
    let (tell, told) = std::sync::mpsc::channel();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("begins");
            let stream = StreamOwned::new(connection, stream.expect("is a connection"));
            let mut reader = BufReader::new(stream);
            while let Some(request) = Request::read(&mut reader) {
                if tell.send(request.head.lines().next().unwrap_or_default().to_owned()).is_err() {
                    return;
                }
                let _ = reader.get_mut().write_all(b"HTTP/1.1 204 X\r\ncontent-length: 0\r\n\r\n");
            }
        }
    });
    (port, told)
}

#[tokio::test]
async fn a_receiver_with_a_certificate_of_ones_own_authority_is_told() {
    let place = Place::new();
    let (authority, config) = signed_for("127.0.0.1");
    let ca = place.folder.path().join("ca.pem");
    std::fs::write(&ca, authority).expect("is written");
    let (port, told) = serve(config);
    let webhooks = place.prepare(&format!("https://127.0.0.1:{port}/x"), &format!("ca = '{}'", ca.display()));
    webhooks.expect("can be used").start();
    place.happens(&["assigned"]);
    let mut heard = None;
    wait_until("it is told", || {
        heard = told.try_recv().ok();
        heard.is_some()
    })
    .await;
    assert_eq!(heard.as_deref(), Some("POST /x HTTP/1.1"));
}

#[tokio::test]
async fn a_receiver_whose_certificate_is_of_another_authority_or_name_is_told_nothing() {
    let (other_authority, _) = signed_for("127.0.0.1");
    let (_, of_nobody) = signed_for("127.0.0.1");
    let (authority, of_other_name) = signed_for("elsewhere.example");
    for (authority, config) in [(other_authority, of_nobody), (authority, of_other_name)] {
        let place = Place::new();
        let ca = place.folder.path().join("ca.pem");
        std::fs::write(&ca, authority).expect("is written");
        let (port, told) = serve(config);
        let webhooks =
            place.prepare(&format!("https://127.0.0.1:{port}/"), &format!("ca = '{}'", ca.display()));
        let webhooks = webhooks.expect("can be used");
        webhooks.start();
        place.happens(&["assigned"]);
        let is_told = |text: String| text.contains("certificate");
        wait_until("it is refused", || view(&webhooks).last_error.is_some_and(is_told)).await;
        assert!(told.try_recv().is_err(), "something was said");
    }
}

#[test]
fn an_authority_that_cannot_be_read_is_refused_at_the_start() {
    let place = Place::new();
    for (text, ca) in [(None, "no.pem"), (Some("no PEM"), "bad.pem")] {
        let ca = place.folder.path().join(ca);
        if let Some(text) = text {
            std::fs::write(&ca, text).expect("is written");
        }
        let refused = place.prepare("https://127.0.0.1/", &format!("ca = '{}'", ca.display()));
        let told = crate::chain::chain(&refused.err().expect("is refused"));
        assert!(told.contains("ca /") && told.contains(".pem"), "{told}");
    }
}
