//! Everything that only looks.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use divvy_api::requests::{EventQuery, GpuQuery};
use divvy_api::views::{EventView, ExplainView, FindingView, GpuView, PartitionView, VersionView, VmView};
use divvy_core::finding::Subject;
use divvy_core::refusal::Refusal;
use divvy_core::{explain as explaining, resolve};

use super::app::App;
use super::body::{Asked, Name};
use super::error::Failed;
use crate::views;

pub async fn version(State(app): State<App>) -> Json<VersionView> {
    Json(VersionView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server: app.name.clone(),
        room: app.room.as_ref().map(|room| room.name().to_owned()),
        certificate_fingerprint: app.presented.fingerprint().map(|fingerprint| fingerprint.to_string()),
    })
}

pub async fn gpus(State(app): State<App>, Asked(query): Asked<GpuQuery>) -> Json<Vec<GpuView>> {
    let mut views = views::gpus(&app.hub.state());
    if let Some(server) = query.server {
        views.retain(|gpu| gpu.server == server);
    }
    Json(views)
}

pub async fn gpu(State(app): State<App>, Name(name): Name) -> Result<Json<GpuView>, Failed> {
    let state = app.hub.state();
    let (server, gpu) = resolve::gpu(&state, &name)?;
    let view = views::gpu_view(&state, server, gpu).ok_or(Refusal::GpuNotFound { name })?;
    Ok(Json(view))
}

pub async fn partitions(State(app): State<App>) -> Json<Vec<PartitionView>> {
    Json(views::partitions(&app.hub.state()))
}

pub async fn vms(State(app): State<App>) -> Json<Vec<VmView>> {
    Json(views::vms(&app.hub.state()))
}

pub async fn vm(State(app): State<App>, Name(name): Name) -> Result<Json<VmView>, Failed> {
    let state = app.hub.state();
    let (server, vm) = resolve::vm(&state, &name)?;
    Ok(Json(views::vm_view(&state, server, vm)))
}

pub async fn check(State(app): State<App>) -> Json<Vec<FindingView>> {
    Json(views::findings(&app.hub.state()))
}

/// A VM or a GPU by this name; a VM first, because people ask about VMs.
pub async fn explain(State(app): State<App>, Name(name): Name) -> Result<Json<ExplainView>, Failed> {
    let state = app.hub.state();
    match (resolve::vm(&state, &name), resolve::gpu(&state, &name)) {
        (Ok((server, vm)), _) => {
            let told = explaining::vm(&state, server, vm);
            Ok(Json(views::explanation(&Subject::Vm(vm.id.clone()), told)))
        }
        (_, Ok((server, gpu))) => {
            let told = explaining::gpu(&state, server, gpu);
            Ok(Json(views::explanation(&Subject::Gpu(gpu.id.clone()), told)))
        }
        (Err(Refusal::VmNotFound { .. }), Err(Refusal::GpuNotFound { .. })) => Err(Failed::new(
            axum::http::StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no VM and no GPU called {name:?}"),
            "divvy vm list and divvy gpu list show all of them",
        )),
        (Err(Refusal::VmNotFound { .. }), Err(refusal)) | (Err(refusal), _) => Err(refusal.into()),
    }
}

pub async fn events(
    State(app): State<App>,
    Asked(query): Asked<EventQuery>,
) -> Result<Json<Vec<EventView>>, Failed> {
    let mut newest = app.newest_event.clone();
    let limit = query.limit();
    let after = query.after.unwrap_or_else(|| newest.borrow().saturating_sub(u64::from(limit)));
    if query.after.is_some() {
        let wait = newest.wait_for(|number| *number > after);
        // No event in time is an empty answer.
        let _ = tokio::time::timeout(Duration::from_millis(query.wait_ms()), wait).await;
    }
    let store = app.store.clone();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let events = tokio::task::spawn_blocking(move || store.events(after, limit)).await;
    let events =
        events.map_err(|error| Failed::internal(&error))?.map_err(|error| Failed::internal(&error))?;
    Ok(Json(events.iter().map(EventView::from).collect()))
}
