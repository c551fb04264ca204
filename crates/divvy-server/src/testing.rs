//! A whole daemon without its socket: store in memory, admission on its thread, agents that take their
//! turns when the test says so, on a room without delays.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use divvy_core::job::{Job, Progress};
use divvy_core::request::{CountWish, GpuSelection, Request};
use divvy_core::state::State;
use divvy_host::execute::Limits;
use divvy_host::observe::{Observer, Settings as ObserverSettings};
use divvy_host::readiness::Settings as ReadinessSettings;
use divvy_host::sysfs::Sysfs;
use divvy_sim::room::Room;
use divvy_sim::server::SimServer;
use divvy_sim::spec::Delays;
use divvy_store::Store;

use crate::admit::Admission;
use crate::agent::Agent;
use crate::door::{Answer, AskError, Message};
use crate::gate::{self, NoStart};
use crate::hook::Gate;
use crate::host_side::HostSide;
use crate::hub::Hub;

pub struct Daemon {
    pub room: Room,
    pub hub: Hub,
    pub store: Arc<Store>,
    pub hosts: Vec<Arc<HostSide>>,
    agents: Vec<Agent>,
    admission: Option<JoinHandle<()>>,
}

impl Daemon {
    /// In this room, with nothing asked for yet and every server observed once.
    pub fn in_room(name: &str) -> Self {
        let room = Room::open(name, 1, Delays::none()).expect("the test's room exists");
        Self::with_store(room, Arc::new(Store::memory()))
    }

    /// On this hardware and this store, as a start of the daemon finds them, and ready.
    pub fn with_store(room: Room, store: Arc<Store>) -> Self {
        let daemon = Self::not_ready(room, store);
        daemon.hub.open_starts();
        daemon
    }

    /// After its first turns, before it answers libvirt's hook.
    pub fn not_ready(room: Room, store: Arc<Store>) -> Self {
        let (door, messages) = mpsc::channel();
        let hub = Hub::new(door);
        let admission = Admission::new(Arc::clone(&store), hub.clone());
        let admission = Some(std::thread::spawn(move || admission.run(&messages)));
        let (hosts, agents) = room.servers.iter().map(|server| agent(server, &hub)).unzip();
        let mut daemon = Self { room, hub, store, hosts, agents, admission };
        // The first turn does not ask the hypervisor.
        daemon.turn();
        daemon.turn();
        daemon
    }

    /// Ends the daemon; what is left is what outlives it.
    pub fn end(mut self) -> (Room, Arc<Store>) {
        self.stop();
        let name = self.room.name();
        let room = std::mem::replace(&mut self.room, Room::open(name, 1, Delays::none()).expect("exists"));
        (room, Arc::clone(&self.store))
    }

    fn stop(&mut self) {
        self.hub.tell(Message::Stop);
        if let Some(admission) = self.admission.take() {
            admission.join().expect("the admission thread does not panic");
        }
    }

    /// One turn of every agent, and all that follows from it at the door.
    pub fn turn(&mut self) {
        for agent in &mut self.agents {
            agent.turn();
        }
        self.settle();
    }

    /// Waits until everything that stood at the door is served and published.
    fn settle(&self) {
        let (told, published) = mpsc::channel();
        self.hub.tell(Message::Published(told));
        published.recv().expect("the admission thread runs");
    }

    pub fn ask(&self, request: Request) -> Result<Answer, AskError> {
        self.hub.ask_blocking(request, "test")
    }

    /// Asks and takes turns until the job has ended.
    pub fn carry_out(&mut self, request: Request) -> Job {
        let answer = self.ask(request).expect("is not refused");
        let Answer::Accepted { job: Some(job), .. } = answer else { panic!("no job: {answer:?}") };
        for _turn in 0..10 {
            self.turn();
            let kept = self.store.job(job.id).expect("the store answers").expect("the job is kept");
            if kept.progress != Progress::Running {
                // What the end of the job asked for is carried out too.
                self.turn();
                return kept;
            }
        }
        panic!("the job did not end: {:?}", self.hub.published().running_jobs);
    }

    /// Asks, as libvirt's hook does, whether the VM may start with what is in its definition.
    pub fn knock(&self, name: &str) -> Result<(), NoStart> {
        let vms = self.server().vms();
        let vm = vms.iter().find(|vm| vm.name == name).expect("the room has it");
        let devices = vm.devices.iter().filter(|device| device.defined).map(|device| device.device).collect();
        let gate = Gate { vm: vm.id.clone(), name: vm.name.clone(), devices, migration: false };
        gate::may_start(&self.hub, &self.hosts[0], &gate)
    }

    pub fn state(&self) -> Arc<State> {
        self.hub.state()
    }

    pub fn server(&self) -> &SimServer {
        &self.room.servers[0]
    }

    /// The refusal code that a request gets.
    pub fn refusal(&self, request: Request) -> &'static str {
        match self.ask(request) {
            Err(AskError::Refused(refusal)) => refusal.code(),
            other => panic!("not refused: {other:?}"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

fn agent(server: &SimServer, hub: &Hub) -> (Arc<HostSide>, Agent) {
    let sysfs: Arc<dyn Sysfs> = server.sysfs();
    let limits = Limits { settle: Duration::ZERO, ..Limits::default() };
    let observer = Observer::new(server.id().clone(), ObserverSettings::default());
    let host = HostSide {
        gate: Default::default(),
        server: server.id().clone(),
        sysfs,
        observer,
        readiness: ReadinessSettings::default(),
        limits,
        notices: Default::default(),
        owed: Default::default(),
        passes: Default::default(),
    };
    let host = Arc::new(host);
    let agent = Agent::new(Arc::clone(&host), Box::new(server.hypervisor()), hub.clone(), Box::new(|| ()));
    (host, agent)
}

/// Splits every GPU that is named.
pub fn count(gpus: &[&str], count: u16) -> Request {
    let names = gpus.iter().map(ToString::to_string).collect();
    Request::SetPartitionCount { gpus: GpuSelection::Named(names), wish: CountWish::Count(count) }
}

pub fn assign(vms: &[&str]) -> Request {
    let vms = vms.iter().map(ToString::to_string).collect();
    Request::Assign { vms, gpu: None, memory_bytes: None, partition: None, accept: Default::default() }
}

pub fn unassign(vms: &[&str]) -> Request {
    Request::Unassign { vms: vms.iter().map(ToString::to_string).collect() }
}
