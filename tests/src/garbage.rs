//! A kernel's tree in which everything is garbage: every file holds some of the given bytes, every link
//! points to some, some folders have GPUs in them. Looking at it may find nothing or doubt everything;
//! it may not panic, and it may not take garbage for a GPU that is well.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use divvy_core::id::ServerId;
use divvy_host::observe::{Observer, Settings};
use divvy_host::readiness;
use divvy_host::sysfs::{Access, Ran, Sysfs};

pub(crate) const TREES: &[&str] = &[
    "0x10de\n|0x030200\n|4\n|16\n|../../../bus/pci/drivers/simgpu|0000:41:00.4|Y\n|c0ffee00-0000-4000-8000-000000000001\n",
    "0\n|65535\n|-1\n|\n|0x\n|../..",
];

struct Garbage<'a> {
    pieces: Vec<&'a [u8]>,
}

impl Garbage<'_> {
    /// The same path says the same every time.
    fn piece(&self, path: &str) -> &[u8] {
        let sum = path.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.pieces.get(sum % self.pieces.len().max(1)).copied().unwrap_or_default()
    }

    fn text(&self, path: &str) -> io::Result<String> {
        match self.piece(path) {
            [] => Err(io::Error::from_raw_os_error(2)),
            piece => Ok(String::from_utf8_lossy(piece).into_owned()),
        }
    }
}

impl Sysfs for Garbage<'_> {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        // A tree without a boot and without GPUs would be looked at no further.
        if path.ends_with("boot_id") {
            return Ok(b"0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f\n".to_vec());
        }
        if path.ends_with("/class") && path.contains("41:00.0") {
            return Ok(b"0x030200\n".to_vec());
        }
        self.text(path).map(String::into_bytes)
    }

    fn write(&self, _path: &str, _value: &str) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(5))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        if path == "sys/bus/pci/devices" {
            let garbage = self.text(path).unwrap_or_default();
            return Ok(vec!["0000:41:00.0".to_owned(), "0000:42:00.0".to_owned(), garbage]);
        }
        Ok(self.text(path)?.split_whitespace().map(str::to_owned).collect())
    }

    fn link(&self, path: &str) -> io::Result<String> {
        self.text(path)
    }

    fn access(&self, path: &str) -> io::Result<Access> {
        let number = |at: usize| u32::from(self.piece(path).get(at).copied().unwrap_or_default());
        Ok(Access { owner: number(0), mode: number(1) })
    }

    fn exists(&self, path: &str) -> bool {
        !self.piece(path).is_empty()
    }

    fn open_vfio_groups(&self) -> io::Result<BTreeMap<u32, Vec<u32>>> {
        Ok(BTreeMap::from([(1, vec![1])]))
    }

    fn write_within(&self, path: &str, value: &str, _deadline: Duration) -> io::Result<()> {
        self.write(path, value)
    }

    fn read_within(&self, path: &str, _deadline: Duration) -> io::Result<Vec<u8>> {
        self.read(path)
    }

    fn run(&self, program: &str, args: &[&str], _deadline: Duration) -> io::Result<Ran> {
        let said = self.read(&format!("{program} {}", args.join(" ")))?;
        Ok(Ran { code: Some(0), stdout: said, stderr: Vec::new() })
    }
}

/// Looks at a tree made of these bytes, cut at every `|`.
pub fn sys_tree(bytes: &[u8]) {
    let garbage = Garbage { pieces: bytes.split(|byte| *byte == b'|').collect() };
    let server = ServerId::new("garbage").expect("letters are a name");
    let observer = Observer::new(server.clone(), Settings::default());
    let settings = readiness::Settings::default();
    let _ = readiness::server_findings(&garbage, &server, &settings);
    let Ok(seen) = observer.observe_gpus(&garbage) else { return };
    for gpu in &seen.gpus {
        let _ = readiness::gpu_findings(&garbage, gpu, &settings);
        if let Some(count) = gpu.partition_count {
            assert!(!gpu.is_healthy() || gpu.partitions.len() == usize::from(count), "{gpu:?}");
        }
        for partition in &gpu.partitions {
            let _ = readiness::partition_findings(&garbage, gpu, partition, &settings);
        }
        let _ = readiness::resting_partition_findings(&garbage, gpu, &settings);
    }
}
