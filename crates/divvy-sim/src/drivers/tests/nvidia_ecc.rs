//! ECC: switched by NVIDIA's program, so after a reset or a boot, and paid for in memory by some models.

use divvy_host::telemetry::Telemetry;

use crate::room::Room;
use crate::server::Addresses;
use crate::spec::Delays;
use crate::testing::at;
use crate::testing::lab::Lab;

const A40: &str = "0000:c2:00.0";
const H200: &str = "0000:c3:00.0";
const GIB: u64 = 1 << 30;

fn memory_and_ecc(lab: &Lab) -> (Option<u64>, Option<bool>) {
    let told = lab.server().telemetry().look(&[at(&lab.gpu)]).expect("is told").remove(0);
    (told.memory_bytes, told.ecc)
}

#[test]
fn one_question_tells_both_modes_and_a_field_that_is_none_is_refused() {
    Lab::of(A40).play(
        "2.6 | run nvidia-smi -i @ --query-gpu=mig.mode.current,ecc.mode.current --format=csv,noheader | 0: [N/A], Disabled
         2.6 | run nvidia-smi -i @ --query-gpu=ecc.mode.sometimes --format=csv,noheader | 2: …",
    );
    Lab::of(H200).play(
        "2.6 | run nvidia-smi -i @ --query-gpu=mig.mode.current,ecc.mode.current --format=csv,noheader | 0: Enabled, Enabled",
    );
}

#[test]
fn what_was_switched_is_so_after_a_reset_of_the_gpu_and_not_before() {
    Lab::of(A40).play(
        "2.6 | run nvidia-smi -i @ -e 1 | 0: Enabled Ecc support for GPU 00000000:C2:00.0. / All done. / Reboot required.
         2.6 | run nvidia-smi -i @ --query-gpu=ecc.mode.current,ecc.mode.pending --format=csv,noheader | 0: Disabled, Enabled
         2.6 | run nvidia-smi -i @ --gpu-reset | 0: …
         2.6 | run nvidia-smi -i @ --query-gpu=ecc.mode.current,ecc.mode.pending --format=csv,noheader | 0: Enabled, Enabled",
    );
}

#[test]
fn the_mode_outlives_boots_and_takes_a_sixteenth_of_plain_memory() {
    let lab = Lab::of(A40);
    lab.play("2.6 | fault gpu lab-1/@ ecc on | ok");
    assert_eq!(memory_and_ecc(&lab), (Some(48 * GIB), Some(false)));
    for _boot in 0..2 {
        lab.server().reboot(Addresses::Kept);
        assert_eq!(memory_and_ecc(&lab), (Some(45 * GIB), Some(true)));
    }
}

#[test]
fn memory_that_corrects_errors_by_itself_is_all_there_either_way() {
    let lab = Lab::of(H200);
    let whole = memory_and_ecc(&lab);
    assert_eq!(whole.1, Some(true));
    lab.play("2.6 | fault gpu lab-1/@ ecc off | ok");
    lab.server().reboot(Addresses::Kept);
    assert_eq!(memory_and_ecc(&lab), (whole.0, Some(false)));
}

#[test]
fn a_mode_that_was_switched_is_kept_with_the_room() {
    let lab = Lab::of(A40);
    lab.play("2.6 | fault gpu lab-1/@ ecc on | ok");
    lab.server().reboot(Addresses::Kept);
    let room = Room::load(&lab.room.save(), Delays::none()).expect("loaded");
    assert_eq!(memory_and_ecc(&Lab { room, ..lab }), (Some(45 * GIB), Some(true)));
}
