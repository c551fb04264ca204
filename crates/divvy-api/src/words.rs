//! The closed lists of words on the wire: modes, states, kinds. Each is written and read in lower case
//! with `_`, and printed the same way in a table. What a word means for a decision is not known here;
//! the words that the rules own too are converted, never shared, so that the rules can change alone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is none of the words that may stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of {}", words.join(", "))]
pub struct NoSuchWord {
    pub text: String,
    pub words: &'static [&'static str],
}

/// Defines an enum whose words are the same in JSON, YAML and tables. A variant with `serde(other)` takes
/// every word that this version does not know.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$attribute])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        // By hand: the derive does not see words that come out of a macro.
        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::openapi::one_of_words(&[$($word),*])
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}

        /// Exactly: a word that is not known is not taken for `unknown`.
        impl FromStr for $name {
            type Err = NoSuchWord;
            fn from_str(text: &str) -> Result<Self, NoSuchWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(NoSuchWord { text: text.to_owned(), words: &[$($word),*] }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// How a GPU is used now.
    Mode {
        /// Split into partitions.
        Partitioned = "partitioned",
        /// Could be split, is not.
        Partitionable = "partitionable",
        /// Whole: given, or ready to be given, to one VM.
        Dda = "dda",
        /// The server itself uses it.
        Host = "host",
        /// Nothing can be given from it to a VM.
        NotAssignable = "not_assignable",
        /// Cannot be told.
        #[serde(other)]
        Unknown = "unknown",
    }
}

words! {
    /// What a partition is doing.
    PartitionState {
        Free = "free",
        /// Belongs to a VM.
        Assigned = "assigned",
        /// Open by somebody to whom Divvy did not give it.
        InUse = "in_use",
        /// Its last VM gave it up; it is not proved clean yet.
        Releasing = "releasing",
        /// It could not be proved clean, or failed.
        Quarantined = "quarantined",
        /// Cannot be told.
        #[serde(other)]
        Unknown = "unknown",
    }
}

words! {
    /// Whether a VM runs.
    Power {
        Off = "off",
        Running = "running",
        Paused = "paused",
        /// Cannot be told.
        #[serde(other)]
        Unknown = "unknown",
    }
}

words! {
    /// What a VM has of a GPU.
    AssignmentKind {
        /// One partition.
        Partition = "partition",
        /// The whole GPU.
        Dda = "dda",
        /// Something that this version does not know.
        #[serde(other)]
        Unknown = "unknown",
    }
}

words! {
    /// Whether a VM has what it was given.
    AssignmentState {
        /// It is the VM's, whether the VM runs or not.
        Assigned = "assigned",
        /// It is picked when the VM starts.
        WaitingForStart = "waiting_for_start",
        /// It was picked, and Divvy is about to start the VM with it.
        Starting = "starting",
        /// A state that this version does not know.
        #[serde(other)]
        Unknown = "unknown",
    }
}

impl Default for AssignmentState {
    /// What there was before there were others.
    fn default() -> Self {
        Self::Assigned
    }
}

words! {
    /// How a GPU shares its time among its partitions.
    Scheduler {
        /// Who has nothing to do leaves its time to the others.
        BestEffort = "best_effort",
        /// Equal shares among the partitions in use.
        EqualShare = "equal_share",
        /// Equal shares among all partitions that there could be.
        FixedShare = "fixed_share",
        /// A way that this version does not know.
        #[serde(other)]
        Unknown = "unknown",
    }
}

words! {
    /// Whether a receiver takes the events that it is told of.
    WebhookState {
        /// It took the last one, or there was none yet.
        Working = "working",
        /// It did not; the same event is sent again after a while.
        Retrying = "retrying",
        /// It said that it wants no more; nothing is sent until divvyd is restarted.
        Paused = "paused",
        /// A state that this version does not know.
        #[serde(other)]
        Unknown = "unknown",
    }
}

words! {
    /// How much a finding stops.
    Severity {
        /// Good to know.
        Info = "info",
        /// Should be mended; stops nothing.
        Warning = "warning",
        /// Stops an assignment unless it is accepted by its code.
        NeedsAccept = "needs_accept",
        /// Stops every assignment it concerns, until mended.
        Error = "error",
        /// A severity that this version does not know; taken as seriously as an error.
        #[serde(other)]
        Unknown = "unknown",
    }
}

words! {
    /// The kind of thing that a finding or an event is about.
    SubjectKind {
        Cluster = "cluster",
        Server = "server",
        Gpu = "gpu",
        Partition = "partition",
        Vm = "vm",
        /// A kind that this version does not know.
        #[serde(other)]
        Unknown = "unknown",
    }
}

words! {
    /// What a job does.
    JobKind {
        SetPartitionCount = "set_partition_count",
        Assign = "assign",
        Unassign = "unassign",
        AssignDda = "assign_dda",
        UnassignDda = "unassign_dda",
        /// A VM with a claim starts: its GPUs are picked, and then it is started.
        FillClaim = "fill_claim",
        Cure = "cure",
        /// A kind that this version does not know.
        #[serde(other)]
        Unknown = "unknown",
    }
}

words! {
    /// How far a job, or one of its targets, is. No word is left open here: a client that does not
    /// understand the end of a job must say so instead of waiting for ever.
    Progress {
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
    }
}

words! {
    /// What became of one step.
    StepOutcome {
        Changed = "changed",
        /// It was so before.
        Already = "already",
        Failed = "failed",
        /// An outcome that this version does not know.
        #[serde(other)]
        Unknown = "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_back_as_what_it_was_written() {
        let text = serde_json::to_string(&Mode::NotAssignable).expect("is written");
        assert_eq!(text, "\"not_assignable\"");
        assert_eq!(serde_json::from_str::<Mode>(&text).expect("is read"), Mode::NotAssignable);
    }

    #[test]
    fn a_word_of_a_newer_server_reads_as_unknown() {
        assert_eq!(serde_json::from_str::<Mode>("\"folded\"").expect("is read"), Mode::Unknown);
    }

    #[test]
    fn a_word_that_somebody_asks_by_is_known_or_refused() {
        assert_eq!("not_assignable".parse(), Ok(Mode::NotAssignable));
        let refused = "folded".parse::<Power>().expect_err("is no word");
        assert_eq!(refused.to_string(), "\"folded\" is none of off, running, paused, unknown");
    }

    #[test]
    fn an_unknown_end_of_a_job_is_an_error() {
        assert!(serde_json::from_str::<Progress>("\"cancelled\"").is_err());
    }

    #[test]
    fn a_word_keeps_the_width_that_a_table_asks_for() {
        assert_eq!(format!("{:>6}", Power::Off), "   off");
    }
}
