//! What libvirt's hook asks before each start; `gate.rs` answers it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::app::App;
use super::body::Body;
use super::error::Failed;
use crate::gate::{self, NoStart};
use crate::hook::{Gate, Verdict};

pub async fn may_start(State(app): State<App>, Body(gate): Body<Gate>) -> Result<Json<Verdict>, Failed> {
    // One daemon on real hardware has one server; a room's VMs have no hook.
    let Some(host) = app.hosts.values().next().map(Arc::clone) else {
        return Err(Failed::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "no server was read yet".to_owned(),
            "",
        ));
    };
    let hub = app.hub.clone();
    let answer = tokio::task::spawn_blocking(move || gate::may_start(&hub, &host, &gate)).await;
    match answer.map_err(|error| Failed::internal(&error))? {
        Ok(()) => Ok(Json(Verdict { start: true })),
        Err(NoStart::Refused(refusal)) => Err(refusal.into()),
        Err(NoStart::Unseen(error)) => Err(Failed::internal(&error)),
    }
}
