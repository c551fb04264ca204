//! Tables for tests: where the fact stands (sections of the collected facts on Linux), what is done, and
//! what comes of it. Each table is one life of the GPU that it names.
//!
//! ```text
//! fact │ write FILE VALUE │ ok, or the error     FILE is below the GPU, vf3/… below its VF 3,
//!      │ read FILE        │ the text             /… below the root; @ is its address, _ a space
//!      │ list, link, run, fault, reboot           a result that ends in … may go on
//! ```

use std::io;
use std::time::Duration;

use divvy_host::sysfs::Sysfs;

use crate::fault::Fault;
use crate::room::Room;
use crate::server::{Addresses, SimServer};
use crate::spec::Delays;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const NAMES: [(i32, &str); 18] = [
    (1, "EPERM"),
    (2, "ENOENT"),
    (5, "EIO"),
    (6, "ENXIO"),
    (13, "EACCES"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (19, "ENODEV"),
    (20, "ENOTDIR"),
    (22, "EINVAL"),
    (25, "ENOTTY"),
    (28, "ENOSPC"),
    (34, "ERANGE"),
    (61, "ENODATA"),
    (95, "EOPNOTSUPP"),
    (12, "ENOMEM"),
    (21, "EISDIR"),
    (40, "ELOOP"),
];

/// A GPU that a table is about.
pub(crate) struct Lab {
    pub room: Room,
    pub gpu: String,
}

impl Lab {
    pub fn of(gpu: &str) -> Self {
        Self::in_room("mixed-lab", gpu)
    }

    pub fn in_room(name: &str, gpu: &str) -> Self {
        let room = Room::open(name, 1, Delays::none()).expect("a room");
        Self { room, gpu: gpu.to_owned() }
    }

    pub fn server(&self) -> &SimServer {
        &self.room.servers[0]
    }

    fn path(&self, file: &str) -> String {
        let file = file.replace('@', &self.gpu);
        if let Some(whole) = file.strip_prefix('/') {
            return whole.to_owned();
        }
        let own = format!("sys/bus/pci/devices/{}", self.gpu);
        match file.strip_prefix("vf").and_then(|rest| rest.split_once('/')) {
            Some((index, name)) if index.parse::<u16>().is_ok() => format!("{own}/virtfn{index}/{name}"),
            _ => format!("{own}/{file}"),
        }
    }

    fn act(&self, action: &str) -> String {
        let sysfs = self.server().sysfs();
        let mut words = action.split_whitespace();
        let (verb, what) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let filled = |word: &str| if word == "_" { " ".to_owned() } else { word.replace('@', &self.gpu) };
        let rest: Vec<String> = words.map(filled).collect();
        match verb {
            "write" => answer(sysfs.write_within(&self.path(what), &rest.join(" "), PATIENCE).map(|()| "ok")),
            "read" => answer(sysfs.read_within(&self.path(what), PATIENCE).map(text)),
            "list" => answer(sysfs.list(&self.path(what)).map(|names| names.join(" "))),
            "link" => answer(sysfs.link(&self.path(what))),
            "exists" => sysfs.exists(&self.path(what)).to_string(),
            "run" => self.run(what, &action.replace('@', &self.gpu)),
            "fault" => {
                let fault: Fault = format!("{what} {}", rest.join(" ")).trim().parse().expect("a fault");
                self.room.apply_fault(&fault).map_or_else(|error| error.to_string(), |()| "ok".to_owned())
            }
            "reboot" => {
                self.server().reboot(Addresses::Kept);
                "ok".to_owned()
            }
            _ => panic!("{verb:?} is no action"),
        }
    }

    /// `0: what it said` or `1: what it complained of`.
    fn run(&self, program: &str, action: &str) -> String {
        let path = match program {
            "sriov-manage" => "/usr/lib/nvidia/sriov-manage",
            other => other,
        };
        let args: Vec<&str> = action.split_whitespace().skip(2).collect();
        match self.server().sysfs().run(path, &args, PATIENCE) {
            Err(error) => error.kind().to_string(),
            Ok(ran) => {
                let said = if ran.code == Some(0) { ran.stdout } else { ran.stderr };
                format!("{}: {}", ran.code.unwrap_or(-1), text(said)).trim_end().to_owned()
            }
        }
    }

    /// Plays a table row by row.
    pub fn play(&self, table: &str) {
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let cells: Vec<&str> = row.splitn(3, '|').map(str::trim).collect();
            let [_fact, action, wanted] = cells[..] else { panic!("{row:?} has no three cells") };
            let wanted = wanted.replace('@', &self.gpu);
            let found = self.act(action);
            match wanted.strip_suffix('…') {
                Some(start) => assert!(found.starts_with(start.trim_end()), "{row}\nfound: {found}"),
                None => assert_eq!(found, wanted, "{row}"),
            }
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text").lines().map(str::trim).collect::<Vec<_>>().join(" / ")
}

fn answer(result: io::Result<impl Into<String>>) -> String {
    match result {
        Ok(said) => said.into(),
        Err(error) => {
            let number = error.raw_os_error();
            let name = NAMES.iter().find(|(known, _)| Some(*known) == number);
            name.map_or_else(|| error.kind().to_string(), |(_, name)| (*name).to_owned())
        }
    }
}
