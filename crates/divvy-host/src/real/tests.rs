//! The access rules, on a folder that looks like a kernel's tree.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;

use nix::errno::Errno;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn tree() -> (tempfile::TempDir, RealSysfs) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("sys/d")).expect("folders");
    fs::write(folder.path().join("sys/d/value"), "old value\n").expect("a file");
    let sys = RealSysfs::new(folder.path());
    (folder, sys)
}

fn process(root: &Path, pid: u32, opened: &[&str]) {
    let folder = root.join(format!("proc/{pid}/fd"));
    fs::create_dir_all(&folder).expect("folders");
    for (fd, target) in opened.iter().enumerate() {
        symlink(target, folder.join(fd.to_string())).expect("a link");
    }
}

#[test]
fn a_write_to_a_missing_attribute_answers_enoent_and_creates_nothing() {
    let (_folder, sys) = tree();
    let error = sys.write("sys/d/absent", "1").expect_err("absent");
    assert_eq!(error.raw_os_error(), Some(Errno::ENOENT as i32));
    assert!(!sys.exists("sys/d/absent"));
}

#[test]
fn a_write_does_not_truncate() {
    let (_folder, sys) = tree();
    sys.write("sys/d/value", "new").expect("writes");
    assert_eq!(sys.read("sys/d/value").expect("reads"), b"new value\n");
}

#[test]
fn a_path_that_leaves_the_root_is_refused_by_every_verb() {
    let (_folder, sys) = tree();
    for path in ["", "/etc/passwd", "../x", "sys/../../x", "sys/d/..", "sys/\0"] {
        let invalid = |error: io::Error| error.kind() == ErrorKind::InvalidInput;
        assert!(sys.read(path).is_err_and(invalid), "read {path:?}");
        assert!(sys.write(path, "1").is_err_and(invalid), "write {path:?}");
        assert!(sys.list(path).is_err_and(invalid), "list {path:?}");
        assert!(sys.link(path).is_err_and(invalid), "link {path:?}");
        assert!(sys.write_within(path, "1", LONG).is_err_and(invalid), "write_within {path:?}");
        assert!(sys.read_within(path, LONG).is_err_and(invalid), "read_within {path:?}");
        assert!(!sys.exists(path), "exists {path:?}");
    }
}

#[test]
fn only_the_kernels_own_tree_is_written_to() {
    let (folder, sys) = tree();
    fs::create_dir_all(folder.path().join("etc")).expect("a folder");
    fs::write(folder.path().join("etc/f"), "x").expect("a file");
    assert!(sys.write("etc/f", "y").is_err_and(|error| error.kind() == ErrorKind::InvalidInput));
}

#[test]
fn a_listing_is_sorted() {
    let (folder, sys) = tree();
    for name in ["b", "a", "c"] {
        fs::write(folder.path().join("sys/d").join(name), "").expect("a file");
    }
    assert_eq!(sys.list("sys/d").expect("lists"), ["a", "b", "c", "value"]);
}

#[test]
fn a_dangling_link_exists_and_reads_as_it_is_stored() {
    let (folder, sys) = tree();
    symlink("../../nowhere/7", folder.path().join("sys/d/link")).expect("a link");
    assert!(sys.exists("sys/d/link"));
    assert_eq!(sys.link("sys/d/link").expect("reads"), "../../nowhere/7");
}

#[test]
fn a_write_by_a_thread_comes_back_with_the_kernels_number() {
    let (_folder, sys) = tree();
    sys.write_within("sys/d/value", "2", LONG).expect("writes");
    let error = sys.write_within("sys/d/absent", "2", LONG).expect_err("absent");
    assert_eq!(error.raw_os_error(), Some(Errno::ENOENT as i32));
}

#[test]
fn a_write_by_a_process_that_hangs_is_given_up_and_remembered() {
    let (_folder, sys) = tree();
    // The process waits until the test's end of the fifo is closed; it is what a hung write looks like.
    let (release, hold) = io::pipe().map(|(read, write)| (write, read)).expect("a pipe");
    let program = "/bin/sh";
    let fd = std::os::fd::AsRawFd::as_raw_fd(&hold);
    let script = format!("cat /proc/{}/fd/{fd} >/dev/null; echo ok", std::process::id());
    let sys = sys.with_worker(program, vec!["-c".into(), script.into(), "worker".into()]);
    let hung = sys.write_within("sys/d/value", "3", Duration::from_millis(50)).expect_err("hangs");
    let second = sys.write_within("sys/d/value", "3", LONG).expect_err("refused");
    drop(release);
    assert_eq!((hung.kind(), second.kind()), (ErrorKind::TimedOut, ErrorKind::TimedOut));
}

#[test]
fn open_groups_are_found_with_their_processes() {
    let (folder, sys) = tree();
    process(folder.path(), 41, &["/dev/null", "/dev/vfio/vfio", "/dev/vfio/6", "/dev/vfio/6"]);
    process(folder.path(), 7, &["/dev/vfio/6", "/dev/vfio/9"]);
    fs::create_dir_all(folder.path().join("proc/sys")).expect("a folder");
    let open = sys.open_vfio_groups().expect("scans");
    assert_eq!(open, BTreeMap::from([(6, vec![7, 41]), (9, vec![7])]));
}

#[test]
fn a_device_file_counts_for_its_group() {
    let (folder, sys) = tree();
    process(folder.path(), 41, &["/dev/vfio/devices/vfio3"]);
    let device = folder.path().join("sys/class/vfio-dev/vfio3/device");
    fs::create_dir_all(&device).expect("folders");
    symlink("../../../kernel/iommu_groups/12", device.join("iommu_group")).expect("a link");
    assert_eq!(sys.open_vfio_groups().expect("scans"), BTreeMap::from([(12, vec![41])]));
}

#[test]
fn a_device_file_whose_group_is_not_known_is_an_error_and_not_nothing() {
    let (folder, sys) = tree();
    process(folder.path(), 41, &["/dev/vfio/devices/vfio3"]);
    assert!(sys.open_vfio_groups().is_err());
}

#[test]
fn a_process_that_vanishes_meanwhile_is_skipped() {
    let (folder, sys) = tree();
    fs::create_dir_all(folder.path().join("proc/99")).expect("a process without files");
    assert_eq!(sys.open_vfio_groups().expect("scans"), BTreeMap::new());
}

#[test]
fn without_processes_to_look_at_nothing_is_known_to_be_closed() {
    let (_folder, sys) = tree();
    assert!(sys.open_vfio_groups().is_err());
}

/// A tree with a program of this text.
fn tree_with_program(script: &str) -> (tempfile::TempDir, RealSysfs) {
    let (folder, sys) = tree();
    let bin = folder.path().join("usr/bin");
    fs::create_dir_all(&bin).expect("folders");
    let file = bin.join("nvidia-smi");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a file");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("permissions");
    (folder, sys)
}

#[test]
fn while_the_gpus_are_held_a_program_is_not_started() {
    let (folder, sys) = tree_with_program("touch \"$1\"");
    let ran = folder.path().join("ran");
    let ran = ran.to_str().expect("a text");
    let gate = NvmlGate::default();
    let sys = sys.with_gate(gate.clone());
    let held = gate.close(LONG).expect("is free");
    let error = sys.run("nvidia-smi", &[ran], Duration::from_millis(40)).expect_err("held");
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert!(!Path::new(ran).exists(), "it ran");
    drop(held);
    assert_eq!(sys.run("nvidia-smi", &[ran], LONG).expect("runs").code, Some(0));
    assert!(Path::new(ran).exists());
}

#[test]
fn while_a_program_runs_nobody_gets_the_gpus_and_afterwards_they_are_free() {
    // It says that it began, and waits until its second argument is closed.
    let (folder, sys) = tree_with_program("touch \"$1\"; cat \"$2\" >/dev/null");
    let gate = NvmlGate::default();
    let sys = sys.with_gate(gate.clone());
    let begun = folder.path().join("begun");
    let (hold, release) = io::pipe().expect("a pipe");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&hold);
    let until = format!("/proc/{}/fd/{fd}", std::process::id());
    let run = std::thread::spawn({
        let begun = begun.to_str().expect("a text").to_owned();
        move || sys.run("nvidia-smi", &[&begun, &until], LONG)
    });
    let start = Instant::now();
    while !begun.exists() {
        assert!(start.elapsed() < LONG, "it does not begin");
        std::thread::yield_now();
    }
    assert!(gate.close(Duration::ZERO).is_none());
    drop(release);
    assert_eq!(run.join().expect("does not panic").expect("runs").code, Some(0));
    assert!(gate.close(Duration::ZERO).is_some());
}
