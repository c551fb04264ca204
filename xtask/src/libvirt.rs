//! A libvirt for tests that want the real library: downloaded and unpacked into the target folder, with
//! what it needs and this machine lacks. Nothing is installed, no daemon comes along, root is not needed:
//! the test driver inside the library is all that the tests talk to.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::product;

const PACKAGE: &str = "libvirt0";
const LIBRARY: &str = "libvirt.so.0";
/// How the tests are told of a library that is not installed.
const VARIABLE: &str = "DIVVY_LIBVIRT_LIBRARY";
/// The loader's own.
const SEARCH_PATH: &str = "LD_LIBRARY_PATH";

/// What the tests have to have in their environment to find a libvirt; says so where there is none.
pub fn environment() -> Vec<(&'static str, OsString)> {
    let is_there = std::env::var_os(VARIABLE).is_some() || find(Path::new("/usr/lib")).is_some();
    if is_there {
        return Vec::new();
    }
    match unpacked(&product::target_folder().join("libvirt")) {
        Ok(libvirt) => vec![(VARIABLE, libvirt.library.into()), (SEARCH_PATH, libvirt.search_path)],
        Err(error) => {
            println!(
                "tests against the real libvirt are left out: {error:#}; apt-get install {PACKAGE} mends it"
            );
            Vec::new()
        }
    }
}

/// A libvirt in a folder, and where the loader finds what it needs.
struct Libvirt {
    library: PathBuf,
    search_path: OsString,
}

impl Libvirt {
    /// The one below a folder, if it is whole.
    fn below(folder: &Path) -> Result<Self> {
        let library = find(&folder.join("usr/lib")).with_context(|| format!("{PACKAGE} has no {LIBRARY}"))?;
        let architecture = library.parent().and_then(Path::file_name).unwrap_or_default();
        // Some of Debian's libraries are in /lib, which is not /usr/lib in a package.
        let folders = ["usr/lib", "lib"].map(|lib| folder.join(lib).join(architecture));
        let search_path =
            std::env::join_paths(folders).context("the target folder has a colon in its name")?;
        let said = run(Command::new("ldd").arg(&library).env(SEARCH_PATH, &search_path))?;
        let missing = said.lines().find(|line| line.contains("not found"));
        ensure!(missing.is_none(), "{LIBRARY} lacks {}", missing.unwrap_or_default().trim());
        Ok(Self { library, search_path })
    }
}

/// `usr/lib/ARCHITECTURE/libvirt.so.0`.
fn find(folder: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path().join(LIBRARY));
    folders.chain([folder.join(LIBRARY)]).find(|path| path.exists())
}

fn unpacked(folder: &Path) -> Result<Libvirt> {
    if folder.exists() {
        return Libvirt::below(folder);
    }
    // Put in place as a whole: what is found there is all there.
    let beside = folder.with_extension("new");
    if beside.exists() {
        fs::remove_dir_all(&beside).context("remove what an earlier run left")?;
    }
    let archives = beside.join("archives");
    fs::create_dir_all(&archives).context("make a folder for packages")?;
    let packages = missing_packages()?;
    println!("fetching {}", packages.join(" "));
    run(Command::new("apt-get").arg("download").args(&packages).current_dir(&archives))?;
    for archive in fs::read_dir(&archives).context("look at what came")?.flatten() {
        run(Command::new("dpkg-deb").arg("--extract").arg(archive.path()).arg(&beside))?;
    }
    fs::remove_dir_all(&archives).context("remove the packages")?;
    fs::rename(&beside, folder).context("put libvirt in its place")?;
    Libvirt::below(folder)
}

/// The library's package and those that it needs and this machine lacks, as apt would install them.
fn missing_packages() -> Result<Vec<String>> {
    let simulate = || {
        let mut apt = Command::new("apt-get");
        apt.args(["--simulate", "--no-install-recommends", "install", PACKAGE]).env("LC_ALL", "C");
        run(&mut apt)
    };
    // A fresh machine has no lists of packages; only root can get them.
    let said = simulate().or_else(|_| run(Command::new("apt-get").arg("update")).and_then(|_| simulate()))?;
    Ok(installed_by(&said))
}

/// The packages of `Inst libvirt0 (9.0.0-4 …)`.
fn installed_by(said: &str) -> Vec<String> {
    let names = said.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("run {program}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed: {}", complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_install_is_read_from_its_simulation() {
        let said = "Reading state...\nInst libtirpc3 (1.3 Debian [amd64])\nInst libvirt0 (9.0 Debian [amd64])\nConf libvirt0 (9.0)\n";
        assert_eq!(installed_by(said), ["libtirpc3", "libvirt0"]);
    }

    #[test]
    fn the_library_is_found_below_its_architecture() {
        let root = tempfile::tempdir().expect("a folder for a test");
        assert_eq!(find(root.path()), None);
        let folder = root.path().join("x86_64-linux-gnu");
        fs::create_dir(&folder).expect("a folder in it");
        fs::write(folder.join(LIBRARY), "").expect("a file in it");
        assert_eq!(find(root.path()), Some(folder.join(LIBRARY)));
    }
}
