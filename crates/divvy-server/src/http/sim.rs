//! What happens in a simulated room without Divvy: power buttons and faults. There is no other hand that
//! could.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use divvy_api::paths;
use divvy_api::requests::{CauseFault, SetPower};
use divvy_api::views::{FaultView, VmView};
use divvy_core::assignment::Assignment;
use divvy_core::id::VmId;
use divvy_core::refusal::{Refusal, WholeRefusal};
use divvy_core::resolve;
use divvy_core::vm::Power;
use divvy_sim::fault::{Fault, FaultError, ParseFaultError};

use super::app::App;
use super::body::{Body, Name};
use super::error::Failed;
use super::hook::ask_gate;
use crate::gate::NoStart;
use crate::parts::RoomControl;
use crate::views;

/// Press the power button of a VM
///
/// In a simulated room only; elsewhere there is nothing at this path. The start gate is asked first, as
/// libvirt's hook does.
#[utoipa::path(post, path = paths::SIM_POWER, tag = "Simulated room",
    params(("vm" = Name, Path, description = "Id or name of the VM.")),
    request_body = SetPower,
    responses((status = 200, description = "The VM as it is now.", body = VmView),
        (status = 404, description = "`vm_not_found`, `no_such_route`"),
        (status = 409, description = "`power_refused`, `vm_ambiguous`, `start_refused`, \
            `no_free_gpu`, `not_ready`, `hypervisor_unavailable`, `busy`")))]
pub async fn power(
    State(app): State<App>,
    Name(name): Name,
    Body(body): Body<SetPower>,
) -> Result<Json<VmView>, Failed> {
    let state = app.hub.state();
    let (server, vm) = resolve::vm(&state, &name)?;
    let (server, id) = (server.clone(), vm.id.clone());
    let room = room(&app)?;
    let gate = room.gate(&server, &id).filter(|_| body.on);
    if let (Some(gate), Some(host)) = (gate, app.hosts.get(&server)) {
        match ask_gate(&app, Arc::clone(host), gate).await? {
            Err(NoStart::Refused(Refusal::Whole(WholeRefusal::StartFollows { .. }))) => {
                return started_by_divvy(&app, &id).await;
            }
            verdict => verdict?,
        }
    }
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

/// Who starts a VM with a claim is told that Divvy goes on with it; here the button waits for that.
async fn started_by_divvy(app: &App, id: &VmId) -> Result<Json<VmView>, Failed> {
    let mut changes = app.hub.changes();
    loop {
        let state = app.hub.state();
        let (server, vm) = resolve::vm(&state, id.as_str())?;
        let assignment = state.desired.assignment(id).map(|(_, assignment)| assignment);
        if vm.power == Power::Running && assignment.is_none_or(|one| !one.start) {
            return Ok(Json(views::vm_view(&state, server, vm)));
        }
        let gave_up = assignment.is_none_or(Assignment::waits_for_start);
        if gave_up || changes.changed().await.is_err() {
            let why = format!("VM {} could not be started with what it claims", vm.name);
            let hint = "divvy job list says which start failed, divvy job show why";
            return Err(Failed::new(StatusCode::CONFLICT, "power_refused", why, hint));
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
            | FaultError::NoSuchDriver { .. }
            | FaultError::NoSuchMode { .. }
            | FaultError::NoSuchVm { .. } => Self::new(
                StatusCode::NOT_FOUND,
                "not_in_room",
                text,
                "divvy gpu list and divvy vm list show what is in the room",
            ),
            FaultError::NotRunning { .. } => {
                Self::new(StatusCode::CONFLICT, "fault_refused", text, "divvy sim power VM on")
            }
            FaultError::GpuInUse { .. } => {
                Self::new(StatusCode::CONFLICT, "fault_refused", text, "divvy gpu partition GPU --off")
            }
            FaultError::DriverInUse { .. } => {
                Self::new(StatusCode::CONFLICT, "fault_refused", text, "divvy sim power VM off")
            }
        }
    }
}
