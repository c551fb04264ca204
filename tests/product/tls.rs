//! TLS where divvyd listens beyond this machine: its own certificate and a given one, who trusts them, and
//! what changes while it runs. It listens on every address and is asked on loopback.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::daemon::{DEADLINE, Daemon, Place, wait_until};
use crate::programs;
use crate::web::{self, Answer};

struct Server<'p> {
    place: &'p Place,
    daemon: Daemon<'p>,
    address: SocketAddr,
}

fn start(place: &Place) -> Server<'_> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("has an address");
    drop(listener);
    let daemon = place.start_with(&["--listen", &format!("0.0.0.0:{}", address.port())]);
    Server { place, daemon, address }
}

fn with_server(settings: &str, test: impl FnOnce(&Server<'_>)) {
    let place = Place::new("a2-edge");
    fs::write(place.path("settings.toml"), settings).expect("writes");
    let server = start(&place);
    test(&server);
    server.daemon.stop();
}

impl Server<'_> {
    fn certificate(&self) -> PathBuf {
        self.place.state_dir().join("tls/certificate.pem")
    }

    fn fingerprint(&self) -> String {
        let version = self.daemon.get("/v1/version");
        version["certificate_fingerprint"].as_str().expect("shows one").to_owned()
    }

    /// The command line program with the token, over this address.
    fn divvy(&self, scheme: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(programs::path("divvy"));
        for name in ["DIVVY_TOKEN", "DIVVY_CA", "DIVVY_FINGERPRINT", "SSL_CERT_FILE"] {
            command.env_remove(name);
        }
        command.args(["gpu", "list", "-o", "json", "--server"]).arg(format!("{scheme}://{}", self.address));
        command.arg("--token-file").arg(self.place.state_dir().join("token"));
        command.args(arguments).output().expect("runs")
    }

    fn trusts(&self, arguments: &[&str]) -> bool {
        let output = self.divvy("https", arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{:?} {told}", output.status);
        output.status.success()
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("connects");
        stream.set_read_timeout(Some(DEADLINE)).expect("is set");
        stream
    }

    /// As a browser that trusts the certificate.
    fn browser(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(self.certificate()).expect("is there");
        roots.add(certificate).expect("is one");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().expect("are known");
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let name = "localhost".try_into().expect("a name");
        StreamOwned::new(ClientConnection::new(config, name).expect("begins"), self.tcp())
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        web::ask(&mut self.browser(), method, path, &headers, body.as_bytes()).expect("is answered")
    }
}

/// Writes a certificate and its key.
fn write_pair(place: &Place) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("is signed");
    fs::write(place.path("certificate.pem"), certificate.pem()).expect("writes");
    fs::write(place.path("key.pem"), key.serialize_pem()).expect("writes");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a text")
}

#[test]
fn the_certificate_of_the_first_start_is_trusted_as_a_file_and_by_its_fingerprint() {
    with_server("", |server| {
        assert!(server.trusts(&["--ca", text(&server.certificate())]));
        assert!(server.trusts(&["--fingerprint", &server.fingerprint()]));
        let key = server.place.state_dir().join("tls/key.pem");
        assert_eq!(fs::metadata(key).expect("is there").permissions().mode() & 0o777, 0o600);
    });
}

#[test]
fn another_certificate_is_not_trusted_and_its_fingerprint_is_told() {
    with_server("", |server| {
        write_pair(server.place);
        assert!(!server.trusts(&["--ca", text(&server.place.path("certificate.pem"))]));
        let other = "AB:".repeat(31) + "AB";
        let output = server.divvy("https", &["--fingerprint", &other]);
        assert_eq!(output.status.code(), Some(4));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(&server.fingerprint()), "{told}");
        assert!(!server.trusts(&[]), "a certificate signed by itself was trusted by everybody");
    });
}

#[test]
fn without_tls_nothing_is_said_to_the_listener() {
    with_server("", |server| {
        let answer =
            web::ask_raw(&mut server.tcp(), b"GET /v1/version HTTP/1.0\r\n\r\n").expect("is answered");
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("https://"), "{}", answer.text());
    });
}

#[test]
fn who_says_nothing_or_garbage_does_not_keep_others_waiting() {
    with_server("", |server| {
        let mut held: Vec<TcpStream> = (0..20).map(|_| server.tcp()).collect();
        for (nth, stream) in held.iter_mut().enumerate() {
            let garbage: &[u8] = if nth % 2 == 0 { b"\x16\x03\x01\x40\x00\x01" } else { b"\x00\xff\x16" };
            stream.write_all(garbage).expect("is sent");
        }
        let mut big = server.tcp();
        // It is cut off somewhere on the way.
        let _ = big.write_all(&[0x16, 3, 1, 0xff, 0xff].repeat(100_000));
        let _ = big.read_to_end(&mut Vec::new());
        assert!(server.trusts(&["--fingerprint", &server.fingerprint()]));
        drop(held);
    });
}

#[test]
fn over_tls_the_cookie_belongs_to_this_server_alone_and_plain_http_is_over() {
    with_server("", |server| {
        let token = fs::read_to_string(server.place.state_dir().join("token")).expect("was made");
        let answer = server.ask("POST", "/v1/session", &[], &json!({ "token": token }).to_string());
        assert_eq!(answer.status, 201, "{}", answer.text());
        let head = answer.head.to_ascii_lowercase();
        assert!(head.contains("strict-transport-security: max-age="), "{head}");
        let line = answer.head.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie: "));
        let cookie = line.expect("has one").split_once(": ").expect("has a value").1;
        assert!(cookie.starts_with("__Host-divvy_session="), "{cookie}");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
        let id = cookie.split(';').next().expect("has a value");
        assert_eq!(server.ask("GET", "/v1/session", &[("Cookie", id)], "").status, 200);
        let plain = id.trim_start_matches("__Host-");
        assert_eq!(server.ask("GET", "/v1/session", &[("Cookie", plain)], "").status, 401);
    });
}

#[test]
fn the_certificate_stays_the_same_over_starts_and_a_new_name_makes_a_new_one() {
    let place = Place::new("a2-edge");
    let server = start(&place);
    let first = server.fingerprint();
    assert!(place.log().contains(&first), "the log does not tell the fingerprint");
    server.daemon.stop();
    let server = start(&place);
    assert_eq!(server.fingerprint(), first);
    server.daemon.stop();
    fs::write(place.path("settings.toml"), "names = ['gpu.example.com']").expect("writes");
    let server = start(&place);
    assert_ne!(server.fingerprint(), first);
    server.daemon.stop();
}

#[test]
fn a_given_certificate_is_shown_and_read_again_at_a_reload() {
    let place = Place::new("a2-edge");
    write_pair(&place);
    let (certificate, key) = (place.path("certificate.pem"), place.path("key.pem"));
    let settings = format!("[tls]\ncertificate = '{}'\nkey = '{}'\n", text(&certificate), text(&key));
    fs::write(place.path("settings.toml"), settings).expect("writes");
    let server = start(&place);
    let first = server.fingerprint();
    assert!(server.trusts(&["--ca", text(&certificate)]));
    assert!(!place.state_dir().join("tls").exists(), "a certificate was made that nobody needs");

    fs::write(&key, "half a key").expect("writes");
    server.daemon.reload();
    wait_until("the trouble is a finding", || codes(&server.daemon).contains(&"certificate_unusable".into()));
    assert_eq!(server.fingerprint(), first);

    write_pair(&place);
    server.daemon.reload();
    wait_until("the new certificate is shown", || server.fingerprint() != first);
    assert!(server.trusts(&["--ca", text(&certificate)]));
    assert!(server.trusts(&["--fingerprint", &server.fingerprint()]));
    server.daemon.stop();
}

fn codes(daemon: &Daemon<'_>) -> Vec<Value> {
    let findings = daemon.get("/v1/check");
    findings.as_array().expect("a list").iter().map(|finding| finding["code"].clone()).collect()
}

#[test]
fn plain_http_beyond_this_machine_is_only_for_who_insists_and_is_a_finding() {
    with_server("insecure_plain_http = true", |server| {
        let answer = web::ask(&mut server.tcp(), "GET", "/v1/version", &[], b"").expect("is answered");
        assert_eq!(answer.problem(), "unauthorized");
        assert!(codes(&server.daemon).contains(&"insecure_plain_http".into()));
        assert_eq!(server.daemon.get("/v1/version")["certificate_fingerprint"], Value::Null);
    });
}

#[test]
fn a_listener_of_the_settings_is_opened_and_a_reload_without_a_certificate_does_no_harm() {
    let place = Place::new("a2-edge");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("has an address");
    drop(listener);
    fs::write(place.path("settings.toml"), format!("listen = '{address}'")).expect("writes");
    let daemon = place.start();
    daemon.reload();
    let mut stream = TcpStream::connect(address).expect("connects");
    stream.set_read_timeout(Some(DEADLINE)).expect("is set");
    let answer = web::ask(&mut stream, "GET", "/v1/version", &[], b"").expect("is answered");
    assert_eq!(answer.problem(), "unauthorized");
    wait_until("the reload is told", || place.log().contains("no certificate to read again"));
    daemon.stop();
}
