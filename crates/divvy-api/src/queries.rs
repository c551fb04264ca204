//! What stands behind the `?`: how much of a list is asked for, which part of it, and how long an answer
//! may be kept back. A member that is not listed here is refused when the query is read; a name that is
//! too long, and a page that is none, are refused by `validate`. Where a cursor points to is known to
//! the server alone.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::requests::{InvalidRequest, MAX_NAME_CHARS, check_name};
use crate::words::{JobKind, Mode, PartitionState, Power, Progress, Severity};

/// Most entries in one page, and of a list whose asker does not say.
pub const MAX_LIMIT: u32 = 100_000;
/// Longest cursor, in characters. A server's own are far shorter.
pub const MAX_CURSOR_CHARS: usize = 4096;
/// Events in one answer when the asker does not say.
pub const DEFAULT_EVENTS: u32 = 100;
/// Longest time that a server keeps an answer back for a `wait_ms`.
pub const MAX_WAIT_MS: u64 = 30_000;

/// The query of a list that comes in pages.
pub trait ListQuery {
    fn limit(&self) -> Option<u32>;
    /// Where the page before ended.
    fn cursor(&self) -> Option<&str>;
    /// The same question for the page that begins there.
    fn at(&self, cursor: String) -> Self;
    fn validate(&self) -> Result<(), InvalidRequest>;
}

/// Reads one of a closed list of words, and no other.
fn exact<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

/// Makes the query of one list: members that are names, members that are one of some words, and the page.
macro_rules! list_query {
    ($(#[$doc:meta])* $query:ident {
        names { $($(#[$name_doc:meta])* $name:ident,)* }
        words { $($(#[$word_doc:meta])* $word:ident: $of:ty,)* }
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
        #[serde(deny_unknown_fields)]
        pub struct $query {
            $(
                $(#[$name_doc])*
                #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, nullable = false))]
                #[serde(default)]
                pub $name: Option<String>,
            )*
            $(
                $(#[$word_doc])*
                #[cfg_attr(feature = "openapi", param(inline, nullable = false))]
                #[serde(default, deserialize_with = "exact")]
                pub $word: Option<$of>,
            )*
            /// At most so many; a `Link` to the next page comes with the answer if there are more.
            #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 100_000, nullable = false))]
            #[serde(default)]
            pub limit: Option<u32>,
            /// Where the page before ended: taken from its `Link`, never made up.
            #[cfg_attr(feature = "openapi", param(max_length = 4096, pattern = "^([0-9a-f][0-9a-f])+$", nullable = false))]
            #[serde(default)]
            pub cursor: Option<String>,
        }

        impl ListQuery for $query {
            fn limit(&self) -> Option<u32> {
                self.limit
            }

            fn cursor(&self) -> Option<&str> {
                self.cursor.as_deref()
            }

            fn at(&self, cursor: String) -> Self {
                Self { cursor: Some(cursor), ..self.clone() }
            }

            fn validate(&self) -> Result<(), InvalidRequest> {
                check_names(&[$((stringify!($name), &self.$name)),*])?;
                check_limit(self.limit)
            }
        }
    };
}

list_query! {
    /// `GET /v1/gpus`
    GpuQuery {
        names {
            /// Only this server's GPUs.
            server,
            /// Only GPUs of this vendor.
            vendor,
            /// Only GPUs of this model.
            model,
            /// Only what has this text in its id, name, model or serial number, in upper or lower case.
            q,
        }
        words {
            /// Only GPUs that are used this way.
            mode: Mode,
        }
    }
}

list_query! {
    /// `GET /v1/partitions`
    PartitionQuery {
        names {
            /// Only this server's partitions.
            server,
            /// Only partitions of the GPU with this id.
            gpu,
            /// Only partitions of the VM with this id or name.
            vm,
            /// Only what has this text in its id or the VM's name, in upper or lower case.
            q,
        }
        words {
            /// Only partitions in this state.
            state: PartitionState,
        }
    }
}

list_query! {
    /// `GET /v1/vms`
    VmQuery {
        names {
            /// Only this server's VMs.
            server,
            /// Only VMs that have something of the GPU with this id.
            gpu,
            /// Only what has this text in its id or name, in upper or lower case.
            q,
        }
        words {
            /// Only VMs that are in this state.
            power: Power,
            /// Only VMs to which Divvy has given something, or only the others.
            managed: bool,
        }
    }
}

list_query! {
    /// `GET /v1/pools`
    PoolQuery {
        names {
            /// Only pools with a GPU of this server.
            server,
            /// Only what has this text in its name, in upper or lower case.
            q,
        }
        words {}
    }
}

list_query! {
    /// `GET /v1/usage`
    UsageQuery {
        names {
            /// Only this server's GPUs.
            server,
            /// Only the GPU with this id.
            gpu,
        }
        words {}
    }
}

list_query! {
    /// `GET /v1/check`
    FindingQuery {
        names {
            /// Only findings of this code.
            code,
            /// Only findings about this server or something of it.
            server,
            /// Only findings about the GPU with this id or a partition of it.
            gpu,
            /// Only findings about the VM with this id.
            vm,
            /// Only what has this text in its code, text or subject, in upper or lower case.
            q,
        }
        words {
            /// Only findings that stop this much.
            severity: Severity,
        }
    }
}

list_query! {
    /// `GET /v1/jobs`
    JobListQuery {
        names {
            /// Only jobs with a target on this server.
            server,
            /// Only jobs with a target of the GPU with this id.
            gpu,
            /// Only jobs with a target that is the VM with this id or name.
            vm,
            /// Only jobs that this one asked for.
            principal,
            /// Only what has this text in the asker or in a target's names, in upper or lower case.
            q,
        }
        words {
            /// Only jobs that are so far.
            progress: Progress,
            /// Only jobs of this kind.
            kind: JobKind,
        }
    }
}

/// `GET /v1/events`: with `after`, the oldest events after that number; without it, the newest. Both in
/// ascending order. The `Link` to the next page goes on in the same direction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only events with a higher number, the oldest first.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    #[serde(default)]
    pub after: Option<u64>,
    /// Only events with a lower number.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    #[serde(default)]
    pub before: Option<u64>,
    /// Only events of this code.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, nullable = false))]
    #[serde(default)]
    pub code: Option<String>,
    /// Only events of this server.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, nullable = false))]
    #[serde(default)]
    pub server: Option<String>,
    /// Only events about the GPU with this id or a partition of it.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, nullable = false))]
    #[serde(default)]
    pub gpu: Option<String>,
    /// Only events about the VM with this id.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, nullable = false))]
    #[serde(default)]
    pub vm: Option<String>,
    /// Only events of this job.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    #[serde(default)]
    pub job: Option<u64>,
    /// Only what has this text in its code, text or asker, in upper or lower case.
    #[cfg_attr(feature = "openapi", param(min_length = 1, max_length = 128, nullable = false))]
    #[serde(default)]
    pub q: Option<String>,
    /// At most so many; 100 when it is not given.
    #[cfg_attr(feature = "openapi", param(minimum = 1, maximum = 100_000, nullable = false))]
    #[serde(default)]
    pub limit: Option<u32>,
    /// With `after`: when there is no event yet, keep the answer back this long for one to come. More
    /// than 30 seconds count as 30 seconds.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

impl EventQuery {
    /// How many events to answer with.
    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_EVENTS).min(MAX_LIMIT)
    }

    /// How long to keep the answer back.
    pub fn wait_ms(&self) -> u64 {
        self.wait_ms.unwrap_or(0).min(MAX_WAIT_MS)
    }

    pub fn validate(&self) -> Result<(), InvalidRequest> {
        let Self { code, server, gpu, vm, q, .. } = self;
        check_names(&[("code", code), ("server", server), ("gpu", gpu), ("vm", vm), ("q", q)])?;
        check_limit(self.limit)
    }
}

/// `DELETE /v1/vms/{vm}/assignment`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct DryRunQuery {
    /// Answer with the steps, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// `GET /v1/jobs/{id}`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct JobQuery {
    /// While the job is running, keep the answer back this long for it to end. More than 30 seconds
    /// count as 30 seconds.
    #[cfg_attr(feature = "openapi", param(nullable = false))]
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

impl JobQuery {
    /// How long to keep the answer back.
    pub fn wait_ms(&self) -> u64 {
        self.wait_ms.unwrap_or(0).min(MAX_WAIT_MS)
    }
}

/// `GET /v1/stream`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    /// The id of the last message that was seen, as `Last-Event-ID` says it too; the header counts when
    /// both are given.
    #[cfg_attr(feature = "openapi", param(max_length = 128, nullable = false))]
    #[serde(default)]
    pub after: Option<String>,
}

fn check_names(names: &[(&'static str, &Option<String>)]) -> Result<(), InvalidRequest> {
    let given = names.iter().filter_map(|(member, name)| Some((*member, name.as_deref()?)));
    given.into_iter().try_for_each(|(member, name)| check_name(|| member.to_owned(), name))
}

fn check_limit(limit: Option<u32>) -> Result<(), InvalidRequest> {
    match limit {
        Some(limit) if limit == 0 || limit > MAX_LIMIT => Err(InvalidRequest::LimitOutOfRange { limit }),
        _ => Ok(()),
    }
}

// The description repeats these as literals, because the attributes take nothing else.
const _: () = assert!(MAX_LIMIT == 100_000 && MAX_NAME_CHARS == 128 && MAX_CURSOR_CHARS == 4096);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_nothing_and_a_page_beyond_all_bounds_are_refused() {
        let of = |limit| GpuQuery { limit: Some(limit), ..GpuQuery::default() }.validate();
        assert_eq!(of(1), Ok(()));
        assert_eq!(of(MAX_LIMIT), Ok(()));
        assert_eq!(of(0), Err(InvalidRequest::LimitOutOfRange { limit: 0 }));
        assert_eq!(of(MAX_LIMIT + 1), Err(InvalidRequest::LimitOutOfRange { limit: MAX_LIMIT + 1 }));
    }

    #[test]
    fn a_name_that_is_empty_is_blamed_on_its_member() {
        let query = PartitionQuery { gpu: Some(String::new()), ..PartitionQuery::default() };
        assert_eq!(query.validate(), Err(InvalidRequest::EmptyName { member: "gpu".to_owned() }));
    }

    #[test]
    fn a_wait_is_cut_to_the_longest_there_is() {
        assert_eq!(JobQuery { wait_ms: Some(u64::MAX) }.wait_ms(), MAX_WAIT_MS);
        assert_eq!(EventQuery::default().wait_ms(), 0);
    }

    #[test]
    fn events_come_by_the_hundred_when_nobody_says_how_many() {
        assert_eq!(EventQuery::default().limit(), DEFAULT_EVENTS);
    }
}
