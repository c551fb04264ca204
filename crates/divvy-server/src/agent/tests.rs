use std::sync::{Mutex, mpsc};

use divvy_core::assignment::Assignment;
use divvy_core::desired::{Desired, PartitionSetting};
use divvy_core::gpu::PartitionCount;
use divvy_core::id::{PartitionId, PartitionIndex, VmId};
use divvy_core::pci_address::PciAddress;
use divvy_core::readiness::Ready;
use divvy_core::state::State;
use divvy_core::step::{DeviceScope, Outcome};
use divvy_host::execute::Limits;
use divvy_host::observe::{Observer, Settings as ObserverSettings};
use divvy_host::readiness::Settings as ReadinessSettings;
use divvy_hypervisor::HypervisorError;
use divvy_sim::room::Room;
use divvy_sim::spec::Delays;

use super::*;
use crate::door::Message;
use crate::hub::Published;

type Log = Arc<Mutex<Vec<String>>>;

/// A hypervisor that has no VM, notes when it is asked, and has something to tell.
struct Asked(Log);

impl Hypervisor for Asked {
    fn health(&mut self) -> HypervisorHealth {
        HypervisorHealth::Connected { version: "test".into() }
    }

    fn list(&mut self) -> Result<Vec<ObservedVm>, HypervisorError> {
        self.0.lock().expect("unspoiled").push("asked".into());
        Ok(Vec::new())
    }

    fn findings(&self) -> Vec<Finding> {
        vec![Finding {
            code: FindingCode::of("vm_definition_unreadable"),
            severity: Severity::Warning,
            subject: Subject::Cluster,
            text: "a definition cannot be read".into(),
            mend: "look at it".into(),
        }]
    }

    fn attach(&mut self, _: &Ready, _: DeviceScope) -> Result<Outcome, HypervisorError> {
        unreachable!("there is no VM")
    }

    fn detach(&mut self, _: &VmId, _: PciAddress, _: DeviceScope) -> Result<Outcome, HypervisorError> {
        unreachable!("there is no VM")
    }

    fn start(&mut self, _: &VmId) -> Result<Outcome, HypervisorError> {
        unreachable!("there is no VM")
    }

    fn shut_down(&mut self, _: &VmId, _: Duration) -> Result<Outcome, HypervisorError> {
        unreachable!("there is no VM")
    }

    fn on_change(&mut self, _: Box<dyn Fn() + Send + Sync>) {}
}

/// A server after a boot: two partitions are asked for, and the second belongs to a VM.
struct Booted {
    host: Arc<HostSide>,
    hub: Hub,
    reports: mpsc::Receiver<Message>,
    log: Log,
}

fn booted() -> Booted {
    let room = Room::open("a2-edge", 1, Delays::none()).expect("a room");
    let server = room.servers[0].id().clone();
    let sysfs: Arc<dyn divvy_host::sysfs::Sysfs> = room.servers[0].sysfs();
    let host = Arc::new(HostSide {
        server: server.clone(),
        observer: Observer::new(server.clone(), ObserverSettings::default()),
        readiness: ReadinessSettings::default(),
        limits: Limits::default(),
        sysfs,
    });
    let gpu = host.observe().expect("the room is readable").gpus[0].id.clone();
    let partition = PartitionId::new(&gpu, PartitionIndex(1));
    let vm = VmId::new("0d0f5c9e-6b1a-4c63-9c57-4a1f0a6e5a01").expect("a UUID");
    let mut desired = DesiredServer::default();
    let two = PartitionCount::new(2).expect("two is a count");
    desired.settings.insert(gpu, PartitionSetting::Count(two));
    let assignment = Assignment {
        vm: vm.clone(),
        vm_name: "alpha".into(),
        partition,
        accepted: Default::default(),
        restart: false,
    };
    desired.assignments.insert(vm, assignment);
    let mut all = Desired::default();
    all.servers.insert(server, Arc::new(desired));
    let (door, reports) = mpsc::channel();
    let hub = Hub::new(door);
    let state = Arc::new(State { desired: all, observed: Default::default() });
    hub.publish(Published { state, running_jobs: Default::default() });
    Booted { host, hub, reports, log: Log::default() }
}

impl Booted {
    /// The agent's first turns, and what was to be seen at the end of each.
    fn run(&self) -> Vec<String> {
        let hypervisor = Box::new(Asked(Arc::clone(&self.log)));
        let agent = Agent::new(Arc::clone(&self.host), hypervisor, self.hub.clone(), Box::new(|| ()));
        agent.run(&AtomicBool::new(true), |looked| {
            let seen = self.host.observe().expect("the room is readable");
            let drivers: Vec<&str> =
                seen.gpus[0].partitions.iter().map(|one| one.driver.as_deref().unwrap_or("none")).collect();
            self.log.lock().expect("unspoiled").push(format!("{looked:?}: {}", drivers.join(", ")));
        });
        self.log.lock().expect("unspoiled").clone()
    }
}

#[test]
fn partitions_are_made_and_prepared_before_the_hypervisor_is_asked() {
    let log = booted().run();
    assert_eq!(log[0], "AtGpus: none, vfio-pci");
    assert_eq!(log[1], "asked");
}

#[test]
fn what_the_hypervisor_could_not_understand_is_reported() {
    let booted = booted();
    booted.run();
    let reports = booted.reports.try_iter();
    let codes = reports.flat_map(|message| match message {
        Message::Report { observed, .. } => observed.findings,
        _ => Vec::new(),
    });
    assert!(codes.into_iter().any(|finding| finding.code.as_str() == "vm_definition_unreadable"));
}
