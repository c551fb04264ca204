//! HTTP: one file per resource. A handler reads the published state or asks at the door of `admit`; it
//! decides nothing. Every error is a problem document.

mod app;
mod body;
mod changes;
mod error;
mod hook;
mod jobs;
mod peer;
mod reads;
mod sim;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use divvy_api::paths;

pub use app::App;

/// Largest request body, bytes.
const BODY_BYTES: usize = 1 << 20;

pub fn router(app: App) -> Router {
    let mut routes = Router::new()
        .route(paths::VERSION, get(reads::version))
        .route(paths::GPUS, get(reads::gpus))
        .route(paths::GPU, get(reads::gpu))
        .route(paths::PARTITIONS, get(reads::partitions))
        .route(paths::VMS, get(reads::vms))
        .route(paths::VM, get(reads::vm))
        .route(paths::CHECK, get(reads::check))
        .route(paths::EXPLAIN, get(reads::explain))
        .route(paths::EVENTS, get(reads::events))
        .route(paths::JOBS, get(jobs::list))
        .route(paths::JOB, get(jobs::show))
        .route(paths::PARTITION_COUNT, put(changes::set_count))
        .route(paths::PARTITION_COUNTS, post(changes::set_counts))
        .route(paths::ASSIGNMENT, post(changes::assign_one).delete(changes::unassign_one))
        .route(paths::ASSIGNMENTS, post(changes::assign))
        .route(paths::UNASSIGNMENTS, post(changes::unassign))
        .route(crate::hook::PATH, post(hook::may_start));
    if app.room.is_some() {
        routes = routes.route(paths::SIM_POWER, post(sim::power));
    }
    routes
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(axum::middleware::from_fn_with_state(app.clone(), peer::admit_peer))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(app)
        .merge(crate::console::router())
}
