//! `divvy job`: changes that were accepted, how far each of them is, and what can still be done about one:
//! wait for its end, or take back what it has not reached.

use divvy_api::queries::{JobListQuery, JobQuery};
use divvy_api::words::{JobKind, Progress};

use crate::cli::name;
use crate::commands::Context;
use crate::commands::change::wait_for_job;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// List and show accepted changes, wait for them, cancel them
#[derive(Debug, clap::Subcommand)]
pub enum Job {
    /// List jobs, the newest first
    List {
        /// Only jobs that change something of this server
        #[arg(long, value_name = "SERVER", value_parser = name())]
        on: Option<String>,
        /// Only jobs that are so far
        #[arg(long, value_name = "PROGRESS")]
        progress: Option<Progress>,
        /// Only jobs of this kind
        #[arg(long, value_name = "KIND")]
        kind: Option<JobKind>,
        /// At most this many
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
    },
    /// Show one job with every step that was taken
    Show {
        /// The job's number
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// Wait for the end of a job; exit status 3 if it failed
    Wait {
        /// The job's number
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// End a job: what it has not reached yet is taken back, what it has reached stays
    Cancel {
        /// The job's number
        #[arg(value_name = "ID")]
        id: u64,
    },
}

impl Job {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        let job = match self {
            Self::List { on, progress, kind, limit } => {
                let (server, progress, kind, limit) = (on.clone(), *progress, *kind, *limit);
                let query = JobListQuery { server, progress, kind, limit, ..JobListQuery::default() };
                let jobs = cx.client.jobs(&query).await?;
                return cx.list(&jobs, tables::jobs, "no change was accepted yet");
            }
            Self::Show { id } => cx.client.job(*id, JobQuery::default()).await?,
            Self::Wait { id } => {
                let job = cx.client.job(*id, JobQuery::default()).await?;
                wait_for_job(cx, job, &[]).await?
            }
            Self::Cancel { id } => cx.client.cancel_job(*id).await?,
        };
        cx.print.document(&job, tables::job)?;
        Ok(Exit::Done)
    }
}
