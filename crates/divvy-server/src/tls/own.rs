//! The certificate that divvyd makes for itself: on its first start, when it gets another name, and a
//! month before the old one ends. It is signed by itself, so whoever connects trusts it as a file or by
//! its fingerprint. Files that somebody else put there are not touched.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::{Pair, TlsError};
use crate::replace::replace;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it lasts.
const LASTS: Duration = Duration::from_secs(365 * DAY.as_secs());
/// A new one is made so long before the end.
const EARLY: Duration = Duration::from_secs(30 * DAY.as_secs());
/// Clocks may be wrong by so much.
const SKEW: Duration = DAY;

/// The first line of our own certificate's file, before the names. PEM allows text around its blocks.
const MARK: &str = "Made by divvyd for: ";

/// What the certificate has to say.
#[derive(Debug, Clone)]
pub struct Own {
    /// Below the state directory.
    pub folder: PathBuf,
    /// The name that stands first, and all that it is made for.
    pub names: BTreeSet<String>,
    /// What it is made for too, without being made anew when these change: addresses that come and go.
    pub also: BTreeSet<String>,
}

impl Own {
    pub fn pair(&self) -> Pair {
        Pair { certificate: self.folder.join("certificate.pem"), key: self.folder.join("key.pem") }
    }

    /// Makes a certificate if there is none that is good from now on; says whether it did.
    pub fn ensure(&self, now_ms: u64) -> Result<bool, TlsError> {
        let pair = self.pair();
        let is_good = match std::fs::read_to_string(&pair.certificate) {
            Ok(text) => {
                let Some(names) = names_of(&text) else {
                    return Err(TlsError::NotOurs { path: pair.certificate });
                };
                let lasts = |ends_ms: u64| ends_ms > now_ms.saturating_add(milliseconds(EARLY));
                let loaded = pair.load();
                self.names.is_subset(&names) && loaded.is_ok_and(|loaded| loaded.ends_ms.is_some_and(lasts))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(TlsError::Unreadable { path: pair.certificate, source }),
        };
        if !is_good {
            self.make(now_ms)?;
        }
        Ok(!is_good)
    }

    fn make(&self, now_ms: u64) -> Result<(), TlsError> {
        let all: Vec<String> = self.names.union(&self.also).cloned().collect();
        let mut params = CertificateParams::new(all.clone()).map_err(TlsError::Make)?;
        let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(now_ms);
        params.not_before = now - SKEW;
        params.not_after = now + LASTS;
        let is_own_name = |name: &&String| *name != "localhost" && name.parse::<std::net::IpAddr>().is_err();
        let name = all.iter().find(is_own_name);
        params.distinguished_name.push(DnType::CommonName, name.map_or("divvyd", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(TlsError::Make)?;
        let certificate = params.self_signed(&key).map_err(TlsError::Make)?;
        let pair = self.pair();
        let written = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        let text = format!("{MARK}{}\n{}", all.join(" "), certificate.pem());
        // A kill between the two leaves a pair that does not fit, and the next start makes a new one.
        written
            .and_then(|()| replace(&pair.key, zeroize::Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600))
            .and_then(|()| replace(&pair.certificate, text.as_bytes(), 0o644))
            .map_err(|source| TlsError::Unwritable { path: self.folder.clone(), source })
    }
}

pub fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The names that a certificate of ours was made for; nothing for somebody else's file.
fn names_of(text: &str) -> Option<BTreeSet<String>> {
    let names = text.lines().next()?.strip_prefix(MARK)?;
    Some(names.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::clock::now_ms;

    fn own(folder: &Path, names: &[&str]) -> Own {
        let names = names.iter().map(ToString::to_string).collect();
        Own { folder: folder.join("tls"), names, also: ["192.0.2.7".to_owned()].into() }
    }

    fn made(own: &Own, now_ms: u64) -> bool {
        own.ensure(now_ms).expect("is made or kept")
    }

    #[test]
    fn it_is_made_once_and_its_key_is_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = own(folder.path(), &["edge-1", "127.0.0.1"]);
        assert!(made(&own, now_ms()));
        assert!(!made(&own, now_ms()), "it was made twice");
        let mode = std::fs::metadata(own.pair().key).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn it_lasts_a_year_and_is_made_anew_a_month_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = own(folder.path(), &["edge-1"]);
        let now = now_ms();
        made(&own, now);
        let ends_ms = own.pair().load().expect("is good").ends_ms.expect("has an end");
        assert_eq!(ends_ms / 1000, (now + milliseconds(LASTS)) / 1000);
        assert!(!made(&own, ends_ms - milliseconds(EARLY) - 1000));
        assert!(made(&own, ends_ms - milliseconds(EARLY) + 1000));
    }

    #[test]
    fn another_name_makes_another_certificate_and_an_address_that_came_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        made(&own(folder.path(), &["edge-1", "gpu"]), now_ms());
        assert!(!made(&own(folder.path(), &["edge-1"]), now_ms()));
        assert!(!made(
            &Own { also: ["192.0.2.8".to_owned()].into(), ..own(folder.path(), &["gpu"]) },
            now_ms()
        ));
        assert!(made(&own(folder.path(), &["edge-2"]), now_ms()));
    }

    #[test]
    fn a_pair_that_was_torn_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = own(folder.path(), &["edge-1"]);
        made(&own, now_ms());
        for text in ["", "no key", &KeyPair::generate().expect("a key").serialize_pem()] {
            std::fs::write(own.pair().key, text).expect("is written");
            assert!(made(&own, now_ms()), "kept with the key {text:?}");
        }
    }

    #[test]
    fn a_certificate_of_somebody_else_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = own(folder.path(), &["edge-1"]);
        made(&own, now_ms());
        std::fs::write(own.pair().certificate, "mine").expect("is written");
        assert!(matches!(own.ensure(now_ms()), Err(TlsError::NotOurs { .. })));
        assert_eq!(std::fs::read_to_string(own.pair().certificate).expect("is there"), "mine");
    }

    #[test]
    fn a_name_that_no_certificate_can_have_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(own(folder.path(), &["büro"]).ensure(now_ms()), Err(TlsError::Make(_))));
    }
}
