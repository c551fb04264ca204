//! A recorded tree reads as the real one did, and a GPU is observed from it.

use divvy_core::id::{PartitionIndex, ServerId};
use divvy_core::observed::GpuHealth;

use super::*;
use crate::observe::{HostObservation, Observer, Settings};

const TREE: &str = r#"{"fixture":1,"about":"a test"}
{"path":"a","is":"folder"}
{"path":"a/down","is":"link","to":"../b"}
{"path":"a/round","is":"link","to":"round"}
{"path":"b/odd","is":"file","mode":"0444","errno":"ENXIO"}
{"path":"b/secret","is":"file","mode":"0600","left_out":"serial numbers"}
{"path":"b/text","is":"file","mode":"0444","text":"1\n"}
{"path":"b/written","is":"file","mode":"0200"}
{"path":"b/zeros","is":"file","mode":"0444","hex":"01ff","bytes":4}
"#;

fn error(result: io::Result<impl std::fmt::Debug>) -> Option<i32> {
    result.expect_err("fails").raw_os_error()
}

fn observed() -> HostObservation {
    let observer = Observer::new(ServerId::new("edge-1").expect("a name"), Settings::default());
    observer.observe_gpus(&Recorded::fixture("a2-by-hand")).expect("observes")
}

#[test]
fn files_are_read_through_links_as_they_were() {
    let tree = Recorded::parse(TREE);
    assert_eq!(tree.read("a/down/text").expect("reads"), b"1\n");
    assert_eq!(tree.read("b/zeros").expect("reads"), [1, 0xff, 0, 0]);
    assert_eq!(tree.link("a/down").expect("is a link"), "../b");
    assert_eq!(tree.list("a/down").expect("lists"), ["odd", "secret", "text", "written", "zeros"]);
}

#[test]
fn what_could_not_be_read_still_cannot() {
    let tree = Recorded::parse(TREE);
    assert_eq!(error(tree.read("b/odd")), Some(Errno::ENXIO as i32));
    assert_eq!(error(tree.read("b/written")), Some(Errno::EACCES as i32));
    assert_eq!(error(tree.read("b/secret")), Some(Errno::ENODATA as i32));
    assert_eq!(error(tree.read("b/none")), Some(Errno::ENOENT as i32));
    assert_eq!(error(tree.list("c")), Some(Errno::ENOENT as i32));
}

#[test]
fn a_link_to_itself_ends() {
    let tree = Recorded::parse(TREE);
    assert_eq!(error(tree.read("a/round")), Some(Errno::ELOOP as i32));
    assert!(tree.exists("a/round"));
}

#[test]
fn nothing_can_be_written() {
    assert_eq!(error(Recorded::parse(TREE).write("b/text", "2")), Some(Errno::EROFS as i32));
}

#[test]
fn a_fixture_says_whether_it_is_of_a_server() {
    assert!(Recorded::fixture("a2-by-hand").about.starts_with("made by hand, not taken from a server"));
}

#[test]
fn a_recorded_gpu_is_observed_with_its_model_its_driver_and_its_identity() {
    let gpus = observed().gpus;
    let [gpu] = &gpus[..] else { panic!("{gpus:?}") };
    assert_eq!(gpu.model.to_string(), "NVIDIA A2");
    assert_eq!(gpu.memory_bytes, Some(16 << 30));
    assert_eq!((gpu.driver.as_deref(), gpu.driver_version.as_deref()), (Some("nvidia"), Some("550.163.02")));
    assert_eq!((gpu.max_partitions, gpu.iommu_group), (16, Some(20)));
    assert_eq!(gpu.id.as_str(), "gpu-0000000000000001");
    assert_eq!(gpu.health, GpuHealth::Ok);
}

#[test]
fn recorded_partitions_are_observed_on_their_functions_in_their_groups() {
    let gpus = observed().gpus;
    assert_eq!(gpus[0].partitions.len(), 16);
    let fifth = gpus[0].partition(PartitionIndex(4)).expect("is there");
    assert_eq!(fifth.address.to_string(), "0000:41:01.0");
    assert_eq!((fifth.iommu_group, fifth.group_peers.len()), (Some(44), 0));
    assert_eq!(fifth.driver.as_deref(), Some("nvidia"));
    assert_eq!(fifth.reset_methods, ["flr"]);
    // A window of 256 KiB, one of 1 GiB and one of 32 MiB.
    assert_eq!(fifth.mmio_bytes, Some((256 << 10) + (1 << 30) + (32 << 20)));
}
