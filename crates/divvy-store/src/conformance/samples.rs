//! Small changes, jobs and events for the suite, and random ones out of so few names that they meet.

use std::collections::BTreeSet;

use divvy_core::assignment::{Assignment, Claim, FormerDriver, Hold, Holding, Returning, WholeGpu};
use divvy_core::change::{Change, Edit};
use divvy_core::desired::{Desired, PartitionSetting};
use divvy_core::event::Event;
use divvy_core::finding::Subject;
use divvy_core::id::{GpuId, PartitionId, PartitionIndex, PoolName, ServerId, VmId};
use divvy_core::job::{Job, JobId, JobKind, JobTarget, Progress, Wanted};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{AnswerName, KeptAnswer};

pub(crate) fn server() -> ServerId {
    server_of(0)
}

fn server_of(number: u8) -> ServerId {
    ServerId::new(&format!("server-{number}.example")).expect("is a name")
}

fn gpu_of(number: u8) -> GpuId {
    GpuId::new(&format!("gpu-{number:04}")).expect("is a name")
}

fn vm_of(number: u32) -> VmId {
    VmId::new(&format!("00000000-0000-4000-8000-{number:012}")).expect("is a name")
}

fn partition_of(index: u16) -> PartitionId {
    PartitionId::new(&gpu_of(0), PartitionIndex(index))
}

fn assignment_of(vm: u32, index: u16) -> Assignment {
    Assignment {
        vm: vm_of(vm),
        vm_name: format!("vm-\"{vm}\"-é"),
        holding: Holding::Partition { partition: partition_of(index) },
        accepted: BTreeSet::new(),
        restart: false,
        start: false,
    }
}

fn former() -> Vec<FormerDriver> {
    vec![FormerDriver { function: 1, driver: Some("snd".to_owned()), driver_override: None }]
}

fn whole_of(vm: u32, gpu: u8) -> Assignment {
    let gpus = vec![WholeGpu { gpu: gpu_of(gpu), functions: former() }];
    Assignment { holding: Holding::Dda { gpus, claim: None }, ..assignment_of(vm, 0) }
}

/// A claim, or what was picked for one.
fn claimed(vm: u32, gpu: Option<u8>) -> Assignment {
    let claim = Claim { pool: PoolName::new("ml.1").expect("is a name"), count: 1 };
    match gpu {
        None => Assignment { holding: Holding::Claim { claim }, ..assignment_of(vm, 0) },
        Some(gpu) => {
            let gpus = whole_of(vm, gpu).whole_gpus().to_vec();
            let holding = Holding::Dda { gpus, claim: Some(claim) };
            Assignment { holding, start: true, ..assignment_of(vm, 0) }
        }
    }
}

/// A GPU given whole, on its way back, in a pool, and out of all of it.
fn any_whole_edit() -> impl Strategy<Value = Edit> {
    let place = || ((0_u8..2).prop_map(server_of), 0_u8..3);
    let assigned = (place(), 0_u32..3)
        .prop_map(|((server, gpu), vm)| Edit::SetAssignment { server, assignment: whole_of(vm, gpu) });
    let returning = (place(), 0_u32..3).prop_map(|((server, gpu), vm)| {
        let returning = Returning { vm: vm_of(vm), vm_name: "vm".to_owned(), functions: former() };
        Edit::SetReturning { server, gpu: gpu_of(gpu), returning }
    });
    let returned = place().prop_map(|(server, gpu)| Edit::RemoveReturning { server, gpu: gpu_of(gpu) });
    let pooled = (place(), any::<bool>()).prop_map(|((server, gpu), is_in)| {
        let pool = is_in.then(|| PoolName::new("ml.1").expect("is a name"));
        Edit::SetPool { server, gpu: gpu_of(gpu), pool, before: None }
    });
    let claimed = (place(), 0_u32..3, any::<bool>()).prop_map(|((server, gpu), vm, filled)| {
        Edit::SetAssignment { server, assignment: claimed(vm, filled.then_some(gpu)) }
    });
    let unclaimed = (place(), 0_u32..3).prop_map(|((server, _), vm)| Edit::RemoveClaim {
        server,
        vm: vm_of(vm),
        vm_name: "vm".to_owned(),
    });
    prop_oneof![assigned, returning, returned, pooled, claimed, unclaimed]
}

pub(crate) fn assign(vm: u32, index: u16, desired: &Desired) -> Change {
    let edit = Edit::SetAssignment { server: server(), assignment: assignment_of(vm, index) };
    Change::of(vec![edit], desired)
}

pub(crate) fn unassign(vm: u32, desired: &Desired) -> Change {
    Change::of(vec![Edit::RemoveAssignment { server: server(), vm: vm_of(vm) }], desired)
}

pub(crate) fn event(code: &str, at_ms: u64) -> Event {
    Event {
        at_ms,
        code: code.to_owned(),
        server: Some(server()),
        subject: Subject::Gpu(gpu_of(0)),
        text: "a text with a ' and a \u{0} and a \u{1f5a5}".to_owned(),
        principal: Some("somebody".to_owned()),
        job: None,
    }
}

pub(crate) fn job(id: u64, progress: Progress) -> Job {
    let wanted = Wanted::Assigned { vm: vm_of(1), vm_name: "vm-001".to_owned(), partition: partition_of(0) };
    let target =
        JobTarget { server: server(), wanted, progress, steps: Vec::new(), detail: None, hint: None };
    Job {
        id: JobId(id),
        kind: JobKind::Assign,
        principal: "somebody".to_owned(),
        created_ms: 1,
        finished_ms: (progress != Progress::Running).then_some(2),
        progress,
        targets: vec![target],
    }
}

pub(crate) fn name(key: &str) -> AnswerName {
    AnswerName { principal: "somebody".to_owned(), key: key.to_owned() }
}

pub(crate) fn answer(key: &str, at_ms: u64) -> KeptAnswer {
    KeptAnswer {
        name: name(key),
        fingerprint: "PUT something".to_owned(),
        at_ms,
        job: Some(job(1, Progress::Running)),
        warnings: Vec::new(),
    }
}

/// A commit that relies on no state yet.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub edits: Vec<Edit>,
    /// Relies on a generation that is not so.
    pub stale: bool,
    pub events: usize,
    pub jobs: Vec<Job>,
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let server = || (0_u8..2).prop_map(server_of);
    let vm = || 0_u32..3;
    let index = || 0_u16..3;
    let count = (server(), 0_u8..3, proptest::option::of(0_u16..5)).prop_map(|(server, gpu, count)| {
        let setting = count.map(PartitionSetting::from_number);
        Edit::SetCount { server, gpu: gpu_of(gpu), setting, before: None }
    });
    let assigned = (server(), vm(), index())
        .prop_map(|(server, vm, index)| Edit::SetAssignment { server, assignment: assignment_of(vm, index) });
    let removed = (server(), vm()).prop_map(|(server, vm)| Edit::RemoveAssignment { server, vm: vm_of(vm) });
    let held = (server(), index(), any::<bool>()).prop_map(|(server, index, clean)| {
        let hold = match clean {
            true => Hold::Releasing { vm: vm_of(1), vm_name: "vm-001".to_owned() },
            false => Hold::Quarantined { reason: "its memory was not cleared".to_owned() },
        };
        Edit::SetHold { server, partition: partition_of(index), hold }
    });
    let freed = (server(), index())
        .prop_map(|(server, index)| Edit::RemoveHold { server, partition: partition_of(index) });
    prop_oneof![count, assigned, removed, held, freed, any_whole_edit()]
}

fn any_job() -> impl Strategy<Value = Job> {
    let progress = prop_oneof![Just(Progress::Running), Just(Progress::Succeeded), Just(Progress::Failed)];
    (1_u64..6, progress).prop_map(|(id, progress)| job(id, progress))
}

fn any_draft() -> impl Strategy<Value = Draft> {
    (vec(any_edit(), 0..4), proptest::bool::weighted(0.2), 0_usize..3, vec(any_job(), 0..3))
        .prop_map(|(edits, stale, events, jobs)| Draft { edits, stale, events, jobs })
}

/// Batches of commits.
pub(crate) fn random_batches() -> impl Strategy<Value = Vec<Vec<Draft>>> {
    vec(vec(any_draft(), 1..5), 1..6)
}

impl Draft {
    /// The commit as somebody makes it who looks at `desired`.
    pub fn commit(&self, desired: &Desired) -> crate::Commit {
        let mut change = Change::of(self.edits.clone(), desired);
        if self.stale {
            change.guards.values_mut().for_each(|generation| generation.0 += 7);
        }
        let events = vec![event("assigned", 1); self.events];
        crate::Commit { change, events, jobs: self.jobs.clone(), answers: Vec::new() }
    }
}
