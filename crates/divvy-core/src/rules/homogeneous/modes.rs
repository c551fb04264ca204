//! Two modes that a GPU is in or is not: ECC, and MIG. Both are switched by an administrator on the server,
//! both change what a partition is. A server whose GPUs are all in the other mode is told of once.
//!
//! Divvy switches neither: ECC takes a restart of the server, and whether a model is split by MIG is for
//! the settings of its server to say.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{ECC, Located, MIG, most_common};
use crate::desired::DesiredServer;
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::gpu::Scheme;
use crate::id::{GpuId, ServerId};
use crate::observed::ObservedGpu;
use crate::rules::same_scheme;
use crate::split::Split;

/// The GPUs that are not in the mode that the most of them are in.
pub struct Unlike<'a> {
    servers: BTreeMap<&'a ServerId, OnServer<'a>>,
    /// What most are.
    common: bool,
}

#[derive(Default)]
struct OnServer<'a> {
    unlike: Vec<&'a ObservedGpu>,
    /// A GPU of this server is as the most are.
    has_alike: bool,
}

/// What one finding is about.
pub struct Found<'a> {
    server: &'a ServerId,
    gpus: Vec<&'a ObservedGpu>,
    common: bool,
}

/// Sorts out who is unlike. Those whose mode is not known are like the others.
pub fn unlike<'a>(gpus: &[Located<'a>], mode: impl Fn(&Located<'a>) -> Option<bool>) -> Unlike<'a> {
    let common = most_common(gpus.iter().filter_map(&mode)).unwrap_or(false);
    let mut servers: BTreeMap<&ServerId, OnServer<'_>> = BTreeMap::new();
    for located in gpus {
        let on_server = servers.entry(located.0).or_default();
        match mode(located) {
            Some(own) if own != common => on_server.unlike.push(located.1),
            _ => on_server.has_alike = true,
        }
    }
    Unlike { servers, common }
}

impl<'a> Unlike<'a> {
    pub fn ids(&self) -> BTreeSet<&'a GpuId> {
        self.servers.values().flat_map(|server| server.unlike.iter().map(|gpu| &gpu.id)).collect()
    }

    /// For each GPU, or for a server as a whole.
    pub fn findings(self, tell: impl Fn(&Found<'a>) -> Finding) -> Vec<Finding> {
        let common = self.common;
        let found = self.servers.into_iter().flat_map(|(server, OnServer { unlike, has_alike })| {
            let sets = if has_alike || unlike.len() == 1 {
                unlike.into_iter().map(|gpu| Vec::from([gpu])).collect()
            } else if unlike.is_empty() {
                Vec::new()
            } else {
                Vec::from([unlike])
            };
            sets.into_iter().map(move |gpus| Found { server, gpus, common })
        });
        found.map(|found| tell(&found)).collect()
    }
}

impl Found<'_> {
    fn is_one(&self) -> bool {
        self.gpus.len() == 1
    }

    fn subject(&self) -> Subject {
        match self.gpus.as_slice() {
            [gpu] => Subject::Gpu(gpu.id.clone()),
            _ => Subject::Server(self.server.clone()),
        }
    }

    /// `GPU x of server a`, or all of it.
    fn who(&self) -> String {
        match self.gpus.as_slice() {
            [gpu] => format!("GPU {} of server {}", gpu.id, self.server),
            gpus => format!("all {} GPUs of server {}", gpus.len(), self.server),
        }
    }

    /// As NVIDIA's program takes them.
    fn addresses(&self) -> String {
        self.gpus.iter().map(|gpu| gpu.address.to_string()).collect::<Vec<_>>().join(",")
    }

    fn ids(&self) -> String {
        self.gpus.iter().map(|gpu| gpu.id.to_string()).collect::<Vec<_>>().join(" ")
    }

    /// As `mig_gpus` takes it. All are of one model.
    fn model(&self) -> String {
        self.gpus.first().map_or_else(String::new, |gpu| {
            format!("{:04x}:{:04x}", gpu.model.vendor_id, gpu.model.device_id)
        })
    }

    fn has_partitions(&self) -> bool {
        self.gpus.iter().any(|gpu| gpu.partition_count != Some(0))
    }

    fn warning(&self, code: FindingCode, text: String, mend: String) -> Finding {
        Finding { code, severity: Severity::Warning, subject: self.subject(), text, mend }
    }
}

pub fn of_ecc(found: &Found<'_>) -> Finding {
    let in_words = |on: bool| if on { "on" } else { "off" };
    let has = if found.is_one() { "has" } else { "have" };
    let (who, server, common) = (found.who(), found.server, found.common);
    let text =
        format!("{who} {has} ECC {}, most of the others have it {}", in_words(!common), in_words(common));
    let mend = format!(
        "on server {server}: nvidia-smi -i {} -e {}, then restart it with its VMs shut down",
        found.addresses(),
        u8::from(common)
    );
    found.warning(ECC, text, mend)
}

/// Whether the GPU is split by MIG, or will be by itself. None: it is told already that the GPU has another
/// scheme than it was asked to be split by.
pub fn has_mig(desired: Option<&DesiredServer>, gpu: &ObservedGpu) -> Option<bool> {
    if desired.is_some_and(|desired| same_scheme::holds(desired, gpu).is_err()) {
        return None;
    }
    let asked = desired.and_then(|desired| desired.settings.get(&gpu.id)).copied();
    Some(same_scheme::as_it_will_be(asked, gpu).scheme? == Scheme::NvidiaMig)
}

/// `split` is how most of the others are.
pub fn of_mig(found: &Found<'_>, split: Option<Split>) -> Finding {
    let (who, server, ids, model) = (found.who(), found.server, found.ids(), found.model());
    let is = if found.is_one() { "is" } else { "are" };
    let off =
        if found.has_partitions() { format!("divvy gpu partition {ids} --off; ") } else { String::new() };
    let again = split.map(|split| format!("; divvy gpu partition {ids} {}", split.as_option()));
    let again = again.unwrap_or_default();
    let (text, switch) = if found.common {
        let switch =
            format!("add \"{model}\" to mig_gpus in the settings of server {server} and restart its divvyd");
        (format!("{who} {is} split without MIG, most of the others by MIG"), switch)
    } else {
        let switch = format!(
            "take \"{model}\" out of mig_gpus in the settings of server {server}, if it is there, and restart its \
             divvyd; there, nvidia-smi -i {} -mig 0",
            found.addresses()
        );
        (format!("{who} {is} split by MIG, most of the others without it"), switch)
    };
    found.warning(MIG, text, format!("{off}{switch}{again}"))
}

#[cfg(test)]
mod tests;
