//! Whole GPUs, their pools, and partitions that have to be cured: read, checked for shape, and put before
//! `admit`.

use axum::response::Response;
use divvy_api::paths;
use divvy_api::queries::DryRunQuery;
use divvy_api::requests::{AssignDda, ChangePool, CreatePool, Cure};
use divvy_api::views::{Accepted, PlanView};
use divvy_core::request::{PoolWish, Request, WholeWish};

use super::asker::Asker;
use super::body::{Asked, Body, Name};
use super::changes::codes;
use super::error::Failed;
use super::openapi::Done;
use crate::terms::Object;

/// Give a VM whole GPUs
///
/// With everything in their slots: GPUs of the VM's server by name, or so many of a pool, from now on or
/// whenever the VM starts.
#[utoipa::path(post, path = paths::DDA, tag = "VMs",
    params(("vm" = Name, Path, description = "Id or name of the VM.")),
    request_body = AssignDda,
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`, `gpu_not_found`, `pool_not_found`"),
        (status = 409, description = "`vm_has_partition`, `vm_has_whole_gpu`, `gpu_partitioned`, \
            `gpu_used_whole`, `gpu_unknown`, `no_free_gpu`, `pool_too_small`, `vm_has_claim`, `not_ready`, `not_accepted`, `other_server`, \
            `vm_ambiguous`, `gpu_ambiguous`, `hypervisor_unavailable`, `busy`")))]
pub async fn assign_dda(
    Name(vm): Name,
    asker: Asker,
    Body(body): Body<AssignDda>,
) -> Result<Response, Failed> {
    body.validate()?;
    let accept = codes(&body.accept)?;
    let ask = asker.with(&body, Some(Object::Vm(vm.clone())))?;
    let wish = match body.pool {
        Some(pool) => WholeWish::Pool { pool, count: body.count.unwrap_or(1), at_start: body.at_start },
        None => WholeWish::Gpus(body.gpus),
    };
    ask.change(Request::AssignDda { vm, wish, accept }, body.dry_run).await
}

/// Take a VM's whole GPUs back
#[utoipa::path(delete, path = paths::DDA, tag = "VMs",
    params(("vm" = Name, Path, description = "Id or name of the VM."), DryRunQuery),
    responses((status = 200, description = "The plan of a dry run.", body = PlanView),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`vm_not_found`"),
        (status = 409, description = "`vm_has_no_whole_gpu`, `vm_ambiguous`, `hypervisor_unavailable`, \
            `busy`")))]
pub async fn unassign_dda(
    Name(vm): Name,
    Asked(query): Asked<DryRunQuery>,
    asker: Asker,
) -> Result<Response, Failed> {
    let ask = asker.with(&(), Some(Object::Vm(vm.clone())))?;
    ask.change(Request::UnassignDda { vm }, query.dry_run).await
}

/// Make a pool of whole GPUs
#[utoipa::path(post, path = paths::POOLS, tag = "Pools",
    request_body = CreatePool,
    responses((status = 200, description = "It is there now.", body = Done),
        (status = 404, description = "`gpu_not_found`"),
        (status = 409, description = "`pool_exists`, `gpu_in_pool`, `gpu_partitioned`, `gpu_unknown`, \
            `gpu_ambiguous`, `busy`")))]
pub async fn create_pool(asker: Asker, Body(body): Body<CreatePool>) -> Result<Response, Failed> {
    body.validate()?;
    let ask = asker.with(&body, None)?;
    let wish = PoolWish::Create { gpus: body.gpus };
    ask.change(Request::Pool { pool: body.name, wish }, false).await
}

/// Change a pool
///
/// Give it another name, put GPUs into it, or take GPUs out of it. Without its last GPU it is no more.
#[utoipa::path(patch, path = paths::POOL, tag = "Pools",
    params(("pool" = Name, Path, description = "The pool's name.")),
    request_body = ChangePool,
    responses((status = 200, description = "It is so now.", body = Done),
        (status = 404, description = "`pool_not_found`, `gpu_not_found`"),
        (status = 409, description = "`pool_exists`, `pool_in_use`, `pool_claimed`, `gpu_in_pool`, `gpu_not_in_pool`, \
            `gpu_partitioned`, `gpu_unknown`, `gpu_ambiguous`, `busy`")))]
pub async fn change_pool(
    Name(pool): Name,
    asker: Asker,
    Body(body): Body<ChangePool>,
) -> Result<Response, Failed> {
    body.validate()?;
    let ask = asker.with(&body, None)?;
    let wish = match (body.name, body.add.is_empty()) {
        (Some(to), _) => PoolWish::Rename { to },
        (None, false) => PoolWish::Add { gpus: body.add },
        (None, true) => PoolWish::Take { gpus: body.take },
    };
    ask.change(Request::Pool { pool, wish }, false).await
}

/// Remove a pool
///
/// Its GPUs stay where they are and may be partitioned again.
#[utoipa::path(delete, path = paths::POOL, tag = "Pools",
    params(("pool" = Name, Path, description = "The pool's name.")),
    responses((status = 200, description = "It is gone.", body = Done),
        (status = 404, description = "`pool_not_found`"),
        (status = 409, description = "`pool_in_use`, `pool_claimed`, `busy`")))]
pub async fn remove_pool(Name(pool): Name, asker: Asker) -> Result<Response, Failed> {
    let ask = asker.with(&(), None)?;
    ask.change(Request::Pool { pool, wish: PoolWish::Remove }, false).await
}

/// Try to get a quarantined partition clean again
///
/// By its reset once more, or by making all partitions of its GPU again.
#[utoipa::path(post, path = paths::CURE, tag = "GPUs",
    params(("partition" = Name, Path, description = "Its id, or GPU.INDEX with any name of its GPU.")),
    request_body = Cure,
    responses((status = 200, description = "It is so already, or the plan of a dry run.", body = Done),
        (status = 202, description = "Accepted: the job brings it about.", body = Accepted),
        (status = 404, description = "`partition_not_found`"),
        (status = 409, description = "`partition_not_quarantined`, `siblings_in_the_way`, `gpu_unknown`, \
            `gpu_ambiguous`, `hypervisor_unavailable`, `busy`")))]
pub async fn cure(Name(partition): Name, asker: Asker, Body(body): Body<Cure>) -> Result<Response, Failed> {
    let ask = asker.with(&body, None)?;
    let request = Request::Cure { partition, remake: body.remake_siblings };
    ask.change(request, body.dry_run).await
}
