//! The rig as the simulator is told of it: the same functions at the same
//! addresses, with the drivers that the rig's kernel has for them.

use divvy_core::id::ServerId;
use divvy_core::pci_address::PciAddress;
use divvy_sim::ops::Targets;
use divvy_sim::server::SimServer;
use divvy_sim::spec::{Delays, DriverSpec, FunctionSpec, Numbers, ServerSpec, SriovSpec, SriovSupport};

const ROOT_PORT: Numbers = (0x1b36, 0x000c, 0x1b36, 0x0000);
const MIB: u64 = 1 << 20;
const KIB: u64 = 1 << 10;

/// A physical function of the rig, behind a root port of its own.
struct Physical {
    bus: u8,
    numbers: Numbers,
    class: u32,
    serial: Option<u64>,
    driver: &'static str,
    sriov: Sriov,
    bars: &'static [(usize, u64)],
    resets: &'static [&'static str],
}

struct Sriov {
    total: u16,
    offset: u16,
    stride: u16,
    vf_device_id: u16,
    vf_bars: &'static [(usize, u64)],
}

const GPU_BARS: &[(usize, u64)] = &[(0, 64 * KIB), (2, 16 * MIB), (4, 16 * KIB)];
const GPU_VF_BARS: &[(usize, u64)] = &[(0, 64 * KIB), (2, MIB), (4, 16 * KIB)];
const PHYSICAL: [Physical; 3] = [
    Physical {
        bus: 1,
        numbers: (0x1002, 0x74a1, 0x1002, 0x74a1),
        class: 0x12_0000,
        serial: Some(0x692d_58e1_73a0_0b41),
        driver: "rigpf",
        sriov: Sriov { total: 8, offset: 2, stride: 1, vf_device_id: 0x74b5, vf_bars: GPU_VF_BARS },
        bars: GPU_BARS,
        resets: &["flr", "bus"],
    },
    Physical {
        bus: 2,
        numbers: (0x8086, 0x56c0, 0x8086, 0x56c0),
        class: 0x03_8000,
        serial: Some(0x10b7_4c9e_0226_d5f3),
        driver: "rigpf",
        sriov: Sriov { total: 31, offset: 1, stride: 1, vf_device_id: 0x56c0, vf_bars: GPU_VF_BARS },
        bars: GPU_BARS,
        resets: &["flr", "bus"],
    },
    Physical {
        bus: 3,
        numbers: (0x8086, 0x10c9, 0x1af4, 0x1100),
        class: 0x02_0000,
        serial: None,
        driver: "igb",
        sriov: Sriov {
            total: 8,
            offset: 128,
            stride: 2,
            vf_device_id: 0x10ca,
            vf_bars: &[(0, 16 * KIB), (3, 16 * KIB)],
        },
        bars: &[(0, 128 * KIB), (1, 128 * KIB), (2, 32), (3, 16 * KIB)],
        resets: &["flr", "pm", "bus"],
    },
];

/// The GPU that is split by mediated devices has no PF for the operations; it is there, in its IOMMU group.
const MEDIATED_BUS: u8 = 4;

/// What the operations are about, one PF each.
pub fn targets() -> Vec<Targets> {
    PHYSICAL.iter().map(target).collect()
}

fn target(physical: &Physical) -> Targets {
    let pf = PciAddress { domain: 0, bus: physical.bus, device: 0, function: 0 };
    let Sriov { total, offset, stride, .. } = physical.sriov;
    let distance = |index| u32::from(offset) + u32::from(stride) * u32::from(index);
    let vfs = (0..total).filter_map(|index| pf.routing_id_plus(distance(index))).collect();
    let drivers = [physical.driver, "vfio-pci"].map(str::to_owned).to_vec();
    Targets { pf, vfs, total_vfs: total, drivers }
}

/// The rig without delays: what is compared is what is answered, not when.
pub fn simulated() -> SimServer {
    let mut functions = Vec::new();
    // Host bridge, disk, network adapter, and the three functions of the chip set.
    for device in [0, 1, 2, 0x1f] {
        functions.push(plain(device));
    }
    for physical in &PHYSICAL {
        let port = functions.len();
        functions.push(bridge(2 + physical.bus));
        functions.push(function(physical, port));
    }
    functions.push(bridge(2 + MEDIATED_BUS));
    functions.push(mediated(functions.len() - 1));
    let spec = ServerSpec {
        id: ServerId::new("rig").expect("letters are a name"),
        seed: 1,
        memory_bytes: 1536 * MIB,
        iommu: true,
        functions,
        drivers: drivers(),
        vms: Vec::new(),
    };
    SimServer::new(spec, Delays::none())
}

fn drivers() -> Vec<DriverSpec> {
    let ids = |driver: &str| {
        let of_driver = PHYSICAL.iter().filter(|physical| physical.driver == driver);
        of_driver.map(|physical| (physical.numbers.0, physical.numbers.1)).collect()
    };
    let driver = |name: &str, module: &str, ids: Vec<(u16, u16)>, sriov| DriverSpec {
        name: name.to_owned(),
        module: module.to_owned(),
        version: None,
        ids,
        sriov,
        most_vfs: None,
        vfio: false,
        physical_only: true,
    };
    vec![
        driver("rigpf", "rigpf", ids("rigpf"), SriovSupport::RemovesOnUnbind),
        // One VF fewer than the hardware has, because the PF needs queues too.
        DriverSpec { most_vfs: Some(7), ..driver("igb", "igb", ids("igb"), SriovSupport::RemovesOnUnbind) },
        driver("pcieport", "pcieport", vec![(ROOT_PORT.0, ROOT_PORT.1)], SriovSupport::None),
        DriverSpec {
            physical_only: false,
            vfio: true,
            ..driver("vfio-pci", "vfio_pci", Vec::new(), SriovSupport::None)
        },
    ]
}

fn plain(device: u8) -> FunctionSpec {
    FunctionSpec {
        bridge: false,
        numbers: (0x8086, 0x29c0, 0, 0),
        reset_methods: Vec::new(),
        ..bridge(device)
    }
}

fn bridge(device: u8) -> FunctionSpec {
    FunctionSpec {
        parent: None,
        domain: 0,
        root_bus: 0,
        bus: 0,
        device,
        function: 0,
        spare_buses: 0,
        bridge: true,
        numbers: ROOT_PORT,
        class: 0x06_0400,
        serial: None,
        sriov: None,
        bars: Vec::new(),
        numa_node: -1,
        isolated: true,
        slot: None,
        reset_methods: vec!["pm"],
        gpu: None,
    }
}

fn function(physical: &Physical, port: usize) -> FunctionSpec {
    let Sriov { total, offset, stride, vf_device_id, vf_bars } = physical.sriov;
    FunctionSpec {
        parent: Some(port),
        bus: physical.bus,
        device: 0,
        bridge: false,
        numbers: physical.numbers,
        class: physical.class,
        serial: physical.serial,
        sriov: Some(SriovSpec {
            total,
            offset,
            stride,
            vf_device_id,
            // The rig's VFs show the numbers of their PF.
            vf_subsystem_id: physical.numbers.3,
            vf_bars: vf_bars.to_vec(),
        }),
        bars: physical.bars.to_vec(),
        reset_methods: physical.resets.to_vec(),
        ..bridge(0)
    }
}

fn mediated(port: usize) -> FunctionSpec {
    FunctionSpec {
        parent: Some(port),
        bus: MEDIATED_BUS,
        device: 0,
        bridge: false,
        numbers: (0x10de, 0x1eb8, 0x10de, 0x1eb8),
        class: 0x03_0200,
        serial: Some(0x48b0_2d91_c64f_02a7),
        bars: GPU_BARS.to_vec(),
        reset_methods: vec!["flr", "bus"],
        ..bridge(0)
    }
}

#[cfg(test)]
mod tests {
    use divvy_host::sysfs::Sysfs;

    use super::*;

    fn read(sysfs: &dyn Sysfs, path: &str) -> String {
        String::from_utf8(sysfs.read(path).expect("it is there")).expect("a text")
    }

    #[test]
    fn the_gpus_driver_does_not_take_a_vf_with_its_numbers() {
        let sysfs = simulated().sysfs();
        sysfs.write("sys/bus/pci/devices/0000:02:00.0/sriov_numvfs", "1").expect("one VF");
        let refused = sysfs.write("sys/bus/pci/drivers/rigpf/bind", "0000:02:00.1");
        assert_eq!(refused.expect_err("refused").raw_os_error(), Some(19));
    }

    #[test]
    fn a_driver_can_want_fewer_vfs_than_the_hardware_has_while_it_is_there() {
        let sysfs = simulated().sysfs();
        let path = "sys/bus/pci/devices/0000:03:00.0/sriov_totalvfs";
        assert_eq!(read(sysfs.as_ref(), path), "7\n");
        sysfs.write("sys/bus/pci/drivers/igb/unbind", "0000:03:00.0").expect("unbound");
        assert_eq!(read(sysfs.as_ref(), path), "8\n");
    }
}
