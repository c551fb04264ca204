//! NVML as it is met: not there, not NVML, and a made-up one, compiled here, that keeps a diary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

const HERE: PciAddress = PciAddress { domain: 0, bus: 0x41, device: 0, function: 0 };
const ELSEWHERE: PciAddress = PciAddress { domain: 0, bus: 0x42, device: 0, function: 0 };

/// A library in a folder of its own, with its diary beside it.
struct Stub {
    folder: tempfile::TempDir,
}

impl Stub {
    fn compiled() -> Self {
        Self::with(|_| Vec::new())
    }

    /// It does not start before there is a file called `go`.
    fn hanging() -> Self {
        Self::with(|folder| vec![format!("-DHANGS_UNTIL=\"{}\"", folder.join("go").display())])
    }

    fn with(defines: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/nvml/stub.c");
        let log = format!("-DLOG=\"{}\"", folder.path().join("log").display());
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(folder.path().join("stub.so"))
            .arg(log)
            .args(defines(folder.path()))
            .arg(source)
            .status()
            .expect("the C compiler that building needs starts");
        assert!(compiled.success());
        Self { folder }
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("stub.so")
    }

    fn diary(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn through(library: &Path) -> Nvml {
    Nvml::new(NvmlGate::default()).with_library(library)
}

#[test]
fn a_library_that_is_not_there_tells_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(through(&folder.path().join("libnvidia-ml.so.1")).look(&[HERE]), []);
}

#[test]
fn a_file_that_is_no_library_tells_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("libnvidia-ml.so.1");
    fs::write(&file, "not a library").expect("a file");
    assert_eq!(through(&file).look(&[HERE]), []);
}

#[test]
fn everything_that_the_library_tells_is_told_and_what_it_refuses_is_missing() {
    let stub = Stub::compiled();
    let expected = GpuTelemetry {
        address: HERE,
        serial: Some("1320000000001".to_owned()),
        uuid: Some("GPU-1".to_owned()),
        driver_version: Some("580.65.05".to_owned()),
        memory_bytes: Some(15356 << 20),
        memory_used_bytes: Some(1024 << 20),
        utilization_percent: Some(37),
        ecc: Some(true),
        scheduler: None,
        partitions: vec![PartitionTelemetry {
            vm: VmId::new("0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f").ok(),
            uuid: None,
            memory_used_bytes: Some(512 << 20),
            utilization_percent: None,
        }],
    };
    assert_eq!(through(&stub.library()).look(&[HERE]), [expected]);
}

#[test]
fn a_gpu_that_the_library_does_not_see_is_left_out() {
    let stub = Stub::compiled();
    let seen = through(&stub.library()).look(&[ELSEWHERE, HERE]);
    assert_eq!(seen.iter().map(|gpu| gpu.address).collect::<Vec<_>>(), [HERE]);
}

#[test]
fn the_library_is_open_during_a_look_only() {
    let stub = Stub::compiled();
    let nvml = through(&stub.library());
    nvml.look(&[HERE]);
    assert_eq!(stub.diary(), ["init", "shutdown"]);
    nvml.look(&[HERE]);
    assert_eq!(stub.diary(), ["init", "shutdown", "init", "shutdown"]);
}

#[test]
fn without_a_gpu_to_look_at_the_library_is_not_opened() {
    let stub = Stub::compiled();
    through(&stub.library()).look(&[]);
    assert_eq!(stub.diary(), [""; 0]);
}

#[test]
fn while_a_scheme_has_the_gate_the_library_is_not_opened() {
    let stub = Stub::compiled();
    let gate = NvmlGate::default();
    let _scheme = gate.close(Duration::from_secs(60)).expect("is free");
    assert_eq!(Nvml::new(gate).with_library(stub.library()).look(&[HERE]), []);
    assert_eq!(stub.diary(), [""; 0]);
}

#[test]
fn after_a_look_the_gate_is_free() {
    let stub = Stub::compiled();
    let gate = NvmlGate::default();
    Nvml::new(gate.clone()).with_library(stub.library()).look(&[HERE]);
    assert!(gate.close(Duration::from_secs(60)).is_some());
}

#[test]
fn a_library_that_hangs_tells_nothing_and_keeps_schemes_out_until_it_goes_on() {
    let stub = Stub::hanging();
    let gate = NvmlGate::default();
    let soon = Duration::from_millis(20);
    let nvml = Nvml { deadline: soon, ..Nvml::new(gate.clone()).with_library(stub.library()) };
    assert_eq!(nvml.look(&[HERE]), []);
    assert!(gate.close(soon).is_none());
    fs::write(stub.folder.path().join("go"), "").expect("a file");
    assert!(gate.close(Duration::from_secs(60)).is_some());
    assert_eq!(stub.diary(), ["init", "shutdown"]);
}

#[test]
fn a_serial_number_of_zeros_is_none() {
    assert!(!is_a_serial("0000000000000"));
    assert!(!is_a_serial(""));
    assert!(is_a_serial("1320000000001"));
}
