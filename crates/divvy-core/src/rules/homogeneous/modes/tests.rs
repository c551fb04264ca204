//! ECC and MIG through the whole rule: who is told of, and that nothing is told twice.

use alloc::string::ToString;

use crate::desired::{DesiredServer, PartitionSetting};
use crate::gpu::Scheme;
use crate::observed::ObservedGpu;
use crate::rules::homogeneous::findings;
use crate::testing::{World, gpu, gpu_a40, observed};

use super::*;

fn world(servers: &[Vec<ObservedGpu>]) -> World {
    let names = ["a", "b", "c", "d"];
    let server = |(nth, gpus): (usize, &Vec<ObservedGpu>)| {
        (DesiredServer::default(), observed(names[nth], gpus.clone()))
    };
    World { servers: servers.iter().enumerate().map(server).collect() }
}

/// A40s of one server; each says whether ECC is on, where that is told.
fn with_ecc(server: &str, modes: &[Option<bool>]) -> Vec<ObservedGpu> {
    let gpu = |(nth, ecc): (usize, &Option<bool>)| ObservedGpu {
        ecc: *ecc,
        ..gpu_a40(&format!("gpu-{server}{nth}"), 4)
    };
    modes.iter().enumerate().map(gpu).collect()
}

/// An H100, by MIG or without it.
fn h100(id: &str, by_mig: bool, count: u16) -> ObservedGpu {
    let scheme = Some(if by_mig { Scheme::NvidiaMig } else { Scheme::NvidiaVfio });
    ObservedGpu { scheme, ..gpu(id, (0x10de, 0x2331, 0), count) }
}

fn told(world: &World) -> Vec<(String, String)> {
    let found = findings(&world.state());
    found.iter().map(|finding| (finding.code.to_string(), finding.subject.to_string())).collect()
}

fn one(code: &FindingCode, subject: &str) -> Vec<(String, String)> {
    Vec::from([(code.to_string(), subject.to_string())])
}

#[test]
fn the_ecc_mode_of_most_is_the_right_one_and_what_is_not_told_is_no_difference() {
    const ON: Option<bool> = Some(true);
    const OFF: Option<bool> = Some(false);
    for (a, b, c, expected) in [
        (&[ON, ON][..], &[ON, ON][..], &[ON, ON][..], None),
        (&[OFF], &[OFF], &[OFF], None),
        (&[None], &[None], &[None], None),
        (&[ON], &[ON], &[None], None),
        (&[ON], &[ON], &[OFF], Some("GPU gpu-c0")),
        (&[OFF], &[OFF], &[ON], Some("GPU gpu-c0")),
        (&[ON, ON], &[ON, ON], &[OFF, OFF], Some("server c")),
        (&[ON, ON], &[ON, ON], &[OFF, None], Some("GPU gpu-c0")),
        (&[ON, ON], &[ON, OFF], &[ON], Some("GPU gpu-b1")),
        // Of equals, on is the right one.
        (&[ON], &[OFF], &[None], Some("GPU gpu-b0")),
    ] {
        let world = world(&[with_ecc("a", a), with_ecc("b", b), with_ecc("c", c)]);
        let expected = expected.map_or(Vec::new(), |subject| one(&ECC, subject));
        assert_eq!(told(&world), expected, "{a:?} {b:?} {c:?}");
    }
}

#[test]
fn the_mend_of_an_ecc_mode_is_the_command_for_the_gpus_of_that_server() {
    let of = |c: &[Option<bool>]| {
        let two = [Some(false), Some(false)];
        let world = world(&[with_ecc("a", &two), with_ecc("b", &two), with_ecc("c", c)]);
        findings(&world.state()).remove(0)
    };
    let whole = of(&[Some(true), Some(true)]);
    assert_eq!(whole.text, "all 2 GPUs of server c have ECC on, most of the others have it off");
    let [first, second] = ["gpu-c0", "gpu-c1"].map(|id| gpu_a40(id, 4).address);
    assert_eq!(
        whole.mend,
        format!("on server c: nvidia-smi -i {first},{second} -e 0, then restart it with its VMs shut down")
    );
    let single = of(&[Some(true), None]);
    assert_eq!(single.text, "GPU gpu-c0 of server c has ECC on, most of the others have it off");
}

#[test]
fn memory_that_ecc_takes_is_not_told_beside_it() {
    let mut servers = ["a", "b", "c"].map(|name| with_ecc(name, &[Some(false)]));
    servers[2][0].ecc = Some(true);
    servers[2][0].memory_bytes = Some(30 << 30);
    assert_eq!(told(&world(&servers)), one(&ECC, "GPU gpu-c0"));
    // Also where ECC is right and most of the memory is with those that lack it.
    let mut servers = ["a", "b"].map(|name| with_ecc(name, &[Some(false)]));
    servers[0][0].ecc = Some(true);
    servers[0][0].memory_bytes = Some(30 << 30);
    assert_eq!(told(&world(&servers)), one(&ECC, "GPU gpu-b0"));
}

#[test]
fn memory_that_ecc_does_not_explain_is_told() {
    let mut servers = ["a", "b", "c"].map(|name| with_ecc(name, &[Some(true)]));
    servers[2][0].memory_bytes = Some(30 << 30);
    assert_eq!(told(&world(&servers)), one(&super::super::MEMORY, "GPU gpu-c0"));
}

#[test]
fn a_gpu_without_mig_among_others_with_it_is_told_of_and_its_count_is_not() {
    let servers = [("a", true, 7), ("b", true, 7), ("c", false, 4)];
    let world =
        world(&servers.map(|(name, mig, count)| Vec::from([h100(&format!("gpu-{name}"), mig, count)])));
    assert_eq!(told(&world), one(&MIG, "GPU gpu-c"));
    let found = findings(&world.state()).remove(0);
    assert_eq!(found.text, "GPU gpu-c of server c is split without MIG, most of the others by MIG");
    assert_eq!(
        found.mend,
        "divvy gpu partition gpu-c --off; add \"10de:2331\" to mig_gpus in the settings of server c and restart \
         its divvyd; divvy gpu partition gpu-c --count 7"
    );
}

#[test]
fn a_server_by_mig_among_others_without_it_is_told_of_once() {
    let two = |name: &str, mig| [0, 1].map(|nth| h100(&format!("gpu-{name}{nth}"), mig, 0)).to_vec();
    let world = world(&[two("a", false), two("b", false), two("c", true)]);
    assert_eq!(told(&world), one(&MIG, "server c"));
    let found = findings(&world.state()).remove(0);
    let [first, second] = ["gpu-c0", "gpu-c1"].map(|id| h100(id, true, 0).address);
    assert_eq!(
        found.mend,
        format!(
            "take \"10de:2331\" out of mig_gpus in the settings of server c, if it is there, and restart its \
             divvyd; there, nvidia-smi -i {first},{second} -mig 0"
        )
    );
}

#[test]
fn of_as_many_with_mig_as_without_those_without_it_are_told_of() {
    let world = world(&[Vec::from([h100("gpu-a", false, 0)]), Vec::from([h100("gpu-b", true, 0)])]);
    assert_eq!(told(&world), one(&MIG, "GPU gpu-a"));
}

#[test]
fn mig_that_comes_back_by_itself_is_no_difference() {
    let mut world = world(&[Vec::from([h100("gpu-a", true, 2)]), Vec::from([h100("gpu-b", false, 0)])]);
    let asked = PartitionSetting::from_number(2).by(Some(Scheme::NvidiaMig));
    let (desired, server) = &mut world.servers[1];
    desired.settings.insert(server.gpus[0].id.clone(), asked);
    assert_eq!(told(&world), []);
}

#[test]
fn a_gpu_that_has_another_scheme_than_it_was_asked_for_is_told_of_by_that_alone() {
    let mut world = world(&[Vec::from([h100("gpu-a", true, 2)]), Vec::from([h100("gpu-b", false, 2)])]);
    let asked = PartitionSetting::from_number(2).by(Some(Scheme::NvidiaMig));
    let (desired, server) = &mut world.servers[1];
    desired.settings.insert(server.gpus[0].id.clone(), asked);
    assert!(same_scheme::finding(&world.servers[1].0, &world.servers[1].1.gpus[0]).is_some());
    assert_eq!(told(&world), []);
}
