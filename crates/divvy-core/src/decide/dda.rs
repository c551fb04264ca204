//! What `dda` asks for: whole GPUs for a VM, at once or while it runs, and their way back.

use alloc::collections::BTreeSet;
use alloc::string::ToString;

use super::claim;
use super::whole::{given, named, of_pool, returns};
use crate::assignment::Claim;
use crate::change::Change;
use crate::finding::FindingCode;
use crate::refusal::{Refusal, WholeRefusal};
use crate::request::WholeWish;
use crate::resolve;
use crate::rules::one_partition;
use crate::state::State;

pub fn assign(
    state: &State,
    vm: &str,
    wish: &WholeWish,
    accept: &BTreeSet<FindingCode>,
) -> Result<Change, Refusal> {
    let (server, vm) = resolve::vm(state, vm)?;
    let Some(observed) = state.observed.get(server) else {
        return Err(Refusal::VmNotFound { name: vm.name.clone() });
    };
    if let Some(reason) = observed.hypervisor.unavailable() {
        return Err(Refusal::HypervisorUnavailable { server: server.clone(), reason: reason.into() });
    }
    one_partition::check(state, observed, vm)?;
    let gpus = match wish {
        WholeWish::Gpus(names) => named(state, server, observed, vm, names)?,
        WholeWish::Pool { pool, count, at_start } => {
            let (pool, count) = (resolve::pool(state, pool)?, *count);
            if count == 0 {
                return Err(Refusal::NothingSelected);
            }
            if *at_start {
                let claim = Claim { pool, count };
                return claim::assign(state, server, observed, vm, (claim, accept));
            }
            of_pool(state, server, observed, vm, &pool, count)?
        }
    };
    given(state, server, observed, vm, (&gpus, None, accept))
}

/// The VM loses its GPUs at once; each is on its way back until it is the server's again.
pub fn unassign(state: &State, vm: &str) -> Result<Change, Refusal> {
    let none = |vm: &str| Refusal::from(WholeRefusal::VmHasNoWholeGpu { vm: vm.to_string() });
    let (server, assignment) = match resolve::assignment(state, vm) {
        Err(Refusal::VmHasNoPartition { vm }) => return Err(none(&vm)),
        found => found?,
    };
    if assignment.partition().is_some() {
        return Err(none(&assignment.vm_name));
    }
    Ok(Change::of(returns(server, assignment), &state.desired))
}
