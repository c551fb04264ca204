//! The only door through which what was asked for changes, for people, jobs and agents alike. One
//! thread owns the state: it takes what waits at the door, decides each request on what the ones before
//! it left, and commits all of them in one durable transaction; only then is anybody answered. Many
//! askers therefore share one wait for the disk.
//!
//! Reports of agents come through the same door, so that a decision never looks at half a report.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use divvy_core::change::Change;
use divvy_core::decide::decide;
use divvy_core::desired::Desired;
use divvy_core::event::Event;
use divvy_core::finding::Finding;
use divvy_core::job::{Job, JobId};
use divvy_core::observed::Observed;
use divvy_core::plan::{Waiting, plan};
use divvy_core::refusal::Refusal;
use divvy_core::request::Request;
use divvy_core::state::State;
use divvy_store::{Commit, Store, StoreError};
use tokio::sync::oneshot;

use crate::clock::now_ms;
use crate::door::{Answer, AskError, DIVVY, Message};
use crate::happenings;
use crate::hub::{Hub, News, Published};
use crate::jobs::{self, StepNote};

/// Most requests decided and committed together.
const BATCH: usize = 256;
/// How often a request is decided again when what it relied on changed.
const ATTEMPTS: u32 = 5;
type Reply = oneshot::Sender<Result<Answer, AskError>>;

/// A decided request on its way to the disk.
struct Pending {
    commit: Commit,
    /// None: nobody waits for it (a job's progress, an observation).
    asked: Option<(Request, String, u32, Reply)>,
    warnings: Vec<Finding>,
    job: Option<Job>,
}

pub struct Admission {
    store: Arc<Store>,
    hub: Hub,
    state: State,
    running: BTreeMap<JobId, Arc<Job>>,
    /// Requests that the daemon makes of itself, before anybody else's.
    own: VecDeque<Request>,
}

impl Admission {
    pub fn new(store: Arc<Store>, hub: Hub) -> Self {
        let snapshot = store.snapshot();
        let running = snapshot.unfinished_jobs.iter().map(|job| (job.id, Arc::clone(job))).collect();
        let state = State { desired: snapshot.desired, observed: BTreeMap::new() };
        let admission = Self { store, hub, state, running, own: VecDeque::new() };
        admission.publish().tell();
        admission
    }

    /// Serves the door until told to stop.
    pub fn run(mut self, door: &Receiver<Message>) {
        loop {
            let first = match door.recv_timeout(Duration::from_secs(3600)) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut batch = vec![first];
            batch.extend(door.try_iter().take(BATCH - 1));
            let stop = batch.iter().any(|message| matches!(message, Message::Stop));
            let waiting = self.serve(batch);
            while !self.own.is_empty() {
                self.serve(Vec::new());
            }
            for told in waiting {
                // Whoever waited may have given up.
                let _ = told.send(());
            }
            if stop {
                return;
            }
        }
    }

    /// Answers who waits for all of it to be published.
    fn serve(&mut self, batch: Vec<Message>) -> Vec<Sender<()>> {
        let mut waiting = Vec::new();
        let mut ahead = self.state.desired.clone();
        let mut pending = Vec::new();
        for request in std::mem::take(&mut self.own) {
            let (reply, _) = oneshot::channel();
            self.admit((request, DIVVY.to_owned(), ATTEMPTS, reply), &mut ahead, &mut pending);
        }
        for message in batch {
            match message {
                Message::Ask { request, dry_run: true, reply, .. } => {
                    // Nobody is left to answer when the asker went away.
                    let _ = reply.send(self.dry_run(&request));
                }
                Message::Ask { request, principal, attempts, reply, .. } => {
                    self.admit((request, principal, attempts, reply), &mut ahead, &mut pending);
                }
                Message::Report { observed, notes, waiting } => {
                    self.take_report(*observed, &notes, &waiting, &ahead, &mut pending)
                }
                Message::Published(told) => waiting.push(told),
                Message::Stop => {}
            }
        }
        self.commit(pending, ahead);
        waiting
    }

    /// What a request would change, and by which steps.
    fn dry_run(&self, request: &Request) -> Result<Answer, AskError> {
        let change = decide(&self.state, request)?;
        let mut after = self.state.desired.clone();
        let mut steps = Vec::new();
        if change.apply(&mut after).is_ok() {
            for server in change.guards.keys() {
                let (Some(desired), Some(observed)) = (after.server(server), self.state.observed.get(server))
                else {
                    continue;
                };
                steps.extend(plan(desired, observed).steps.into_iter().map(|step| (server.clone(), step)));
            }
        }
        Ok(Answer::Planned { steps, warnings: change.warnings })
    }

    /// Decides one request on what the ones before it left.
    fn admit(
        &mut self,
        asked: (Request, String, u32, Reply),
        ahead: &mut Desired,
        pending: &mut Vec<Pending>,
    ) {
        let (request, principal, ..) = &asked;
        let observed = std::mem::take(&mut self.state.observed);
        let working = State { desired: ahead.clone(), observed };
        let decided = decide(&working, request);
        let prepared = decided.map(|change| self.prepare(&working, change, request, principal));
        // All of it, so that nothing but `ahead` holds what the change is applied to.
        self.state.observed = working.observed;
        drop(working.desired);
        match prepared {
            Err(refusal) => {
                let _ = asked.3.send(Err(refusal.into()));
            }
            Ok(Err(failure)) => {
                let _ = asked.3.send(Err(failure));
            }
            Ok(Ok((commit, warnings, job))) => {
                if commit.change.apply(ahead).is_ok() {
                    pending.push(Pending { commit, asked: Some(asked), warnings, job });
                }
            }
        }
    }

    fn prepare(
        &self,
        state: &State,
        change: Change,
        request: &Request,
        principal: &str,
    ) -> Result<(Commit, Vec<Finding>, Option<Job>), AskError> {
        let warnings = change.warnings.clone();
        if change.is_empty() {
            return Ok((Commit::default(), warnings, None));
        }
        let targets = jobs::targets(state, &change, request);
        let job = match jobs::kind(request) {
            Some(kind) => {
                let id = self.store.new_job_id().map_err(|error| AskError::Store(Arc::new(error)))?;
                Some(jobs::new_job(id, kind, principal, now_ms(), targets))
            }
            None => None,
        };
        let events =
            happenings::of_change(&change, &warnings, principal, job.as_ref().map(|job| job.id), now_ms());
        let jobs = job.iter().cloned().collect();
        Ok((Commit { change, events, jobs }, warnings, job))
    }

    fn take_report(
        &mut self,
        observed: Observed,
        notes: &[StepNote],
        waiting: &[Waiting],
        ahead: &Desired,
        pending: &mut Vec<Pending>,
    ) {
        let server = observed.server.clone();
        let before = self.state.observed.insert(server.clone(), Arc::new(observed));
        let now = now_ms();
        let mut events = match self.state.observed.get(&server) {
            Some(after) => happenings::of_observation(before.as_deref(), after, now),
            None => Vec::new(),
        };
        events.extend(happenings::of_notes(&server, notes, now));
        let observed = std::mem::take(&mut self.state.observed);
        let state = State { desired: ahead.clone(), observed };
        let advanced = jobs::advance(&self.running, &state, &server, notes, waiting, now);
        self.state.observed = state.observed;
        self.own.extend(advanced.requests);
        for job in &advanced.changed {
            self.running.insert(job.id, Arc::new(job.clone()));
        }
        let worth_keeping: Vec<Job> =
            advanced.changed.into_iter().filter(|job| advanced.keep.contains(&job.id)).collect();
        events.extend(worth_keeping.iter().filter_map(|job| happenings::of_job(job, now)));
        if !events.is_empty() || !worth_keeping.is_empty() {
            pending.push(unasked(events, worth_keeping));
        }
    }

    /// One durable transaction for all of them; only then is anybody answered.
    fn commit(&mut self, mut pending: Vec<Pending>, ahead: Desired) {
        let commits: Vec<Commit> = pending.iter_mut().map(|one| std::mem::take(&mut one.commit)).collect();
        // What is so already has nothing to keep and nothing to wait for.
        let nothing_to_keep = commits.iter().all(|commit| *commit == Commit::default());
        let outcomes = if nothing_to_keep { Ok(Vec::new()) } else { self.store.commit(commits) };
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => return self.commit_failed(Arc::new(error), pending),
        };
        let conflicts = outcomes.iter().any(Result::is_err);
        self.state.desired = if conflicts { self.store.snapshot().desired } else { ahead };
        let mut refused = outcomes.iter().map(Result::is_err).chain(std::iter::repeat(false));
        let (again, kept): (Vec<Pending>, Vec<Pending>) =
            pending.into_iter().partition(|_| refused.next() == Some(true));
        self.answer(kept);
        for (request, principal, attempts, reply) in again.into_iter().filter_map(|one| one.asked) {
            self.ask_again(request, principal, attempts, reply);
        }
    }

    /// Everything is published before anybody is answered, so that who is answered finds the job.
    fn answer(&mut self, kept: Vec<Pending>) {
        let mut answers = Vec::new();
        for Pending { asked, warnings, job, .. } in kept {
            let job = job.map(Arc::new);
            self.running.extend(job.iter().map(|job| (job.id, Arc::clone(job))));
            answers.extend(asked.map(|(.., reply)| (reply, Answer::Accepted { job, warnings })));
        }
        self.running.retain(|_, job| job.finished_ms.is_none());
        let news = self.publish();
        for (reply, answer) in answers {
            // Nobody is left to answer when the asker went away.
            let _ = reply.send(Ok(answer));
        }
        news.tell();
    }

    /// What the request relied on changed under it: decided again on the new state, a few times.
    fn ask_again(&self, request: Request, principal: String, attempts: u32, reply: Reply) {
        if attempts + 1 < ATTEMPTS {
            self.hub.tell(Message::Ask { request, principal, dry_run: false, attempts: attempts + 1, reply });
        } else {
            let _ = reply.send(Err(Refusal::Busy { attempts: ATTEMPTS }.into()));
        }
    }

    fn commit_failed(&mut self, error: Arc<StoreError>, pending: Vec<Pending>) {
        tracing::error!(error = %crate::chain::chain(&*error), "keeping changes failed");
        let snapshot = self.store.snapshot();
        self.state.desired = snapshot.desired;
        self.running = snapshot.unfinished_jobs.iter().map(|job| (job.id, Arc::clone(job))).collect();
        for (.., reply) in pending.into_iter().filter_map(|one| one.asked) {
            let _ = reply.send(Err(AskError::Store(Arc::clone(&error))));
        }
        self.publish().tell();
    }

    fn publish(&self) -> News {
        let running_jobs = Arc::new(self.running.clone());
        self.hub.publish(Published { state: Arc::new(self.state.clone()), running_jobs })
    }
}

fn unasked(events: Vec<Event>, jobs: Vec<Job>) -> Pending {
    Pending {
        commit: Commit { change: Change::default(), events, jobs },
        asked: None,
        warnings: Vec::new(),
        job: None,
    }
}
