//! The secret that a receiver shares with us, and the signature that proves with it who sent something and
//! that nobody changed it: HMAC-SHA256, as the published Standard Webhooks conventions have it. The file
//! holds one secret in a line, or two while receivers change over from one to the other; both sign then.
//! What is signed is not known here.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use zeroize::Zeroizing;

/// How a secret may begin, so that it is known for one wherever it is found.
const PREFIX: &str = "whsec_";
/// How long a secret may be, decoded.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Most secrets in a file.
const MOST: usize = 2;
/// So much of a file is read.
const MAX_FILE_BYTES: u64 = 4096;
/// Whoever else may read the file could sign too.
const OTHERS: u32 = 0o077;

/// What signs. It is never printed.
pub struct Secrets(Vec<hmac::Key>);

/// Why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("secret_file {} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("secret_file {} is no file", path.display())]
    NoFile { path: PathBuf },
    #[error("secret_file {path} is open to others, mode {mode:03o}: chmod 600 {path}", path = path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("secret_file {} is not as it should be", path.display())]
    Malformed { path: PathBuf, source: InvalidSecret },
}

/// Why a text holds no secret. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    #[error("there is no secret in it; make one: echo whsec_$(openssl rand -base64 32)")]
    None,
    #[error("it has more than {MOST} secrets")]
    TooMany,
    #[error("line {line} is not base64, with or without {PREFIX} before it")]
    Base64 { line: usize },
    #[error("line {line} is a secret of {bytes} bytes; it has to have {} to {}", BYTES.start(), BYTES.end())]
    Length { line: usize, bytes: usize },
}

impl Secrets {
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
        // Opening something else than a file may wait for ever.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(SecretError::NoFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            return Err(SecretError::Open { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(&text).map_err(|source| SecretError::Malformed { path: path.to_owned(), source })
    }

    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let mut keys = Vec::new();
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
        for (line, text) in lines.map(|(at, text)| (at + 1, text)) {
            let text = text.strip_prefix(PREFIX).unwrap_or(text);
            let key = STANDARD.decode(text).map_err(|_| InvalidSecret::Base64 { line })?;
            let key = Zeroizing::new(key);
            if !BYTES.contains(&key.len()) {
                return Err(InvalidSecret::Length { line, bytes: key.len() });
            }
            keys.push(hmac::Key::new(hmac::HMAC_SHA256, &key));
        }
        match keys.len() {
            0 => Err(InvalidSecret::None),
            1..=MOST => Ok(Self(keys)),
            _ => Err(InvalidSecret::TooMany),
        }
    }

    /// One `v1,…` for each secret.
    pub fn sign(&self, id: &str, at_seconds: u64, body: &[u8]) -> String {
        let signature = |key: &hmac::Key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{at_seconds}.").as_bytes());
            context.update(body);
            format!("v1,{}", STANDARD.encode(context.sign()))
        };
        self.0.iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example of the Standard Webhooks conventions' own libraries.
    #[test]
    fn a_signature_is_the_published_one() {
        let secrets = Secrets::parse(SECRET).expect("is one");
        let signature =
            secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let both = Secrets::parse(&format!("{other}\n\n  {SECRET}\n")).expect("are two");
        let alone = Secrets::parse(SECRET).expect("is one").sign("a", 1, b"b");
        let signed = both.sign("a", 1, b"b");
        assert_eq!(signed.split(' ').nth(1), Some(alone.as_str()));
        assert_eq!(signed.split(' ').count(), 2);
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_repeated() {
        let short = STANDARD.encode([1; 23]);
        let long = STANDARD.encode([1; 65]);
        for (text, expected) in [
            ("", InvalidSecret::None),
            (" \n\n", InvalidSecret::None),
            ("\nwhsec_not base64", InvalidSecret::Base64 { line: 2 }),
            ("hunter2", InvalidSecret::Base64 { line: 1 }),
            (&short, InvalidSecret::Length { line: 1, bytes: 23 }),
            (&long, InvalidSecret::Length { line: 1, bytes: 65 }),
            (&[SECRET; 3].join("\n"), InvalidSecret::TooMany),
        ] {
            assert_eq!(Secrets::parse(text).err(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        std::fs::write(&file, SECRET).expect("is written");
        for (mode, is_good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("is set");
            assert_eq!(Secrets::read(&file).is_ok(), is_good, "{mode:o}");
        }
        assert!(matches!(Secrets::read(folder.path()), Err(SecretError::NoFile { .. })));
        assert!(matches!(Secrets::read(&folder.path().join("no")), Err(SecretError::Unreadable { .. })));
    }
}
