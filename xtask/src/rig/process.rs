//! Running other programs: a build step with its output in a log, or a question
//! whose answer is its standard output. It knows nothing of the rig.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How much of a failed step's log goes into the error.
const LOG_LINES_SHOWN: usize = 25;

/// Runs a build step. Its output goes to `log`; a failure shows the log's end.
pub fn step(command: &mut Command, log: &Path) -> Result<()> {
    let out = File::create(log).with_context(|| format!("create {}", log.display()))?;
    let err = out.try_clone().context("share the log")?;
    let status = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()
        .with_context(|| format!("start {}", name(command)))?;
    if !status.success() {
        bail!("{} ended with {status}; the end of {}:\n{}", name(command), log.display(), tail(log));
    }
    Ok(())
}

/// Runs a program and returns what it printed.
pub fn output(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&output_bytes(command)?).into_owned())
}

pub fn output_bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("start {}", name(command)))?;
    if !output.status.success() {
        bail!(
            "{} ended with {}:\n{}",
            name(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(output.stdout)
}

/// Runs a filter: `input` on its standard input, its standard output back.
pub fn filter(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", name(command)))?;
    let mut stdin = child.stdin.take().expect("stdin was asked for as a pipe");
    let output = std::thread::scope(|scope| {
        // Written beside the reading, or both ends would wait on a full pipe.
        let writer = scope.spawn(move || stdin.write_all(input));
        let output = child.wait_with_output();
        (writer.join(), output)
    });
    let (written, output) = output;
    let output = output.with_context(|| format!("wait for {}", name(command)))?;
    if !output.status.success() {
        bail!("{} ended with {}", name(command), output.status);
    }
    written.expect("writing to a pipe does not panic").with_context(|| format!("feed {}", name(command)))?;
    Ok(output.stdout)
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
