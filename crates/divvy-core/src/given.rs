//! What Divvy gives a VM as one device: a partition, or one function of a GPU that is given whole. Its
//! name is left in the VM's definition, so that it is known again under another address. What a VM does
//! with it is not known here.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::as_text::as_text;
use crate::id::{GpuId, PartitionId};

/// How many functions a slot can have.
const FUNCTIONS: u8 = 8;

/// One thing given. Printed and parsed as `GPU.INDEX` for a partition, `GPU:FUNCTION` for a function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Given {
    Partition(PartitionId),
    Function { gpu: GpuId, function: u8 },
}

/// A text that names nothing that can be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither a partition written GPU.INDEX nor a function written GPU:FUNCTION")]
pub struct InvalidGiven {
    pub text: String,
}

impl Given {
    pub fn gpu(&self) -> &GpuId {
        match self {
            Self::Partition(partition) => &partition.gpu,
            Self::Function { gpu, .. } => gpu,
        }
    }

    /// For people.
    pub fn in_words(&self) -> String {
        match self {
            Self::Partition(partition) => format!("partition {partition}"),
            Self::Function { gpu, function: 0 } => format!("GPU {gpu}"),
            Self::Function { gpu, function } => format!("function {function} of GPU {gpu}"),
        }
    }
}

impl From<PartitionId> for Given {
    fn from(partition: PartitionId) -> Self {
        Self::Partition(partition)
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(partition) => partition.fmt(f),
            Self::Function { gpu, function } => f.pad(&format!("{gpu}:{function}")),
        }
    }
}

impl FromStr for Given {
    type Err = InvalidGiven;
    fn from_str(text: &str) -> Result<Self, InvalidGiven> {
        let wrong = || InvalidGiven { text: text.to_owned() };
        let Some((gpu, function)) = text.split_once(':') else {
            return text.parse().map(Self::Partition).map_err(|_| wrong());
        };
        let number = match function.as_bytes() {
            [digit @ b'0'..=b'9'] => digit - b'0',
            _ => return Err(wrong()),
        };
        let gpu = gpu.parse().map_err(|_| wrong())?;
        if number < FUNCTIONS { Ok(Self::Function { gpu, function: number }) } else { Err(wrong()) }
    }
}

as_text!(Given);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn what_is_given_reads_back_what_it_prints() {
        for text in ["gpu-1.3", "gpu-48b02d0a41c7.12", "gpu-1:0", "gpu-1:7"] {
            assert_eq!(text.parse::<Given>().expect("parses").to_string(), text);
        }
    }

    #[test]
    fn a_text_that_names_nothing_is_refused() {
        for text in ["", "gpu-1", "gpu-1:8", "gpu-1:", "gpu-1:00", "gpu-1:+1", "GPU:0", ":0", "gpu-1.01"] {
            assert!(text.parse::<Given>().is_err(), "{text:?} was accepted");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = text.parse::<Given>();
        }
    }
}
