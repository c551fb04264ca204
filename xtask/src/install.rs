//! `cargo xtask install`: puts the programs and what belongs to them where they are used from, on this
//! machine or below another root. Starts nothing and asks systemd nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::product::{Binaries, Profile};

const USAGE: &str = "usage: cargo xtask install [--root DIR] [--binaries DIR]
  --root DIR       install below DIR instead of /
  --binaries DIR   take divvyd and divvy from DIR instead of building them";

/// What comes out of `packaging/`: source, place, mode.
const FILES: &[(&str, &str, u32)] = &[
    ("divvyd.service", "usr/lib/systemd/system/divvyd.service", 0o644),
    ("modules-load.d/divvy.conf", "usr/lib/modules-load.d/divvy.conf", 0o644),
    ("sysusers.d/divvy.conf", "usr/lib/sysusers.d/divvy.conf", 0o644),
    ("tmpfiles.d/divvy.conf", "usr/lib/tmpfiles.d/divvy.conf", 0o644),
    ("hooks/qemu.d/divvy", "etc/libvirt/hooks/qemu.d/divvy", 0o755),
];

/// What comes out of `console/dist-cockpit/`, to where Cockpit looks for its pages.
const PAGE: &[&str] = &["index.html", "manifest.json", "divvy.js", "divvy.css"];
const PAGES: &str = "usr/share/cockpit/divvy";

/// What belongs to the administrator once it is there.
const SETTINGS: &[(&str, &str)] =
    &[("divvyd.toml", "etc/divvy/divvyd.toml"), ("pam.d/divvy", "etc/pam.d/divvy")];

/// What a distribution has for programs that ask for a password: the file to look for, and what to write
/// for the names that stand in ours.
const PAM: (&str, [(&str, &str); 2]) = (
    "etc/pam.d/system-auth",
    [("include  common-auth", "include  system-auth"), ("include  common-account", "include  system-auth")],
);

const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/divvy"),
    ("zsh", "usr/share/zsh/vendor-completions/_divvy"),
    ("fish", "usr/share/fish/vendor_completions.d/divvy.fish"),
];

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    let (mut root, mut binaries) = (PathBuf::from("/"), None);
    for pair in arguments.chunks(2) {
        match pair {
            [option, folder] if option == "--root" => root = PathBuf::from(folder),
            [option, folder] if option == "--binaries" => binaries = Some(PathBuf::from(folder)),
            _ => {
                eprintln!("{USAGE}");
                return Ok(ExitCode::from(2));
            }
        }
    }
    let binaries = match binaries {
        Some(folder) => Binaries { folder },
        None => Binaries::build(Profile::Release)?,
    };
    all(&binaries, &root)?;
    Ok(ExitCode::SUCCESS)
}

/// Installs everything; what is there already is replaced, but for the settings.
pub fn all(binaries: &Binaries, root: &Path) -> Result<()> {
    let packaging = crate::repository().join("packaging");
    put(&binaries.divvyd(), &root.join("usr/bin/divvyd"), 0o755)?;
    put(&binaries.divvy(), &root.join("usr/bin/divvy"), 0o755)?;
    for (source, place, mode) in FILES {
        put(&packaging.join(source), &root.join(place), *mode)?;
    }
    let page = crate::repository().join("console/dist-cockpit");
    for name in PAGE {
        put(&page.join(name), &root.join(PAGES).join(name), 0o644)?;
    }
    for (source, place) in SETTINGS {
        let (source, place) = (packaging.join(source), root.join(place));
        if place.exists() {
            println!("{} stays as it is", place.display());
        } else {
            let text = fs::read_to_string(&source).with_context(|| format!("read {}", source.display()))?;
            write(of_distribution(text, root).as_bytes(), &place, 0o644)?;
        }
    }
    for (shell, place) in COMPLETIONS {
        let script = says(binaries, &["completions", shell])?;
        write(&script, &root.join(place), 0o644)?;
    }
    manual(binaries, &root.join("usr/share/man/man1"))
}

/// The text with the names of PAM's files as the distribution below this root has them.
fn of_distribution(text: String, root: &Path) -> String {
    let (mark, names) = PAM;
    match root.join(mark).exists() {
        true => names.iter().fold(text, |text, (ours, theirs)| text.replace(ours, theirs)),
        false => text,
    }
}

fn put(source: &Path, place: &Path, mode: u32) -> Result<()> {
    let content = fs::read(source).with_context(|| format!("read {}", source.display()))?;
    write(&content, place, mode)
}

/// The old file or the new one, never a mix: a program that runs cannot be written over.
fn write(content: &[u8], place: &Path, mode: u32) -> Result<()> {
    let folder = place.parent().context("a place has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let name = place.file_name().context("a place has a name")?.to_string_lossy();
    let beside = folder.join(format!(".{name}.new"));
    fs::write(&beside, content).with_context(|| format!("write {}", beside.display()))?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode))
        .with_context(|| format!("set the mode of {}", beside.display()))?;
    fs::rename(&beside, place).with_context(|| format!("put {} in its place", place.display()))?;
    println!("{}", place.display());
    Ok(())
}

fn says(binaries: &Binaries, words: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(binaries.divvy()).args(words).output().context("run divvy")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "divvy {} failed: {complaint}", words.join(" "));
    Ok(output.stdout)
}

fn manual(binaries: &Binaries, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let text = folder.to_str().context("the folder of the manual is no text")?;
    says(binaries, &["man", "--folder", text])?;
    println!("{}", folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Stands for both programs.
    fn programs() -> (tempfile::TempDir, Binaries) {
        let folder = tempfile::tempdir().expect("a folder for a test");
        for name in ["divvyd", "divvy"] {
            let path = folder.path().join(name);
            fs::write(&path, "#!/bin/sh\necho complete\n").expect("a program in it");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        let binaries = Binaries { folder: folder.path().to_owned() };
        (folder, binaries)
    }

    #[test]
    fn everything_is_put_below_the_root_with_its_mode() {
        let (_programs, binaries) = programs();
        let root = tempfile::tempdir().expect("a folder for a test");
        all(&binaries, root.path()).expect("is installed");
        let mode = |place: &str| {
            fs::metadata(root.path().join(place)).map_or(0, |meta| meta.permissions().mode() & 0o777)
        };
        for (_, place, expected) in FILES {
            assert_eq!(mode(place), *expected, "{place}");
        }
        assert_eq!((mode("usr/bin/divvyd"), mode("usr/bin/divvy")), (0o755, 0o755));
    }

    #[test]
    fn the_page_in_cockpit_is_there_whole() {
        let (_programs, binaries) = programs();
        let root = tempfile::tempdir().expect("a folder for a test");
        all(&binaries, root.path()).expect("is installed");
        let names = |folder: PathBuf| {
            let entries = fs::read_dir(folder).expect("is a folder");
            entries.map(|entry| entry.expect("is read").file_name()).collect::<BTreeSet<_>>()
        };
        let made = names(crate::repository().join("console/dist-cockpit"));
        assert_eq!(names(root.path().join(PAGES)), made);
    }

    #[test]
    fn settings_of_the_administrator_stay() {
        let (_programs, binaries) = programs();
        let root = tempfile::tempdir().expect("a folder for a test");
        let places = SETTINGS.iter().map(|(_, place)| root.path().join(place));
        places.clone().for_each(|place| write(b"own", &place, 0o600).expect("written before"));
        all(&binaries, root.path()).expect("is installed");
        for place in places {
            assert_eq!(fs::read(&place).expect("is there"), b"own", "{}", place.display());
        }
    }

    #[test]
    fn passwords_are_checked_as_the_distribution_does_it() {
        let (_programs, binaries) = programs();
        for (mark, expected) in [("common-auth", "common-auth"), ("system-auth", "system-auth")] {
            let root = tempfile::tempdir().expect("a folder for a test");
            write(b"", &root.path().join("etc/pam.d").join(mark), 0o644).expect("written before");
            all(&binaries, root.path()).expect("is installed");
            let text = fs::read_to_string(root.path().join("etc/pam.d/divvy")).expect("is there");
            assert!(text.contains(&format!("auth     include  {expected}\n")), "{text}");
        }
    }
}
