//! `divvyd --libvirt-hook`: what libvirt's `qemu` hook runs. It asks the running daemon whether this VM
//! may start with these devices and hands the reason to libvirt, which shows it to whoever started the
//! VM. A VM without devices of the server of which the daemon knows nothing is never held up by a daemon that
//! does not run; one with such devices is, because nobody can say then whose they are.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use divvy_core::device::DeviceHandle;
use divvy_core::id::VmId;
use divvy_hypervisor::hook::{HookCall, Operation, SubOperation};
use serde::{Deserialize, Serialize};

/// Where the daemon answers the hook.
pub const PATH: &str = "/v1/hook/start";
/// How long libvirt is kept waiting; the daemon reads the GPUs again meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest definition that is read, bytes.
const DEFINITION_BYTES: u64 = 16 << 20;

/// The question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    pub vm: VmId,
    pub name: String,
    pub devices: Vec<DeviceHandle>,
    /// It comes from another server while it runs.
    #[serde(default)]
    pub migration: bool,
}

/// The answer when it may.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    pub start: bool,
}

/// Why a VM is held up.
#[derive(Debug, thiserror::Error)]
pub enum HeldUp {
    #[error("the definition cannot be read from standard input")]
    Input(#[source] std::io::Error),
    #[error(transparent)]
    Call(#[from] divvy_hypervisor::hook::HookError),
    #[error(
        "VM {name} has devices of the server, and divvyd, which knows whose they are, does not answer at {socket}; systemctl start divvyd"
    )]
    NoDaemon { name: String, socket: String, source: std::io::Error },
    #[error("divvyd's answer makes no sense: {text:?}")]
    Answer { text: String },
    #[error("{detail} ({code}). {hint}")]
    Refused { code: String, detail: String, hint: String },
}

/// Runs the hook: exit status 0 lets libvirt go on.
pub fn run(socket: &Path, arguments: &[String]) -> Result<(), HeldUp> {
    let mut xml = String::new();
    std::io::stdin().take(DEFINITION_BYTES).read_to_string(&mut xml).map_err(HeldUp::Input)?;
    let call = HookCall::parse(arguments, &xml)?;
    let starts = matches!(call.operation, Operation::Prepare | Operation::Restore | Operation::Migrate);
    if !starts || call.sub_operation != SubOperation::Begin {
        return Ok(());
    }
    let migration = call.operation == Operation::Migrate;
    let gate = Gate { vm: call.vm, name: call.name, devices: call.devices, migration };
    match ask(socket, &gate) {
        Ok((200, _)) => Ok(()),
        Ok((_, body)) => Err(refused(&body)),
        Err(_) if gate.devices.is_empty() => Ok(()),
        Err(source) => {
            Err(HeldUp::NoDaemon { name: gate.name, socket: socket.display().to_string(), source })
        }
    }
}

fn refused(body: &str) -> HeldUp {
    match serde_json::from_str::<divvy_api::problem::Problem>(body) {
        Ok(problem) => HeldUp::Refused {
            code: problem.code,
            detail: problem.detail,
            hint: problem.hint.unwrap_or_default(),
        },
        Err(_) => HeldUp::Answer { text: body.chars().take(200).collect() },
    }
}

/// One request and its answer, by hand: the hook starts for every VM and has to be small and quick.
fn ask(socket: &Path, gate: &Gate) -> std::io::Result<(u16, String)> {
    let body = serde_json::to_string(gate)?;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST {PATH} HTTP/1.0\r\nHost: divvyd\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.take(DEFINITION_BYTES).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    match (status, body) {
        (Some(status), Some(body)) => Ok((status, body)),
        _ => Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "no HTTP answer")),
    }
}
