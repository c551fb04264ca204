//! QEMU programs of the rig's own root, run on this machine without installing
//! them: by the root's own loader, with the root's own libraries and firmware.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::process;

const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

pub struct Qemu {
    root: PathBuf,
}

impl Qemu {
    pub fn in_root(root: &Path) -> Qemu {
        Qemu { root: root.to_path_buf() }
    }

    /// The emulator, with `model` loaded before it.
    pub fn system(&self, model: Option<&Path>) -> Command {
        let mut command = self.loader();
        if let Some(model) = model {
            command.arg("--preload").arg(model);
        }
        command.arg(self.root.join("usr/bin/qemu-system-x86_64"));
        for firmware in ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"] {
            command.arg("-L").arg(self.root.join(firmware));
        }
        command
    }

    /// The tool that makes disk images.
    pub fn img(&self) -> Command {
        let mut command = self.loader();
        command.arg(self.root.join("usr/bin/qemu-img"));
        command
    }

    /// As `10.0.2`.
    pub fn version(&self) -> Result<String> {
        let text = process::output(self.system(None).arg("--version"))?;
        text.split_once("version ")
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .map(str::to_string)
            .with_context(|| format!("QEMU names its version as {text:?}"))
    }

    fn loader(&self) -> Command {
        let libraries: Vec<String> =
            LIBRARIES.iter().map(|folder| self.root.join(folder).display().to_string()).collect();
        let mut command = Command::new(self.root.join("lib64/ld-linux-x86-64.so.2"));
        command
            .arg("--library-path")
            .arg(libraries.join(":"))
            // Not the modules of a QEMU that this machine may have.
            .env("QEMU_MODULE_DIR", self.root.join("usr/lib/x86_64-linux-gnu/qemu"))
            .env_remove("LD_PRELOAD");
        command
    }
}
