//! The rig's disk and its initramfs: the root from Debian, the files of
//! rig/image, the modules, the drivers and the payload, made without mounting
//! anything.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::base::Base;
use super::cache::files_below;
use super::{lines_of, process, sources};

const DISK_SIZE: &str = "3G";
/// What stage 1 must load before it can mount the disk.
const BOOT_MODULES: [&str; 4] = ["crc32c-intel", "crc32c_generic", "virtio_blk", "ext4"];

pub struct Parts<'a> {
    /// A folder of kernel modules.
    pub modules: &'a Path,
    pub payload: &'a Path,
}

/// Makes `disk` and `initrd`; `work` is a folder to work in, removed again.
pub fn make(base: &Base, parts: &Parts, work: &Path, disk: &Path, initrd: &Path, logs: &Path) -> Result<()> {
    let tree = work.join("tree");
    fs::create_dir_all(work).context("create the image's work folder")?;
    // Links, not copies: nothing below changes a file of the base in place.
    process::output(Command::new("cp").args(["--archive", "--link"]).arg(base.root()).arg(&tree))?;
    add_configuration(&tree)?;
    add_kernel_parts(base, parts, &tree)?;
    let version = base.kernel_version()?;
    process::output(Command::new("chroot").arg(&tree).args(["depmod", &version]))?;
    make_initrd(&tree, &version, &work.join("initrd"), initrd)?;
    make_disk(&tree, disk, logs)?;
    fs::remove_dir_all(work).context("remove the image's work folder")
}

/// The files of rig/image/files, and which units start.
fn add_configuration(tree: &Path) -> Result<()> {
    let image = sources().join("image");
    let files = image.join("files");
    for file in files_below(&files)? {
        let relative = file.strip_prefix(&files).expect("it was found below it");
        let to = tree.join(relative);
        let parent = to.parent().expect("a file stands in a folder");
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        // A link to a file of the base goes before the new file comes.
        remove_if_there(&to)?;
        fs::copy(&file, &to).with_context(|| format!("copy {}", file.display()))?;
        let mode = if relative.starts_with("usr/lib/rig") { 0o755 } else { 0o644 };
        fs::set_permissions(&to, fs::Permissions::from_mode(mode))
            .with_context(|| format!("set the mode of {}", to.display()))?;
    }
    let units = tree.join("etc/systemd/system");
    for unit in lines_of(&image.join("masked-units"))? {
        link_unit(Path::new("/dev/null"), &units.join(unit))?;
    }
    let wanted = units.join("multi-user.target.wants");
    for unit in lines_of(&image.join("enabled-units"))? {
        let folder = if units.join(&unit).exists() { "/etc/systemd/system" } else { "/lib/systemd/system" };
        link_unit(&Path::new(folder).join(&unit), &wanted.join(&unit))?;
    }
    Ok(())
}

fn link_unit(target: &Path, link: &Path) -> Result<()> {
    remove_if_there(link)?;
    symlink(target, link).with_context(|| format!("link {}", link.display()))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn add_kernel_parts(base: &Base, parts: &Parts, tree: &Path) -> Result<()> {
    let modules = tree.join("lib/modules");
    fs::create_dir_all(&modules).context("create the modules' folder")?;
    process::output(
        Command::new("cp")
            .arg("--archive")
            .arg(base.path.join("modules").join(base.kernel_version()?))
            .arg(&modules),
    )?;
    let extra = modules.join(base.kernel_version()?).join("extra");
    fs::create_dir_all(&extra).context("create the drivers' folder")?;
    for module in files_below(parts.modules)? {
        let name = module.file_name().expect("a file has a name");
        fs::copy(&module, extra.join(name)).context("add a driver")?;
    }
    fs::copy(parts.payload, tree.join("usr/lib/rig/payload.elf")).context("add the payload")?;
    Ok(())
}

fn make_initrd(tree: &Path, version: &str, work: &Path, initrd: &Path) -> Result<()> {
    for folder in ["bin", "dev", "root", "modules"] {
        fs::create_dir_all(work.join(folder)).context("create a folder of the initramfs")?;
    }
    fs::copy(tree.join("bin/busybox"), work.join("bin/busybox")).context("add busybox")?;
    let init = work.join("init");
    fs::copy(sources().join("image/initrd-init"), &init).context("add the init")?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).context("make init run")?;
    let mut order = String::new();
    for module in boot_modules(tree, version)? {
        let name = module.file_name().expect("a module has a name").to_string_lossy().into_owned();
        fs::copy(&module, work.join("modules").join(&name))
            .with_context(|| format!("add {}", module.display()))?;
        order += &format!("{name}\n");
    }
    fs::write(work.join("modules/order"), order).context("write the order of the modules")?;
    let archive = archive_of(work, &tree.join("bin/busybox"))?;
    fs::write(initrd, archive).with_context(|| format!("write {}", initrd.display()))
}

/// The modules of stage 1 with all that they need, dependencies first.
fn boot_modules(tree: &Path, version: &str) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = Vec::new();
    for name in BOOT_MODULES {
        let listed = process::output(Command::new("chroot").arg(tree).args([
            "modprobe",
            "--show-depends",
            "--set-version",
            version,
            name,
        ]))?;
        // Lines are `insmod PATH`, or `builtin NAME`.
        for line in listed.lines() {
            if let Some(path) = line.strip_prefix("insmod ") {
                let module = tree.join(path.trim().trim_start_matches('/'));
                if !found.contains(&module) {
                    found.push(module);
                }
            }
        }
    }
    Ok(found)
}

/// A cpio archive, made by the root's static busybox.
fn archive_of(folder: &Path, busybox: &Path) -> Result<Vec<u8>> {
    let mut names = String::new();
    for top in ["bin", "dev", "root", "modules"] {
        names += &format!("{top}\n");
    }
    for file in files_below(folder)? {
        let relative = file.strip_prefix(folder).expect("it was found below it");
        names += &format!("{}\n", relative.display());
    }
    process::filter(
        Command::new(busybox).args(["cpio", "-o", "-H", "newc"]).current_dir(folder),
        names.as_bytes(),
    )
}

fn make_disk(tree: &Path, disk: &Path, logs: &Path) -> Result<()> {
    process::step(
        Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-d"])
            .arg(tree)
            .arg(disk)
            .arg(DISK_SIZE)
            // Debian keeps mke2fs where an ordinary user's PATH does not look.
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        &logs.join("mke2fs.log"),
    )
}
