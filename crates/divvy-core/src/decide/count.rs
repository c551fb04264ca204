//! Setting the partition count, or the sizes, of one GPU or many: all of it or none of it.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::assignment::Hold;
use crate::change::{Change, Edit};
use crate::desired::{AskedCount, PartitionSetting};
use crate::finding::{Severity, Subject};
use crate::id::ServerId;
use crate::observed::{GpuHealth, Observed, ObservedGpu};
use crate::refusal::Refusal;
use crate::request::{CountWish, GpuSelection};
use crate::resolve;
use crate::rules::count_change::{Blockers, blockers};
use crate::rules::whole_or_partitions::{Whole, is_kept_whole};
use crate::rules::{homogeneous, same_scheme, sizes, valid_count};
use crate::split::Split;
use crate::state::State;

type Selected<'s> = Vec<(&'s ServerId, &'s ObservedGpu)>;

pub fn set(state: &State, gpus: &GpuSelection, wish: &CountWish) -> Result<Change, Refusal> {
    let selected = select(state, gpus)?;
    if selected.is_empty() {
        return Err(Refusal::NothingSelected);
    }
    if *wish != CountWish::Off {
        homogeneous::one_model(selected.iter().copied())?;
    }
    let mut in_the_way = Blockers::default();
    let mut edits = Vec::new();
    let mut whole_of = BTreeMap::new();
    for (server, gpu) in selected {
        let Some(observed) = state.observed.get(server) else { continue };
        let desired = state.desired_of(server);
        let whole = whole_of.entry(server).or_insert_with(|| Whole::of(desired, observed));
        let asked = desired.and_then(|desired| desired.settings.get(&gpu.id)).copied();
        let setting = may_have(whole, observed, gpu, wish, asked)?;
        let is_whole = setting != PartitionSetting::Off || gpu.is_off();
        let has = sizes::has(setting, gpu) == Ok(true) && is_whole;
        let is_other_scheme = asked.is_some_and(|asked| same_scheme::differ(asked, setting));
        if has && !is_other_scheme && asked.map(PartitionSetting::split) == Some(setting.split()) {
            continue;
        }
        if !has || is_other_scheme {
            in_the_way.extend(blockers(desired, observed, gpu));
            edits.extend(cured_quarantines(state, server, gpu));
        }
        edits.push(Edit::SetCount {
            server: server.clone(),
            gpu: gpu.id.clone(),
            setting: Some(setting),
            before: asked,
        });
    }
    in_the_way.into_result()?;
    let mut change = Change::of(edits, &state.desired);
    change.warnings = uneven_after(state, &change);
    Ok(change)
}

fn select<'s>(state: &'s State, gpus: &GpuSelection) -> Result<Selected<'s>, Refusal> {
    match gpus {
        GpuSelection::All => {
            let kept_whole =
                |server: &ServerId, gpu: &ObservedGpu| is_kept_whole(state.desired_of(server), &gpu.id);
            let counts =
                |(server, gpu): &(&ServerId, &ObservedGpu)| gpu.scheme.is_some() && !kept_whole(server, gpu);
            Ok(state.gpus().filter(counts).collect())
        }
        GpuSelection::Named(names) => {
            let mut selected = Selected::new();
            for name in names {
                let found = resolve::gpu(state, name)?;
                if !selected.iter().any(|(_, known)| known.id == found.1.id) {
                    selected.push(found);
                }
            }
            Ok(selected)
        }
    }
}

/// The rules about this GPU alone; what it shall be, if they allow it.
fn may_have(
    whole: &Whole<'_>,
    observed: &Observed,
    gpu: &ObservedGpu,
    wish: &CountWish,
    asked: Option<PartitionSetting>,
) -> Result<PartitionSetting, Refusal> {
    whole.may_partition(gpu)?;
    if let GpuHealth::Unknown { reason } = &gpu.health {
        return Err(Refusal::GpuUnknown { gpu: gpu.id.clone(), reason: reason.clone() });
    }
    if gpu.scheme.is_none() {
        return Err(Refusal::GpuNotPartitionable { gpu: gpu.id.clone(), why: why_not(observed, gpu) });
    }
    match wish {
        CountWish::Off => Ok(PartitionSetting::Off),
        CountWish::Count(count) => {
            let gpu = same_scheme::as_it_will_be(asked, gpu);
            let split = Split::Equal(valid_count::check(&gpu, *count)?);
            Ok(PartitionSetting::Count(AskedCount { split, scheme: gpu.scheme }))
        }
        CountWish::Sizes(wanted) => {
            let gpu = same_scheme::as_it_will_be(asked, gpu);
            let split = sizes::check(&gpu, wanted)?;
            Ok(PartitionSetting::Count(AskedCount { split, scheme: gpu.scheme }))
        }
    }
}

fn why_not(observed: &Observed, gpu: &ObservedGpu) -> alloc::string::String {
    let about = Subject::Gpu(gpu.id.clone());
    let told = observed.findings.iter().find(|f| f.subject == about && f.severity >= Severity::Warning);
    told.map_or_else(
        || "its driver and hardware offer no partitions".to_string(),
        |finding| finding.text.clone(),
    )
}

/// A new count makes new partitions, so what was quarantined is gone with the old ones.
fn cured_quarantines(state: &State, server: &ServerId, gpu: &ObservedGpu) -> Vec<Edit> {
    let Some(desired) = state.desired_of(server) else { return Vec::new() };
    let of_gpu = desired.holds.iter().filter(|(partition, _)| partition.gpu == gpu.id);
    of_gpu
        .filter(|(_, hold)| matches!(hold, Hold::Quarantined { .. } | Hold::Remaking { .. }))
        .map(|(partition, _)| Edit::RemoveHold { server: server.clone(), partition: partition.clone() })
        .collect()
}

/// What stays or becomes uneven by this change; on the way to an even set that is a warning.
fn uneven_after(state: &State, change: &Change) -> Vec<crate::finding::Finding> {
    let mut after = state.clone();
    match change.apply(&mut after.desired) {
        Ok(()) => homogeneous::findings(&after),
        Err(_) => Vec::new(),
    }
}
