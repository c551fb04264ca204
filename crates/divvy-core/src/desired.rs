//! What was asked for, per server, with a generation that only grows. Nothing here was observed; no
//! PCI address can stand here.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, Hold, Returning};
use crate::gpu::{PartitionCount, Scheme};
use crate::id::{GpuId, PartitionId, PoolName, ServerId, VmId};
use crate::split::{Sizes, Split};

/// Grows by one with every change of one server's desired state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// What one GPU shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionSetting {
    /// Not partitioned.
    Off,
    /// Split into this many, equal or not.
    Count(AskedCount),
}

/// A split with the scheme that the GPU had when it was asked for: by another one, partitions of the same
/// count are other partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CountRecord", into = "CountRecord")]
pub struct AskedCount {
    pub split: Split,
    /// None: recorded before schemes were.
    pub scheme: Option<Scheme>,
}

/// As it is written: a bare number where no scheme is known, and no number where the sizes say it. A
/// version that knows no sizes cannot read those, rather than to take them for equal.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum CountRecord {
    Bare(PartitionCount),
    WithScheme { number: PartitionCount, scheme: Scheme },
    Sizes { sizes: Sizes, scheme: Option<Scheme> },
}

impl From<CountRecord> for AskedCount {
    fn from(record: CountRecord) -> Self {
        match record {
            CountRecord::Bare(count) => Self { split: Split::Equal(count), scheme: None },
            CountRecord::WithScheme { number, scheme } => {
                Self { split: Split::Equal(number), scheme: Some(scheme) }
            }
            CountRecord::Sizes { sizes, scheme } => Self { split: Split::Sizes(sizes), scheme },
        }
    }
}

impl From<AskedCount> for CountRecord {
    fn from(AskedCount { split, scheme }: AskedCount) -> Self {
        match (split, scheme) {
            (Split::Equal(count), None) => Self::Bare(count),
            (Split::Equal(number), Some(scheme)) => Self::WithScheme { number, scheme },
            (Split::Sizes(sizes), scheme) => Self::Sizes { sizes, scheme },
        }
    }
}

impl PartitionSetting {
    /// Zero for off, as the kernel has it.
    pub fn as_number(self) -> u16 {
        match self {
            Self::Off => 0,
            Self::Count(asked) => asked.split.count().get(),
        }
    }

    /// None: off.
    pub fn split(self) -> Option<Split> {
        match self {
            Self::Off => None,
            Self::Count(asked) => Some(asked.split),
        }
    }

    /// Without a scheme; none is off.
    pub fn of(split: Option<Split>) -> Self {
        split.map_or(Self::Off, |split| Self::Count(AskedCount { split, scheme: None }))
    }

    /// So many equal partitions, without a scheme.
    pub fn from_number(number: u16) -> Self {
        Self::of(PartitionCount::new(number).map(Split::Equal))
    }

    /// The same split by this scheme.
    #[must_use]
    pub fn by(self, scheme: Option<Scheme>) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::Count(asked) => Self::Count(AskedCount { scheme, ..asked }),
        }
    }

    /// None: no partitions need none, or it is not known.
    pub fn scheme(self) -> Option<Scheme> {
        match self {
            Self::Off => None,
            Self::Count(asked) => asked.scheme,
        }
    }
}

/// What one server shall be. A GPU without a setting is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredServer {
    pub generation: Generation,
    pub settings: BTreeMap<GpuId, PartitionSetting>,
    pub assignments: BTreeMap<VmId, Assignment>,
    pub holds: BTreeMap<PartitionId, Hold>,
    /// Whole GPUs on their way back from a VM.
    #[serde(default)]
    pub returns: BTreeMap<GpuId, Returning>,
    /// The pool of each GPU that is in one. A pool is there while a GPU is in it.
    #[serde(default)]
    pub pools: BTreeMap<GpuId, PoolName>,
}

impl DesiredServer {
    /// The assignment that holds this partition.
    pub fn owner(&self, partition: &PartitionId) -> Option<&Assignment> {
        self.assignments.values().find(|assignment| assignment.partition() == Some(partition))
    }

    /// The assignment that holds this GPU as a whole.
    pub fn whole_owner(&self, gpu: &GpuId) -> Option<&Assignment> {
        self.assignments.values().find(|assignment| assignment.has_whole(gpu))
    }
}

/// What all servers shall be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    pub servers: BTreeMap<ServerId, Arc<DesiredServer>>,
}

impl Desired {
    pub fn server(&self, id: &ServerId) -> Option<&DesiredServer> {
        self.servers.get(id).map(Arc::as_ref)
    }

    pub fn server_mut(&mut self, id: &ServerId) -> &mut DesiredServer {
        Arc::make_mut(self.servers.entry(id.clone()).or_default())
    }

    /// The server on which a VM has its assignment, and that assignment.
    pub fn assignment(&self, vm: &VmId) -> Option<(&ServerId, &Assignment)> {
        self.servers.iter().find_map(|(id, server)| Some((id, server.assignments.get(vm)?)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_setting_is_read_as_it_was_written_and_as_it_was_before_schemes_and_sizes() {
        let mig = PartitionSetting::from_number(4).by(Some(Scheme::NvidiaMig));
        let list = [2, 4, 4].into_iter().filter_map(PartitionCount::new).collect::<Vec<_>>();
        let split = Split::Sizes(Sizes::try_from(list).expect("three are not too many"));
        let sizes = PartitionSetting::of(Some(split)).by(Some(Scheme::NvidiaMig));
        for (setting, text) in [
            (PartitionSetting::Off, r#""off""#),
            (PartitionSetting::from_number(4), r#"{"count":4}"#),
            (mig, r#"{"count":{"number":4,"scheme":"nvidia_mig"}}"#),
            (sizes, r#"{"count":{"sizes":[2,4,4],"scheme":"nvidia_mig"}}"#),
        ] {
            assert_eq!(serde_json::to_string(&setting).expect("a text"), text);
            assert_eq!(serde_json::from_str::<PartitionSetting>(text).expect("a setting"), setting);
        }
    }

    #[test]
    fn sizes_that_are_none_are_not_read() {
        for text in [r#"{"count":{"sizes":[],"scheme":null}}"#, r#"{"count":{"sizes":[0,2],"scheme":null}}"#]
        {
            assert!(serde_json::from_str::<PartitionSetting>(text).is_err(), "{text}");
        }
    }
}
