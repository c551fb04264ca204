//! Rooms by name, each a few servers with believable hardware, drivers and VMs, the same every time
//! for the same seed. Also how a room is kept while nobody looks: as a text that the caller stores.
//!
//! | room | servers | GPUs of each | VMs of each |
//! |---|---|---|---|
//! | `a2-edge` | `edge-1` | 1 A2 | 20 |
//! | `a16-pair` | `a16-1`, `a16-2` | 1 board of 4 A16 | 68 |
//! | `a10-trio` | `a10-1` … `a10-3` | 2 A10 | 52 |
//! | `a40-rack` | `a40-1` … `a40-8` | 4 A40 | 132 |

use divvy_core::catalogue::{self, CatalogueEntry};
use divvy_core::id::{ServerId, VmId};
use divvy_core::vm::{Firmware, Machine, VmSettings};
use serde::Deserialize;

use crate::hardware;
use crate::rng::Rng;
use crate::server::{SavedServer, SimServer};
use crate::spec::{Delays, ServerSpec};
use crate::vms::VmDefinition;

pub const NAMES: [&str; 4] = ["a2-edge", "a16-pair", "a10-trio", "a40-rack"];

const SAVED_VERSION: u32 = 1;
const GIB: u64 = 1 << 30;
const VM_MEMORY_BYTES: u64 = 8 * GIB;
/// VMs of a server beyond the most partitions that it can have.
const SPARE_VMS: usize = 4;

const GUEST_SYSTEMS: [&str; 4] = [
    "http://microsoft.com/win/11",
    "http://microsoft.com/win/2k22",
    "http://ubuntu.com/ubuntu/22.04",
    "http://ubuntu.com/ubuntu/20.04",
];

/// Why there is no such room.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    #[error("there is no room {name:?}; there are {}", NAMES.join(", "))]
    Unknown { name: String },
    #[error("the saved room cannot be read")]
    Unreadable { source: serde_json::Error },
    #[error("the saved room has format {found}, this program reads {SAVED_VERSION}")]
    Version { found: u32 },
    #[error("the saved room has other servers than {name:?} has")]
    OtherServers { name: String },
}

/// What a room is made of.
pub(crate) struct Plan {
    pub name: &'static str,
    /// Servers are named by it and a number from 1.
    pub prefix: &'static str,
    pub servers: usize,
    pub vendor_id: u16,
    pub device_id: u16,
    pub subsystem_id: u16,
    pub gpus: usize,
    pub total_vfs: u16,
    /// All GPUs of a server sit on one board, behind a switch, in one slot.
    pub one_board: bool,
}

const fn plan(
    name: &'static str,
    prefix: &'static str,
    (servers, gpus): (usize, usize),
    (device_id, subsystem_id, total_vfs): (u16, u16, u16),
    one_board: bool,
) -> Plan {
    Plan { name, prefix, servers, vendor_id: 0x10de, device_id, subsystem_id, gpus, total_vfs, one_board }
}

/// The last one is for measuring, not for people: it is in no list.
static PLANS: [Plan; 5] = [
    plan("a2-edge", "edge", (1, 1), (0x25b6, 0x157e, 16), false),
    plan("a16-pair", "a16", (2, 4), (0x25b6, 0x14a9, 16), true),
    plan("a10-trio", "a10", (3, 2), (0x2236, 0x1482, 32), false),
    plan("a40-rack", "a40", (8, 4), (0x2235, 0x145a, 32), false),
    plan("a16-octet", "octet", (1, 8), (0x25b6, 0x14a9, 16), true),
];

/// A machine room.
pub struct Room {
    name: &'static str,
    seed: u64,
    pub servers: Vec<SimServer>,
}

#[derive(Deserialize)]
struct SavedRoom {
    room: String,
    seed: u64,
    servers: Vec<SavedServer>,
}

impl Room {
    /// A room as it is delivered: no partitions, every VM off.
    pub fn open(name: &str, seed: u64, delays: Delays) -> Result<Self, RoomError> {
        let plan = find(name)?;
        let servers = specs(name, seed)?.into_iter().map(|spec| SimServer::new(spec, delays));
        Ok(Self { name: plan.name, seed, servers: servers.collect() })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn server(&self, id: &ServerId) -> Option<&SimServer> {
        self.servers.iter().find(|server| server.id() == id)
    }

    /// The room as it stands, as a text for [`Room::load`].
    pub fn save(&self) -> String {
        let servers: Vec<String> = self.servers.iter().map(Self::save_server).collect();
        self.save_of(&servers)
    }

    /// The part of one server in the text of its room: what changes, for who keeps a room often.
    pub fn save_server(server: &SimServer) -> String {
        serde_json::to_string(&server.save()).expect("a saved server has only text keys and finite numbers")
    }

    /// The text of the room from the parts of its servers, in their order.
    pub fn save_of(&self, servers: &[String]) -> String {
        format!(
            "{{\"version\":{SAVED_VERSION},\"room\":{:?},\"seed\":{},\"servers\":[{}]}}",
            self.name,
            self.seed,
            servers.join(",")
        )
    }

    /// The room as it was left. Faults, half-done writes and connections are as new.
    pub fn load(text: &str, delays: Delays) -> Result<Self, RoomError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let unreadable = |source| RoomError::Unreadable { source };
        let Versioned { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != SAVED_VERSION {
            return Err(RoomError::Version { found: version });
        }
        let saved: SavedRoom = serde_json::from_str(text).map_err(unreadable)?;
        let room = Self::open(&saved.room, saved.seed, delays)?;
        let same = saved.servers.len() == room.servers.len()
            && saved.servers.iter().zip(&room.servers).all(|(saved, server)| saved.id == *server.id());
        if !same {
            return Err(RoomError::OtherServers { name: saved.room });
        }
        for (saved, server) in saved.servers.into_iter().zip(&room.servers) {
            server.load(saved);
        }
        Ok(room)
    }
}

/// The servers of a room as data, for rooms that differ from it.
pub fn specs(name: &str, seed: u64) -> Result<Vec<ServerSpec>, RoomError> {
    let plan = find(name)?;
    Ok((0..plan.servers).map(|nth| server(plan, nth, seed)).collect())
}

fn find(name: &str) -> Result<&'static Plan, RoomError> {
    PLANS.iter().find(|plan| plan.name == name).ok_or_else(|| RoomError::Unknown { name: name.to_owned() })
}

fn entry(plan: &Plan) -> &'static CatalogueEntry {
    catalogue::find(plan.vendor_id, plan.device_id, plan.subsystem_id)
        .expect("a room is planned with models of the catalogue, as its tests check")
}

fn server(plan: &Plan, nth: usize, seed: u64) -> ServerSpec {
    let most = entry(plan).counts.last().copied().unwrap_or(0);
    let vms = usize::from(most) * plan.gpus + SPARE_VMS;
    let first = nth * vms + 1;
    let name = format!("{}-{}", plan.prefix, nth + 1);
    ServerSpec {
        id: ServerId::new(&name).expect("letters, a hyphen and digits are a name"),
        seed,
        memory_bytes: vms as u64 * VM_MEMORY_BYTES + 64 * GIB,
        iommu: true,
        functions: hardware::functions(plan, entry(plan), nth, seed),
        drivers: hardware::drivers(plan),
        vms: (first..first + vms).map(|number| vm(plan.name, number)).collect(),
    }
}

fn vm(room: &str, number: usize) -> VmDefinition {
    let uuid = Rng::of(&["vm", room, &number.to_string()]).uuid();
    let settings = VmSettings {
        firmware: Firmware::Uefi,
        machine: Machine::Q35,
        memory_bytes: VM_MEMORY_BYTES,
        current_memory_bytes: VM_MEMORY_BYTES,
        free_hotplug_ports: 4,
        snapshots: 0,
        saved_state: false,
        autostart: false,
        persistent: true,
        guest_os: Some(GUEST_SYSTEMS[number % GUEST_SYSTEMS.len()].to_owned()),
    };
    VmDefinition {
        id: VmId::new(&uuid).expect("a UUID is a VM id"),
        name: format!("vm-{number:03}"),
        settings,
        devices: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
