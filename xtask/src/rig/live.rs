//! A running rig, as scenarios use it: run commands in it, bring files in,
//! reboot it, cut its power. It is thrown away when the value is dropped;
//! nothing that happens in it reaches the cache.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use super::agent::{Agent, CommandOutput};
use super::machine::{Machine, Slots};
use super::qemu::Qemu;
use super::qmp::Qmp;
use super::run_folder::RunFolder;
use super::{process, processors};

/// Emulated machines are slow, and slower while others use this one.
const COMMAND_LIMIT: Duration = Duration::from_secs(180);
const RESUME_LIMIT: Duration = Duration::from_secs(60);
const BOOT_LIMIT: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(100);

/// So often a machine is started in all, if QEMU fails in the start.
const STARTS: u32 = 3;

pub struct Rig {
    machine: Machine,
    folder: RunFolder,
    running: Running,
}

/// How a life of QEMU begins. What was saved fits only the machine as built.
#[derive(Clone, Copy)]
enum Life {
    Resumed,
    Cold(Slots),
}

/// One life of QEMU.
struct Running {
    qemu: Child,
    qmp: Qmp,
    agent: Agent,
}

impl Rig {
    /// A machine that is up and warm: libvirt runs, the PF drivers are bound.
    pub fn resume(machine: Machine, runs: &Path, name: &str) -> Result<Rig> {
        let folder = RunFolder::create(runs, name)?;
        make_overlay(&machine, &machine.saved_disk(), "qcow2", &folder.disk())?;
        let running = start(&machine, &folder, &folder.disk(), Life::Resumed)?;
        let rig = Rig { machine, folder, running };
        // The machine woke up with the clock of the day it was saved.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?;
        rig.expect(&format!("date --set=@{}", now.as_secs()))?;
        Ok(rig)
    }

    /// A machine that starts from power off, on the disk as it was saved.
    pub fn boot(machine: Machine, runs: &Path, name: &str) -> Result<Rig> {
        let folder = RunFolder::create(runs, name)?;
        make_overlay(&machine, &machine.saved_disk(), "qcow2", &folder.disk())?;
        let running = start(&machine, &folder, &folder.disk(), Life::Cold(Slots::AsBuilt))?;
        let rig = Rig { machine, folder, running };
        rig.wait_until_booted()?;
        Ok(rig)
    }

    /// Whether the emulation has failed: then nothing that went wrong says anything about the product.
    pub fn has_failed(&mut self) -> bool {
        self.running.has_failed()
    }

    /// Runs a shell command; a status other than 0 is an answer, no error.
    pub fn run(&self, command: &str) -> Result<CommandOutput> {
        self.run_within(command, COMMAND_LIMIT)
    }

    pub fn run_within(&self, command: &str, limit: Duration) -> Result<CommandOutput> {
        self.running.agent.run(command, &[], limit)
    }

    /// Runs a shell command that must succeed, and returns what it printed.
    pub fn expect(&self, command: &str) -> Result<String> {
        let output = self.run(command)?;
        ensure!(
            output.is_success(),
            "in the rig, {command} ended with {}: {}",
            output.status,
            output.text.trim_end()
        );
        Ok(output.text)
    }

    /// Copies a file into the rig, keeping whether it may be run.
    pub fn upload(&self, local: &Path, remote: &str) -> Result<()> {
        let content = fs::read(local).with_context(|| format!("read {}", local.display()))?;
        let mode = mode_of(local)?;
        let target = quote(remote);
        self.upload_to(
            &content,
            remote,
            &format!(
                "mkdir -p \"$(dirname {target})\" && cat > {target}.new && chmod {mode:o} {target}.new \
             && mv {target}.new {target}"
            ),
        )
    }

    /// Writes text to a file in the rig.
    pub fn write(&self, content: &str, remote: &str) -> Result<()> {
        let target = quote(remote);
        self.upload_to(
            content.as_bytes(),
            remote,
            &format!("mkdir -p \"$(dirname {target})\" && cat > {target}"),
        )
    }

    /// Restarts the operating system, in order, and waits until it is up.
    pub fn reboot(&mut self) -> Result<()> {
        let before = self.boot_id()?;
        // The shutdown may cut the answer off; a refusal it cannot hide.
        if let Ok(output) = self.run("systemctl reboot --no-block") {
            ensure!(output.is_success(), "no reboot: {}", output.text.trim_end());
        }
        let deadline = Instant::now() + BOOT_LIMIT;
        // While it is down nothing answers: only another id is news.
        while self.boot_id().map_or(true, |id| id == before) {
            if self.has_failed() {
                bail!("QEMU failed while the rig rebooted");
            }
            if Instant::now() > deadline {
                bail!("the rig did not reboot in {BOOT_LIMIT:?}; {}", console_end(&self.folder));
            }
            std::thread::sleep(POLL);
        }
        self.wait_until_booted()
    }

    /// Takes the power away without warning and gives it back: what the rig's
    /// kernel had not written is lost. Waits until the rig is up.
    pub fn power_cut(&mut self) -> Result<()> {
        end(&mut self.running.qemu)?;
        self.running = start(&self.machine, &self.folder, &self.folder.disk(), Life::Cold(Slots::AsBuilt))?;
        self.wait_until_booted()
    }

    /// The same, and the two GPUs are in each other's slot afterwards: each has
    /// the PCI address that the other one had.
    pub fn power_cut_swapping_gpus(&mut self) -> Result<()> {
        end(&mut self.running.qemu)?;
        self.running = start(&self.machine, &self.folder, &self.folder.disk(), Life::Cold(Slots::Swapped))?;
        self.wait_until_booted()
    }

    /// The disk, as a path of this machine. Used while the rig is made.
    pub(super) fn first_boot(machine: Machine, runs: &Path) -> Result<Rig> {
        let folder = RunFolder::create(runs, "build")?;
        let saved = machine.saved_disk();
        // By a relative name, because the folder gets its real name later.
        make_overlay(&machine, Path::new("disk.img"), "raw", &saved)?;
        let running = start(&machine, &folder, &saved, Life::Cold(Slots::AsBuilt))?;
        let rig = Rig { machine, folder, running };
        rig.wait_until_booted()?;
        Ok(rig)
    }

    /// Saves the machine for `resume`; it does not run any more afterwards.
    pub(super) fn save(mut self) -> Result<()> {
        self.expect("sync")?;
        self.running.qmp.save(&self.machine.saved_state())?;
        self.running.qmp.execute("quit", serde_json::json!({}))?;
        let status = self.running.qemu.wait().context("wait for QEMU's end")?;
        ensure!(status.success(), "QEMU ended with {status} after saving");
        Ok(())
    }

    fn boot_id(&self) -> Result<String> {
        let command = "cat /proc/sys/kernel/random/boot_id";
        let output = self.run_within(command, Duration::from_secs(5))?;
        ensure!(output.is_success(), "no boot id: {}", output.text);
        Ok(output.text)
    }

    fn wait_until_booted(&self) -> Result<()> {
        self.running.agent.wait(BOOT_LIMIT).with_context(|| console_end(&self.folder))?;
        let state = self.run_within("systemctl is-system-running --wait", BOOT_LIMIT)?;
        if state.text.trim() != "running" {
            let failed = self.run("systemctl --failed --no-legend --plain")?;
            bail!("the rig is {} after its boot:\n{}", state.text.trim(), failed.text.trim_end());
        }
        Ok(())
    }

    fn upload_to(&self, content: &[u8], remote: &str, command: &str) -> Result<()> {
        let output = self.running.agent.run(command, content, COMMAND_LIMIT)?;
        ensure!(
            output.is_success(),
            "copying to {remote} in the rig ended with {}: {}",
            output.status,
            output.text.trim_end()
        );
        Ok(())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // It may have ended already; nobody is left to hear of a failure.
        let _ = end(&mut self.running.qemu);
    }
}

impl Running {
    fn has_failed(&mut self) -> bool {
        let has_ended = matches!(self.qemu.try_wait(), Ok(Some(_)));
        has_ended || processors::are_stuck(&mut self.qmp).unwrap_or(false)
    }
}

/// Starts a machine that does not run, and waits until it answers.
fn start(machine: &Machine, folder: &RunFolder, disk: &Path, life: Life) -> Result<Running> {
    for _ in 0..STARTS {
        let mut running = start_qemu(machine, folder, disk, life)?;
        let answers = wait_for_agent(machine, &mut running, life);
        if let Ok(true) = answers {
            return Ok(running);
        }
        end(&mut running.qemu)?;
        answers.with_context(|| console_end(folder))?;
        eprintln!("   QEMU failed in the start (rig/README.md), and starts again");
    }
    bail!("QEMU failed in {STARTS} starts of the rig: {}; {}", folder.what_qemu_said(), console_end(folder))
}

/// Whether a machine that starts came to answer; false when it never will.
fn wait_for_agent(machine: &Machine, running: &mut Running, life: Life) -> Result<bool> {
    let limit = match life {
        Life::Resumed => {
            running.qmp.load(&machine.saved_state())?;
            RESUME_LIMIT
        }
        Life::Cold(_) => BOOT_LIMIT,
    };
    let deadline = Instant::now() + limit;
    loop {
        match running.agent.wait(Duration::from_secs(1)) {
            Ok(()) => return Ok(true),
            Err(_) if running.has_failed() => return Ok(false),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => {}
        }
    }
}

fn console_end(folder: &RunFolder) -> String {
    let text = String::from_utf8_lossy(&fs::read(folder.console()).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(20)..].join("\n");
    format!("the end of its console:\n{end}")
}

fn start_qemu(machine: &Machine, folder: &RunFolder, disk: &Path, life: Life) -> Result<Running> {
    let (ours, theirs) = UnixStream::pair().context("make a socket for QMP")?;
    let errors = File::create(folder.errors()).context("create QEMU's log")?;
    let (slots, resumed) = match life {
        Life::Resumed => (Slots::AsBuilt, true),
        Life::Cold(slots) => (slots, false),
    };
    let mut command = machine.command(disk, &folder.console(), theirs.into(), slots, resumed);
    let mut qemu = command.stdout(Stdio::null()).stderr(errors).spawn().context("start QEMU")?;
    // The command still holds QEMU's end of the socket: while it does, QMP
    // would not notice that QEMU has ended.
    drop(command);
    let talk = || -> Result<(Qmp, u16)> {
        folder.note_pid(qemu.id())?;
        let mut qmp = Qmp::open(ours)?;
        let port = qmp.forwarded_port()?;
        Ok((qmp, port))
    };
    match talk() {
        Ok((qmp, port)) => Ok(Running { qemu, qmp, agent: Agent::at(port) }),
        Err(error) => {
            end(&mut qemu)?;
            Err(error.context(format!("QEMU did not start: {}", folder.what_qemu_said())))
        }
    }
}

fn end(qemu: &mut Child) -> Result<()> {
    // Killing what has ended already is no error for the standard library.
    qemu.kill().context("end QEMU")?;
    qemu.wait().context("wait for QEMU's end")?;
    Ok(())
}

fn make_overlay(machine: &Machine, below: &Path, format: &str, overlay: &Path) -> Result<()> {
    process::output(
        Qemu::in_root(&machine.root)
            .img()
            .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
            .arg(below)
            .arg(overlay),
    )?;
    Ok(())
}

fn mode_of(path: &Path) -> Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = fs::metadata(path).with_context(|| format!("look at {}", path.display()))?;
    Ok(metadata.permissions().mode() & 0o777)
}

/// For the shell, as one word.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
