//! HTTP: one file per resource. A handler reads the published state or asks at the door of `admit`; it
//! decides nothing. Every error is a problem document.

mod app;
mod asker;
mod body;
mod changes;
mod error;
mod etag;
mod events;
mod headers;
mod hook;
mod jobs;
mod lists;
mod openapi;
mod origin;
mod page;
mod peer;
mod reads;
mod session;
mod sim;
mod stream;
mod until;
mod usage;
mod webhooks;
mod whole;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, post};
use divvy_api::paths;

pub use app::App;
pub use origin::Names;

/// Largest request body, bytes.
const BODY_BYTES: usize = 1 << 20;

/// Makes the routes, and in tests the list of them, so that none goes without its description.
macro_rules! routes {
    ($name:ident, $list:ident: $($path:path { $($method:ident $handler:path),+ })+) => {
        fn $name() -> Router<App> {
            Router::new()$(.route($path, MethodRouter::new()$(.$method($handler))+))+
        }

        #[cfg(test)]
        const $list: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),+];
    };
}

// Everything that every daemon can be asked.
routes! { api, API:
    paths::VERSION { get reads::version }
    paths::OPENAPI { get openapi::description }
    paths::GPUS { get lists::gpus }
    paths::GPU { get reads::gpu }
    paths::PARTITION_COUNT { put changes::set_count }
    paths::PARTITION_COUNTS { post changes::set_counts }
    paths::PARTITIONS { get lists::partitions }
    paths::VMS { get lists::vms }
    paths::VM { get reads::vm }
    paths::ASSIGNMENT { post changes::assign_one, delete changes::unassign_one }
    paths::ASSIGNMENTS { post changes::assign }
    paths::UNASSIGNMENTS { post changes::unassign }
    paths::DDA { post whole::assign_dda, delete whole::unassign_dda }
    paths::POOLS { get lists::pools, post whole::create_pool }
    paths::POOL { patch whole::change_pool, delete whole::remove_pool }
    paths::CURE { post whole::cure }
    paths::USAGE { get usage::usage }
    paths::CHECK { get lists::check }
    paths::EXPLAIN { get reads::explain }
    paths::EVENTS { get events::events }
    paths::WEBHOOKS { get webhooks::webhooks }
    paths::WEBHOOK_TESTS { post webhooks::test_webhooks }
    paths::STREAM { get stream::stream }
    paths::JOBS { get jobs::list }
    paths::JOB { get jobs::show }
    paths::JOB_CANCEL { post jobs::cancel }
    paths::SESSION { get session::show, post session::open, delete session::end }
}

// What only a simulated room can be told.
routes! { of_room, OF_ROOM:
    paths::SIM_POWER { post sim::power }
    paths::SIM_FAULTS { get sim::faults, post sim::cause_fault, delete sim::clear_faults }
}

pub fn router(app: App) -> Router {
    // The hypervisor's hook is of this machine and of this version, and no part of the API.
    let mut routes = api().route(crate::hook::PATH, post(hook::may_start));
    if app.room.is_some() {
        routes = routes.merge(of_room());
    }
    routes
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(axum::middleware::from_fn(etag::tag))
        .layer(axum::middleware::from_fn_with_state(app.clone(), peer::admit_peer))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(app)
        .merge(crate::console::router())
        .layer(axum::middleware::from_fn(headers::secure))
}
