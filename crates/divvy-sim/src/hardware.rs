//! What stands in the slots of a room's servers: bridges, a network adapter, GPUs, and the drivers for
//! them. Addresses are the same on all servers of a room, serial numbers are not.
//!
//! ```text
//! 00:01.0 ─ 01:00.0 network adapter with SR-IOV: not a GPU, and Divvy must see that
//! 40:01.0 ─ 41:00.0 GPU            one board: 40:01.0 ─ 41:00.0 ┬ 42:00.0 ─ 43:00.0 GPU
//! 40:03.0 ─ 42:00.0 GPU                        (switch)         ├ 42:01.0 ─ 44:00.0 GPU
//! c0:01.0 ─ c1:00.0 GPU                                         ├ …
//! ```

use divvy_core::catalogue::CatalogueEntry;

use crate::rng::Rng;
use crate::room::Plan;
use crate::spec::{DriverSpec, FunctionSpec, Numbers, SriovSpec, SriovSupport};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The driver of a room's GPUs: plain SR-IOV, like xe. NVIDIA's own driver is another scheme.
pub const GPU_DRIVER: &str = "simgpu";
pub const GPU_DRIVER_VERSION: &str = "1.4.0";

const CLASS_BRIDGE: u32 = 0x06_0400;
const CLASS_NETWORK: u32 = 0x02_0000;
const CLASS_3D: u32 = 0x03_0200;

const ROOT_PORT: Numbers = (0x8086, 0x352a, 0x8086, 0x0000);
const SWITCH: Numbers = (0x10b5, 0x8747, 0x10b5, 0x8747);
const NETWORK: Numbers = (0x8086, 0x1593, 0x8086, 0x0002);

/// Where a server has its slots: root bus, device of the root port, bus behind it, NUMA node.
const SLOTS: [(u8, u8, u8, i32); 4] =
    [(0x40, 1, 0x41, 0), (0x40, 3, 0x42, 0), (0xc0, 1, 0xc1, 1), (0xc0, 3, 0xc2, 1)];

pub(crate) fn functions(plan: &Plan, entry: &CatalogueEntry, server: usize, seed: u64) -> Vec<FunctionSpec> {
    let serials: Vec<u64> = (0..plan.gpus).map(|gpu| serial(plan, server, gpu, seed)).collect();
    let mut functions =
        vec![bridge(None, (0x00, 0x00, 1), 0, ROOT_PORT), network(0, serial(plan, server, 0xff, seed))];
    if plan.one_board {
        let (root, device, bus, numa) = SLOTS[0];
        let port = functions.len();
        functions.push(bridge(None, (root, root, device), numa, ROOT_PORT));
        functions.push(FunctionSpec { slot: Some(1), ..bridge(Some(port), (root, bus, 0), numa, SWITCH) });
        for (nth, serial) in serials.into_iter().enumerate() {
            let below = functions.len();
            functions.push(bridge(Some(port + 1), (root, bus + 1, nth as u8), numa, SWITCH));
            functions.push(gpu(plan, entry, below, (root, bus + 2 + nth as u8, numa), serial));
        }
    } else {
        for (nth, (serial, (root, device, bus, numa))) in serials.into_iter().zip(SLOTS).enumerate() {
            let below = functions.len();
            functions.push(bridge(None, (root, root, device), numa, ROOT_PORT));
            let slot = Some(nth as u32 + 1);
            functions.push(FunctionSpec { slot, ..gpu(plan, entry, below, (root, bus, numa), serial) });
        }
    }
    functions
}

pub(crate) fn drivers(plan: &Plan) -> Vec<DriverSpec> {
    let driver = |name: &str, module: &str, ids: &[Numbers], sriov| DriverSpec {
        name: name.to_owned(),
        module: module.to_owned(),
        version: None,
        ids: ids.iter().map(|(vendor, device, ..)| (*vendor, *device)).collect(),
        sriov,
        most_vfs: None,
        vfio: false,
        physical_only: false,
    };
    let gpu = (plan.vendor_id, plan.device_id, 0, 0);
    let version = Some(GPU_DRIVER_VERSION.to_owned());
    vec![
        DriverSpec { version, ..driver(GPU_DRIVER, GPU_DRIVER, &[gpu], SriovSupport::RemovesOnUnbind) },
        driver("ice", "ice", &[NETWORK], SriovSupport::RemovesOnUnbind),
        driver("pcieport", "pcieport", &[ROOT_PORT, SWITCH], SriovSupport::None),
        driver("pci-pf-stub", "pci_pf_stub", &[], SriovSupport::LeavesOnUnbind),
        DriverSpec { vfio: true, ..driver("vfio-pci", "vfio_pci", &[], SriovSupport::None) },
    ]
}

/// The number in the GPU's serial number capability: the maker's prefix, then what tells server and GPU.
fn serial(plan: &Plan, server: usize, gpu: usize, seed: u64) -> u64 {
    let mut rng = Rng::of(&["serial", plan.name, &seed.to_string()]);
    let batch = rng.below(1 << 16);
    0x48b0_2d00_0000_0000 | batch << 24 | (server as u64 & 0xff) << 16 | (gpu as u64 & 0xff) << 8 | 0x1d
}

fn bridge(
    parent: Option<usize>,
    (root_bus, bus, device): (u8, u8, u8),
    numa_node: i32,
    numbers: Numbers,
) -> FunctionSpec {
    FunctionSpec {
        parent,
        root_bus,
        bus,
        device,
        function: 0,
        spare_buses: 0,
        bridge: true,
        numbers,
        class: CLASS_BRIDGE,
        serial: None,
        sriov: None,
        bars: Vec::new(),
        numa_node,
        isolated: true,
        slot: None,
        reset_methods: vec!["pm"],
    }
}

fn network(parent: usize, serial: u64) -> FunctionSpec {
    FunctionSpec {
        parent: Some(parent),
        bridge: false,
        class: CLASS_NETWORK,
        serial: Some(serial),
        sriov: Some(SriovSpec {
            total: 8,
            offset: 8,
            stride: 1,
            vf_device_id: 0x1889,
            vf_subsystem_id: 0,
            vf_bars: vec![(0, 128 * KIB)],
        }),
        bars: vec![(0, MIB)],
        reset_methods: vec!["flr", "bus"],
        ..bridge(None, (0x00, 0x01, 0), 0, NETWORK)
    }
}

fn gpu(
    plan: &Plan,
    entry: &CatalogueEntry,
    parent: usize,
    (root_bus, bus, numa_node): (u8, u8, i32),
    serial: u64,
) -> FunctionSpec {
    let memory = entry.memory_bytes.next_power_of_two();
    let numbers = (plan.vendor_id, plan.device_id, plan.vendor_id, plan.subsystem_id);
    FunctionSpec {
        parent: Some(parent),
        bridge: false,
        class: CLASS_3D,
        serial: Some(serial),
        sriov: Some(SriovSpec {
            total: plan.total_vfs,
            offset: 4,
            stride: 1,
            vf_device_id: plan.device_id,
            vf_subsystem_id: 0,
            vf_bars: vec![
                (0, 256 * KIB),
                (1, memory / u64::from(plan.total_vfs.next_power_of_two())),
                (3, 32 * MIB),
            ],
        }),
        bars: vec![(0, 16 * MIB), (1, memory), (3, 32 * MIB)],
        reset_methods: vec!["flr", "bus"],
        ..bridge(None, (root_bus, bus, 0), numa_node, numbers)
    }
}
