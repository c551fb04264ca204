//! Runs the binary and keeps what it said where.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::server::Server;

/// What one run left behind.
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {:?}", self.stdout))
    }

    pub fn json_error(&self) -> Value {
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {:?}", self.stderr))
    }

    pub fn yaml(&self) -> Value {
        serde_saphyr::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {:?}", self.stdout))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
            code: output.status.code().expect("ended by itself"),
        }
    }
}

/// The binary, with nothing of this process's environment that it would look at.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_divvy"));
    for variable in [
        "DIVVY_SOCKET",
        "DIVVY_SERVER",
        "DIVVY_TOKEN",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "FORCE_COLOR",
    ] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs `divvy` with these arguments and no server.
pub fn alone(arguments: &[&str]) -> Ran {
    binary().args(arguments).output().expect("the binary starts").into()
}

/// Runs `divvy` with these arguments against a socket.
pub fn at(socket: &Path, arguments: &[&str]) -> Ran {
    binary().arg("--socket").arg(socket).args(arguments).output().expect("the binary starts").into()
}

impl Server {
    pub fn divvy(&self, arguments: &[&str]) -> Ran {
        at(&self.socket(), arguments)
    }
}
