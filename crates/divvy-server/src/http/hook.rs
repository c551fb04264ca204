//! The start gate for the hypervisor's hook: the GPUs are read again at this moment, because what was
//! true at the last report may not be true now. The VMs are those of the last report: asking the
//! hypervisor from inside its own hook would wait for itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use divvy_core::rules::no_migration;
use divvy_core::start_gate::{self, StartingVm};
use divvy_core::state::State as Everything;

use super::app::App;
use super::body::Body;
use super::error::Failed;
use crate::hook::{Gate, Verdict};

pub async fn may_start(State(app): State<App>, Body(gate): Body<Gate>) -> Result<Json<Verdict>, Failed> {
    // One daemon on real hardware has one server; a room's VMs have no hook.
    let Some((server, host)) = app.hosts.iter().next() else {
        return Err(Failed::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "no server was read yet".to_owned(),
            "",
        ));
    };
    let (server, host) = (server.clone(), Arc::clone(host));
    let seen = tokio::task::spawn_blocking(move || host.observe()).await;
    let seen = seen.map_err(|error| Failed::internal(&error))?.map_err(|error| Failed::internal(&error))?;
    let mut state: Everything = Everything::clone(&app.hub.state());
    if let Some(observed) = state.observed.get_mut(&server) {
        let observed = Arc::make_mut(observed);
        observed.gpus = seen.gpus;
        observed.boot_id = Some(seen.boot_id);
        observed.findings = seen.findings;
    }
    if gate.migration {
        no_migration::check(&state, &gate.vm, &gate.name)?;
    }
    let vm = StartingVm { id: &gate.vm, name: &gate.name, devices: &gate.devices };
    start_gate::may_start(&state, &server, &vm)?;
    // The hypervisor is there, and one of its VMs changes: at boot this is the first that is heard of it.
    app.hub.bell(&server).ring();
    Ok(Json(Verdict { start: true }))
}
