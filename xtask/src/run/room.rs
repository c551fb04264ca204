//! A simulated room in the foreground: start it, say what can be done in it, wait until it is ended.

use std::process::ExitCode;
use std::sync::mpsc;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal, kill};

use crate::product::{self, Binaries, Room};

pub fn run(binaries: &Binaries, room: &str, more: &[String]) -> Result<ExitCode> {
    let folder = product::target_folder().join("run").join(room);
    let mut running = Room::start(binaries, room, &folder, more)?;
    // Ctrl-C goes to divvyd too, which ends in its own time; we wait for it instead of dying first. Not
    // before it is started: what is held back here is held back in what we start.
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    signals.thread_block().context("hold signals back")?;
    println!("\n{}", guide(&running, binaries)?);
    let (ended, end) = mpsc::channel();
    let divvyd = product::pid(&running.child);
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            // It may have ended meanwhile.
            let _ = kill(divvyd, Signal::SIGTERM);
        }
        // Whoever waits has gone when divvyd ended by itself.
        let _ = ended.send(());
    });
    let status = running.child.wait().context("wait for divvyd")?;
    let was_asked_to_end = end.try_recv().is_ok();
    println!("The room is closed; cargo xtask run opens it again as it was left.");
    Ok(if was_asked_to_end || status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What to do next, as commands that can be copied.
fn guide(room: &Room, binaries: &Binaries) -> Result<String> {
    let gpu = first_gpu(room)?.unwrap_or_else(|| "GPU".to_owned());
    Ok(format!(
        "Divvy runs. In another terminal:\n\n  \
         export PATH=\"{}:$PATH\" DIVVY_SOCKET=\"{}\"\n\n  \
         divvy gpu list\n  \
         divvy gpu partition {gpu} --count 4\n  \
         divvy assign vm-001\n  \
         divvy sim power vm-001 on\n  \
         divvy partition list\n  \
         divvy explain vm-002\n\n\
         Ctrl-C ends it. To begin anew: rm -r {}\n",
        binaries.folder.display(),
        room.socket.display(),
        room.socket.parent().unwrap_or(&room.socket).display(),
    ))
}

fn first_gpu(room: &Room) -> Result<Option<String>> {
    let listed = room.divvy(&["gpu", "list", "-o", "json"])?;
    let gpus: serde_json::Value = serde_json::from_slice(&listed.stdout).context("read the list of GPUs")?;
    Ok(gpus[0]["id"].as_str().map(str::to_owned))
}
