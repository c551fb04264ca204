//! What is told of a room's GPUs: believable values, the same ones for the same moment, and nothing where no
//! library would tell anything.

use divvy_core::id::VmId;

use super::*;
use crate::fault::GpuFault;
use crate::server::SimServer;
use crate::testing::at;
use crate::testing::lab::Lab;
use crate::vms::DefinedDevice;

const A2: &str = "0000:41:00.0";
const A40: &str = "0000:c2:00.0";
const A10: &str = "0000:43:00.0";
const H200: &str = "0000:c3:00.0";
const GIB: u64 = 1 << 30;
/// Of 4 GiB.
const TYPE_OF_A40: &str = "560";

/// The A40 of the lab with four partitions of 4 GiB.
fn split_a40() -> Lab {
    let lab = Lab::of(A40);
    lab.play("2.2 | run sriov-manage -e @ | 0: …");
    for index in 0..4 {
        lab.play(&format!("2.3 | write vf{index}/nvidia/current_vgpu_type {TYPE_OF_A40} | ok"));
    }
    lab
}

/// Starts the room's VM number `nth` with this device.
fn start(server: &SimServer, nth: usize, device: DeviceHandle) -> VmId {
    let vm = server.vms()[nth].id.clone();
    let device = DefinedDevice { device, alias: None };
    server.edit(&vm, |definition| definition.devices.push(device)).expect("is there");
    server.power_on(&vm).expect("starts");
    vm
}

fn start_on_a40(lab: &Lab, nth: usize, vf: &str) -> VmId {
    start(lab.server(), nth, at(vf).into())
}

fn look(lab: &Lab) -> Option<GpuTelemetry> {
    lab.server().telemetry().look(&[at(&lab.gpu)]).expect("is told").pop()
}

/// At so many seconds.
fn look_later(lab: &Lab, second: u64) -> GpuTelemetry {
    lab.server().machine.with(|state| look_at(state, at(&lab.gpu), second)).expect("is told")
}

#[test]
fn a_gpu_that_no_vm_uses_is_idle() {
    let told = look(&split_a40()).expect("is told");
    assert_eq!((told.memory_bytes, told.utilization_percent), (Some(48 * GIB), Some(0)));
    assert_eq!(told.partitions, []);
}

#[test]
fn a_running_vm_keeps_its_partition_busy_and_the_gpu_as_busy_as_all_of_them() {
    let lab = split_a40();
    let vms = [start_on_a40(&lab, 0, "0000:c2:00.4"), start_on_a40(&lab, 1, "0000:c2:00.5")];
    let told = look(&lab).expect("is told");
    let of: Vec<VmId> = told.partitions.iter().filter_map(|one| one.vm.clone()).collect();
    assert!(vms.iter().all(|vm| of.contains(vm)) && of.len() == 2, "{of:?}");
    let busy: Vec<u8> = told.partitions.iter().filter_map(|one| one.utilization_percent).collect();
    assert!(busy.iter().all(|percent| *percent > 0), "{busy:?}");
    assert_eq!(told.utilization_percent, Some(busy.iter().sum()));
}

#[test]
fn no_partition_ever_uses_more_than_it_has_and_all_together_no_more_than_the_gpu() {
    let lab = split_a40();
    for (nth, vf) in ["0000:c2:00.4", "0000:c2:00.5", "0000:c2:00.6", "0000:c2:00.7"].iter().enumerate() {
        start_on_a40(&lab, nth, vf);
    }
    for second in 0..600 {
        let told = look_later(&lab, second);
        assert!(
            told.memory_used_bytes <= told.memory_bytes && told.utilization_percent <= Some(100),
            "{told:?}"
        );
        for one in &told.partitions {
            let used = one.memory_used_bytes.expect("is told");
            assert!(used > 0 && used <= 4 * GIB, "{one:?} at {second}");
        }
    }
}

#[test]
fn vms_encode_and_decode_a_part_of_what_they_do_and_the_gpu_all_of_it() {
    let lab = split_a40();
    for (nth, vf) in ["0000:c2:00.4", "0000:c2:00.5"].iter().enumerate() {
        start_on_a40(&lab, nth, vf);
    }
    for second in 0..600 {
        let told = look_later(&lab, second);
        let sum = |of: fn(&Media) -> Option<u8>| {
            told.partitions.iter().map(|one| of(&one.media).expect("is told")).sum::<u8>()
        };
        let (encoding, decoding) = (sum(|media| media.encoder_percent), sum(|media| media.decoder_percent));
        assert_eq!(
            told.media,
            Media {
                encoder_percent: Some(encoding),
                decoder_percent: Some(decoding),
                encoder_capacity_percent: Some(100 - encoding),
            }
        );
        for one in &told.partitions {
            assert!(one.media.encoder_percent <= one.utilization_percent, "{one:?}");
            assert!(one.media.decoder_percent <= one.utilization_percent, "{one:?}");
        }
    }
}

#[test]
fn the_same_moment_of_the_same_room_is_told_the_same_and_another_moment_is_not() {
    let [one, two] = [(); 2].map(|()| {
        let lab = split_a40();
        start_on_a40(&lab, 0, "0000:c2:00.4");
        lab
    });
    assert_eq!(look_later(&one, 7), look_later(&two, 7));
    assert!((8..100).any(|second| look_later(&one, second) != look_later(&one, 7)));
}

#[test]
fn a_paused_vm_does_nothing_and_keeps_its_memory() {
    let lab = split_a40();
    let vm = start_on_a40(&lab, 0, "0000:c2:00.4");
    let before = look(&lab).expect("is told");
    lab.server().pause(&vm).expect("runs");
    let after = look(&lab).expect("is told");
    assert_eq!(after.partitions[0].utilization_percent, Some(0));
    assert_eq!(after.partitions[0].memory_used_bytes, before.partitions[0].memory_used_bytes);
}

#[test]
fn a_mediated_device_is_told_of_with_its_gpu() {
    const UUID: &str = "4b20d080-1b54-4048-85b3-a6a62d165c01";
    let lab = Lab::of(A10);
    lab.play("2.2 | run sriov-manage -e @ | 0: …");
    lab.play(&format!("2.5 | write vf1/mdev_supported_types/nvidia-590/create {UUID} | ok"));
    let vm = start(lab.server(), 0, UUID.parse().expect("a device"));
    let told = look(&lab).expect("is told");
    assert_eq!(told.partitions.iter().map(|one| one.vm.clone()).collect::<Vec<_>>(), [Some(vm)]);
}

#[test]
fn of_a_gpu_that_is_cut_its_pieces_are_told_each_by_itself_and_the_whole_is_not() {
    const PIECES: usize = 7;
    let lab = Lab::of(H200);
    lab.play(
        "2.2 | run sriov-manage -e @ | 0: …
         2.6 | run nvidia-smi mig -i @ -cgi 19,19,19,19,19,19,19 -C | 0: …",
    );
    for index in 0..PIECES {
        lab.play(&format!("2.3 | write vf{index}/nvidia/current_vgpu_type 1414 | ok"));
        let address = lab.server().machine.with(|state| state.kernel.vfs_of(at(H200))[index]);
        start(lab.server(), index, address.into());
    }
    let told = look(&lab).expect("is told");
    assert_eq!((told.utilization_percent, told.scheduler, told.ecc), (None, None, Some(true)));
    assert_eq!(told.partitions.iter().filter(|one| one.utilization_percent > Some(0)).count(), PIECES);
    assert_eq!(told.media, Media::default());
    let own = Engines { multiprocessors: 16, encoders: 0, decoders: 1 };
    assert!(told.partitions.iter().all(|one| one.engines == Some(own)), "{told:?}");
    assert!(told.partitions.iter().all(|one| one.media.encoder_percent.is_none()), "{told:?}");
    let sum = |told: GpuTelemetry| {
        told.partitions.iter().filter_map(|one| one.utilization_percent.map(u32::from)).sum::<u32>()
    };
    let most = (0..600).map(|second| sum(look_later(&lab, second))).max();
    assert!(most > Some(u8::MAX.into()), "{most:?}");
}

#[test]
fn nothing_is_told_where_no_library_knows_the_driver() {
    for gpu in [A2, "0000:42:00.0", "0000:c1:00.0", "0000:c4:00.0"] {
        assert_eq!(look(&Lab::of(gpu)), None, "{gpu}");
    }
}

#[test]
fn nothing_is_told_of_a_gpu_that_its_driver_left_or_that_is_lost() {
    let lab = Lab::of(A40);
    lab.play("1.4 | write /sys/bus/pci/drivers/nvidia/unbind @ | ok");
    assert_eq!(look(&lab), None);
    let lab = Lab::of(A40);
    lab.play("F1 | fault gpu lab-1/@ lose | ok");
    assert_eq!(look(&lab), None);
}

#[test]
fn a_gpu_that_hangs_hangs_the_library() {
    let lab = split_a40();
    let serial = lab.server().gpus().iter().find(|gpu| gpu.address == at(A40)).expect("is there").serial;
    lab.server().set_fault(serial, GpuFault::Hang);
    let told = lab.server().telemetry().look(&[at(A10), at(A40)]);
    assert!(matches!(told, Err(TelemetryError::Silent { .. })), "{told:?}");
    lab.server().clear_faults(serial);
    assert!(look(&lab).is_some());
}
