//! What all operations have in common, put into the description of each by its shape: an operation with a
//! body can be sent a wrong one, a list can be read in pages, a change can be asked for on terms.

use divvy_api::paths;
use serde_json::{Map, Value, json};

/// What happens to a simulated room, makes or ends a session, or tries a webhook: nothing of it is kept, so there is nothing
/// to answer again.
const CHANGES_NOTHING_KEPT: [&str; 4] =
    [paths::SIM_POWER, paths::SIM_FAULTS, paths::SESSION, paths::WEBHOOK_TESTS];
/// Lists that come in pages, events among them.
const LISTS: [&str; 8] = [
    paths::GPUS,
    paths::PARTITIONS,
    paths::VMS,
    paths::POOLS,
    paths::USAGE,
    paths::CHECK,
    paths::JOBS,
    paths::EVENTS,
];

/// Changes that no one GPU, VM or job is the object of, so that there is no version to name.
const WITHOUT_OBJECT: [&str; 2] = [paths::POOL, paths::CURE];

/// A change that may not be asked for like this.
const CHANGE_REFUSED: &str = "`unknown_server_name`, `other_site`, `csrf_token_missing`";

pub fn complete(mut document: Value) -> Value {
    document["info"] = json!({
        "title": "Divvy",
        "version": "1",
        "description": "Shares the GPUs of Linux/KVM servers among VMs. Over the Unix socket the kernel says \
                        who asks; over TCP a token does, or a \
                        session and, for changes, its `x-csrf-token`. Every refusal is a problem document (RFC 9457) \
                        whose `code` is stable and explained in the documentation.",
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
    });
    document["servers"] = json!([{ "url": "/" }]);
    document["security"] = json!([{ "token": [] }, { "session": [] }, {}]);
    document["components"]["securitySchemes"] = json!({
        "token": { "type": "http", "scheme": "bearer", "description": "Over TCP." },
        "session": {
            "type": "apiKey", "in": "cookie", "name": "divvy_session",
            "description": "Over TCP; with the prefix `__Host-` over TLS."
        }
    });
    say_numbers(&mut document);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.iter_mut().filter(|(name, _)| is_answer(name)).for_each(|(_, schema)| require_all(schema));
    }
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, methods) in paths.iter_mut() {
            for (method, operation) in methods.as_object_mut().into_iter().flatten() {
                operation_of(path, method, operation);
            }
        }
    }
    document
}

/// Every number is an unsigned one: formats would promise less than is taken, or more.
fn say_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(say_numbers),
        Value::Object(members) => {
            if members.get("format") == Some(&json!("int64")) {
                members.entry("maximum").or_insert(json!(u64::MAX));
            }
            if members.get("format").is_some_and(|format| format == "int64" || format == "int32") {
                members.remove("format");
            }
            members.values_mut().for_each(say_numbers);
        }
        _ => {}
    }
}

fn is_answer(name: &str) -> bool {
    name.ends_with("View") || matches!(name, "Accepted" | "Problem")
}

/// An answer leaves no member out.
fn require_all(schema: &mut Value) {
    let members: Vec<String> =
        schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    if !members.is_empty() {
        schema["required"] = json!(members);
    }
}

fn operation_of(path: &str, method: &str, operation: &mut Value) {
    let is_read = method == "get";
    let is_kept_change = !is_read && !CHANGES_NOTHING_KEPT.contains(&path);
    let has = |place: &str| {
        operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["in"] == place))
    };
    let (has_path, has_query) = (has("path"), has("query"));
    let has_body = operation.get("requestBody").is_some();
    let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
    operation["operationId"] = json!(match (path, method) {
        (paths::PARTITION_COUNT, _) => "set_partition_count".to_owned(),
        (paths::PARTITION_COUNTS, _) => "set_partition_counts".to_owned(),
        (paths::JOBS, _) => "jobs".to_owned(),
        (paths::JOB, _) => "job".to_owned(),
        (paths::JOB_CANCEL, _) => "cancel_job".to_owned(),
        (paths::SIM_POWER, _) => "sim_power".to_owned(),
        (paths::SESSION, "get") => "session".to_owned(),
        (paths::SESSION, "post") => "sign_in".to_owned(),
        (paths::SESSION, _) => "sign_out".to_owned(),
        (paths::SIM_FAULTS, "get") => "sim_faults".to_owned(),
        (paths::SIM_FAULTS, "post") => "sim_cause_fault".to_owned(),
        (paths::SIM_FAULTS, _) => "sim_clear_faults".to_owned(),
        _ => name,
    });
    refuse(operation, "401", "`unauthorized`");
    refuse(operation, "403", if is_read { "`unknown_server_name`, `other_site`" } else { CHANGE_REFUSED });
    refuse(operation, "500", "`internal`");
    if has_path {
        refuse(operation, "400", "`path_malformed`");
        refuse(operation, "422", "`name_too_long`, `name_empty`");
    }
    if has_query {
        refuse(operation, "422", "`query_malformed`");
    }
    if has_body {
        refuse(operation, "400", "`body_malformed`");
        refuse(operation, "413", "`body_too_large`");
        refuse(operation, "415", "`content_type`");
        refuse(operation, "422", body_codes(path));
    }
    if is_kept_change {
        on_terms(path, operation);
    } else if is_read && path != paths::STREAM {
        tagged(operation);
    }
    if is_read && LISTS.contains(&path) {
        paged(path, operation);
    }
    as_problems(operation);
}

fn body_codes(path: &str) -> &'static str {
    match path {
        paths::PARTITION_COUNT => "`body_malformed`, `count_or_off`",
        paths::PARTITION_COUNTS => {
            "`body_malformed`, `count_or_off`, `nothing_selected`, `too_many_names`, `name_empty`, `name_too_long`"
        }
        paths::ASSIGNMENT => {
            "`body_malformed`, `finding_code_malformed`, `partition_not_chosen_by_user`, `too_many_names`"
        }
        paths::ASSIGNMENTS => {
            "`body_malformed`, `nothing_selected`, `vm_named_twice`, `too_many_names`, `name_empty`, \
             `name_too_long`, `finding_code_malformed`, `partition_not_chosen_by_user`"
        }
        paths::UNASSIGNMENTS => {
            "`body_malformed`, `nothing_selected`, `vm_named_twice`, `too_many_names`, `name_empty`, `name_too_long`"
        }
        paths::DDA => {
            "`body_malformed`, `gpus_or_pool`, `nothing_selected`, `too_many_names`, `name_empty`, \
             `name_too_long`, `finding_code_malformed`"
        }
        paths::POOLS => {
            "`body_malformed`, `pool_name_malformed`, `nothing_selected`, `too_many_names`, `name_empty`, \
             `name_too_long`"
        }
        paths::POOL => {
            "`body_malformed`, `one_change_of_pool`, `pool_name_malformed`, `too_many_names`, `name_empty`, \
             `name_too_long`"
        }
        paths::SIM_FAULTS => "`body_malformed`, `name_empty`, `name_too_long`",
        _ => "`body_malformed`",
    }
}

/// A change may be asked for once only, and only if its object is as it was.
fn on_terms(path: &str, operation: &mut Value) {
    refuse(operation, "422", "`idempotency_key_malformed`, `idempotency_key_reused`");
    refuse(operation, "503", "`stopping`");
    refuse(operation, "400", "`header_malformed`");
    refuse(operation, "412", "`changed_since_read`");
    parameter(
        operation,
        &json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "A name for this change: asked again with it within 24 hours, the change is answered as \
                            it was the first time, and not made again.",
            "schema": { "type": "string", "pattern": "^[!-~]{1,64}$" }
        }),
    );
    if path.contains('{') && !WITHOUT_OBJECT.contains(&path) {
        parameter(
            operation,
            &json!({
                "name": "If-Match", "in": "header", "required": false,
                "description": "The ETag of what is changed as it was read: the change is refused if it is not so \
                                any more.",
                "schema": { "type": "string", "pattern": "^(\\*|\"[!#-~]*\")$" }
            }),
        );
    }
    for status in ["200", "202"] {
        if operation["responses"].get(status).is_some() {
            operation["responses"][status]["headers"]["Idempotency-Replayed"] = json!({
                "description": "The answer is that of the first time.",
                "schema": { "type": "string", "enum": ["true"] }
            });
        }
    }
}

/// A document is not sent to who has it already.
fn tagged(operation: &mut Value) {
    operation["responses"]["200"]["headers"]["ETag"] =
        json!({ "description": "Which version this is.", "schema": { "type": "string" } });
    operation["responses"]["304"] = json!({ "description": "It is as `If-None-Match` says." });
    parameter(
        operation,
        &json!({
            "name": "If-None-Match", "in": "header", "required": false,
            "description": "The ETag of what is known already.", "schema": { "type": "string" }
        }),
    );
}

fn paged(path: &str, operation: &mut Value) {
    operation["responses"]["200"]["headers"]["Link"] = json!({
        "description": "`<…>; rel=\"next\"`: where the list goes on; not there when it does not.",
        "schema": { "type": "string" }
    });
    let codes = match path {
        paths::EVENTS => "`limit_out_of_range`, `name_empty`, `name_too_long`",
        _ => "`limit_out_of_range`, `cursor_malformed`, `name_empty`, `name_too_long`",
    };
    refuse(operation, "422", codes);
}

fn parameter(operation: &mut Value, parameter: &Value) {
    match operation["parameters"].as_array_mut() {
        Some(all) => all.push(parameter.clone()),
        None => operation["parameters"] = json!([parameter]),
    }
}

/// One more reason for a status.
fn refuse(operation: &mut Value, status: &str, codes: &str) {
    let answer = &mut operation["responses"][status];
    let known = answer["description"].as_str().unwrap_or_default().to_owned();
    let new: Vec<&str> = codes.split(", ").filter(|code| !known.contains(code)).collect();
    let all: Vec<&str> = [known.as_str()].into_iter().filter(|text| !text.is_empty()).chain(new).collect();
    answer["description"] = json!(all.join(", "));
}

/// A refusal's body, and its description on one line.
fn as_problems(operation: &mut Value) {
    let responses: &mut Map<String, Value> = match operation["responses"].as_object_mut() {
        Some(responses) => responses,
        None => return,
    };
    for (_, answer) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        let words: Vec<&str> =
            answer["description"].as_str().unwrap_or_default().split_whitespace().collect();
        answer["description"] = json!(words.join(" "));
        answer["content"] =
            json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    }
}
