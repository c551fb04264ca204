//! A short name for a long text: the same text has the same name on every machine and in every version,
//! and two texts that somebody wrote by accident do not share one (FNV-1a, 128 bits). It keeps no secret.

use std::io::Write;

use serde::Serialize;

const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// Takes a text in, piece by piece.
pub struct Fingerprint(u128);

impl Fingerprint {
    pub fn of(bytes: &[u8]) -> String {
        let mut own = Self(BASIS);
        own.take(bytes);
        own.name()
    }

    /// The name of a value's JSON.
    pub fn of_json(value: &impl Serialize) -> String {
        let mut own = Self(BASIS);
        // Writing into a number cannot fail; a value that is no JSON has the name of what was written.
        let _ = serde_json::to_writer(&mut own, value);
        own.name()
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }

    fn name(&self) -> String {
        format!("{:032x}", self.0)
    }
}

impl Write for Fingerprint {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.take(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_text_is_the_published_one() {
        assert_eq!(Fingerprint::of(b""), "6c62272e07bb014262b821756295c58d");
        assert_eq!(Fingerprint::of(b"foobar"), "343e1662793c64bf6f0d3597ba446f18");
    }

    #[test]
    fn a_value_has_the_name_of_its_json() {
        assert_eq!(Fingerprint::of_json(&["a", "b"]), Fingerprint::of(br#"["a","b"]"#));
    }
}
