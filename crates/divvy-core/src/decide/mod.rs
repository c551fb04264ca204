//! `decide`: what a request changes, or why not. One snapshot in, one change or one refusal out; the
//! partition is picked here and nowhere else. Nothing is written and nothing is waited for.
//!
//! ```text
//! names -> ids -> rules, each may refuse -> edits -> Change (with the generations it relied on)
//! ```

mod assign;
pub use assign::findings_for;
mod count;
mod follow_up;
mod unassign;

use crate::change::Change;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::state::State;

pub fn decide(state: &State, request: &Request) -> Result<Change, Refusal> {
    match request {
        Request::SetPartitionCount { gpus, wish } => count::set(state, gpus, *wish),
        Request::Assign { vms, gpu, partition, accept } => {
            assign::assign(state, vms, gpu.as_deref(), partition.as_deref(), accept)
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
    }
}

#[cfg(test)]
mod tests;
