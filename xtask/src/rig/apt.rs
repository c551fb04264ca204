//! A private apt: own lists, own cache, own sources, so that this machine's
//! package state is neither used nor changed. The sources are derived from this
//! machine's, because only they say where it gets its packages from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::prerequisites::Unsuited;
use super::process;

/// The release that the rig's root is made of.
pub const RELEASE: &str = "bookworm";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Writes the configuration into `folder` and fetches the package lists.
    pub fn create(folder: &Path) -> Result<Apt> {
        for sub in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(sub)).context("create a folder for apt")?;
        }
        let archives = archives_of_this_machine()?;
        let apt = Apt { folder: folder.to_path_buf() };
        fs::write(apt.sources(), sources_list(&archives)).context("write apt sources")?;
        fs::write(apt.preferences(), preferences()).context("write apt preferences")?;
        fs::write(folder.join("apt.conf"), apt.configuration()).context("write apt settings")?;
        process::output(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    pub fn sources(&self) -> PathBuf {
        self.folder.join("sources.list")
    }

    pub fn preferences(&self) -> PathBuf {
        self.folder.join("preferences")
    }

    /// Downloads packages in the versions that the pin selects.
    pub fn download(&self, packages: &[String], into: &Path) -> Result<()> {
        fs::create_dir_all(into).with_context(|| format!("create {}", into.display()))?;
        process::output(self.command("apt-get").arg("download").args(packages).current_dir(into))?;
        Ok(())
    }

    /// A package's record in the version that the pin selects.
    pub fn show(&self, package: &str) -> Result<String> {
        process::output(self.command("apt-cache").args(["show", "--no-all-versions", package]))
    }

    /// Fetches the upstream tarball of a source package, checked by its hash.
    pub fn download_upstream(&self, source: &str, version: &str, to: &Path) -> Result<()> {
        let listed = process::output(self.command("apt-get").args([
            "source",
            "--print-uris",
            "--only-source",
            &format!("{source}={version}"),
        ]))?;
        let line = listed
            .lines()
            .find(|line| line.contains(".orig.tar"))
            .with_context(|| format!("no upstream tarball of {source} {version} is listed"))?;
        let mut words = line.split_whitespace();
        let (Some(uri), Some(hash)) = (words.next(), words.nth(2)) else {
            bail!("apt-get lists a source file as {line:?}");
        };
        process::output(
            self.command("/usr/lib/apt/apt-helper")
                .arg("download-file")
                .arg(uri.trim_matches('\''))
                .arg(to)
                .arg(hash),
        )?;
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.folder.join("apt.conf"));
        command
    }

    fn configuration(&self) -> String {
        let folder = self.folder.display();
        format!(
            "Dir::State \"{folder}/state\";\n\
             Dir::State::status \"/dev/null\";\n\
             Dir::Cache \"{folder}/cache\";\n\
             Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"{folder}/preferences\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n\
             APT::Sandbox::User \"root\";\n"
        )
    }
}

/// Settings that mmdebstrap's own apt needs to reach what this machine reaches.
pub fn proxy_settings() -> Result<Vec<String>> {
    let dump = process::output(Command::new("apt-config").arg("dump"))?;
    Ok(dump
        .lines()
        .filter(|line| line.starts_with("Acquire::") && line.to_lowercase().contains("proxy"))
        .map(str::to_string)
        .collect())
}

struct Archives {
    main: String,
    security: Option<String>,
}

fn archives_of_this_machine() -> Result<Archives> {
    let mut listed = process::output(Command::new("apt-get").arg("indextargets"))?;
    if archive(&listed, "Debian").is_none() {
        // A fresh container has no lists, and without them no labels.
        process::output(Command::new("apt-get").arg("update"))?;
        listed = process::output(Command::new("apt-get").arg("indextargets"))?;
    }
    let Some(main) = archive(&listed, "Debian") else {
        return Err(Unsuited("apt of this machine has no source of Debian's main archive".into()).into());
    };
    Ok(Archives { main, security: archive(&listed, "Debian-Security") })
}

/// The address of the archive with a label, out of `apt-get indextargets`.
fn archive(listed: &str, label: &str) -> Option<String> {
    listed.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(": ")?;
                (key == name).then_some(value)
            })
        };
        let wanted = field("Created-By") == Some("Packages") && field("Label") == Some(label);
        wanted.then(|| field("Repo-URI").map(str::to_string))?
    })
}

fn sources_list(archives: &Archives) -> String {
    let keys = if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
    let main = &archives.main;
    let mut list = String::new();
    for suite in ["", "-updates", "-backports"] {
        list += &format!("deb {keys}{main} {RELEASE}{suite} main\n");
    }
    if let Some(security) = &archives.security {
        list += &format!("deb {keys}{security} {RELEASE}-security main\n");
    }
    list += &format!("deb-src {keys}{main} {RELEASE}-backports main\n");
    list
}

/// By codename: the backports' Release file does not name the suite.
fn preferences() -> String {
    format!("Package: *\nPin: release n={RELEASE}-backports\nPin-Priority: 600\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "MetaKey: main/dep11\nLabel: Debian\nCreated-By: DEP-11\n\
                          Repo-URI: http://wrong.invalid/\n\n\
                          Label: Debian-Security\nCreated-By: Packages\n\
                          Repo-URI: http://security.invalid/\n\n\
                          Label: Debian\nCreated-By: Packages\n\
                          Repo-URI: http://main.invalid/\n";

    #[test]
    fn archive_is_found_by_label_among_package_lists_only() {
        assert_eq!(archive(LISTED, "Debian").as_deref(), Some("http://main.invalid/"));
    }

    #[test]
    fn backports_come_from_the_archive_that_serves_the_release() {
        let list = sources_list(&Archives { main: "http://main.invalid/".into(), security: None });
        assert!(list.contains("http://main.invalid/ bookworm-backports main"), "{list}");
    }
}
