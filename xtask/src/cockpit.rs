//! What the page in Cockpit is tried with: Cockpit's own web server, bridge and shell, from the distribution.
//! They are installed where that starts nothing, and are never a service afterwards; what the page does is
//! not known here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::rig::prerequisites::{find_program, install};

const PACKAGES: &[&str] = &["cockpit-ws", "cockpit-bridge", "cockpit-system"];

/// Distributions have Cockpit's own programs in one folder or the other.
const SERVERS: &[&str] = &["/usr/lib/cockpit/cockpit-ws", "/usr/libexec/cockpit-ws"];
const BRIDGE: &str = "cockpit-bridge";
const SHELL: &str = "/usr/share/cockpit/shell/manifest.json";

/// What the package of the web server switches on for the next boot.
const SWITCHED_ON: &str = "/etc/systemd/system/sockets.target.wants/cockpit.socket";

/// The programs that the tests start.
pub struct Cockpit {
    pub server: PathBuf,
    pub bridge: PathBuf,
}

fn find() -> Option<Cockpit> {
    let server = SERVERS.iter().map(PathBuf::from).find(|path| path.is_file())?;
    let bridge = find_program(BRIDGE)?;
    Path::new(SHELL).is_file().then_some(Cockpit { server, bridge })
}

/// Cockpit, or why there is none and cannot be.
pub fn prepare() -> Result<Result<Cockpit, String>> {
    if let Some(found) = find() {
        return Ok(Ok(found));
    }
    let by_hand = format!("Cockpit is missing; apt-get install {}", PACKAGES.join(" "));
    let can_install = nix::unistd::geteuid().is_root() && find_program("apt-get").is_some();
    // Where systemd runs, the packages start Cockpit's service, which is for the administrator to want.
    if !can_install || Path::new("/run/systemd/system").exists() {
        return Ok(Err(by_hand));
    }
    let was_on = Path::new(SWITCHED_ON).is_symlink();
    install(PACKAGES)?;
    if !was_on && Path::new(SWITCHED_ON).is_symlink() {
        fs::remove_file(SWITCHED_ON).with_context(|| format!("remove {SWITCHED_ON}"))?;
    }
    Ok(find().ok_or(by_hand))
}
