//! Powering the VMs of a simulated room: there is no other hand that could.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use divvy_api::paths;
use divvy_api::requests::SetPower;
use divvy_api::views::VmView;
use divvy_core::resolve;
use divvy_core::vm::Power;

use super::app::App;
use super::body::{Body, Name};
use super::error::Failed;
use crate::views;

/// Press the power button of a VM
///
/// In a simulated room only; elsewhere there is nothing at this path.
#[utoipa::path(post, path = paths::SIM_POWER, tag = "Simulated room",
    params(("vm" = Name, Path, description = "Id or name of the VM.")),
    request_body = SetPower,
    responses((status = 200, description = "The VM as it is now.", body = VmView),
        (status = 404, description = "`vm_not_found`, `no_such_route`"),
        (status = 409, description = "`power_refused`, `vm_ambiguous`")))]
pub async fn power(
    State(app): State<App>,
    Name(name): Name,
    Body(body): Body<SetPower>,
) -> Result<Json<VmView>, Failed> {
    let state = app.hub.state();
    let (server, vm) = resolve::vm(&state, &name)?;
    let (server, id) = (server.clone(), vm.id.clone());
    let Some(room) = app.room.clone() else {
        return Err(Failed::new(
            StatusCode::NOT_FOUND,
            "no_room",
            "this is no simulated room".to_owned(),
            "",
        ));
    };
    let mut changes = app.hub.changes();
    let (on_server, of_vm) = (server.clone(), id.clone());
    let done = tokio::task::spawn_blocking(move || room.power(&on_server, &of_vm, body.on)).await;
    done.map_err(|error| Failed::internal(&error))?
        .map_err(|why| Failed::new(StatusCode::CONFLICT, "power_refused", why, ""))?;
    let wanted = if body.on { Power::Running } else { Power::Off };
    loop {
        let state = app.hub.state();
        let (server, vm) = resolve::vm(&state, id.as_str())?;
        if vm.power == wanted || changes.changed().await.is_err() {
            return Ok(Json(views::vm_view(&state, server, vm)));
        }
    }
}
