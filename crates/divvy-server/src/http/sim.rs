//! What happens in a simulated room without Divvy: power buttons and faults. There is no other hand that
//! could.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use divvy_api::paths;
use divvy_api::requests::{CauseFault, SetPower};
use divvy_api::views::{FaultView, VmView};
use divvy_core::resolve;
use divvy_core::vm::Power;
use divvy_sim::fault::{Fault, FaultError, ParseFaultError};

use super::app::App;
use super::body::{Body, Name};
use super::error::Failed;
use crate::parts::RoomControl;
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
    let room = room(&app)?;
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

/// What goes wrong in the room now
#[utoipa::path(get, path = paths::SIM_FAULTS, tag = "Simulated room",
    responses((status = 200, description = "What was caused and is not cleared.", body = Vec<FaultView>),
        (status = 404, description = "`no_such_route`")))]
pub async fn faults(State(app): State<App>) -> Result<Json<Vec<FaultView>>, Failed> {
    let room = room(&app)?;
    Ok(Json(told(&*room)))
}

/// Let something go wrong
///
/// In a simulated room only; elsewhere there is nothing at this path.
#[utoipa::path(post, path = paths::SIM_FAULTS, tag = "Simulated room",
    request_body = CauseFault,
    responses((status = 200, description = "All that goes wrong now.", body = Vec<FaultView>),
        (status = 404, description = "`no_such_route`, `not_in_room`"),
        (status = 409, description = "`fault_refused`"),
        (status = 422, description = "`fault_malformed`")))]
pub async fn cause_fault(
    State(app): State<App>,
    Body(body): Body<CauseFault>,
) -> Result<Json<Vec<FaultView>>, Failed> {
    let fault: Fault = body.fault.parse()?;
    cause(&app, fault).await
}

/// End all that goes wrong
#[utoipa::path(delete, path = paths::SIM_FAULTS, tag = "Simulated room",
    responses((status = 200, description = "What goes wrong still: nothing.", body = Vec<FaultView>),
        (status = 404, description = "`no_such_route`")))]
pub async fn clear_faults(State(app): State<App>) -> Result<Json<Vec<FaultView>>, Failed> {
    cause(&app, Fault::Clear).await
}

/// The room keeps itself in a file meanwhile.
async fn cause(app: &App, fault: Fault) -> Result<Json<Vec<FaultView>>, Failed> {
    let room = room(app)?;
    let done = tokio::task::spawn_blocking(move || room.cause(&fault).map(|()| told(&*room))).await;
    Ok(Json(done.map_err(|error| Failed::internal(&error))??))
}

fn room(app: &App) -> Result<Arc<dyn RoomControl>, Failed> {
    let missing =
        || Failed::new(StatusCode::NOT_FOUND, "no_room", "this is no simulated room".to_owned(), "");
    app.room.clone().ok_or_else(missing)
}

fn told(room: &dyn RoomControl) -> Vec<FaultView> {
    room.faults().iter().map(|fault| FaultView { fault: fault.to_string() }).collect()
}

impl From<ParseFaultError> for Failed {
    fn from(error: ParseFaultError) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "fault_malformed",
            error.to_string(),
            "divvy sim fault --help lists them",
        )
    }
}

impl From<FaultError> for Failed {
    fn from(error: FaultError) -> Self {
        let text = error.to_string();
        match error {
            FaultError::NoSuchGpu { .. }
            | FaultError::NoSuchPartition { .. }
            | FaultError::NoSuchServer { .. }
            | FaultError::NoSuchVm { .. } => Self::new(
                StatusCode::NOT_FOUND,
                "not_in_room",
                text,
                "divvy gpu list and divvy vm list show what is in the room",
            ),
            FaultError::NotRunning { .. } => {
                Self::new(StatusCode::CONFLICT, "fault_refused", text, "divvy sim power VM on")
            }
            FaultError::DriverInUse { .. } => {
                Self::new(StatusCode::CONFLICT, "fault_refused", text, "divvy sim power VM off")
            }
        }
    }
}
