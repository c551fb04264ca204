//! xe (facts 4.2 and 4.3) and the i915 backport (4.4).

use crate::testing::lab::Lab;

const XE: &str = "0000:42:00.0";
const I915: &str = "0000:c1:00.0";

#[test]
fn xe_has_a_folder_for_every_vf_counted_from_one_and_links_to_those_that_are_there() {
    Lab::of(XE).play(
        "4.3 | exists sriov_admin/vf0 | false
         4.3 | exists sriov_admin/vf1/profile/vram_quota | true
         4.3 | exists sriov_admin/vf24/stop | true
         4.3 | exists sriov_admin/vf25 | false
         4.3 | exists sriov_admin/vf1/device | false
         1.3 | write sriov_drivers_autoprobe 0 | ok
         4.2 | write sriov_numvfs 2 | ok
         4.3 | link sriov_admin/vf1/device | ../../../0000:42:00.1
         4.3 | exists sriov_admin/vf2/device | true
         4.3 | exists sriov_admin/vf3/device | false
         1.1 | exists consumer:pci:0000:42:00.2 | true
         4.2 | write sriov_numvfs 3 | EBUSY
         4.2 | write sriov_numvfs 25 | ERANGE
         4.2 | write sriov_numvfs 0 | ok
         4.3 | exists sriov_admin/vf1/device | false
         1.1 | exists consumer:pci:0000:42:00.2 | false",
    );
}

#[test]
fn xes_files_of_all_functions_take_writes_and_no_reads() {
    Lab::of(XE).play(
        "4.3 | read sriov_admin/.bulk_profile/exec_quantum_ms | EACCES
         4.3 | write sriov_admin/.bulk_profile/exec_quantum_ms 20 | ok
         4.3 | read sriov_admin/pf/profile/exec_quantum_ms | 20
         4.3 | read sriov_admin/vf24/profile/exec_quantum_ms | 20
         4.3 | write sriov_admin/vf1/profile/exec_quantum_ms 100001 | EINVAL
         4.3 | write sriov_admin/vf1/profile/preempt_timeout_us 100000000 | ok
         4.3 | write sriov_admin/vf1/profile/preempt_timeout_us 100000001 | EINVAL
         4.3 | write sriov_admin/vf1/profile/preempt_timeout_us soon | EINVAL",
    );
}

#[test]
fn xes_priority_is_one_for_all_functions() {
    Lab::of(XE).play(
        "4.3 | read sriov_admin/pf/profile/sched_priority | low [normal] high
         4.3 | write sriov_admin/pf/profile/sched_priority high | ok
         4.3 | read sriov_admin/vf2/profile/sched_priority | low normal [high]
         4.3 | write sriov_admin/vf2/profile/sched_priority low | EOPNOTSUPP
         4.3 | write sriov_admin/pf/profile/sched_priority highest | EINVAL
         4.3 | write sriov_admin/vf1/stop 1 | ok
         4.3 | write sriov_admin/vf1/stop maybe | EINVAL
         4.3 | write sriov_admin/pf/stop 1 | EPERM",
    );
}

/// 14096 MiB, 128 of them spare, in steps of 2: 6984 for each of two.
#[test]
fn xe_splits_evenly_when_nobody_set_a_quota_and_takes_it_back() {
    Lab::of(XE).play(
        "4.3 | read sriov_admin/vf1/profile/vram_quota | 0
         4.2 | write sriov_numvfs 2 | ok
         4.3 | read sriov_admin/vf1/profile/vram_quota | 7323254784
         4.3 | read sriov_admin/vf2/profile/vram_quota | 7323254784
         4.3 | write sriov_admin/vf1/profile/vram_quota 2097152 | EBUSY
         4.2 | write sriov_numvfs 0 | ok
         4.3 | read sriov_admin/vf1/profile/vram_quota | 0",
    );
}

#[test]
fn an_xe_quota_is_rounded_up_ends_the_even_split_and_stays() {
    Lab::of(XE).play(
        "4.3 | write sriov_admin/vf1/profile/vram_quota 1 | ok
         4.3 | read sriov_admin/vf1/profile/vram_quota | 2097152
         4.2 | write sriov_numvfs 2 | ENODATA
         4.2 | read sriov_numvfs | 0
         4.3 | write sriov_admin/vf2/profile/vram_quota 14780727296 | ENOSPC
         4.3 | write sriov_admin/vf2/profile/vram_quota 14778630145 | ENOSPC
         4.3 | write sriov_admin/vf2/profile/vram_quota 4194304 | ok
         4.2 | write sriov_numvfs 2 | ok
         4.3 | read sriov_admin/vf2/profile/vram_quota | 4194304
         4.2 | write sriov_numvfs 0 | ok
         4.3 | read sriov_admin/vf2/profile/vram_quota | 4194304
         4.3 | write sriov_admin/.bulk_profile/vram_quota 0 | ok
         4.2 | write sriov_numvfs 2 | ok
         4.3 | read sriov_admin/vf2/profile/vram_quota | 7323254784",
    );
}

#[test]
fn xes_files_go_with_the_driver_and_come_back_as_new() {
    Lab::of(XE).play(
        "4.3 | write sriov_admin/vf1/profile/vram_quota 2097152 | ok
         1.3 | write /sys/bus/pci/drivers/xe/unbind @ | ok
         4.3 | exists sriov_admin | false
         1.2 | write sriov_numvfs 1 | ENOENT
         1.3 | write /sys/bus/pci/drivers/xe/bind @ | ok
         4.3 | read sriov_admin/vf1/profile/vram_quota | 0",
    );
}

#[test]
fn the_servers_own_xe_grabs_vfs_unless_it_is_kept_off() {
    Lab::of(XE).play(
        "4.5 | write sriov_numvfs 1 | ok
         4.5 | link vf0/driver | ../../../../bus/pci/drivers/xe
         4.5 | write sriov_numvfs 0 | ok
         4.5 | write sriov_drivers_autoprobe 0 | ok
         4.5 | write sriov_numvfs 1 | ok
         4.5 | link vf0/driver | ENOENT
         4.5 | write vf0/driver_override vfio-pci | ok
         4.5 | write /sys/bus/pci/drivers_probe 0000:42:00.1 | ok
         4.5 | link vf0/driver | ../../../../bus/pci/drivers/vfio-pci",
    );
}

const IOV: &str = "/sys/class/drm/card0/iov";

#[test]
fn i915_has_its_quotas_below_the_node_for_drawing() {
    let rows = "
        4.4 | link /sys/class/drm/card0/device | ../..
        4.4 | read IOV/pf/gt/available/lmem_free | 16777216000
        4.4 | read IOV/pf/gt/lmem_quota | ENOENT
        4.4 | exists IOV/vf31/gt/doorbells_quota | true
        4.4 | write IOV/pf/gt/available/lmem_free 1 | EACCES
        4.4 | write IOV/vf1/gt/exec_quantum_ms 64 | ok
        4.4 | write IOV/vf1/gt/lmem_quota 4194304000 | ok
        4.4 | write IOV/vf1/gt/ggtt_quota 1073741824 | ok
        4.4 | write IOV/vf1/gt/doorbells_quota 60 | ok
        4.4 | write IOV/vf1/gt/contexts_quota 1024 | ok
        4.4 | read IOV/pf/gt/available/lmem_free | 12582912000
        4.4 | read IOV/pf/gt/available/doorbells_free | 196
        4.4 | write sriov_numvfs 2 | ENODATA
        4.4 | write IOV/vf2/gt/lmem_quota 16777216000 | ENOSPC
        4.4 | write sriov_drivers_autoprobe 0 | ok
        4.4 | write sriov_numvfs 1 | ok
        4.4 | exists IOV/vf1/device | true
        4.4 | write IOV/vf1/gt/lmem_quota 0 | EBUSY
        4.4 | write sriov_numvfs 0 | ok
        4.4 | read IOV/vf1/gt/lmem_quota | 4194304000
        4.4 | write IOV/vf1/gt/lmem_quota 0 | ok
        4.4 | read IOV/pf/gt/available/lmem_free | 16777216000";
    Lab::of(I915).play(&rows.replace("IOV", IOV));
}

#[test]
fn i915_splits_evenly_by_itself_and_a_vf_of_its_own_gets_a_node_too() {
    let rows = "
        4.3 | write sriov_numvfs 4 | ok
        4.3 | read IOV/vf4/gt/lmem_quota | 4160749568
        4.5 | exists /sys/class/drm/card4 | true
        4.5 | exists /sys/class/drm/card5 | false
        4.3 | write sriov_numvfs 0 | ok
        4.5 | exists /sys/class/drm/card1 | false
        4.3 | read IOV/vf4/gt/lmem_quota | 0";
    Lab::of(I915).play(&rows.replace("IOV", IOV));
}
