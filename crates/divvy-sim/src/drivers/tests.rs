//! A table for each driver, on the room that has one GPU for each scheme.

mod gim;
mod intel;
mod nvidia_ecc;
mod nvidia_mdev;
mod nvidia_mig;
mod nvidia_vfio;
mod random;

use crate::room::Room;
use crate::spec::Delays;
use crate::testing::lab::Lab;

/// Facts 1.2 and 2.2: what a raw number does on each driver, and that plain SR-IOV has no files more.
#[test]
fn a_raw_count_works_on_some_drivers_and_is_enoent_on_nvidia_and_gim() {
    for (gpu, answer, driver) in [
        ("0000:41:00.0", "ok", "simgpu"),
        ("0000:42:00.0", "ok", "xe"),
        ("0000:c1:00.0", "ok", "i915"),
        ("0000:c2:00.0", "ENOENT", "nvidia"),
        ("0000:43:00.0", "ENOENT", "nvidia"),
        ("0000:c4:00.0", "ENOENT", "gim"),
        ("0001:81:00.0", "ENOENT", "nvidia"),
    ] {
        let lab = Lab::of(gpu);
        lab.play(&format!("1.2 | link driver | ../../../../bus/pci/drivers/{driver}"));
        lab.play(&format!("1.2 | write sriov_numvfs 2 | {answer}"));
    }
}

/// Facts 9: what a simulated server is left as comes back, whatever its drivers keep in their memory.
#[test]
fn a_room_with_types_parts_and_mediated_devices_is_found_as_it_was_left() {
    const UUID: &str = "4b20d080-1b54-4048-85b3-a6a62d165c01";
    let lab = Lab::of("0000:c2:00.0");
    lab.play("2.2 | run sriov-manage -e ALL | 0: …");
    lab.play("2.3 | write vf3/nvidia/current_vgpu_type 560 | ok");
    let ten = "sys/bus/pci/devices/0000:43:00.0/virtfn1/mdev_supported_types/nvidia-590/create";
    lab.play(&format!("2.5 | write /{ten} {UUID} | ok"));
    lab.play("2.6 | run nvidia-smi mig -i 0000:c3:00.0 -cgi 19 -C | 0: …");
    lab.play("5 | run modprobe -r gim | 0:");
    lab.play("4.3 | write /sys/bus/pci/devices/0000:42:00.0/sriov_admin/vf1/profile/vram_quota 2097152 | ok");
    let found = Room::load(&lab.room.save(), Delays::none()).expect("loaded");
    assert_eq!(found.save(), lab.room.save());
    let found = Lab { room: found, gpu: lab.gpu.clone() };
    found.play(&format!(
        "2.3 | read vf3/nvidia/current_vgpu_type | 560
         2.5 | link /sys/bus/mdev/devices/{UUID}/mdev_type | ../mdev_supported_types/nvidia-590
         2.6 | run nvidia-smi mig -i 0000:c3:00.0 -lgi | 0: …
         5   | exists /sys/bus/pci/drivers/gim | false
         4.3 | read /sys/bus/pci/devices/0000:42:00.0/sriov_admin/vf1/profile/vram_quota | 2097152"
    ));
}
