//! The only door through which what was asked for changes, for people, jobs and agents alike. One
//! thread owns the state: it takes what waits at the door, decides each request on what the ones before
//! it left, and commits all of them in one durable transaction; only then is anybody answered. Many
//! askers therefore share one wait for the disk.
//!
//! Reports of agents come through the same door, so that a decision never looks at half a report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use divvy_api::views::JobView;
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
use crate::door::{Answer, Ask, AskError, DIVVY, Message, Wish};
use crate::happenings;
use crate::hub::{Hub, News, Published};
use crate::jobs::{self, StepNote};
use crate::terms::{Once, Terms};
use queue::Queue;

mod queue;

/// How often a request is decided again when what it relied on changed.
const ATTEMPTS: u32 = 5;

/// A decided request on its way to the disk.
struct Pending {
    commit: Commit,
    /// None: nobody waits for it (a job's progress, an observation).
    asked: Option<Ask>,
    warnings: Vec<Finding>,
    job: Option<Job>,
}

/// What to keep, what to warn about, and the job that stands for it.
type Prepared = (Commit, Vec<Finding>, Option<Job>);

pub struct Admission {
    store: Arc<Store>,
    hub: Hub,
    state: State,
    running: BTreeMap<JobId, Arc<Job>>,
}

impl Admission {
    pub fn new(store: Arc<Store>, hub: Hub) -> Self {
        let snapshot = store.snapshot();
        let running = snapshot.unfinished_jobs.iter().map(|job| (job.id, Arc::clone(job))).collect();
        let state = State { desired: snapshot.desired, observed: BTreeMap::new() };
        let admission = Self { store, hub, state, running };
        admission.publish().tell();
        admission
    }

    /// Serves the door until told to stop.
    pub fn run(mut self, door: &Receiver<Message>) {
        let mut queue = Queue::new(door);
        while let Some(batch) = queue.next() {
            let stop = batch.iter().any(|message| matches!(message, Message::Stop));
            let waiting = self.serve(batch);
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
        for message in batch {
            match message {
                Message::Ask(ask) => self.ask(*ask, &mut ahead, &mut pending),
                Message::Report { observed, notes, waiting } => {
                    let requests = self.take_report(*observed, &notes, &waiting, &ahead, &mut pending);
                    self.ask_of_itself(requests, &mut ahead, &mut pending);
                }
                Message::Published(told) => waiting.push(told),
                Message::Stop => {}
            }
        }
        self.commit(pending, ahead);
        waiting
    }

    /// What a report made the daemon ask of itself is kept in the transaction of the report: a target that
    /// failed and its way back are on disk together or not at all.
    fn ask_of_itself(&mut self, requests: Vec<Request>, ahead: &mut Desired, pending: &mut Vec<Pending>) {
        for request in requests {
            let (reply, _) = oneshot::channel();
            let (wish, principal) = (Wish::Change(request), DIVVY.to_owned());
            let own =
                Ask { wish, principal, terms: Terms::default(), dry_run: false, attempts: ATTEMPTS, reply };
            self.admit(own, ahead, pending);
        }
    }

    /// Answers what was answered before, tells a dry run, admits the rest.
    fn ask(&mut self, ask: Ask, ahead: &mut Desired, pending: &mut Vec<Pending>) {
        if ask.dry_run {
            let answer = self.dry_run(&ask);
            // Nobody is left to answer when the asker went away.
            let _ = ask.reply.send(answer);
            return;
        }
        let Some(once) = &ask.terms.once else { return self.admit(ask, ahead, pending) };
        let name = &once.name;
        let waits = |one: &Pending| one.asked.as_ref()?.terms.once.as_ref().map(|other| other.name == *name);
        if pending.iter().filter_map(waits).any(|same| same) {
            // The first one's answer is known after the commit: asked again then.
            return self.hub.tell(Message::Ask(Box::new(ask)));
        }
        match self.answered(once) {
            None => self.admit(ask, ahead, pending),
            Some(answer) => {
                let _ = ask.reply.send(answer);
            }
        }
    }

    /// What was answered under this key, if it still counts.
    fn answered(&self, once: &Once) -> Option<Result<Answer, AskError>> {
        let kept = match self.store.answer(&once.name) {
            Ok(kept) => kept.filter(|kept| Once::counts(kept, now_ms()))?,
            Err(error) => return Some(Err(AskError::Store(Arc::new(error)))),
        };
        if kept.fingerprint != once.fingerprint {
            return Some(Err(AskError::KeyReused { key: once.name.key.clone() }));
        }
        let job = kept.job.map(Arc::new);
        Some(Ok(Answer::Accepted { job, warnings: kept.warnings, again: true }))
    }

    /// The thing that a change names must be as its asker saw it, if the asker says so.
    fn is_unchanged(&self, state: &State, ask: &Ask) -> Result<(), AskError> {
        let Some(unchanged) = &ask.terms.unchanged else { return Ok(()) };
        let job = |id| {
            let kept = || self.store.job(id).ok().flatten().map(|job| JobView::from(&job));
            self.running.get(&id).map(|job| JobView::from(job.as_ref())).or_else(kept)
        };
        match unchanged.holds(state, job) {
            true => Ok(()),
            false => Err(AskError::Changed { what: unchanged.in_words() }),
        }
    }

    /// What a request would change, and by which steps.
    fn dry_run(&self, ask: &Ask) -> Result<Answer, AskError> {
        self.is_unchanged(&self.state, ask)?;
        let change = match &ask.wish {
            Wish::Change(request) => decide(&self.state, request)?,
            Wish::Cancel(id) => self.cancelled(&self.state, *id, &ask.principal)?.0.change,
        };
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
    fn admit(&mut self, ask: Ask, ahead: &mut Desired, pending: &mut Vec<Pending>) {
        let observed = std::mem::take(&mut self.state.observed);
        let working = State { desired: ahead.clone(), observed };
        let prepared = self.prepare(&working, &ask);
        // All of it, so that nothing but `ahead` holds what the change is applied to.
        self.state.observed = working.observed;
        drop(working.desired);
        match prepared {
            Err(failure) => {
                let _ = ask.reply.send(Err(failure));
            }
            Ok((commit, warnings, job)) => {
                if commit.change.apply(ahead).is_ok() {
                    // A report that comes next must not find a cancelled job running.
                    self.running.extend(
                        job.iter()
                            .filter(|_| matches!(ask.wish, Wish::Cancel(_)))
                            .map(|job| (job.id, Arc::new(job.clone()))),
                    );
                    pending.push(Pending { commit, asked: Some(ask), warnings, job });
                }
            }
        }
    }

    fn prepare(&self, state: &State, ask: &Ask) -> Result<Prepared, AskError> {
        self.is_unchanged(state, ask)?;
        let (mut commit, warnings, job) = match &ask.wish {
            Wish::Change(request) => self.changed(state, request, &ask.principal)?,
            Wish::Cancel(id) => {
                let (commit, job) = self.cancelled(state, *id, &ask.principal)?;
                (commit, Vec::new(), Some(job))
            }
        };
        let answer = ask.terms.once.as_ref().map(|once| once.answer(now_ms(), job.as_ref(), &warnings));
        commit.answers.extend(answer);
        Ok((commit, warnings, job))
    }

    fn changed(&self, state: &State, request: &Request, principal: &str) -> Result<Prepared, AskError> {
        let change = decide(state, request)?;
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
        let id = job.as_ref().map(|job| job.id);
        let events = happenings::of_change(&state.desired, &change, &warnings, principal, id, now_ms());
        let jobs = job.iter().cloned().collect();
        Ok((Commit { change, events, jobs, ..Commit::default() }, warnings, job))
    }

    /// The end of a job and all that takes it back: one change, kept whole or not at all.
    fn cancelled(&self, state: &State, id: JobId, principal: &str) -> Result<(Commit, Job), AskError> {
        let now = now_ms();
        let Some(job) = self.running.get(&id) else {
            let kept = self.store.job(id).map_err(|error| AskError::Store(Arc::new(error)))?;
            let why =
                kept.map_or(Refusal::JobNotFound { name: id.to_string() }, |_| Refusal::JobFinished { id });
            return Err(why.into());
        };
        let (job, requests) = jobs::cancel(job, principal, now)?;
        let mut after = State { desired: state.desired.clone(), observed: state.observed.clone() };
        let mut edits = Vec::new();
        for request in &requests {
            let one = decide(&after, request)?;
            if one.apply(&mut after.desired).is_ok() {
                edits.extend(one.edits);
            }
        }
        let change = Change::of(edits, &state.desired);
        let mut events = vec![happenings::of_cancelling(&job, principal, now)];
        events.extend(happenings::of_change(&state.desired, &change, &[], principal, Some(id), now));
        Ok((Commit { change, events, jobs: vec![job.clone()], ..Commit::default() }, job))
    }

    fn take_report(
        &mut self,
        observed: Observed,
        notes: &[StepNote],
        waiting: &[Waiting],
        ahead: &Desired,
        pending: &mut Vec<Pending>,
    ) -> Vec<Request> {
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
        for job in &advanced.changed {
            self.running.insert(job.id, Arc::new(job.clone()));
        }
        let worth_keeping: Vec<Job> =
            advanced.changed.into_iter().filter(|job| advanced.keep.contains(&job.id)).collect();
        events.extend(worth_keeping.iter().filter_map(|job| happenings::of_job(job, now)));
        if !events.is_empty() || !worth_keeping.is_empty() {
            pending.push(unasked(events, worth_keeping));
        }
        advanced.requests
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
        for ask in again.into_iter().filter_map(|one| one.asked) {
            self.ask_again(ask);
        }
    }

    /// Everything is published before anybody is answered, so that who is answered finds the job.
    fn answer(&mut self, kept: Vec<Pending>) {
        let mut answers = Vec::new();
        for Pending { asked, warnings, job, .. } in kept {
            let job = job.map(Arc::new);
            self.running.extend(job.iter().map(|job| (job.id, Arc::clone(job))));
            answers.extend(asked.map(|ask| (ask.reply, Answer::Accepted { job, warnings, again: false })));
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
    fn ask_again(&self, ask: Ask) {
        if ask.attempts + 1 < ATTEMPTS {
            self.hub.tell(Message::Ask(Box::new(Ask { attempts: ask.attempts + 1, ..ask })));
        } else {
            let _ = ask.reply.send(Err(Refusal::Busy { attempts: ATTEMPTS }.into()));
        }
    }

    fn commit_failed(&mut self, error: Arc<StoreError>, pending: Vec<Pending>) {
        tracing::error!(error = %crate::chain::chain(&*error), "keeping changes failed");
        let snapshot = self.store.snapshot();
        self.state.desired = snapshot.desired;
        self.running = snapshot.unfinished_jobs.iter().map(|job| (job.id, Arc::clone(job))).collect();
        for ask in pending.into_iter().filter_map(|one| one.asked) {
            let _ = ask.reply.send(Err(AskError::Store(Arc::clone(&error))));
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
        commit: Commit { events, jobs, ..Commit::default() },
        asked: None,
        warnings: Vec::new(),
        job: None,
    }
}
