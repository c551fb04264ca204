//! Everything that changes what was asked for: read, checked for shape, and put before `admit`.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use divvy_api::requests::{
    Assign, AssignOne, DryRunQuery, GpuSelection as WireSelection, SetPartitionCount, SetPartitionCounts,
    Setting, Unassign,
};
use divvy_api::views::{Accepted, FindingView, JobView, PlanView};
use divvy_core::finding::FindingCode;
use divvy_core::request::{CountWish, GpuSelection, Request};

use super::app::App;
use super::body::{Asked, Body, Name};
use super::error::Failed;
use crate::auth::Principal;
use crate::door::Answer;
use crate::views;

fn wish(setting: Setting) -> CountWish {
    match setting {
        Setting::Off => CountWish::Off,
        Setting::Count(count) => CountWish::Count(count),
    }
}

fn codes(accept: &[String]) -> Result<std::collections::BTreeSet<FindingCode>, Failed> {
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
async fn ask(app: &App, principal: &Principal, request: Request, dry_run: bool) -> Result<Response, Failed> {
    match app.hub.ask(request, principal.as_str(), dry_run).await? {
        Answer::Planned { steps, warnings } => {
            let warnings = warnings.iter().map(FindingView::from).collect();
            Ok(Json(PlanView { steps: views::plan_steps(&steps), warnings }).into_response())
        }
        Answer::Accepted { job, warnings } => {
            let status = if job.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
            let job = job.map(|job| JobView::from(job.as_ref()));
            let warnings = warnings.iter().map(FindingView::from).collect();
            Ok((status, Json(Accepted { job, warnings })).into_response())
        }
    }
}

pub async fn set_count(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Name(gpu): Name,
    Body(body): Body<SetPartitionCount>,
) -> Result<Response, Failed> {
    let wish = wish(body.validate()?);
    let request = Request::SetPartitionCount { gpus: GpuSelection::Named(vec![gpu]), wish };
    ask(&app, &principal, request, body.dry_run).await
}

pub async fn set_counts(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Body(body): Body<SetPartitionCounts>,
) -> Result<Response, Failed> {
    let wish = wish(body.validate()?);
    let gpus = match body.gpus {
        WireSelection::All => GpuSelection::All,
        WireSelection::Named(names) => GpuSelection::Named(names),
    };
    ask(&app, &principal, Request::SetPartitionCount { gpus, wish }, body.dry_run).await
}

pub async fn assign_one(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Name(vm): Name,
    Body(body): Body<AssignOne>,
) -> Result<Response, Failed> {
    body.validate()?;
    let accept = codes(&body.accept)?;
    let request = Request::Assign { vms: vec![vm], gpu: body.gpu, partition: body.partition, accept };
    ask(&app, &principal, request, body.dry_run).await
}

pub async fn assign(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Body(body): Body<Assign>,
) -> Result<Response, Failed> {
    body.validate()?;
    let accept = codes(&body.accept)?;
    let request = Request::Assign { vms: body.vms, gpu: body.gpu, partition: body.partition, accept };
    ask(&app, &principal, request, body.dry_run).await
}

pub async fn unassign_one(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Name(vm): Name,
    Asked(query): Asked<DryRunQuery>,
) -> Result<Response, Failed> {
    ask(&app, &principal, Request::Unassign { vms: vec![vm] }, query.dry_run).await
}

pub async fn unassign(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    Body(body): Body<Unassign>,
) -> Result<Response, Failed> {
    body.validate()?;
    ask(&app, &principal, Request::Unassign { vms: body.vms }, body.dry_run).await
}
