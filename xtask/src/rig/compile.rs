//! Compiles the C parts of the rig: the GPU model that is loaded into QEMU, the
//! kernel modules that drive it, and the payload of test VMs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::base::Base;
use super::cache::files_below;
use super::{process, sources};

/// What rig/driver makes.
const MODULES: [&str; 3] = ["rigpf.ko", "rigmdev.ko", "mtty.ko"];

/// The GPU model, as a shared object for QEMU.
pub fn gpu_model(base: &Base, to: &Path, logs: &Path) -> Result<()> {
    let device = sources().join("device");
    let qemu = base.path.join("qemu");
    let glib = base.path.join("glib/usr");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-g", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"])
        // QEMU's interfaces bring parameters that a model does not need.
        .args(["-Wno-unused-parameter", "-Wno-missing-field-initializers"])
        .args(["-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64"])
        .arg("-I")
        .arg(device.join("config"));
    for headers in [
        qemu.join("include"),
        qemu.join("gen"),
        qemu.join("gen/qapi"),
        qemu.join("linux-headers"),
        qemu.join("host/include/x86_64"),
        qemu.join("host/include/generic"),
        glib.join("include/glib-2.0"),
        glib.join("lib/x86_64-linux-gnu/glib-2.0/include"),
    ] {
        gcc.arg("-isystem").arg(headers);
    }
    gcc.arg("-o").arg(to).args(c_files(&device)?);
    process::step(&mut gcc, &logs.join("gpu-model.log"))
}

/// The drivers of the GPUs and the kernel's samples, as kernel modules.
pub fn modules(base: &Base, work: &Path, to: &Path, logs: &Path) -> Result<()> {
    let headers = base.path.join("kbuild/usr/src").join(format!("linux-headers-{}", base.kernel_version()?));
    // kbuild writes beside the sources, so it gets a copy.
    fs::create_dir_all(work).context("create the drivers' work folder")?;
    for folder in [sources().join("driver"), base.samples()] {
        for source in files_below(&folder)? {
            let name = source.file_name().expect("a file has a name");
            fs::copy(&source, work.join(name)).context("copy the drivers' sources")?;
        }
    }
    let mut make = Command::new("make");
    make.arg("-C").arg(&headers).arg(format!("M={}", work.display())).arg("modules");
    process::step(&mut make, &logs.join("driver.log"))?;
    fs::create_dir_all(to).context("create the folder of the rig's modules")?;
    for name in MODULES {
        let module = work.join(name);
        ensure!(module.is_file(), "kbuild made no {name}");
        fs::copy(&module, to.join(name)).with_context(|| format!("keep {name}"))?;
    }
    fs::remove_dir_all(work).context("remove the drivers' work folder")
}

/// The guest OS of test VMs: free-standing, 32 bits, booted by multiboot.
pub fn payload(to: &Path, logs: &Path) -> Result<()> {
    let folder = sources().join("payload");
    let script = format!("-Wl,-T,{}", folder.join("payload.ld").display());
    let mut gcc = Command::new("gcc");
    gcc.args(["-m32", "-march=i686", "-Os", "-Wall", "-Wextra", "-Werror"])
        .args(["-ffreestanding", "-fno-pic", "-fno-stack-protector"])
        .args(["-nostdlib", "-static", "-no-pie"])
        .args(["-Wl,--build-id=none", "-Wl,--no-warn-rwx-segments", &script])
        .arg("-o")
        .arg(to)
        .arg(folder.join("start.S"))
        .args(c_files(&folder)?);
    process::step(&mut gcc, &logs.join("payload.log"))
}

fn c_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = files_below(folder)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "c"));
    Ok(files)
}
