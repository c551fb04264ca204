//! Everything a decision may look at: what was asked for, and the last report of every server.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use crate::desired::{Desired, DesiredServer};
use crate::id::{GpuId, ServerId, VmId};
use crate::observed::{Observed, ObservedGpu};
use crate::vm::ObservedVm;

#[derive(Debug, Clone, Default)]
pub struct State {
    pub desired: Desired,
    pub observed: BTreeMap<ServerId, Arc<Observed>>,
}

impl State {
    /// Every GPU of every server that reported.
    pub fn gpus(&self) -> impl Iterator<Item = (&ServerId, &ObservedGpu)> {
        self.observed.iter().flat_map(|(server, seen)| seen.gpus.iter().map(move |gpu| (server, gpu)))
    }

    /// Every VM of every server that reported.
    pub fn vms(&self) -> impl Iterator<Item = (&ServerId, &ObservedVm)> {
        self.observed.iter().flat_map(|(server, seen)| seen.vms.iter().map(move |vm| (server, vm)))
    }

    pub fn gpu(&self, id: &GpuId) -> Option<(&ServerId, &ObservedGpu)> {
        self.gpus().find(|(_, gpu)| gpu.id == *id)
    }

    pub fn vm(&self, id: &VmId) -> Option<(&ServerId, &ObservedVm)> {
        self.vms().find(|(_, vm)| vm.id == *id)
    }

    pub fn desired_of(&self, server: &ServerId) -> Option<&DesiredServer> {
        self.desired.server(server)
    }
}
