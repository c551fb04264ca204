//! A finding: something about a server, a GPU, a partition or a VM that somebody should know, with a
//! stable code, a text that names the thing, and the mend. Who looks for findings is not known here.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::as_text::as_text;
use crate::id::{GpuId, PartitionId, ServerId, VmId};

/// How much a finding stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Should be mended; stops nothing.
    Warning,
    /// Stops an assignment unless the administrator accepts it by its code; the acceptance is audited.
    NeedsAccept,
    /// Stops every assignment it concerns, until mended.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::NeedsAccept => "needs_accept",
            Self::Error => "error",
        })
    }
}

/// The stable name of a kind of finding: lower case words joined by `_`. Scripts lean on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct FindingCode(Cow<'static, str>);

/// A text that cannot be the code of a finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the code of a finding: lower case letters, digits and _ only, at most 64")]
pub struct InvalidFindingCode {
    pub text: String,
}

impl FindingCode {
    /// A code written in the product's source.
    pub const fn of(code: &'static str) -> Self {
        Self(Cow::Borrowed(code))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FindingCode {
    type Err = InvalidFindingCode;
    fn from_str(text: &str) -> Result<Self, InvalidFindingCode> {
        let well_formed = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if well_formed {
            Ok(Self(Cow::Owned(String::from(text))))
        } else {
            Err(InvalidFindingCode { text: String::from(text) })
        }
    }
}

as_text!(FindingCode);

impl fmt::Display for FindingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Subject {
    Cluster,
    Server(ServerId),
    Gpu(GpuId),
    Partition(PartitionId),
    Vm(VmId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Server(id) => write!(f, "server {id}"),
            Self::Gpu(id) => write!(f, "GPU {id}"),
            Self::Partition(id) => write!(f, "partition {id}"),
            Self::Vm(id) => write!(f, "VM {id}"),
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub code: FindingCode,
    pub severity: Severity,
    pub subject: Subject,
    /// What is so, naming the thing and the value that was read.
    pub text: String,
    /// What to do: the command, the firmware setting, the file.
    pub mend: String,
}
