//! Writing one value by a separate process. A write to `sriov_numvfs` can stay in the kernel for as long
//! as a VM holds a partition, and not even SIGKILL ends it; in a process of its own it cannot keep the
//! daemon from stopping. Both ends are here: who starts the process, and what the process does.
//!
//! The value goes in on stdin; the answer comes back on stdout as one line, `ok` or `errno N`.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::real::RealSysfs;
use crate::sysfs::Sysfs;

/// How to start the process that writes: a program, and its arguments before the path.
#[derive(Debug, Clone)]
pub struct Worker {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Worker {
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments }
    }

    /// Runs the process and waits for its answer, however long that takes.
    pub fn write(&self, path: &str, value: &str) -> io::Result<()> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut input = child.stdin.take().expect("stdin was asked to be a pipe");
        // A process that ended before it read tells more by its answer than by this error.
        let _ = input.write_all(value.as_bytes());
        drop(input);
        let output = child.wait_with_output()?;
        parse_answer(&output.stdout)
    }
}

/// What the process does: reads the value from stdin, writes it to `path` under `root`, says how it went
/// on stdout. Returns its exit code.
pub fn run_write_worker(root: &Path, path: &str) -> u8 {
    serve(root, path, &mut io::stdin().lock(), &mut io::stdout().lock())
}

fn serve(root: &Path, path: &str, value: &mut impl Read, answer: &mut impl Write) -> u8 {
    let mut text = String::new();
    let result = value.read_to_string(&mut text).and_then(|_| RealSysfs::new(root).write(path, &text));
    let said = answer.write_all(format_answer(&result).as_bytes()).and_then(|()| answer.flush());
    if result.is_ok() && said.is_ok() { 0 } else { 1 }
}

fn format_answer(result: &io::Result<()>) -> String {
    match result {
        Ok(()) => "ok\n".to_owned(),
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(nix::errno::Errno::EINVAL as i32);
            format!("errno {number}\n")
        }
    }
}

fn parse_answer(answer: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(answer);
    let line = text.trim();
    if line == "ok" {
        return Ok(());
    }
    let number = line.strip_prefix("errno ").and_then(crate::attribute::parse_decimal::<i32>);
    match number {
        Some(number) => Err(io::Error::from_raw_os_error(number)),
        None => Err(io::Error::other("the process that writes ended without an answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_back_as_it_was_given() {
        assert!(parse_answer(format_answer(&Ok(())).as_bytes()).is_ok());
        let busy = Err(io::Error::from_raw_os_error(16));
        let read = parse_answer(format_answer(&busy).as_bytes());
        assert_eq!(read.expect_err("busy").raw_os_error(), Some(16));
    }

    #[test]
    fn the_process_writes_what_it_is_given_and_says_how_it_went() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("sys")).expect("a folder");
        std::fs::write(folder.path().join("sys/x"), "0").expect("a file");
        let serve = |path: &str| {
            let mut answer = Vec::new();
            let code = serve(folder.path(), path, &mut "4".as_bytes(), &mut answer);
            (code, String::from_utf8(answer).expect("a text"))
        };
        assert_eq!(serve("sys/x"), (0, "ok\n".to_owned()));
        assert_eq!(serve("sys/y"), (1, "errno 2\n".to_owned()));
        assert_eq!(std::fs::read(folder.path().join("sys/x")).expect("reads"), b"4");
    }

    #[test]
    fn a_process_that_dies_without_a_word_is_a_failed_write() {
        let dead = Worker::new("/bin/false".into(), Vec::new());
        assert_eq!(dead.write("sys/x", "1").expect_err("failed").raw_os_error(), None);
    }

    #[test]
    fn the_value_goes_in_on_stdin_and_the_path_is_the_last_argument() {
        let script = r#"read value; [ "$value" = 4 ] && [ "$1" = sys/x ] && echo ok || echo errno 22"#;
        let shell = Worker::new("/bin/sh".into(), vec!["-c".into(), script.into(), "worker".into()]);
        shell.write("sys/x", "4").expect("the shell got both");
        assert_eq!(shell.write("sys/y", "4").expect_err("other path").raw_os_error(), Some(22));
    }
}
