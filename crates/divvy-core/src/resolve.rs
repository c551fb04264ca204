//! From what a person typed to the one thing it names: an id, a name, an address, or `SERVER/` and one of
//! these. More than one match is refused with the candidates; nothing is guessed.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::assignment::Assignment;
use crate::id::{PartitionId, PoolName, ServerId};
use crate::observed::ObservedGpu;
use crate::pci_address::PciAddress;
use crate::refusal::{Refusal, WholeRefusal};
use crate::state::State;
use crate::vm::ObservedVm;

/// Splits `SERVER/rest` where SERVER is known; a name without it may be on any server.
fn scope<'n>(state: &State, name: &'n str) -> (Option<&'n str>, &'n str) {
    match name.split_once('/') {
        Some((server, rest)) if state.observed.keys().any(|known| known.as_str() == server) => {
            (Some(server), rest)
        }
        _ => (None, name),
    }
}

pub fn gpu<'s>(state: &'s State, name: &str) -> Result<(&'s ServerId, &'s ObservedGpu), Refusal> {
    let (server, rest) = scope(state, name);
    let address = rest.parse::<PciAddress>().ok();
    let names = |gpu: &ObservedGpu| {
        gpu.id.as_str() == rest || Some(gpu.address) == address || gpu.serial.as_deref() == Some(rest)
    };
    let mut matches: Vec<_> = state
        .gpus()
        .filter(|(on, gpu)| server.is_none_or(|wanted| on.as_str() == wanted) && names(gpu))
        .collect();
    match matches.len() {
        0 => Err(Refusal::GpuNotFound { name: name.into() }),
        1 => Ok(matches.remove(0)),
        _ => {
            let candidates =
                matches.iter().map(|(on, gpu)| format!("{on}/{} ({})", gpu.address, gpu.id)).collect();
            Err(Refusal::GpuAmbiguous { name: name.into(), candidates })
        }
    }
}

/// A partition by its id, or as `GPU.INDEX` with any name of its GPU. One that is gone is still known
/// while something is held against it.
pub fn partition<'s>(
    state: &'s State,
    name: &str,
) -> Result<(&'s ServerId, &'s ObservedGpu, PartitionId), Refusal> {
    let none = || Refusal::PartitionNotFound { name: name.into() };
    let (of, index) = name.rsplit_once('.').ok_or_else(none)?;
    let (server, gpu) = match gpu(state, of) {
        Err(Refusal::GpuNotFound { .. }) => return Err(none()),
        found => found?,
    };
    let id: PartitionId = format!("{}.{index}", gpu.id).parse().map_err(|_| none())?;
    let is_held = state.desired_of(server).is_some_and(|desired| desired.holds.contains_key(&id));
    if gpu.partition(id.index).is_some() || is_held { Ok((server, gpu, id)) } else { Err(none()) }
}

pub fn pool(state: &State, name: &str) -> Result<PoolName, Refusal> {
    let mut pools = state.desired.servers.values().flat_map(|desired| desired.pools.values());
    let found = pools.find(|pool| pool.as_str() == name).cloned();
    found.ok_or_else(|| WholeRefusal::PoolNotFound { pool: name.into() }.into())
}

pub fn vm<'s>(state: &'s State, name: &str) -> Result<(&'s ServerId, &'s ObservedVm), Refusal> {
    let (server, rest) = scope(state, name);
    let mut matches: Vec<_> = state
        .vms()
        .filter(|(on, vm)| {
            server.is_none_or(|wanted| on.as_str() == wanted) && (vm.id.as_str() == rest || vm.name == rest)
        })
        .collect();
    match matches.len() {
        0 => Err(vm_not_seen(state, server, name)),
        1 => Ok(matches.remove(0)),
        _ => {
            let candidates = matches.iter().map(|(on, vm)| format!("{on}/{} ({})", vm.name, vm.id)).collect();
            Err(Refusal::VmAmbiguous { name: name.into(), candidates })
        }
    }
}

/// Nobody may say that a VM is not there while a server where it could be does not show its VMs.
fn vm_not_seen(state: &State, server: Option<&str>, name: &str) -> Refusal {
    let mut servers = state.observed.iter();
    let unseen = servers.find_map(|(on, observed)| {
        let reason = observed.hypervisor.unavailable()?;
        server.is_none_or(|wanted| on.as_str() == wanted).then_some((on, reason))
    });
    match unseen {
        Some((on, reason)) => Refusal::HypervisorUnavailable { server: on.clone(), reason: reason.into() },
        None => Refusal::VmNotFound { name: name.into() },
    }
}

/// The assignment of the VM with this name, also when the VM itself is gone.
pub fn assignment<'s>(state: &'s State, name: &str) -> Result<(&'s ServerId, &'s Assignment), Refusal> {
    match vm(state, name) {
        Ok((_, seen)) => state
            .desired
            .assignment(&seen.id)
            .ok_or_else(|| Refusal::VmHasNoPartition { vm: seen.name.clone() }),
        Err(Refusal::VmAmbiguous { name, candidates }) => Err(Refusal::VmAmbiguous { name, candidates }),
        Err(not_seen) => assignment_of_gone_vm(state, name).unwrap_or(Err(not_seen)),
    }
}

fn assignment_of_gone_vm<'s>(
    state: &'s State,
    name: &str,
) -> Option<Result<(&'s ServerId, &'s Assignment), Refusal>> {
    let all = state.desired.servers.iter();
    let mut matches: Vec<_> = all
        .flat_map(|(server, desired)| {
            desired.assignments.values().map(move |assignment| (server, assignment))
        })
        .filter(|(_, assignment)| assignment.vm.as_str() == name || assignment.vm_name == name)
        .collect();
    match matches.len() {
        0 => None,
        1 => Some(Ok(matches.remove(0))),
        _ => {
            let candidates: Vec<String> = matches.iter().map(|(_, a)| format!("{}", a.vm)).collect();
            Some(Err(Refusal::VmAmbiguous { name: name.into(), candidates }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::HypervisorHealth;
    use crate::testing::{World, gpu_a2, vm as test_vm};

    #[test]
    fn a_gpu_is_found_by_id_serial_address_and_server() {
        let state = World::one_a2(4).state();
        let address = format!("{}", state.gpus().next().expect("one GPU").1.address);
        for name in ["gpu-1", address.as_str(), "a/gpu-1"] {
            assert_eq!(gpu(&state, name).expect("found").1.id.as_str(), "gpu-1", "{name}");
        }
        assert_eq!(gpu(&state, "gpu-9").expect_err("unknown").code(), "gpu_not_found");
        assert_eq!(gpu(&state, "b/gpu-1").expect_err("unknown").code(), "gpu_not_found");
    }

    #[test]
    fn an_address_that_two_servers_have_is_ambiguous_until_the_server_is_named() {
        let (one, mut two) = (gpu_a2("gpu-1", 0), gpu_a2("gpu-2", 0));
        two.address = one.address;
        let address = format!("{}", one.address);
        let state = World::of_gpus(&[("a", one), ("b", two)]).state();
        assert_eq!(gpu(&state, &address).expect_err("two").code(), "gpu_ambiguous");
        assert_eq!(gpu(&state, &format!("b/{address}")).expect("one").1.id.as_str(), "gpu-2");
    }

    #[test]
    fn a_vm_name_on_two_servers_is_ambiguous() {
        let mut world = World::of_gpus(&[("a", gpu_a2("gpu-1", 0)), ("b", gpu_a2("gpu-2", 0))]);
        for (_, observed) in &mut world.servers {
            observed.vms.push(test_vm("twin"));
        }
        assert_eq!(vm(&world.state(), "twin").expect_err("two").code(), "vm_ambiguous");
        assert_eq!(vm(&world.state(), "a/twin").expect("one").0.as_str(), "a");
    }

    #[test]
    fn the_assignment_of_a_vm_that_is_gone_is_still_found_by_its_name() {
        let mut world = World::one_a2(4).assigned("vm-001", 0);
        world.observed_mut().vms.clear();
        assert!(assignment(&world.state(), "vm-001").is_ok());
        assert_eq!(assignment(&world.state(), "vm-002").expect_err("none").code(), "vm_not_found");
    }

    #[test]
    fn no_vm_is_said_to_be_missing_while_its_hypervisor_cannot_be_seen() {
        for health in [HypervisorHealth::NotAsked, HypervisorHealth::Unavailable { reason: "down".into() }] {
            let mut world = World::one_a2(4).assigned("vm-001", 0);
            world.observed_mut().vms.clear();
            world.observed_mut().hypervisor = health;
            let state = world.state();
            assert_eq!(vm(&state, "vm-001").expect_err("unseen").code(), "hypervisor_unavailable");
            assert_eq!(assignment(&state, "vm-002").expect_err("unseen").code(), "hypervisor_unavailable");
            assert!(assignment(&state, "vm-001").is_ok(), "it can be unassigned all the same");
        }
    }
}
