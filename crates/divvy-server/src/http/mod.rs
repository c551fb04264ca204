//! HTTP: one file per resource. A handler reads the published state or asks at the door of `admit`; it
//! decides nothing. Every error is a problem document.

mod app;
mod body;
mod changes;
mod error;
mod etag;
mod events;
mod hook;
mod jobs;
mod lists;
mod openapi;
mod page;
mod peer;
mod reads;
mod sim;
mod stated;
mod stream;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use app::App;

/// Largest request body, bytes.
const BODY_BYTES: usize = 1 << 20;

pub fn router(app: App) -> Router {
    let (mut routes, _) = routes().split_for_parts();
    // The hypervisor's hook is of this machine and of this version, and no part of the API.
    routes = routes.route(crate::hook::PATH, post(hook::may_start));
    if app.room.is_some() {
        let (room, _) = room_routes().split_for_parts();
        routes = routes.merge(room);
    }
    routes
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(axum::middleware::from_fn(etag::tag))
        .layer(axum::middleware::from_fn_with_state(app.clone(), peer::admit_peer))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(app)
}

/// Everything that every daemon can be asked, each route with its description.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(reads::version))
        .routes(routes!(openapi::description))
        .routes(routes!(lists::gpus))
        .routes(routes!(reads::gpu))
        .routes(routes!(changes::set_count))
        .routes(routes!(changes::set_counts))
        .routes(routes!(lists::partitions))
        .routes(routes!(lists::vms))
        .routes(routes!(reads::vm))
        .routes(routes!(changes::assign_one, changes::unassign_one))
        .routes(routes!(changes::assign))
        .routes(routes!(changes::unassign))
        .routes(routes!(lists::check))
        .routes(routes!(reads::explain))
        .routes(routes!(events::events))
        .routes(routes!(stream::stream))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::cancel))
}

/// What only a simulated room can be told.
fn room_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sim::power))
}
