//! Drivers and branches of several servers: who is named, and what is to be done there.

use alloc::string::ToString;

use super::*;
use crate::desired::DesiredServer;
use crate::testing::{World, gpu_a40, gpu_id, observed};

/// A40s with the driver and version that their server has, as `nvidia 580.65.06`; servers are a, b, …
fn world(servers: &[&[&str]]) -> World {
    let names = ["a", "b", "c", "d", "e"];
    let server = |(nth, gpus): (usize, &&[&str])| {
        let gpus = gpus.iter().enumerate().map(|(of, running)| {
            let mut gpu = gpu_a40(&format!("gpu-{}{of}", names[nth]), 4);
            let mut words = running.split_whitespace().map(ToString::to_string);
            (gpu.driver, gpu.driver_version) = (words.next(), words.next());
            gpu
        });
        (DesiredServer::default(), observed(names[nth], gpus.collect()))
    };
    World { servers: servers.iter().enumerate().map(server).collect() }
}

fn of(world: &World) -> Vec<Finding> {
    findings(&world.state(), gpu_a40("gpu", 4).model.numbers())
}

fn told(servers: &[&[&str]]) -> Vec<String> {
    of(&world(servers)).iter().map(|finding| finding.subject.to_string()).collect()
}

#[test]
fn a_server_is_told_of_when_its_branch_or_its_driver_is_another_one() {
    const R580: &str = "nvidia 580.65.06";
    for (servers, expected) in [
        (&[&[R580][..], &[R580], &[R580]][..], &[][..]),
        // Another patch of the branch.
        (&[&[R580], &[R580], &["nvidia 580.95.05"]], &[]),
        (&[&[R580], &[R580], &["nvidia 570.133.10"]], &["server c"]),
        // Once for all of its GPUs.
        (&[&[R580; 4], &["nvidia 570.133.10"; 4], &[R580; 4]], &["server b"]),
        (&[&[R580], &[R580], &["nouveau"]], &["server c"]),
        // Half of its GPUs.
        (&[&[R580, R580], &["nouveau", R580]], &["GPU gpu-b0"]),
        // Of equals the newer branch is right.
        (&[&[R580], &["nvidia 590.44.01"]], &["server a"]),
        (&[&["nvidia 570.1"], &[R580], &["nvidia 590.1"]], &["server a", "server b"]),
        // What is not known does not differ.
        (&[&[R580], &[R580], &["nvidia"]], &[]),
        (&[&[R580], &[R580], &[""]], &[]),
        (&[&[R580], &[R580], &["nvidia beta"]], &[]),
        (&[&[""], &[""]], &[]),
        // Drivers that only hold a GPU for a moment or for a VM.
        (&[&[R580], &[R580], &["vfio-pci"]], &[]),
        (&[&[R580], &[R580], &["pci-pf-stub"]], &[]),
        // Drivers of the kernel have no branches.
        (&[&["xe"], &["xe"]], &[]),
        (&[&["xe"], &["xe"], &["i915"]], &["server c"]),
        (&[&["gim 9.4.0.K"], &["gim 9.4.1.K"], &["gim 9.2.0.K"]], &["server c"]),
    ] {
        assert_eq!(told(servers), expected, "{servers:?}");
    }
}

#[test]
fn a_gpu_that_its_driver_keeps_from_being_split_is_told_of_too() {
    let mut world = world(&[&["nvidia 580.65.06"], &["nvidia 580.65.06"], &["nouveau"]]);
    world.servers[2].1.gpus[0].scheme = None;
    assert_eq!(of(&world).len(), 1);
}

#[test]
fn a_gpu_that_is_kept_whole_is_not_compared() {
    let mut world = world(&[&["nvidia 580.65.06"], &["nvidia 580.65.06"], &["nouveau"]]);
    let pool = crate::id::PoolName::new("whole").expect("a name");
    world.servers[2].0.pools.insert(gpu_id("gpu-c0"), pool);
    assert_eq!(of(&world), []);
}

#[test]
fn the_text_names_both_versions_and_the_mend_the_server_and_the_branch() {
    let older = of(&world(&[&["nvidia 580.65.06"], &["nvidia 580.65.06"], &["nvidia 570.133.10"]])).remove(0);
    assert_eq!(
        older.text,
        "server c has the driver nvidia 570.133.10, most of the others have nvidia 580.65.06"
    );
    assert_eq!(
        older.mend,
        "install the driver nvidia of branch 580 on server c, and restart it with its VMs shut down"
    );
}

#[test]
fn on_the_way_to_a_newer_branch_going_on_is_a_mend_too() {
    let newer = of(&world(&[&["nvidia 570.1"], &["nvidia 570.1"], &["nvidia 580.65.06"]])).remove(0);
    assert!(newer.mend.ends_with("; or bring the other servers to branch 580 too"), "{}", newer.mend);
}

#[test]
fn the_mend_of_another_driver_is_the_driver_that_the_others_have() {
    let other = of(&world(&[&["nvidia 580.65.06"], &["nvidia 580.65.06"], &["nouveau"]])).remove(0);
    assert_eq!(
        other.mend,
        "give the GPUs of server c the driver nvidia 580.65.06: install it, keep nouveau from loading, and \
         restart the server with its VMs shut down"
    );
}
