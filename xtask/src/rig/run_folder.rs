//! The folder of one running machine: its disk overlay and its console. The
//! owner holds a lock for as long as it lives; a folder whose lock is free was
//! left by a killed process, and whoever comes next ends its QEMU and clears it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// A new folder below `runs`, unique to this machine and process.
    pub fn create(runs: &Path, name: &str) -> Result<RunFolder> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // One at a time: a folder that is not locked yet looks abandoned.
        let creating = File::create(runs.join("lock")).context("create the lock of all runs")?;
        creating.lock().context("lock the folder of all runs")?;
        sweep(runs)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = runs.join(format!("{}-{number}-{name}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        let lock = File::create(lock_of(&path)).context("create the lock of a running machine")?;
        lock.lock().context("lock the folder of a running machine")?;
        Ok(RunFolder { path, _lock: lock })
    }

    pub fn disk(&self) -> PathBuf {
        self.path.join("disk.qcow2")
    }

    pub fn console(&self) -> PathBuf {
        self.path.join("console.log")
    }

    pub fn errors(&self) -> PathBuf {
        self.path.join("qemu.log")
    }

    pub fn what_qemu_said(&self) -> String {
        fs::read_to_string(self.errors()).unwrap_or_default().trim_end().to_string()
    }

    pub fn note_pid(&self, pid: u32) -> Result<()> {
        fs::write(pid_of(&self.path), pid.to_string()).context("note QEMU's process id")
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What stays behind here is swept by the next machine that starts.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn lock_of(run: &Path) -> PathBuf {
    run.join("lock")
}

fn pid_of(run: &Path) -> PathBuf {
    run.join("pid")
}

fn sweep(runs: &Path) -> Result<()> {
    let entries = fs::read_dir(runs).with_context(|| format!("list {}", runs.display()))?;
    for entry in entries {
        let run = entry.context("read a folder entry")?.path();
        // What has no lock is just being removed, or is the lock of all.
        let Ok(lock) = File::open(lock_of(&run)) else {
            continue;
        };
        match lock.try_lock() {
            Ok(()) => clear(&run)?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).context("look whether a machine is still owned");
            }
        }
    }
    Ok(())
}

fn clear(run: &Path) -> Result<()> {
    if let Some(pid) = fs::read_to_string(pid_of(run)).ok().filter(|pid| runs_on(pid, run)) {
        // It may end by itself in between; that is as good.
        let _ = Command::new("kill").args(["-KILL", &pid]).status();
    }
    match fs::remove_dir_all(run) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", run.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a process is the QEMU of this folder, and not a later process that
/// got the same number.
fn runs_on(pid: &str, run: &Path) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let run = run.as_os_str().as_encoded_bytes();
    command.windows(run.len()).any(|window| window == run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_machine_clears_what_a_killed_one_left_and_nothing_else() {
        let runs = std::env::temp_dir().join(format!("rig-runs-{}", std::process::id()));
        let abandoned = runs.join("1-0-killed");
        fs::create_dir_all(&abandoned).expect("make an abandoned folder");
        File::create(lock_of(&abandoned)).expect("make a lock that nobody holds");
        let owned = RunFolder::create(&runs, "owned").expect("make a folder");
        let next = RunFolder::create(&runs, "next").expect("make another");
        let seen = [&abandoned, &owned.path, &next.path].map(|folder| folder.exists());
        drop((owned, next));
        fs::remove_dir_all(&runs).expect("remove the test's folder");
        assert_eq!(seen, [false, true, true]);
    }

    #[test]
    fn process_of_another_machine_is_not_taken_for_ours() {
        let pid = std::process::id().to_string();
        assert!(!runs_on(&pid, Path::new("/nowhere/1-0-killed")));
    }
}
