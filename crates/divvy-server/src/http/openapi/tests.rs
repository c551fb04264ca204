//! The frozen description is that of the code, and keeps what a reader of it relies on.

use std::collections::BTreeSet;
use std::path::Path;

use divvy_api::problem::Problem;
use divvy_api::stream::{ChangeView, ResetView};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::FROZEN;
use super::complete::complete;
use crate::http::{
    API, OF_ROOM, changes, events, jobs, lists, reads, session, sim, stream, usage, webhooks, whole,
};

#[derive(OpenApi)]
#[openapi(
    paths(
        reads::version,
        super::description,
        reads::gpu,
        reads::vm,
        reads::explain,
        lists::gpus,
        lists::partitions,
        lists::vms,
        lists::pools,
        lists::check,
        usage::usage,
        events::events,
        webhooks::webhooks,
        webhooks::test_webhooks,
        stream::stream,
        changes::set_count,
        changes::set_counts,
        changes::assign_one,
        changes::assign,
        changes::unassign_one,
        changes::unassign,
        jobs::list,
        jobs::show,
        jobs::cancel,
        session::show,
        session::open,
        session::end,
        whole::assign_dda,
        whole::unassign_dda,
        whole::create_pool,
        whole::change_pool,
        whole::remove_pool,
        whole::cure,
        sim::power,
        sim::faults,
        sim::cause_fault,
        sim::clear_faults
    ),
    components(schemas(Problem, ChangeView, ResetView))
)]
struct Described;

fn described() -> Value {
    complete(serde_json::to_value(Described::openapi()).expect("a description is JSON"))
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("there are paths");
    let mut all = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            all.push((format!("{method} {path}"), operation));
        }
    }
    all
}

/// `DIVVY_WRITE_GOLDEN=1 cargo test -p divvy-server openapi` writes it anew.
#[test]
fn the_frozen_description_is_that_of_the_code() {
    let text = serde_json::to_string_pretty(&described()).expect("is JSON") + "\n";
    if std::env::var_os("DIVVY_WRITE_GOLDEN").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        std::fs::write(file, &text).expect("is written");
        return;
    }
    assert!(text == FROZEN, "docs/openapi.json is out of date: DIVVY_WRITE_GOLDEN=1 writes it anew");
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = described();
    let described: BTreeSet<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    let routes = API.iter().chain(OF_ROOM);
    let routes =
        routes.flat_map(|(path, methods)| methods.iter().map(move |method| format!("{method} {path}")));
    assert_eq!(described, routes.collect());
}

#[test]
fn every_operation_says_what_it_is_and_every_answer_too() {
    let document = described();
    for (name, operation) in operations(&document) {
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        for (status, answer) in operation["responses"].as_object().expect("has answers") {
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
        }
    }
}

#[test]
fn every_refusal_is_a_problem_document_and_names_its_codes() {
    let document = described();
    for (name, operation) in operations(&document) {
        for (status, answer) in operation["responses"].as_object().expect("has answers") {
            if status.starts_with(['4', '5']) {
                assert!(answer["content"].get("application/problem+json").is_some(), "{name} {status}");
                assert!(
                    answer["description"].as_str().is_some_and(|text| text.contains('`')),
                    "{name} {status}"
                );
            }
        }
    }
}

#[test]
fn operations_have_names_of_their_own() {
    let document = described();
    let all = operations(&document);
    let names: BTreeSet<&str> = all.iter().filter_map(|(_, one)| one["operationId"].as_str()).collect();
    assert_eq!(names.len(), all.len());
}

#[test]
fn every_code_in_the_description_is_explained() {
    let explained = include_str!("../../../../../docs/codes.md");
    let document = described();
    for (name, operation) in operations(&document) {
        for (status, answer) in operation["responses"].as_object().expect("has answers") {
            let text = answer["description"].as_str().unwrap_or_default();
            for code in text.split('`').skip(1).step_by(2).filter(|_| status.starts_with(['4', '5'])) {
                assert!(explained.contains(&format!("| `{code}` |")), "{name} {status}: {code}");
            }
        }
    }
}

#[test]
fn words_are_described_as_they_are_on_the_wire() {
    let document = described();
    let words = json!(["off", "running", "paused", "unknown"]);
    assert_eq!(document["components"]["schemas"]["Power"]["enum"], words);
    let parameters = document["paths"]["/v1/vms"]["get"]["parameters"].as_array().expect("has parameters");
    let power = parameters.iter().find(|one| one["name"] == "power").expect("is one of them");
    assert_eq!(power["schema"]["enum"], words);
}

#[test]
fn a_view_has_all_its_members_whatever_they_hold() {
    let document = described();
    let gpu = &document["components"]["schemas"]["GpuView"];
    let members = gpu["properties"].as_object().expect("has members");
    assert_eq!(gpu["required"].as_array().map(Vec::len), Some(members.len()));
    assert_eq!(gpu["properties"]["serial"]["type"], json!(["string", "null"]));
}
