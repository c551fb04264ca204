//! `cargo xtask rig shell [COMMAND]`: look into a rig by hand. Without a
//! command it reads one per line, of which `upload LOCAL REMOTE` brings a file in;
//! the machine is gone when the shell ends.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use super::build::Built;

pub fn main(words: &[String]) -> Result<ExitCode> {
    let rig = Built::obtain()?.resume("shell")?;
    if !words.is_empty() {
        let output = rig.run(&words.join(" "))?;
        println!("{}", output.text.trim_end());
        return Ok(exit_code(output.status));
    }
    let interactive = std::io::stdin().is_terminal();
    let mut last = 0;
    loop {
        if interactive {
            eprint!("rig# ");
            std::io::stderr().flush().context("show the prompt")?;
        }
        let mut line = String::new();
        let length = std::io::stdin().read_line(&mut line).context("read a command")?;
        if length == 0 || line.trim() == "exit" {
            return Ok(exit_code(last));
        }
        if line.trim().is_empty() {
            continue;
        }
        if let Some(("upload", paths)) = line.trim().split_once(' ') {
            let (local, remote) = paths.split_once(' ').context("upload LOCAL REMOTE")?;
            rig.upload(Path::new(local), remote)?;
            continue;
        }
        let output = rig.run(line.trim())?;
        println!("{}", output.text.trim_end());
        last = output.status;
        if last != 0 {
            eprintln!("status {last}");
        }
    }
}

fn exit_code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
