//! One thing at a time: looked at, changed by nobody.

use axum::Json;
use axum::extract::State;
use divvy_api::paths;
use divvy_api::views::{ExplainView, GpuView, VersionView, VmView};
use divvy_core::finding::Subject;
use divvy_core::refusal::Refusal;
use divvy_core::{explain as explaining, resolve};

use super::app::App;
use super::body::Name;
use super::error::Failed;
use crate::views;

/// Which server answers
#[utoipa::path(get, path = paths::VERSION, tag = "Server",
    responses((status = 200, description = "The server and its version.", body = VersionView)))]
pub async fn version(State(app): State<App>) -> Json<VersionView> {
    Json(VersionView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server: app.name.clone(),
        room: app.room.as_ref().map(|room| room.name().to_owned()),
        certificate_fingerprint: app.presented.fingerprint().map(|fingerprint| fingerprint.to_string()),
    })
}

/// One GPU
#[utoipa::path(get, path = paths::GPU, tag = "GPUs",
    params(("gpu" = Name, Path, description = "Id, name or address of the GPU.")),
    responses((status = 200, description = "The GPU.", body = GpuView),
        (status = 404, description = "`gpu_not_found`"), (status = 409, description = "`gpu_ambiguous`")))]
pub async fn gpu(State(app): State<App>, Name(name): Name) -> Result<Json<GpuView>, Failed> {
    let state = app.hub.state();
    let (server, gpu) = resolve::gpu(&state, &name)?;
    let view = views::gpu_view(&state, server, gpu).ok_or(Refusal::GpuNotFound { name })?;
    Ok(Json(view))
}

/// One VM
#[utoipa::path(get, path = paths::VM, tag = "VMs",
    params(("vm" = Name, Path, description = "Id or name of the VM.")),
    responses((status = 200, description = "The VM.", body = VmView),
        (status = 404, description = "`vm_not_found`"), (status = 409, description = "`vm_ambiguous`")))]
pub async fn vm(State(app): State<App>, Name(name): Name) -> Result<Json<VmView>, Failed> {
    let state = app.hub.state();
    let (server, vm) = resolve::vm(&state, &name)?;
    Ok(Json(views::vm_view(&state, server, vm)))
}

/// Why something is as it is
///
/// A VM or a GPU by this name; a VM first, because people ask about VMs.
#[utoipa::path(get, path = paths::EXPLAIN, tag = "Findings",
    params(("name" = Name, Path, description = "Id, name or address of a VM or a GPU.")),
    responses((status = 200, description = "The explanation.", body = ExplainView),
        (status = 404, description = "`not_found`"),
        (status = 409, description = "`vm_ambiguous`, `gpu_ambiguous`")))]
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
