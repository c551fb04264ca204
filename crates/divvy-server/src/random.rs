//! Chance from the kernel: secrets of 256 bits, written as 64 hex digits, and small numbers. What they are
//! for is not known here.

use std::fs::File;
use std::io::{self, Read};

/// How many bytes a secret has.
pub const BYTES: usize = 32;

/// A new secret. The kernel's source never runs dry and never repeats.
pub fn secret() -> io::Result<String> {
    let mut random = [0u8; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(hex(&random))
}

/// A number that nobody can guess, for what has to differ from server to server.
pub fn number() -> io::Result<u16> {
    let mut random = [0u8; 2];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(u16::from_ne_bytes(random))
}

/// Bytes as lower case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text has the form of a secret.
pub fn is_secret(text: &str) -> bool {
    text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Compares in a time that does not tell how much was right.
pub fn same(own: &str, given: &str) -> bool {
    let (own, given) = (own.as_bytes(), given.as_bytes());
    own.len() == given.len() && own.iter().zip(given).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_256_bits_and_are_never_the_same() {
        let (first, second) = (secret().expect("is made"), secret().expect("is made"));
        assert!(is_secret(&first) && is_secret(&second), "{first} {second}");
        assert_ne!(first, second);
    }
}
