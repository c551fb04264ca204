//! Jobs: running ones as they are this moment, ended ones from the store.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use divvy_api::paths;
use divvy_api::queries::{JobListQuery, JobQuery, ListQuery};
use divvy_api::views::{JobTargetView, JobView};
use divvy_core::job::JobId;
use divvy_core::refusal::Refusal;

use super::app::App;
use super::asker::{Asker, answered};
use super::body::{Asked, Name};
use super::error::Failed;
use super::page::{Row, has, is, page};
use crate::door::{Answer, Wish};
use crate::terms::Object;

/// Every job that is kept
///
/// The newest first: all that run, and the last thousand that have ended.
#[utoipa::path(get, path = paths::JOBS, tag = "Jobs", params(JobListQuery),
    responses((status = 200, description = "The jobs.", body = [JobView])))]
pub async fn list(State(app): State<App>, Asked(query): Asked<JobListQuery>) -> Result<Response, Failed> {
    query.validate()?;
    let store = app.store.clone();
    let kept = tokio::task::spawn_blocking(move || store.jobs(None, usize::MAX)).await;
    let kept = kept.map_err(|error| Failed::internal(&error))?.map_err(|error| Failed::internal(&error))?;
    let running = app.hub.published().running_jobs;
    let views = kept.iter().map(|job| JobView::from(running.get(&job.id).map_or(job, |live| live)));
    let meant = views.filter(|job| is_meant(&query, job));
    let rows = meant.map(|view| Row { key: format!("{:020}", u64::MAX - view.id), view });
    page(rows.collect(), &query, paths::JOBS)
}

fn is_meant(query: &JobListQuery, job: &JobView) -> bool {
    let any = |wanted: bool, is_so: &dyn Fn(&JobTargetView) -> bool| !wanted || job.targets.iter().any(is_so);
    let named = |target: &JobTargetView| {
        let names = [&target.gpu, &target.vm, &target.vm_name, &target.partition];
        let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        has(query.q.as_deref(), &names)
    };
    is(query.progress.as_ref(), &job.progress)
        && is(query.kind.as_ref(), &job.kind)
        && is(query.principal.as_ref(), &job.principal)
        && any(query.server.is_some(), &|target| Some(&target.server) == query.server.as_ref())
        && any(query.gpu.is_some(), &|target| target.gpu == query.gpu)
        && any(query.vm.is_some(), &|target| target.vm == query.vm || target.vm_name == query.vm)
        && (has(query.q.as_deref(), &[&job.principal]) || any(true, &named))
}

/// One job
///
/// With every step that was taken for each of its targets.
#[utoipa::path(get, path = paths::JOB, tag = "Jobs",
    params(("id" = u64, Path, description = "The job's number."), JobQuery),
    responses((status = 200, description = "The job.", body = JobView),
        (status = 404, description = "`job_not_found`")))]
pub async fn show(
    State(app): State<App>,
    Name(name): Name,
    Asked(query): Asked<JobQuery>,
) -> Result<Json<JobView>, Failed> {
    let id = number(&name)?;
    let mut changes = app.hub.changes();
    let ended = async {
        while app.hub.published().running_jobs.contains_key(&id) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    // Not ended in time is an answer too: the job as it is then.
    let _ = tokio::time::timeout(Duration::from_millis(query.wait_ms()), ended).await;
    if let Some(job) = app.hub.published().running_jobs.get(&id) {
        return Ok(Json(JobView::from(job.as_ref())));
    }
    let store = app.store.clone();
    let kept = tokio::task::spawn_blocking(move || store.job(id)).await;
    let kept = kept.map_err(|error| Failed::internal(&error))?.map_err(|error| Failed::internal(&error))?;
    kept.map(|job| Json(JobView::from(&job))).ok_or_else(|| Refusal::JobNotFound { name }.into())
}

/// Cancel a job
///
/// What it has not reached yet is taken back, as if it had failed; what it has reached stays.
#[utoipa::path(post, path = paths::JOB_CANCEL, tag = "Jobs",
    params(("id" = u64, Path, description = "The job's number.")),
    responses((status = 200, description = "The job, which has ended.", body = JobView),
        (status = 404, description = "`job_not_found`"),
        (status = 409, description = "`job_finished`, `job_not_cancellable`, `busy`")))]
pub async fn cancel(Name(name): Name, asker: Asker) -> Result<Response, Failed> {
    let id = number(&name)?;
    let ask = asker.with(&(), Some(Object::Job(id)))?;
    let answer = ask.put(Wish::Cancel(id), false).await?;
    let Answer::Accepted { job: Some(job), again, .. } = answer else {
        return Err(Refusal::JobNotFound { name }.into());
    };
    Ok(answered(Json(JobView::from(job.as_ref())).into_response(), again))
}

fn number(name: &str) -> Result<JobId, Failed> {
    name.parse().map(JobId).map_err(|_| Refusal::JobNotFound { name: name.to_owned() }.into())
}
