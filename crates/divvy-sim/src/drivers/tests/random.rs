//! Long random lives of GPUs: whatever is written and run, a driver never gives out more than its GPU has.
//! Also memories of drivers that nobody wrote down so: a room is a file, and files are edited.

use divvy_core::pci_address::PciAddress;
use divvy_host::sysfs::Sysfs;
use proptest::prelude::*;

use crate::drivers;
use crate::models::{self, Table};
use crate::rng::Rng;
use crate::room::Room;
use crate::server::Addresses;
use crate::spec::Delays;
use crate::testing::at;
use crate::testing::lab::{Lab, PATIENCE};

const A40: &str = "0000:c2:00.0";
const H200: &str = "0000:c3:00.0";
const XE: &str = "0000:42:00.0";
const MANAGE: &str = "/usr/lib/nvidia/sriov-manage";

/// Types come and go, VMs open and close what has one, programs run, the server reboots.
fn live(lab: &Lab, rng: &mut Rng) {
    let sysfs = lab.server().sysfs();
    let vf = format!("sys/bus/pci/devices/{}/virtfn{}", lab.gpu, rng.below(5));
    let group = sysfs.link(&format!("{vf}/iommu_group")).ok();
    let group = group.and_then(|link| link.rsplit('/').next()?.parse::<u32>().ok());
    let types = ["0", "564", "574", "565", "557", "1414", "1416", "1428", "7"];
    // Refusals are part of it: what counts is what the GPU is like afterwards.
    match rng.below(20) {
        0 => drop(sysfs.run(MANAGE, &["-d", &lab.gpu], PATIENCE)),
        1 | 2 => drop(sysfs.run(MANAGE, &["-e", &lab.gpu], PATIENCE)),
        3 => drop(sysfs.run("nvidia-smi", &["mig", "-i", &lab.gpu, "-cgi", "19,14", "-C"], PATIENCE)),
        4 if rng.below(4) == 0 => lab.server().reboot(Addresses::Kept),
        5 => drop(sysfs.run("nvidia-smi", &["-i", &lab.gpu, "-mig", "1"], PATIENCE)),
        6 | 7 => {
            let dev = group.map(|group| format!("dev/vfio/{group}"));
            if let Some(group) = group.filter(|_| dev.is_some_and(|dev| sysfs.exists(&dev))) {
                lab.server().hold_group(group, 4711);
            }
        }
        8 | 9 => group.into_iter().for_each(|group| lab.server().release_group(group, 4711)),
        _ => {
            let kind = rng.pick(&types).copied().unwrap_or("0");
            drop(sysfs.write_within(&format!("{vf}/nvidia/current_vgpu_type"), kind, PATIENCE));
        }
    }
}

/// All of one size unless MIG parts them, never more memory than there is, and what is open has a type.
fn check(lab: &Lab) {
    lab.server().machine.with(|state| {
        let (kernel, pf) = (&state.kernel, at(&lab.gpu));
        let model = models::find(kernel.functions[&pf].numbers).expect("a model");
        let types = drivers::supported(kernel, pf);
        let made = |vf: PciAddress| kernel.memory.vgpus.get(&vf).map(|made| made.type_id);
        let vfs = kernel.vfs_of(pf);
        let kind = |id: u32| types.iter().find(|kind| kind.id == id).expect("a type of this GPU");
        let live: Vec<_> = vfs.iter().filter_map(|vf| made(*vf)).map(kind).collect();
        let bytes: u64 = live.iter().map(|kind| u64::from(kind.frame_buffer_mib) << 20).sum();
        assert!(bytes <= model.memory_bytes, "{live:?}");
        let sizes: std::collections::BTreeSet<u32> =
            live.iter().filter(|kind| kind.profile.is_none()).map(|kind| kind.frame_buffer_mib).collect();
        assert!(sizes.len() <= 1, "{live:?}");
        for vf in vfs {
            let file = format!("dev/vfio/{}", kernel.group_of(vf).expect("a group"));
            assert_eq!(kernel.tree.exists(&file), made(vf).is_some(), "{vf}");
            assert!(!kernel.is_open(vf) || made(vf).is_some(), "{vf} is open without a type");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn nvidias_driver_never_gives_out_more_than_its_gpu_has(seed in any::<u64>(), mig in any::<bool>()) {
        let lab = Lab::of(if mig { H200 } else { A40 });
        let mut rng = Rng::new(seed);
        for _ in 0..60 {
            live(&lab, &mut rng);
            check(&lab);
        }
    }

    #[test]
    fn xe_never_gives_out_more_memory_than_its_gpu_has(seed in any::<u64>()) {
        let lab = Lab::of(XE);
        let sysfs = lab.server().sysfs();
        let mut rng = Rng::new(seed);
        for _ in 0..60 {
            let nth = 1 + rng.below(4);
            let (file, value) = match rng.below(3) {
                0 => ("sriov_numvfs".to_owned(), rng.below(5)),
                1 => (format!("sriov_admin/vf{nth}/profile/vram_quota"), rng.below(3)),
                _ => (format!("sriov_admin/vf{nth}/profile/vram_quota"), rng.next_u64() >> rng.below(64)),
            };
            let path = format!("sys/bus/pci/devices/{XE}/{file}");
            let _ = sysfs.write_within(&path, &value.to_string(), PATIENCE);
            lab.server().machine.with(|state| {
                let known = &state.kernel.memory.intel[&at(XE)];
                let Some(Table::Intel { vram_free_bytes }) = models::find(state.kernel.functions[&at(XE)].numbers).map(|model| &model.table) else {
                    panic!("no table");
                };
                let given: u64 = known.shares.values().map(|share| share.vram_bytes).sum();
                assert!(given <= *vram_free_bytes, "{known:?}");
            });
        }
    }
}

#[test]
fn random_lives_reach_typed_and_open_vfs_on_both_kinds_of_gpu() {
    for (gpu, seed) in [(A40, 1), (H200, 2)] {
        let lab = Lab::of(gpu);
        let mut rng = Rng::new(seed);
        let (mut typed, mut open) = (0, 0);
        for _ in 0..600 {
            live(&lab, &mut rng);
            let seen =
                lab.server().machine.with(|state| (state.kernel.memory.vgpus.len(), state.kernel.open.len()));
            (typed, open) = (typed.max(seen.0), open.max(seen.1));
        }
        assert!(typed >= 2 && open >= 1, "{gpu}: {typed} typed, {open} open");
    }
}

/// Everything in a kept room may be anything; what it says is believed, and nothing panics over it.
#[test]
fn a_memory_that_makes_no_sense_is_no_panic() {
    let room = Room::open("mixed-lab", 1, Delays::none()).expect("a room");
    let gpu = room.servers[0].gpus().into_iter().find(|gpu| gpu.address == at(H200));
    let (text, serial) = (room.save(), gpu.expect("the GPU").serial);
    let most = u64::MAX;
    let share =
        format!(r#"{{"vram_bytes":{most},"ggtt_bytes":{most},"contexts":{most},"doorbells":{most}}}"#);
    let hostile = format!(
        r#""memory":{{
            "intel":{{"{XE}":{{"free_bytes":1,"shares":{{"1":{share},"2":{share}}},"priority":"?","automatic":false}},
                      "0000:c1:00.0":{{"free_bytes":{most},"shares":{{"1":{share},"2":{share}}},"priority":"","automatic":true}}}},
            "nvidia":{{"{H200}":{{"mig_of_vfs":true,"parts":[{{"id":4294967295,"profile":19,"start":4294967295,"computes":true}}]}}}},
            "vgpus":{{"0000:c2:00.4":{{"type_id":1,"part":9,"placement":4294967295,"params":""}}}},
            "mdevs":{{"x":{{"parent":"ffff:00:00.0","group":4294967295,"vgpu":{{"type_id":0,"part":null,"placement":0,"params":""}}}}}},
            "mig_modes":{{"{serial}":{{"current":true,"pending":true}}}},
            "gim_counts":[65535],"unloaded":["xe","gim"],"wedged":["ffff:00:00.0"],"lingers":{{"0000:c2:00.4":4294967295}}}}"#
    );
    let start = text.find("\"memory\":").expect("this room has a memory");
    let end = text[start..].find("}}]}").map_or(text.len(), |found| start + found);
    let edited = format!("{}{hostile}{}", &text[..start], &text[end + 1..]);
    let room = Room::load(&edited, Delays::none()).expect("its form is right");
    let lab = Lab { room, gpu: H200.to_owned() };
    lab.play(
        "- | run nvidia-smi mig -i @ -lgip | 0: …
         - | run nvidia-smi mig -i @ -cgi 19 | 0: …
         - | run sriov-manage -e ALL | 1: …
         - | read /sys/class/drm/card0/iov/pf/gt/available/lmem_free | 0
         - | write /sys/class/drm/card0/iov/vf1/gt/lmem_quota 1 | ok
         - | run modprobe gim | 0:",
    );
}
