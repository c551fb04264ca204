//! `decide`: what a request changes, or why not. One snapshot in, one change or one refusal out; the
//! partition is picked here and nowhere else. Nothing is written and nothing is waited for.
//!
//! ```text
//! names -> ids -> rules, each may refuse -> edits -> Change (with the generations it relied on)
//! ```

mod assign;
pub use assign::findings_for;
mod claim;
mod count;
mod cure;
mod dda;
mod follow_up;
mod pick;
mod pool;
mod unassign;
mod whole;
pub use pool::{members as pool_members, promised as pool_promised};
pub use whole::findings_for as whole_findings_for;

use crate::change::Change;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::state::State;

pub fn decide(state: &State, request: &Request) -> Result<Change, Refusal> {
    match request {
        Request::SetPartitionCount { gpus, wish } => count::set(state, gpus, wish),
        Request::Assign { vms, gpu, memory_bytes, partition, accept } => {
            let wish = assign::Wish { gpu: gpu.as_deref(), memory_bytes: *memory_bytes };
            assign::assign(state, vms, wish, partition.as_deref(), accept)
        }
        Request::Unassign { vms } => unassign::unassign(state, vms),
        Request::RevertCount { server, gpu, failed, back_to } => {
            Ok(follow_up::revert_count(state, server, gpu, *failed, *back_to))
        }
        Request::RevertAssignment { server, vm, partition } => {
            Ok(follow_up::revert_assignment(state, server, vm, partition))
        }
        Request::RestartDone { server, vm } => Ok(follow_up::restart_done(state, server, vm)),
        Request::PartitionClean { server, partition } => {
            Ok(follow_up::partition_clean(state, server, partition))
        }
        Request::Quarantine { server, partition, reason } => {
            Ok(follow_up::quarantine(state, server, partition, reason))
        }
        Request::AssignDda { vm, wish, accept } => dda::assign(state, vm, wish, accept),
        Request::UnassignDda { vm } => dda::unassign(state, vm),
        Request::Pool { pool, wish } => pool::change(state, pool, wish),
        Request::Cure { partition, remake } => cure::cure(state, partition, *remake),
        Request::RevertDda { server, vm, gpus } => Ok(follow_up::revert_dda(state, server, vm, gpus)),
        Request::FillClaim { server, vm } => claim::fill(state, server, vm),
        Request::EmptyClaim { server, vm, gpus, failed } => {
            Ok(claim::empty(state, server, vm, gpus, *failed))
        }
        Request::GpuReturned { server, gpu } => Ok(follow_up::gpu_returned(state, server, gpu)),
        Request::PartitionsRemade { server, gpu } => Ok(follow_up::partitions_remade(state, server, gpu)),
    }
}

#[cfg(test)]
mod tests;
