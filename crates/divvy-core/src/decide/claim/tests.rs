use super::*;
use crate::assignment::Claim;
use crate::decide::decide;
use crate::observed::HypervisorHealth;
use crate::request::{PoolWish, Request, WholeWish};
use crate::testing::{World, gpu_a2, gpu_id, server_id, slot_function, vm_id};

/// Server `a` with GPUs `gpu-1` and `gpu-2` in pool `ml`, and four VMs.
fn two_gpus() -> World {
    let mut world = World::one_a2(0).pooled("ml");
    let mut second = gpu_a2("gpu-2", 0);
    second.slot.functions = Vec::from([slot_function(second.address, "simgpu", 2)]);
    world.observed_mut().gpus.push(second);
    let pool = world.desired_mut().pools[&gpu_id("gpu-1")].clone();
    world.desired_mut().pools.insert(gpu_id("gpu-2"), pool);
    world
}

fn claim(vm: &str, count: u16) -> Request {
    claim_accepting(vm, count, &[])
}

fn claim_accepting(vm: &str, count: u16, accept: &[FindingCode]) -> Request {
    let wish = WholeWish::Pool { pool: "ml".into(), count, at_start: true };
    Request::AssignDda { vm: vm.into(), wish, accept: accept.iter().cloned().collect() }
}

fn start(vm: &str) -> Request {
    Request::FillClaim { server: server_id("a"), vm: vm_id(vm) }
}

fn pool(wish: PoolWish) -> Request {
    Request::Pool { pool: "ml".into(), wish }
}

fn off(vm: &str, gpus: &[&str]) -> Request {
    let gpus = gpus.iter().map(|gpu| gpu_id(gpu)).collect();
    Request::EmptyClaim { server: server_id("a"), vm: vm_id(vm), gpus, failed: false }
}

fn refusal(world: &World, request: &Request) -> Refusal {
    decide(&world.state(), request).expect_err("refused")
}

fn of<'w>(world: &'w World, vm: &str) -> &'w Assignment {
    &world.servers[0].0.assignments[&vm_id(vm)]
}

fn gpus(world: &World, vm: &str) -> Vec<String> {
    of(world, vm).whole_gpus().iter().map(|whole| whole.gpu.to_string()).collect()
}

/// The VM runs: its start is not owed any more.
fn runs(world: &mut World, vm: &str) {
    world.decided(&Request::RestartDone { server: server_id("a"), vm: vm_id(vm) });
}

#[test]
fn more_vms_than_gpus_may_claim_them_and_none_has_one_before_it_starts() {
    let mut world = two_gpus();
    for vm in ["vm-001", "vm-002", "vm-003"] {
        world.decided(&claim(vm, 2));
        assert!(of(&world, vm).waits_for_start() && !of(&world, vm).start, "{vm}");
    }
    let name = crate::id::PoolName::new("ml").expect("a name");
    assert_eq!(pool::promised(&world.state(), &name), 6);
}

#[test]
fn a_start_picks_as_many_as_are_claimed_and_owes_the_start() {
    let mut world = two_gpus();
    world.decided(&claim("vm-001", 2));
    world.decided(&start("vm-001"));
    assert_eq!(gpus(&world, "vm-001").len(), 2);
    assert!(of(&world, "vm-001").start);
}

#[test]
fn a_second_start_picks_nothing_more() {
    let mut world = two_gpus();
    world.decided(&claim("vm-001", 1));
    world.decided(&start("vm-001"));
    assert!(world.decided(&start("vm-001")).is_empty());
    assert!(world.decided(&start("vm-002")).is_empty(), "it claims nothing");
}

#[test]
fn who_comes_too_late_is_told_who_has_them_and_gets_them_when_they_are_back() {
    let mut world = two_gpus();
    world.decided(&claim("vm-001", 2));
    world.decided(&claim("vm-002", 1));
    world.decided(&start("vm-001"));
    let told = refusal(&world, &start("vm-002"));
    assert_eq!(told.code(), "no_free_gpu");
    assert!(told.to_string().contains("used whole by VM vm-001"), "{told}");
    runs(&mut world, "vm-001");
    world.decided(&off("vm-001", &["gpu-1", "gpu-2"]));
    assert!(refusal(&world, &start("vm-002")).to_string().contains("vm-001 until it is back"));
    let back = Request::GpuReturned { server: server_id("a"), gpu: gpu_id("gpu-2") };
    world.decided(&back);
    world.decided(&start("vm-002"));
    assert_eq!(gpus(&world, "vm-002"), ["gpu-2"]);
}

#[test]
fn a_vm_that_is_off_again_has_its_claim_still_and_its_gpus_are_on_their_way_back() {
    let mut world = two_gpus();
    world.decided(&claim("vm-001", 1));
    world.decided(&start("vm-001"));
    runs(&mut world, "vm-001");
    let had = gpus(&world, "vm-001");
    world.decided(&off("vm-001", &[&had[0]]));
    assert!(of(&world, "vm-001").waits_for_start());
    assert!(world.servers[0].0.returns.contains_key(&gpu_id(&had[0])));
}

#[test]
fn nothing_is_taken_from_a_vm_whose_start_is_owed_or_that_has_other_gpus_by_now() {
    let mut world = two_gpus();
    world.decided(&claim("vm-001", 1));
    world.decided(&start("vm-001"));
    let has = gpus(&world, "vm-001")[0].clone();
    let other = if has == "gpu-1" { "gpu-2" } else { "gpu-1" };
    assert!(world.decided(&off("vm-001", &[&has])).is_empty(), "its start is owed");
    runs(&mut world, "vm-001");
    assert!(world.decided(&off("vm-001", &[other])).is_empty(), "it has another");
    world.desired_mut().assignments.get_mut(&vm_id("vm-001")).expect("is there").restart = true;
    assert!(world.decided(&off("vm-001", &[&has])).is_empty(), "it is off on its way");
}

#[test]
fn a_start_that_failed_is_not_owed_any_more_and_the_claim_stays() {
    let mut world = two_gpus();
    world.decided(&claim("vm-001", 1));
    world.decided(&start("vm-001"));
    let (server, vm) = (server_id("a"), vm_id("vm-001"));
    let gpus = of(&world, "vm-001").whole_gpus().iter().map(|whole| whole.gpu.clone()).collect();
    world.decided(&Request::EmptyClaim { server, vm, gpus, failed: true });
    assert!(of(&world, "vm-001").waits_for_start() && !of(&world, "vm-001").start);
}

#[test]
fn gpus_that_a_vm_keeps_are_not_taken_because_it_is_off() {
    let mut world = two_gpus().whole("vm-001");
    assert!(world.decided(&off("vm-001", &["gpu-1"])).is_empty());
}

#[test]
fn a_vm_that_runs_gets_its_gpus_at_once_and_keeps_running_without_if_none_is_free() {
    let mut world = two_gpus();
    for vm in ["vm-001", "vm-002"] {
        world.vm_mut(vm).power = Power::Running;
        world.vm_mut(vm).settings.free_hotplug_ports = 2;
    }
    world.decided(&claim("vm-001", 2));
    let first = of(&world, "vm-001");
    assert!(first.whole_gpus().len() == 2 && first.claim().is_some() && !first.start && !first.restart);
    world.decided(&claim("vm-002", 1));
    assert!(of(&world, "vm-002").waits_for_start());
}

#[test]
fn a_vm_that_runs_is_restarted_for_its_gpus_only_if_that_is_accepted() {
    let mut world = two_gpus();
    world.vm_mut("vm-001").power = Power::Running;
    world.vm_mut("vm-001").settings.free_hotplug_ports = 0;
    assert_eq!(refusal(&world, &claim("vm-001", 1)).code(), "not_accepted");
    let accept = [crate::rules::vm_settings::WILL_RESTART];
    world.decided(&claim_accepting("vm-001", 1, &accept));
    assert!(of(&world, "vm-001").restart);
}

#[test]
fn each_reason_against_a_claim_is_refused_with_its_code() {
    type Spoil = fn(&mut World);
    let table: &[(&str, Spoil)] = &[
        ("pool_too_small", |world| world.observed_mut().gpus.truncate(1)),
        ("pool_too_small", |world| {
            let address = world.gpu().address;
            world.gpu_mut().slot.strangers.push(address);
        }),
        ("not_accepted", |world| world.gpu_mut().slot.is_boot_display = true),
        ("not_accepted", |world| world.gpu_mut().slot.mmio_bytes = Some(1 << 40)),
        ("not_ready", |world| world.vm_mut("vm-001").settings.persistent = false),
        ("vm_has_claim", |world| {
            world.decided(&claim("vm-001", 1));
        }),
        ("pool_not_found", |world| world.desired_mut().pools.clear()),
        ("hypervisor_unavailable", |world| {
            world.observed_mut().hypervisor = HypervisorHealth::NotAsked;
        }),
    ];
    for (code, spoil) in table {
        let mut world = two_gpus();
        spoil(&mut world);
        assert_eq!(refusal(&world, &claim("vm-001", 2)).code(), *code);
    }
    assert_eq!(refusal(&two_gpus(), &claim("vm-001", 0)).code(), "nothing_selected");
    assert_eq!(refusal(&two_gpus(), &claim("vm-001", 3)).code(), "pool_too_small");
}

#[test]
fn a_start_meets_what_was_not_so_when_the_claim_was_made() {
    let mut world = two_gpus();
    world.decided(&claim("vm-001", 2));
    world.gpu_mut().slot.is_boot_display = true;
    let told = refusal(&world, &start("vm-001"));
    assert_eq!(told.code(), "start_refused");
    assert!(told.hint().contains("--at-start --accept gpu_is_boot_display"), "{}", told.hint());
    world.observed_mut().vms.clear();
    assert_eq!(refusal(&world, &start("vm-001")).code(), "vm_not_found");
}

#[test]
fn what_was_accepted_with_the_claim_is_accepted_at_each_start() {
    let mut world = two_gpus();
    world.gpu_mut().slot.is_boot_display = true;
    let accept = [whole_gpu::BOOT_DISPLAY];
    world.decided(&claim_accepting("vm-001", 1, &accept));
    world.decided(&start("vm-001"));
    runs(&mut world, "vm-001");
    let had = gpus(&world, "vm-001");
    world.decided(&off("vm-001", &[&had[0]]));
    assert_eq!(of(&world, "vm-001").accepted, BTreeSet::from(accept));
}

#[test]
fn a_claim_is_given_up_before_and_after_it_has_its_gpus() {
    let mut world = two_gpus();
    let undo = Request::UnassignDda { vm: "vm-001".into() };
    world.decided(&claim("vm-001", 1));
    assert_eq!(refusal(&world, &Request::Unassign { vms: ["vm-001".into()].into() }).code(), "vm_has_claim");
    world.decided(&undo);
    assert!(world.servers[0].0.assignments.is_empty() && world.servers[0].0.returns.is_empty());
    world.decided(&claim("vm-001", 1));
    world.decided(&start("vm-001"));
    world.decided(&undo);
    assert!(world.servers[0].0.assignments.is_empty() && world.servers[0].0.returns.len() == 1);
}

#[test]
fn a_pool_keeps_what_a_claim_needs_and_takes_claims_to_its_new_name() {
    let mut world = two_gpus();
    world.decided(&claim("vm-001", 2));
    let take = pool(PoolWish::Take { gpus: ["gpu-2".into()].into() });
    for request in [&take, &pool(PoolWish::Remove)] {
        let told = refusal(&world, request);
        assert_eq!(told.code(), "pool_claimed");
        assert!(told.to_string().contains("vm-001") && told.hint() == "divvy dda unassign vm-001", "{told}");
    }
    world.decided(&pool(PoolWish::Rename { to: "vdi".into() }));
    let claim = Claim { pool: crate::id::PoolName::new("vdi").expect("a name"), count: 2 };
    assert_eq!(of(&world, "vm-001").claim(), Some(&claim));
    world.decided(&start("vm-001"));
    world.decided(&Request::Pool { pool: "vdi".into(), wish: PoolWish::Rename { to: "ml".into() } });
    assert_eq!(of(&world, "vm-001").claim().map(|claim| claim.pool.as_str()), Some("ml"));
}

#[test]
fn a_gpu_that_no_claim_needs_leaves_the_pool() {
    let mut world = two_gpus();
    world.decided(&claim("vm-001", 1));
    world.decided(&pool(PoolWish::Take { gpus: ["gpu-2".into()].into() }));
}
