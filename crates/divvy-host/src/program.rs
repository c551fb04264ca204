//! Running a vendor's program: found in the folders of the system and nowhere else, with an environment
//! of its own, nothing on its standard input, and an end in any case. What a program does is not known
//! here.
//!
//! A program can start others that outlive it and keep its output open, and one that the kernel holds
//! does not even die of SIGKILL; so nothing here waits for longer than the deadline and a moment.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::sysfs::Ran;

/// Where a program without a path is looked for; administrators' own folders are not among them.
const FOLDERS: &[&str] = &["usr/sbin", "usr/bin", "sbin", "bin"];
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// What is kept of each of its outputs.
const KEPT_BYTES: u64 = 1 << 20;
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// For what it said, after it ended or was killed.
const MOMENT: Duration = Duration::from_secs(1);

/// The program's file under this root.
pub fn find(root: &Path, program: &str) -> io::Result<PathBuf> {
    let candidates: Vec<PathBuf> = match program.strip_prefix('/') {
        Some(relative) => vec![root.join(relative)],
        None if program.contains('/') || program.is_empty() => Vec::new(),
        None => FOLDERS.iter().map(|folder| root.join(folder).join(program)).collect(),
    };
    let found = candidates.iter().find(|file| file.is_file());
    found.cloned().ok_or_else(|| {
        let looked: Vec<String> = candidates.iter().map(|file| file.display().to_string()).collect();
        let text = format!("there is no {program}; looked for {}", looked.join(", "));
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

/// Runs it to its end, or kills it and everything that it started.
pub fn run(program: &Path, args: &[&str], deadline: Duration) -> io::Result<Ran> {
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs([("PATH", PATH), ("LC_ALL", "C")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let stdout = listen(child.stdout.take().expect("stdout was asked to be a pipe"));
    let stderr = listen(child.stderr.take().expect("stderr was asked to be a pipe"));
    let status = match wait(&mut child, start, deadline)? {
        Some(status) => status,
        None => {
            kill(child);
            let text = format!("{} did not end within {} ms", program.display(), deadline.as_millis());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
    };
    let said = |output: Receiver<Vec<u8>>| output.recv_timeout(MOMENT).unwrap_or_default();
    Ok(Ran { code: status.code(), stdout: said(stdout), stderr: said(stderr) })
}

/// Reads until the other end is closed, so that the program never waits for a reader.
fn listen(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (tell, output) = mpsc::channel();
    thread::spawn(move || {
        let mut kept = Vec::new();
        // What was read before an error is what it said.
        let _ = pipe.by_ref().take(KEPT_BYTES).read_to_end(&mut kept);
        let _ = tell.send(kept);
        let _ = io::copy(&mut pipe, &mut io::sink());
    });
    output
}

/// None: the deadline passed.
fn wait(child: &mut Child, start: Instant, deadline: Duration) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= deadline {
            return Ok(None);
        }
        thread::sleep(LOOK_AGAIN.min(deadline.saturating_sub(start.elapsed())));
    }
}

/// The whole group: a script is mostly waiting for what it started. Its end is somebody else's to await,
/// because the kernel may hold it for as long as it likes.
fn kill(mut child: Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may have ended by itself.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
    thread::spawn(move || child.wait());
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn shell(script: &str, deadline: Duration) -> io::Result<Ran> {
        run(Path::new("/bin/sh"), &["-c", script], deadline)
    }

    #[test]
    fn what_a_program_says_and_its_code_come_back() {
        let ran = shell("echo out; echo err >&2; exit 19", PATIENCE).expect("runs");
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (Some(19), &b"out\n"[..], &b"err\n"[..]));
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("alive");
        let script = format!("sh -c 'echo $$ > {}; exec sleep 1000'; true", file.display());
        let error = shell(&script, Duration::from_secs(2)).expect_err("it sleeps");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let start = Instant::now();
        let text = std::fs::read_to_string(&file).expect("it had time to begin");
        let pid: u32 = text.trim().parse().expect("a number");
        let gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        while !gone() {
            assert!(start.elapsed() < PATIENCE, "{pid} lives");
            thread::sleep(LOOK_AGAIN);
        }
    }

    #[test]
    fn more_than_is_kept_does_not_stop_the_program() {
        let ran = shell("head -c 3000000 /dev/zero; exit 7", PATIENCE).expect("runs");
        assert_eq!((ran.code, ran.stdout.len() as u64), (Some(7), KEPT_BYTES));
    }

    #[test]
    fn a_program_gets_none_of_the_daemons_environment() {
        let ran = shell("env", PATIENCE).expect("runs");
        let text = String::from_utf8(ran.stdout).expect("a text");
        let known = ["PATH=", "LC_ALL=", "PWD=", "SHLVL=", "_="];
        assert!(text.lines().all(|line| known.iter().any(|name| line.starts_with(name))), "{text}");
    }

    #[test]
    fn a_program_is_found_under_the_root_or_its_places_are_named() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(root.path().join("usr/bin")).expect("folders");
        std::fs::write(root.path().join("usr/bin/nvidia-smi"), "").expect("a file");
        let found = find(root.path(), "nvidia-smi").expect("is there");
        assert_eq!(found, root.path().join("usr/bin/nvidia-smi"));
        for program in ["modprobe", "/usr/lib/nvidia/sriov-manage", "../bin/sh", ""] {
            let error = find(root.path(), program).expect_err("is not there");
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{program}");
        }
        let error = find(root.path(), "/usr/lib/nvidia/sriov-manage").expect_err("is not there");
        assert!(error.to_string().contains("usr/lib/nvidia/sriov-manage"), "{error}");
    }
}
