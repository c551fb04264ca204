//! The rig's kernel: newest of the backports, unpacked and never installed, so
//! that nothing of this machine's own kernel or initramfs is touched.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::apt::Apt;
use super::base::{record_field, unpack_all};
use super::{lines_of, process, sources};

/// Fetches the kernel, the listed modules, the headers and the listed samples
/// into `folder`.
pub fn fetch(folder: &Path, apt: &Apt) -> Result<()> {
    let version = newest_version(apt)?;
    let common = version.strip_suffix("-amd64").context("a Debian kernel for amd64 is named so")?;
    let image = folder.join("debs/image");
    let headers = folder.join("debs/headers");
    apt.download(&[format!("linux-image-{version}")], &image)?;
    apt.download(
        &[
            format!("linux-headers-{version}"),
            format!("linux-headers-{common}-common"),
            format!("linux-kbuild-{common}"),
        ],
        &headers,
    )?;
    let unpacked = folder.join("debs/unpacked");
    unpack_all(&image, &unpacked)?;
    let vmlinuz = unpacked.join("boot").join(format!("vmlinuz-{version}"));
    extract_elf(&vmlinuz, &folder.join("vmlinux"))?;
    copy_modules(&unpacked.join("lib/modules").join(&version), &folder.join("modules").join(&version))?;
    unpack_all(&headers, &folder.join("kbuild"))?;
    make_headers_movable(folder, &version)?;
    fetch_samples(folder, apt, &version)
}

/// The files of rig/image/samples out of the source that this kernel was made of.
fn fetch_samples(folder: &Path, apt: &Apt, version: &str) -> Result<()> {
    let release = version.split('.').take(2).collect::<Vec<_>>().join(".");
    let package_version = record_field(&apt.show(&format!("linux-image-{version}"))?, "Version")?;
    let debs = folder.join("debs/source");
    apt.download(&[format!("linux-source-{release}={package_version}")], &debs)?;
    let unpacked = folder.join("debs/source-unpacked");
    unpack_all(&debs, &unpacked)?;
    let archive = unpacked.join("usr/src").join(format!("linux-source-{release}.tar.xz"));
    let samples = folder.join("samples");
    fs::create_dir(&samples).context("create the folder of the kernel's samples")?;
    let names = lines_of(&sources().join("image/samples"))?;
    let members = names.iter().map(|name| format!("linux-source-{release}/samples/{name}"));
    // Each occurs once: the end of the archive need not be read.
    process::output(
        Command::new("tar")
            .args(["--extract", "--occurrence=1", "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(&samples)
            .arg("--transform=s,.*/,,")
            .args(members),
    )?;
    Ok(())
}

/// The one kernel whose modules stand below `folder`.
pub fn version_below(folder: &Path) -> Result<String> {
    let mut entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let entry = entries.next().context("the rig has no kernel modules")?;
    let name = entry.context("read a folder entry")?.file_name();
    name.into_string().map_err(|name| anyhow::anyhow!("odd kernel version {name:?}"))
}

fn newest_version(apt: &Apt) -> Result<String> {
    let depends = record_field(&apt.show("linux-image-amd64")?, "Depends")?;
    let package = depends.split([' ', ',']).next().unwrap_or_default();
    package
        .strip_prefix("linux-image-")
        .map(str::to_string)
        .with_context(|| format!("linux-image-amd64 depends on {depends:?}"))
}

/// Takes the ELF kernel out of a bzImage, where the boot protocol says it is.
fn extract_elf(vmlinuz: &Path, elf: &Path) -> Result<()> {
    const SETUP_SECTORS: usize = 0x1f1;
    const PAYLOAD_OFFSET: usize = 0x248;
    const PAYLOAD_LENGTH: usize = 0x24c;
    const SECTOR_BYTES: usize = 512;
    const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    /// The kernel's build appends the uncompressed size to the payload.
    const SIZE_FIELD_BYTES: usize = 4;

    let image = fs::read(vmlinuz).with_context(|| format!("read {}", vmlinuz.display()))?;
    let number = |at: usize| -> Result<usize> {
        let bytes = image.get(at..at + 4).context("the kernel image is cut")?;
        let bytes: [u8; 4] = bytes.try_into().expect("four bytes were taken");
        Ok(u32::from_le_bytes(bytes) as usize)
    };
    let sectors = *image.get(SETUP_SECTORS).context("the kernel image is cut")? as usize;
    let start = (sectors + 1) * SECTOR_BYTES + number(PAYLOAD_OFFSET)?;
    let end = (start + number(PAYLOAD_LENGTH)?).saturating_sub(SIZE_FIELD_BYTES);
    let payload = image.get(start..end).context("the kernel image is cut")?;
    ensure!(payload.starts_with(&ZSTD_MAGIC), "the kernel is not compressed with zstd");
    let kernel = process::filter(Command::new("zstd").args(["-d", "-c"]), payload)?;
    ensure!(kernel.starts_with(b"\x7fELF"), "the kernel is no ELF file");
    fs::write(elf, kernel).with_context(|| format!("write {}", elf.display()))
}

/// Copies the modules of rig/image/modules, uncompressed.
fn copy_modules(from: &Path, to: &Path) -> Result<()> {
    let prefixes = lines_of(&sources().join("image/modules"))?;
    let built_in = fs::read_to_string(from.join("modules.builtin")).context("read what is built in")?;
    for prefix in &prefixes {
        // A module may be built in, in this version or in another.
        let mut found = built_in.lines().any(|line| line.starts_with(prefix.as_str()));
        for module in super::cache::files_below(&from.join("kernel"))? {
            let relative = module.strip_prefix(from).expect("it was found below it");
            if relative.to_string_lossy().starts_with(prefix.as_str()) {
                copy_module(&module, &to.join(relative))?;
                found = true;
            }
        }
        if !found {
            bail!("the kernel has no module below {prefix}");
        }
    }
    // depmod reads these to know what is built in, and in which order to load.
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        fs::copy(from.join(list), to.join(list)).with_context(|| format!("copy {list}"))?;
    }
    Ok(())
}

fn copy_module(module: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().expect("a module stands in a folder");
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    if module.extension().is_some_and(|extension| extension == "xz") {
        let bytes = process::output_bytes(Command::new("xz").args(["-d", "-c"]).arg(module))?;
        let plain = to.with_extension("");
        fs::write(&plain, bytes).with_context(|| format!("write {}", plain.display()))
    } else {
        fs::copy(module, to).map(drop).with_context(|| format!("copy {}", module.display()))
    }
}

/// Debian's headers name each other by absolute path; here they stay together
/// and the folder moves. Their vmlinux, kept for BTF, would make the build of a
/// module ask for pahole.
fn make_headers_movable(folder: &Path, version: &str) -> Result<()> {
    let headers = folder.join("kbuild/usr/src").join(format!("linux-headers-{version}"));
    let makefile = headers.join("Makefile");
    let text = fs::read_to_string(&makefile).context("read the headers' Makefile")?;
    let moved = text.replace("include /usr/src/", "include $(dir $(lastword $(MAKEFILE_LIST)))../");
    ensure!(moved != text, "the headers' Makefile has another form");
    fs::write(&makefile, moved).context("write the headers' Makefile")?;
    match fs::remove_file(headers.join("vmlinux")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("remove the headers' vmlinux")
        }
        _ => Ok(()),
    }
}
