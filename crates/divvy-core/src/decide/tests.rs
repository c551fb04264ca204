use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::assignment::Hold;
use crate::change::Edit;
use crate::check::check;
use crate::desired::PartitionSetting;
use crate::finding::{Finding, FindingCode, Severity, Subject};
use crate::gpu::Scheme;
use crate::request::{CountWish, GpuSelection, PoolWish, WholeWish};
use crate::testing::{World, gpu_a2, gpu_a40, gpu_id, partition_id, server_id, vm, vm_id, vm_with_device};
use crate::vm::Power;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn count_request(gpus: &[&str], count: u16) -> Request {
    Request::SetPartitionCount {
        gpus: GpuSelection::Named(names(gpus)),
        wish: if count == 0 { CountWish::Off } else { CountWish::Count(count) },
    }
}

fn assign_request(vms: &[&str]) -> Request {
    Request::Assign {
        vms: names(vms),
        gpu: None,
        memory_bytes: None,
        partition: None,
        accept: BTreeSet::new(),
    }
}

fn accepting(vms: &[&str], codes: &[&'static str]) -> Request {
    let accept = codes.iter().map(|code| FindingCode::of(code)).collect();
    Request::Assign { vms: names(vms), gpu: None, memory_bytes: None, partition: None, accept }
}

fn refusal(world: &World, request: &Request) -> &'static str {
    decide(&world.state(), request).expect_err("refused").code()
}

/// Decides, applies, and lets the independent judge look at the result.
fn decided(world: &World, request: &Request) -> (Change, State) {
    let mut state = world.state();
    let change = decide(&state, request).expect("accepted");
    change.apply(&mut state.desired).expect("no conflict");
    assert_eq!(check(&state), [], "the judge objects");
    (change, state)
}

fn partitions_of(state: &State) -> Vec<String> {
    let servers = state.desired.servers.values();
    servers
        .flat_map(|server| {
            server.assignments.values().filter_map(|a| Some(format!("{} {}", a.vm_name, a.partition()?)))
        })
        .collect()
}

#[test]
fn a_valid_count_on_an_idle_gpu_is_accepted() {
    let (change, state) = decided(&World::one_a2(0), &count_request(&["gpu-1"], 4));
    assert_eq!(change.edits.len(), 1);
    let server = state.desired.server(&server_id("a")).expect("server");
    assert_eq!(server.settings[&gpu_id("gpu-1")].as_number(), 4);
    assert_eq!(server.generation.0, 1);
}

#[test]
fn the_count_that_is_there_already_changes_nothing() {
    let (change, _) = decided(&World::one_a2(4), &count_request(&["gpu-1"], 4));
    assert!(change.is_empty());
}

#[test]
fn each_reason_against_a_count_is_refused_with_its_code() {
    type Spoil = fn(&mut World);
    let table: &[(&str, u16, Spoil)] = &[
        ("count_not_valid", 3, |_| ()),
        ("count_not_valid", 32, |_| ()),
        ("gpu_not_found", 4, |world| world.observed_mut().gpus.clear()),
        ("gpu_not_partitionable", 4, |world| world.gpu_mut().scheme = None),
        ("gpu_used_whole", 4, |world| world.gpu_mut().driver = Some("vfio-pci".into())),
        ("gpu_unknown", 4, |world| {
            world.gpu_mut().health = crate::observed::GpuHealth::Unknown { reason: "hangs".into() };
        }),
        ("partitions_assigned", 4, |world| *world = World::one_a2(8).assigned("vm-001", 0)),
        ("partitions_open", 4, |world| *world = World::one_a2(8).releasing("vm-001", 0)),
        ("partitions_open", 0, |world| {
            *world = World::one_a2(8);
            world.gpu_mut().partitions[7].open = true;
        }),
    ];
    for (code, count, spoil) in table {
        let mut world = World::one_a2(0);
        spoil(&mut world);
        assert_eq!(refusal(&world, &count_request(&["gpu-1"], *count)), *code);
    }
}

#[test]
fn one_count_for_unlike_models_is_refused_and_names_the_servers() {
    let world = World::of_gpus(&[("a", gpu_a2("gpu-1", 0)), ("b", gpu_a40("gpu-2", 0))]);
    let all = Request::SetPartitionCount { gpus: GpuSelection::All, wish: CountWish::Count(4) };
    let refusal = decide(&world.state(), &all).expect_err("unlike");
    assert_eq!(refusal.code(), "models_differ");
    assert!(refusal.to_string().contains("A40 on b"), "{refusal}");
    assert_eq!(
        super::decide(&world.state(), &count_request(&["gpu-1", "gpu-2"], 4)).expect_err("unlike").code(),
        "models_differ"
    );
}

#[test]
fn one_gpu_on_the_way_to_an_even_set_is_done_with_a_warning() {
    let world =
        World::of_gpus(&[("a", gpu_a2("gpu-1", 4)), ("b", gpu_a2("gpu-2", 4)), ("c", gpu_a2("gpu-3", 4))]);
    let (change, _) = decided(&world, &count_request(&["gpu-2"], 8));
    assert_eq!(change.edits.len(), 1);
    assert_eq!(
        change.warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(),
        ["not_homogeneous_count"]
    );
}

#[test]
fn a_count_for_all_is_all_or_nothing() {
    let mut world = World::of_gpus(&[("a", gpu_a2("gpu-1", 2)), ("b", gpu_a2("gpu-2", 2))]);
    let all = Request::SetPartitionCount { gpus: GpuSelection::All, wish: CountWish::Count(4) };
    assert_eq!(decided(&world, &all).0.edits.len(), 2);
    world.servers[1].1.gpus[0].partitions[1].open = true;
    assert_eq!(refusal(&world, &all), "partitions_open");
}

#[test]
fn a_new_count_ends_a_quarantine() {
    let mut world = World::one_a2(8);
    world.desired_mut().holds.insert(partition_id("gpu-1", 2), Hold::Quarantined { reason: "dirty".into() });
    let (_, state) = decided(&world, &count_request(&["gpu-1"], 4));
    assert!(state.desired.server(&server_id("a")).expect("server").holds.is_empty());
}

#[test]
fn divvy_picks_the_lowest_free_partition_of_the_fullest_gpu() {
    let mut world = World::one_a2(4).assigned("vm-001", 0).releasing("vm-009", 1);
    let mut second = gpu_a2("gpu-0", 4);
    second.id = gpu_id("gpu-0");
    world.observed_mut().gpus.push(second);
    let (_, state) = decided(&world, &assign_request(&["vm-002", "vm-003", "vm-004"]));
    assert_eq!(
        partitions_of(&state),
        ["vm-001 gpu-1.0", "vm-002 gpu-1.2", "vm-003 gpu-1.3", "vm-004 gpu-0.0"]
    );
}

#[test]
fn a_gpu_that_another_hand_split_is_kept_from_its_first_assignment_on() {
    let mut world = World::one_a2(4);
    world.desired_mut().settings.clear();
    let (change, state) = decided(&world, &assign_request(&["vm-001"]));
    assert!(matches!(change.edits[0], Edit::SetCount { before: None, .. }));
    let kept = state.desired.server(&server_id("a")).expect("server").settings.get(&gpu_id("gpu-1")).copied();
    assert_eq!(kept.map(PartitionSetting::as_number), Some(4));
}

#[test]
fn each_reason_against_an_assignment_is_refused_with_its_code() {
    type Spoil = fn(&mut World);
    let table: &[(&str, Spoil)] = &[
        ("vm_not_found", |world| world.observed_mut().vms.clear()),
        ("vm_has_partition", |world| *world = world.clone().assigned("vm-001", 0)),
        ("vm_has_partition", |world| {
            let address = world.partition_address(2);
            *world.vm_mut("vm-001") = vm_with_device("vm-001", address);
        }),
        ("no_free_partition", |world| world.gpu_mut().partitions.iter_mut().for_each(|p| p.open = true)),
        ("no_free_partition", |world| world.observed_mut().gpus.clear()),
        ("no_free_partition", |world| {
            world.gpu_mut().health = crate::observed::GpuHealth::Unknown { reason: "hangs".into() };
        }),
        ("no_free_partition", |world| {
            world.desired_mut().settings.insert(gpu_id("gpu-1"), PartitionSetting::from_number(8));
        }),
        ("hypervisor_unavailable", |world| {
            world.observed_mut().hypervisor =
                crate::observed::HypervisorHealth::Unavailable { reason: "no socket".into() };
        }),
        ("not_accepted", |world| world.vm_mut("vm-001").settings.guest_os = None),
        ("not_ready", |world| world.vm_mut("vm-001").settings.saved_state = true),
        ("not_ready", |world| {
            let finding = Finding {
                code: FindingCode::of("iommu_off"),
                severity: Severity::Error,
                subject: Subject::Server(server_id("a")),
                text: "the IOMMU is off".into(),
                mend: "turn it on".into(),
            };
            world.observed_mut().findings.push(finding);
        }),
    ];
    for (code, spoil) in table {
        let mut world = World::one_a2(4);
        spoil(&mut world);
        assert_eq!(refusal(&world, &assign_request(&["vm-001"])), *code);
    }
}

#[test]
fn a_partition_on_another_server_is_refused() {
    let mut world = World::of_gpus(&[("a", gpu_a2("gpu-1", 4)), ("b", gpu_a2("gpu-2", 4))]);
    world.observed_mut().vms.push(vm("vm-001"));
    let request = Request::Assign {
        vms: names(&["vm-001"]),
        gpu: Some("gpu-2".into()),
        memory_bytes: None,
        partition: None,
        accept: BTreeSet::new(),
    };
    assert_eq!(refusal(&world, &request), "other_server");
}

#[test]
fn asking_for_a_certain_partition_or_for_a_vm_twice_is_refused() {
    let world = World::one_a2(4);
    let certain = Request::Assign {
        vms: names(&["vm-001"]),
        gpu: None,
        memory_bytes: None,
        partition: Some("gpu-1.0".into()),
        accept: BTreeSet::new(),
    };
    assert_eq!(refusal(&world, &certain), "partition_not_chosen_by_user");
    assert_eq!(refusal(&world, &assign_request(&["vm-001", "vm-001"])), "vm_named_twice");
    assert_eq!(refusal(&world, &assign_request(&[])), "nothing_selected");
}

#[test]
fn an_accepted_finding_is_kept_with_the_assignment() {
    let mut world = World::one_a2(4);
    world.vm_mut("vm-001").settings.guest_os = None;
    let (change, state) = decided(&world, &accepting(&["vm-001"], &["guest_os_unknown", "vm_has_snapshots"]));
    let (_, assignment) = state.desired.assignment(&vm_id("vm-001")).expect("assigned");
    let accepted: Vec<&str> = assignment.accepted.iter().map(FindingCode::as_str).collect();
    assert_eq!(accepted, ["guest_os_unknown"], "only what was needed is kept");
    assert_eq!(change.warnings.len(), 1, "and it is told again");
}

#[test]
fn a_running_vm_without_a_free_port_is_restarted_only_if_that_was_accepted() {
    let mut world = World::one_a2(4);
    world.vm_mut("vm-001").power = Power::Running;
    world.vm_mut("vm-001").settings.free_hotplug_ports = 0;
    assert_eq!(refusal(&world, &assign_request(&["vm-001"])), "not_accepted");
    let (_, state) = decided(&world, &accepting(&["vm-001"], &["vm_will_restart"]));
    assert!(state.desired.assignment(&vm_id("vm-001")).expect("assigned").1.restart);
}

#[test]
fn a_full_gpu_refuses_one_more_and_says_why() {
    let mut world = World::one_a2(2).assigned("vm-001", 0).assigned("vm-002", 1);
    world.observed_mut().vms.push(vm("vm-005"));
    let refusal = decide(&world.state(), &assign_request(&["vm-005"])).expect_err("full");
    assert!(refusal.to_string().contains("none of its 2 partitions is free"), "{refusal}");
}

#[test]
fn a_free_partition_with_an_error_is_not_given_and_the_refusal_says_which_error() {
    let mut world = World::one_a2(2).assigned("vm-001", 0);
    world.observed_mut().vms.push(vm("vm-005"));
    let finding = Finding {
        code: FindingCode::of("no_reset"),
        severity: Severity::Error,
        subject: Subject::Partition(partition_id("gpu-1", 1)),
        text: "it cannot be reset".into(),
        mend: "make it resettable".into(),
    };
    world.observed_mut().findings.push(finding);
    let refusal = decide(&world.state(), &assign_request(&["vm-005"])).expect_err("none is fit");
    assert_eq!(refusal.code(), "no_free_partition");
    assert!(refusal.to_string().contains("gpu-1.1 is free, but it cannot be reset"), "{refusal}");
}

#[test]
fn what_is_unassigned_is_held_until_it_is_proved_clean() {
    let world = World::one_a2(4).assigned("vm-001", 0);
    let (_, state) = decided(&world, &Request::Unassign { vms: names(&["vm-001"]) });
    let hold = &state.desired.server(&server_id("a")).expect("server").holds[&partition_id("gpu-1", 0)];
    assert!(matches!(hold, Hold::Releasing { .. }));
    let clean = Request::PartitionClean { server: server_id("a"), partition: partition_id("gpu-1", 0) };
    let mut state = state;
    decide(&state, &clean).expect("accepted").apply(&mut state.desired).expect("no conflict");
    assert!(state.desired.server(&server_id("a")).expect("server").holds.is_empty());
}

#[test]
fn a_vm_without_a_partition_cannot_give_one_back() {
    let world = World::one_a2(4);
    assert_eq!(refusal(&world, &Request::Unassign { vms: names(&["vm-001"]) }), "vm_has_no_partition");
    assert_eq!(refusal(&world, &Request::Unassign { vms: names(&["nobody"]) }), "vm_not_found");
    assert_eq!(refusal(&world, &Request::Unassign { vms: Vec::new() }), "nothing_selected");
}

#[test]
fn a_count_is_reverted_only_while_it_is_still_what_was_asked_for() {
    let world = World::one_a2(4);
    let revert = |failed: u16| Request::RevertCount {
        server: server_id("a"),
        gpu: gpu_id("gpu-1"),
        failed: PartitionSetting::from_number(failed),
        back_to: Some(PartitionSetting::Off),
    };
    assert!(decided(&world, &revert(8)).0.is_empty());
    assert_eq!(decided(&world, &revert(4)).0.edits.len(), 1);
}

fn scheme_asked(state: &State) -> Option<Scheme> {
    state.desired.server(&server_id("a")).expect("server").settings[&gpu_id("gpu-1")].scheme()
}

#[test]
fn a_count_is_recorded_with_the_scheme_that_the_gpu_has() {
    let mut world = World::one_a2(0);
    world.gpu_mut().scheme = Some(Scheme::NvidiaVfio);
    let (_, state) = decided(&world, &count_request(&["gpu-1"], 4));
    assert_eq!(scheme_asked(&state), Some(Scheme::NvidiaVfio));
    let mut found = World::one_a2(4);
    found.desired_mut().settings.clear();
    let (_, state) = decided(&found, &assign_request(&["vm-001"]));
    assert_eq!(scheme_asked(&state), Some(Scheme::Sriov));
}

#[test]
fn a_count_of_another_scheme_is_taken_over_when_it_is_asked_for_and_nobody_has_a_partition() {
    let mut world = World::one_a2(4);
    let mig = PartitionSetting::from_number(4).by(Some(Scheme::NvidiaMig));
    world.desired_mut().settings.insert(gpu_id("gpu-1"), mig);
    world.gpu_mut().scheme = Some(Scheme::NvidiaVfio);
    let (_, state) = decided(&world, &count_request(&["gpu-1"], 4));
    assert_eq!(scheme_asked(&state), Some(Scheme::NvidiaVfio));
    assert_eq!(refusal(&world, &assign_request(&["vm-001"])), "no_free_partition");
    let owned = world.assigned("vm-001", 0);
    assert_eq!(refusal(&owned, &count_request(&["gpu-1"], 4)), "partitions_assigned");
}

#[test]
fn while_the_mode_of_mig_is_lost_another_count_is_still_one_of_mig() {
    let mut world = World::one_a2(0);
    let mig = PartitionSetting::from_number(4).by(Some(Scheme::NvidiaMig));
    world.desired_mut().settings.insert(gpu_id("gpu-1"), mig);
    world.gpu_mut().scheme = Some(Scheme::NvidiaVfio);
    let (_, state) = decided(&world, &count_request(&["gpu-1"], 2));
    assert_eq!(scheme_asked(&state), Some(Scheme::NvidiaMig));
    let mut off = world;
    off.desired_mut().settings.insert(gpu_id("gpu-1"), PartitionSetting::Off);
    let (_, state) = decided(&off, &count_request(&["gpu-1"], 2));
    assert_eq!(scheme_asked(&state), Some(Scheme::NvidiaVfio));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn request() -> impl Strategy<Value = Request> {
        let vm = prop::sample::select(&["vm-001", "vm-002", "vm-003", "vm-004", "nobody"][..]);
        prop_oneof![
            (0u16..20).prop_map(|count| count_request(&["gpu-1"], count)),
            prop::collection::vec(vm.clone(), 0..4).prop_map(|vms| assign_request(&vms)),
            prop::collection::vec(vm, 0..3).prop_map(|vms| Request::Unassign { vms: names(&vms) }),
            whole_request(),
            (0u16..16).prop_map(|index| Request::PartitionClean {
                server: server_id("a"),
                partition: partition_id("gpu-1", index)
            }),
            (0u16..16).prop_map(|index| Request::Quarantine {
                server: server_id("a"),
                partition: partition_id("gpu-1", index),
                reason: "dirty".into()
            }),
        ]
    }

    fn whole_request() -> impl Strategy<Value = Request> {
        prop_oneof![
            vm_of_one().prop_map(|vm| Request::AssignDda {
                vm,
                wish: WholeWish::Gpus(names(&["gpu-1"])),
                accept: BTreeSet::new()
            }),
            (vm_of_one(), 0u16..3, any::<bool>()).prop_map(|(vm, count, at_start)| Request::AssignDda {
                vm,
                wish: WholeWish::Pool { pool: "ml".into(), count, at_start },
                accept: BTreeSet::new()
            }),
            claim_request(),
            vm_of_one().prop_map(|vm| Request::UnassignDda { vm }),
            pool_request(),
            (0u16..10, any::<bool>())
                .prop_map(|(index, remake)| Request::Cure { partition: format!("gpu-1.{index}"), remake }),
            Just(Request::GpuReturned { server: server_id("a"), gpu: gpu_id("gpu-1") }),
            Just(Request::PartitionsRemade { server: server_id("a"), gpu: gpu_id("gpu-1") }),
            vm_of_one().prop_map(|vm| Request::RevertDda {
                server: server_id("a"),
                vm: vm_id(&vm),
                gpus: Vec::from([gpu_id("gpu-1")])
            }),
        ]
    }

    fn claim_request() -> impl Strategy<Value = Request> {
        let (server, gpus) = (|| server_id("a"), || Vec::from([gpu_id("gpu-1")]));
        prop_oneof![
            vm_of_one().prop_map(move |vm| Request::FillClaim { server: server(), vm: vm_id(&vm) }),
            vm_of_one().prop_map(move |vm| Request::RestartDone { server: server(), vm: vm_id(&vm) }),
            (vm_of_one(), any::<bool>()).prop_map(move |(vm, failed)| Request::EmptyClaim {
                server: server(),
                vm: vm_id(&vm),
                gpus: gpus(),
                failed
            }),
        ]
    }

    fn vm_of_one() -> impl Strategy<Value = String> {
        prop::sample::select(&["vm-001", "vm-002", "nobody"][..]).prop_map(String::from)
    }

    fn pool_request() -> impl Strategy<Value = Request> {
        let pool = prop::sample::select(&["ml", "vdi"][..]).prop_map(String::from);
        let gpus = || names(&["gpu-1"]);
        let wish = prop_oneof![
            Just(PoolWish::Create { gpus: gpus() }),
            Just(PoolWish::Add { gpus: gpus() }),
            Just(PoolWish::Take { gpus: gpus() }),
            Just(PoolWish::Rename { to: "vdi".into() }),
            Just(PoolWish::Remove),
        ];
        (pool, wish).prop_map(|(pool, wish)| Request::Pool { pool, wish })
    }

    proptest! {
        /// Whatever is asked for in whatever order, the judge never objects and a refusal changes nothing.
        #[test]
        fn no_sequence_of_requests_makes_a_wrong_state(partitions in prop::sample::select(&[0u16, 8][..]), requests in prop::collection::vec(request(), 1..40)) {
            let mut state = World::one_a2(partitions).state();
            for request in &requests {
                let before = state.desired.clone();
                match decide(&state, request) {
                    Ok(change) => change.apply(&mut state.desired).expect("no conflict"),
                    Err(refusal) => {
                        prop_assert!(!refusal.hint().is_empty());
                        prop_assert_eq!(&before, &state.desired);
                    }
                }
                prop_assert_eq!(check(&state), []);
            }
        }
    }
}
