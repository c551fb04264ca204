//! The fingerprint of a certificate: the SHA-256 of its DER, as `openssl x509 -fingerprint -sha256` and
//! every browser show it. Who trusts it is not known here.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Names one certificate and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no SHA-256 fingerprint: 64 hex digits, with or without a : after every second")]
pub struct InvalidFingerprint {
    pub text: String,
}

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let invalid = || InvalidFingerprint { text: text.to_owned() };
        let digits: String = match text.contains(':') {
            true if text.split(':').all(|pair| pair.len() == 2) => text.split(':').collect(),
            true => return Err(invalid()),
            false => text.to_owned(),
        };
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let mut own = [0; 32];
        for (at, byte) in own.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| invalid())?;
        }
        Ok(Self(own))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        f.write_str(&pairs.join(":"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_as_it_is_shown_and_without_colons() {
        let own = Fingerprint::of(b"certificate");
        let shown = own.to_string();
        assert_eq!(shown.parse(), Ok(own));
        assert_eq!(shown.replace(':', "").to_lowercase().parse(), Ok(own));
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        let shown = Fingerprint::of(b"certificate").to_string();
        let spread = shown.replacen(':', "", 1);
        for wrong in
            ["", "AB:CD", &shown[3..], &spread, &shown.replace(':', "-"), &"+1".repeat(32), &"é".repeat(32)]
        {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong:?} was taken");
        }
    }
}
