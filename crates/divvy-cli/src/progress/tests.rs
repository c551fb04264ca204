//! Waiting, on a clock that jumps: what is asked, how often, and when it is given up.

use std::cell::{Cell, RefCell};

use divvy_api::client::Unreachable;
use divvy_api::endpoint::Endpoint;
use divvy_api::problem::Problem;
use divvy_api::views::JobStepView;
use divvy_api::words::JobKind;

use super::*;

fn job(progress: Progress, steps: &[&str]) -> JobView {
    let step =
        |text: &&str| JobStepView { text: (*text).to_owned(), outcome: StepOutcome::Changed, at_ms: 0 };
    let target = JobTargetView {
        server: "srv-a".to_owned(),
        gpus: Vec::new(),
        gpu: Some("gpu-1".to_owned()),
        vm: None,
        vm_name: None,
        partition: None,
        partition_count: Some(4),
        sizes: None,
        progress,
        steps: steps.iter().map(step).collect(),
        detail: None,
        hint: None,
    };
    JobView {
        id: 7,
        kind: JobKind::SetPartitionCount,
        principal: "root".to_owned(),
        created_ms: 0,
        finished_ms: None,
        progress,
        targets: vec![target],
    }
}

fn away() -> ClientError {
    ClientError::Unreachable {
        endpoint: Endpoint::Unix("/gone.sock".into()),
        source: Unreachable::ConnectTimeout { timeout_ms: 1 },
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_over_is_not_asked_about() {
    let ask = async |_, _| -> Result<JobView, ClientError> { panic!("was asked") };
    let ended = wait(job(Progress::Succeeded, &[]), false, ask, |_| ()).await.expect("ends");
    assert_eq!(ended.progress, Progress::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_job_is_returned_even_when_it_failed() {
    let ask = async |id, _| {
        assert_eq!(id, 7);
        Ok(job(Progress::Failed, &["zero"]))
    };
    let ended = wait(job(Progress::Running, &[]), false, ask, |_| ()).await.expect("ends");
    assert_eq!(ended.progress, Progress::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_at_once_is_asked_ever_more_slowly() {
    let start = Instant::now();
    let asked = Cell::new(0u32);
    let ask = async |_, _| {
        asked.set(asked.get() + 1);
        let over = start.elapsed() >= Duration::from_secs(60);
        Ok(job(if over { Progress::Succeeded } else { Progress::Running }, &[]))
    };
    wait(job(Progress::Running, &[]), false, ask, |_| ()).await.expect("ends");
    assert!(asked.get() < 70, "{} questions in a minute", asked.get());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_is_asked_on() {
    let asked = Cell::new(0u32);
    let ask = async |_, _| {
        asked.set(asked.get() + 1);
        if asked.get() < 5 { Err(away()) } else { Ok(job(Progress::Succeeded, &[])) }
    };
    let ended = wait(job(Progress::Running, &[]), false, ask, |_| ()).await.expect("ends");
    assert_eq!(ended.progress, Progress::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_away_is_given_up_and_the_job_is_named() {
    let ask = async |_, _| Err(away());
    let lost = wait(job(Progress::Running, &[]), false, ask, |_| ()).await.expect_err("is given up");
    assert!(matches!(lost, Failure::JobLost { job: 7, .. }), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_to_tell_is_not_asked_again() {
    let asked = Cell::new(0u32);
    let ask = async |_, _| {
        asked.set(asked.get() + 1);
        let problem = Problem::of_status(404, "job_not_found", "no job 7".to_owned(), None);
        Err(ClientError::Problem(Box::new(problem)))
    };
    let lost = wait(job(Progress::Running, &[]), false, ask, |_| ()).await.expect_err("is given up");
    assert!(matches!(lost, Failure::JobLost { .. }), "{lost:?}");
    assert_eq!(asked.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_step_is_reported_once() {
    let looks = RefCell::new(vec![
        job(Progress::Succeeded, &["zero", "four"]),
        job(Progress::Running, &["zero"]),
        job(Progress::Running, &["zero"]),
    ]);
    let ask = async |_, _| Ok(looks.borrow_mut().pop().expect("one look each"));
    let mut lines = Vec::new();
    let report = |line: &str| lines.push(line.to_owned());
    wait(job(Progress::Running, &[]), true, ask, report).await.expect("ends");
    assert_eq!(lines, ["srv-a: GPU gpu-1: zero", "srv-a: GPU gpu-1: four"]);
}

#[test]
fn what_a_target_waits_for_is_reported_when_it_changes() {
    let mut waiting = job(Progress::Running, &[]);
    waiting.targets[0].detail = Some("waits for vm-001 to shut down".to_owned());
    let before = job(Progress::Running, &[]);
    assert_eq!(lines_between(&before, &waiting), ["srv-a: GPU gpu-1: waits for vm-001 to shut down"]);
    assert!(lines_between(&waiting, &waiting).is_empty());
}
