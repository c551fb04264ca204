//! QMP, QEMU's control protocol: one JSON object per line, events in between.
//! Only what saving, resuming and asking need.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Saving and loading move 1.5 GiB at most.
const MIGRATION_LIMIT: Duration = Duration::from_secs(120);
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

pub struct Qmp {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Qmp {
    /// Takes the greeting and leaves the negotiation mode.
    pub fn open(stream: UnixStream) -> Result<Qmp> {
        stream.set_read_timeout(Some(ANSWER_LIMIT)).context("set a limit for QMP answers")?;
        let writer = stream.try_clone().context("share the QMP socket")?;
        let mut qmp = Qmp { reader: BufReader::new(stream), writer };
        qmp.read_object().context("wait for QEMU's greeting")?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.writer, "{request}").with_context(|| format!("send {command} to QEMU"))?;
        loop {
            let mut answer =
                self.read_object().with_context(|| format!("wait for QEMU's answer to {command}"))?;
            if answer.get("event").is_some() {
                continue;
            }
            if let Some(error) = answer.get("error") {
                bail!("QEMU refused {command}: {}", error["desc"]);
            }
            return Ok(answer["return"].take());
        }
    }

    /// Stops the machine and writes its memory and devices to a file.
    pub fn save(&mut self, state: &Path) -> Result<()> {
        self.execute("stop", json!({}))?;
        self.use_mapped_ram()?;
        self.execute("migrate-set-parameters", json!({ "max-bandwidth": 1u64 << 40 }))?;
        self.execute("migrate", json!({ "uri": file_uri(state) }))?;
        self.wait_for_migration()
    }

    /// Reads the state that `save` wrote, and lets the machine run.
    pub fn load(&mut self, state: &Path) -> Result<()> {
        self.use_mapped_ram()?;
        self.execute("migrate-incoming", json!({ "uri": file_uri(state) }))?;
        self.wait_for_migration()?;
        self.execute("cont", json!({}))?;
        Ok(())
    }

    /// The port of this machine that leads to a port inside the rig.
    pub fn forwarded_port(&mut self) -> Result<u16> {
        let table = self.ask_monitor("info usernet")?;
        host_port(&table).with_context(|| format!("no forwarded port in:\n{table}"))
    }

    /// What only the monitor for people tells, in its words.
    pub fn ask_monitor(&mut self, question: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({ "command-line": question }))?;
        Ok(answer.as_str().unwrap_or_default().to_string())
    }

    /// Pages at fixed places of the file: faster, and the file stays sparse.
    fn use_mapped_ram(&mut self) -> Result<()> {
        let capability = json!({ "capability": "mapped-ram", "state": true });
        self.execute("migrate-set-capabilities", json!({ "capabilities": [capability] }))?;
        Ok(())
    }

    fn wait_for_migration(&mut self) -> Result<()> {
        let deadline = Instant::now() + MIGRATION_LIMIT;
        while Instant::now() < deadline {
            let state = self.execute("query-migrate", json!({}))?;
            match state["status"].as_str() {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    bail!("saving or loading the machine failed: {}", state["error-desc"])
                }
                _ => std::thread::sleep(POLL),
            }
        }
        bail!("saving or loading the machine took over {MIGRATION_LIMIT:?}")
    }

    fn read_object(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            bail!("QEMU closed the connection");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU sent {line:?}"))
    }
}

fn file_uri(path: &Path) -> String {
    format!("file:{}", path.display())
}

/// `  TCP[HOST_FORWARD]  12  127.0.0.1 40123  10.0.2.15  9000  0  0`
fn host_port(table: &str) -> Option<u16> {
    let line = table.lines().find(|line| line.contains("HOST_FORWARD"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_port_is_the_one_on_this_machine() {
        let table = "Hub -1 (agent):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  TCP[HOST_FORWARD]  12       127.0.0.1 40123       10.0.2.15  9000     0     0\r\n";
        assert_eq!(host_port(table), Some(40123));
    }
}
