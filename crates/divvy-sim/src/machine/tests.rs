//! Locks that sleep or hang: who is held up, who is not, and what happens after a deadline. No test
//! measures time; sleeps are either never outlasted or waited for.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use divvy_host::sysfs::Sysfs;

use crate::fault::GpuFault;
use crate::server::SimServer;
use crate::spec::Delays;
use crate::testing::{errno, gpu_file, read, server, server_like, set_count};

const LONG: Duration = Duration::from_secs(600);
const ENODEV: i32 = 19;

/// Waits until the server is so, without trusting a clock to be fast.
fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "it never became so");
        thread::yield_now();
    }
}

fn hang(server: &SimServer) {
    server.set_fault(server.gpus()[0].serial, GpuFault::Hang);
}

#[test]
fn a_write_that_hangs_times_out_and_so_does_a_read_behind_it() {
    let server = server();
    hang(&server);
    let sysfs = server.sysfs();
    let path = gpu_file("sriov_numvfs");
    let write = sysfs.write_within(&path, "4", LONG).expect_err("it hangs");
    let read = sysfs.read_within(&path, LONG).expect_err("it hangs");
    assert_eq!((write.kind(), read.kind()), (ErrorKind::TimedOut, ErrorKind::TimedOut));
}

#[test]
fn a_write_that_was_given_up_still_happens_when_the_hang_ends() {
    let server = server();
    hang(&server);
    let sysfs = server.sysfs();
    sysfs.write_within(&gpu_file("sriov_numvfs"), "4", LONG).expect_err("it hangs");
    server.clear_faults(server.gpus()[0].serial);
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "4\n");
}

#[test]
fn other_files_and_other_gpus_go_on_while_one_hangs() {
    let server = server_like("a16-pair", Delays::none(), |_| ());
    hang(&server);
    let sysfs = server.sysfs();
    let [first, second] = [0, 1].map(|nth| format!("sys/bus/pci/devices/{}", server.gpus()[nth].address));
    sysfs.write_within(&format!("{first}/sriov_numvfs"), "4", LONG).expect_err("it hangs");
    assert_eq!(read(&sysfs, &format!("{first}/vendor")), "0x10de\n");
    sysfs.write_within(&format!("{second}/sriov_numvfs"), "4", LONG).expect("it does not hang");
    assert!(sysfs.exists(&format!("{second}/virtfn3")));
}

#[test]
fn partitions_have_locks_of_their_own_while_their_gpu_hangs() {
    let server = server();
    let sysfs = server.sysfs();
    set_count(&sysfs, "1").expect("made");
    hang(&server);
    sysfs.write_within(&gpu_file("virtfn0/driver_override"), "vfio-pci", LONG).expect("set");
    sysfs.write_within(&gpu_file("driver_override"), "vfio-pci", LONG).expect_err("it hangs");
}

#[test]
fn a_writer_without_a_deadline_goes_on_when_the_hang_ends() {
    let server = server();
    hang(&server);
    let writer = thread::spawn({
        let sysfs = server.sysfs();
        move || sysfs.write(&gpu_file("sriov_numvfs"), "4")
    });
    server.clear_faults(server.gpus()[0].serial);
    writer.join().expect("no panic").expect("made");
    assert!(server.sysfs().exists(&gpu_file("virtfn3")));
}

#[test]
fn a_reboot_answers_whoever_hangs() {
    let server = server();
    hang(&server);
    let writer = thread::spawn({
        let sysfs = server.sysfs();
        move || sysfs.write(&gpu_file("sriov_numvfs"), "4")
    });
    until(|| server.awaited() == 1);
    server.reboot(crate::server::Addresses::Kept);
    assert_eq!(errno(writer.join().expect("no panic")), ENODEV);
}

/// A sleep that no test outlasts.
const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(1);

fn sleepy(room: &str, enable: Duration, disable: Duration) -> SimServer {
    server_like(room, Delays { enable, disable, ..Delays::none() }, |_| ())
}

#[test]
fn a_gpu_that_sleeps_holds_no_other_gpu_up() {
    let server = sleepy("a16-pair", HOUR, HOUR);
    let sysfs = server.sysfs();
    for gpu in &server.gpus()[..3] {
        let path = format!("sys/bus/pci/devices/{}/sriov_numvfs", gpu.address);
        sysfs.write_within(&path, "2", MOMENT).expect_err("it sleeps");
    }
    let last = format!("sys/bus/pci/devices/{}/sriov_numvfs", server.gpus()[3].address);
    assert_eq!(read(&sysfs, &last), "0\n");
}

#[test]
fn writers_of_several_gpus_sleep_and_all_succeed() {
    let server = sleepy("a16-pair", Duration::from_millis(20), Duration::ZERO);
    let sysfs = server.sysfs();
    let paths: Vec<String> =
        server.gpus().iter().map(|gpu| format!("sys/bus/pci/devices/{}/sriov_numvfs", gpu.address)).collect();
    thread::scope(|scope| {
        for path in &paths {
            scope.spawn(|| sysfs.write(path, "2").expect("made"));
        }
    });
    for path in &paths {
        assert_eq!(read(&sysfs, path), "2\n");
    }
}

#[test]
fn a_sleep_longer_than_the_deadline_is_given_up_before_anything_is_made() {
    let server = sleepy("a2-edge", HOUR, HOUR);
    let sysfs = server.sysfs();
    let write = sysfs.write_within(&gpu_file("sriov_numvfs"), "4", MOMENT);
    assert_eq!(write.expect_err("it sleeps").kind(), ErrorKind::TimedOut);
    assert!(!sysfs.exists(&gpu_file("virtfn0")));
}

#[test]
fn a_sleep_that_was_given_up_ends_by_itself() {
    let server = sleepy("a2-edge", Duration::from_millis(30), HOUR);
    let sysfs = server.sysfs();
    // Given up or not, as the machine is fast or slow: it must happen either way.
    let _ = sysfs.write_within(&gpu_file("sriov_numvfs"), "4", MOMENT);
    assert_eq!(read(&sysfs, &gpu_file("sriov_numvfs")), "4\n");
}

#[test]
fn removal_takes_the_partitions_first_and_sleeps_after() {
    let server = sleepy("a2-edge", Duration::ZERO, HOUR);
    let sysfs = server.sysfs();
    set_count(&sysfs, "4").expect("made");
    sysfs.write_within(&gpu_file("sriov_numvfs"), "0", MOMENT).expect_err("it sleeps");
    assert!(!sysfs.exists(&gpu_file("virtfn0")));
    assert!(sysfs.read_within(&gpu_file("sriov_numvfs"), MOMENT).is_err());
}
