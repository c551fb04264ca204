//! Pools: names under which whole GPUs of all servers are kept for VMs. A GPU is in at most one, is not
//! partitioned while it is in one, and a pool is there as long as a GPU is in it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::assignment::{Assignment, Holding};
use crate::change::{Change, Edit};
use crate::desired::PartitionSetting;
use crate::id::{GpuId, PoolName, ServerId};
use crate::refusal::{Refusal, WholeRefusal};
use crate::request::PoolWish;
use crate::resolve;
use crate::rules::whole_or_partitions;
use crate::state::State;

pub fn change(state: &State, pool: &str, wish: &PoolWish) -> Result<Change, Refusal> {
    let edits = match wish {
        PoolWish::Create { gpus } => add(state, &new_name(state, pool)?, gpus)?,
        PoolWish::Add { gpus } => add(state, &resolve::pool(state, pool)?, gpus)?,
        PoolWish::Rename { to } => rename(state, &resolve::pool(state, pool)?, to)?,
        PoolWish::Remove => remove(state, &resolve::pool(state, pool)?)?,
        PoolWish::Take { gpus } => take(state, &resolve::pool(state, pool)?, gpus)?,
    };
    Ok(Change::of(edits, &state.desired))
}

fn new_name(state: &State, name: &str) -> Result<PoolName, Refusal> {
    let pool = PoolName::new(name).map_err(|error| WholeRefusal::PoolNameMalformed {
        name: name.to_string(),
        why: error.to_string(),
    })?;
    let exists = members(state, &pool).next().is_some();
    if exists { Err(WholeRefusal::PoolExists { pool }.into()) } else { Ok(pool) }
}

/// The GPUs of a pool, by server.
pub fn members<'s>(
    state: &'s State,
    pool: &'s PoolName,
) -> impl Iterator<Item = (&'s ServerId, &'s GpuId)> + 's {
    let servers = state.desired.servers.iter();
    servers.flat_map(move |(server, desired)| {
        let own = desired.pools.iter().filter(move |(_, of)| *of == pool);
        own.map(move |(gpu, _)| (server, gpu))
    })
}

/// The assignments with a claim to GPUs of a pool, by server.
fn claims<'s>(
    state: &'s State,
    pool: &'s PoolName,
) -> impl Iterator<Item = (&'s ServerId, &'s Assignment)> + 's {
    let servers = state.desired.servers.iter();
    servers.flat_map(move |(server, desired)| {
        let of_pool = |one: &&Assignment| one.claim().is_some_and(|claim| claim.pool == *pool);
        desired.assignments.values().filter(of_pool).map(move |one| (server, one))
    })
}

/// How many GPUs of a pool are promised on all servers; more than there are is no error.
pub fn promised(state: &State, pool: &PoolName) -> u32 {
    claims(state, pool).filter_map(|(_, one)| one.claim()).map(|claim| u32::from(claim.count)).sum()
}

fn set(server: &ServerId, gpu: &GpuId, pool: Option<&PoolName>, before: Option<&PoolName>) -> Edit {
    let (server, gpu) = (server.clone(), gpu.clone());
    Edit::SetPool { server, gpu, pool: pool.cloned(), before: before.cloned() }
}

fn add(state: &State, pool: &PoolName, names: &[String]) -> Result<Vec<Edit>, Refusal> {
    if names.is_empty() {
        return Err(Refusal::NothingSelected);
    }
    let mut edits: Vec<Edit> = Vec::new();
    for name in names {
        let (server, gpu) = resolve::gpu(state, name)?;
        let desired = state.desired_of(server);
        match desired.and_then(|desired| desired.pools.get(&gpu.id)) {
            Some(other) if other == pool => continue,
            Some(other) => {
                return Err(WholeRefusal::GpuInPool { gpu: gpu.id.clone(), pool: other.clone() }.into());
            }
            None => {}
        }
        let asked = desired.and_then(|desired| desired.settings.get(&gpu.id));
        if let Some(PartitionSetting::Count(count)) = asked {
            let why = alloc::format!("it shall have {}", count.split);
            return Err(WholeRefusal::GpuPartitioned { gpu: gpu.id.clone(), why }.into());
        }
        whole_or_partitions::may_use_whole(gpu)?;
        let edit = set(server, &gpu.id, Some(pool), None);
        if !edits.contains(&edit) {
            edits.push(edit);
        }
    }
    Ok(edits)
}

fn rename(state: &State, pool: &PoolName, to: &str) -> Result<Vec<Edit>, Refusal> {
    if pool.as_str() == to {
        return Ok(Vec::new());
    }
    let to = new_name(state, to)?;
    let mut edits: Vec<Edit> =
        members(state, pool).map(|(server, gpu)| set(server, gpu, Some(&to), Some(pool))).collect();
    for (server, before) in claims(state, pool) {
        let mut assignment = before.clone();
        if let Holding::Claim { claim } | Holding::Dda { claim: Some(claim), .. } = &mut assignment.holding {
            claim.pool = to.clone();
        }
        edits.push(Edit::SetAssignment { server: server.clone(), assignment });
    }
    Ok(edits)
}

fn remove(state: &State, pool: &PoolName) -> Result<Vec<Edit>, Refusal> {
    let all: Vec<_> = members(state, pool).collect();
    refuse_assigned(state, pool, &all)?;
    refuse_claimed(state, pool, &all)?;
    Ok(all.into_iter().map(|(server, gpu)| set(server, gpu, None, Some(pool))).collect())
}

fn take(state: &State, pool: &PoolName, names: &[String]) -> Result<Vec<Edit>, Refusal> {
    if names.is_empty() {
        return Err(Refusal::NothingSelected);
    }
    let mut taken: Vec<(&ServerId, &GpuId)> = Vec::new();
    for name in names {
        // A GPU that is not in its server any more is still in its pool, by its id.
        let by_id = members(state, pool).find(|(_, gpu)| gpu.as_str() == name);
        let (server, gpu) = match by_id {
            Some(found) => found,
            None => resolve::gpu(state, name).map(|(server, gpu)| (server, &gpu.id))?,
        };
        if !members(state, pool).any(|(_, member)| member == gpu) {
            return Err(WholeRefusal::GpuNotInPool { gpu: gpu.clone(), pool: pool.clone() }.into());
        }
        if !taken.contains(&(server, gpu)) {
            taken.push((server, gpu));
        }
    }
    refuse_assigned(state, pool, &taken)?;
    refuse_claimed(state, pool, &taken)?;
    Ok(taken.into_iter().map(|(server, gpu)| set(server, gpu, None, Some(pool))).collect())
}

fn refuse_assigned(state: &State, pool: &PoolName, gpus: &[(&ServerId, &GpuId)]) -> Result<(), Refusal> {
    let owner = |server: &ServerId, gpu: &GpuId| {
        Some((gpu.clone(), state.desired_of(server)?.whole_owner(gpu)?.vm_name.clone()))
    };
    let owners: Vec<_> = gpus.iter().filter_map(|(server, gpu)| owner(server, gpu)).collect();
    if owners.is_empty() {
        Ok(())
    } else {
        Err(WholeRefusal::PoolInUse { pool: pool.clone(), owners }.into())
    }
}

/// No VM may be promised more than would be left of the pool on its server.
fn refuse_claimed(state: &State, pool: &PoolName, gone: &[(&ServerId, &GpuId)]) -> Result<(), Refusal> {
    let left = |server: &ServerId| {
        let stays = |one: &(&ServerId, &GpuId)| one.0 == server && !gone.contains(one);
        members(state, pool).filter(stays).count()
    };
    let short = claims(state, pool).filter_map(|(server, one)| {
        let claim = one.claim().filter(|claim| usize::from(claim.count) > left(server))?;
        Some((claim.clone(), one.vm_name.clone()))
    });
    let claims: Vec<_> = short.collect();
    if claims.is_empty() {
        Ok(())
    } else {
        Err(WholeRefusal::PoolClaimed { pool: pool.clone(), claims }.into())
    }
}
