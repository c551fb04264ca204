//! Where things are: the route of each request as the server registers it, and the path of one thing as
//! a client asks for it. A name may hold any character, `/` among them (`srv-a/0000:41:00.0`), so every
//! name is percent-encoded on its way into a path. What stands behind a path is not known here.

use crate::requests::{DryRunQuery, EventQuery, GpuQuery, JobQuery};

pub const VERSION: &str = "/v1/version";
/// `?server=`
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
pub const CHECK: &str = "/v1/check";
pub const EXPLAIN: &str = "/v1/explain/{name}";
/// `?after=&limit=&wait_ms=`
pub const EVENTS: &str = "/v1/events";
pub const JOBS: &str = "/v1/jobs";
/// `?wait_ms=`
pub const JOB: &str = "/v1/jobs/{id}";
/// POST to sign in; GET; DELETE to sign out
pub const SESSION: &str = "/v1/session";
/// POST, in a simulated room only
pub const SIM_POWER: &str = "/v1/sim/vms/{vm}/power";

pub fn gpus(query: &GpuQuery) -> String {
    with_query(GPUS, &[("server", query.server.clone())])
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
    with_query(&fill(ASSIGNMENT, vm), &[("dry_run", query.dry_run.then(|| "true".to_owned()))])
}

pub fn explain(name: &str) -> String {
    fill(EXPLAIN, name)
}

pub fn events(query: EventQuery) -> String {
    let EventQuery { after, limit, wait_ms } = query;
    let members = [
        ("after", after.map(|number| number.to_string())),
        ("limit", limit.map(|number| number.to_string())),
        ("wait_ms", wait_ms.map(|number| number.to_string())),
    ];
    with_query(EVENTS, &members)
}

pub fn job(id: u64, query: JobQuery) -> String {
    with_query(&fill(JOB, &id.to_string()), &[("wait_ms", query.wait_ms.map(|ms| ms.to_string()))])
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

fn with_query(path: &str, members: &[(&str, Option<String>)]) -> String {
    let mut whole = path.to_owned();
    let mut joint = '?';
    for (member, value) in members {
        if let Some(value) = value {
            whole.push(joint);
            whole.push_str(member);
            whole.push('=');
            whole.push_str(&encode(value));
            joint = '&';
        }
    }
    whole
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
        let query = EventQuery { after: Some(0), limit: None, wait_ms: Some(5) };
        assert_eq!(events(query), "/v1/events?after=0&wait_ms=5");
        assert_eq!(events(EventQuery::default()), "/v1/events");
    }

    #[test]
    fn a_dry_run_of_taking_back_says_so_in_the_query() {
        let path = assignment_with("vm-001", DryRunQuery { dry_run: true });
        assert_eq!(path, "/v1/vms/vm-001/assignment?dry_run=true");
        assert_eq!(assignment_with("vm-001", DryRunQuery::default()), "/v1/vms/vm-001/assignment");
    }
}
