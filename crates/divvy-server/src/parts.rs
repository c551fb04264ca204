//! The parts that a daemon is built from: this machine's kernel and libvirt, or a simulated room. From
//! here on nothing knows which of both it is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use divvy_core::id::{InvalidId, ServerId, VmId};
use divvy_host::execute::Limits;
use divvy_host::nvml::{Nvml, NvmlGate};
use divvy_host::observe::{Observer, Settings as ObserverSettings};
use divvy_host::readiness::Settings as ReadinessSettings;
use divvy_host::real::RealSysfs;
use divvy_host::sysfs::Sysfs;
use divvy_host::watch::Watch;
use divvy_host::{uevent, vfio_watch};
use divvy_hypervisor::Hypervisor;
use divvy_hypervisor::libvirt::{LibvirtHypervisor, Timeouts};
use divvy_sim::fault::{Fault, FaultError};
use divvy_sim::room::{Room, RoomError};
use divvy_sim::spec::Delays;

use crate::agent::AfterSteps;
use crate::claims::Passes;
use crate::gate::OwedStarts;
use crate::hook::Gate;
use crate::host_side::HostSide;
use crate::hub::Hub;
use crate::notices::Notices;
use crate::settings::Settings;

/// What only a simulated room can do.
pub trait RoomControl: Send + Sync {
    fn name(&self) -> &str;
    /// What libvirt's hook would ask before this VM's start; None: it runs, or is not there.
    fn gate(&self, server: &ServerId, vm: &VmId) -> Option<Gate>;
    /// Powers a VM; the text says why it would not.
    fn power(&self, server: &ServerId, vm: &VmId, on: bool) -> Result<(), String>;
    /// Lets something go wrong.
    fn cause(&self, fault: &Fault) -> Result<(), FaultError>;
    /// What goes wrong until it is cleared.
    fn faults(&self) -> Vec<Fault>;
    /// Keeps what its hardware has become.
    fn keep(&self);
}

/// One server's parts.
pub struct ServerParts {
    pub host: Arc<HostSide>,
    pub hypervisor: Box<dyn Hypervisor>,
    pub after_steps: AfterSteps,
    /// Rings the agent's bell when the kernel says that something changed.
    pub watches: Vec<Watch>,
}

pub struct Parts {
    pub name: String,
    pub servers: Vec<ServerParts>,
    pub room: Option<Arc<dyn RoomControl>>,
}

#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    #[error("this machine's host name cannot be used as the server's name; set server_name in the settings")]
    Name(#[source] InvalidId),
    #[error("this machine's host name cannot be read")]
    HostName(#[source] nix::errno::Errno),
    #[error(transparent)]
    Room(#[from] RoomError),
    #[error("the room's state {} cannot be read or written", path.display())]
    RoomState { path: PathBuf, source: std::io::Error },
    #[error("listening to the kernel's device events failed")]
    Uevent(#[source] std::io::Error),
}

fn limits(settings: &Settings) -> Limits {
    let sriov_manage = settings.sriov_manage.clone().into();
    Limits { count_write: settings.write_deadline, sriov_manage, ..Limits::default() }
}

fn observer(server: &ServerId, settings: &Settings) -> Observer {
    Observer::new(
        server.clone(),
        ObserverSettings {
            also: settings.more_gpus.clone(),
            mig: settings.mig_gpus.clone(),
            ..ObserverSettings::default()
        },
    )
}

/// This machine.
pub fn real(settings: &Settings, hub: &Hub, notices: &Notices) -> Result<Parts, PartsError> {
    let server = match &settings.server_name {
        Some(name) => name.clone(),
        None => {
            let name = nix::unistd::gethostname().map_err(PartsError::HostName)?;
            ServerId::new(&name.to_string_lossy()).map_err(PartsError::Name)?
        }
    };
    // Our own program also when an upgrade has replaced the file meanwhile.
    let sysfs = RealSysfs::new("/").with_worker("/proc/self/exe", vec!["--write-worker".into()]);
    // NVML holds the GPUs that NVIDIA's programs work on: one at a time.
    let gate = NvmlGate::default();
    let sysfs = sysfs.with_gate(gate.clone());
    let sysfs: Arc<dyn Sysfs> = Arc::new(sysfs);
    let bell = hub.bell(&server);
    notices.ring(hub.bell(&server));
    let opened = bell.clone();
    let mut watches = vec![uevent::start(move || bell.ring()).map_err(PartsError::Uevent)?];
    match vfio_watch::start(Path::new("/"), move || opened.ring()) {
        Ok(watch) => watches.push(watch),
        // Who opens a partition without libvirt is seen at the next regular look.
        Err(error) => tracing::warn!(%error, "the files of VFIO cannot be watched"),
    }
    let host = Arc::new(HostSide {
        observer: observer(&server, settings).with_telemetry(Arc::new(Nvml::new(gate.clone()))),
        gate,
        readiness: ReadinessSettings::default(),
        limits: limits(settings),
        sysfs,
        server: server.clone(),
        notices: notices.clone(),
        owed: OwedStarts::default(),
        passes: Passes::default(),
    });
    let hypervisor = Box::new(LibvirtHypervisor::new(&settings.libvirt_uri, Timeouts::default()));
    let parts = ServerParts { host, hypervisor, after_steps: Box::new(|| ()), watches };
    Ok(Parts { name: server.to_string(), servers: vec![parts], room: None })
}

/// A room that remembers in a file what its hardware has become.
struct KeptRoom {
    room: Room,
    file: PathBuf,
    /// What the file says of each server.
    kept: Mutex<Vec<String>>,
    hub: Hub,
}

impl RoomControl for KeptRoom {
    fn name(&self) -> &str {
        self.room.name()
    }

    fn gate(&self, server: &ServerId, vm: &VmId) -> Option<Gate> {
        let vms = self.room.server(server)?.vms();
        let vm = vms.into_iter().find(|one| one.id == *vm && one.is_off())?;
        let devices = vm.devices.iter().filter(|device| device.defined).map(|device| device.device);
        Some(Gate { devices: devices.collect(), vm: vm.id, name: vm.name, migration: false })
    }

    fn power(&self, server: &ServerId, vm: &VmId, on: bool) -> Result<(), String> {
        let Some(on_server) = self.room.server(server) else {
            return Err(format!("the room has no server {server}"));
        };
        let done = if on { on_server.power_on(vm) } else { on_server.power_off(vm) };
        done.map_err(|error| crate::chain::chain(&error))?;
        self.keep_server(server);
        self.hub.bell(server).ring();
        Ok(())
    }

    fn cause(&self, fault: &Fault) -> Result<(), FaultError> {
        self.room.apply_fault(fault)?;
        for server in &self.room.servers {
            self.keep_server(server.id());
            self.hub.bell(server.id()).ring();
        }
        Ok(())
    }

    fn faults(&self) -> Vec<Fault> {
        self.room.faults()
    }

    fn keep(&self) {
        for server in &self.room.servers {
            self.keep_server(server.id());
        }
        let synced = std::fs::File::open(&self.file).and_then(|file| file.sync_all());
        if let Err(error) = synced {
            tracing::warn!(file = %self.file.display(), %error, "keeping the room's state failed");
        }
    }
}

impl KeptRoom {
    /// Keeps what a server has become. It survives a kill; a power cut may take the newest of it away,
    /// as it may from hardware.
    fn keep_server(&self, id: &ServerId) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut servers = self.room.servers.iter().zip(kept.iter_mut());
        let Some((server, text)) = servers.find(|(server, _)| server.id() == id) else { return };
        let now = Room::save_server(server);
        if *text == now {
            return;
        }
        *text = now;
        if let Err(error) = write_whole(&self.file, &self.room.save_of(&kept)) {
            tracing::warn!(file = %self.file.display(), %error, "keeping the room's state failed");
        }
    }
}

/// The old text or the new one, never a mix, whenever the daemon is killed.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

/// A room, as it was left in this state directory.
pub fn simulated(
    name: &str,
    settings: &Settings,
    state_dir: &Path,
    hub: &Hub,
    notices: &Notices,
) -> Result<Parts, PartsError> {
    let file = state_dir.join(format!("room-{name}.json"));
    let room = match std::fs::read_to_string(&file) {
        Ok(text) => Room::load(&text, Delays::kernel())?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Room::open(name, 1, Delays::kernel())?,
        Err(source) => return Err(PartsError::RoomState { path: file, source }),
    };
    let texts: Vec<String> = room.servers.iter().map(Room::save_server).collect();
    if !file.exists() {
        let unwritable = |source| PartsError::RoomState { path: file.clone(), source };
        write_whole(&file, &room.save_of(&texts)).map_err(unwritable)?;
    }
    let kept = Arc::new(KeptRoom { room, file, kept: Mutex::new(texts), hub: hub.clone() });
    // The daemon runs on one of them, as far as a room has such a thing.
    kept.room.servers.iter().take(1).for_each(|server| notices.ring(hub.bell(server.id())));
    let mut notices = Some(notices.clone());
    let servers = kept.room.servers.iter().map(|server| {
        let id = server.id().clone();
        let sysfs: Arc<dyn Sysfs> = server.sysfs();
        let host = Arc::new(HostSide {
            gate: NvmlGate::default(),
            observer: observer(&id, settings).with_telemetry(server.telemetry()),
            readiness: ReadinessSettings::default(),
            limits: limits(settings),
            sysfs,
            server: id,
            notices: notices.take().unwrap_or_default(),
            owed: OwedStarts::default(),
            passes: Passes::default(),
        });
        let (keeper, own) = (Arc::clone(&kept), server.id().clone());
        ServerParts {
            host,
            hypervisor: Box::new(server.hypervisor()),
            after_steps: Box::new(move || keeper.keep_server(&own)),
            watches: Vec::new(),
        }
    });
    let servers = servers.collect();
    Ok(Parts { name: format!("room {name}"), servers, room: Some(kept) })
}
