//! The other end of the command agent in the rig (rig/image/files/usr/lib/rig):
//! one TCP connection to a loopback port is one command.
//!
//! ```text
//! us                                     agent
//!   "MARK base64(command)\n" ───────────▶
//!   the command's input, end of input ──▶
//!                  ◀─────────── output and errors
//!                  ◀─────────── "\nMARK status\n"
//! ```

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How a command in the rig ended.
#[derive(Debug)]
pub struct CommandOutput {
    pub status: i32,
    /// Output and errors, as they came.
    pub text: String,
}

impl CommandOutput {
    pub fn is_success(&self) -> bool {
        self.status == 0
    }
}

pub struct Agent {
    port: u16,
}

impl Agent {
    pub fn at(port: u16) -> Agent {
        Agent { port }
    }

    /// Runs a shell command with `input` on its standard input.
    pub fn run(&self, command: &str, input: &[u8], limit: Duration) -> Result<CommandOutput> {
        self.exchange(command, input, limit).with_context(|| format!("run in the rig: {command}"))
    }

    /// Asks until the agent answers. QEMU takes a connection before anybody
    /// listens inside and drops it again, so a failure says nothing.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let one_try = Duration::from_secs(2);
            match self.exchange("true", &[], one_try) {
                Ok(output) if output.is_success() => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("no answer from the rig in {limit:?}")));
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn exchange(&self, command: &str, input: &[u8], limit: Duration) -> Result<CommandOutput> {
        let deadline = Instant::now() + limit;
        let mark = new_mark();
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        let mut sender = stream.try_clone()?;
        let request = format!("{mark} {}\n", base64(command.as_bytes()));
        std::thread::scope(|scope| {
            // Beside the reading: a command may answer before it has read all.
            let sending = scope.spawn(move || -> std::io::Result<()> {
                sender.write_all(request.as_bytes())?;
                sender.write_all(input)?;
                sender.shutdown(Shutdown::Write)
            });
            let output = receive(&stream, &mark, deadline);
            if output.is_err() {
                // Else the sender could wait for ever on a full connection. It
                // fails now if it has not ended yet, and that is expected.
                let _ = stream.shutdown(Shutdown::Both);
            }
            // A command may end without reading its input: its status counts.
            let _ = sending.join().expect("the sender does not panic");
            output
        })
    }
}

fn receive(mut stream: &TcpStream, mark: &str, deadline: Instant) -> Result<CommandOutput> {
    let mut received = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("no end in time; so far: {}", String::from_utf8_lossy(&received));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk) {
            Ok(0) => bail!("the connection broke; so far: {}", String::from_utf8_lossy(&received)),
            Ok(count) => received.extend_from_slice(&chunk[..count]),
            Err(error) if is_timeout(&error) => continue,
            Err(error) => return Err(error.into()),
        }
        if let Some(output) = parse_end(&received, mark) {
            return Ok(output);
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// The output, if what was received ends with the mark and a status.
fn parse_end(received: &[u8], mark: &str) -> Option<CommandOutput> {
    let body = received.strip_suffix(b"\n")?;
    let line_start = body.iter().rposition(|byte| *byte == b'\n')?;
    let last_line = std::str::from_utf8(&body[line_start + 1..]).ok()?;
    let status = last_line.strip_prefix(mark)?.trim().parse().ok()?;
    Some(CommandOutput { status, text: String::from_utf8_lossy(&body[..line_start]).into_owned() })
}

/// Distinct per command, so that no command's output looks like another's end.
fn new_mark() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("RIG-END-{}-{number}", std::process::id())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut bits = 0u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(group.get(index).copied().unwrap_or(0));
        }
        for digit in 0..4 {
            let used = digit <= group.len();
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if used { DIGITS[value] as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_each_length_as_the_standard_says() {
        let texts = ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    #[test]
    fn output_ends_only_at_its_own_mark() {
        assert!(parse_end(b"text\nRIG-END-1-8 0\n", "RIG-END-1-9").is_none());
    }

    #[test]
    fn status_and_text_are_taken_apart() {
        let output = parse_end(b"two\nlines\nM 3\n", "M").expect("it ends with the mark");
        assert_eq!((output.status, output.text.as_str()), (3, "two\nlines"));
    }
}
