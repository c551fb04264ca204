//! What error numbers are said to mean.

use std::error::Error;

use super::*;
use nix::errno::Errno;

fn os(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno as i32)
}

#[test]
fn every_known_pair_of_a_try_and_an_error_number_has_its_meaning() {
    let table = [
        (Verb::Create, Errno::ENOMEM, "not enough MMIO resources"),
        (Verb::Create, Errno::ENOENT, "does not implement SR-IOV"),
        (Verb::Create, Errno::EBUSY, "partitions already"),
        (Verb::Create, Errno::ERANGE, "more partitions than"),
        (Verb::Create, Errno::EIO, "contradicts"),
        (Verb::Create, Errno::ENOSPC, "no room"),
        (Verb::Create, Errno::EINVAL, "does not take this count"),
        (Verb::Create, Errno::EPERM, "in use"),
        (Verb::Create, Errno::EACCES, "may not be opened"),
        (Verb::Create, Errno::ENODEV, "gone from the bus"),
        (Verb::Remove, Errno::EPERM, "in use"),
        (Verb::Remove, Errno::EBUSY, "in use"),
        (Verb::Remove, Errno::ENOENT, "no driver any more"),
        (Verb::Remove, Errno::EIO, "driver or the hardware failed"),
        (Verb::Prepare, Errno::EINVAL, "no IOMMU group"),
        (Verb::Prepare, Errno::EBUSY, "another driver"),
        (Verb::Prepare, Errno::ENODEV, "no driver took it"),
        (Verb::Release, Errno::ENODEV, "let it go"),
        (Verb::Reset, Errno::ENOTTY, "no way to reset"),
        (Verb::Reset, Errno::EAGAIN, "did not come back"),
        (Verb::Reset, Errno::EPERM, "does not permit"),
        (Verb::Reserve, Errno::ENOENT, "no such file"),
        (Verb::Override, Errno::EROFS, "may not be opened"),
        (Verb::Look, Errno::ENXIO, "gone from the bus"),
    ];
    for (verb, errno, words) in table {
        let found = meaning(verb, &os(errno)).map_or("", |meaning| meaning.text);
        assert!(found.contains(words), "{verb:?} {errno}: {found:?}");
    }
}

#[test]
fn too_little_address_space_names_the_firmware_setting() {
    let path = "sys/x/sriov_numvfs".to_owned();
    let error = HostError::NotCreated { path, asked: 8, came: Some(0), cause: os(Errno::ENOMEM) };
    assert!(error.hint().contains("Above 4G Decoding"), "{}", error.hint());
}

#[test]
fn a_deadline_that_passed_means_an_unknown_state_whatever_was_tried() {
    for verb in [Verb::Create, Verb::Remove, Verb::Reset, Verb::Look] {
        let late = io::Error::from(io::ErrorKind::TimedOut);
        assert!(meaning(verb, &late).is_some_and(|meaning| meaning.text.contains("not known")), "{verb:?}");
    }
}

#[test]
fn an_unknown_pair_has_no_meaning_and_none_is_made_up() {
    assert_eq!(meaning(Verb::Reserve, &os(Errno::EXDEV)), None);
    assert_eq!(meaning(Verb::Create, &io::Error::other("no number")), None);
}

#[test]
fn a_failure_says_what_was_tried_on_what_and_keeps_its_cause() {
    let error = HostError::Kernel { verb: Verb::Reset, path: "sys/x/reset".into(), cause: os(Errno::ENOTTY) };
    assert_eq!(error.to_string(), "cannot reset the partition (sys/x/reset): no way to reset it works now");
    assert!(error.source().is_some());
}

#[test]
fn too_few_partitions_says_how_many_came() {
    let error = HostError::NotCreated { path: "p".into(), asked: 8, came: Some(3), cause: os(Errno::EIO) };
    assert!(error.to_string().starts_with("cannot make 8 partitions (p), 3 came"), "{error}");
}

#[test]
fn an_open_partition_is_named_with_its_processes() {
    let holder = Holder { device: "0000:41:00.4".parse().expect("an address"), group: 6, pids: vec![41, 42] };
    let error = HostError::PartitionOpen { verb: Verb::Remove, holders: vec![holder] };
    assert!(error.to_string().ends_with("in use: 0000:41:00.4 (process 41, 42)"), "{error}");
}
