//! Powering the VMs of a simulated room, and what else happens to it: there is no other hand that could.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use divvy_api::paths;
use divvy_api::requests::{SetFault, SetPower};
use divvy_api::views::VmView;
use divvy_core::resolve;
use divvy_core::vm::Power;

use super::app::App;
use super::body::{Body, Name};
use super::error::Failed;
use crate::parts::RoomControl;
use crate::views;

fn room_of(app: &App) -> Result<Arc<dyn RoomControl>, Failed> {
    let none = || Failed::new(StatusCode::NOT_FOUND, "no_room", "this is no simulated room".to_owned(), "");
    app.room.clone().ok_or_else(none)
}

/// Let something happen to the room
///
/// In a simulated room only; elsewhere there is nothing at this path.
#[utoipa::path(post, path = paths::SIM_FAULTS, tag = "Simulated room",
    request_body = SetFault,
    responses((status = 200, description = "The faults that are switched on now.", body = Vec<String>),
        (status = 404, description = "`no_such_route`"),
        (status = 409, description = "`fault_refused`")))]
pub async fn fault(State(app): State<App>, Body(body): Body<SetFault>) -> Result<Json<Vec<String>>, Failed> {
    body.validate()?;
    let room = room_of(&app)?;
    let done = tokio::task::spawn_blocking(move || room.fault(&body.fault)).await;
    let faults = done.map_err(|error| Failed::internal(&error))?;
    let refused = |why| Failed::new(StatusCode::CONFLICT, "fault_refused", why, "divvy sim fault --help");
    Ok(Json(faults.map_err(refused)?))
}

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
    let room = room_of(&app)?;
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
