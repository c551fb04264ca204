use alloc::string::ToString;

use super::*;
use crate::assignment::Hold;
use crate::decide::decide;
use crate::request::{CountWish, GpuSelection, PoolWish, Request, WholeWish};
use crate::testing::{World, gpu_a2, gpu_id, partition_id, server_id, slot_function, vm, vm_id};
use crate::vm::Power;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn dda(vm: &str, gpus: &[&str]) -> Request {
    Request::AssignDda { vm: vm.into(), wish: WholeWish::Gpus(names(gpus)), accept: BTreeSet::new() }
}

fn from_pool(vm: &str, pool: &str, count: u16) -> Request {
    let wish = WholeWish::Pool { pool: pool.into(), count, at_start: false };
    Request::AssignDda { vm: vm.into(), wish, accept: BTreeSet::new() }
}

fn pool(name: &str, wish: PoolWish) -> Request {
    Request::Pool { pool: name.into(), wish }
}

fn refusal(world: &World, request: &Request) -> &'static str {
    decide(&world.state(), request).expect_err("refused").code()
}

/// Server `a` with the GPUs `gpu-1` to `gpu-4`, the first two on NUMA node 0, addresses descending.
fn four_gpus() -> World {
    let mut world = World::one_a2(0);
    let gpus = &mut world.observed_mut().gpus;
    for (number, numa) in [(1_u8, 0), (2, 0), (3, 1), (4, 1)] {
        let mut gpu = gpu_a2(&format!("gpu-{number}"), 0);
        gpu.address.bus = 0x50 - number;
        gpu.slot.functions = Vec::from([slot_function(gpu.address, "simgpu", u32::from(number))]);
        gpu.numa_node = Some(numa);
        match usize::from(number) {
            1 => gpus[0] = gpu,
            _ => gpus.push(gpu),
        }
    }
    world
}

fn given(world: &World, vm: &str) -> Vec<String> {
    let assignment = world.servers[0].0.assignments.get(&vm_id(vm)).expect("assigned");
    assignment.whole_gpus().iter().map(|whole| whole.gpu.to_string()).collect()
}

#[test]
fn a_named_gpu_is_given_with_what_its_slot_had_remembered() {
    let mut world = World::one_a2(0);
    world.gpu_mut().slot.functions[0].driver_override = Some("simgpu".into());
    world.decided(&dda("vm-001", &["gpu-1", "gpu-1"]));
    let assignment = &world.servers[0].0.assignments[&vm_id("vm-001")];
    let [whole] = assignment.whole_gpus() else { panic!("{assignment:?}") };
    let former =
        FormerDriver { function: 0, driver: Some("simgpu".into()), driver_override: Some("simgpu".into()) };
    assert_eq!((&whole.gpu, &whole.functions[..]), (&gpu_id("gpu-1"), &[former][..]));
}

#[test]
fn a_gpu_that_offers_no_partitions_and_one_that_is_ready_for_handing_out_are_given() {
    for spoil in [(|world: &mut World| world.gpu_mut().scheme = None) as fn(&mut World), |world| {
        world.gpu_mut().driver = Some("vfio-pci".into())
    }] {
        let mut world = World::one_a2(0);
        spoil(&mut world);
        world.decided(&dda("vm-001", &["gpu-1"]));
    }
}

#[test]
fn each_reason_against_a_whole_gpu_is_refused_with_its_code() {
    type Spoil = fn(&mut World);
    let table: &[(&str, Spoil)] = &[
        ("gpu_partitioned", |world| *world = World::one_a2(4)),
        ("vm_has_partition", |world| *world = World::one_a2(4).assigned("vm-001", 0)),
        ("vm_has_whole_gpu", |world| *world = World::one_a2(0).whole("vm-001")),
        ("gpu_used_whole", |world| *world = World::one_a2(0).whole("vm-002")),
        ("gpu_used_whole", |world| *world = World::one_a2(0).returning("vm-002")),
        ("gpu_not_found", |world| world.observed_mut().gpus.clear()),
        ("not_ready", |world| {
            let address = world.gpu().address;
            world.gpu_mut().slot.strangers.push(address);
        }),
        ("not_accepted", |world| world.gpu_mut().slot.is_boot_display = true),
        ("not_accepted", |world| {
            world.vm_mut("vm-001").power = Power::Running;
            world.vm_mut("vm-001").settings.free_hotplug_ports = 0;
        }),
        ("hypervisor_unavailable", |world| {
            world.observed_mut().hypervisor = crate::observed::HypervisorHealth::NotAsked;
        }),
    ];
    for (code, spoil) in table {
        let mut world = World::one_a2(0);
        spoil(&mut world);
        assert_eq!(refusal(&world, &dda("vm-001", &["gpu-1"])), *code);
    }
    assert_eq!(refusal(&World::one_a2(0), &dda("vm-001", &[])), "nothing_selected");
}

#[test]
fn a_gpu_of_another_server_is_refused() {
    let mut world = World::of_gpus(&[("a", gpu_a2("gpu-1", 0)), ("b", gpu_a2("gpu-2", 0))]);
    world.observed_mut().vms.push(vm("vm-001"));
    assert_eq!(refusal(&world, &dda("vm-001", &["gpu-2"])), "other_server");
}

#[test]
fn what_was_accepted_is_kept_with_the_assignment_and_a_busy_gpu_is_warned_of() {
    let mut world = World::one_a2(0);
    world.gpu_mut().slot.is_boot_display = true;
    let busy = Finding {
        code: whole_gpu::IN_USE,
        severity: Severity::Info,
        subject: Subject::Gpu(gpu_id("gpu-1")),
        text: "process 7".into(),
        mend: "end it".into(),
    };
    world.observed_mut().findings.push(busy);
    let accept = BTreeSet::from([whole_gpu::BOOT_DISPLAY]);
    let wish = WholeWish::Gpus(names(&["gpu-1"]));
    let change = world.decided(&Request::AssignDda { vm: "vm-001".into(), wish, accept: accept.clone() });
    assert_eq!(world.servers[0].0.assignments[&vm_id("vm-001")].accepted, accept);
    assert!(change.warnings.iter().any(|f| f.code == whole_gpu::IN_USE && f.severity == Severity::Warning));
}

#[test]
fn a_pool_gives_gpus_of_one_numa_node_before_those_of_lower_addresses() {
    let mut world = four_gpus();
    world.decided(&pool("ml", PoolWish::Create { gpus: names(&["gpu-1", "gpu-3", "gpu-4"]) }));
    world.decided(&from_pool("vm-001", "ml", 2));
    assert_eq!(given(&world, "vm-001"), ["gpu-4", "gpu-3"]);
    let mut world = four_gpus();
    world.decided(&pool("ml", PoolWish::Create { gpus: names(&["gpu-1", "gpu-2", "gpu-4"]) }));
    world.decided(&from_pool("vm-001", "ml", 1));
    assert_eq!(given(&world, "vm-001"), ["gpu-4"]);
    world.decided(&from_pool("vm-002", "ml", 2));
    assert_eq!(given(&world, "vm-002"), ["gpu-2", "gpu-1"]);
}

#[test]
fn a_pool_that_has_not_enough_on_the_vms_server_says_where_how_many_are_free() {
    let mut world = World::of_gpus(&[("a", gpu_a2("gpu-1", 0)), ("b", gpu_a2("gpu-2", 0))]);
    world.observed_mut().vms.push(vm("vm-001"));
    world.decided(&pool("ml", PoolWish::Create { gpus: names(&["gpu-1", "gpu-2"]) }));
    let refusal = decide(&world.state(), &from_pool("vm-001", "ml", 2)).expect_err("too many");
    assert_eq!(refusal.code(), "no_free_gpu");
    let text = refusal.to_string();
    assert!(text.contains("server a has 1 free") && text.contains("server b has 1 free"), "{text}");
}

#[test]
fn a_gpu_in_a_pool_is_not_partitioned_and_all_gpus_are_those_that_are_in_none() {
    let mut world = four_gpus();
    world.decided(&pool("ml", PoolWish::Create { gpus: names(&["gpu-1"]) }));
    let count = |gpus| Request::SetPartitionCount { gpus, wish: CountWish::Count(4) };
    assert_eq!(refusal(&world, &count(GpuSelection::Named(names(&["gpu-1"])))), "gpu_in_pool");
    let change = world.decided(&count(GpuSelection::All));
    assert_eq!(change.edits.len(), 3);
    assert_eq!(refusal(&world, &pool("ml", PoolWish::Add { gpus: names(&["gpu-2"]) })), "gpu_partitioned");
}

#[test]
fn a_pool_is_made_renamed_changed_and_removed() {
    let mut world = four_gpus();
    let pools = |world: &World| -> Vec<String> {
        world.servers[0].0.pools.iter().map(|(gpu, pool)| format!("{gpu} {pool}")).collect()
    };
    world.decided(&pool("ml", PoolWish::Create { gpus: names(&["gpu-1", "gpu-2"]) }));
    world.decided(&pool("ml", PoolWish::Rename { to: "vdi".into() }));
    world.decided(&pool("vdi", PoolWish::Add { gpus: names(&["gpu-3", "gpu-1"]) }));
    world.decided(&pool("vdi", PoolWish::Take { gpus: names(&["gpu-2"]) }));
    assert_eq!(pools(&world), ["gpu-1 vdi", "gpu-3 vdi"]);
    world.decided(&pool("vdi", PoolWish::Remove));
    assert_eq!(pools(&world), [""; 0]);
}

#[test]
fn each_reason_against_a_pool_is_refused_with_its_code() {
    let mut world = four_gpus();
    let gpu = |name: &str| names(&[name]);
    world.decided(&pool("ml", PoolWish::Create { gpus: gpu("gpu-1") }));
    world.decided(&pool("vdi", PoolWish::Create { gpus: gpu("gpu-2") }));
    world.decided(&from_pool("vm-001", "ml", 1));
    let table: &[(&str, Request)] = &[
        ("pool_exists", pool("ml", PoolWish::Create { gpus: gpu("gpu-3") })),
        ("pool_exists", pool("vdi", PoolWish::Rename { to: "ml".into() })),
        ("pool_name_malformed", pool("m l", PoolWish::Create { gpus: gpu("gpu-3") })),
        ("pool_not_found", pool("m l", PoolWish::Remove)),
        ("pool_not_found", from_pool("vm-002", "other", 1)),
        ("gpu_in_pool", pool("ml", PoolWish::Add { gpus: gpu("gpu-2") })),
        ("gpu_not_in_pool", pool("ml", PoolWish::Take { gpus: gpu("gpu-2") })),
        ("gpu_not_found", pool("ml", PoolWish::Take { gpus: gpu("gpu-9") })),
        ("pool_in_use", pool("ml", PoolWish::Take { gpus: gpu("gpu-1") })),
        ("pool_in_use", pool("ml", PoolWish::Remove)),
        ("nothing_selected", pool("ml", PoolWish::Add { gpus: Vec::new() })),
        ("nothing_selected", from_pool("vm-002", "ml", 0)),
    ];
    for (code, request) in table {
        assert_eq!(refusal(&world, request), *code, "{request:?}");
    }
}

#[test]
fn a_gpu_that_left_its_server_can_still_be_taken_from_its_pool() {
    let mut world = World::one_a2(0).pooled("ml");
    world.observed_mut().gpus.clear();
    let change = world.decided(&pool("ml", PoolWish::Take { gpus: names(&["gpu-1"]) }));
    assert_eq!(change.edits.len(), 1);
}

#[test]
fn what_is_given_up_is_on_its_way_back_until_it_is_the_servers_again() {
    let mut world = World::one_a2(0).whole("vm-001");
    assert_eq!(refusal(&world, &Request::Unassign { vms: names(&["vm-001"]) }), "vm_has_whole_gpu");
    assert_eq!(refusal(&world, &Request::UnassignDda { vm: "vm-002".into() }), "vm_has_no_whole_gpu");
    world.decided(&Request::UnassignDda { vm: "vm-001".into() });
    assert_eq!(refusal(&world, &dda("vm-002", &["gpu-1"])), "gpu_used_whole");
    let back = Request::GpuReturned { server: server_id("a"), gpu: gpu_id("gpu-1") };
    assert_eq!(world.decided(&back).edits.len(), 1);
    assert!(world.decided(&back).is_empty());
    world.decided(&dda("vm-002", &["gpu-1"]));
}

#[test]
fn a_gpu_that_could_not_be_given_goes_back_unless_something_else_was_asked_for() {
    let mut world = World::one_a2(0).whole("vm-001");
    let revert = |gpu: &str| Request::RevertDda {
        server: server_id("a"),
        vm: vm_id("vm-001"),
        gpus: Vec::from([gpu_id(gpu)]),
    };
    assert!(world.decided(&revert("gpu-2")).is_empty());
    assert_eq!(world.decided(&revert("gpu-1")).edits.len(), 2);
    assert_eq!(world.servers[0].0.returns.len(), 1);
}

fn quarantined(world: &mut World, index: u16) {
    let hold = Hold::Quarantined { reason: "dirty".into() };
    world.desired_mut().holds.insert(partition_id("gpu-1", index), hold);
}

fn cure(remake: bool) -> Request {
    Request::Cure { partition: "gpu-1.2".into(), remake }
}

#[test]
fn a_quarantined_partition_is_tried_again_and_stays_quarantined_if_that_fails() {
    let mut world = World::one_a2(4);
    assert!(world.decided(&cure(false)).is_empty(), "there is nothing to cure");
    quarantined(&mut world, 2);
    world.decided(&cure(false));
    let (server, partition) = (server_id("a"), partition_id("gpu-1", 2));
    let failed = Request::Quarantine { server, partition: partition.clone(), reason: "still".into() };
    world.decided(&failed);
    let hold = &world.servers[0].0.holds[&partition];
    assert_eq!(*hold, Hold::Quarantined { reason: "still".into() });
}

#[test]
fn nothing_is_tried_while_a_sibling_is_open_and_remaking_waits_for_assigned_ones_too() {
    let mut world = World::one_a2(4).assigned("vm-001", 0);
    quarantined(&mut world, 2);
    let told = decide(&world.state(), &cure(true)).expect_err("assigned");
    assert_eq!(told.code(), "siblings_in_the_way");
    assert!(told.to_string().contains("vm-001"), "{told}");
    assert!(decide(&world.state(), &cure(false)).is_ok(), "a reset leaves a closed sibling alone");
    world.gpu_mut().partitions[0].open = true;
    let told = decide(&world.state(), &cure(false)).expect_err("open");
    assert!(told.to_string().contains("open in VM vm-001"), "{told}");
}

#[test]
fn a_partition_that_is_not_quarantined_is_not_cured() {
    let cases = [
        (World::one_a2(4).assigned("vm-001", 2), "partition_not_quarantined"),
        (World::one_a2(4).releasing("vm-001", 2), "partition_not_quarantined"),
        (World::one_a2(2), "partition_not_found"),
    ];
    for (world, code) in cases {
        assert_eq!(refusal(&world, &cure(false)), code);
    }
}

#[test]
fn remaking_the_partitions_ends_every_quarantine_of_the_gpu_and_nothing_is_assigned_meanwhile() {
    let mut world = World::one_a2(4);
    quarantined(&mut world, 2);
    quarantined(&mut world, 3);
    world.decided(&cure(true));
    let assign = Request::Assign {
        vms: names(&["vm-001"]),
        gpu: None,
        memory_bytes: None,
        partition: None,
        accept: BTreeSet::new(),
    };
    assert_eq!(refusal(&world, &assign), "no_free_partition");
    let done = Request::PartitionsRemade { server: server_id("a"), gpu: gpu_id("gpu-1") };
    assert_eq!(world.decided(&done).edits.len(), 2);
    assert!(world.decided(&done).is_empty());
}
