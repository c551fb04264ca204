//! Putting the parts together and keeping them running: store, admission thread, agents, HTTP. The
//! socket appears only after every agent has looked at its GPUs and made what they lack, so that a boot
//! restores partitions before libvirt, which is ordered after us, starts a VM; and after a look at the
//! VMs, if libvirt runs already, so that whoever is answered is answered from what really is.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use divvy_core::id::ServerId;
use divvy_store::{OpenError, Store};
use nix::unistd::{Gid, Group};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::admit::Admission;
use crate::agent::{Agent, Looked};
use crate::auth::{Peer, Token, Users};
use crate::door::Message;
use crate::feed::Feed;
use crate::host_side::HostSide;
use crate::http::{App, router};
use crate::hub::Hub;
use crate::listen::{ListenError, Listening};
use crate::notices::Notices;
use crate::pam::Pam;
use crate::parts::{self, Parts, PartsError, ServerParts};
use crate::random;
use crate::replace::replace;
use crate::settings::Settings;
use crate::sign_in::SignIn;
use crate::tcp;
use crate::usage::{Desk, Looker};
use crate::webhook::{Surroundings, WebhookError, Webhooks};

/// How long a start waits for first turns; a GPU that hangs must not hold up the boot for ever.
const FIRST_TURNS: Duration = Duration::from_secs(80);
/// How long a start waits for VMs after that; at boot libvirt waits for us.
const VMS_TOO: Duration = Duration::from_secs(2);
/// How long an end waits for starts that were begun, while the hook is still answered.
const LAST_STARTS: Duration = Duration::from_secs(10);
/// How far an agent's thread gives way, between not at all (0) and most (19).
const AGENT_NICE: i32 = 10;

/// Where and on what a daemon runs.
#[derive(Debug, Clone)]
pub struct Options {
    pub room: Option<String>,
    pub state_dir: PathBuf,
    pub socket: PathBuf,
    pub listen: Option<SocketAddr>,
    pub settings: Settings,
}

#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("the state directory {} cannot be made", path.display())]
    StateDir { path: PathBuf, source: std::io::Error },
    #[error("what was asked for cannot be opened")]
    Store(#[source] OpenError),
    #[error("the parts of the daemon cannot be put together")]
    Parts(#[from] PartsError),
    #[error("the token {} cannot be read or made", path.display())]
    Token { path: PathBuf, source: std::io::Error },
    #[error("answering over TCP cannot begin")]
    Tcp(#[from] ListenError),
    #[error("telling webhooks cannot begin")]
    Webhooks(#[from] WebhookError),
    #[error("listening on {place} failed")]
    Listen { place: String, source: std::io::Error },
    #[error("another divvyd answers on {}; stop it, or use another --socket", path.display())]
    SocketInUse { path: PathBuf },
    #[error("{} is there already and is no socket; move it, or use another --socket", path.display())]
    NotASocket { path: PathBuf },
    #[error("there is no group {group:?} (socket_group in the settings)")]
    NoGroup { group: String },
    #[error("the runtime failed")]
    Runtime(#[source] std::io::Error),
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// The threads of a running daemon.
struct Threads {
    stop: Arc<AtomicBool>,
    hub: Hub,
    agents: Vec<(ServerId, JoinHandle<()>)>,
    admission: JoinHandle<()>,
    watches: Vec<divvy_host::watch::Watch>,
}

impl Threads {
    /// Ends agents first, so that their last reports are still taken.
    fn end(self) {
        drop(self.watches);
        self.stop.store(true, Ordering::Release);
        for (server, _) in &self.agents {
            self.hub.bell(server).ring();
        }
        for (server, agent) in self.agents {
            if agent.join().is_err() {
                tracing::error!(%server, "the agent ended by a panic");
            }
        }
        self.hub.tell(Message::Stop);
        if self.admission.join().is_err() {
            tracing::error!("the admission thread ended by a panic");
        }
    }
}

/// Runs until a signal ends it.
pub fn run(options: Options) -> Result<(), DaemonError> {
    make_dir(&options.state_dir)?;
    let store = Arc::new(Store::open_embedded(&options.state_dir).map_err(DaemonError::Store)?);
    let token = token(&options.state_dir.join("token"))?;
    let notices = Notices::default();
    let listening = Listening::prepare(&options, &notices)?;
    let (door, messages) = mpsc::channel();
    let hub = Hub::new(door);
    let Parts { name, servers, room } = match &options.room {
        Some(room) => parts::simulated(room, &options.settings, &options.state_dir, &hub, &notices)?,
        None => parts::real(&options.settings, &hub, &notices)?,
    };
    let hosts = servers.iter().map(|parts| (parts.host.server.clone(), Arc::clone(&parts.host)));
    let hosts: Arc<BTreeMap<_, _>> = Arc::new(hosts.collect());
    let newest_event = newest_event(&store);
    let webhooks = Webhooks::prepare(
        &options.settings.webhooks,
        &Surroundings {
            server: &name,
            state_dir: &options.state_dir,
            store: &store,
            newest_event: &newest_event,
            notices: &notices,
        },
    )?;
    let app = App {
        hub: hub.clone(),
        feed: Feed::new(hub.clone(), Arc::clone(&store), newest_event.clone()),
        store: Arc::clone(&store),
        newest_event,
        name,
        usage: Arc::new(desk(&hosts)),
        hosts,
        webhooks: webhooks.clone(),
        room: room.clone(),
        users: Users::default(),
        sign_in: Arc::new(SignIn::new(token, Pam::new(options.settings.socket_group.clone()))),
        names: listening.names(),
        presented: listening.presented(),
    };
    let threads = start(store, hub.clone(), messages, servers)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DaemonError::Runtime)?;
    let served = runtime.block_on(async {
        webhooks.start();
        serve(&options, router(app), listening, hub).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    webhooks.keep();
    threads.end();
    if let Some(room) = room {
        room.keep();
    }
    served
}

/// Where it is asked what the GPUs of these servers use.
fn desk(hosts: &BTreeMap<ServerId, Arc<HostSide>>) -> Desk {
    let looker = |(server, host): (&ServerId, &Arc<HostSide>)| {
        let host = Arc::clone(host);
        let looker: Looker = Arc::new(move || host.telemetry());
        (server.clone(), looker)
    };
    Desk::new(hosts.iter().map(looker))
}

/// The store's word about new events, for tasks that wait.
pub(crate) fn newest_event(store: &Store) -> watch::Receiver<u64> {
    let (newest, told) = watch::channel(0);
    store.watch().call_back(move |latest| {
        newest.send_replace(latest.event);
    });
    told
}

fn make_dir(path: &Path) -> Result<(), DaemonError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| DaemonError::StateDir { path: path.to_owned(), source })
}

/// Starts admission and agents and waits for every first turn.
fn start(
    store: Arc<Store>,
    hub: Hub,
    messages: mpsc::Receiver<Message>,
    servers: Vec<ServerParts>,
) -> Result<Threads, DaemonError> {
    let admission = Admission::new(store, hub.clone());
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let admission = thread("admit").spawn(move || admission.run(&messages)).map_err(DaemonError::Thread)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (ready, turns) = mpsc::channel();
    let mut agents = Vec::new();
    let mut watches = Vec::new();
    for parts in servers {
        let server = parts.host.server.clone();
        let agent = Agent::new(parts.host, parts.hypervisor, hub.clone(), parts.after_steps);
        watches.extend(parts.watches);
        let (stop, ready) = (Arc::clone(&stop), ready.clone());
        let run = move || {
            give_way();
            agent.run(&stop, |looked| {
                // Nobody waits any more when the start gave up on slow turns.
                let _ = ready.send(looked);
            });
        };
        agents.push((server, thread("agent").spawn(run).map_err(DaemonError::Thread)?));
    }
    if !wait_for(&turns, agents.len()) {
        tracing::warn!("a server's first turn is not done yet; going on without it");
    }
    // A turn has sent its report; here it is waited until everybody can see it.
    let (told, published) = mpsc::channel();
    hub.tell(Message::Published(told));
    if published.recv_timeout(FIRST_TURNS).is_err() {
        tracing::warn!("the first reports are not published yet; going on without them");
    }
    Ok(Threads { stop, hub, agents, admission, watches })
}

/// This thread gives way to those that answer: whoever asks waits for an answer, nobody for the look at
/// the hardware that comes after it.
fn give_way() {
    // With the priority it has it works as well, only later answers.
    let _ = rustix::process::setpriority_process(None, AGENT_NICE);
}

/// Waits for the first looks of so many agents; false when their GPUs take too long.
fn wait_for(turns: &mpsc::Receiver<Looked>, agents: usize) -> bool {
    let (mut gpus, mut vms) = (0, 0);
    let mut end = Instant::now() + FIRST_TURNS;
    while vms < agents {
        match turns.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Looked::AtGpus) => gpus += 1,
            Ok(Looked::AtVmsToo) => vms += 1,
            Err(_) => return gpus == agents,
        }
        if gpus == agents {
            end = end.min(Instant::now() + VMS_TOO);
        }
    }
    true
}

async fn serve(options: &Options, app: Router, listening: Listening, hub: Hub) -> Result<(), DaemonError> {
    // Before the socket appears: whoever sees it may end the daemon, which then ends in good order, and
    // finds the rest open too.
    let ending = Ending::new().map_err(DaemonError::Runtime)?;
    let tcp = listening.open().await?;
    let unix = listen_unix(&options.socket, options.settings.socket_group.as_deref())?;
    let (end, ended) = watch::channel(false);
    let on_tcp = tcp.serve(app.clone(), ended.clone());
    let service = app.into_make_service_with_connect_info::<Peer>();
    let on_unix = axum::serve(unix, service).with_graceful_shutdown(tcp::until(ended));
    // Whoever knocks from here on is answered.
    hub.open_starts();
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(socket = %options.socket.display(), "ready");
    let stopping = async {
        ending.wait().await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        let ended = tokio::task::spawn_blocking(move || hub.starts().shut(LAST_STARTS)).await;
        if !ended.unwrap_or(false) {
            tracing::warn!("a VM's start takes long; it is not waited for any more");
        }
        // Connections that wait for events or jobs are not waited for.
        let _ = end.send(true);
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    tokio::select! {
        () = stopping => {}
        (on_unix, ()) = async { tokio::join!(on_unix, on_tcp) } => on_unix.map_err(DaemonError::Runtime)?,
    }
    // Left behind, a later start finds nobody behind it and takes its place.
    let _ = std::fs::remove_file(&options.socket);
    Ok(())
}

/// The signals that end the daemon, caught from here on.
struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self) {
        tokio::select! { _ = self.terminate.recv() => {}, _ = self.interrupt.recv() => {} }
    }
}

/// Takes the place of a socket that nobody answers on.
fn listen_unix(path: &Path, group: Option<&str>) -> Result<UnixListener, DaemonError> {
    let failed = |source| DaemonError::Listen { place: path.display().to_string(), source };
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(DaemonError::SocketInUse { path: path.to_owned() });
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(DaemonError::NotASocket { path: path.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    // Nobody may connect before the socket has its final mode.
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(mask);
    let listener = listener.map_err(failed)?;
    if let Some(group) = group {
        let gid: Gid = Group::from_name(group)
            .ok()
            .flatten()
            .ok_or_else(|| DaemonError::NoGroup { group: group.to_owned() })?
            .gid;
        nix::unistd::chown(path, None, Some(gid)).map_err(|errno| failed(errno.into()))?;
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// The secret for TCP clients, made on the first start.
fn token(path: &Path) -> Result<Token, DaemonError> {
    let failed = |source| DaemonError::Token { path: path.to_owned(), source };
    match std::fs::read_to_string(path) {
        Ok(text) if random::is_secret(text.trim()) => return Ok(Token(text.trim().into())),
        Ok(_) => {
            let cause = std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "it is not 64 hex digits; remove it, and a new one is made",
            );
            return Err(failed(cause));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let text = random::secret().map_err(failed)?;
    // A kill in between leaves no half of a token, which no start would take.
    replace(path, text.as_bytes(), 0o600).map_err(failed)?;
    Ok(Token(text.into()))
}
