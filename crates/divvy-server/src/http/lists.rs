//! The lists of what is now: GPUs, partitions, VMs, findings. Each is made from one published moment,
//! narrowed by what was asked for, and answered in pages.

use axum::extract::State;
use axum::response::Response;
use divvy_api::paths;
use divvy_api::queries::{FindingQuery, GpuQuery, ListQuery, PartitionQuery, PoolQuery, VmQuery};
use divvy_api::views::{FindingView, GpuView, PartitionView, PoolGpuView, PoolView, VmView};
use divvy_core::finding::{Finding, Subject};
use divvy_core::id::ServerId;
use divvy_core::observed::ObservedGpu;
use divvy_core::state::State as Moment;
use serde::Serialize;

use super::app::App;
use super::body::Asked;
use super::error::Failed;
use super::page::{Page, Row, has, is, page};
use crate::views::Assignments;
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
        is(query.vendor.as_ref(), &gpu.vendor)
            && is(query.model.as_ref(), &gpu.model)
            && is(query.mode.as_ref(), &gpu.mode)
            && has(query.q.as_deref(), &names)
    };
    let state = app.hub.state();
    let row = |view: GpuView| Row { key: gpu_key(&view.server, &view.pci_address), view };
    by_server(&state, &query, (query.server.as_deref(), paths::GPUS), |server| {
        views::gpus_of(&state, server).into_iter().filter(meant).map(row).collect()
    })
}

/// A list that is in the order of servers first: made server by server, and only those that the page needs.
fn by_server<V: Serialize, Q: ListQuery + Serialize>(
    state: &Moment,
    query: &Q,
    (asked, route): (Option<&str>, &str),
    rows: impl Fn(&ServerId) -> Vec<Row<V>>,
) -> Result<Response, Failed> {
    let mut page = Page::begin(query)?;
    for server in state.observed.keys().filter(|server| is(asked, server.as_str())) {
        if !page.is_past(&format!("{server}\0")) {
            page.add(rows(server));
        }
        if page.is_full() {
            break;
        }
    }
    Ok(page.end(query, route))
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
        is(query.state.as_ref(), &partition.state)
            && (query.vm.is_none() || vm.contains(&&query.vm))
            && has(query.q.as_deref(), &[&partition.id, partition.vm_name.as_deref().unwrap_or_default()])
    };
    let state = app.hub.state();
    let asked_gpu = |gpu: &ObservedGpu| is(query.gpu.as_deref(), gpu.id.as_str());
    by_server(&state, &query, (query.server.as_deref(), paths::PARTITIONS), |server| {
        let of_gpu = |(gpu, views): (&ObservedGpu, Vec<PartitionView>)| {
            let gpu_key = gpu_key(server.as_str(), &gpu.address.to_string());
            let row = move |view: PartitionView| Row { key: format!("{gpu_key}\0{:05}", view.index), view };
            views.into_iter().filter(meant).map(row).collect::<Vec<_>>()
        };
        views::partitions_of(&state, server, asked_gpu).into_iter().flat_map(of_gpu).collect()
    })
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
        query.gpu.as_ref().is_none_or(has_gpu)
            && is(query.power.as_ref(), &vm.power)
            && is(query.managed.as_ref(), &vm.managed)
            && has(query.q.as_deref(), &[&vm.id, &vm.name])
    };
    let state = app.hub.state();
    let assignments = Assignments::of(&state);
    // Ids say nothing to whoever reads the list.
    let row = |view: VmView| Row { key: format!("{}\0{}\0{}", view.server, view.name, view.id), view };
    by_server(&state, &query, (query.server.as_deref(), paths::VMS), |server| {
        views::vms_of(&state, server, &assignments).into_iter().filter(meant).map(row).collect()
    })
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
