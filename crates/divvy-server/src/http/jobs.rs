//! Jobs: running ones as they are this moment, ended ones from the store.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use divvy_api::requests::JobQuery;
use divvy_api::views::JobView;
use divvy_core::job::JobId;

use super::app::App;
use super::body::{Asked, Name};
use super::error::Failed;

/// Most jobs in one list: the newest.
const NEWEST: usize = 200;

pub async fn list(State(app): State<App>) -> Result<Json<Vec<JobView>>, Failed> {
    let store = app.store.clone();
    let kept = tokio::task::spawn_blocking(move || store.jobs(None, usize::MAX)).await;
    let kept = kept.map_err(|error| Failed::internal(&error))?.map_err(|error| Failed::internal(&error))?;
    let running = app.hub.published().running_jobs;
    let newest = kept.iter().rev().take(NEWEST);
    let views: Vec<JobView> =
        newest.map(|job| JobView::from(running.get(&job.id).map_or(job, |live| live))).collect();
    Ok(Json(views))
}

pub async fn show(
    State(app): State<App>,
    Name(id): Name,
    Asked(query): Asked<JobQuery>,
) -> Result<Json<JobView>, Failed> {
    let no_such = || {
        Failed::new(
            StatusCode::NOT_FOUND,
            "job_not_found",
            format!("there is no job {id:?}"),
            "divvy job list shows the newest",
        )
    };
    let number = id.parse().map(JobId).map_err(|_| no_such())?;
    let mut changes = app.hub.changes();
    let ended = async {
        while app.hub.published().running_jobs.contains_key(&number) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    // Not ended in time is an answer too: the job as it is then.
    let _ = tokio::time::timeout(Duration::from_millis(query.wait_ms()), ended).await;
    if let Some(job) = app.hub.published().running_jobs.get(&number) {
        return Ok(Json(JobView::from(job.as_ref())));
    }
    let store = app.store.clone();
    let kept = tokio::task::spawn_blocking(move || store.job(number)).await;
    let kept = kept.map_err(|error| Failed::internal(&error))?.map_err(|error| Failed::internal(&error))?;
    kept.map(|job| Json(JobView::from(&job))).ok_or_else(no_such)
}
