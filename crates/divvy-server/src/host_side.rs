//! One server's kernel and how to look at it. The agent and the start gate look through the same eyes.

use std::sync::Arc;

use divvy_core::id::ServerId;
use divvy_host::execute::Limits;
use divvy_host::observe::{HostObservation, ObserveError, Observer};
use divvy_host::readiness::Settings as ReadinessSettings;
use divvy_host::sysfs::Sysfs;
use divvy_host::telemetry::GpuTelemetry;

/// One server's kernel and how to look at it; the agent and the start gate share it.
pub struct HostSide {
    pub server: ServerId,
    pub sysfs: Arc<dyn Sysfs>,
    pub observer: Observer,
    pub readiness: ReadinessSettings,
    pub limits: Limits,
}

impl HostSide {
    /// What the GPUs are, with everything that somebody should know about them and their server.
    pub fn observe(&self) -> Result<HostObservation, ObserveError> {
        let sys = self.sysfs.as_ref();
        let mut seen = self.observer.observe_gpus(sys)?;
        seen.findings.extend(divvy_host::readiness::server_findings(sys, &self.server, &self.readiness));
        for gpu in &seen.gpus {
            seen.findings.extend(divvy_host::readiness::gpu_findings(sys, gpu, &self.readiness));
            for partition in &gpu.partitions {
                let found =
                    divvy_host::readiness::resting_partition_findings(sys, gpu, partition, &self.readiness);
                seen.findings.extend(found);
            }
        }
        Ok(seen)
    }

    /// How busy the GPUs are now, as far as their vendors' libraries tell. Not part of what is observed;
    /// it may take seconds.
    pub fn telemetry(&self) -> Vec<GpuTelemetry> {
        self.observer.telemetry()
    }
}
