//! `plan`: the ordered steps that bring one server from what it is to what was asked for. Pure; a step
//! that cannot be taken yet is not planned but told in [`Plan::waiting`]. Executing the plan, observing
//! and planning again gives an empty plan: there is no rollback, a plan toward the old desired state is
//! the rollback.
//!
//! ```text
//! counts -> partitions and whole GPUs given up -> those that are given -> VMs
//! ```
//!
//! The order is forced: a VM can get something only after it exists, was proved clean and has the
//! driver that hands it over.

mod counts;
mod gifts;
mod releases;
mod returns;
mod vms;

pub use gifts::{Gift, gifts, is_prepared};

use alloc::string::String;
use alloc::vec::Vec;

use crate::desired::DesiredServer;
use crate::finding::Subject;
use crate::observed::Observed;
use crate::step::Step;

/// Something that is not as asked for and cannot be changed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub subject: Subject,
    pub why: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub waiting: Vec<Waiting>,
}

impl Plan {
    fn wait(&mut self, subject: Subject, why: String) {
        self.waiting.push(Waiting { subject, why });
    }
}

pub fn plan(desired: &DesiredServer, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    counts::plan_counts(desired, observed, &mut plan);
    releases::plan_releases(desired, observed, &mut plan);
    returns::plan_returns(desired, observed, &mut plan);
    vms::plan_assignments(desired, observed, &mut plan);
    plan
}

#[cfg(test)]
mod tests;
