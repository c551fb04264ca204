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
use crate::host_side::HostSide;

pub async fn may_start(State(app): State<App>, Body(gate): Body<Gate>) -> Result<Json<Verdict>, Failed> {
    // One daemon on real hardware has one server; a room's VMs have no hook, but a power button.
    let Some(host) = app.hosts.values().next().map(Arc::clone) else {
        return Err(Failed::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "no server was read yet".to_owned(),
            "",
        ));
    };
    ask_gate(&app, host, gate).await??;
    Ok(Json(Verdict { start: true }))
}

/// What the start gate says; the outer failure is one of asking.
pub async fn ask_gate(app: &App, host: Arc<HostSide>, gate: Gate) -> Result<Result<(), NoStart>, Failed> {
    let hub = app.hub.clone();
    let answer = tokio::task::spawn_blocking(move || gate::may_start(&hub, &host, &gate)).await;
    answer.map_err(|error| Failed::internal(&error))
}

impl From<NoStart> for Failed {
    fn from(no: NoStart) -> Self {
        match no {
            NoStart::Refused(refusal) => refusal.into(),
            NoStart::Unseen(error) => Self::internal(&error),
            NoStart::NotFilled(error) => error.into(),
        }
    }
}
