//! What gets into a fixture, what does not, and that nothing which names the server is left.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;

const GPU: &str = "sys/devices/pci0000:40/0000:40:01.0/0000:41:00.0";
const SERIAL: u64 = 0x48b0_2d0a_41c7_0001;
const UUID: &str = "0bbd32d6-0d3b-40d7-ba9f-6b52e2e81a3f";

struct Server {
    folder: tempfile::TempDir,
}

impl Server {
    /// One GPU behind a bridge, with a sound function, and a network adapter that is no matter of ours.
    fn new() -> Self {
        let server = Self { folder: tempfile::tempdir().expect("a folder") };
        server.function("0000:40:01.0", "sys/devices/pci0000:40/0000:40:01.0", "0x060400");
        server.function("0000:41:00.0", GPU, "0x030200");
        server.function("0000:41:00.1", "sys/devices/pci0000:40/0000:40:01.0/0000:41:00.1", "0x040300");
        server.function("0000:01:00.0", "sys/devices/pci0000:00/0000:01:00.0", "0x020000");
        server.file("proc/sys/kernel/hostname", "tulip\n");
        server
    }

    fn function(&self, address: &str, real: &str, class: &str) {
        self.file(&format!("{real}/class"), &format!("{class}\n"));
        self.link(&format!("sys/bus/pci/devices/{address}"), &format!("../../../{}", &real[4..]));
    }

    fn file(&self, path: &str, text: &str) {
        self.bytes(path, text.as_bytes());
    }

    fn bytes(&self, path: &str, bytes: &[u8]) {
        let full = self.folder.path().join(path);
        fs::create_dir_all(full.parent().expect("below the root")).expect("folders");
        fs::write(full, bytes).expect("a file");
    }

    fn link(&self, path: &str, to: &str) {
        let full = self.folder.path().join(path);
        fs::create_dir_all(full.parent().expect("below the root")).expect("folders");
        symlink(to, full).expect("a link");
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.folder.path().join(path), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn recorded(&self) -> String {
        fixture(self.folder.path(), "a test").0
    }

    /// The line of one path.
    fn line(&self, path: &str) -> String {
        let text = self.recorded();
        let start = format!("{{\"path\":\"{path}\",");
        text.lines()
            .find(|line| line.starts_with(&start))
            .unwrap_or_else(|| panic!("{path}: {text}"))
            .to_owned()
    }
}

fn config(serial: u64) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    bytes[..4].copy_from_slice(&0x25b6_10de_u32.to_le_bytes());
    bytes[0x100..0x104].copy_from_slice(&0x1_0003_u32.to_le_bytes());
    bytes[0x104..0x10c].copy_from_slice(&serial.to_le_bytes());
    bytes
}

#[test]
fn the_first_line_says_what_it_is() {
    let text = Server::new().recorded();
    assert_eq!(text.lines().next(), Some(r#"{"fixture":1,"about":"a test"}"#));
}

#[test]
fn a_gpu_is_recorded_with_its_bridge_and_its_other_functions_and_without_the_rest_of_the_server() {
    let text = Server::new().recorded();
    for (address, is_in) in
        [("0000:41:00.0", true), ("0000:41:00.1", true), ("0000:40:01.0", true), ("0000:01:00.0", false)]
    {
        assert_eq!(text.contains(&format!("{address}/class")), is_in, "{address}");
    }
}

#[test]
fn partitions_and_what_shares_a_group_with_the_gpu_are_recorded() {
    let server = Server::new();
    server.function("0000:41:00.4", "sys/devices/pci0000:40/0000:40:01.0/0000:41:00.4", "0x030200");
    server.link(&format!("{}/physfn", GPU.replace("00.0", "00.4")), "../0000:41:00.0");
    server.link(&format!("{GPU}/iommu_group"), "../../../../kernel/iommu_groups/7");
    server.link("sys/kernel/iommu_groups/7/devices/0000:01:00.0", "../../../../devices/x");
    let text = server.recorded();
    assert!(text.contains("0000:41:00.4/class"));
    assert!(text.contains("0000:01:00.0/class"));
    assert_eq!(fixture(server.folder.path(), "").1, 1);
}

#[test]
fn interfaces_for_partitions_are_recorded_wherever_a_driver_puts_them() {
    let server = Server::new();
    let inside = ["drm/card0/iov/vf1/gt/lmem_quota", "nvidia/current_vgpu_type", "sriov_admin/vf1/profile/x"];
    for path in inside.iter().chain(&["hwmon/hwmon0/power1_input"]) {
        server.file(&format!("{GPU}/{path}"), "0\n");
    }
    let text = server.recorded();
    for path in inside {
        assert!(text.contains(path), "{path}");
    }
    assert!(!text.contains("power1_input"));
}

#[test]
fn lines_are_sorted_and_each_is_one_document() {
    let text = Server::new().recorded();
    let paths: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).expect("is JSON");
            value["path"].as_str().expect("has a path").to_owned()
        })
        .collect();
    assert!(paths.is_sorted(), "{paths:?}");
}

#[test]
fn a_file_keeps_its_mode_and_a_link_its_target() {
    let server = Server::new();
    server.file(&format!("{GPU}/sriov_numvfs"), "4\n");
    server.mode(&format!("{GPU}/sriov_numvfs"), 0o640);
    server.link(&format!("{GPU}/driver"), "../../../../bus/pci/drivers/nvidia");
    let numbers = server.line(&format!("{GPU}/sriov_numvfs"));
    assert!(numbers.ends_with(r#""is":"file","mode":"0640","text":"4\n"}"#), "{numbers}");
    let driver = server.line(&format!("{GPU}/driver"));
    assert!(driver.ends_with(r#""is":"link","to":"../../../../bus/pci/drivers/nvidia"}"#), "{driver}");
}

#[test]
fn a_file_that_can_only_be_written_is_not_opened() {
    let server = Server::new();
    server.file(&format!("{GPU}/reset"), "");
    server.mode(&format!("{GPU}/reset"), 0o200);
    assert!(server.line(&format!("{GPU}/reset")).ends_with(r#""is":"file","mode":"0200"}"#));
}

#[test]
fn windows_into_the_hardware_and_files_of_serial_numbers_are_not_opened() {
    let server = Server::new();
    for name in ["rom", "vpd", "resource0", "resource0_wc", "unique_id", "serial_number"] {
        server.file(&format!("{GPU}/{name}"), "secret");
        let line = server.line(&format!("{GPU}/{name}"));
        assert!(line.contains("left_out") && !line.contains("secret"), "{line}");
    }
    server.file(&format!("{GPU}/resource"), "0x0 0x0 0x0\n");
    assert!(server.line(&format!("{GPU}/resource")).contains("text"));
}

#[test]
fn a_file_that_cannot_be_read_is_recorded_with_its_error() {
    // Nothing is at the beginning of a process's memory, and the kernel says so to everybody.
    let mut recorder = Recorder::new(Path::new("/"));
    recorder.entry("proc/self/mem");
    let text = recorder.into_text("", Concealer::default());
    assert!(text.contains(r#""is":"file","mode":"0600","errno":"EIO"}"#), "{text}");
}

#[test]
fn a_serial_number_is_counted_wherever_it_stands_and_that_there_is_one_stays() {
    let server = Server::new();
    server.bytes(&format!("{GPU}/config"), &config(SERIAL));
    server.file(&format!("{GPU}/uevent"), &format!("ID={SERIAL:016x}\n"));
    let text = server.recorded();
    assert!(!text.contains(&format!("{SERIAL:016x}")));
    assert!(!text.contains("0100c7410a2db048"));
    assert!(text.contains(r#"0300010001","bytes":4096"#), "{text}");
    assert!(text.contains("ID=0000000000000001"), "{text}");
}

#[test]
fn two_gpus_with_one_serial_number_still_have_one() {
    let server = Server::new();
    server.function("0000:42:00.0", "sys/devices/pci0000:40/0000:42:00.0", "0x030200");
    for real in [GPU, "sys/devices/pci0000:40/0000:42:00.0"] {
        server.bytes(&format!("{real}/config"), &config(SERIAL));
    }
    assert_eq!(server.recorded().matches(r#"0300010001","bytes":4096"#).count(), 2);
}

#[test]
fn uuids_and_hardware_addresses_are_counted_and_the_host_name_is_replaced() {
    let server = Server::new();
    let text =
        format!("GPU-{UUID} {} on tulip, tulips, 3c:fd:fe:aa:bb:cc at 0000:41:00.0\n", UUID.to_uppercase());
    server.file(&format!("{GPU}/label"), &text);
    let line = server.line(&format!("{GPU}/label"));
    let counted = "00000000-0000-4000-8000-000000000001";
    let expected = format!("GPU-{counted} {counted} on server, tulips, 02:00:00:00:00:02 at 0000:41:00.0\\n");
    assert!(line.contains(&expected), "{line}");
}

#[test]
fn names_of_folders_are_hidden_as_texts_are() {
    let server = Server::new();
    server.link(&format!("sys/bus/mdev/devices/{UUID}"), &format!("../../../{}/{UUID}", &GPU[4..]));
    server.file(&format!("{GPU}/{UUID}/nvidia/vgpu_params"), "\n");
    let text = server.recorded();
    assert!(!text.contains(UUID), "{text}");
    assert!(text.contains("00000000-0000-4000-8000-000000000001/nvidia/vgpu_params"), "{text}");
}

#[test]
fn of_the_command_line_only_what_has_to_do_with_gpus_is_kept() {
    let server = Server::new();
    server.file(
        "proc/cmdline",
        "BOOT_IMAGE=/vmlinuz root=UUID=1 intel_iommu=on iommu=pt token=x pci=realloc\n",
    );
    assert!(server.line("proc/cmdline").contains(r#""text":"intel_iommu=on iommu=pt pci=realloc\n""#));
}

#[test]
fn of_the_processor_only_its_maker_is_kept_and_of_the_boot_nothing() {
    let server = Server::new();
    server.file("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: X\n");
    server.file("proc/sys/kernel/random/boot_id", &format!("{UUID}\n"));
    assert!(server.line("proc/cpuinfo").contains(r#""text":"vendor_id\t: GenuineIntel\n""#));
    assert!(!server.recorded().contains(UUID));
}

#[test]
fn nothing_below_the_root_is_changed() {
    let server = Server::new();
    let before = listing(server.folder.path());
    server.recorded();
    assert_eq!(listing(server.folder.path()), before);
}

fn listing(folder: &Path) -> Vec<(String, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let kind = entry.file_type().expect("a type");
        found.push((
            entry.path().display().to_string(),
            kind.is_file().then(|| fs::read(entry.path()).expect("reads")),
        ));
        if kind.is_dir() {
            found.extend(listing(&entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn a_server_without_a_gpu_is_recorded_too() {
    let server = Server { folder: tempfile::tempdir().expect("a folder") };
    server.file("sys/module/vfio_pci/parameters/disable_vga", "N\n");
    let (text, gpus) = fixture(server.folder.path(), "none");
    assert_eq!(gpus, 0);
    assert!(text.contains("disable_vga"), "{text}");
}

#[test]
fn a_wrong_command_line_is_not_guessed_at() {
    for wrong in [&[][..], &["--root"], &["a", "b"], &["--what", "a"]] {
        let arguments: Vec<String> = wrong.iter().map(|word| (*word).to_owned()).collect();
        assert!(parse(&arguments).is_none(), "{wrong:?}");
    }
}
