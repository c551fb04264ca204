//! Everything that changes what was asked for: read, checked for shape, and put before `admit`.

use axum::http::StatusCode;
use axum::response::Response;
use divvy_api::paths;
use divvy_api::queries::DryRunQuery;
use divvy_api::requests::{
    Assign, AssignOne, GpuSelection as WireSelection, SetPartitionCount, SetPartitionCounts, Setting,
    Unassign,
};
use divvy_api::views::{Accepted, PlanView};
use divvy_core::finding::FindingCode;
use divvy_core::request::{CountWish, GpuSelection, Request};

use super::asker::Asker;
use super::body::{Asked, Body, Name};
use super::error::Failed;
use super::openapi::Done;
use crate::terms::Object;

fn wish(setting: Setting) -> CountWish {
    match setting {
        Setting::Off => CountWish::Off,
        Setting::Count(count) => CountWish::Count(count),
        Setting::Sizes(sizes) => CountWish::Sizes(sizes),
    }
}

pub fn codes(accept: &[String]) -> Result<std::collections::BTreeSet<FindingCode>, Failed> {
    let parsed = accept.iter().map(|text| text.parse::<FindingCode>());
    parsed.collect::<Result<_, _>>().map_err(|error| {
        Failed::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "finding_code_malformed",
            error.to_string(),
            "divvy check shows the codes",
        )
    })
}

/// Split one GPU into partitions, or stop splitting it
#[utoipa::path(put, path = paths::PARTITION_COUNT, tag = "GPUs",
    params(("gpu" = Name, Path, description = "Id, name or address of the GPU.")),
    request_body = SetPartitionCount,
    responses((status = 200, description = "It is so already, or the plan of a dry run.", body = Done),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`gpu_not_found`"),
        (status = 409, description = "`count_not_valid`, `sizes_not_possible`, `sizes_do_not_fit`, \
            `gpu_ambiguous`, `gpu_not_partitionable`, `partitions_assigned`, `partitions_open`, `gpu_used_whole`, `gpu_unknown`, `busy`")))]
pub async fn set_count(
    Name(gpu): Name,
    asker: Asker,
    Body(body): Body<SetPartitionCount>,
) -> Result<Response, Failed> {
    let wish = wish(body.validate()?);
    let ask = asker.with(&body, Some(Object::Gpu(gpu.clone())))?;
    let request = Request::SetPartitionCount { gpus: GpuSelection::Named(vec![gpu]), wish };
    ask.change(request, body.dry_run).await
}

/// Split GPUs into partitions, or stop splitting them
///
/// All of them or none: one GPU that cannot be split so refuses the whole.
#[utoipa::path(post, path = paths::PARTITION_COUNTS, tag = "GPUs",
    request_body = SetPartitionCounts,
    responses((status = 200, description = "It is so already, or the plan of a dry run.", body = Done),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`gpu_not_found`"),
        (status = 409, description = "`count_not_valid`, `sizes_not_possible`, `sizes_do_not_fit`, \
            `gpu_ambiguous`, `gpu_not_partitionable`, `partitions_assigned`, `partitions_open`, `models_differ`, `gpu_used_whole`, `gpu_unknown`, \
            `busy`")))]
pub async fn set_counts(asker: Asker, Body(body): Body<SetPartitionCounts>) -> Result<Response, Failed> {
    let wish = wish(body.validate()?);
    let ask = asker.with(&body, None)?;
    let gpus = match body.gpus {
        WireSelection::All => GpuSelection::All,
        WireSelection::Named(names) => GpuSelection::Named(names),
    };
    ask.change(Request::SetPartitionCount { gpus, wish }, body.dry_run).await
}

/// Give a VM a partition
///
/// Divvy picks it; the GPU may be wished for.
#[utoipa::path(post, path = paths::ASSIGNMENT, tag = "VMs",
    params(("vm" = Name, Path, description = "Id or name of the VM.")),
    request_body = AssignOne,
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`, `gpu_not_found`"),
        (status = 409, description = "`vm_has_partition`, `no_free_partition`, `no_partition_large_enough`, `not_ready`, `not_accepted`, \
            `other_server`, `vm_ambiguous`, `gpu_ambiguous`, `gpu_used_whole`, `gpu_unknown`, \
            `gpu_not_partitionable`, `hypervisor_unavailable`, `busy`")))]
pub async fn assign_one(
    Name(vm): Name,
    asker: Asker,
    Body(body): Body<AssignOne>,
) -> Result<Response, Failed> {
    body.validate()?;
    let accept = codes(&body.accept)?;
    let ask = asker.with(&body, Some(Object::Vm(vm.clone())))?;
    let AssignOne { gpu, memory_bytes, partition, dry_run, .. } = body;
    let request = Request::Assign { vms: vec![vm], gpu, memory_bytes, partition, accept };
    ask.change(request, dry_run).await
}

/// Give VMs a partition each
///
/// All of them or none.
#[utoipa::path(post, path = paths::ASSIGNMENTS, tag = "VMs",
    request_body = Assign,
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`, `gpu_not_found`"),
        (status = 409, description = "`vm_has_partition`, `no_free_partition`, `no_partition_large_enough`, `not_ready`, `not_accepted`, \
            `other_server`, `vm_ambiguous`, `gpu_ambiguous`, `gpu_used_whole`, `gpu_unknown`, \
            `gpu_not_partitionable`, `hypervisor_unavailable`, `busy`")))]
pub async fn assign(asker: Asker, Body(body): Body<Assign>) -> Result<Response, Failed> {
    body.validate()?;
    let accept = codes(&body.accept)?;
    let ask = asker.with(&body, None)?;
    let Assign { vms, gpu, memory_bytes, partition, dry_run, .. } = body;
    let request = Request::Assign { vms, gpu, memory_bytes, partition, accept };
    ask.change(request, dry_run).await
}

/// Take a VM's partition back
#[utoipa::path(delete, path = paths::ASSIGNMENT, tag = "VMs",
    params(("vm" = Name, Path, description = "Id or name of the VM."), DryRunQuery),
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`"),
        (status = 409, description = "`vm_has_no_partition`, `vm_ambiguous`, `hypervisor_unavailable`, `busy`")))]
pub async fn unassign_one(
    Name(vm): Name,
    Asked(query): Asked<DryRunQuery>,
    asker: Asker,
) -> Result<Response, Failed> {
    let ask = asker.with(&(), Some(Object::Vm(vm.clone())))?;
    ask.change(Request::Unassign { vms: vec![vm] }, query.dry_run).await
}

/// Take the partitions of VMs back
///
/// All of them or none.
#[utoipa::path(post, path = paths::UNASSIGNMENTS, tag = "VMs",
    request_body = Unassign,
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`"),
        (status = 409, description = "`vm_has_no_partition`, `vm_ambiguous`, `hypervisor_unavailable`, `busy`")))]
pub async fn unassign(asker: Asker, Body(body): Body<Unassign>) -> Result<Response, Failed> {
    body.validate()?;
    let ask = asker.with(&body, None)?;
    ask.change(Request::Unassign { vms: body.vms }, body.dry_run).await
}
