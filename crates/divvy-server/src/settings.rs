//! The settings file: every setting has a default, so no file is the usual case. TOML; a member that is
//! not known, or a value that makes no sense, is an error that names it, and the daemon does not start.
//!
//! ```toml
//! # /etc/divvy/divvyd.toml
//! server_name = "edge-1"                 # default: the host name
//! libvirt_uri = "qemu:///system"
//! more_gpus = ["8086:10c9"]              # vendor:device of hardware that counts as a GPU whatever its class
//! mig_gpus = ["10de:2331"]               # vendor:device of NVIDIA's GPUs to be split by MIG
//! sriov_manage = "/usr/lib/nvidia/sriov-manage"
//! write_deadline_seconds = 60            # for changing a partition count
//! socket_group = "divvy"                 # who besides root may use the socket and sign in; default: nobody
//! listen = "0.0.0.0:7480"                # where to answer over TCP; default: nowhere
//! names = ["gpu.example.com"]            # what this server is called, beside its host name
//! insecure_plain_http = false            # true: no TLS, whoever listens
//!
//! [tls]                                  # default: a certificate of its own
//! certificate = "/etc/divvy/tls.pem"
//! key = "/etc/divvy/tls.key"
//!
//! [[webhook]]                            # who is told of events; default: nobody; at most 8
//! url = "https://hooks.example.com/divvy"
//! secret_file = "/etc/divvy/webhook.secret"   # signs; nobody else may read it
//! ca = "/etc/divvy/ca.pem"               # whose certificates are believed; default: those of this server
//! codes = ["job_failed", "step_failed"]  # which events; default: all
//! insecure_plain_http = false            # true: an http:// address beyond this server may be
//! ```

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use divvy_core::id::ServerId;
use serde::Deserialize;

use crate::tls::Pair;
use crate::webhook::settings::{InvalidWebhook, Table as WebhookTable, Webhook};

/// Where the file is when nobody says.
pub const DEFAULT_FILE: &str = "/etc/divvy/divvyd.toml";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub server_name: Option<ServerId>,
    pub libvirt_uri: String,
    pub more_gpus: BTreeSet<(u16, u16)>,
    pub mig_gpus: BTreeSet<(u16, u16)>,
    /// NVIDIA's program that turns the functions of a GPU on, as an absolute path.
    pub sriov_manage: String,
    pub write_deadline: Duration,
    pub socket_group: Option<String>,
    pub listen: Option<SocketAddr>,
    pub names: Vec<String>,
    pub insecure_plain_http: bool,
    pub tls: Option<Pair>,
    pub webhooks: Vec<Webhook>,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("the settings file {} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the settings file {} is not as it should be", path.display())]
    Malformed { path: PathBuf, source: Box<toml::de::Error> },
    #[error("the settings file {} has {setting} {text:?}, which is not vendor:device in hex, like \"8086:10c9\"", path.display())]
    Numbers { path: PathBuf, setting: &'static str, text: String },
    #[error("the settings file {} has sriov_manage {text:?}, which is no absolute path", path.display())]
    SriovManage { path: PathBuf, text: String },
    #[error("the settings file {} has write_deadline_seconds {seconds}; it has to be 5 to 3600", path.display())]
    WriteDeadline { path: PathBuf, seconds: u64 },
    #[error("the settings file {} has the name {name:?}, which is neither a name nor an address of a server", path.display())]
    Name { path: PathBuf, name: String },
    #[error("the settings file {} has a [[webhook]] that cannot be used", path.display())]
    Webhook { path: PathBuf, source: InvalidWebhook },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    server_name: Option<ServerId>,
    libvirt_uri: String,
    more_gpus: Vec<String>,
    mig_gpus: Vec<String>,
    sriov_manage: String,
    write_deadline_seconds: u64,
    socket_group: Option<String>,
    listen: Option<SocketAddr>,
    names: Vec<String>,
    insecure_plain_http: bool,
    tls: Option<TlsFiles>,
    webhook: Vec<WebhookTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl Default for File {
    fn default() -> Self {
        Self {
            server_name: None,
            libvirt_uri: "qemu:///system".to_owned(),
            more_gpus: Vec::new(),
            mig_gpus: Vec::new(),
            sriov_manage: divvy_host::paths::SRIOV_MANAGE.to_owned(),
            write_deadline_seconds: 60,
            socket_group: None,
            listen: None,
            names: Vec::new(),
            insecure_plain_http: false,
            tls: None,
            webhook: Vec::new(),
        }
    }
}

/// Reads the file that was named; without a name the usual one, if it is there.
pub fn read(named: Option<&Path>) -> Result<Settings, SettingsError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(SettingsError::Unreadable { path: path.to_owned(), source }),
    };
    parse(path, &text)
}

/// Understands the text of the file; `path` is for what is said about it.
pub fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
    let file: File = toml::from_str(text)
        .map_err(|source| SettingsError::Malformed { path: path.to_owned(), source: Box::new(source) })?;
    if !file.sriov_manage.starts_with('/') {
        return Err(SettingsError::SriovManage { path: path.to_owned(), text: file.sriov_manage });
    }
    let seconds = file.write_deadline_seconds;
    if !(5..=3600).contains(&seconds) {
        return Err(SettingsError::WriteDeadline { path: path.to_owned(), seconds });
    }
    if let Some(name) = file.names.iter().find(|name| !is_name(name)) {
        return Err(SettingsError::Name { path: path.to_owned(), name: name.clone() });
    }
    let webhooks = Webhook::read_all(file.webhook)
        .map_err(|source| SettingsError::Webhook { path: path.to_owned(), source })?;
    Ok(Settings {
        server_name: file.server_name,
        libvirt_uri: file.libvirt_uri,
        more_gpus: numbers(path, "more_gpus", file.more_gpus)?,
        mig_gpus: numbers(path, "mig_gpus", file.mig_gpus)?,
        sriov_manage: file.sriov_manage,
        write_deadline: Duration::from_secs(seconds),
        socket_group: file.socket_group,
        listen: file.listen,
        names: file.names,
        insecure_plain_http: file.insecure_plain_http,
        tls: file.tls.map(|files| Pair { certificate: files.certificate, key: files.key }),
        webhooks,
    })
}

/// What a certificate can be made for.
pub fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    (1..=253).contains(&text.len()) && text.bytes().all(is_plain)
}

fn numbers(
    path: &Path,
    setting: &'static str,
    texts: Vec<String>,
) -> Result<BTreeSet<(u16, u16)>, SettingsError> {
    let wrong = |text: String| SettingsError::Numbers { path: path.to_owned(), setting, text };
    texts.into_iter().map(|text| vendor_and_device(&text).ok_or_else(|| wrong(text))).collect()
}

fn vendor_and_device(text: &str) -> Option<(u16, u16)> {
    let (vendor, device) = text.split_once(':')?;
    let hex = |text: &str| {
        let plain = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u16::from_str_radix(text, 16).ok()).flatten()
    };
    Some((hex(vendor)?, hex(device)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Settings, SettingsError> {
        parse(Path::new("divvyd.toml"), text)
    }

    #[test]
    fn an_empty_file_has_every_default() {
        let settings = parsed("").expect("is fine");
        assert_eq!(settings.libvirt_uri, "qemu:///system");
        assert_eq!(settings.write_deadline, Duration::from_secs(60));
    }

    #[test]
    fn what_is_written_is_taken() {
        let settings = parsed("server_name = 'edge-1'\nmore_gpus = ['8086:10c9']\n").expect("is fine");
        assert_eq!(settings.server_name.map(|name| name.to_string()).as_deref(), Some("edge-1"));
        assert!(settings.more_gpus.contains(&(0x8086, 0x10c9)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_named() {
        let table = [
            ("colour = 1", "colour"),
            ("server_name = 'a b'", "a b"),
            ("more_gpus = ['8086']", "8086"),
            ("more_gpus = ['+086:10c9']", "+086"),
            ("mig_gpus = ['10de']", "mig_gpus"),
            ("sriov_manage = 'sriov-manage'", "absolute path"),
            ("write_deadline_seconds = 1", "write_deadline_seconds 1"),
            ("write_deadline_seconds = 'x'", "write_deadline_seconds"),
            ("server_name = ", "server_name"),
            ("listen = '7480'", "listen"),
            ("names = ['a b']", "a b"),
            ("names = ['']", "\"\""),
            ("insecure_plain_http = 'yes'", "insecure_plain_http"),
            ("[tls]\ncertificate = 'c.pem'", "key"),
            ("[tls]\ncertificate = 'c'\nkey = 'k'\ncolour = 1", "colour"),
        ];
        for (text, named) in table {
            let told = crate::chain::chain(&parsed(text).expect_err("refused"));
            assert!(told.contains(named), "{text}: {told}");
        }
    }

    #[test]
    fn a_webhook_that_makes_no_sense_is_refused_with_its_member_and_without_its_secrets() {
        let good = "[[webhook]]\nurl = 'https://a.example/?secret'\nsecret_file = '/s'\n";
        let plain = "[[webhook]]\nurl = 'http://a.example/?secret'\nsecret_file = '/s'\n";
        let table = [
            ("[[webhook]]\nsecret_file = '/s'".to_owned(), "url"),
            ("[[webhook]]\nurl = 'https://a.example/'".to_owned(), "secret_file"),
            ("[[webhook]]\nurl = 'nowhere'\nsecret_file = '/s'".to_owned(), "url of number 1"),
            ("[[webhook]]\nurl = 'https://a:secret@b/'\nsecret_file = '/s'".to_owned(), "a password"),
            (
                "[[webhook]]\nurl = 'https://a.example/'\nsecret_file = 's'".to_owned(),
                "secret_file of https://a",
            ),
            (format!("{good}ca = 'ca.pem'"), "ca of https://a.example/ is ca.pem"),
            (format!("{good}colour = 1"), "colour"),
            (format!("{good}codes = []"), "codes of https://a.example/ is an empty list"),
            (format!("{good}codes = ['assinged']"), "\"assinged\""),
            (format!("{good}codes = 'assigned'"), "codes"),
            (format!("{good}insecure_plain_http = true"), "insecure_plain_http"),
            (plain.to_owned(), "insecure_plain_http = true"),
            (good.repeat(2), "stands there twice"),
            (good.repeat(9), "there are 9 of them"),
        ];
        for (text, named) in table {
            let told = crate::chain::chain(&parsed(&text).expect_err("refused"));
            assert!(told.contains(named) && !told.contains("?secret"), "{text}: {told}");
        }
        for good in [
            good.to_owned(),
            format!("{plain}insecure_plain_http = true"),
            plain.replace("a.example", "[::1]"),
        ] {
            let settings = parsed(&good).expect("is fine");
            assert_eq!(settings.webhooks.len(), 1, "{good}");
            assert!(!format!("{settings:?}").contains("?secret"), "{settings:?}");
        }
    }

    #[test]
    fn a_file_that_was_named_has_to_be_there() {
        assert!(matches!(
            read(Some(Path::new("/nowhere/divvyd.toml"))),
            Err(SettingsError::Unreadable { .. })
        ));
    }
}
