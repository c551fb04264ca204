//! Facts of a library get into the report without anybody waiting for it, stay there, and stay with the
//! hardware they were told of.

use divvy_core::id::ServerId;
use divvy_core::observed::ObservedGpu;

use super::*;
use crate::observe::{Observer, Settings};
use crate::telemetry::TelemetryError;
use crate::testing::{FIRST_SERIAL, Tree, config_with_serial, gpu_address};

/// How long a thread may take to answer on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A library that tells the same of every GPU, and remembers what it was asked about.
#[derive(Default)]
struct Library {
    asked: Mutex<Vec<Vec<PciAddress>>>,
}

impl Library {
    fn times(&self) -> usize {
        self.asked.lock().expect("no test panics while it holds this").len()
    }
}

impl Telemetry for Library {
    fn look(&self, gpus: &[PciAddress]) -> Result<Vec<GpuTelemetry>, TelemetryError> {
        self.asked.lock().expect("no test panics while it holds this").push(gpus.to_vec());
        let told = |address: &PciAddress| GpuTelemetry {
            serial: Some("132".to_owned()),
            memory_bytes: Some(15),
            utilization_percent: Some(40),
            ..GpuTelemetry::nothing_of(*address)
        };
        Ok(gpus.iter().map(told).collect())
    }
}

fn observer() -> (Observer, Arc<Library>) {
    let library = Arc::new(Library::default());
    let server = ServerId::new("edge-1").expect("a name");
    let asked: Arc<dyn Telemetry> = library.clone();
    (Observer::new(server, Settings::default()).with_telemetry(asked), library)
}

/// A server with one GPU, driven by NVIDIA's driver.
fn nvidia_server() -> Tree {
    let tree = Tree::server();
    tree.gpu(0);
    tree.driver(gpu_address(0), "nvidia");
    tree
}

fn observe(observer: &Observer, tree: &Tree) -> ObservedGpu {
    observer.observe_gpus(&tree.sys()).expect("observes").gpus.remove(0)
}

/// Observes until it is so.
fn observe_until(observer: &Observer, tree: &Tree, is_so: impl Fn(&ObservedGpu) -> bool) -> ObservedGpu {
    let start = Instant::now();
    loop {
        let gpu = observe(observer, tree);
        if is_so(&gpu) {
            return gpu;
        }
        assert!(start.elapsed() < PATIENCE, "{gpu:?}");
        thread::yield_now();
    }
}

fn is_told(gpu: &ObservedGpu) -> bool {
    gpu.serial.as_deref() == Some("132")
}

#[test]
fn what_the_library_tells_is_in_a_later_report() {
    let (observer, _) = observer();
    let gpu = observe_until(&observer, &nvidia_server(), is_told);
    assert_eq!(gpu.memory_bytes, Some(15));
}

#[test]
fn the_identity_of_a_gpu_does_not_change_with_what_the_library_tells() {
    let (observer, _) = observer();
    let tree = nvidia_server();
    let before = observe(&observer, &tree).id;
    assert_eq!(observe_until(&observer, &tree, is_told).id, before);
}

#[test]
fn the_library_is_asked_once_and_not_at_every_observation() {
    let (observer, library) = observer();
    let tree = nvidia_server();
    observe_until(&observer, &tree, is_told);
    observe(&observer, &tree);
    observe(&observer, &tree);
    assert_eq!(library.times(), 1);
}

#[test]
fn nobody_asks_while_no_gpu_has_the_librarys_driver() {
    let (observer, library) = observer();
    let tree = Tree::server();
    tree.gpu(0);
    observe(&observer, &tree);
    assert_eq!(observer.telemetry().gpus, []);
    assert_eq!(library.times(), 0);
}

#[test]
fn a_gpu_keeps_what_was_told_while_its_driver_is_away_and_is_asked_about_again_when_it_is_back() {
    let (observer, library) = observer();
    let tree = nvidia_server();
    observe_until(&observer, &tree, is_told);
    tree.driver(gpu_address(0), "vfio-pci");
    assert!(is_told(&observe(&observer, &tree)));
    tree.driver(gpu_address(0), "nvidia");
    observe_until(&observer, &tree, |_| library.times() == 2);
}

#[test]
fn after_a_boot_nothing_is_known_until_the_library_has_told_it_again() {
    let (observer, library) = observer();
    let tree = nvidia_server();
    observe_until(&observer, &tree, is_told);
    tree.file(crate::paths::BOOT_ID, "0b5e1c9a-6f0d-4a57-9c1e-2f4f5a6b7c8d\n");
    assert!(!is_told(&observe(&observer, &tree)));
    observe_until(&observer, &tree, is_told);
    assert_eq!(library.times(), 2);
}

#[test]
fn another_gpu_in_the_same_place_is_not_given_what_was_told_of_the_first() {
    let (observer, _) = observer();
    let tree = nvidia_server();
    observe_until(&observer, &tree, is_told);
    tree.driver(gpu_address(0), "vfio-pci");
    tree.bytes(&crate::paths::config(gpu_address(0)), &config_with_serial(Some(FIRST_SERIAL + 9)));
    assert_eq!(observe(&observer, &tree).serial, Some(format!("{:016x}", FIRST_SERIAL + 9)));
}

#[test]
fn how_busy_a_gpu_is_can_be_asked_for_once_it_was_seen() {
    let (observer, _) = observer();
    assert_eq!(observer.telemetry().gpus, []);
    observe(&observer, &nvidia_server());
    let asked = observer.telemetry();
    assert_eq!(asked.gpus, [gpu_address(0)]);
    let seen = asked.told.expect("is told");
    assert_eq!(seen.iter().map(|gpu| gpu.utilization_percent).collect::<Vec<_>>(), [Some(40)]);
}
