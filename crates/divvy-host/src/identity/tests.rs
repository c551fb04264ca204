//! Ids stay with the hardware and are never shared.

use super::*;
use crate::topology;

fn address(text: &str) -> PciAddress {
    text.parse().expect("an address")
}

fn gpu(way: &str, serial: Option<u64>) -> Traits {
    let address = address(way.rsplit('/').next().expect("a last part"));
    let position = Some(topology::at(way));
    Traits { address, vendor: 0x10de, device: 0x25b6, serial, slot: None, position }
}

fn id(gpu: &Traits, shared: &BTreeSet<SerialKey>) -> String {
    identify(gpu, shared).expect("an identity").id.to_string()
}

const ONE: &str = "pci0000:40/0000:40:01.0/0000:41:00.0/0000:42:08.0/0000:43:00.0";
const TWO: &str = "pci0000:40/0000:40:01.0/0000:41:00.0/0000:42:10.0/0000:44:00.0";

#[test]
fn a_serial_number_names_the_gpu_wherever_it_sits() {
    let none = BTreeSet::new();
    assert_eq!(id(&gpu(ONE, Some(0x48b0)), &none), "gpu-00000000000048b0");
    assert_eq!(id(&gpu(ONE, Some(0x48b0)), &none), id(&gpu(TWO, Some(0x48b0)), &none));
}

#[test]
fn functions_of_one_board_are_told_apart_whether_or_not_the_other_is_seen() {
    let second = gpu("pci0000:40/0000:40:01.0/0000:41:00.1", Some(7));
    assert_eq!(id(&second, &BTreeSet::new()), "gpu-0000000000000007-f1");
}

#[test]
fn gpus_that_share_a_serial_number_get_different_ids() {
    let gpus = [gpu(ONE, Some(7)), gpu(TWO, Some(7))];
    let shared = shared_serials(&gpus);
    assert_ne!(id(&gpus[0], &shared), id(&gpus[1], &shared));
}

#[test]
fn the_last_gpu_of_a_board_keeps_its_id_while_the_sharing_is_known() {
    let gpus = [gpu(ONE, Some(7)), gpu(TWO, Some(7))];
    let known = shared_serials(&gpus);
    let before = identify_all(&gpus, &known);
    let after = identify_all(&gpus[..1], &known);
    assert_eq!(before[..1], after[..]);
}

#[test]
fn without_a_serial_number_the_slot_stands_in() {
    let mut gpu = gpu(ONE, None);
    gpu.slot = Some((2, "Slot 4".to_owned()));
    let identity = identify(&gpu, &BTreeSet::new()).expect("an identity");
    assert_eq!(identity.id.as_str(), "gpu-10de25b6-slot-slot-4-0-080-000");
    assert!(identity.by_place);
}

#[test]
fn without_a_slot_the_way_stands_in() {
    let identity = identify(&gpu(ONE, None), &BTreeSet::new()).expect("an identity");
    assert_eq!(identity.id.as_str(), "gpu-10de25b6-pci0000-40-010-000-080-000");
    assert!(identity.by_place);
}

#[test]
fn a_gpu_that_shows_nothing_that_stays_has_no_identity() {
    let mut gpu = gpu(ONE, None);
    gpu.position = None;
    assert_eq!(identify(&gpu, &BTreeSet::new()), None);
}

#[test]
fn slots_whose_names_come_out_the_same_do_not_make_the_same_id() {
    let mut gpus = [
        gpu("pci0000:40/0000:40:01.0/0000:41:00.0", None),
        gpu("pci0000:40/0000:40:02.0/0000:42:00.0", None),
    ];
    gpus[0].slot = Some((0, "Slot 4".to_owned()));
    gpus[1].slot = Some((0, "slot-4".to_owned()));
    let ids = identify_all(&gpus, &BTreeSet::new());
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn an_id_claims_the_serial_number_or_the_model() {
    let claim = |text: &str| claim(&GpuId::new(text).expect("an id"));
    assert_eq!(claim("gpu-00000000000048b0-f1"), Claim::Serial(0x48b0));
    assert_eq!(claim("gpu-10de25b6-slot-4-0"), Claim::Model(0x10de, 0x25b6));
    assert_eq!(claim("gpu-1"), Claim::Nothing);
    assert_eq!(claim("other"), Claim::Nothing);
}

proptest::proptest! {
    #[test]
    fn whatever_a_slot_is_called_the_id_is_an_id(name in ".{0,80}") {
        let mut gpu = gpu(ONE, None);
        gpu.slot = Some((2, name));
        proptest::prop_assert!(identify(&gpu, &BTreeSet::new()).is_some());
    }
}
