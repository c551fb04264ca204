//! The shapes that the derives cannot tell: names with the limits that are enforced, a selection that is
//! a word or a list, a body that takes one of two members. Only what the code refuses is a limit here.

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::requests::{GpuSelection, MAX_NAME_CHARS, MAX_NAMES, SetPartitionCount, SetPartitionCounts};

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

/// A count, or off: exactly one of both.
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
    }, "off": { "type": "boolean", "enum": [false] } });
    let off = json!({ "off": {
        "type": "boolean", "enum": [true], "description": "Not partitioned any more."
    }, "count": { "type": "null" } });
    json!({ "oneOf": [body(count, "count", "Split"), body(off, "off", "Stop splitting")] })
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
    Code => json!({ "type": "string", "pattern": "^[a-z0-9_]{1,64}$" });
    GpuSelection => selection();
    SetPartitionCount => count_or_off(&[]);
    SetPartitionCounts => count_or_off(&[("gpus", selection())]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_that_is_written_by_hand_is_a_schema() {
        assert_eq!(schemas().len(), 5);
        assert!(matches!(always_null(), Schema::Object(_)));
    }
}
