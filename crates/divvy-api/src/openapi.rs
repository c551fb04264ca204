//! The shapes that the derives cannot tell: names with the limits that are enforced, a selection that is
//! a word or a list, a body that takes one of two members. Only what the code refuses is a limit here.

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::requests::{
    AssignDda, ChangePool, GpuSelection, MAX_NAME_CHARS, MAX_NAMES, MAX_SIZES, SetPartitionCount,
    SetPartitionCounts,
};
use crate::session::SignIn;

/// An id, a name or an address.
pub struct Name;

/// The code of a finding.
pub struct Code;

fn of(schema: Value) -> RefOr<Schema> {
    RefOr::T(
        serde_json::from_value(schema).expect("the literals of this file are schemas; a test reads them"),
    )
}

/// A closed list of words.
pub(crate) fn one_of_words(words: &[&str]) -> RefOr<Schema> {
    of(json!({ "type": "string", "enum": words }))
}

fn name() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS })
}

fn selection() -> Value {
    json!({
        "description": "`\"all\"`, or ids, names or addresses of GPUs.",
        "oneOf": [
            { "type": "string", "enum": ["all"] },
            { "type": "array", "items": name(), "minItems": 1, "maxItems": MAX_NAMES }
        ]
    })
}

/// A count, sizes, or off: exactly one of them.
fn count_or_off(more: &[(&str, Value)]) -> Value {
    let dry_run = json!({
        "type": "boolean", "description": "Answer with the steps, and change nothing."
    });
    let body = |setting: Value, required: &str, what: &str| {
        let mut properties = setting;
        properties["dry_run"] = dry_run.clone();
        for (member, schema) in more {
            properties[*member] = schema.clone();
        }
        let required: Vec<&str> = more.iter().map(|(member, _)| *member).chain([required]).collect();
        json!({
            "type": "object", "description": what, "properties": properties, "required": required,
            "additionalProperties": false
        })
    };
    let count = json!({ "count": {
        "type": "integer", "minimum": 0, "maximum": u16::MAX,
        "description": "How many partitions; the GPU's valid counts are accepted."
    }, "sizes": { "type": "null" }, "off": { "type": "boolean", "enum": [false] } });
    let sizes = json!({ "sizes": {
        "type": "array", "minItems": 1, "maxItems": MAX_SIZES,
        "items": { "type": "integer", "minimum": 0, "maximum": u16::MAX },
        "description": "One partition of each of these sizes, in any order: each as large as one of so many \
            equal ones. Valid counts of a GPU that takes sizes are accepted, if they fit together."
    }, "count": { "type": "null" }, "off": { "type": "boolean", "enum": [false] } });
    let off = json!({ "off": {
        "type": "boolean", "enum": [true], "description": "Not partitioned any more."
    }, "count": { "type": "null" }, "sizes": { "type": "null" } });
    json!({ "oneOf": [
        body(count, "count", "Split"),
        body(sizes, "sizes", "Split into partitions of different sizes"),
        body(off, "off", "Stop splitting")
    ] })
}

fn names(min_items: usize, what: &str) -> Value {
    json!({
        "type": "array", "items": name(), "minItems": min_items, "maxItems": MAX_NAMES, "description": what
    })
}

fn object(what: &str, properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object", "description": what, "properties": properties, "required": required,
        "additionalProperties": false
    })
}

/// GPUs by name, or so many of a pool.
fn gpus_or_pool() -> Value {
    let codes = json!({
        "type": "array", "items": code(), "maxItems": MAX_NAMES,
        "description": "Codes of findings that shall not stop it."
    });
    let dry_run = json!({ "type": "boolean", "description": "Answer with the steps, and change nothing." });
    let count = json!({
        "type": ["integer", "null"], "minimum": 1, "maximum": u16::MAX,
        "description": "How many of the pool; null: one."
    });
    let named = json!({
        "gpus": names(1, "Ids, names or addresses of GPUs of the VM's server."),
        "pool": { "type": "null" }, "count": { "type": "null" }, "at_start": { "type": "boolean", "enum": [false] },
        "accept": codes, "dry_run": dry_run
    });
    let pooled = json!({
        "pool": name(), "count": count,
        "gpus": { "type": "array", "items": name(), "maxItems": 0 }, "accept": codes, "dry_run": dry_run,
        "at_start": {
            "type": "boolean",
            "description": "They are picked when the VM starts, and are the pool's again when it is off; \
                            else they are the VM's from now on."
        }
    });
    json!({ "oneOf": [object("These GPUs", named, &["gpus"]), object("Of a pool", pooled, &["pool"])] })
}

/// A local account and its password, or the token.
fn account_or_token() -> Value {
    let secret = || json!({ "type": "string", "format": "password" });
    let absent = || json!({ "type": "null" });
    let account = json!({ "user": { "type": "string" }, "password": secret(), "token": absent() });
    let token = json!({ "token": secret(), "user": absent(), "password": absent() });
    json!({ "oneOf": [
        object("A local account", account, &["user", "password"]),
        object("The token", token, &["token"])
    ] })
}

/// A new name, GPUs that come, or GPUs that go: exactly one of them.
fn change_of_pool() -> Value {
    let none = || json!({ "type": "array", "items": name(), "maxItems": 0 });
    let nameless = || json!({ "type": "null" });
    let mut new_name = name();
    new_name["pattern"] = json!("^[A-Za-z0-9._-]+$");
    let named = json!({ "name": new_name, "add": none(), "take": none() });
    let add = json!({ "add": names(1, "GPUs that come into it."), "name": nameless(), "take": none() });
    let take = json!({ "take": names(1, "GPUs that leave it."), "name": nameless(), "add": none() });
    json!({ "oneOf": [
        object("A new name", named, &["name"]),
        object("More GPUs", add, &["add"]),
        object("Fewer GPUs", take, &["take"])
    ] })
}

fn code() -> Value {
    json!({ "type": "string", "pattern": "^[a-z0-9_]{1,64}$" })
}

/// A member that may be given, and is refused whatever it holds.
pub fn always_null() -> Schema {
    let null =
        json!({ "type": "null", "description": "Which partition is Divvy's choice: a value is refused." });
    serde_json::from_value(null).expect("is a schema; a test reads it")
}

macro_rules! by_hand {
    ($($shape:ty => $schema:expr;)*) => {
        $(
            impl PartialSchema for $shape {
                fn schema() -> RefOr<Schema> {
                    of($schema)
                }
            }

            impl ToSchema for $shape {}
        )*

        #[cfg(test)]
        fn schemas() -> Vec<RefOr<Schema>> {
            vec![$(<$shape>::schema()),*]
        }
    };
}

by_hand! {
    Name => name();
    Code => code();
    GpuSelection => selection();
    SetPartitionCount => count_or_off(&[]);
    SetPartitionCounts => count_or_off(&[("gpus", selection())]);
    AssignDda => gpus_or_pool();
    ChangePool => change_of_pool();
    SignIn => account_or_token();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_that_is_written_by_hand_is_a_schema() {
        assert_eq!(schemas().len(), 8);
        assert!(matches!(always_null(), Schema::Object(_)));
    }
}
