//! Where Divvy is to run: on this server, or in a simulated room. Reads /sys and changes nothing.

use std::fmt;
use std::path::Path;

const USUAL_ROOM: &str = "a2-edge";

#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// This server, with the addresses of its GPUs that can be partitioned.
    Here {
        gpus: Vec<String>,
    },
    Room {
        room: String,
        why: String,
    },
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here { gpus } => write!(
                f,
                "Divvy is going to run on THIS SERVER: it has GPUs that can be partitioned ({}), and you are root.\n\
                 Missing packages, the programs and their units are installed. For a room instead: --sim ROOM",
                gpus.join(", ")
            ),
            Self::Room { room, why } => write!(
                f,
                "Divvy is going to run on the SIMULATED ROOM {room}: {why}.\n\
                 Nothing is installed, and no GPU or VM of this machine is touched."
            ),
        }
    }
}

pub fn choose(is_root: bool, gpus: &[String], asked: Option<&str>) -> Plan {
    let usual = |why: String| Plan::Room { room: USUAL_ROOM.to_owned(), why };
    match asked {
        Some(room) => Plan::Room { room: room.to_owned(), why: "you asked for it with --sim".to_owned() },
        None if gpus.is_empty() => usual("this machine has no GPU that can be partitioned".to_owned()),
        None if !is_root => usual(format!(
            "this machine has GPUs that can be partitioned ({}), but you are not root",
            gpus.join(", ")
        )),
        None => Plan::Here { gpus: gpus.to_vec() },
    }
}

/// The addresses of the GPUs that show SR-IOV. A GPU whose SR-IOV the firmware keeps off is none of them;
/// `divvy check` on a running Divvy says so.
pub fn partitionable(sys: &Path) -> Vec<String> {
    let Ok(folder) = std::fs::read_dir(sys.join("bus/pci/devices")) else { return Vec::new() };
    let entries = folder.flatten().filter(|entry| {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        is_gpu(&read("class")) && read("sriov_totalvfs").trim().parse().is_ok_and(|total: u32| total > 0)
    });
    let mut addresses: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    addresses.sort();
    addresses
}

/// Displays and 3D controllers (0x03….) and processing accelerators (0x12….).
fn is_gpu(class: &str) -> bool {
    ["0x03", "0x12"].iter().any(|beginning| class.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(functions: &[(&str, &str, Option<&str>)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder for a test");
        for (address, class, total) in functions {
            let folder = root.path().join("bus/pci/devices").join(address);
            std::fs::create_dir_all(&folder).expect("a folder below it");
            std::fs::write(folder.join("class"), class).expect("a file in it");
            if let Some(total) = total {
                std::fs::write(folder.join("sriov_totalvfs"), total).expect("a file in it");
            }
        }
        root
    }

    #[test]
    fn only_gpus_that_show_partitions_count() {
        let root = machine(&[
            ("0000:41:00.0", "0x030200\n", Some("16\n")),
            ("0000:42:00.0", "0x120000\n", Some("8\n")),
            ("0000:43:00.0", "0x030000\n", Some("0\n")),
            ("0000:44:00.0", "0x030000\n", None),
            ("0000:45:00.0", "0x020000\n", Some("7\n")),
        ]);
        assert_eq!(partitionable(root.path()), ["0000:41:00.0", "0000:42:00.0"]);
    }

    #[test]
    fn a_machine_without_pci_has_none() {
        assert_eq!(partitionable(machine(&[]).path()), [""; 0]);
    }

    #[test]
    fn this_server_needs_a_gpu_and_root_and_nobody_who_asks_for_a_room() {
        let gpus = ["0000:41:00.0".to_owned()];
        assert_eq!(choose(true, &gpus, None), Plan::Here { gpus: gpus.to_vec() });
        let whys = [
            (choose(true, &gpus, Some("a10-trio")), "a10-trio: you asked"),
            (choose(false, &gpus, None), "not root"),
            (choose(true, &[], None), "no GPU that can be partitioned"),
        ];
        for (plan, why) in whys {
            assert!(matches!(plan, Plan::Room { .. }) && plan.to_string().contains(why), "{plan}");
        }
    }
}
