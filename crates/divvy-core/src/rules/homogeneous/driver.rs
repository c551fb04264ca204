//! The same branch of the same driver on all servers: partitions of two branches are not the same to the
//! driver inside a VM, and no VM can move between them. A driver is the server's, so it is told once for a
//! server. A GPU that another driver keeps from being split is compared too; one that is only held
//! (`vfio-pci`, a stub) has no driver of its own, and no branch.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::branch::Branch;
use super::{DRIVER, Located, most_common};
use crate::finding::{Finding, Severity, Subject};
use crate::id::ServerId;
use crate::observed::ObservedGpu;
use crate::rules::whole_or_partitions;
use crate::state::State;

/// Vendor, device, subsystem.
type Numbers = (u16, u16, u16, u16);

/// What one GPU runs by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Running<'a> {
    driver: &'a str,
    branch: Option<Branch>,
    version: Option<&'a str>,
}

impl Running<'_> {
    fn in_words(&self) -> String {
        self.version.map_or_else(|| self.driver.into(), |version| format!("{} {version}", self.driver))
    }
}

/// One finding for each server, or for each GPU where the server has GPUs that are as the most are.
pub fn findings(state: &State, model: Numbers) -> Vec<Finding> {
    let is_compared = |(server, gpu): &Located<'_>| {
        gpu.model.numbers() == model && !whole_or_partitions::is_kept_whole(state.desired_of(server), &gpu.id)
    };
    let mut servers: BTreeMap<&ServerId, Vec<(&ObservedGpu, Running<'_>)>> = BTreeMap::new();
    for (server, gpu) in state.gpus().filter(is_compared) {
        servers.entry(server).or_default().extend(running(gpu).map(|running| (gpu, running)));
    }
    let all = || servers.values().flatten().map(|(_, running)| *running);
    let Some(driver) = most_common(all().map(|running| running.driver)) else { return Vec::new() };
    let with_branch = || all().filter(|running| running.driver == driver && running.branch.is_some());
    let branch = most_common(with_branch().filter_map(|running| running.branch));
    let example = most_common(with_branch().filter(|running| running.branch == branch));
    let common = example.unwrap_or(Running { driver, branch, version: None });
    servers.iter().flat_map(|(server, gpus)| of_server(server, gpus, common)).collect()
}

fn of_server(server: &ServerId, gpus: &[(&ObservedGpu, Running<'_>)], common: Running<'_>) -> Vec<Finding> {
    let unlike: Vec<_> = gpus.iter().filter(|(_, own)| differ(own, &common)).collect();
    let Some((_, first)) = unlike.first() else { return Vec::new() };
    if unlike.len() == gpus.len() && unlike.iter().all(|(_, own)| own == first) {
        let subject = Subject::Server(server.clone());
        return Vec::from([finding(subject, &format!("server {server}"), server, *first, common)]);
    }
    let of_gpu = |(gpu, own): &&(&ObservedGpu, Running<'_>)| {
        let who = format!("GPU {} of server {server}", gpu.id);
        finding(Subject::Gpu(gpu.id.clone()), &who, server, *own, common)
    };
    unlike.iter().map(of_gpu).collect()
}

/// Another driver is another one whatever its version; a version that is not known is no other one.
fn differ(own: &Running<'_>, common: &Running<'_>) -> bool {
    let branches = own.branch.zip(common.branch);
    own.driver != common.driver || branches.is_some_and(|(own, common)| own != common)
}

/// None: it has no driver, or one that does nothing but hold it.
fn running(gpu: &ObservedGpu) -> Option<Running<'_>> {
    let driver = gpu.driver.as_deref()?;
    if driver.contains("vfio") || driver.ends_with("-stub") {
        return None;
    }
    let version = gpu.driver_version.as_deref();
    Some(Running { driver, branch: Branch::of(driver, version), version })
}

fn finding(subject: Subject, who: &str, server: &ServerId, own: Running<'_>, common: Running<'_>) -> Finding {
    let text =
        format!("{who} has the driver {}, most of the others have {}", own.in_words(), common.in_words());
    let mend = match (own.branch, common.branch) {
        (Some(newer), Some(older)) if own.driver == common.driver => {
            let here = format!(
                "install the driver {} of branch {older} on server {server}, and restart it with its VMs shut down",
                common.driver
            );
            if newer > older {
                format!("{here}; or bring the other servers to branch {newer} too")
            } else {
                here
            }
        }
        _ => format!(
            "give the GPUs of server {server} the driver {}: install it, keep {} from loading, and restart the \
             server with its VMs shut down",
            common.in_words(),
            own.driver
        ),
    };
    Finding { code: DRIVER, severity: Severity::Warning, subject, text, mend }
}

#[cfg(test)]
mod tests;
