//! Who has what: a partition belongs to one VM, and so does a GPU that is given whole; a VM has one
//! partition or whole GPUs, never both. A claim promises a VM so many GPUs of a pool while it runs: they are
//! picked when it starts, and are the pool's again when it is off.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::finding::FindingCode;
use crate::id::{GpuId, PartitionId, PoolName, VmId};

/// An assignment as it was decided. It names what the VM has; only `decide` makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    pub vm: VmId,
    /// The VM's name when it was assigned, so that a VM that is gone can still be named.
    pub vm_name: String,
    #[serde(flatten)]
    pub holding: Holding,
    /// Findings that the administrator accepted for this assignment.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accepted: BTreeSet<FindingCode>,
    /// The VM was running, cannot take what it was given while running, and its owner accepted a restart:
    /// it is shut down, changed and started, and this is cleared when it runs again.
    #[serde(default)]
    pub restart: bool,
    /// Its start was held up until it has the GPUs that it claims: Divvy starts it then, once, and this is
    /// cleared when it runs.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub start: bool,
}

/// What a VM has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Holding {
    Partition {
        partition: PartitionId,
    },
    Dda {
        gpus: Vec<WholeGpu>,
        /// They were picked for this claim, and go back to its pool when the VM is off.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
    },
    /// Nothing yet: what it is promised is picked when it starts.
    Claim {
        claim: Claim,
    },
}

/// So many GPUs of a pool, while the VM runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub pool: PoolName,
    pub count: u16,
}

/// A GPU that is given whole, with what has to be put back when it returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeGpu {
    pub gpu: GpuId,
    /// Every function of its slot.
    pub functions: Vec<FormerDriver>,
}

/// What held one function before it was given away. It is put back as it was, never guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerDriver {
    pub function: u8,
    pub driver: Option<String>,
    pub driver_override: Option<String>,
}

/// Why a partition that belongs to no VM is not free either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Hold {
    /// Its last VM gave it up; it goes to another one only after it was proved clean.
    Releasing { vm: VmId, vm_name: String },
    /// It could not be proved clean, or failed.
    Quarantined { reason: String },
    /// It was quarantined for this reason, and its reset is tried once more.
    Curing { reason: String },
    /// It was quarantined for this reason, and all partitions of its GPU are made again.
    Remaking { reason: String },
}

/// A whole GPU that its VM gave up and that is on its way back to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returning {
    pub vm: VmId,
    pub vm_name: String,
    pub functions: Vec<FormerDriver>,
}

impl Assignment {
    pub fn partition(&self) -> Option<&PartitionId> {
        match &self.holding {
            Holding::Partition { partition } => Some(partition),
            Holding::Dda { .. } | Holding::Claim { .. } => None,
        }
    }

    /// The GPUs that the VM has whole; none of a VM with a partition.
    pub fn whole_gpus(&self) -> &[WholeGpu] {
        match &self.holding {
            Holding::Partition { .. } | Holding::Claim { .. } => &[],
            Holding::Dda { gpus, .. } => gpus,
        }
    }

    pub fn whole_ids(&self) -> impl Iterator<Item = &GpuId> {
        self.whole_gpus().iter().map(|whole| &whole.gpu)
    }

    /// What it is promised while it runs, whether it has it now or not.
    pub fn claim(&self) -> Option<&Claim> {
        match &self.holding {
            Holding::Partition { .. } => None,
            Holding::Dda { claim, .. } => claim.as_ref(),
            Holding::Claim { claim } => Some(claim),
        }
    }

    /// It has nothing of what it is promised: that is picked when it starts.
    pub fn waits_for_start(&self) -> bool {
        matches!(self.holding, Holding::Claim { .. })
    }

    pub fn has_whole(&self, gpu: &GpuId) -> bool {
        self.whole_ids().any(|whole| whole == gpu)
    }

    /// `partition gpu-1.3`, or `GPU gpu-1, GPU gpu-2`.
    pub fn in_words(&self) -> String {
        self.holding.in_words()
    }
}

impl Holding {
    pub fn in_words(&self) -> String {
        match self {
            Self::Partition { partition } => alloc::format!("partition {partition}"),
            Self::Dda { gpus, .. } => gpus_in_words(gpus.iter().map(|whole| &whole.gpu)),
            Self::Claim { claim } => alloc::format!("a claim to {claim}"),
        }
    }
}

/// `2 GPUs of pool ml`.
impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gpus = if self.count == 1 { "GPU" } else { "GPUs" };
        write!(f, "{} {gpus} of pool {}", self.count, self.pool)
    }
}

/// `GPU gpu-1, GPU gpu-2`.
pub fn gpus_in_words<'a>(gpus: impl IntoIterator<Item = &'a GpuId>) -> String {
    let words: Vec<String> = gpus.into_iter().map(|gpu| alloc::format!("GPU {gpu}")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;
    use crate::testing::partition_id;

    #[test]
    fn a_record_from_before_whole_gpus_is_read() {
        let text =
            r#"{"vm":"0a","vm_name":"vm-001","partition":"gpu-1.3","accepted":["a_b"],"restart":true}"#;
        let read: Assignment = serde_json::from_str(text).expect("is read");
        assert_eq!(read.partition(), Some(&partition_id("gpu-1", 3)));
        assert_eq!(serde_json::to_string(&read).expect("is written"), text);
    }

    #[test]
    fn whole_gpus_read_back_with_the_drivers_that_they_had() {
        let driver = FormerDriver { function: 1, driver: Some("snd".into()), driver_override: None };
        let whole = WholeGpu { gpu: crate::testing::gpu_id("gpu-1"), functions: Vec::from([driver]) };
        let assignment = Assignment {
            vm: crate::testing::vm_id("vm-001"),
            vm_name: "vm-001".into(),
            holding: Holding::Dda { gpus: Vec::from([whole]), claim: None },
            accepted: BTreeSet::new(),
            restart: false,
            start: false,
        };
        let text = serde_json::to_string(&assignment).expect("is written");
        assert_eq!(serde_json::from_str::<Assignment>(&text).expect("is read"), assignment);
    }

    #[test]
    fn a_record_of_whole_gpus_from_before_claims_is_read_and_written_as_it_was() {
        let text = concat!(
            r#"{"vm":"0a","vm_name":"vm-001","gpus":[{"gpu":"gpu-1","functions":[]}],"#,
            r#""restart":false}"#
        );
        let read: Assignment = serde_json::from_str(text).expect("is read");
        assert_eq!((read.whole_gpus().len(), read.claim(), read.start), (1, None, false));
        assert_eq!(serde_json::to_string(&read).expect("is written"), text);
    }

    #[test]
    fn a_claim_reads_back_with_and_without_its_gpus() {
        let claim = r#""claim":{"pool":"ml","count":2}"#;
        let open = format!(r#"{{"vm":"0a","vm_name":"vm-001",{claim},"restart":false}}"#);
        let filled =
            format!(r#"{{"vm":"0a","vm_name":"vm-001","gpus":[],{claim},"restart":false,"start":true}}"#);
        for (text, waits) in [(open, true), (filled, false)] {
            let read: Assignment = serde_json::from_str(&text).expect("is read");
            assert_eq!(read.claim().map(ToString::to_string).as_deref(), Some("2 GPUs of pool ml"));
            assert_eq!(read.waits_for_start(), waits);
            assert_eq!(serde_json::to_string(&read).expect("is written"), text);
        }
    }
}
