//! The daemon as a whole in a room without delays: one promise per test.

use divvy_core::check::check;
use divvy_core::id::VmId;
use divvy_core::job::Progress;
use divvy_core::status::{self, PartitionState};
use divvy_core::vm::Power;
use divvy_sim::fault::GpuFault as Fault;
use divvy_sim::server::Addresses;
use divvy_sim::vms::DefinedDevice;

use crate::testing::{Daemon, assign, count, unassign};
use crate::{findings, views};

mod claims;
mod faults;
mod schemes;
mod whole;

const GPU: &str = "0000:41:00.0";

fn daemon_with(partitions: u16) -> Daemon {
    let mut daemon = Daemon::in_room("a2-edge");
    let job = daemon.carry_out(count(&[GPU], partitions));
    assert_eq!(job.progress, Progress::Succeeded, "{job:?}");
    daemon
}

/// The same on a GPU that makes partitions of a number, which a reset makes clean.
fn plain_daemon_with(partitions: u16) -> Daemon {
    let mut daemon = Daemon::in_room("a16-octet");
    let gpu = daemon.server().gpus()[0].address.to_string();
    let job = daemon.carry_out(count(&[&gpu], partitions));
    assert_eq!(job.progress, Progress::Succeeded, "{job:?}");
    daemon
}

fn vm_id(daemon: &Daemon, name: &str) -> VmId {
    divvy_core::resolve::vm(&daemon.state(), name).expect("the room has it").1.id.clone()
}

fn states(daemon: &Daemon) -> Vec<PartitionState> {
    let state = daemon.state();
    let (server, gpu) = state.gpus().next().expect("one GPU");
    let observed = &state.observed[server];
    let partitions = status::Partitions::of(state.desired_of(server), observed);
    gpu.partitions.iter().map(|one| partitions.status(gpu, one).state).collect()
}

fn serial(daemon: &Daemon) -> u64 {
    daemon.server().gpus()[0].serial
}

#[test]
fn a_count_that_was_asked_for_is_made_and_the_job_tells_each_step() {
    let mut daemon = Daemon::in_room("a2-edge");
    let job = daemon.carry_out(count(&[GPU], 4));
    assert_eq!(job.progress, Progress::Succeeded);
    assert!(job.targets[0].steps.iter().any(|step| step.text.contains("make 4 partitions")), "{job:?}");
    assert_eq!(states(&daemon).len(), 4);
}

#[test]
fn an_assigned_partition_is_in_the_vms_definition_and_the_vm_starts_with_it() {
    let mut daemon = daemon_with(4);
    assert_eq!(daemon.carry_out(assign(&["vm-001"])).progress, Progress::Succeeded);
    assert_eq!(states(&daemon)[0], PartitionState::Assigned);
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_on(&vm).expect("starts");
    daemon.turn();
    assert_eq!(states(&daemon)[0], PartitionState::InUse);
    let state = daemon.state();
    let (_, seen) = state.vm(&vm).expect("is there");
    assert!(seen.power == Power::Running && seen.devices.len() == 1 && seen.devices[0].live, "{seen:?}");
}

#[test]
fn a_running_vm_gets_its_partition_while_it_runs() {
    let mut daemon = daemon_with(4);
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_on(&vm).expect("starts");
    daemon.turn();
    assert_eq!(daemon.carry_out(assign(&["vm-001"])).progress, Progress::Succeeded);
    assert_eq!(states(&daemon)[0], PartitionState::InUse);
}

#[test]
fn what_is_unassigned_is_reset_and_free_for_another_vm() {
    let mut daemon = plain_daemon_with(2);
    daemon.carry_out(assign(&["vm-001"]));
    assert_eq!(daemon.carry_out(unassign(&["vm-001"])).progress, Progress::Succeeded);
    assert_eq!(states(&daemon), [PartitionState::Free, PartitionState::Free]);
    let address = daemon.state().gpus().next().expect("one").1.partitions[0].address;
    assert!(daemon.server().resets(address) > 0, "it was not reset");
    assert_eq!(daemon.carry_out(assign(&["vm-002"])).progress, Progress::Succeeded);
}

#[test]
fn a_partition_that_cannot_be_reset_is_quarantined_and_not_given_out() {
    let mut daemon = plain_daemon_with(1);
    daemon.carry_out(assign(&["vm-001"]));
    daemon.server().set_fault(serial(&daemon), Fault::ResetFails);
    let job = daemon.carry_out(unassign(&["vm-001"]));
    assert_eq!(job.progress, Progress::Failed);
    assert_eq!(states(&daemon), [PartitionState::Quarantined]);
    assert_eq!(daemon.refusal(assign(&["vm-002"])), "no_free_partition");
}

/// NVIDIA's driver does not come through the death of a QEMU: the partition can be neither used nor made
/// anew.
#[test]
fn a_partition_whose_qemu_was_killed_is_quarantined_and_not_given_out() {
    let mut daemon = daemon_with(1);
    daemon.carry_out(assign(&["vm-001"]));
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_on(&vm).expect("starts");
    daemon.server().kill(&vm).expect("runs");
    daemon.turn();
    let job = daemon.carry_out(unassign(&["vm-001"]));
    assert_eq!(job.progress, Progress::Failed);
    assert_eq!(states(&daemon), [PartitionState::Quarantined]);
    assert_eq!(daemon.refusal(assign(&["vm-002"])), "no_free_partition");
}

#[test]
fn a_quarantined_partition_is_a_finding_and_its_reset_not_one_to_be_tried_again() {
    let mut daemon = plain_daemon_with(1);
    daemon.carry_out(assign(&["vm-001"]));
    daemon.server().set_fault(serial(&daemon), Fault::ResetFails);
    daemon.ask(unassign(&["vm-001"])).expect("is not refused");
    daemon.turn();
    let found = findings::findings(&daemon.state());
    let codes: Vec<&str> = found.iter().map(|(_, finding)| finding.code.as_str()).collect();
    assert!(codes.contains(&"partition_quarantined"), "{codes:?}");
    assert!(!codes.contains(&"step_failed"), "{codes:?}");
}

#[test]
fn a_count_that_the_driver_refuses_fails_with_the_reason_and_the_gpu_goes_back() {
    let mut daemon = daemon_with(4);
    daemon.server().set_fault(serial(&daemon), Fault::WriteFails { errno: 28 });
    let job = daemon.carry_out(count(&[GPU], 8));
    assert_eq!(job.progress, Progress::Failed);
    assert!(job.targets[0].detail.is_some() && job.targets[0].hint.is_some(), "{job:?}");
    daemon.server().clear_faults(serial(&daemon));
    daemon.turn();
    assert_eq!(states(&daemon).len(), 4, "the old count is back");
}

#[test]
fn fewer_partitions_than_asked_for_is_a_failure_and_the_gpu_goes_back() {
    let mut daemon = plain_daemon_with(4);
    daemon.server().set_fault(serial(&daemon), Fault::Partial { count: 6 });
    let gpu = daemon.server().gpus()[0].address.to_string();
    let job = daemon.carry_out(count(&[&gpu], 8));
    assert_eq!(job.progress, Progress::Failed);
    assert!(job.targets[0].detail.as_ref().is_some_and(|text| text.contains('6')), "{job:?}");
    daemon.turn();
    assert_eq!(states(&daemon).len(), 4);
}

#[test]
fn after_a_boot_partitions_and_assignments_are_back_under_their_new_addresses() {
    let mut daemon = daemon_with(4);
    daemon.carry_out(assign(&["vm-001", "vm-002"]));
    let before = daemon.state().gpus().next().expect("one").1.address;
    let (room, store) = daemon.end();
    room.servers[0].reboot(Addresses::Renumbered);
    let mut daemon = Daemon::with_store(room, store);
    daemon.turn();
    assert_ne!(daemon.state().gpus().next().expect("one").1.address, before, "the test needs a move");
    assert_eq!(states(&daemon)[..2], [PartitionState::Assigned, PartitionState::Assigned]);
    let vm = vm_id(&daemon, "vm-001");
    daemon.server().power_on(&vm).expect("starts with its partition");
    assert_eq!(check(&daemon.state()), []);
}

#[test]
fn a_job_that_a_crash_cut_off_is_finished_by_the_next_start() {
    let daemon = Daemon::in_room("a2-edge");
    daemon.ask(count(&[GPU], 8)).expect("accepted");
    let (room, store) = daemon.end();
    let mut daemon = Daemon::with_store(room, store);
    daemon.turn();
    assert_eq!(states(&daemon).len(), 8);
    assert!(daemon.hub.published().running_jobs.is_empty(), "the job has ended");
}

#[test]
fn a_vm_that_divvy_does_not_manage_keeps_its_partition() {
    let mut daemon = daemon_with(4);
    let device = daemon.state().gpus().next().expect("one").1.partitions[0].device;
    let foreign = vm_id(&daemon, "vm-005");
    let device = DefinedDevice { device, alias: None };
    daemon.server().edit(&foreign, |definition| definition.devices.push(device)).expect("another hand");
    daemon.turn();
    assert_eq!(states(&daemon)[0], PartitionState::InUse);
    assert_eq!(daemon.refusal(count(&[GPU], 8)), "partitions_open");
    daemon.carry_out(assign(&["vm-001"]));
    let state = daemon.state();
    let (_, own) = state.desired.assignment(&vm_id(&daemon, "vm-001")).expect("assigned");
    assert_eq!(own.partition().map(|partition| partition.index.0), Some(1));
}

#[test]
fn while_the_hypervisor_is_away_nothing_is_assigned_and_nothing_looks_unassigned() {
    let mut daemon = daemon_with(4);
    daemon.carry_out(assign(&["vm-001"]));
    daemon.server().set_connection(divvy_sim::machine::Connection::Down);
    daemon.turn();
    assert_eq!(daemon.refusal(assign(&["vm-002"])), "hypervisor_unavailable");
    assert_eq!(states(&daemon)[0], PartitionState::Assigned);
    assert!(
        findings::findings(&daemon.state())
            .iter()
            .any(|(_, finding)| finding.code.as_str() == "hypervisor_unavailable")
    );
}

#[test]
fn many_askers_at_once_get_different_partitions() {
    let daemon = daemon_with(16);
    let hub = daemon.hub.clone();
    let askers: Vec<_> = (1..=16)
        .map(|number| {
            let hub = hub.clone();
            std::thread::spawn(move || {
                hub.ask_blocking(assign(&[&format!("vm-{number:03}")]), "asker").is_ok()
            })
        })
        .collect();
    let accepted = askers.into_iter().map(|asker| asker.join().expect("no panic"));
    assert_eq!(accepted.filter(|accepted| *accepted).count(), 16);
    let state = daemon.state();
    let mut indexes: Vec<u16> = state
        .desired
        .servers
        .values()
        .flat_map(|server| server.assignments.values())
        .filter_map(|assignment| Some(assignment.partition()?.index.0))
        .collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (0..16).collect::<Vec<u16>>());
}

#[test]
fn every_change_is_recorded_with_who_asked_for_it() {
    let mut daemon = daemon_with(4);
    daemon.carry_out(assign(&["vm-001"]));
    let events = daemon.store.events(0, 100).expect("the store answers");
    let asked: Vec<&str> = events
        .iter()
        .filter(|event| event.event.principal.as_deref() == Some("test"))
        .map(|event| event.event.code.as_str())
        .collect();
    assert!(asked.contains(&"count_set") && asked.contains(&"assigned"), "{asked:?}");
}

#[test]
fn a_gpu_that_hangs_is_unknown_and_the_others_go_on() {
    let mut daemon = Daemon::in_room("a16-pair");
    let gpus: Vec<String> = daemon
        .state()
        .observed
        .values()
        .next()
        .map(|seen| seen.gpus.iter().map(|gpu| gpu.id.to_string()).collect())
        .expect("reported");
    let sick = daemon.server().gpus()[0].serial;
    daemon.server().set_fault(sick, Fault::Hang);
    let job = daemon.carry_out(count(&[&gpus[0], &gpus[1]], 4));
    assert_eq!(job.progress, Progress::Failed);
    let done = job.targets.iter().filter(|target| target.progress == Progress::Succeeded).count();
    assert_eq!(done, 1, "{job:?}");
    let modes =
        views::gpus_of(&daemon.state(), daemon.server().id()).into_iter().map(|gpu| gpu.mode.to_string());
    let modes: Vec<String> = modes.collect();
    assert!(modes.contains(&"unknown".to_owned()), "{modes:?}");
}

#[test]
fn a_start_restores_partitions_without_waiting_for_the_hypervisor_and_sees_the_vms_in_its_next_turn() {
    let mut daemon = plain_daemon_with(4);
    daemon.carry_out(assign(&["vm-001"]));
    let (room, store) = daemon.end();
    room.servers[0].reboot(Addresses::Kept);
    room.servers[0].set_connection(divvy_sim::machine::Connection::Down);
    let mut daemon = Daemon::with_store(room, store);
    assert_eq!(states(&daemon)[0], PartitionState::Assigned);
    let prepared = daemon.state().gpus().next().and_then(|(_, gpu)| gpu.partitions[0].driver.clone());
    assert_eq!(prepared.as_deref(), Some("vfio-pci"));
    daemon.server().set_connection(divvy_sim::machine::Connection::Up);
    daemon.turn();
    assert!(daemon.state().vms().next().is_some(), "the VMs are seen");
}
