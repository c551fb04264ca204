//! Rooms by name, each a few servers with believable hardware, drivers and VMs, the same every time
//! for the same seed. Also how a room is kept while nobody looks: as a text that the caller stores.
//!
//! | room | servers | GPUs of each | VMs of each |
//! |---|---|---|---|
//! | `a2-edge` | `edge-1` | 1 A2 | 20 |
//! | `a16-pair` | `a16-1`, `a16-2` | 1 board of 4 A16 | 68 |
//! | `a10-trio` | `a10-1` … `a10-3` | 2 A10 | 52 |
//! | `a40-rack` | `a40-1` … `a40-8` | 4 A40 | 132 |
//! | `mixed-lab` | `lab-1` | one for each scheme, 9 in all | 204 |
//! | `h200-mig` | `h200-1` | 2 H200 with MIG on | 68 |
//! | `a16-meets-a40` | `a16-1`, `a16-2`; `a40-1` | 1 board of 4 A16; 1 A40 | 68; 36 |

use divvy_core::gpu::Scheme;
use divvy_core::id::{ServerId, VmId};
use divvy_core::vm::{Firmware, Machine, VmSettings};
use serde::Deserialize;

use crate::hardware;
use crate::models::{self, Model};
use crate::rng::Rng;
use crate::saved::SavedServer;
use crate::server::SimServer;
use crate::spec::{Delays, ServerSpec, TypeText};
use crate::vms::VmDefinition;

pub const NAMES: [&str; 7] =
    ["a2-edge", "a16-pair", "a10-trio", "a40-rack", "mixed-lab", "h200-mig", "a16-meets-a40"];

/// 1 was before GPUs of rooms with one model had their vendor's driver.
const SAVED_VERSION: u32 = 2;
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
    #[error(
        "the saved room has format {found}, this program reads {SAVED_VERSION}; without it, the room begins anew"
    )]
    Version { found: u32 },
    #[error("the saved room has other servers than {name:?} has")]
    OtherServers { name: String },
}

/// What a room is made of.
pub(crate) struct Plan {
    pub name: &'static str,
    groups: &'static [Group],
}

/// Servers that are alike, named by a word and a number from 1.
pub(crate) struct Group {
    prefix: &'static str,
    servers: usize,
    pub gpus: &'static [GpuPlan],
    /// All GPUs of a server sit on one board, behind a switch, in one slot.
    pub one_board: bool,
}

/// One GPU.
pub(crate) struct GpuPlan {
    pub model: &'static Model,
    pub scheme: Scheme,
    pub type_text: TypeText,
    /// PCI domain of the slot.
    pub domain: u32,
}

const fn gpu(model: &'static Model, scheme: Scheme) -> GpuPlan {
    GpuPlan { model, scheme, type_text: TypeText::IdFirst, domain: 0 }
}

const A2: GpuPlan = gpu(&models::A2, Scheme::NvidiaVfio);
const A10: GpuPlan = gpu(&models::A10, Scheme::NvidiaVfio);
const A16: GpuPlan = gpu(&models::A16, Scheme::NvidiaVfio);
const A40: GpuPlan = gpu(&models::A40, Scheme::NvidiaVfio);
/// For measuring beside bare writes of a number.
const PLAIN_A16: GpuPlan = gpu(&models::A16, Scheme::Sriov);
const PLAIN_A40: GpuPlan = gpu(&models::A40, Scheme::Sriov);
const H200: GpuPlan = gpu(&models::H200, Scheme::NvidiaMig);

/// One GPU for each scheme. The one of the newest generation is in another PCI domain, as on real servers.
const LAB: &[GpuPlan] = &[
    gpu(&models::A2, Scheme::Sriov),
    gpu(&models::ARC_PRO_B50, Scheme::IntelXe),
    gpu(&models::FLEX_170, Scheme::IntelI915),
    GpuPlan { type_text: TypeText::NameFirst, ..gpu(&models::A40, Scheme::NvidiaVfio) },
    gpu(&models::A10, Scheme::NvidiaMdev),
    gpu(&models::T4, Scheme::NvidiaMdevPf),
    gpu(&models::H200, Scheme::NvidiaMig),
    gpu(&models::MI300X, Scheme::AmdGim),
    GpuPlan { domain: 1, ..gpu(&models::RTX_PRO_6000, Scheme::NvidiaVfio) },
];

const fn group(prefix: &'static str, servers: usize, gpus: &'static [GpuPlan]) -> Group {
    Group { prefix, servers, gpus, one_board: false }
}

/// A board of A16 has four GPUs.
const fn board(prefix: &'static str, servers: usize, gpus: &'static [GpuPlan]) -> Group {
    Group { prefix, servers, gpus, one_board: true }
}

/// The last three are for measuring, not for people: they are in no list.
static PLANS: [Plan; 10] = [
    Plan { name: "a2-edge", groups: &[group("edge", 1, &[A2])] },
    Plan { name: "a16-pair", groups: &[board("a16", 2, &[A16, A16, A16, A16])] },
    Plan { name: "a10-trio", groups: &[group("a10", 3, &[A10, A10])] },
    Plan { name: "a40-rack", groups: &[group("a40", 8, &[A40, A40, A40, A40])] },
    Plan { name: "mixed-lab", groups: &[group("lab", 1, LAB)] },
    Plan { name: "h200-mig", groups: &[group("h200", 1, &[H200, H200])] },
    Plan {
        name: "a16-meets-a40",
        groups: &[board("a16", 2, &[A16, A16, A16, A16]), group("a40", 1, &[A40])],
    },
    Plan { name: "a16-octet", groups: &[board("octet", 1, &[PLAIN_A16; 8])] },
    Plan { name: "a40-octet", groups: &[group("octet", 1, &[A40; 8])] },
    Plan { name: "a40-hall", groups: &[group("hall", 100, &[PLAIN_A40; 8])] },
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
    let mut specs: Vec<ServerSpec> = Vec::new();
    let mut first = 1;
    for group in plan.groups {
        for number in 1..=group.servers {
            let name = format!("{}-{number}", group.prefix);
            let spec = server(plan, group, &name, (specs.len(), first), seed);
            first += spec.vms.len();
            specs.push(spec);
        }
    }
    Ok(specs)
}

fn find(name: &str) -> Result<&'static Plan, RoomError> {
    PLANS.iter().find(|plan| plan.name == name).ok_or_else(|| RoomError::Unknown { name: name.to_owned() })
}

/// The room's server number `nth`; its VMs are numbered from `first`.
fn server(plan: &Plan, group: &Group, name: &str, (nth, first): (usize, usize), seed: u64) -> ServerSpec {
    let most: usize = group.gpus.iter().map(|gpu| usize::from(gpu.model.most_partitions)).sum();
    let vms = most + SPARE_VMS;
    ServerSpec {
        id: ServerId::new(name).expect("letters, a hyphen and digits are a name"),
        seed,
        memory_bytes: vms as u64 * VM_MEMORY_BYTES + 64 * GIB,
        iommu: true,
        functions: hardware::functions(plan.name, group, nth, seed),
        drivers: hardware::drivers(group),
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
