//! Reading one file or link as one value. A value that cannot be what it should be is an error that
//! names the file and the value; it never becomes a default. What the values are for is not known here.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use divvy_core::pci_address::PciAddress;

use crate::sysfs::Sysfs;

/// Longest piece of a wrong value that a message repeats, in characters.
const SHOWN_CHARS: usize = 80;

/// Why a file or link has no value.
#[derive(Debug, thiserror::Error)]
pub enum AttributeError {
    #[error("{path} cannot be read")]
    Unreadable {
        path: String,
        #[source]
        cause: io::Error,
    },
    #[error("{path} holds {value:?}, which is not {expected}")]
    Malformed { path: String, value: String, expected: &'static str },
}

impl AttributeError {
    pub fn unreadable(path: &str, cause: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), cause }
    }

    pub fn malformed(path: &str, value: &str, expected: &'static str) -> Self {
        Self::Malformed { path: path.to_owned(), value: value.chars().take(SHOWN_CHARS).collect(), expected }
    }

    /// The file is not there, which for many attributes is an answer.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Unreadable { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }

    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::Unreadable { cause, .. } if cause.kind() == io::ErrorKind::TimedOut)
    }

    /// The same once more, for who asks about something that was read already.
    pub fn again(&self) -> Self {
        match self {
            Self::Unreadable { path, cause } => {
                let same = || io::Error::new(cause.kind(), cause.to_string());
                let cause = cause.raw_os_error().map_or_else(same, io::Error::from_raw_os_error);
                Self::Unreadable { path: path.clone(), cause }
            }
            Self::Malformed { path, value, expected } => {
                Self::Malformed { path: path.clone(), value: value.clone(), expected }
            }
        }
    }

    /// The message with its cause, in one line.
    pub fn chain(&self) -> String {
        match self {
            Self::Unreadable { cause, .. } => format!("{self}: {cause}"),
            Self::Malformed { .. } => self.to_string(),
        }
    }
}

/// None where the file is not there.
pub fn optional<T>(result: Result<T, AttributeError>) -> Result<Option<T>, AttributeError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The text without white space around it.
pub fn text(sys: &dyn Sysfs, path: &str) -> Result<String, AttributeError> {
    let bytes = sys.read(path).map_err(|cause| AttributeError::unreadable(path, cause))?;
    utf8(path, &bytes)
}

/// The same, of a file that a driver may take its time for.
pub fn text_within(sys: &dyn Sysfs, path: &str, deadline: Duration) -> Result<String, AttributeError> {
    utf8(path, &bytes_within(sys, path, deadline)?)
}

/// The whole file, of one that a driver may take its time for, or whose read can hang behind a write.
pub fn bytes_within(sys: &dyn Sysfs, path: &str, deadline: Duration) -> Result<Vec<u8>, AttributeError> {
    sys.read_within(path, deadline).map_err(|cause| AttributeError::unreadable(path, cause))
}

/// A decimal number: digits only.
pub fn decimal<T: FromStr>(sys: &dyn Sysfs, path: &str) -> Result<T, AttributeError> {
    let text = text(sys, path)?;
    parse_decimal(&text).ok_or_else(|| AttributeError::malformed(path, &text, "a number"))
}

/// A decimal number in bytes that were read already.
pub fn decimal_of<T: FromStr>(path: &str, bytes: &[u8]) -> Result<T, AttributeError> {
    let text = utf8(path, bytes)?;
    parse_decimal(&text).ok_or_else(|| AttributeError::malformed(path, &text, "a number"))
}

/// A hexadecimal number, with or without `0x`.
pub fn hex(sys: &dyn Sysfs, path: &str) -> Result<u64, AttributeError> {
    let text = text(sys, path)?;
    parse_hex(&text).ok_or_else(|| AttributeError::malformed(path, &text, "a hexadecimal number"))
}

/// A hexadecimal number of at most 16 bits.
pub fn hex16(sys: &dyn Sysfs, path: &str) -> Result<u16, AttributeError> {
    let value = hex(sys, path)?;
    u16::try_from(value)
        .map_err(|_| AttributeError::malformed(path, &format!("{value:#x}"), "a 16-bit hexadecimal number"))
}

/// A switch, as the kernel prints it: `Y` or `N`, `1` or `0`.
pub fn switch(sys: &dyn Sysfs, path: &str) -> Result<bool, AttributeError> {
    let text = text(sys, path)?;
    match text.as_str() {
        "Y" | "y" | "1" => Ok(true),
        "N" | "n" | "0" => Ok(false),
        _ => Err(AttributeError::malformed(path, &text, "a switch (Y, N, 1 or 0)")),
    }
}

/// The last name in a link's target: `vfio-pci` of `../../../bus/pci/drivers/vfio-pci`.
pub fn link_name(sys: &dyn Sysfs, path: &str) -> Result<String, AttributeError> {
    let target = sys.link(path).map_err(|cause| AttributeError::unreadable(path, cause))?;
    match target.rsplit('/').next() {
        Some(name) if !name.is_empty() && name != ".." && name != "." => Ok(name.to_owned()),
        _ => Err(AttributeError::malformed(path, &target, "a link to something with a name")),
    }
}

/// A link to a PCI device, as its address.
pub fn link_address(sys: &dyn Sysfs, path: &str) -> Result<PciAddress, AttributeError> {
    let name = link_name(sys, path)?;
    name.parse().map_err(|_| AttributeError::malformed(path, &name, "a link to a PCI device"))
}

/// A number of digits only: no sign, no space.
pub fn parse_decimal<T: FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// A hexadecimal number, with or without `0x`; no sign.
pub fn parse_hex(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if plain { u64::from_str_radix(digits, 16).ok() } else { None }
}

fn utf8(path: &str, bytes: &[u8]) -> Result<String, AttributeError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err(AttributeError::malformed(path, &String::from_utf8_lossy(bytes), "a text")),
    }
}
