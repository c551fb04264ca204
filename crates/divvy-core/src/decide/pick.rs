//! Which partition a VM gets. Where memory is asked for, the smallest free one that has as much. Else one
//! of a GPU with equal partitions before one of a GPU with different ones, of which the smallest. Of GPUs
//! that are alike in this, the one with the fewest free partitions that still has one, so that whole GPUs
//! stay idle and can change their count; in it the lowest index.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::catalogue::in_gib;
use crate::finding::{Finding, Severity, Subject};
use crate::id::{PartitionId, PartitionIndex, ServerId};
use crate::observed::{Observed, ObservedGpu, ObservedPartition};
use crate::refusal::{Refusal, SizesRefusal};
use crate::rules::sizes;
use crate::state::State;
use crate::status;
use crate::vm::ObservedVm;

/// What is wished for of the partition.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'w> {
    pub gpu: Option<&'w ObservedGpu>,
    pub memory_bytes: Option<u64>,
}

/// The first of several in this order is picked.
type Rank = (u64, bool, usize);

pub fn pick<'o>(
    state: &State,
    server: &ServerId,
    observed: &'o Observed,
    vm: &ObservedVm,
    wish: Wish<'_>,
) -> Result<(&'o ObservedGpu, &'o ObservedPartition), Refusal> {
    let mut why = Vec::new();
    let mut too_small = Vec::new();
    let partitions = status::Partitions::of(state.desired_of(server), observed);
    let mut best: Option<(Rank, &ObservedGpu, &ObservedPartition)> = None;
    for gpu in observed.gpus.iter().filter(|gpu| wish.gpu.is_none_or(|wished| wished.id == gpu.id)) {
        let free = match free_partitions(&partitions, observed, gpu) {
            Ok(free) => free,
            Err(reason) => {
                why.push(format!("GPU {}: {reason}", gpu.id));
                continue;
            }
        };
        let is_enough = |one: &&&ObservedPartition| {
            wish.memory_bytes.is_none_or(|asked| gpu.memory_of(one).is_some_and(|has| has >= asked))
        };
        let smallest = free.iter().filter(is_enough).min_by_key(|one| (gpu.memory_of(one), one.index));
        let Some(smallest) = smallest else {
            too_small.extend(free.iter().map(|one| (gpu, gpu.memory_of(one))));
            continue;
        };
        let memory = wish.memory_bytes.and(gpu.memory_of(smallest)).unwrap_or(0);
        let rank = (memory, sizes::are_different(gpu), free.len());
        if best.is_none_or(|(least, ..)| rank < least) {
            best = Some((rank, gpu, smallest));
        }
    }
    match (best, wish.memory_bytes) {
        (Some((_, gpu, partition)), _) => Ok((gpu, partition)),
        (None, Some(asked)) if !too_small.is_empty() => Err(not_large_enough(vm, server, asked, &too_small)),
        (None, _) => {
            if why.is_empty() {
                why.push("the server has no GPU".to_string());
            }
            Err(Refusal::NoFreePartition { vm: vm.name.clone(), server: server.clone(), why })
        }
    }
}

/// Names each size that is free, of each GPU.
fn not_large_enough(
    vm: &ObservedVm,
    server: &ServerId,
    asked: u64,
    free: &[(&ObservedGpu, Option<u64>)],
) -> Refusal {
    let mut tally: BTreeMap<(String, Option<u64>), usize> = BTreeMap::new();
    for (gpu, memory) in free {
        *tally.entry((gpu.id.to_string(), *memory)).or_default() += 1;
    }
    let in_words = |((gpu, memory), many): ((String, Option<u64>), usize)| match memory {
        Some(memory) => format!("GPU {gpu} has {many} free of {}", in_gib(memory)),
        None => format!("GPU {gpu} has {many} free of a size that is not told"),
    };
    SizesRefusal::NoneLargeEnough {
        vm: vm.name.clone(),
        server: server.clone(),
        asked: in_gib(asked),
        why: tally.into_iter().map(in_words).collect(),
        largest: free.iter().filter_map(|(_, memory)| *memory).max(),
    }
    .into()
}

/// The free partitions of a GPU by index, or why it has none.
fn free_partitions<'o>(
    partitions: &status::Partitions<'_>,
    observed: &'o Observed,
    gpu: &'o ObservedGpu,
) -> Result<Vec<&'o ObservedPartition>, String> {
    partitions.gives(gpu)?;
    if !partitions.is_kept(gpu) {
        sizes::adopted(gpu)?;
    }
    // Another hand can have made some with gaps; what lies beyond the count is not Divvy's to keep.
    let counts = |one: &ObservedPartition| gpu.partition_count.is_some_and(|count| one.index.0 < count);
    let errors = errors_of_partitions(observed, gpu);
    let (mut fit, mut unfit) = (Vec::new(), None);
    for one in gpu.partitions.iter().filter(|one| counts(one) && partitions.is_free(gpu, one)) {
        match errors.get(&one.index) {
            None => fit.push(one),
            Some(finding) => {
                let id = PartitionId::new(&gpu.id, one.index);
                unfit.get_or_insert_with(|| format!("{id} is free, but {}", finding.text));
            }
        }
    }
    if fit.is_empty() {
        return Err(
            unfit.unwrap_or_else(|| format!("none of its {} partitions is free", gpu.partitions.len()))
        );
    }
    fit.sort_by_key(|partition| partition.index);
    Ok(fit)
}

/// What is wrong with partitions of this GPU, so that no VM gets them: of each the first that was found.
fn errors_of_partitions<'o>(
    observed: &'o Observed,
    gpu: &ObservedGpu,
) -> BTreeMap<PartitionIndex, &'o Finding> {
    let errors = observed.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let of_gpu = errors.filter_map(|finding| match &finding.subject {
        Subject::Partition(id) if id.gpu == gpu.id => Some((id.index, finding)),
        _ => None,
    });
    // Of two with one index the later one stays.
    of_gpu.rev().collect()
}

#[cfg(test)]
mod tests;
