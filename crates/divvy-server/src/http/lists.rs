//! The lists of what is now: GPUs, partitions, VMs, findings. Each is made from one published moment,
//! narrowed by what was asked for, and answered in pages.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use divvy_api::paths;
use divvy_api::queries::{FindingQuery, GpuQuery, ListQuery, PartitionQuery, PoolQuery, VmQuery};
use divvy_api::views::{FindingView, GpuView, PartitionView, PoolGpuView, PoolView, VmView};
use divvy_core::finding::{Finding, Subject};
use divvy_core::id::ServerId;

use super::app::App;
use super::body::Asked;
use super::error::Failed;
use super::page::{Row, has, is, page};
use crate::{findings, views};

/// Every GPU of every server
///
/// By server and address.
#[utoipa::path(get, path = paths::GPUS, tag = "GPUs", params(GpuQuery),
    responses((status = 200, description = "The GPUs.", body = [GpuView])))]
pub async fn gpus(State(app): State<App>, Asked(query): Asked<GpuQuery>) -> Result<Response, Failed> {
    query.validate()?;
    let meant = |gpu: &GpuView| {
        let names = [&*gpu.id, &gpu.name, &gpu.model, gpu.serial.as_deref().unwrap_or_default()];
        is(query.server.as_ref(), &gpu.server)
            && is(query.vendor.as_ref(), &gpu.vendor)
            && is(query.model.as_ref(), &gpu.model)
            && is(query.mode.as_ref(), &gpu.mode)
            && has(query.q.as_deref(), &names)
    };
    let views = views::gpus(&app.hub.state()).into_iter().filter(meant);
    let row = |view: GpuView| Row { key: gpu_key(&view.server, &view.pci_address), view };
    page(views.map(row).collect(), &query, paths::GPUS)
}

/// Addresses in the order of the bus, also where some have longer numbers than others.
pub fn gpu_key(server: &str, address: &str) -> String {
    format!("{server}\0{address:0>16}")
}

/// Every partition of every GPU
///
/// By server, the GPU's address and index.
#[utoipa::path(get, path = paths::PARTITIONS, tag = "GPUs", params(PartitionQuery),
    responses((status = 200, description = "The partitions.", body = [PartitionView])))]
pub async fn partitions(
    State(app): State<App>,
    Asked(query): Asked<PartitionQuery>,
) -> Result<Response, Failed> {
    query.validate()?;
    let meant = |partition: &PartitionView| {
        let vm = [&partition.vm, &partition.vm_name];
        is(query.server.as_ref(), &partition.server)
            && is(query.gpu.as_ref(), &partition.gpu)
            && is(query.state.as_ref(), &partition.state)
            && (query.vm.is_none() || vm.contains(&&query.vm))
            && has(query.q.as_deref(), &[&partition.id, partition.vm_name.as_deref().unwrap_or_default()])
    };
    let state = app.hub.state();
    let keys: BTreeMap<(&str, &str), String> = state
        .gpus()
        .map(|(server, gpu)| {
            ((server.as_str(), gpu.id.as_str()), gpu_key(server.as_str(), &gpu.address.to_string()))
        })
        .collect();
    let rows = views::partitions(&state).into_iter().filter(meant).map(|view| {
        let gpu_key = keys.get(&(view.server.as_str(), view.gpu.as_str())).map_or("", String::as_str);
        Row { key: format!("{gpu_key}\0{:05}", view.index), view }
    });
    page(rows.collect(), &query, paths::PARTITIONS)
}

/// Every VM of every server
///
/// By server, name and id.
#[utoipa::path(get, path = paths::VMS, tag = "VMs", params(VmQuery),
    responses((status = 200, description = "The VMs.", body = [VmView])))]
pub async fn vms(State(app): State<App>, Asked(query): Asked<VmQuery>) -> Result<Response, Failed> {
    query.validate()?;
    let meant = |vm: &VmView| {
        let has_gpu = |id: &String| vm.assignment.as_ref().is_some_and(|one| one.gpus.contains(id));
        is(query.server.as_ref(), &vm.server)
            && query.gpu.as_ref().is_none_or(has_gpu)
            && is(query.power.as_ref(), &vm.power)
            && is(query.managed.as_ref(), &vm.managed)
            && has(query.q.as_deref(), &[&vm.id, &vm.name])
    };
    let views = views::vms(&app.hub.state()).into_iter().filter(meant);
    let row = |view: VmView| Row { key: format!("{}\0{}\0{}", view.server, view.name, view.id), view };
    page(views.map(row).collect(), &query, paths::VMS)
}

/// Every pool of whole GPUs
///
/// By name, each with its GPUs.
#[utoipa::path(get, path = paths::POOLS, tag = "Pools", params(PoolQuery),
    responses((status = 200, description = "The pools.", body = [PoolView])))]
pub async fn pools(State(app): State<App>, Asked(query): Asked<PoolQuery>) -> Result<Response, Failed> {
    query.validate()?;
    let meant = |pool: &PoolView| {
        let on_server = |gpu: &PoolGpuView| is(query.server.as_ref(), &gpu.server);
        pool.gpus.iter().any(on_server) && has(query.q.as_deref(), &[&pool.name])
    };
    let views = views::pools(&app.hub.state()).into_iter().filter(meant);
    let row = |view: PoolView| Row { key: view.name.clone(), view };
    page(views.map(row).collect(), &query, paths::POOLS)
}

/// Everything that somebody should know
///
/// The worst first, then by code and by what it is about.
#[utoipa::path(get, path = paths::CHECK, tag = "Findings", params(FindingQuery),
    responses((status = 200, description = "The findings.", body = [FindingView])))]
pub async fn check(State(app): State<App>, Asked(query): Asked<FindingQuery>) -> Result<Response, Failed> {
    query.validate()?;
    let located = findings::findings(&app.hub.state());
    let rows = located.into_iter().filter_map(|(server, finding)| {
        let view = FindingView::from(&finding);
        is_meant(&query, server.as_ref(), &finding, &view).then(|| {
            let rank = u8::MAX - finding.severity as u8;
            Row { key: format!("{rank:03}{}", view.id), view }
        })
    });
    page(rows.collect(), &query, paths::CHECK)
}

fn is_meant(query: &FindingQuery, server: Option<&ServerId>, finding: &Finding, view: &FindingView) -> bool {
    let gpu = match &finding.subject {
        Subject::Gpu(id) => Some(id.as_str()),
        Subject::Partition(id) => Some(id.gpu.as_str()),
        _ => None,
    };
    let vm = match &finding.subject {
        Subject::Vm(id) => Some(id.as_str()),
        _ => None,
    };
    is(query.code.as_ref(), &view.code)
        && is(query.severity.as_ref(), &view.severity)
        && (query.server.is_none() || server.map(ServerId::as_str) == query.server.as_deref())
        && (query.gpu.is_none() || gpu == query.gpu.as_deref())
        && (query.vm.is_none() || vm == query.vm.as_deref())
        && has(query.q.as_deref(), &[&view.code, &view.text, view.subject.id.as_deref().unwrap_or_default()])
}
