//! One server's kernel and how to look at it. The agent and the start gate look through the same eyes.

use std::sync::Arc;

use divvy_core::finding::Finding;
use divvy_core::id::ServerId;
use divvy_core::observed::{ObservedGpu, ObservedPartition};
use divvy_host::execute::Limits;
use divvy_host::nvml::NvmlGate;
use divvy_host::observe::{HostObservation, ObserveError, Observer};
use divvy_host::readiness::{self, Settings as ReadinessSettings};
use divvy_host::sysfs::Sysfs;
use divvy_host::telemetry::Asked;

use crate::claims::Passes;
use crate::gate::OwedStarts;
use crate::notices::Notices;

/// One server's kernel and how to look at it; the agent and the start gate share it.
pub struct HostSide {
    pub server: ServerId,
    pub sysfs: Arc<dyn Sysfs>,
    pub observer: Observer,
    pub readiness: ReadinessSettings,
    pub limits: Limits,
    /// Closed while a GPU is taken from its driver: looking through NVML would hold it.
    pub gate: NvmlGate,
    /// What the daemon on this server has to tell of itself.
    pub notices: Notices,
    /// VMs whose own start came too early.
    pub owed: OwedStarts,
    /// VMs that were let through a moment ago.
    pub passes: Passes,
}

impl HostSide {
    /// What the GPUs are, with everything that somebody should know about them and their server.
    pub fn observe(&self) -> Result<HostObservation, ObserveError> {
        let mut seen = self.look()?;
        seen.findings.extend(self.readiness(&seen.gpus));
        Ok(seen)
    }

    /// What the GPUs are, without what readiness has to say of them.
    pub fn look(&self) -> Result<HostObservation, ObserveError> {
        self.observer.observe_gpus(self.sysfs.as_ref())
    }

    /// What is wrong with the server, these GPUs and their partitions.
    pub fn readiness(&self, gpus: &[ObservedGpu]) -> Vec<Finding> {
        let (sys, settings) = (self.sysfs.as_ref(), &self.readiness);
        let mut findings = self.server_readiness();
        findings.extend(readiness::use_findings(sys, gpus));
        findings.extend(self.notices.findings(&self.server));
        for gpu in gpus {
            findings.extend(readiness::gpu_findings(sys, gpu, settings));
            findings.extend(readiness::resting_partition_findings(sys, gpu, settings));
        }
        findings
    }

    /// What is wrong with the server itself.
    pub fn server_readiness(&self) -> Vec<Finding> {
        readiness::server_findings(self.sysfs.as_ref(), &self.server, &self.readiness)
    }

    /// Everything that can stop this one partition from going into a VM, looked up now.
    pub fn readiness_to_assign(&self, gpu: &ObservedGpu, partition: &ObservedPartition) -> Vec<Finding> {
        let (sys, settings) = (self.sysfs.as_ref(), &self.readiness);
        let mut findings = self.server_readiness();
        findings.extend(readiness::gpu_findings(sys, gpu, settings));
        findings.extend(readiness::partition_findings(sys, gpu, partition, settings));
        findings
    }

    /// How busy the GPUs are now, as far as their vendors' libraries tell. Not part of what is observed;
    /// it may take seconds.
    pub fn telemetry(&self) -> Asked {
        self.observer.telemetry()
    }
}
