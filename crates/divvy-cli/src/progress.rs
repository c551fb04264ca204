//! Waiting for a job. The server keeps each answer back for a while (a long poll); should it answer at
//! once all the same, the pauses between the questions grow. A server that goes away while the job runs
//! (an upgrade restarts it) is given some time to come back, because the job goes on without it asking.

use std::time::Duration;

use divvy_api::client::ClientError;
use divvy_api::views::{JobTargetView, JobView};
use divvy_api::words::{Progress, StepOutcome};
use tokio::time::{Instant, sleep};

use crate::failure::Failure;

const FIRST_PAUSE_MS: u64 = 50;
const LONGEST_PAUSE_MS: u64 = 1_000;
/// How long a server may be away.
const PATIENCE_MS: u64 = 15_000;
/// How long the server is asked to keep an answer back while somebody watches the steps go by.
const WATCHED_WAIT_MS: u64 = 500;
/// The same while nobody does.
const UNWATCHED_WAIT_MS: u64 = 10_000;

/// Waits until the job ended, well or not. `ask` asks for a job and how long the answer may be kept
/// back; `report` hears every line of progress.
pub async fn wait(
    mut job: JobView,
    watched: bool,
    ask: impl AsyncFn(u64, u64) -> Result<JobView, ClientError>,
    mut report: impl FnMut(&str),
) -> Result<JobView, Failure> {
    let wait_ms = if watched { WATCHED_WAIT_MS } else { UNWATCHED_WAIT_MS };
    let mut pause_ms = FIRST_PAUSE_MS;
    let mut last_heard = Instant::now();
    first_lines(&job).iter().for_each(|line| report(line));
    while !job.is_finished() {
        let asked = Instant::now();
        match ask(job.id, wait_ms).await {
            Ok(now) => {
                lines_between(&job, &now).iter().for_each(|line| report(line));
                job = now;
                last_heard = Instant::now();
            }
            Err(source @ ClientError::Unreachable { .. }) => {
                if last_heard.elapsed() >= Duration::from_millis(PATIENCE_MS) {
                    return Err(Failure::JobLost { job: job.id, source });
                }
            }
            Err(source) => return Err(Failure::JobLost { job: job.id, source }),
        }
        let pause = Duration::from_millis(pause_ms);
        if !job.is_finished() && asked.elapsed() < pause {
            sleep(pause - asked.elapsed()).await;
            pause_ms = LONGEST_PAUSE_MS.min(pause_ms * 2);
        }
    }
    Ok(job)
}

/// What a target is called in a message.
pub fn target_name(target: &JobTargetView) -> String {
    match (&target.vm_name, &target.vm, &target.gpu) {
        (Some(name), _, _) | (None, Some(name), _) => format!("VM {name}"),
        (None, None, Some(gpu)) => format!("GPU {gpu}"),
        (None, None, None) => "the server itself".to_owned(),
    }
}

fn first_lines(job: &JobView) -> Vec<String> {
    job.targets.iter().flat_map(|target| target_lines(None, target)).collect()
}

/// What happened between two looks at the same job.
fn lines_between(before: &JobView, now: &JobView) -> Vec<String> {
    let pairs = now.targets.iter().enumerate().map(|(nth, target)| (before.targets.get(nth), target));
    pairs.flat_map(|(before, target)| target_lines(before, target)).collect()
}

fn target_lines(before: Option<&JobTargetView>, now: &JobTargetView) -> Vec<String> {
    let head = format!("{}: {}", now.server, target_name(now));
    let seen = before.map_or(0, |before| before.steps.len());
    let steps = now.steps.iter().skip(seen).map(|step| match step.outcome {
        StepOutcome::Changed => format!("{head}: {}", step.text),
        outcome => format!("{head}: {} ({outcome})", step.text),
    });
    let mut lines: Vec<String> = steps.collect();
    let is_new = before.is_none_or(|before| before.detail != now.detail);
    if let (Progress::Running, Some(detail), true) = (now.progress, &now.detail, is_new) {
        lines.push(format!("{head}: {detail}"));
    }
    lines
}

#[cfg(test)]
mod tests;
