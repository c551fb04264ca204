//! Small worlds for the tests of the rules: one server with one A2 and a VM, and ways to spoil them.

use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::assignment::{Assignment, Claim, FormerDriver, Hold, Holding, Returning, WholeGpu};
use crate::catalogue;
use crate::change::Change;
use crate::check::check;
use crate::decide::decide;
use crate::desired::{DesiredServer, Generation, PartitionSetting};
use crate::device::DeviceHandle;
use crate::gpu::{CountSource, GpuModel, PartitionCount, Scheme, ValidPartitionCounts};
use crate::id::{BootId, GpuId, PartitionId, PartitionIndex, PoolName, ServerId, VmId};
use crate::observed::{
    GpuHealth, HypervisorHealth, Observed, ObservedGpu, ObservedPartition, Slot, SlotFunction,
};
use crate::pci_address::PciAddress;
use crate::request::Request;
use crate::rules::count_change::{Blockers, blockers};
use crate::state::State;
use crate::vm::{Firmware, Machine, ObservedVm, Power, VmDevice, VmSettings};

pub fn server_id(name: &str) -> ServerId {
    ServerId::new(name).expect("a test's server name is well formed")
}

pub fn gpu_id(name: &str) -> GpuId {
    GpuId::new(name).expect("a test's GPU id is well formed")
}

/// A stable UUID for a VM's name.
pub fn vm_id(name: &str) -> VmId {
    let hex: alloc::string::String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    VmId::new(&hex).expect("hex digits are a VM id")
}

pub fn partition_id(gpu: &str, index: u16) -> PartitionId {
    PartitionId::new(&gpu_id(gpu), PartitionIndex(index))
}

/// The PCI address that [`gpu`] gives to the `nth` GPU of a test.
fn gpu_address(id: &GpuId) -> PciAddress {
    let bus = 0x40 + id.as_str().bytes().fold(0u8, u8::wrapping_add) % 64;
    PciAddress { domain: 0, bus, device: 0, function: 0 }
}

pub fn gpu(id: &str, (vendor, device, subsystem): (u16, u16, u16), partitions: u16) -> ObservedGpu {
    let entry = catalogue::find(vendor, device, subsystem).expect("a test's model is in the catalogue");
    let id = gpu_id(id);
    let address = gpu_address(&id);
    let counts = entry.counts.iter().filter_map(|number| PartitionCount::new(*number)).collect();
    ObservedGpu {
        address,
        model: GpuModel {
            vendor_id: vendor,
            device_id: device,
            subsystem_vendor_id: vendor,
            subsystem_device_id: subsystem,
            vendor: entry.vendor.into(),
            name: entry.name.into(),
        },
        serial: Some(id.to_string()),
        id,
        numa_node: Some(0),
        driver: Some("simgpu".into()),
        driver_version: None,
        ecc: None,
        memory_bytes: Some(entry.memory_bytes),
        iommu_group: Some(1),
        scheme: Some(Scheme::Sriov),
        valid_counts: ValidPartitionCounts::new(counts, CountSource::Catalogue),
        max_partitions: entry.counts.last().copied().unwrap_or(0),
        partition_count: Some(partitions),
        sized_for: None,
        sizes_on_offer: Vec::new(),
        carriers: partitions,
        autoprobe: false,
        partitions: (0..partitions).map(|index| partition(address, index)).collect(),
        slot: Slot {
            functions: Vec::from([slot_function(address, "simgpu", 1)]),
            reset_methods: Vec::from(["flr".to_string()]),
            mmio_bytes: Some(16 << 30),
            ..Slot::default()
        },
        health: GpuHealth::Ok,
    }
}

pub fn slot_function(address: PciAddress, driver: &str, group: u32) -> SlotFunction {
    SlotFunction { address, driver: Some(driver.into()), driver_override: None, iommu_group: Some(group) }
}

/// What a whole GPU of a test had before it was given.
pub fn former_drivers(gpu: &ObservedGpu) -> Vec<FormerDriver> {
    let former = |function: &SlotFunction| FormerDriver {
        function: function.address.function,
        driver: Some("simgpu".into()),
        driver_override: None,
    };
    gpu.slot.functions.iter().map(former).collect()
}

pub fn gpu_a2(id: &str, partitions: u16) -> ObservedGpu {
    gpu(id, (0x10de, 0x25b6, 0x157e), partitions)
}

pub fn gpu_a40(id: &str, partitions: u16) -> ObservedGpu {
    gpu(id, (0x10de, 0x2235, 0x145a), partitions)
}

pub fn partition(gpu: PciAddress, index: u16) -> ObservedPartition {
    let address = gpu.routing_id_plus(4 + u32::from(index)).expect("on the bus");
    ObservedPartition {
        index: PartitionIndex(index),
        address,
        device: address.into(),
        iommu_group: Some(100 + u32::from(index)),
        group_peers: Vec::new(),
        driver: None,
        driver_override: None,
        open: false,
        reset_methods: Vec::from(["flr".to_string()]),
        mmio_bytes: Some(1 << 30),
        memory_bytes: None,
        size: None,
    }
}

pub fn vm(name: &str) -> ObservedVm {
    ObservedVm {
        id: vm_id(name),
        name: name.into(),
        power: Power::Off,
        settings: VmSettings {
            firmware: Firmware::Uefi,
            machine: Machine::Q35,
            memory_bytes: 8 << 30,
            current_memory_bytes: 8 << 30,
            free_hotplug_ports: 2,
            snapshots: 0,
            saved_state: false,
            autostart: false,
            persistent: true,
            guest_os: Some("http://microsoft.com/win/11".into()),
        },
        devices: Vec::new(),
    }
}

pub fn vm_with_device(name: &str, device: impl Into<DeviceHandle>) -> ObservedVm {
    let mut vm = vm(name);
    vm.devices.push(VmDevice { device: device.into(), alias: None, defined: true, live: false });
    vm
}

pub fn observed(server: &str, gpus: Vec<ObservedGpu>) -> Observed {
    Observed {
        server: server_id(server),
        boot_id: BootId::new("0b").ok(),
        generation: Generation(0),
        hypervisor: HypervisorHealth::Connected { version: "test".into() },
        memory_bytes: Some(256 << 30),
        gpus,
        vms: Vec::new(),
        findings: Vec::new(),
        failures: Vec::new(),
    }
}

/// A state in the making; the first server's first GPU is the one that the short methods speak of.
#[derive(Clone)]
pub struct World {
    pub servers: Vec<(DesiredServer, Observed)>,
}

impl World {
    /// Server `a` with GPU `gpu-1`, an A2 split into `partitions`, and VMs `vm-001` to `vm-004`.
    pub fn one_a2(partitions: u16) -> Self {
        let mut world = Self::of_gpus(&[("a", gpu_a2("gpu-1", partitions))]);
        world.observed_mut().vms = (1..=4).map(|number| vm(&format!("vm-{number:03}"))).collect();
        if partitions > 0 {
            world.desired_mut().settings.insert(gpu_id("gpu-1"), PartitionSetting::from_number(partitions));
        }
        world
    }

    /// One server per entry, each with one GPU, nothing asked for.
    pub fn of_gpus(gpus: &[(&str, ObservedGpu)]) -> Self {
        let one = |(server, gpu): &(&str, ObservedGpu)| {
            (DesiredServer::default(), observed(server, Vec::from([gpu.clone()])))
        };
        Self { servers: gpus.iter().map(one).collect() }
    }

    pub fn state(&self) -> State {
        let mut state = State::default();
        for (desired, observed) in &self.servers {
            state.desired.servers.insert(observed.server.clone(), Arc::new(desired.clone()));
            state.observed.insert(observed.server.clone(), Arc::new(observed.clone()));
        }
        state
    }

    pub fn desired_mut(&mut self) -> &mut DesiredServer {
        &mut self.servers[0].0
    }

    pub fn observed(&self) -> &Observed {
        &self.servers[0].1
    }

    pub fn observed_mut(&mut self) -> &mut Observed {
        &mut self.servers[0].1
    }

    pub fn gpu(&self) -> &ObservedGpu {
        &self.observed().gpus[0]
    }

    pub fn gpu_mut(&mut self) -> &mut ObservedGpu {
        &mut self.observed_mut().gpus[0]
    }

    pub fn vm_mut(&mut self, name: &str) -> &mut ObservedVm {
        let vms = &mut self.observed_mut().vms;
        vms.iter_mut().find(|vm| vm.name == name).expect("the test's VM exists")
    }

    pub fn partition_address(&self, index: usize) -> PciAddress {
        self.gpu().partitions[index].address
    }

    pub fn partition_device(&self, index: usize) -> DeviceHandle {
        self.gpu().partitions[index].device
    }

    pub fn blockers(&self) -> Blockers {
        blockers(Some(&self.servers[0].0), self.observed(), self.gpu())
    }

    pub fn assigned(mut self, vm: &str, index: u16) -> Self {
        let assignment = Assignment {
            vm: vm_id(vm),
            vm_name: vm.into(),
            holding: Holding::Partition {
                partition: PartitionId::new(&self.gpu().id, PartitionIndex(index)),
            },
            accepted: Default::default(),
            restart: false,
            start: false,
        };
        self.desired_mut().assignments.insert(vm_id(vm), assignment);
        self
    }

    /// The GPU is given whole to a VM.
    pub fn whole(mut self, vm: &str) -> Self {
        let whole = WholeGpu { gpu: self.gpu().id.clone(), functions: former_drivers(self.gpu()) };
        let assignment = Assignment {
            vm: vm_id(vm),
            vm_name: vm.into(),
            holding: Holding::Dda { gpus: Vec::from([whole]), claim: None },
            accepted: Default::default(),
            restart: false,
            start: false,
        };
        self.desired_mut().assignments.insert(vm_id(vm), assignment);
        self
    }

    /// The GPU is on its way back from a VM.
    pub fn returning(mut self, vm: &str) -> Self {
        let functions = former_drivers(self.gpu());
        let gpu = self.gpu().id.clone();
        let returning = Returning { vm: vm_id(vm), vm_name: vm.into(), functions };
        self.desired_mut().returns.insert(gpu, returning);
        self
    }

    pub fn pooled(mut self, pool: &str) -> Self {
        let gpu = self.gpu().id.clone();
        let pool = PoolName::new(pool).expect("a test's pool name is well formed");
        self.desired_mut().pools.insert(gpu, pool);
        self
    }

    /// The VM claims so many GPUs of a pool; those that it has already were picked for that.
    pub fn claimed(mut self, vm: &str, pool: &str, count: u16) -> Self {
        let claim = Claim { pool: PoolName::new(pool).expect("a test's pool name is well formed"), count };
        let assignment = self.desired_mut().assignments.entry(vm_id(vm)).or_insert_with(|| Assignment {
            vm: vm_id(vm),
            vm_name: vm.into(),
            holding: Holding::Claim { claim: claim.clone() },
            accepted: Default::default(),
            restart: false,
            start: false,
        });
        if let Holding::Dda { claim: of, .. } = &mut assignment.holding {
            *of = Some(claim);
        }
        self
    }

    /// Decides, applies, and lets the independent judge look at the result.
    pub fn decided(&mut self, request: &Request) -> Change {
        let mut state = self.state();
        let change = decide(&state, request).expect("accepted");
        change.apply(&mut state.desired).expect("no conflict");
        assert_eq!(check(&state), [], "the judge objects");
        for (desired, observed) in &mut self.servers {
            *desired = state.desired.server(&observed.server).cloned().unwrap_or_default();
        }
        change
    }

    pub fn releasing(mut self, vm: &str, index: u16) -> Self {
        let partition = PartitionId::new(&self.gpu().id, PartitionIndex(index));
        self.desired_mut().holds.insert(partition, Hold::Releasing { vm: vm_id(vm), vm_name: vm.into() });
        self
    }
}

/// An H200 by MIG with a partition of each of these sizes.
pub fn mig(id: &str, sizes: &[u16]) -> ObservedGpu {
    let mut gpu = gpu(id, (0x10de, 0x2335, 0x18be), 0);
    gpu.scheme = Some(Scheme::NvidiaMig);
    let entry = catalogue::of_model(&gpu.model).expect("a test's model is in the catalogue");
    gpu.valid_counts = catalogue::mig_partition_counts(entry).expect("it knows MIG");
    gpu.max_partitions = 32;
    sized(&mut gpu, sizes);
    gpu
}

/// Gives a GPU a partition of each of these sizes, and none else.
pub fn sized(gpu: &mut ObservedGpu, sizes: &[u16]) {
    let address = gpu.address;
    let one = |(index, size): (u16, &u16)| {
        let size = PartitionCount::new(*size);
        ObservedPartition { size, ..partition(address, index) }
    };
    gpu.partitions = (0..).zip(sizes).map(one).collect();
    gpu.partition_count = Some(gpu.partitions.len() as u16);
    gpu.carriers = 32;
}
