//! The product as developer commands use it: built, and started on a simulated room. Which room, and what
//! is done in it, others say.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long a room may take until it answers.
const READY: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A socket's path is at most 107 bytes long; some are left for what is put behind it.
const SOCKET_BYTES: usize = 100;

/// The two programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Debug,
    Release,
}

impl Binaries {
    /// Builds both, shows what cargo says.
    pub fn build(profile: Profile) -> Result<Self> {
        let mut cargo = cargo();
        cargo.args(["build", "--package", "divvy-server", "--package", "divvy-cli"]);
        let folder = match profile {
            Profile::Debug => "debug",
            Profile::Release => {
                cargo.arg("--release");
                "release"
            }
        };
        let status = cargo.current_dir(crate::repository()).status().context("run cargo")?;
        ensure!(status.success(), "divvyd and divvy cannot be built");
        Ok(Self { folder: target_folder().join(folder) })
    }

    pub fn divvyd(&self) -> PathBuf {
        self.folder.join("divvyd")
    }

    pub fn divvy(&self) -> PathBuf {
        self.folder.join("divvy")
    }
}

/// The cargo that runs us, so that a chosen toolchain stays chosen.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::repository().join("target"), PathBuf::from)
}

/// A divvyd on a simulated room. Dropped, it ends.
pub struct Room {
    binaries: Binaries,
    pub socket: PathBuf,
    pub child: Child,
}

impl Room {
    /// Starts a room that keeps itself in `folder`, and waits until it answers.
    pub fn start(binaries: &Binaries, room: &str, folder: &Path, more: &[String]) -> Result<Self> {
        let socket = socket_in(folder)?;
        let child = Command::new(binaries.divvyd())
            .args(["--sim", room, "--state-dir"])
            .arg(folder.join("state"))
            .arg("--socket")
            .arg(&socket)
            .args(more)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", binaries.divvyd().display()))?;
        let mut room = Self { binaries: binaries.clone(), socket, child };
        room.wait_until_ready()?;
        Ok(room)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let give_up = Instant::now() + READY;
        while Instant::now() < give_up {
            if let Some(status) = self.child.try_wait().context("look at divvyd")? {
                bail!("divvyd ended before it was ready ({status}); what it said stands above");
            }
            if self.divvy(&["version"])?.status.success() {
                return Ok(());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        bail!("divvyd did not answer on {} within {READY:?}", self.socket.display())
    }

    /// Runs `divvy` with these words.
    pub fn divvy(&self, words: &[&str]) -> Result<Output> {
        let mut divvy = Command::new(self.binaries.divvy());
        divvy
            .args(words)
            .env("DIVVY_SOCKET", &self.socket)
            .env_remove("DIVVY_SERVER")
            .env_remove("DIVVY_TOKEN");
        divvy.stdin(Stdio::null()).output().context("run divvy")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Already ended is what is wanted.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = nix::sys::signal::kill(pid(&self.child), nix::sys::signal::Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

pub fn pid(child: &Child) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap_or_default())
}

/// The socket in a folder, which is made; a path that is too long for a socket is an error.
fn socket_in(folder: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let socket = folder.join("divvy.sock");
    ensure!(
        socket.as_os_str().len() <= SOCKET_BYTES,
        "{} is too long for a socket; set CARGO_TARGET_DIR to a shorter folder",
        socket.display()
    );
    Ok(socket)
}
