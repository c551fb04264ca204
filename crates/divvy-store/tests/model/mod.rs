//! A history that is a function of its length: commit number r is always the same one, so the state that
//! a store shows says exactly which commits are in it, and whether one is there in part.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use divvy_core::assignment::{Assignment, Hold, Holding};
use divvy_core::change::{Change, Edit};
use divvy_core::desired::{Desired, PartitionSetting};
use divvy_core::event::Event;
use divvy_core::finding::Subject;
use divvy_core::id::{GpuId, PartitionId, PartitionIndex, ServerId, VmId};
use divvy_core::job::{Job, JobId, JobKind, Progress};
use divvy_store::{Commit, Limits, OpenError, Revision, Store};

/// Small, so that every history is pruned all the time.
pub const LIMITS: Limits = Limits {
    events: 20,
    event_age_ms: u64::MAX,
    events_always_kept: 20,
    finished_jobs: 10,
    answer_age_ms: u64::MAX,
    answers: 10,
};
/// A job is finished so many commits after it was made.
const JOB_TAKES: u64 = 3;

pub fn open(state_dir: &Path) -> Result<Store, OpenError> {
    Store::open_embedded_with(state_dir, LIMITS)
}

/// What is asked for after so many commits.
#[derive(Default)]
pub struct History {
    pub revision: u64,
    pub desired: Desired,
}

impl History {
    pub fn of(revision: u64) -> Self {
        let mut history = Self::default();
        while history.revision < revision {
            history.next_commit();
        }
        history
    }

    /// The next commit, which this history then has.
    pub fn next_commit(&mut self) -> Commit {
        let change = Change::of(vec![edit(self.revision + 1)], &self.desired);
        change.apply(&mut self.desired).expect("relies on what is so");
        self.revision += 1;
        let number = self.revision;
        let started = job(number, Progress::Running);
        let finished = number.checked_sub(JOB_TAKES).filter(|id| *id > 0);
        let jobs = finished.map(|id| job(id, Progress::Succeeded)).into_iter().chain([started]);
        Commit { change, events: vec![event(number)], jobs: jobs.collect(), ..Commit::default() }
    }

    /// A commit that no store at this history may accept.
    pub fn stale_commit(&self) -> Commit {
        let mut change = Change::of(vec![edit(self.revision + 1)], &self.desired);
        change.guards.values_mut().for_each(|generation| generation.0 += 1);
        Commit { change, events: vec![event(0)], jobs: vec![job(0, Progress::Running)], ..Commit::default() }
    }

    fn jobs(&self) -> BTreeMap<u64, Job> {
        let running = self.revision.saturating_sub(JOB_TAKES) + 1;
        let oldest = running.saturating_sub(LIMITS.finished_jobs).max(1);
        let progress = |id| if id < running { Progress::Succeeded } else { Progress::Running };
        (oldest..=self.revision).map(|id| (id, job(id, progress(id)))).collect()
    }

    /// None: the store holds this history, all of it and nothing else. Some: what it holds instead.
    pub fn difference(&self, store: &Store) -> Option<String> {
        let snapshot = store.snapshot();
        if snapshot.revision != Revision(self.revision) || snapshot.desired != self.desired {
            return Some(format!("{:?} holds {:?}", snapshot.revision, snapshot.desired));
        }
        let jobs = self.jobs();
        let unfinished = jobs.values().filter(|job| job.progress == Progress::Running);
        if !snapshot.unfinished_jobs.iter().map(AsRef::as_ref).eq(unfinished) {
            return Some(format!("unfinished are {:?}", snapshot.unfinished_jobs));
        }
        match store.jobs(None, usize::MAX) {
            Ok(found) if !found.iter().eq(jobs.values()) => return Some(format!("jobs are {found:?}")),
            _ => {}
        }
        let oldest = (self.revision + 1).saturating_sub(LIMITS.events).max(1);
        match store.events(0, usize::MAX) {
            Ok(found) => {
                let expected = (oldest..=self.revision).map(|number| (number, event(number)));
                let same = found.iter().map(|e| (e.number, e.event.clone())).eq(expected);
                (!same).then(|| format!("events are {found:?}"))
            }
            // A damaged event is found when it is read, and named.
            Err(error) => (!format!("{error:?}").contains("event/")).then(|| format!("{error:?}")),
        }
    }
}

fn edit(number: u64) -> Edit {
    let server = ServerId::new(&format!("server-{}", number % 2)).expect("is a name");
    let gpu = GpuId::new(&format!("gpu-{}", number % 3)).expect("is a name");
    let partition = PartitionId::new(&gpu, PartitionIndex((number % 4) as u16));
    let vm = VmId::new(&format!("00000000-0000-4000-8000-{:012}", number % 7)).expect("is a name");
    let vm_name = format!("vm-{number:03}");
    match number % 5 {
        0 => Edit::RemoveAssignment { server, vm },
        1 | 2 => {
            let holding = Holding::Partition { partition };
            let accepted = BTreeSet::new();
            let assignment = Assignment { vm, vm_name, holding, accepted, restart: false, start: false };
            Edit::SetAssignment { server, assignment }
        }
        3 if number.is_multiple_of(2) => Edit::RemoveHold { server, partition },
        3 => Edit::SetHold { server, partition, hold: Hold::Releasing { vm, vm_name } },
        _ => {
            let setting = Some(PartitionSetting::from_number((number % 9) as u16));
            Edit::SetCount { server, gpu, setting, before: None }
        }
    }
}

pub fn event(number: u64) -> Event {
    Event {
        at_ms: number,
        code: "assigned".to_owned(),
        server: None,
        subject: Subject::Cluster,
        text: format!("commit {number}"),
        principal: Some("somebody".to_owned()),
        job: Some(JobId(number)),
    }
}

pub fn job(id: u64, progress: Progress) -> Job {
    Job {
        id: JobId(id),
        kind: JobKind::Assign,
        principal: "somebody".to_owned(),
        created_ms: id,
        finished_ms: (progress != Progress::Running).then_some(id + 1),
        progress,
        targets: Vec::new(),
    }
}

/// Numbers that look random and are the same every time (xorshift64*).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % limit
    }
}
