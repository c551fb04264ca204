//! What stands in the slots of a room's servers: bridges, a network adapter, GPUs, and the drivers for
//! them. Addresses are the same on all servers of a room, serial numbers are not.
//!
//! ```text
//! 00:01.0 ─ 01:00.0 network adapter with SR-IOV: not a GPU, and Divvy must see that
//! 40:01.0 ─ 41:00.0 GPU            one board: 40:01.0 ─ 41:00.0 ┬ 42:00.0 ─ 43:00.0 GPU
//! 40:03.0 ─ 42:00.0 GPU                        (switch)         ├ 42:01.0 ─ 44:00.0 GPU
//! c0:01.0 ─ c1:00.0 GPU                                         ├ …
//! ```

use divvy_core::gpu::Scheme;

use crate::models::Vfs;
use crate::rng::Rng;
use crate::room::{GpuPlan, Group};
use crate::spec::{DriverSpec, FunctionSpec, GpuSpec, Numbers, SriovSpec, SriovSupport, driver_of};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The driver of a room's GPUs: plain SR-IOV and nothing else.
pub const GPU_DRIVER: &str = "simgpu";
pub const GPU_DRIVER_VERSION: &str = "1.4.0";
pub(crate) const NVIDIA_VERSION: &str = "550.163.02";
const GIM_VERSION: &str = "9.4.0.K";

const CLASS_BRIDGE: u32 = 0x06_0400;
const CLASS_NETWORK: u32 = 0x02_0000;

const ROOT_PORT: Numbers = (0x8086, 0x352a, 0x8086, 0x0000);
const SWITCH: Numbers = (0x10b5, 0x8747, 0x10b5, 0x8747);
const NETWORK: Numbers = (0x8086, 0x1593, 0x8086, 0x0002);

/// Where a server has its slots: root bus, device of the root port, bus behind it, NUMA node.
const SLOTS: [(u8, u8, u8, i32); 10] = [
    (0x40, 1, 0x41, 0),
    (0x40, 3, 0x42, 0),
    (0xc0, 1, 0xc1, 1),
    (0xc0, 3, 0xc2, 1),
    (0x40, 5, 0x43, 0),
    (0x40, 7, 0x44, 0),
    (0xc0, 5, 0xc3, 1),
    (0xc0, 7, 0xc4, 1),
    (0x80, 1, 0x81, 1),
    (0x80, 3, 0x82, 1),
];

pub(crate) fn functions(room: &str, group: &Group, server: usize, seed: u64) -> Vec<FunctionSpec> {
    let gpus = group.gpus.iter().enumerate();
    let serials: Vec<u64> = gpus.map(|(nth, gpu)| serial(room, gpu, (server, nth), seed)).collect();
    let network_serial = maker(0x0048_b02d, room, (server, 0xff), seed);
    let mut functions = vec![bridge(None, (0x00, 0x00, 1), 0, ROOT_PORT), network(0, network_serial)];
    if group.one_board {
        let (root, device, bus, numa) = SLOTS[0];
        let port = functions.len();
        functions.push(bridge(None, (root, root, device), numa, ROOT_PORT));
        functions.push(FunctionSpec { slot: Some(1), ..bridge(Some(port), (root, bus, 0), numa, SWITCH) });
        for (nth, (plan, serial)) in group.gpus.iter().zip(serials).enumerate() {
            let below = functions.len();
            functions.push(bridge(Some(port + 1), (root, bus + 1, nth as u8), numa, SWITCH));
            functions.push(gpu(plan, below, (root, bus + 2 + nth as u8, numa), serial));
        }
    } else {
        for (nth, ((plan, serial), slot)) in group.gpus.iter().zip(serials).zip(SLOTS).enumerate() {
            let (root, device, bus, numa) = slot;
            let below = functions.len();
            let domain = plan.domain;
            functions.push(FunctionSpec { domain, ..bridge(None, (root, root, device), numa, ROOT_PORT) });
            let slot = Some(nth as u32 + 1);
            functions.push(FunctionSpec { slot, ..gpu(plan, below, (root, bus, numa), serial) });
        }
    }
    functions
}

/// Those of the server's GPUs, then those that every server has.
pub(crate) fn drivers(group: &Group) -> Vec<DriverSpec> {
    let mut drivers: Vec<DriverSpec> = Vec::new();
    for gpu in group.gpus {
        let (vendor, device, ..) = gpu.model.numbers;
        let name = driver_of(gpu.scheme);
        match drivers.iter_mut().find(|driver| driver.name == name) {
            Some(known) if known.ids.contains(&(vendor, device)) => {}
            Some(known) => known.ids.push((vendor, device)),
            None => drivers.push(of_scheme(gpu.scheme, gpu.model.numbers)),
        }
    }
    drivers.extend([
        driver("ice", "ice", &[NETWORK], SriovSupport::RemovesOnUnbind),
        driver("pcieport", "pcieport", &[ROOT_PORT, SWITCH], SriovSupport::None),
        driver("pci-pf-stub", "pci_pf_stub", &[], SriovSupport::LeavesOnUnbind),
        DriverSpec { vfio: true, ..driver("vfio-pci", "vfio_pci", &[], SriovSupport::None) },
    ]);
    drivers
}

fn of_scheme(scheme: Scheme, numbers: Numbers) -> DriverSpec {
    let (version, sriov) = match driver_of(scheme) {
        GPU_DRIVER => (Some(GPU_DRIVER_VERSION), SriovSupport::RemovesOnUnbind),
        "nvidia" => (Some(NVIDIA_VERSION), SriovSupport::OnlyRemoves),
        "gim" => (Some(GIM_VERSION), SriovSupport::OnlyRemoves),
        _ => (None, SriovSupport::RemovesOnUnbind),
    };
    let name = driver_of(scheme);
    DriverSpec { version: version.map(str::to_owned), ..driver(name, name, &[numbers], sriov) }
}

fn driver(name: &str, module: &str, ids: &[Numbers], sriov: SriovSupport) -> DriverSpec {
    DriverSpec {
        name: name.to_owned(),
        module: module.to_owned(),
        version: None,
        ids: ids.iter().map(|(vendor, device, ..)| (*vendor, *device)).collect(),
        sriov,
        most_vfs: None,
        vfio: false,
        physical_only: false,
    }
}

/// The number in the GPU's serial number capability: the maker's prefix, then what tells server and GPU.
fn serial(room: &str, gpu: &GpuPlan, place: (usize, usize), seed: u64) -> u64 {
    let prefix = match gpu.model.numbers.0 {
        0x1002 => 0x0069_2d58,
        0x8086 => 0x0010_b74c,
        _ => 0x0048_b02d,
    };
    maker(prefix, room, place, seed)
}

fn maker(prefix: u64, room: &str, (server, gpu): (usize, usize), seed: u64) -> u64 {
    let batch = Rng::of(&["serial", room, &seed.to_string()]).below(1 << 16);
    prefix << 40 | batch << 24 | (server as u64 & 0xff) << 16 | (gpu as u64 & 0xff) << 8 | 0x1d
}

fn bridge(
    parent: Option<usize>,
    (root_bus, bus, device): (u8, u8, u8),
    numa_node: i32,
    numbers: Numbers,
) -> FunctionSpec {
    FunctionSpec {
        parent,
        domain: 0,
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
        gpu: None,
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
    plan: &GpuPlan,
    parent: usize,
    (root_bus, bus, numa_node): (u8, u8, i32),
    serial: u64,
) -> FunctionSpec {
    let model = plan.model;
    let memory = model.memory_bytes.next_power_of_two();
    let sriov = |vfs: Vfs| SriovSpec {
        total: vfs.total,
        offset: vfs.offset,
        stride: vfs.stride,
        vf_device_id: vfs.device_id,
        vf_subsystem_id: 0,
        vf_bars: vec![(0, 256 * KIB), (1, memory / u64::from(vfs.total.next_power_of_two())), (3, 32 * MIB)],
    };
    FunctionSpec {
        parent: Some(parent),
        domain: plan.domain,
        bridge: false,
        class: model.class,
        serial: Some(serial),
        sriov: model.vfs.map(sriov),
        bars: vec![(0, 16 * MIB), (1, memory), (3, 32 * MIB)],
        reset_methods: vec!["flr", "bus"],
        gpu: Some(GpuSpec { scheme: plan.scheme, type_text: plan.type_text }),
        ..bridge(None, (root_bus, bus, 0), numa_node, model.numbers)
    }
}
