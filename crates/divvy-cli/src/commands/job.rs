//! `divvy job`: changes that were accepted, and how far each of them is.

use divvy_api::requests::JobQuery;

use crate::commands::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::tables;

/// List and show accepted changes
#[derive(Debug, clap::Subcommand)]
pub enum Job {
    /// List jobs
    List,
    /// Show one job with every step that was taken
    Show {
        /// The job's number
        #[arg(value_name = "ID")]
        id: u64,
    },
}

impl Job {
    pub async fn run(&self, cx: &mut Context) -> Result<Exit, Failure> {
        match self {
            Self::List => {
                let jobs = cx.client.jobs().await?;
                cx.list(&jobs, tables::jobs, "no change was accepted yet")
            }
            Self::Show { id } => {
                let job = cx.client.job(*id, JobQuery::default()).await?;
                cx.print.document(&job, tables::job)?;
                Ok(Exit::Done)
            }
        }
    }
}
