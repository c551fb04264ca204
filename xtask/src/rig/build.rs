//! From sources to a saved machine: base, compiled parts, disk, first boot,
//! warm-up, saved state. The disk and the state that was saved on it are one
//! cache entry, because a state resumed on another disk corrupts it silently.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::base::Base;
use super::cache::{Cache, Key, KeyBuilder};
use super::domain::{Identity, domain_xml, serial_path};
use super::live::Rig;
use super::machine::Machine;
use super::{compile, image, sources};

/// So often something is done in all, if the emulation fails.
const TRIES: u32 = 3;

/// A rig that is built: where its files are and where machines may run.
pub struct Built {
    root: PathBuf,
    kernel: PathBuf,
    folder: PathBuf,
    runs: PathBuf,
}

impl Built {
    /// Builds whatever the cache does not hold.
    pub fn obtain() -> Result<Built> {
        let cache = Cache::open()?;
        let base = Base::obtain(&cache)?;
        let key = machine_key(&base)?;
        let logs = cache.folder("log")?;
        let runs = cache.folder("runs")?;
        let folder = cache.entry("machine", &key, |folder| build(&base, folder, &runs, &logs))?;
        Ok(Built { root: base.root(), kernel: base.kernel(), folder, runs })
    }

    /// Does something with a machine of its own, and from the beginning with another one if the emulation
    /// fails. What else fails has failed.
    pub fn with_rig<T>(&self, name: &str, work: impl Fn(&mut Rig) -> Result<T>) -> Result<T> {
        for _ in 1..TRIES {
            let mut rig = self.resume(name)?;
            match work(&mut rig) {
                Err(error) if rig.has_failed() => {
                    eprintln!("   QEMU failed (rig/README.md), and {error:#}; {name} begins anew");
                }
                ended => return ended,
            }
        }
        work(&mut self.resume(name)?)
    }

    /// A machine that is up and warm, in seconds.
    pub fn resume(&self, name: &str) -> Result<Rig> {
        Rig::resume(self.machine(), &self.runs, name).with_context(|| format!("resume the rig {name}"))
    }

    /// A machine that starts from power off.
    pub fn boot(&self, name: &str) -> Result<Rig> {
        Rig::boot(self.machine(), &self.runs, name).with_context(|| format!("boot the rig {name}"))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn machine(&self) -> Machine {
        Machine { root: self.root.clone(), kernel: self.kernel.clone(), folder: self.folder.clone() }
    }
}

/// Everything that decides what is in the entry, this builder included.
fn machine_key(base: &Base) -> Result<Key> {
    let mut key = KeyBuilder::new()
        .add(base.key.as_bytes())
        .add(include_bytes!("build.rs"))
        .add(include_bytes!("compile.rs"))
        .add(include_bytes!("domain.rs"))
        .add(include_bytes!("image.rs"))
        .add(include_bytes!("machine.rs"));
    for folder in ["device", "driver", "image", "payload"] {
        key = key.add_tree(&sources().join(folder))?;
    }
    Ok(key.finish())
}

fn build(base: &Base, folder: &Path, runs: &Path, logs: &Path) -> Result<()> {
    super::prerequisites::prepare()?;
    eprintln!("rig: compiling the GPU model, its drivers and the payload");
    let machine = Machine { root: base.root(), kernel: base.kernel(), folder: folder.to_path_buf() };
    let modules = folder.join("modules");
    let payload = folder.join("payload.elf");
    compile::gpu_model(base, &machine.model(), logs)?;
    compile::modules(base, &folder.join("driver"), &modules, logs)?;
    compile::payload(&payload, logs)?;
    eprintln!("rig: making the disk");
    let parts = image::Parts { modules: &modules, payload: &payload };
    image::make(base, &parts, &folder.join("work"), &machine.disk(), &machine.initrd(), logs)?;
    eprintln!("rig: booting for the first time");
    let rig = Rig::first_boot(machine, runs)?;
    eprintln!("rig: warming up and saving");
    warm_up(&rig)?;
    rig.save()
}

/// What is slow the first time is done once, before saving: libvirt asks QEMU
/// for its abilities, and QEMU's program comes into the page cache.
fn warm_up(rig: &Rig) -> Result<()> {
    rig.expect("virsh domcapabilities --virttype qemu > /dev/null")?;
    rig.expect("virsh nodedev-list > /dev/null")?;
    rig.expect("lspci -vv > /dev/null")?;
    let name = "warm-up";
    rig.write(&domain_xml(name, Identity::default(), ""), "/run/warm-up.xml")?;
    rig.expect("virsh create /run/warm-up.xml")?;
    rig.expect(&wait_for_line("PAYLOAD-READY", &serial_path(name)))?;
    rig.expect(&format!("virsh destroy {name} && rm /run/warm-up.xml {}", serial_path(name)))?;
    Ok(())
}

/// A shell command that ends when a file in the rig holds a text.
pub fn wait_for_line(text: &str, file: &str) -> String {
    format!(
        "for i in $(seq 600); do grep -qs '{text}' {file} && exit 0; sleep 0.1; done; \
         echo 'no {text} in {file}:'; cat {file}; exit 1"
    )
}
