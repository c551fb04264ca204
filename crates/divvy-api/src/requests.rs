//! What can be asked, member by member, and how much of it at once. A request with a member that is not
//! listed here is refused when it is read; one that is too long, or names nothing, is refused by
//! `validate`, which says which member is wrong. Whether a GPU, a VM or a count makes sense is not known
//! here.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Most names in one request.
pub const MAX_NAMES: usize = 4096;
/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Longest time that a server keeps an answer back for a `wait_ms`.
pub const MAX_WAIT_MS: u64 = 30_000;
/// Most events in one answer.
pub const MAX_EVENTS: u32 = 10_000;
/// Events in one answer when the asker does not say.
pub const DEFAULT_EVENTS: u32 = 100;

/// What is wrong with the shape of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    #[error("{member} has {count} names, more than {MAX_NAMES}")]
    TooManyNames { member: &'static str, count: usize },
    #[error("{member} is empty")]
    EmptyName { member: String },
    #[error("{member} has {bytes} bytes, more than {MAX_NAME_BYTES}")]
    LongName { member: String, bytes: usize },
    #[error("count and off are both given; give one of them")]
    CountAndOff,
    #[error("neither count nor off is given; give one of them")]
    NeitherCountNorOff,
}

impl InvalidRequest {
    /// The stable name of what is wrong.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooManyNames { .. } => "too_many_names",
            Self::EmptyName { .. } => "name_empty",
            Self::LongName { .. } => "name_too_long",
            Self::CountAndOff | Self::NeitherCountNorOff => "count_or_off",
        }
    }
}

/// Which GPUs a request is about: `"all"`, or a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuSelection {
    All,
    Named(Vec<String>),
}

impl Serialize for GpuSelection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Named(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for GpuSelection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SelectionVisitor)
    }
}

struct SelectionVisitor;

impl<'de> de::Visitor<'de> for SelectionVisitor {
    type Value = GpuSelection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"all\" or a list of GPU names")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<GpuSelection, E> {
        match text {
            "all" => Ok(GpuSelection::All),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<GpuSelection, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = seq.next_element()? {
            names.push(name);
        }
        Ok(GpuSelection::Named(names))
    }
}

/// What the GPUs of a request shall be, once it is known that one of both was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    Off,
    /// May be a number that no GPU accepts, zero among them; that is not decided here.
    Count(u16),
}

fn setting(count: Option<u16>, off: bool) -> Result<Setting, InvalidRequest> {
    match (count, off) {
        (Some(_), true) => Err(InvalidRequest::CountAndOff),
        (None, false) => Err(InvalidRequest::NeitherCountNorOff),
        (Some(count), false) => Ok(Setting::Count(count)),
        (None, true) => Ok(Setting::Off),
    }
}

/// `PUT /v1/gpus/{gpu}/partition-count`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPartitionCount {
    #[serde(default)]
    pub count: Option<u16>,
    /// Not partitioned any more.
    #[serde(default)]
    pub off: bool,
    #[serde(default)]
    pub dry_run: bool,
}

impl SetPartitionCount {
    pub fn validate(&self) -> Result<Setting, InvalidRequest> {
        setting(self.count, self.off)
    }
}

/// `POST /v1/partition-counts`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPartitionCounts {
    pub gpus: GpuSelection,
    #[serde(default)]
    pub count: Option<u16>,
    /// Not partitioned any more.
    #[serde(default)]
    pub off: bool,
    #[serde(default)]
    pub dry_run: bool,
}

impl SetPartitionCounts {
    pub fn validate(&self) -> Result<Setting, InvalidRequest> {
        if let GpuSelection::Named(names) = &self.gpus {
            check_names("gpus", names)?;
        }
        setting(self.count, self.off)
    }
}

/// `POST /v1/vms/{vm}/assignment`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignOne {
    /// The GPU that the partition shall be of; null: any of the VM's server.
    #[serde(default)]
    pub gpu: Option<String>,
    /// Always refused: which partition is Divvy's choice.
    #[serde(default)]
    pub partition: Option<String>,
    /// Codes of findings that shall not stop the assignment.
    #[serde(default)]
    pub accept: Vec<String>,
    #[serde(default)]
    pub dry_run: bool,
}

impl AssignOne {
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        check_assign_options(self.gpu.as_deref(), self.partition.as_deref(), &self.accept)
    }
}

/// `POST /v1/assignments`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    pub vms: Vec<String>,
    /// The GPU that the partitions shall be of; null: any of each VM's server.
    #[serde(default)]
    pub gpu: Option<String>,
    /// Always refused: which partition is Divvy's choice.
    #[serde(default)]
    pub partition: Option<String>,
    /// Codes of findings that shall not stop the assignment.
    #[serde(default)]
    pub accept: Vec<String>,
    #[serde(default)]
    pub dry_run: bool,
}

impl Assign {
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        check_names("vms", &self.vms)?;
        check_assign_options(self.gpu.as_deref(), self.partition.as_deref(), &self.accept)
    }
}

/// `POST /v1/unassignments`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unassign {
    pub vms: Vec<String>,
    #[serde(default)]
    pub dry_run: bool,
}

impl Unassign {
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        check_names("vms", &self.vms)
    }
}

/// `POST /v1/sim/vms/{vm}/power`, in a simulated room only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPower {
    pub on: bool,
}

/// The query of `GET /v1/gpus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuQuery {
    /// Only this server's GPUs.
    #[serde(default)]
    pub server: Option<String>,
}

/// The query of `DELETE /v1/vms/{vm}/assignment`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DryRunQuery {
    #[serde(default)]
    pub dry_run: bool,
}

/// The query of `GET /v1/events`: with `after`, the oldest events after that number; without it, the
/// newest. Both in ascending order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    #[serde(default)]
    pub after: Option<u64>,
    #[serde(default)]
    pub limit: Option<u32>,
    /// When there is none yet, keep the answer back this long for one to come.
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

impl EventQuery {
    /// How many events to answer with.
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_EVENTS).min(MAX_EVENTS)
    }

    /// How long to keep the answer back.
    pub fn wait_ms(&self) -> u64 {
        self.wait_ms.unwrap_or(0).min(MAX_WAIT_MS)
    }
}

/// The query of `GET /v1/jobs/{id}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobQuery {
    /// While the job is running, keep the answer back this long for it to end.
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

impl JobQuery {
    /// How long to keep the answer back.
    pub fn wait_ms(&self) -> u64 {
        self.wait_ms.unwrap_or(0).min(MAX_WAIT_MS)
    }
}

fn check_assign_options(
    gpu: Option<&str>,
    partition: Option<&str>,
    accept: &[String],
) -> Result<(), InvalidRequest> {
    for (member, name) in [("gpu", gpu), ("partition", partition)] {
        if let Some(name) = name {
            check_name(|| member.to_owned(), name)?;
        }
    }
    check_names("accept", accept)
}

fn check_names(member: &'static str, names: &[String]) -> Result<(), InvalidRequest> {
    if names.len() > MAX_NAMES {
        return Err(InvalidRequest::TooManyNames { member, count: names.len() });
    }
    names.iter().enumerate().try_for_each(|(nth, name)| check_name(|| format!("{member}[{nth}]"), name))
}

/// Checks one name that stands in a path, a query or a body. `member` says which.
pub fn check_name(member: impl FnOnce() -> String, name: &str) -> Result<(), InvalidRequest> {
    match name.len() {
        0 => Err(InvalidRequest::EmptyName { member: member() }),
        1..=MAX_NAME_BYTES => Ok(()),
        bytes => Err(InvalidRequest::LongName { member: member(), bytes }),
    }
}

#[cfg(test)]
mod tests;
