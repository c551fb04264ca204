//! NVIDIA's mediated devices: a UUID written to the `create` of a type makes a partition, on a virtual
//! function of its own or, with GPUs that have none, on the GPU itself. The mediated device is what a VM
//! gets; its UUID is derived from the partition, so that a VM's definition stays good over a boot.
//!
//! ```text
//! PARENT/mdev_supported_types/TYPE/create ◀─ UUID    PARENT/UUID, sys/bus/mdev/devices/UUID
//!                                                    sys/bus/mdev/devices/UUID/remove ◀─ 1
//! ```
//!
//! Here the driver itself tells how many of a size there can be, at any time.

use std::collections::BTreeMap;

use divvy_core::device::{DeviceHandle, MdevUuid};
use divvy_core::gpu::{CountSource, PartitionCount, ValidPartitionCounts};
use divvy_core::id::{GpuId, PartitionId, PartitionIndex};
use divvy_core::observed::ObservedPartition;
use divvy_core::pci_address::PciAddress;
use divvy_core::step::Outcome;

use super::nvidia::types::{self, Type};
use super::nvidia::{self, enable};
use super::{Gpu, Mechanism, Part, Split, Target, catalogue_counts};
use crate::attribute::{AttributeError, link_name, optional, parse_decimal, text};
use crate::error::{HostError, Verb};
use crate::execute::kernel::{Kernel, another_count, refuse_another_count};
use crate::execute::partition::refuse_moved;
use crate::paths;
use crate::sysfs::Sysfs;
use crate::vfio;

/// Where the mediated devices of a GPU are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NvidiaMdev {
    /// One on each virtual function.
    OnFunctions,
    /// All of them on the GPU.
    OnGpu,
}

/// A type, and the folder that a parent has for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MdevType {
    folder: String,
    kind: Type,
    memory_bytes: u64,
}

/// The mediated devices of a GPU by index, each with its parent.
type Made = BTreeMap<PartitionIndex, (PciAddress, MdevUuid)>;

impl Mechanism for NvidiaMdev {
    fn look(&self, sys: &dyn Sysfs, gpu: &Gpu) -> Result<Split, AttributeError> {
        nvidia::wait_for_changes(sys, gpu)?;
        let parents = self.parents(sys, gpu.address)?;
        let made = self.made(sys, &parents, None)?;
        let types = match parents.values().next() {
            Some(parent) => types_of(sys, *parent)?,
            None => Vec::new(),
        };
        let most = match self {
            Self::OnFunctions => nvidia::most(gpu.total),
            Self::OnGpu => types.iter().filter_map(|one| one.kind.most).max().unwrap_or(0),
        };
        let (valid_counts, difference) = counts(gpu, &types, most);
        let mut parts = Vec::new();
        let mut sizes = Vec::new();
        for (index, (parent, uuid)) in made {
            let kind = type_of(sys, uuid)?.and_then(|folder| types.iter().find(|one| one.folder == folder));
            sizes.push(kind.and_then(|one| one.kind.most));
            let memory_bytes = kind.map(|one| one.memory_bytes);
            parts.push(Part { index, address: parent, device: uuid.into(), memory_bytes, size: None });
        }
        let one_size = sizes.iter().all(|size| sizes.first() == Some(size));
        let size = sizes.first().copied().flatten().filter(|_| one_size);
        Ok(Split {
            count: u16::try_from(parts.len()).ok(),
            unreadable: None,
            sized_for: size.and_then(|most| nvidia::sized_for(&valid_counts, most)),
            sizes_on_offer: Vec::new(),
            parts,
            valid_counts,
            most,
            contradiction: None,
            difference,
        })
    }

    fn name(&self, gpu: &GpuId, partitions: &mut Vec<ObservedPartition>) {
        if *self == Self::OnGpu {
            let uuids = partitions.iter().map(|partition| partition.device);
            let indexes = indexes(gpu, uuids);
            for partition in partitions.iter_mut() {
                partition.index = indexes.get(&partition.device).copied().unwrap_or(partition.index);
            }
            partitions.sort_by_key(|partition| partition.index);
        }
    }

    fn create(
        &self,
        kernel: &Kernel<'_>,
        gpu: Target<'_>,
        count: PartitionCount,
    ) -> Result<Outcome, HostError> {
        match self {
            Self::OnFunctions => {
                enable::functions(kernel, gpu.address)?;
            }
            Self::OnGpu => {}
        }
        self.create_on_parents(kernel, gpu, count)
    }

    fn remove(&self, kernel: &Kernel<'_>, gpu: Target<'_>, expected: u16) -> Result<Outcome, HostError> {
        let verb = Verb::Remove;
        let parents = kernel.look(verb, self.parents(kernel.sys, gpu.address))?;
        let made = kernel.look(verb, self.made(kernel.sys, &parents, Some(gpu.id)))?;
        if made.is_empty() {
            return Ok(Outcome::Already);
        }
        refuse_another_count(verb, &paths::device(gpu.address), expected, made.len())?;
        let devices: Vec<DeviceHandle> = made.values().map(|(_, uuid)| (*uuid).into()).collect();
        kernel.refuse_if_open(verb, &devices)?;
        for (_, uuid) in made.values().rev() {
            match remove_one(kernel, verb, *uuid) {
                Err(error) if *self == Self::OnFunctions && enable::is_wedged(&error) => {
                    return enable::off_with_all(kernel, verb, gpu.address);
                }
                result => result?,
            }
        }
        Ok(Outcome::Changed)
    }

    fn turn_off(&self, kernel: &Kernel<'_>, gpu: Target<'_>) -> Result<Outcome, HostError> {
        match self {
            Self::OnFunctions => enable::off(kernel, Verb::Disable, gpu.address),
            Self::OnGpu => Ok(Outcome::Already),
        }
    }

    fn prepare(
        &self,
        kernel: &Kernel<'_>,
        partition: &PartitionId,
        address: PciAddress,
    ) -> Result<Outcome, HostError> {
        self.find(kernel, Verb::Prepare, partition, address).map(|_| Outcome::Already)
    }

    /// The driver clears the memory that it gives to a new one.
    fn clean(
        &self,
        kernel: &Kernel<'_>,
        partition: &PartitionId,
        address: PciAddress,
    ) -> Result<Outcome, HostError> {
        let verb = Verb::Renew;
        let uuid = self.find(kernel, verb, partition, address)?;
        let path = paths::mdev(uuid, "mdev_type");
        let folder = kernel.look(verb, link_name(kernel.sys, &path))?;
        kernel.refuse_if_open(verb, &[uuid.into()])?;
        remove_one(kernel, verb, uuid)?;
        create_one(kernel, verb, address, &folder, uuid)?;
        kernel.refuse_lost(verb, address)?;
        Ok(Outcome::Changed)
    }
}

impl NvidiaMdev {
    /// On what partitions are made, by the index of the partition; of the GPU itself, one for all.
    fn parents(
        self,
        sys: &dyn Sysfs,
        gpu: PciAddress,
    ) -> Result<BTreeMap<PartitionIndex, PciAddress>, AttributeError> {
        match self {
            Self::OnFunctions => vfio::partitions(sys, gpu),
            Self::OnGpu => Ok(BTreeMap::from([(PartitionIndex(0), gpu)])),
        }
    }

    /// Without the GPU's name, those on the GPU itself are counted through.
    fn made(
        self,
        sys: &dyn Sysfs,
        parents: &BTreeMap<PartitionIndex, PciAddress>,
        id: Option<&GpuId>,
    ) -> Result<Made, AttributeError> {
        let mut made = Made::new();
        for (index, parent) in parents {
            let uuids = children(sys, *parent)?;
            match (self, id) {
                (Self::OnFunctions, _) => {
                    made.extend(uuids.first().map(|uuid| (*index, (*parent, *uuid))));
                }
                (Self::OnGpu, None) => {
                    let numbered = (0..).map(PartitionIndex).zip(uuids);
                    made.extend(numbered.map(|(index, uuid)| (index, (*parent, uuid))));
                }
                (Self::OnGpu, Some(id)) => {
                    let indexes = indexes(id, uuids.iter().map(|uuid| (*uuid).into()));
                    let index = |uuid: MdevUuid| Some((*indexes.get(&uuid.into())?, (*parent, uuid)));
                    made.extend(uuids.into_iter().filter_map(index));
                }
            }
        }
        Ok(made)
    }

    /// Makes those that are missing, on virtual functions that are there.
    pub(crate) fn create_on_parents(
        self,
        kernel: &Kernel<'_>,
        gpu: Target<'_>,
        count: PartitionCount,
    ) -> Result<Outcome, HostError> {
        let verb = Verb::Create;
        let asked = count.get();
        let parents = kernel.look(verb, self.parents(kernel.sys, gpu.address))?;
        let came = u16::try_from(parents.len()).unwrap_or(u16::MAX);
        if self == Self::OnFunctions && came < asked {
            return Err(HostError::TooFew { path: paths::num_vfs(gpu.address), asked, came });
        }
        let made = kernel.look(verb, self.made(kernel.sys, &parents, Some(gpu.id)))?;
        if made.keys().any(|index| index.0 >= asked) {
            return Err(another_count(verb, &paths::device(gpu.address), asked, made.len()));
        }
        let missing: Vec<PartitionIndex> =
            (0..asked).map(PartitionIndex).filter(|index| !made.contains_key(index)).collect();
        if missing.is_empty() {
            return Ok(Outcome::Already);
        }
        let folder = match made.values().next() {
            Some(_) => common_type(kernel, &made)?,
            None => best(kernel, parents.values().next().copied().unwrap_or(gpu.address), asked)?,
        };
        for index in missing {
            let parent = parents.get(&index).copied().unwrap_or(gpu.address);
            let uuid = MdevUuid::of(&PartitionId::new(gpu.id, index));
            create_one(kernel, Verb::Size, parent, &folder, uuid)?;
        }
        Ok(Outcome::Changed)
    }

    /// The mediated device of a partition, where it was.
    fn find(
        self,
        kernel: &Kernel<'_>,
        verb: Verb,
        partition: &PartitionId,
        address: PciAddress,
    ) -> Result<MdevUuid, HostError> {
        let index = match self {
            Self::OnFunctions => {
                refuse_moved(kernel, verb, partition, address)?;
                PartitionIndex(0)
            }
            Self::OnGpu => {
                kernel.refuse_another_gpu(verb, address, &partition.gpu)?;
                partition.index
            }
        };
        let parents = BTreeMap::from([(PartitionIndex(0), address)]);
        let made = kernel.look(verb, self.made(kernel.sys, &parents, Some(&partition.gpu)))?;
        match made.get(&index) {
            Some((_, uuid)) => Ok(*uuid),
            None => {
                let cause =
                    AttributeError::malformed(&paths::device(address), "", "the parent of a partition");
                Err(HostError::Unreadable { verb, cause })
            }
        }
    }
}

/// Those of Divvy have the index that their UUID was derived from; others get what is left.
fn indexes(
    gpu: &GpuId,
    devices: impl Iterator<Item = DeviceHandle>,
) -> BTreeMap<DeviceHandle, PartitionIndex> {
    let devices: Vec<DeviceHandle> = devices.collect();
    let own = |index: &PartitionIndex| DeviceHandle::Mdev(MdevUuid::of(&PartitionId::new(gpu, *index)));
    let all =
        (0..u16::try_from(devices.len()).unwrap_or(u16::MAX).max(nvidia::most(u16::MAX))).map(PartitionIndex);
    let mut named: BTreeMap<DeviceHandle, PartitionIndex> = BTreeMap::new();
    let mut left = Vec::new();
    for index in all {
        match own(&index) {
            device if devices.contains(&device) => drop(named.insert(device, index)),
            _ => left.push(index),
        }
    }
    let mut left = left.into_iter();
    for device in devices {
        if !named.contains_key(&device) {
            named.extend(left.next().map(|index| (device, index)));
        }
    }
    named
}

/// The mediated devices on a parent.
fn children(sys: &dyn Sysfs, parent: PciAddress) -> Result<Vec<MdevUuid>, AttributeError> {
    let path = paths::device(parent);
    let names = sys.list(&path).map_err(|cause| AttributeError::unreadable(&path, cause))?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The types that a parent knows, whether it can make one now or not.
fn types_of(sys: &dyn Sysfs, parent: PciAddress) -> Result<Vec<MdevType>, AttributeError> {
    let path = paths::mdev_types(parent);
    let folders = optional(sys.list(&path).map_err(|cause| AttributeError::unreadable(&path, cause)))?;
    let mut types = Vec::new();
    for folder in folders.unwrap_or_default() {
        let file = |name| text(sys, &paths::mdev_type(parent, &folder, name));
        // `nvidia-558`; some kernels put the name of the driver's driver before the number.
        let id = folder.rsplit('-').next().and_then(parse_decimal);
        let Some(kind) = id.and_then(|id| Type::parse(id, &file("name").ok()?)) else { continue };
        let (mib, most) = types::parse_description(&file("description")?);
        let memory_bytes = mib.map_or(u64::from(kind.gib) << 30, |mib: u32| u64::from(mib) << 20);
        types.push(MdevType { folder, kind: Type { most, ..kind }, memory_bytes });
    }
    Ok(types)
}

/// The folder of the type that a mediated device has; None: it has just gone.
fn type_of(sys: &dyn Sysfs, uuid: MdevUuid) -> Result<Option<String>, AttributeError> {
    optional(link_name(sys, &paths::mdev(uuid, "mdev_type")))
}

/// What the driver says, once it says something.
fn counts(gpu: &Gpu, types: &[MdevType], most: u16) -> (ValidPartitionCounts, Option<String>) {
    let known = catalogue_counts(gpu.entry, most);
    let mut counts: Vec<u16> = types.iter().filter_map(|one| one.kind.most).filter(|n| *n > 0).collect();
    if counts.is_empty() {
        return (known, None);
    }
    counts.iter_mut().for_each(|count| *count = (*count).min(most));
    counts.sort_unstable();
    counts.dedup();
    let difference = gpu.entry.and_then(|_| nvidia::difference(&known, &counts));
    let counts = counts.into_iter().filter_map(PartitionCount::new).collect();
    (ValidPartitionCounts::new(counts, CountSource::Driver), difference)
}

fn best(kernel: &Kernel<'_>, parent: PciAddress, count: u16) -> Result<String, HostError> {
    let types = kernel.look(Verb::Create, types_of(kernel.sys, parent))?;
    let kinds: Vec<Type> = types.iter().map(|one| one.kind.clone()).collect();
    let whole = kinds.iter().map(|one| one.gib).max().unwrap_or(0);
    let best = types::best(&kinds, count, whole).map(|best| best.id);
    match types.iter().find(|one| best == Some(one.kind.id)) {
        Some(one) => Ok(one.folder.clone()),
        None => {
            let (path, offered) = (paths::mdev_types(parent), types::names(&kinds));
            Err(HostError::NoType { path, count, offered })
        }
    }
}

/// The type of those that are there, if it is one.
fn common_type(kernel: &Kernel<'_>, made: &Made) -> Result<String, HostError> {
    let verb = Verb::Create;
    let mut common: Option<String> = None;
    for (_, uuid) in made.values() {
        let path = paths::mdev(*uuid, "mdev_type");
        let found = kernel.look(verb, link_name(kernel.sys, &path))?;
        match &common {
            Some(expected) if *expected != found => {
                return Err(HostError::OtherType { verb, path, expected: expected.clone(), found });
            }
            _ => common = Some(found),
        }
    }
    Ok(common.unwrap_or_default())
}

fn create_one(
    kernel: &Kernel<'_>,
    verb: Verb,
    parent: PciAddress,
    folder: &str,
    uuid: MdevUuid,
) -> Result<(), HostError> {
    let path = paths::mdev_type(parent, folder, "create");
    kernel.write_patiently(verb, &path, &uuid.to_string())?;
    kernel.wait_until(verb, || {
        let found = kernel.look(verb, type_of(kernel.sys, uuid))?;
        let there = found.as_deref() == Some(folder)
            && kernel.sys.exists(&paths::attribute(parent, &uuid.to_string()));
        Ok((!there).then(|| format!("{uuid} has not come as {folder} of {parent}")))
    })
}

/// The driver removes one by itself when its VM ends, so that one that is gone is removed.
fn remove_one(kernel: &Kernel<'_>, verb: Verb, uuid: MdevUuid) -> Result<(), HostError> {
    match kernel.write_patiently(verb, &paths::mdev(uuid, "remove"), "1") {
        Err(HostError::Kernel { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {}
        result => result?,
    }
    kernel.wait_until(verb, || {
        let left = kernel.sys.exists(&paths::mdev_folder(uuid));
        Ok(left.then(|| format!("{uuid} is left")))
    })
}

#[cfg(test)]
mod tests;
