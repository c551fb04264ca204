//! What can be asked, member by member, and how much of it at once. A request with a member that is not
//! listed here is refused when it is read; one that is too long, or names nothing, is refused by
//! `validate`, which says which member is wrong. Whether a GPU, a VM or a count makes sense is not known
//! here.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::queries::MAX_LIMIT;

pub use whole::{AssignDda, ChangePool, CreatePool, Cure};

mod numbers;
mod whole;

/// Most names in one request.
pub const MAX_NAMES: usize = 4096;
/// Most sizes in one request: no GPU is split into more partitions of different sizes.
pub const MAX_SIZES: usize = divvy_core::split::Sizes::MOST;
/// Longest name, in characters.
pub const MAX_NAME_CHARS: usize = 128;
/// Longest key that makes a change happen once, in characters.
pub const MAX_KEY_CHARS: usize = 64;

/// `POST /v1/webhooks/test`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TestWebhooks {
    /// The receiver, as the list of webhooks has it; null for all of them.
    #[serde(default)]
    pub url: Option<String>,
}

/// What is wrong with the shape of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    #[error("{member} has {count} names, more than {MAX_NAMES}")]
    TooManyNames { member: &'static str, count: usize },
    #[error("{member} is empty")]
    EmptyName { member: String },
    #[error("{member} has {chars} characters, more than {MAX_NAME_CHARS}")]
    LongName { member: String, chars: usize },
    #[error("more than one of count, sizes and off is given; give one of them")]
    CountAndOff,
    #[error("none of count, sizes and off is given; give one of them")]
    NeitherCountNorOff,
    #[error("sizes has 1 to {MAX_SIZES} entries, not {count}")]
    SizesOutOfRange { count: usize },
    #[error("give gpus, or pool and how many of it")]
    GpusOrPool,
    #[error("give one of name, add and take")]
    OneChangeOfPool,
    #[error("a page has 1 to {MAX_LIMIT} entries, not {limit}")]
    LimitOutOfRange { limit: u32 },
    #[error("an Idempotency-Key has 1 to {MAX_KEY_CHARS} visible ASCII characters")]
    MalformedKey,
}

impl InvalidRequest {
    /// The stable name of what is wrong.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooManyNames { .. } => "too_many_names",
            Self::EmptyName { .. } => "name_empty",
            Self::LongName { .. } => "name_too_long",
            Self::CountAndOff | Self::NeitherCountNorOff => "count_or_off",
            Self::SizesOutOfRange { .. } => "sizes_out_of_range",
            Self::GpusOrPool => "gpus_or_pool",
            Self::OneChangeOfPool => "one_change_of_pool",
            Self::LimitOutOfRange { .. } => "limit_out_of_range",
            Self::MalformedKey => "idempotency_key_malformed",
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

/// What the GPUs of a request shall be, once it is known that one of the three was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    Off,
    /// May be a number that no GPU accepts, zero among them; that is not decided here.
    Count(u16),
    /// A partition of each of these sizes.
    Sizes(Vec<u16>),
}

fn setting(count: Option<u16>, sizes: Option<&[u16]>, off: bool) -> Result<Setting, InvalidRequest> {
    match (count, sizes, off) {
        (None, None, false) => Err(InvalidRequest::NeitherCountNorOff),
        (Some(count), None, false) => Ok(Setting::Count(count)),
        (None, None, true) => Ok(Setting::Off),
        (None, Some(sizes), false) if (1..=MAX_SIZES).contains(&sizes.len()) => {
            Ok(Setting::Sizes(sizes.to_vec()))
        }
        (None, Some(sizes), false) => Err(InvalidRequest::SizesOutOfRange { count: sizes.len() }),
        _ => Err(InvalidRequest::CountAndOff),
    }
}

/// `PUT /v1/gpus/{gpu}/partition-count`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPartitionCount {
    #[serde(default, deserialize_with = "numbers::count")]
    pub count: Option<u16>,
    /// One partition of each of these sizes: each as large as one of so many equal ones.
    #[serde(default, deserialize_with = "numbers::counts", skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Vec<u16>>,
    /// Not partitioned any more.
    #[serde(default)]
    pub off: bool,
    #[serde(default)]
    pub dry_run: bool,
}

impl SetPartitionCount {
    pub fn validate(&self) -> Result<Setting, InvalidRequest> {
        setting(self.count, self.sizes.as_deref(), self.off)
    }
}

/// `POST /v1/partition-counts`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPartitionCounts {
    pub gpus: GpuSelection,
    #[serde(default, deserialize_with = "numbers::count")]
    pub count: Option<u16>,
    /// One partition of each of these sizes: each as large as one of so many equal ones.
    #[serde(default, deserialize_with = "numbers::counts", skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Vec<u16>>,
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
        setting(self.count, self.sizes.as_deref(), self.off)
    }
}

/// `POST /v1/vms/{vm}/assignment`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AssignOne {
    /// The GPU that the partition shall be of; null: any of the VM's server.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128))]
    #[serde(default)]
    pub gpu: Option<String>,
    /// The least memory that a partition shall have; the smallest that has as much is given. Null: any.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    #[serde(default, deserialize_with = "numbers::bytes", skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Always refused: which partition is Divvy's choice.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::always_null))]
    #[serde(default)]
    pub partition: Option<String>,
    /// Codes of findings that shall not stop the assignment.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::Code>, max_items = 4096))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Assign {
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::Name>, min_items = 1, max_items = 4096))]
    pub vms: Vec<String>,
    /// The GPU that the partitions shall be of; null: any of each VM's server.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128))]
    #[serde(default)]
    pub gpu: Option<String>,
    /// The least memory that a partition shall have; the smallest that has as much is given. Null: any.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    #[serde(default, deserialize_with = "numbers::bytes", skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Always refused: which partition is Divvy's choice.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::openapi::always_null))]
    #[serde(default)]
    pub partition: Option<String>,
    /// Codes of findings that shall not stop the assignment.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::Code>, max_items = 4096))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Unassign {
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::Name>, min_items = 1, max_items = 4096))]
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SetPower {
    pub on: bool,
}

/// `POST /v1/sim/faults`, in a simulated room only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CauseFault {
    /// What goes wrong with what, in words: `gpu gpu-48b02db7b700001d wedge`.
    pub fault: String,
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
    match name.chars().count() {
        0 => Err(InvalidRequest::EmptyName { member: member() }),
        1..=MAX_NAME_CHARS => Ok(()),
        chars => Err(InvalidRequest::LongName { member: member(), chars }),
    }
}

/// The name that a client gives to one change, so that asking again does not do it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn new(text: &str) -> Result<Self, InvalidRequest> {
        let fits = (1..=MAX_KEY_CHARS).contains(&text.len());
        match fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidRequest::MalformedKey),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
