//! The description of the whole API. Handlers bring their own part (a test fails for a route without
//! one); what all of them have in common is added in `complete.rs`: who may ask, headers, the problems
//! that any request can run into. It is made in tests only and frozen in `docs/openapi.json`; what is
//! served is that file, so that a daemon carries no machinery that describes it.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use divvy_api::paths;

/// The description as it is served.
const FROZEN: &str = include_str!("../../../../docs/openapi.json");

/// The answer of a change that needs no job: what would be done, or that it is so already.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Done {
    Plan(divvy_api::views::PlanView),
    Accepted(divvy_api::views::Accepted),
}

/// The description of all of this
#[utoipa::path(get, path = paths::OPENAPI, tag = "Server",
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = Object)))]
pub async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], FROZEN).into_response()
}

#[cfg(test)]
mod complete;
#[cfg(test)]
mod tests;
