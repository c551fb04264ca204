//! A server of a room with the code that looks at GPUs, plans and takes steps, as an agent has it, without
//! VMs and without waiting.

use std::sync::Arc;
use std::time::Duration;

use divvy_core::desired::{DesiredServer, Generation, PartitionSetting};
use divvy_core::gpu::{PartitionCount, Scheme};
use divvy_core::id::{GpuId, PartitionId, PartitionIndex};
use divvy_core::observed::{HypervisorHealth, Observed, ObservedGpu};
use divvy_core::plan::plan;
use divvy_core::split::Split;
use divvy_core::step::{HostStep, Outcome, Step};
use divvy_host::error::HostError;
use divvy_host::execute::{Limits, execute};
use divvy_host::observe::{Observer, Settings};
use divvy_sim::room::Room;
use divvy_sim::server::SimServer;
use divvy_sim::spec::Delays;
use divvy_sim::sysfs::SimSysfs;

/// More turns than anything takes that comes to an end.
const MOST_TURNS: usize = 5;

pub struct Bench {
    pub room: Room,
    observer: Observer,
}

impl Bench {
    pub fn in_room(name: &str) -> Self {
        let room = Room::open(name, 1, Delays::none()).expect("a room");
        let observer = Observer::new(room.servers[0].id().clone(), Settings::default());
        Self { room, observer }
    }

    pub fn server(&self) -> &SimServer {
        &self.room.servers[0]
    }

    pub fn sys(&self) -> Arc<SimSysfs> {
        self.server().sysfs()
    }

    pub fn gpus(&self) -> Vec<ObservedGpu> {
        self.observer.observe_gpus(&*self.sys()).expect("a report").gpus
    }

    pub fn gpu(&self, id: &GpuId) -> ObservedGpu {
        self.gpus().into_iter().find(|gpu| gpu.id == *id).expect("the GPU is there")
    }

    pub fn gpu_at(&self, address: &str) -> ObservedGpu {
        self.gpus().into_iter().find(|gpu| gpu.address.to_string() == address).expect("a GPU is there")
    }

    pub fn fault(&self, text: &str) {
        self.room.apply_fault(&text.parse().expect("a fault")).expect("it happens");
    }

    pub fn take(&self, step: &HostStep) -> Result<Outcome, HostError> {
        let limits = Limits { settle: Duration::ZERO, try_again: Duration::ZERO, ..Limits::default() };
        execute(&*self.sys(), step, &limits)
    }

    pub fn bring(&self, id: &GpuId, number: u16) -> Result<ObservedGpu, HostError> {
        self.bring_to(id, PartitionSetting::from_number(number))
    }

    /// Turns of an agent until nothing is left to do for this GPU.
    pub fn bring_to(&self, id: &GpuId, setting: PartitionSetting) -> Result<ObservedGpu, HostError> {
        let number = setting.as_number();
        let desired = DesiredServer { settings: [(id.clone(), setting)].into(), ..DesiredServer::default() };
        for _turn in 0..MOST_TURNS {
            let plan = plan(&desired, &self.observed());
            assert_eq!(plan.waiting, [], "{id} to {number}");
            if plan.steps.is_empty() {
                return Ok(self.gpu(id));
            }
            for step in &plan.steps {
                let Step::Host(step) = step else { panic!("{step} without a VM") };
                self.take(step)?;
            }
        }
        panic!("{id} does not come to {number} partitions: {:?}", plan(&desired, &self.observed()).steps);
    }

    fn observed(&self) -> Observed {
        let seen = self.observer.observe_gpus(&*self.sys()).expect("a report");
        Observed {
            server: self.server().id().clone(),
            boot_id: Some(seen.boot_id),
            generation: Generation::default(),
            hypervisor: HypervisorHealth::NotAsked,
            memory_bytes: seen.memory_bytes,
            gpus: seen.gpus,
            vms: Vec::new(),
            findings: seen.findings,
            failures: Vec::new(),
        }
    }
}

pub fn scheme(gpu: &ObservedGpu) -> Scheme {
    gpu.scheme.unwrap_or_else(|| panic!("{} cannot be split", gpu.model))
}

pub fn create(gpu: &ObservedGpu, count: u16) -> HostStep {
    let split = Split::Equal(PartitionCount::new(count).expect("not zero"));
    HostStep::CreatePartitions { gpu: gpu.id.clone(), address: gpu.address, scheme: scheme(gpu), split }
}

pub fn remove(gpu: &ObservedGpu) -> HostStep {
    let count = gpu.partition_count.expect("is known");
    HostStep::RemovePartitions { gpu: gpu.id.clone(), address: gpu.address, scheme: scheme(gpu), count }
}

pub fn prepare(gpu: &ObservedGpu, index: u16) -> HostStep {
    let (partition, address) = partition(gpu, index);
    HostStep::PreparePartition { partition, address, scheme: scheme(gpu) }
}

pub fn clean(gpu: &ObservedGpu, index: u16) -> HostStep {
    let (partition, address) = partition(gpu, index);
    HostStep::CleanPartition { partition, address, scheme: scheme(gpu) }
}

fn partition(gpu: &ObservedGpu, index: u16) -> (PartitionId, divvy_core::pci_address::PciAddress) {
    let index = PartitionIndex(index);
    let found = gpu.partition(index).expect("the partition is there");
    (PartitionId::new(&gpu.id, index), found.address)
}
