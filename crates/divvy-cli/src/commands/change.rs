//! What every change has in common once the server has answered: a plan is printed, an accepted change
//! is waited for. What the changed things look like afterwards is the command's own business.

use divvy_api::queries::JobQuery;
use divvy_api::views::{Accepted, Answer, FindingView, JobView, PlanView};
use divvy_api::words::Progress;

use crate::cli::ChangeOptions;
use crate::commands::Context;
use crate::failure::Failure;
use crate::{progress, tables, tell};

/// How far a change was followed.
pub enum Followed {
    /// What there is to print is printed: a plan, or a job that is not waited for.
    Printed,
    /// The hardware has followed; None: it was so already.
    ToItsEnd(Option<JobView>),
}

/// Follows a change as far as the options say.
pub async fn follow(cx: &mut Context, answer: Answer, options: &ChangeOptions) -> Result<Followed, Failure> {
    match answer {
        Answer::Plan(plan) => print_plan(cx, &plan),
        Answer::Accepted(accepted) if options.no_wait => print_job(cx, &accepted),
        Answer::Accepted(accepted) => wait(cx, accepted).await,
    }
}

fn print_plan(cx: &mut Context, plan: &PlanView) -> Result<Followed, Failure> {
    cx.print.document(plan, tables::plan)?;
    if plan.steps.is_empty() && cx.print.is_for_people() {
        tell::note("no step has to be taken for it now");
    }
    tell::warnings(&plan.warnings);
    Ok(Followed::Printed)
}

fn print_job(cx: &mut Context, accepted: &Accepted) -> Result<Followed, Failure> {
    cx.print.document(accepted, |accepted| match &accepted.job {
        Some(job) => tables::jobs(std::slice::from_ref(job)),
        None => String::new(),
    })?;
    if accepted.job.is_none() && cx.print.is_for_people() {
        tell::note("nothing to do: it is so already");
    }
    tell::warnings(&accepted.warnings);
    Ok(Followed::Printed)
}

async fn wait(cx: &mut Context, accepted: Accepted) -> Result<Followed, Failure> {
    let Accepted { job, warnings } = accepted;
    // A script that asked for documents finds nothing but one problem document beside a failure; the
    // warnings are part of it then.
    let for_people = cx.print.is_for_people();
    if for_people {
        tell::warnings(&warnings);
    }
    let job = match job {
        Some(job) => Some(wait_for_job(cx, job, &warnings).await?),
        None => None,
    };
    if !for_people {
        tell::warnings(&warnings);
    }
    Ok(Followed::ToItsEnd(job))
}

pub async fn wait_for_job(cx: &Context, job: JobView, warnings: &[FindingView]) -> Result<JobView, Failure> {
    let watched = cx.print.is_for_people() && tell::is_watched();
    let ask = async |id, wait_ms| cx.client.job(id, JobQuery { wait_ms: Some(wait_ms) }).await;
    let report = |line: &str| {
        if watched {
            tell::note(line);
        }
    };
    let job = progress::wait(job, watched, ask, report).await?;
    match job.progress {
        Progress::Failed => Err(Failure::JobFailed { job: Box::new(job), warnings: warnings.to_vec() }),
        Progress::Running | Progress::Succeeded => Ok(job),
    }
}
