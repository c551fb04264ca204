//! NVML as it is met: not there, not NVML, and a made-up one, compiled here, that keeps a diary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::telemetry::Engines;

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

    /// With what the stub can be told.
    fn that(defines: &[&str]) -> Self {
        Self::with(|_| defines.iter().map(|define| format!("-D{define}")).collect())
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

/// What is told of the partitions of the one GPU.
fn partitions(nvml: &Nvml) -> Vec<PartitionTelemetry> {
    nvml.look(&[HERE]).expect("is told").remove(0).partitions
}

fn busy(nvml: &Nvml) -> Vec<Option<u8>> {
    partitions(nvml).iter().map(|partition| partition.utilization_percent).collect()
}

#[test]
fn a_library_that_is_not_there_tells_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = through(&folder.path().join("libnvidia-ml.so.1")).look(&[HERE]);
    assert!(matches!(refused, Err(TelemetryError::Library { .. })), "{refused:?}");
}

#[test]
fn a_file_that_is_no_library_tells_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("libnvidia-ml.so.1");
    fs::write(&file, "not a library").expect("a file");
    let refused = through(&file).look(&[HERE]);
    assert!(matches!(refused, Err(TelemetryError::Library { .. })), "{refused:?}");
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
        media: Media {
            encoder_percent: Some(12),
            decoder_percent: Some(8),
            encoder_capacity_percent: Some(88),
        },
        ecc: Some(true),
        scheduler: None,
        partitions: vec![PartitionTelemetry {
            vm: VmId::new("0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f").ok(),
            uuid: None,
            memory_used_bytes: Some(512 << 20),
            utilization_percent: Some(21),
            media: Media {
                encoder_percent: Some(0),
                decoder_percent: Some(4),
                encoder_capacity_percent: Some(50),
            },
            engines: None,
        }],
    };
    assert_eq!(through(&stub.library()).look(&[HERE]).expect("is told"), [expected]);
}

#[test]
fn a_gpu_that_the_library_does_not_see_is_left_out() {
    let stub = Stub::compiled();
    let seen = through(&stub.library()).look(&[ELSEWHERE, HERE]).expect("is told");
    assert_eq!(seen.iter().map(|gpu| gpu.address).collect::<Vec<_>>(), [HERE]);
}

#[test]
fn the_library_is_open_during_a_look_only() {
    let stub = Stub::compiled();
    let nvml = through(&stub.library());
    nvml.look(&[HERE]).expect("is told");
    assert_eq!(stub.diary(), ["init", "shutdown"]);
    nvml.look(&[HERE]).expect("is told");
    assert_eq!(stub.diary(), ["init", "shutdown", "init", "shutdown"]);
}

#[test]
fn without_a_gpu_to_look_at_the_library_is_not_opened() {
    let stub = Stub::compiled();
    assert_eq!(through(&stub.library()).look(&[]).expect("nothing is asked"), []);
    assert_eq!(stub.diary(), [""; 0]);
}

#[test]
fn while_a_scheme_has_the_gate_the_library_is_not_opened() {
    let stub = Stub::compiled();
    let gate = NvmlGate::default();
    let _scheme = gate.close(Duration::from_secs(60)).expect("is free");
    let refused = Nvml::new(gate).with_library(stub.library()).look(&[HERE]);
    assert!(matches!(refused, Err(TelemetryError::Busy)), "{refused:?}");
    assert_eq!(stub.diary(), [""; 0]);
}

#[test]
fn after_a_look_the_gate_is_free() {
    let stub = Stub::compiled();
    let gate = NvmlGate::default();
    Nvml::new(gate.clone()).with_library(stub.library()).look(&[HERE]).expect("is told");
    assert!(gate.close(Duration::from_secs(60)).is_some());
}

#[test]
fn a_library_that_hangs_tells_nothing_and_keeps_schemes_out_until_it_goes_on() {
    let stub = Stub::hanging();
    let gate = NvmlGate::default();
    let soon = Duration::from_millis(20);
    let nvml = Nvml { deadline: soon, ..Nvml::new(gate.clone()).with_library(stub.library()) };
    let refused = nvml.look(&[HERE]);
    assert!(matches!(refused, Err(TelemetryError::Silent { waited_ms: 20, .. })), "{refused:?}");
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

#[test]
fn partitions_that_are_not_known_or_were_not_looked_at_have_no_utilization() {
    let stub = Stub::that(&["VGPUS=3"]);
    assert_eq!(busy(&through(&stub.library())), [Some(21), None, None]);
}

#[test]
fn what_is_not_known_of_encoders_and_decoders_is_missing_for_each_partition_by_itself() {
    let told = partitions(&through(&Stub::that(&["VGPUS=3"]).library()));
    let media: Vec<_> =
        told.iter().map(|one| (one.media.encoder_percent, one.media.decoder_percent)).collect();
    assert_eq!(media, [(Some(0), Some(4)), (None, None), (None, None)]);
}

#[test]
fn a_library_that_tells_nothing_of_encoders_and_decoders_tells_the_rest() {
    let seen = through(&Stub::that(&["NO_MEDIA"]).library()).look(&[HERE]).expect("is told").remove(0);
    assert_eq!((seen.media, seen.utilization_percent), (Media::default(), Some(37)));
    let used = &seen.partitions[0];
    assert_eq!((used.media.encoder_capacity_percent, used.media.decoder_percent), (None, Some(4)));
}

#[test]
fn a_vm_that_comes_while_the_library_is_asked_is_in_the_answer() {
    let stub = Stub::that(&["VGPUS=2", "GROWS"]);
    let told = partitions(&through(&stub.library()));
    let vms: Vec<String> =
        told.iter().filter_map(|partition| Some(partition.vm.as_ref()?.to_string())).collect();
    assert_eq!(vms, ["0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f", "1bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f"]);
    assert_eq!(told[0].utilization_percent, Some(21));
}

#[test]
fn a_driver_that_does_not_tell_how_busy_partitions_are_tells_the_rest() {
    const NOT_SUPPORTED: &str = "UTILIZATION=3";
    const NO_DATA: &str = "UTILIZATION=21";
    for answer in [NOT_SUPPORTED, NO_DATA] {
        let told = partitions(&through(&Stub::that(&[answer]).library()));
        assert_eq!(
            (told[0].utilization_percent, told[0].memory_used_bytes),
            (None, Some(512 << 20)),
            "{answer}"
        );
    }
}

#[test]
fn a_second_look_asks_for_what_came_after_the_first_and_for_all_if_nothing_did() {
    let stub = Stub::that(&["VGPUS=2", "FORGETS"]);
    let nvml = through(&stub.library());
    assert_eq!(busy(&nvml), [Some(21), None]);
    assert_eq!(busy(&nvml), [Some(21), None]);
    let asked: Vec<String> = stub.diary().into_iter().filter(|line| line.starts_with("since")).collect();
    assert_eq!(asked, ["since 0", "since 1001", "since 0"]);
}

#[test]
fn partitions_with_hardware_of_their_own_are_told_by_its_counters() {
    let stub = Stub::that(&["VGPUS=2", "MIG"]);
    assert_eq!(busy(&through(&stub.library())), [Some(64), None]);
}

#[test]
fn the_busiest_decoder_of_a_partitions_own_is_told_and_no_encoder() {
    let told = partitions(&through(&Stub::that(&["VGPUS=2", "MIG"]).library()));
    let media: Vec<_> =
        told.iter().map(|one| (one.media.encoder_percent, one.media.decoder_percent)).collect();
    assert_eq!(media, [(None, Some(10)), (None, None)]);
}

#[test]
fn what_partitions_have_of_their_own_is_told_where_it_is_the_same_for_all() {
    let engines = |defines: &[&str]| {
        partitions(&through(&Stub::that(defines).library())).iter().map(|one| one.engines).collect::<Vec<_>>()
    };
    let own = Some(Engines { multiprocessors: 16, encoders: 0, decoders: 1 });
    assert_eq!(engines(&["VGPUS=2", "MIG"]), [own, own]);
    assert_eq!(engines(&["VGPUS=1", "MIG", "UNLIKE"]), [None]);
    assert_eq!(engines(&["VGPUS=1"]), [None]);
}

#[test]
fn no_percentage_is_more_than_a_hundred() {
    assert_eq!([0, 100, 101, u32::MAX].map(percent), [Some(0), Some(100), None, None]);
}

#[test]
fn the_scheduler_is_told_by_its_policy() {
    for (policy, wanted) in [
        ("SCHEDULER=1", Some(Scheduler::BestEffort)),
        ("SCHEDULER=2", Some(Scheduler::EqualShare)),
        ("SCHEDULER=3", Some(Scheduler::FixedShare)),
        ("SCHEDULER=0", None),
    ] {
        let seen = through(&Stub::that(&[policy]).library()).look(&[HERE]).expect("is told");
        assert_eq!(seen[0].scheduler, wanted, "{policy}");
    }
}
