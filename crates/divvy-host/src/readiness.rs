//! Every check that a server, a GPU and a partition must pass before a VM gets the partition, as tables:
//! one row for each finding, with its code, how much it stops, and the small function that looks. A check
//! that cannot look is itself a finding: nothing passes because it could not be read.
//!
//! Each function reads the tree anew, what a GPU's partitions have in common once for all of them.
//! [`partition_findings`] belongs right before an assignment is carried out; [`resting_partition_findings`]
//! are those that hold at any time, for reports. Nothing is decided here: `divvy_core::readiness` turns
//! findings into a permission.

use std::borrow::Cow;
use std::time::Duration;

use divvy_core::finding::{Finding, FindingCode, Severity, Subject};
use divvy_core::id::{PartitionId, ServerId};
use divvy_core::observed::{ObservedGpu, ObservedPartition};

use crate::attribute::AttributeError;
use crate::codes;
use crate::paths;
use crate::sysfs::Sysfs;
use crate::users;
use denied::Denied;
use gpu_now::GpuNow;

pub mod denied;
mod gpu;
mod gpu_now;
mod partition;
mod server;

/// What the checks compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For reads that can wait behind a write in the kernel.
    pub read_deadline: Duration,
    /// Kernels and drivers known to be unsafe.
    pub denied: Cow<'static, [Denied]>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { read_deadline: Duration::from_secs(2), denied: Cow::Borrowed(denied::KNOWN) }
    }
}

/// What a check found: what is so, with the value that was read, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    text: String,
    mend: String,
}

fn trouble(text: impl Into<String>, mend: impl Into<String>) -> Trouble {
    Trouble { text: text.into(), mend: mend.into() }
}

type Found = Result<Vec<Trouble>, AttributeError>;

/// Where there is at most one thing to find.
fn one(found: Option<Trouble>) -> Found {
    Ok(found.into_iter().collect())
}

/// One row of a table; `C` is what the function looks at.
struct Check<C> {
    code: FindingCode,
    severity: Severity,
    look: fn(&C) -> Found,
}

const fn check<C>(code: FindingCode, severity: Severity, look: fn(&C) -> Found) -> Check<C> {
    Check { code, severity, look }
}

/// The findings of a table about one subject; what cannot be read is found under `unreadable`.
fn run<C>(table: &[Check<C>], context: &C, subject: &Subject, unreadable: FindingCode) -> Vec<Finding> {
    let mut findings = Vec::new();
    for row in table {
        match (row.look)(context) {
            Ok(troubles) => findings.extend(troubles.into_iter().map(|trouble| Finding {
                code: row.code.clone(),
                severity: row.severity,
                subject: subject.clone(),
                text: trouble.text,
                mend: trouble.mend,
            })),
            Err(error) => findings.push(Finding {
                code: unreadable.clone(),
                severity: Severity::Error,
                subject: subject.clone(),
                text: format!("{subject} cannot be checked for {}: {}", row.code, error.chain()),
                mend: "run divvyd as root, with /sys and /proc mounted; the server's kernel log may say more (dmesg)"
                    .to_owned(),
            }),
        }
    }
    findings
}

/// What is wrong with the server, whatever its GPUs are.
pub fn server_findings(sys: &dyn Sysfs, server: &ServerId, settings: &Settings) -> Vec<Finding> {
    let context = server::Context { sys, settings };
    run(&server::checks(), &context, &Subject::Server(server.clone()), codes::SERVER_UNREADABLE)
}

/// What is wrong with a GPU, apart from what the look at it told already.
pub fn gpu_findings(sys: &dyn Sysfs, gpu: &ObservedGpu, settings: &Settings) -> Vec<Finding> {
    let context = gpu::Context { sys, gpu, settings };
    run(&gpu::checks(), &context, &Subject::Gpu(gpu.id.clone()), codes::GPU_UNREADABLE)
}

/// GPUs that could be given whole and are used by processes of the server: good to know before. Divvy itself
/// opens them for moments, when somebody wants to see what they use, and is kept out when it matters.
pub fn use_findings(sys: &dyn Sysfs, gpus: &[ObservedGpu]) -> Vec<Finding> {
    let whole: Vec<&ObservedGpu> = gpus.iter().filter(|gpu| gpu.partition_count == Some(0)).collect();
    let addresses: Vec<_> = whole.iter().map(|gpu| gpu.address).collect();
    // What cannot be told here is told by the step that needs it.
    let used = users::of_gpus(sys, &addresses).unwrap_or_default();
    let own = sys.link(paths::OWN_PROCESS).ok().and_then(|pid| pid.parse().ok());
    let finding = |gpu: &&ObservedGpu| {
        let others = used.get(&gpu.address)?.iter().filter(|user| Some(user.pid) != own);
        let names: Vec<String> = others.map(ToString::to_string).collect();
        (!names.is_empty()).then(|| Finding {
            code: codes::GPU_IN_USE,
            severity: Severity::Info,
            subject: Subject::Gpu(gpu.id.clone()),
            text: format!("GPU {} is in use on the server by {}", gpu.id, names.join(", ")),
            mend: "end these processes before the GPU is given whole to a VM".to_owned(),
        })
    };
    whole.iter().filter_map(finding).collect()
}

/// Everything that must be so when a partition goes into a VM, looked up now.
pub fn partition_findings(
    sys: &dyn Sysfs,
    gpu: &ObservedGpu,
    partition: &ObservedPartition,
    settings: &Settings,
) -> Vec<Finding> {
    let now = GpuNow::new(sys, gpu, settings);
    let mut findings = at_rest(&now, partition);
    // What is said of another piece of hardware is not worth saying.
    if !findings.iter().any(|finding| partition::is_it().iter().any(|row| row.code == finding.code)) {
        findings.extend(partition_run(&partition::assigning(), &now, partition));
    }
    findings
}

/// What must be so of every partition of a GPU at any time, whether it is free, prepared or in a VM.
pub fn resting_partition_findings(sys: &dyn Sysfs, gpu: &ObservedGpu, settings: &Settings) -> Vec<Finding> {
    let now = GpuNow::new(sys, gpu, settings);
    gpu.partitions.iter().flat_map(|partition| at_rest(&now, partition)).collect()
}

fn at_rest(now: &GpuNow<'_>, partition: &ObservedPartition) -> Vec<Finding> {
    let findings = partition_run(&partition::is_it(), now, partition);
    if findings.is_empty() { partition_run(&partition::resting(), now, partition) } else { findings }
}

fn partition_run<'a>(
    table: &[Check<partition::Context<'a>>],
    now: &'a GpuNow<'a>,
    partition: &'a ObservedPartition,
) -> Vec<Finding> {
    let subject = Subject::Partition(PartitionId::new(&now.gpu.id, partition.index));
    run(table, &partition::Context { now, partition }, &subject, codes::PARTITION_UNREADABLE)
}

#[cfg(test)]
mod tests;
