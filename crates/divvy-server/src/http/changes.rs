//! Everything that changes what was asked for: read, checked for shape, and put before `admit`.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use divvy_api::paths;
use divvy_api::queries::DryRunQuery;
use divvy_api::requests::{
    Assign, AssignOne, GpuSelection as WireSelection, SetPartitionCount, SetPartitionCounts, Setting,
    Unassign,
};
use divvy_api::views::{Accepted, FindingView, JobView, PlanView};
use divvy_core::finding::FindingCode;
use divvy_core::request::{CountWish, GpuSelection, Request};

use super::app::App;
use super::body::{Asked, Body, Name};
use super::error::Failed;
use super::openapi::Done;
use super::stated::Stated;
use crate::auth::Principal;
use crate::door::{Answer, Wish};
use crate::terms::{Object, Terms};
use crate::views;

/// Says that an answer is that of the first time a key was used.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

fn wish(setting: Setting) -> CountWish {
    match setting {
        Setting::Off => CountWish::Off,
        Setting::Count(count) => CountWish::Count(count),
    }
}

pub fn codes(accept: &[String]) -> Result<std::collections::BTreeSet<FindingCode>, Failed> {
    let parsed = accept.iter().map(|text| text.parse::<FindingCode>());
    parsed.collect::<Result<_, _>>().map_err(|error| {
        Failed::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "finding_code_malformed",
            error.to_string(),
            "divvy check shows the codes",
        )
    })
}

/// 202 with the job, 200 when there is nothing to do, 200 with the plan for a dry run.
pub async fn ask(
    app: &App,
    principal: &Principal,
    request: Request,
    terms: Terms,
    dry_run: bool,
) -> Result<Response, Failed> {
    match app.hub.ask(Wish::Change(request), principal.as_str(), terms, dry_run).await? {
        Answer::Planned { steps, warnings } => {
            let warnings = warnings.iter().map(FindingView::from).collect();
            let plan = PlanView { steps: views::plan_steps(&steps), warnings };
            Ok(Json(Done::Plan(plan)).into_response())
        }
        Answer::Accepted { job, warnings, again } => {
            let status = if job.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
            let job = job.map(|job| JobView::from(job.as_ref()));
            let warnings = warnings.iter().map(FindingView::from).collect();
            let accepted = Done::Accepted(Accepted { job, warnings });
            Ok(answered((status, Json(accepted)).into_response(), again))
        }
    }
}

/// Says so when an answer is that of the first time.
pub fn answered(mut response: Response, again: bool) -> Response {
    if again {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Split one GPU into partitions, or stop splitting it
#[utoipa::path(put, path = paths::PARTITION_COUNT, tag = "GPUs",
    params(("gpu" = Name, Path, description = "Id, name or address of the GPU.")),
    request_body = SetPartitionCount,
    responses((status = 200, description = "It is so already, or the plan of a dry run.", body = Done),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`gpu_not_found`"),
        (status = 409, description = "`count_not_valid`, `gpu_ambiguous`, `gpu_not_partitionable`, \
            `partitions_assigned`, `partitions_open`, `gpu_used_whole`, `gpu_unknown`, `busy`")))]
pub async fn set_count(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Name(gpu): Name,
    stated: Stated,
    Body(body): Body<SetPartitionCount>,
) -> Result<Response, Failed> {
    let wish = wish(body.validate()?);
    let terms = stated.terms(&principal, &body, Some(Object::Gpu(gpu.clone())))?;
    let request = Request::SetPartitionCount { gpus: GpuSelection::Named(vec![gpu]), wish };
    ask(&app, &principal, request, terms, body.dry_run).await
}

/// Split GPUs into partitions, or stop splitting them
///
/// All of them or none: one GPU that cannot be split so refuses the whole.
#[utoipa::path(post, path = paths::PARTITION_COUNTS, tag = "GPUs",
    request_body = SetPartitionCounts,
    responses((status = 200, description = "It is so already, or the plan of a dry run.", body = Done),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`gpu_not_found`"),
        (status = 409, description = "`count_not_valid`, `gpu_ambiguous`, `gpu_not_partitionable`, \
            `partitions_assigned`, `partitions_open`, `models_differ`, `gpu_used_whole`, `gpu_unknown`, \
            `busy`")))]
pub async fn set_counts(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    stated: Stated,
    Body(body): Body<SetPartitionCounts>,
) -> Result<Response, Failed> {
    let wish = wish(body.validate()?);
    let terms = stated.terms(&principal, &body, None)?;
    let gpus = match body.gpus {
        WireSelection::All => GpuSelection::All,
        WireSelection::Named(names) => GpuSelection::Named(names),
    };
    ask(&app, &principal, Request::SetPartitionCount { gpus, wish }, terms, body.dry_run).await
}

/// Give a VM a partition
///
/// Divvy picks it; the GPU may be wished for.
#[utoipa::path(post, path = paths::ASSIGNMENT, tag = "VMs",
    params(("vm" = Name, Path, description = "Id or name of the VM.")),
    request_body = AssignOne,
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`, `gpu_not_found`"),
        (status = 409, description = "`vm_has_partition`, `no_free_partition`, `not_ready`, `not_accepted`, \
            `other_server`, `vm_ambiguous`, `gpu_ambiguous`, `gpu_used_whole`, `gpu_unknown`, \
            `gpu_not_partitionable`, `hypervisor_unavailable`, `busy`")))]
pub async fn assign_one(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Name(vm): Name,
    stated: Stated,
    Body(body): Body<AssignOne>,
) -> Result<Response, Failed> {
    body.validate()?;
    let accept = codes(&body.accept)?;
    let terms = stated.terms(&principal, &body, Some(Object::Vm(vm.clone())))?;
    let request = Request::Assign { vms: vec![vm], gpu: body.gpu, partition: body.partition, accept };
    ask(&app, &principal, request, terms, body.dry_run).await
}

/// Give VMs a partition each
///
/// All of them or none.
#[utoipa::path(post, path = paths::ASSIGNMENTS, tag = "VMs",
    request_body = Assign,
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`, `gpu_not_found`"),
        (status = 409, description = "`vm_has_partition`, `no_free_partition`, `not_ready`, `not_accepted`, \
            `other_server`, `vm_ambiguous`, `gpu_ambiguous`, `gpu_used_whole`, `gpu_unknown`, \
            `gpu_not_partitionable`, `hypervisor_unavailable`, `busy`")))]
pub async fn assign(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    stated: Stated,
    Body(body): Body<Assign>,
) -> Result<Response, Failed> {
    body.validate()?;
    let accept = codes(&body.accept)?;
    let terms = stated.terms(&principal, &body, None)?;
    let request = Request::Assign { vms: body.vms, gpu: body.gpu, partition: body.partition, accept };
    ask(&app, &principal, request, terms, body.dry_run).await
}

/// Take a VM's partition back
#[utoipa::path(delete, path = paths::ASSIGNMENT, tag = "VMs",
    params(("vm" = Name, Path, description = "Id or name of the VM."), DryRunQuery),
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`"),
        (status = 409, description = "`vm_has_no_partition`, `vm_ambiguous`, `hypervisor_unavailable`, `busy`")))]
pub async fn unassign_one(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Name(vm): Name,
    Asked(query): Asked<DryRunQuery>,
    stated: Stated,
) -> Result<Response, Failed> {
    let terms = stated.terms(&principal, &(), Some(Object::Vm(vm.clone())))?;
    ask(&app, &principal, Request::Unassign { vms: vec![vm] }, terms, query.dry_run).await
}

/// Take the partitions of VMs back
///
/// All of them or none.
#[utoipa::path(post, path = paths::UNASSIGNMENTS, tag = "VMs",
    request_body = Unassign,
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`"),
        (status = 409, description = "`vm_has_no_partition`, `vm_ambiguous`, `hypervisor_unavailable`, `busy`")))]
pub async fn unassign(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    stated: Stated,
    Body(body): Body<Unassign>,
) -> Result<Response, Failed> {
    body.validate()?;
    let terms = stated.terms(&principal, &body, None)?;
    ask(&app, &principal, Request::Unassign { vms: body.vms }, terms, body.dry_run).await
}
