//! One GPU as it is read, before it has a name: the name needs a look at all of them.

use divvy_core::catalogue::{self, CatalogueEntry};
use divvy_core::finding::{Finding, Severity, Subject};
use divvy_core::gpu::{GpuModel, PartitionCount, Scheme, ValidPartitionCounts};
use divvy_core::observed::{ObservedGpu, ObservedPartition, Slot};
use divvy_core::pci_address::PciAddress;

use super::doubt::Doubts;
use super::facts::{Candidate, Facts};
use super::{Settings, partition};
use crate::attribute::{self, AttributeError, link_name, optional};
use crate::codes;
use crate::identity::{Identity, Traits};
use crate::iommu;
use crate::model;
use crate::paths;
use crate::pci::{self, Config, Numbers, Window};
use crate::pci_names::Names;
use crate::scheme::nvidia::modes::{Mode, Modes};
use crate::scheme::sriov::Sriov;
use crate::scheme::{self, Gpu, Mechanism, Split, detect};
use crate::scheme::{nvidia_mig, nvidia_vfio};
use crate::slot;
use crate::sysfs::Sysfs;
use crate::topology;
use crate::vfio;

pub struct Draft {
    pub traits: Traits,
    pub numbers: Numbers,
    /// Its configuration space told nothing, so a missing serial number means nothing.
    pub is_silent: bool,
    pub doubts: Doubts,
    pub partitions: Vec<ObservedPartition>,
    pub slot: Slot,
    /// What its vendor's library told.
    pub facts: Facts,
    entry: Option<&'static CatalogueEntry>,
    windows: Vec<Window>,
    numa_node: Option<u32>,
    driver: Option<String>,
    driver_version: Option<String>,
    ecc: Option<bool>,
    iommu_group: Option<u32>,
    scheme: Option<Scheme>,
    valid_counts: ValidPartitionCounts,
    max_partitions: u16,
    partition_count: Option<u16>,
    sized_for: Option<PartitionCount>,
    sizes_on_offer: Vec<PartitionCount>,
    carriers: u16,
    difference: Option<String>,
    autoprobe: bool,
}

/// Reads everything that one GPU shows.
pub fn look(sys: &dyn Sysfs, address: PciAddress, settings: &Settings, modes: &Modes) -> Draft {
    let deadline = settings.read_deadline;
    let mut doubts = Doubts::default();
    let numbers = doubts.take(pci::numbers(sys, address)).unwrap_or_default();
    let entry = catalogue::find(numbers.vendor, numbers.device, numbers.subsystem_device);
    let config = doubts.take(pci::config(sys, address, deadline));
    if config == Some(Config::Lost) {
        doubts.lost();
    }
    let driver = doubts.take(vfio::driver(sys, address)).flatten();
    let total =
        doubts.take(optional(attribute::decimal(sys, &paths::total_vfs(address)))).flatten().unwrap_or(0);
    let autoprobe =
        doubts.take(optional(attribute::switch(sys, &paths::autoprobe(address)))).flatten().unwrap_or(false);
    let windows = doubts.take(pci::windows(sys, address)).unwrap_or_default();
    let iommu_group = doubts.take(iommu::group(sys, address)).flatten();
    let numa_node = doubts.take(numa_node(sys, address)).flatten();
    let gpu = Gpu { address, entry, total, deadline };
    let found = scheme_of(sys, &gpu, numbers, driver.as_deref(), settings, modes);
    let (scheme, ecc) = doubts.take(found).unwrap_or_default();
    let carriers = doubts.take(vfio::partitions(sys, address)).map_or(0, |functions| functions.len());
    let split = doubts.take(split_of(sys, &gpu, scheme, modes));
    let split = split.unwrap_or_else(|| Split::unknown(&gpu));
    if let Some(text) = split.contradiction {
        doubts.contradiction(text);
    }
    if let Some(error) = split.unreadable {
        doubts.unreadable(&error);
    }
    let partitions = split.parts.into_iter().map(|part| partition::look_at(sys, part, &mut doubts)).collect();
    let slot = doubts.take(slot::look(sys, address)).unwrap_or_default();
    Draft {
        traits: traits(sys, address, numbers, config),
        numbers,
        is_silent: !matches!(config, Some(Config::Answers { .. })),
        driver_version: driver.as_deref().and_then(|driver| driver_version(sys, address, driver)),
        doubts,
        partitions,
        slot,
        facts: Facts::default(),
        entry,
        windows,
        numa_node,
        driver,
        ecc,
        iommu_group,
        scheme,
        valid_counts: split.valid_counts,
        max_partitions: split.most,
        sized_for: split.sized_for,
        sizes_on_offer: split.sizes_on_offer,
        carriers: u16::try_from(carriers).unwrap_or(u16::MAX),
        difference: split.difference,
        partition_count: split.count,
        autoprobe,
    }
}

/// How it is split by its scheme. Of some, sizes are told by NVIDIA's program alone.
fn split_of(
    sys: &dyn Sysfs,
    gpu: &Gpu,
    scheme: Option<Scheme>,
    modes: &Modes,
) -> Result<Split, AttributeError> {
    match scheme {
        Some(Scheme::NvidiaMig) => nvidia_mig::look(sys, gpu, Some(modes)),
        Some(Scheme::NvidiaVfio) => nvidia_vfio::look(sys, gpu, Some(modes)),
        scheme => scheme.map_or(&Sriov as &dyn Mechanism, scheme::of).look(sys, gpu),
    }
}

/// How the GPU is split: by what the tree shows, and by MIG where that is asked for or switched on. Beside it
/// the ECC mode, which the same answer tells.
fn scheme_of(
    sys: &dyn Sysfs,
    gpu: &Gpu,
    numbers: Numbers,
    driver: Option<&str>,
    settings: &Settings,
    modes: &Modes,
) -> Result<(Option<Scheme>, Option<bool>), AttributeError> {
    let scheme = detect::detect(sys, gpu, numbers.vendor, driver)?;
    let is_nvidia = matches!(scheme, Some(Scheme::NvidiaVfio | Scheme::NvidiaMdev | Scheme::NvidiaMdevPf));
    let is_asked_for = settings.mig.contains(&(numbers.vendor, numbers.device));
    let ask = || modes.of(sys, gpu, detect::has_functions(sys, gpu.address), !is_asked_for);
    let told = is_nvidia.then(ask).flatten();
    let by_mig = is_asked_for || told.is_some_and(|told| told.mig == Mode::On);
    let scheme = scheme.map(|scheme| match scheme {
        Scheme::NvidiaVfio if by_mig => Scheme::NvidiaMig,
        scheme => scheme,
    });
    Ok((scheme, told.and_then(|told| told.ecc)))
}

/// Without a way the GPU may still have a serial number, so an unreadable way is no doubt by itself.
fn traits(sys: &dyn Sysfs, address: PciAddress, numbers: Numbers, config: Option<Config>) -> Traits {
    let position = topology::position(sys, address).ok();
    let upward = position.as_ref().map(topology::Position::upward).unwrap_or_default();
    let serial = match config {
        Some(Config::Answers { serial }) => serial,
        Some(Config::Lost) | None => None,
    };
    Traits {
        address,
        vendor: numbers.vendor,
        device: numbers.device,
        serial,
        slot: pci::slot(sys, &upward),
        position,
    }
}

/// -1: the firmware does not say.
fn numa_node(sys: &dyn Sysfs, address: PciAddress) -> Result<Option<u32>, AttributeError> {
    let path = paths::attribute(address, "numa_node");
    let Some(text) = optional(attribute::text(sys, &path))? else { return Ok(None) };
    if text == "-1" {
        return Ok(None);
    }
    match attribute::parse_decimal(&text) {
        Some(number) => Ok(Some(number)),
        None => Err(AttributeError::malformed(&path, &text, "a NUMA node")),
    }
}

/// Drivers built into the kernel have no version.
fn driver_version(sys: &dyn Sysfs, address: PciAddress, driver: &str) -> Option<String> {
    let module = link_name(sys, &paths::attribute(address, "driver/module"))
        .unwrap_or_else(|_| driver.replace('-', "_"));
    attribute::text(sys, &paths::module_version(&module)).ok().filter(|version| !version.is_empty())
}

/// NVIDIA's vendor number, and the driver that its library talks to.
const NVML: (u16, &str) = (0x10de, "nvidia");

impl Draft {
    /// None: no library knows GPUs of this vendor.
    pub fn candidate(&self) -> Option<Candidate> {
        let (vendor, driver) = NVML;
        (self.numbers.vendor == vendor).then(|| Candidate {
            numbers: self.numbers,
            serial: self.traits.serial,
            answers: self.driver.as_deref() == Some(driver),
        })
    }

    /// The GPU with its name, and what is to be said of it.
    pub fn finish(
        self,
        identity: Identity,
        names: impl FnOnce(u16, u16) -> Names,
    ) -> (ObservedGpu, Vec<Finding>) {
        let Identity { id, by_place } = identity;
        let model = model::model(self.numbers, self.entry, names);
        let mut findings = Vec::new();
        if by_place {
            findings.push(identity_by_slot(&id, &model, self.traits.serial));
        }
        let mut partitions = self.partitions;
        if let Some(scheme) = self.scheme {
            scheme::of(scheme).name(&id, &mut partitions);
        }
        let gpu = ObservedGpu {
            memory_bytes: self.facts.memory_bytes.or_else(|| model::memory_bytes(self.entry, &self.windows)),
            scheme: self.scheme,
            valid_counts: self.valid_counts,
            sized_for: self.sized_for,
            sizes_on_offer: self.sizes_on_offer,
            carriers: self.carriers,
            health: self.doubts.health(),
            id: id.clone(),
            model,
            address: self.traits.address,
            serial: self.facts.serial.or_else(|| self.traits.serial.map(pci::format_serial)),
            numa_node: self.numa_node,
            driver: self.driver,
            driver_version: self.driver_version,
            ecc: self.ecc,
            iommu_group: self.iommu_group,
            max_partitions: self.max_partitions,
            partition_count: self.partition_count,
            autoprobe: self.autoprobe,
            partitions,
            slot: self.slot,
        };
        findings.extend(self.difference.map(|text| counts_differ(&gpu, &text)));
        findings.append(&mut self.doubts.findings(&id));
        (gpu, findings)
    }
}

fn counts_differ(gpu: &ObservedGpu, difference: &str) -> Finding {
    Finding {
        code: codes::COUNTS_DIFFER,
        severity: Severity::Info,
        subject: Subject::Gpu(gpu.id.clone()),
        text: format!(
            "GPU {} ({}) takes other partition counts than Divvy knows of its model: {difference}",
            gpu.id, gpu.model
        ),
        mend: "nothing: what the driver says counts; servers with the same driver take the same counts"
            .to_owned(),
    }
}

fn identity_by_slot(id: &divvy_core::id::GpuId, model: &GpuModel, serial: Option<u64>) -> Finding {
    let why = match serial {
        None => "shows no serial number".to_owned(),
        Some(serial) => format!("shares its serial number {} with another GPU", pci::format_serial(serial)),
    };
    Finding {
        code: codes::GPU_IDENTITY_BY_SLOT,
        severity: Severity::Warning,
        subject: Subject::Gpu(id.clone()),
        text: format!("GPU {id} ({model}) {why}; it is known by its place in the server"),
        mend: "keep the GPU in its slot: in another one it is another GPU to Divvy".to_owned(),
    }
}
