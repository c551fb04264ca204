//! What comes through the door of `admit`, and what goes back: plain values, so that who asks and who
//! decides know nothing of each other.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use divvy_core::finding::Finding;
use divvy_core::id::ServerId;
use divvy_core::job::{Job, JobId};
use divvy_core::observed::Observed;
use divvy_core::plan::Waiting;
use divvy_core::refusal::Refusal;
use divvy_core::request::Request;
use divvy_core::step::Step;
use divvy_store::StoreError;
use tokio::sync::oneshot;

use crate::jobs::StepNote;
use crate::terms::Terms;

/// Who asks when an agent or a job does.
pub const DIVVY: &str = "divvyd";

pub type Reply = oneshot::Sender<Result<Answer, AskError>>;

/// What somebody wants to be so.
#[derive(Debug, Clone)]
pub enum Wish {
    Change(Request),
    /// What this job has not reached yet shall be as it was.
    Cancel(JobId),
}

/// A wish, who has it, and on which terms.
#[derive(Debug)]
pub struct Ask {
    pub wish: Wish,
    pub principal: String,
    pub terms: Terms,
    pub dry_run: bool,
    /// How often it was decided already.
    pub attempts: u32,
    pub reply: Reply,
}

/// What comes through the door.
pub enum Message {
    Ask(Box<Ask>),
    /// What a server is, and the steps its agent took since the last report.
    Report {
        observed: Box<Observed>,
        notes: Vec<StepNote>,
        /// What the plan of that look could not take yet, and why.
        waiting: Vec<Waiting>,
    },
    /// Told when everything that came through the door before it is published.
    Published(Sender<()>),
    Stop,
}

/// The answer to a request that was not refused.
#[derive(Debug, Clone)]
pub enum Answer {
    /// `again`: this is the answer that the same question got before, and nothing was changed now.
    Accepted {
        job: Option<Arc<Job>>,
        warnings: Vec<Finding>,
        again: bool,
    },
    Planned {
        steps: Vec<(ServerId, Step)>,
        warnings: Vec<Finding>,
    },
}

/// Why a request was not admitted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("keeping the change failed; it was not made")]
    Store(#[source] Arc<StoreError>),
    #[error("{what} is not as it was when it was read")]
    Changed { what: String },
    #[error("the key {key:?} was given to another change")]
    KeyReused { key: String },
    #[error("the daemon is stopping")]
    Stopping,
}
