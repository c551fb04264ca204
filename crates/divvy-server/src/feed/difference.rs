//! From one moment to another: the messages that turn what somebody saw then into what is so now. Only
//! servers whose report or desired state was replaced are looked at; both moments are made into views and
//! compared, so that a message is sent exactly if what a reader would see has changed.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use divvy_api::stream::{ChangeId, ChangeKind, Topic};
use divvy_api::views::{EventView, FindingView, JobView};
use divvy_core::id::{ServerId, VmId};
use divvy_core::job::{Job, JobId};
use divvy_core::state::State;
use divvy_store::Store;
use serde::Serialize;

use crate::hub::Published;
use crate::views::Assignments;
use crate::{findings, views};

/// Most events that are told at once; who has more to hear reads the list.
const MAX_EVENTS: usize = 10_000;

pub struct Moment {
    published: Published,
    newest_event: u64,
    /// What comes of comparing all servers: found once, for the difference to this moment and the one from it.
    cluster: OnceCell<Vec<FindingView>>,
}

impl Moment {
    pub fn new(published: Published, newest_event: u64) -> Self {
        Self { published, newest_event, cluster: OnceCell::new() }
    }

    fn cluster(&self) -> &[FindingView] {
        self.cluster.get_or_init(|| {
            let found = findings::of_cluster(&self.published.state).into_iter();
            found.map(|(_, finding)| FindingView::from(&finding)).collect()
        })
    }
}

/// One message, written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: Topic,
    /// JSON on one line.
    pub data: String,
}

/// The data of a message; the value is any view.
#[derive(Serialize)]
struct Data<'a, V> {
    kind: ChangeKind,
    id: ChangeId,
    value: Option<&'a V>,
}

impl Message {
    fn of<V: Serialize>(topic: Topic, id: ChangeId, value: Option<&V>) -> Self {
        let kind = if value.is_some() { ChangeKind::Put } else { ChangeKind::Gone };
        let data = serde_json::to_string(&Data { kind, id, value });
        Self { topic, data: data.expect("views are texts, numbers, flags and lists") }
    }
}

pub fn between(before: &Moment, now: &Moment, store: &Store) -> Vec<Message> {
    let (old, new) = (&before.published.state, &now.published.state);
    let mut messages = Vec::new();
    let changed = changed_servers(old, new);
    let (had, has) = (Assignments::of(old), Assignments::of(new));
    for server in &changed {
        compare(Topic::Gpu, &gpus(old, server), &gpus(new, server), &mut messages);
        compare(Topic::Partition, &partitions(old, server), &partitions(new, server), &mut messages);
        compare(Topic::Vm, &vms(old, server, &had), &vms(new, server, &has), &mut messages);
    }
    let elsewhere = assigned_elsewhere(old, new, &changed);
    compare(Topic::Vm, &named_vms(old, &elsewhere), &named_vms(new, &elsewhere), &mut messages);
    if !changed.is_empty() {
        let (old, new) = (all_findings(before, &changed), all_findings(now, &changed));
        compare(Topic::Finding, &old, &new, &mut messages);
    }
    history(before, now, store, &mut messages);
    messages
}

fn changed_servers(old: &State, new: &State) -> BTreeSet<ServerId> {
    fn same<T>(old: Option<&Arc<T>>, new: Option<&Arc<T>>) -> bool {
        match (old, new) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        }
    }
    let all = [&old.observed, &new.observed].into_iter().flat_map(BTreeMap::keys);
    let all = all.chain([old, new].into_iter().flat_map(|state| state.desired.servers.keys()));
    let all: BTreeSet<&ServerId> = all.collect();
    let changed = all.into_iter().filter(|server| {
        !same(old.observed.get(*server), new.observed.get(*server))
            || !same(old.desired.servers.get(*server), new.desired.servers.get(*server))
    });
    changed.cloned().collect()
}

/// VMs that have an assignment of a changed server and are on another one.
fn assigned_elsewhere(old: &State, new: &State, changed: &BTreeSet<ServerId>) -> BTreeSet<VmId> {
    let mut elsewhere = BTreeSet::new();
    for (state, server) in
        [old, new].iter().flat_map(|state| changed.iter().map(move |server| (state, server)))
    {
        let Some(desired) = state.desired_of(server) else { continue };
        let here = |vm: &VmId| state.observed.get(server).is_some_and(|observed| observed.vm(vm).is_some());
        elsewhere.extend(desired.assignments.keys().filter(|vm| !here(vm)).cloned());
    }
    elsewhere
}

type Views<V> = BTreeMap<String, V>;

fn gpus(state: &State, server: &ServerId) -> Views<impl Serialize + PartialEq + use<>> {
    views::gpus_of(state, server).into_iter().map(|view| (view.id.clone(), view)).collect()
}

fn partitions(state: &State, server: &ServerId) -> Views<impl Serialize + PartialEq + use<>> {
    let views = views::partitions_of(state, server, |_| true).into_iter().flat_map(|(_, views)| views);
    views.map(|view| (view.id.clone(), view)).collect()
}

fn vms(
    state: &State,
    server: &ServerId,
    assignments: &Assignments<'_>,
) -> Views<impl Serialize + PartialEq + use<>> {
    views::vms_of(state, server, assignments).into_iter().map(|view| (view.id.clone(), view)).collect()
}

fn named_vms(state: &State, names: &BTreeSet<VmId>) -> Views<impl Serialize + PartialEq + use<>> {
    let seen = names.iter().filter_map(|vm| state.vm(vm));
    let views = seen.map(|(server, vm)| views::vm_view(state, server, vm));
    views.map(|view| (view.id.clone(), view)).collect()
}

/// Those of the changed servers, and those that come of comparing all of them.
fn all_findings(moment: &Moment, changed: &BTreeSet<ServerId>) -> Views<FindingView> {
    let own = changed.iter().flat_map(|server| findings::of_server(&moment.published.state, server));
    let all = own.map(|finding| FindingView::from(&finding)).chain(moment.cluster().iter().cloned());
    all.map(|view| (view.id.clone(), view)).collect()
}

fn compare<V: Serialize + PartialEq>(
    topic: Topic,
    old: &Views<V>,
    new: &Views<V>,
    messages: &mut Vec<Message>,
) {
    let gone = old.keys().filter(|id| !new.contains_key(*id));
    messages.extend(gone.map(|id| Message::of::<V>(topic, ChangeId::Text(id.clone()), None)));
    let put = new.iter().filter(|(id, view)| old.get(*id) != Some(view));
    messages.extend(put.map(|(id, view)| Message::of(topic, ChangeId::Text(id.clone()), Some(view))));
}

/// Jobs and events. A job that began and ended between the two moments is known by its events alone.
fn history(before: &Moment, now: &Moment, store: &Store, messages: &mut Vec<Message>) {
    let events = match now.newest_event > before.newest_event {
        true => store.events(before.newest_event, MAX_EVENTS).unwrap_or_default(),
        false => Vec::new(),
    };
    let (old, new) = (&before.published.running_jobs, &now.published.running_jobs);
    let moved = |id: &&JobId| match (old.get(*id), new.get(*id)) {
        (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
        _ => true,
    };
    let mut jobs: BTreeSet<JobId> = old.keys().chain(new.keys()).filter(moved).copied().collect();
    jobs.extend(events.iter().filter_map(|event| event.event.job).filter(|id| !new.contains_key(id)));
    for id in jobs {
        let kept = || store.job(id).ok().flatten().map(Arc::new);
        let job: Option<Arc<Job>> = new.get(&id).cloned().or_else(kept);
        let view = job.map(|job| JobView::from(job.as_ref()));
        messages.push(Message::of(Topic::Job, ChangeId::Number(id.0), view.as_ref()));
    }
    for event in events.iter().filter(|event| event.number <= now.newest_event) {
        let view = EventView::from(event);
        messages.push(Message::of(Topic::Event, ChangeId::Number(event.number), Some(&view)));
    }
}
