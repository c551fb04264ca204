//! Faults as people type them, and back. Whether the room has what they name is not known here.

use std::fmt;
use std::str::FromStr;

use divvy_core::id::ServerId;

use super::{Fault, GpuFault, GpuName};

/// Error numbers that have a name here; any other is typed as a number.
const ERRNOS: [(&str, i32); 12] = [
    ("EPERM", 1),
    ("ENOENT", 2),
    ("EIO", 5),
    ("ENXIO", 6),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EBUSY", 16),
    ("ENODEV", 19),
    ("EINVAL", 22),
    ("ENOSPC", 28),
    ("EOPNOTSUPP", 95),
    ("ETIMEDOUT", 110),
];

const ON: &str = "on";
const OFF: &str = "off";
const PREFIX: &str = "gpu-";

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFaultError {
    #[error("{word:?} is not gpu, partition, vm, server or clear")]
    Kind { word: String },
    #[error("{text:?} names no GPU; write gpu-0123456789abcdef or SERVER/0000:41:00.0")]
    Gpu { text: String },
    #[error("{text:?} names no partition; write GPU.INDEX")]
    Partition { text: String },
    #[error("{text:?} names no VM and no server")]
    Name { text: String },
    #[error("{word:?} cannot happen to a {kind}; there are {known}")]
    Verb { kind: &'static str, word: String, known: &'static str },
    #[error("{word:?} wants a number after it, not {text:?}")]
    Number { word: String, text: String },
    #[error("{word:?} wants on or off after it, not {text:?}")]
    Switch { word: String, text: String },
    #[error("{text:?} is no version of a driver: digits, letters, dots and hyphens, such as 570.172.08")]
    Version { text: String },
    #[error("{text:?} has more words than a fault has")]
    TooLong { text: String },
}

const OF_GPU: &str = "lose, hang-writes, fail, partial, reset-fails, slow, busy, sriov-manage-lies, sriov-manage-dies, wedge, lose-profiles, ecc, mig, clear";
const OF_PARTITION: &str = "wedge, linger";
const OF_VM: &str = "kill";
const OF_SERVER: &str = "reboot, renumber, reload-driver, nvidia-driver";

impl fmt::Display for GpuName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(serial) => write!(f, "{PREFIX}{serial:016x}"),
            Self::Place(server, address) => write!(f, "{server}/{address}"),
        }
    }
}

impl FromStr for GpuName {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, ParseFaultError> {
        let wrong = || ParseFaultError::Gpu { text: text.to_owned() };
        if let Some((server, address)) = text.split_once('/') {
            let server = ServerId::new(server).map_err(|_| wrong())?;
            return Ok(Self::Place(server, address.parse().map_err(|_| wrong())?));
        }
        let digits = text.strip_prefix(PREFIX).ok_or_else(wrong)?;
        let plain = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16).ok().filter(|_| plain).map(Self::Serial).ok_or_else(wrong)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu { gpu, fault } => write!(f, "gpu {gpu} {fault}"),
            Self::WedgeGpu { gpu } => write!(f, "gpu {gpu} wedge"),
            Self::LoseProfiles { gpu } => write!(f, "gpu {gpu} lose-profiles"),
            Self::SwitchEcc { gpu, on } => write!(f, "gpu {gpu} ecc {}", if *on { ON } else { OFF }),
            Self::SwitchMig { gpu, on } => write!(f, "gpu {gpu} mig {}", if *on { ON } else { OFF }),
            Self::ClearGpu { gpu } => write!(f, "gpu {gpu} clear"),
            Self::WedgePartition { gpu, index } => write!(f, "partition {gpu}.{index} wedge"),
            Self::Linger { gpu, index, times } => write!(f, "partition {gpu}.{index} linger {times}"),
            Self::KillVm { vm } => write!(f, "vm {vm} kill"),
            Self::Reboot { server } => write!(f, "server {server} reboot"),
            Self::Renumber { server } => write!(f, "server {server} renumber"),
            Self::ReloadDriver { server } => write!(f, "server {server} reload-driver"),
            Self::InstallDriver { server, version } => write!(f, "server {server} nvidia-driver {version}"),
            Self::Clear => f.write_str("clear"),
        }
    }
}

impl fmt::Display for GpuFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteFails { errno } => match ERRNOS.iter().find(|(_, number)| number == errno) {
                Some((name, _)) => write!(f, "fail {name}"),
                None => write!(f, "fail {errno}"),
            },
            Self::Partial { count } => write!(f, "partial {count}"),
            Self::Hang => f.write_str("hang-writes"),
            Self::Lost => f.write_str("lose"),
            Self::ResetFails => f.write_str("reset-fails"),
            Self::Slow { time_ms } => write!(f, "slow {time_ms}"),
            Self::Busy => f.write_str("busy"),
            Self::ManageLies => f.write_str("sriov-manage-lies"),
            Self::ManageDies => f.write_str("sriov-manage-dies"),
        }
    }
}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, ParseFaultError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let word = |nth: usize| words.get(nth).copied().unwrap_or_default();
        let (kind, name, verb, number) = (word(0), word(1), word(2), word(3));
        let (fault, used) = match kind {
            "gpu" => of_gpu(name.parse()?, verb, number)?,
            "partition" => of_partition(name, verb, number)?,
            "vm" => of_vm(name, verb)?,
            "server" => of_server(name, verb, number)?,
            "clear" => (Self::Clear, 1),
            _ => return Err(ParseFaultError::Kind { word: kind.to_owned() }),
        };
        if words.len() > used {
            return Err(ParseFaultError::TooLong { text: text.to_owned() });
        }
        Ok(fault)
    }
}

/// The fault, and of how many words it is.
type Parsed = Result<(Fault, usize), ParseFaultError>;

fn verb_error(kind: &'static str, word: &str, known: &'static str) -> ParseFaultError {
    ParseFaultError::Verb { kind, word: word.to_owned(), known }
}

fn number<N: FromStr>(word: &str, text: &str) -> Result<N, ParseFaultError> {
    let wrong = || ParseFaultError::Number { word: word.to_owned(), text: text.to_owned() };
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}

fn errno(text: &str) -> Result<i32, ParseFaultError> {
    match ERRNOS.iter().find(|(name, _)| *name == text) {
        Some((_, number)) => Ok(*number),
        None => number("fail", text).map(|number: u16| i32::from(number)),
    }
}

fn switch(word: &str, text: &str) -> Result<bool, ParseFaultError> {
    match text {
        ON => Ok(true),
        OFF => Ok(false),
        _ => Err(ParseFaultError::Switch { word: word.to_owned(), text: text.to_owned() }),
    }
}

fn version(text: &str) -> Result<String, ParseFaultError> {
    let is_one = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_one) {
        Ok(text.to_owned())
    } else {
        Err(ParseFaultError::Version { text: text.to_owned() })
    }
}

fn of_gpu(gpu: GpuName, verb: &str, value: &str) -> Parsed {
    let (fault, used) = match verb {
        "wedge" => return Ok((Fault::WedgeGpu { gpu }, 3)),
        "lose-profiles" => return Ok((Fault::LoseProfiles { gpu }, 3)),
        "ecc" => return Ok((Fault::SwitchEcc { gpu, on: switch(verb, value)? }, 4)),
        "mig" => return Ok((Fault::SwitchMig { gpu, on: switch(verb, value)? }, 4)),
        "clear" => return Ok((Fault::ClearGpu { gpu }, 3)),
        "lose" => (GpuFault::Lost, 3),
        "hang-writes" => (GpuFault::Hang, 3),
        "reset-fails" => (GpuFault::ResetFails, 3),
        "busy" => (GpuFault::Busy, 3),
        "sriov-manage-lies" => (GpuFault::ManageLies, 3),
        "sriov-manage-dies" => (GpuFault::ManageDies, 3),
        "fail" => (GpuFault::WriteFails { errno: errno(value)? }, 4),
        "partial" => (GpuFault::Partial { count: number(verb, value)? }, 4),
        "slow" => (GpuFault::Slow { time_ms: number(verb, value)? }, 4),
        _ => return Err(verb_error("GPU", verb, OF_GPU)),
    };
    Ok((Fault::Gpu { gpu, fault }, used))
}

fn of_partition(name: &str, verb: &str, value: &str) -> Parsed {
    let wrong = || ParseFaultError::Partition { text: name.to_owned() };
    let (gpu, index) = name.rsplit_once('.').ok_or_else(wrong)?;
    let gpu: GpuName = gpu.parse()?;
    let index: u16 = number("partition", index).map_err(|_| wrong())?;
    match verb {
        "wedge" => Ok((Fault::WedgePartition { gpu, index }, 3)),
        "linger" => Ok((Fault::Linger { gpu, index, times: number(verb, value)? }, 4)),
        _ => Err(verb_error("partition", verb, OF_PARTITION)),
    }
}

fn of_vm(name: &str, verb: &str) -> Parsed {
    if name.is_empty() {
        return Err(ParseFaultError::Name { text: name.to_owned() });
    }
    let vm = name.to_owned();
    if verb == "kill" { Ok((Fault::KillVm { vm }, 3)) } else { Err(verb_error("VM", verb, OF_VM)) }
}

fn of_server(name: &str, verb: &str, value: &str) -> Parsed {
    let server = ServerId::new(name).map_err(|_| ParseFaultError::Name { text: name.to_owned() })?;
    let fault = match verb {
        "reboot" => Fault::Reboot { server },
        "renumber" => Fault::Renumber { server },
        "reload-driver" => Fault::ReloadDriver { server },
        "nvidia-driver" => return Ok((Fault::InstallDriver { server, version: version(value)? }, 4)),
        _ => return Err(verb_error("server", verb, OF_SERVER)),
    };
    Ok((fault, 3))
}
