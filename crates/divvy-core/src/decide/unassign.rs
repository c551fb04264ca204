//! Taking partitions back. The VM loses its assignment at once; the partition is held until it was proved
//! clean.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::assignment::Hold;
use crate::change::{Change, Edit};
use crate::refusal::{Refusal, WholeRefusal};
use crate::resolve;
use crate::state::State;

pub fn unassign(state: &State, vms: &[String]) -> Result<Change, Refusal> {
    if vms.is_empty() {
        return Err(Refusal::NothingSelected);
    }
    let mut edits = Vec::new();
    let mut seen = BTreeSet::new();
    for name in vms {
        let (server, assignment) = resolve::assignment(state, name)?;
        if !seen.insert(&assignment.vm) {
            return Err(Refusal::VmNamedTwice { vm: assignment.vm_name.clone() });
        }
        let Some(partition) = assignment.partition() else {
            return Err(WholeRefusal::of_holder(assignment).into());
        };
        let hold = Hold::Releasing { vm: assignment.vm.clone(), vm_name: assignment.vm_name.clone() };
        edits.push(Edit::RemoveAssignment { server: server.clone(), vm: assignment.vm.clone() });
        edits.push(Edit::SetHold { server: server.clone(), partition: partition.clone(), hold });
    }
    Ok(Change::of(edits, &state.desired))
}
