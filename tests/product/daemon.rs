//! A place where a daemon lives, and the daemon while it runs. A place outlives any number of daemons, as
//! a server outlives its reboots. Every daemon is ended with its test, and no log may tell of a panic.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::programs;
use crate::web::{self, Answer};

/// How long anything may take before a test gives up: long, for machines that are slow and busy.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Looks again and again until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub struct Place {
    folder: TempDir,
    room: &'static str,
}

impl Place {
    pub fn new(room: &'static str) -> Self {
        let folder = TempDir::new().expect("makes a folder");
        std::fs::write(folder.path().join("settings.toml"), "").expect("writes");
        Self { folder, room }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("divvy.sock")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// What the log of all daemons of this place says.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The daemon's command line, with nothing of this machine's own settings.
    pub fn divvyd(&self) -> Command {
        let mut command = Command::new(programs::path("divvyd"));
        clean(&mut command);
        command.args(["--sim", self.room, "--settings"]).arg(self.path("settings.toml"));
        command.arg("--state-dir").arg(self.state_dir()).arg("--socket").arg(self.socket());
        command
    }

    pub fn start(&self) -> Daemon<'_> {
        self.start_with(&[])
    }

    pub fn start_with(&self, arguments: &[&str]) -> Daemon<'_> {
        self.start_in(arguments, &[])
    }

    /// Starts a daemon with this in its environment and waits until it answers.
    pub fn start_in(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Daemon<'_> {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("opens");
        let mut command = self.divvyd();
        let child = command
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("starts");
        let mut daemon = Daemon { place: self, child };
        wait_until("divvyd answers", || {
            let ended = daemon.child.try_wait().expect("can be asked");
            assert_eq!(ended, None, "divvyd ended: {}", self.log());
            UnixStream::connect(self.socket()).is_ok()
        });
        daemon
    }

    /// Runs `divvyd` to its own end, which a bad start comes to soon.
    pub fn run_divvyd(command: &mut Command) -> Output {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let end = Instant::now() + DEADLINE;
        while child.try_wait().expect("can be asked").is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        // What has ended already cannot be killed, which is as it should be.
        let _ = child.kill();
        child.wait_with_output().expect("ends")
    }

    /// The command line program, asking this place's daemon.
    pub fn divvy<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Output {
        let mut command = Command::new(programs::path("divvy"));
        clean(&mut command);
        command.arg("--socket").arg(self.socket()).args(arguments).stdin(Stdio::null());
        command.output().expect("runs")
    }

    /// Edits what the room is, while no daemon runs in it. A room that was never opened is opened first.
    pub fn edit_room(&self, edit: impl FnOnce(&mut Value)) {
        let file = self.state_dir().join(format!("room-{}.json", self.room));
        if !file.exists() {
            self.start().stop();
        }
        let text = std::fs::read_to_string(&file).expect("is kept");
        let mut room: Value = serde_json::from_str(&text).expect("is JSON");
        edit(&mut room);
        std::fs::write(&file, room.to_string()).expect("writes");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert!(!self.log().contains("panicked"), "{}", self.log());
        }
    }
}

/// Takes away what the environment would say.
fn clean(command: &mut Command) {
    for name in ["DIVVY_SOCKET", "DIVVY_SERVER", "DIVVY_TOKEN", "RUST_LOG", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
}

/// The definition of a VM in a room's text.
pub fn vm_in_room<'r>(room: &'r mut Value, name: &str) -> &'r mut Value {
    let servers = room["servers"].as_array_mut().expect("a room has servers");
    let mut vms = servers.iter_mut().flat_map(|server| server["vms"].as_array_mut().expect("has VMs"));
    vms.find(|vm| vm["definition"]["name"] == name).unwrap_or_else(|| panic!("the room has no {name}"))
}

pub struct Daemon<'p> {
    place: &'p Place,
    child: Child,
}

impl Daemon<'_> {
    /// Asks over the Unix socket.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        web::ask_json(&mut self.connect(), method, path, body).expect("is answered")
    }

    /// What stands at a path, which has to be there.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    pub fn connect(&self) -> UnixStream {
        connect(&self.place.socket())
    }

    /// Everything that requests could have changed.
    pub fn whole_state(&self) -> Value {
        let paths = ["gpus", "partitions", "vms", "check", "jobs", "events?after=0&limit=10000"];
        paths.iter().map(|path| ((*path).to_owned(), self.get(&format!("/v1/{path}")))).collect()
    }

    pub fn wait_for_jobs(&self) {
        wait_until("every job has ended", || {
            let jobs = self.get("/v1/jobs");
            jobs.as_array().expect("a list").iter().all(|job| job["finished_ms"].is_u64())
        });
    }

    /// As a power button would, in the middle of whatever it does.
    pub fn kill(mut self) {
        self.child.kill().expect("can be killed");
        self.child.wait().expect("ends");
    }

    /// As `systemctl reload` does.
    pub fn reload(&self) {
        kill(self.pid(), Signal::SIGHUP).expect("can be told");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// As systemd does.
    pub fn stop(mut self) -> ExitStatus {
        kill(self.pid(), Signal::SIGTERM).expect("can be told");
        let status = self.child.wait().expect("ends");
        assert!(status.success(), "{status}: {}", self.place.log());
        status
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // One that was killed or stopped has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).expect("connects");
    stream.set_read_timeout(Some(DEADLINE)).expect("is set");
    stream.set_write_timeout(Some(DEADLINE)).expect("is set");
    stream
}
