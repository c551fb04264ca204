//! Everything that keeps a command from doing what it was asked, each with its exit code and as one
//! problem document. How the document is shown is not known here.

use std::error::Error;
use std::io::ErrorKind;
use std::path::PathBuf;

use divvy_api::client::{ClientError, Unreachable};
use divvy_api::endpoint::Endpoint;
use divvy_api::problem::Problem;
use divvy_api::views::{FindingView, JobTargetView, JobView};
use divvy_api::words::{Progress, StepOutcome};

use crate::exit::Exit;
use crate::progress::target_name;
use crate::settings::SettingsError;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The change was accepted and could not be carried out.
    #[error("{}", job_failed(job))]
    JobFailed { job: Box<JobView>, warnings: Vec<FindingView> },
    /// The change was accepted; how it ended is not known.
    #[error("job {job} was accepted, but its end was not seen")]
    JobLost { job: u64, source: ClientError },
    #[error("cannot write the output")]
    Output(#[source] std::io::Error),
    #[error("cannot write {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("cannot write the output as JSON")]
    Json(#[source] serde_json::Error),
    #[error("cannot write the output as YAML")]
    Yaml(#[source] serde_saphyr::ser::Error),
}

impl Failure {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::BadCommandLine,
            Self::Client(error) => client_exit(error),
            Self::JobFailed { .. } => Exit::HostFailed,
            Self::JobLost { .. } => Exit::Unreachable,
            Self::Runtime(_) | Self::Output(_) | Self::File { .. } => Exit::HostFailed,
            Self::Json(_) | Self::Yaml(_) => Exit::Bug,
        }
    }

    /// The document that says what went wrong; a server's own comes through as it is.
    pub fn problem(&self) -> Problem {
        if let Self::Client(ClientError::Problem(problem)) = self {
            return problem.as_ref().clone();
        }
        let problem = Problem::of_title(self.title(), self.code(), chain(self), self.hint());
        match self {
            Self::JobFailed { warnings, .. } => problem.with_findings(warnings.clone()),
            _ => problem,
        }
    }

    fn title(&self) -> &'static str {
        match self.exit() {
            Exit::Done => "Done",
            Exit::Refused => "Refused",
            Exit::BadCommandLine => "Bad command line",
            Exit::HostFailed => "Failed",
            Exit::Unreachable => "Server not reached",
            Exit::Bug => "Bug",
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Settings(_) => "bad_settings",
            Self::Client(ClientError::Problem(_)) => "problem",
            Self::Client(ClientError::LongPath { .. }) => "name_too_long",
            Self::Client(ClientError::Unreachable { .. }) => "server_unreachable",
            Self::Client(ClientError::BadAnswer { .. }) => "bad_answer",
            Self::JobFailed { .. } => "job_failed",
            Self::JobLost { .. } => "job_lost",
            Self::Runtime(_) => "cannot_start",
            Self::Output(_) | Self::File { .. } => "cannot_write",
            Self::Json(_) | Self::Yaml(_) => "cannot_print",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Settings(error) => error.hint(),
            Self::Client(error) => client_hint(error),
            Self::JobFailed { job, .. } => Some(job_hint(job)),
            Self::JobLost { job, .. } => Some(format!("the job goes on by itself: divvy job show {job}")),
            Self::Runtime(_) | Self::Output(_) | Self::File { .. } | Self::Json(_) | Self::Yaml(_) => None,
        }
    }
}

/// Every layer's own words, from what was tried to what the system said.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn client_exit(error: &ClientError) -> Exit {
    match error {
        ClientError::Problem(problem) => match problem.status {
            Some(500..) => Exit::HostFailed,
            _ => Exit::Refused,
        },
        ClientError::LongPath { .. } => Exit::Refused,
        ClientError::Unreachable { .. } | ClientError::BadAnswer { .. } => Exit::Unreachable,
    }
}

fn client_hint(error: &ClientError) -> Option<String> {
    let hint = match error {
        ClientError::Problem(problem) => return problem.hint.clone(),
        ClientError::LongPath { .. } => return None,
        ClientError::BadAnswer { .. } => {
            "divvy version tells whether divvyd answers there, and which version"
        }
        ClientError::Unreachable { endpoint, source } => match (source, endpoint) {
            (Unreachable::Broken(_) | Unreachable::AnswerTimeout { .. }, _) => {
                "a change may have been accepted all the same: divvy job list shows it"
            }
            (Unreachable::Connect(error), _) if error.kind() == ErrorKind::PermissionDenied => {
                "the socket is open to root and to the members of its group, which ls -l shows"
            }
            (_, Endpoint::Unix(_)) => {
                "is divvyd running? systemctl status divvyd tells; --socket names another socket"
            }
            (Unreachable::Tls(_) | Unreachable::OtherCertificate { .. } | Unreachable::NoTrust, _) => {
                "if it is the right server, trust its certificate with --ca FILE or --fingerprint; `divvy version` on the server tells the fingerprint"
            }
            (_, Endpoint::Http(_) | Endpoint::Https(_)) => {
                "is divvyd running there and listening at that address?"
            }
        },
    };
    Some(hint.to_owned())
}

fn failed_targets(job: &JobView) -> Vec<&JobTargetView> {
    job.targets.iter().filter(|target| target.progress == Progress::Failed).collect()
}

fn job_failed(job: &JobView) -> String {
    let failed = failed_targets(job);
    match failed.as_slice() {
        [] => format!("job {} failed", job.id),
        [target] if job.targets.len() == 1 => format!("job {} failed: {}", job.id, target_failure(target)),
        failed => {
            let lines: Vec<String> =
                failed.iter().map(|target| format!("\n  {}", target_failure(target))).collect();
            format!("job {} failed for {} of {}:{}", job.id, failed.len(), job.targets.len(), lines.concat())
        }
    }
}

fn target_failure(target: &JobTargetView) -> String {
    let step = target.steps.iter().rev().find(|step| step.outcome == StepOutcome::Failed);
    let why =
        target.detail.as_deref().or(step.map(|step| step.text.as_str())).unwrap_or("no reason was given");
    format!("server {}, {}: {why}", target.server, target_name(target))
}

/// Each different hint once, in the order of the targets.
fn job_hint(job: &JobView) -> String {
    let mut hints: Vec<&str> = Vec::new();
    for hint in failed_targets(job).into_iter().filter_map(|target| target.hint.as_deref()) {
        if !hint.is_empty() && !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    match hints.is_empty() {
        true => format!("divvy job show {} lists every step", job.id),
        false => hints.join("\n"),
    }
}
