//! Where things are: the route of each request as the server registers it, and the path of one thing as
//! a client asks for it. A name may hold any character, `/` among them (`srv-a/0000:41:00.0`), so every
//! name is percent-encoded on its way into a path. What stands behind a path is not known here.

use serde::Serialize;
use serde_json::Value;

use crate::queries::{DryRunQuery, JobQuery};

pub const VERSION: &str = "/v1/version";
pub const GPUS: &str = "/v1/gpus";
pub const GPU: &str = "/v1/gpus/{gpu}";
/// PUT
pub const PARTITION_COUNT: &str = "/v1/gpus/{gpu}/partition-count";
/// POST
pub const PARTITION_COUNTS: &str = "/v1/partition-counts";
pub const PARTITIONS: &str = "/v1/partitions";
pub const VMS: &str = "/v1/vms";
pub const VM: &str = "/v1/vms/{vm}";
/// POST; DELETE with `?dry_run=`
pub const ASSIGNMENT: &str = "/v1/vms/{vm}/assignment";
/// POST
pub const ASSIGNMENTS: &str = "/v1/assignments";
/// POST
pub const UNASSIGNMENTS: &str = "/v1/unassignments";
/// POST; DELETE with `?dry_run=`
pub const DDA: &str = "/v1/vms/{vm}/dda";
/// GET, POST
pub const POOLS: &str = "/v1/pools";
/// PATCH, DELETE
pub const POOL: &str = "/v1/pools/{pool}";
/// POST
pub const CURE: &str = "/v1/partitions/{partition}/cure";
pub const USAGE: &str = "/v1/usage";
pub const CHECK: &str = "/v1/check";
pub const EXPLAIN: &str = "/v1/explain/{name}";
pub const EVENTS: &str = "/v1/events";
pub const WEBHOOKS: &str = "/v1/webhooks";
/// POST
pub const WEBHOOK_TESTS: &str = "/v1/webhooks/test";
pub const JOBS: &str = "/v1/jobs";
/// `?wait_ms=`
pub const JOB: &str = "/v1/jobs/{id}";
/// POST to sign in; GET; DELETE to sign out
pub const SESSION: &str = "/v1/session";
/// POST
pub const JOB_CANCEL: &str = "/v1/jobs/{id}/cancel";
/// Server-sent events.
pub const STREAM: &str = "/v1/stream";
/// The description of all of this.
pub const OPENAPI: &str = "/v1/openapi.json";
/// POST, in a simulated room only
pub const SIM_POWER: &str = "/v1/sim/vms/{vm}/power";
/// GET, POST, DELETE, in a simulated room only
pub const SIM_FAULTS: &str = "/v1/sim/faults";

/// A list, and which part of it.
pub fn list(route: &str, query: &impl Serialize) -> String {
    with_query(route, query)
}

pub fn gpu(gpu: &str) -> String {
    fill(GPU, gpu)
}

pub fn partition_count(gpu: &str) -> String {
    fill(PARTITION_COUNT, gpu)
}

pub fn vm(vm: &str) -> String {
    fill(VM, vm)
}

pub fn assignment(vm: &str) -> String {
    fill(ASSIGNMENT, vm)
}

pub fn assignment_with(vm: &str, query: DryRunQuery) -> String {
    with_query(&fill(ASSIGNMENT, vm), &query)
}

pub fn dda(vm: &str) -> String {
    fill(DDA, vm)
}

pub fn dda_with(vm: &str, query: DryRunQuery) -> String {
    with_query(&dda(vm), &[("dry_run", query.dry_run.then(|| "true".to_owned()))])
}

pub fn pool(pool: &str) -> String {
    fill(POOL, pool)
}

pub fn cure(partition: &str) -> String {
    fill(CURE, partition)
}

pub fn explain(name: &str) -> String {
    fill(EXPLAIN, name)
}

pub fn job(id: u64, query: JobQuery) -> String {
    with_query(&fill(JOB, &id.to_string()), &query)
}

pub fn job_cancel(id: u64) -> String {
    fill(JOB_CANCEL, &id.to_string())
}

pub fn sim_power(vm: &str) -> String {
    fill(SIM_POWER, vm)
}

/// Puts a name where the route has its `{…}`. A route without one stays as it is.
fn fill(route: &str, name: &str) -> String {
    let parts = route.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1)));
    match parts {
        Some((before, after)) => format!("{before}{}{after}", encode(name)),
        None => route.to_owned(),
    }
}

/// What is not given is left out.
fn with_query(path: &str, query: &impl Serialize) -> String {
    let members = match serde_json::to_value(query) {
        Ok(Value::Object(members)) => members,
        // Every query is a struct of texts, numbers and flags.
        _ => serde_json::Map::new(),
    };
    let given = members.iter().filter_map(|(member, value)| match value {
        Value::Null => None,
        // What every change is unless it is told otherwise.
        Value::Bool(false) if member == "dry_run" => None,
        Value::String(text) => Some(format!("{member}={}", encode(text))),
        value => Some(format!("{member}={}", encode(&value.to_string()))),
    });
    let given: Vec<String> = given.collect();
    if given.is_empty() { path.to_owned() } else { format!("{path}?{}", given.join("&")) }
}

/// Percent-encodes everything but the characters that mean nothing anywhere in an address. A name of
/// dots alone is encoded too, because a path of `..` would climb.
fn encode(text: &str) -> String {
    let only_dots = text.bytes().all(|byte| byte == b'.');
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
        if plain || (byte == b'.' && !only_dots) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queries::{EventQuery, VmQuery};

    #[test]
    fn a_name_with_a_slash_stays_one_part_of_the_path() {
        assert_eq!(gpu("srv-a/0000:41:00.0"), "/v1/gpus/srv-a%2F0000%3A41%3A00.0");
    }

    #[test]
    fn a_name_of_dots_cannot_climb() {
        assert_eq!(vm(".."), "/v1/vms/%2E%2E");
    }

    #[test]
    fn a_name_that_is_not_ascii_is_encoded_byte_by_byte() {
        assert_eq!(explain("büro 1"), "/v1/explain/b%C3%BCro%201");
    }

    #[test]
    fn a_name_stands_in_the_middle_of_a_longer_route() {
        assert_eq!(sim_power("vm-001"), "/v1/sim/vms/vm-001/power");
    }

    #[test]
    fn a_query_holds_what_was_given_and_nothing_else() {
        let query = EventQuery { after: Some(0), wait_ms: Some(5), ..EventQuery::default() };
        assert_eq!(list(EVENTS, &query), "/v1/events?after=0&wait_ms=5");
        assert_eq!(list(EVENTS, &EventQuery::default()), "/v1/events");
    }

    #[test]
    fn a_flag_that_is_asked_by_is_given_also_when_it_is_false() {
        let query = VmQuery { managed: Some(false), ..VmQuery::default() };
        assert_eq!(list(VMS, &query), "/v1/vms?managed=false");
    }

    #[test]
    fn a_dry_run_of_taking_back_says_so_in_the_query() {
        let path = assignment_with("vm-001", DryRunQuery { dry_run: true });
        assert_eq!(path, "/v1/vms/vm-001/assignment?dry_run=true");
        assert_eq!(assignment_with("vm-001", DryRunQuery::default()), "/v1/vms/vm-001/assignment");
    }
}
