//! `cargo xtask console`: the web console. It is built from `console/src` into `console/dist` and, as a page
//! of Cockpit, into `console/dist-cockpit`; both are committed so that building Divvy needs no Node. Here it
//! is built, compared with what is committed, and tried in a real browser before a real divvyd. What is
//! missing for it is installed, if this is Debian and root asks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::cockpit::{self, Cockpit};
use crate::product::{Binaries, Profile};
use crate::rig::prerequisites::{find_program, install};

const USAGE: &str = "usage: cargo xtask console COMMAND
  build                  build console/dist and console/dist-cockpit from console/src
  check                  check the types, and that both are what console/src makes
  test [FILE…]           check, then run the tests of tests/console in a browser
  screenshots [FOLDER]   pictures of the main pages, in target/console when no folder is named
  pictures               the pictures of README, in docs/images
  paint                  how long it takes to show what was done, with 25,600 partitions";

/// This machine has no Node or no browser, and they cannot be installed here.
const EXIT_UNSUITED: u8 = 3;

/// A program, and the Debian package that brings it.
type Need = (&'static str, &'static str);
type Doing = fn(&[&str]) -> Result<ExitCode>;
const NODE: Need = ("node", "nodejs");
const NPM: Need = ("npm", "npm");
const BROWSER: Need = ("chromium", "chromium");

/// What the sources make, as folders of `console`.
const MADE: &[&str] = &["dist", "dist-cockpit"];

/// The one file of tests that needs Cockpit.
const COCKPIT_TESTS: &str = "cockpit.test.mjs";

pub fn main(arguments: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (needs, doing): (&[Need], Doing) = match words.as_slice() {
        ["build"] => (&[NODE, NPM], |_| done(build(&console()))),
        ["check"] => (&[NODE, NPM], |_| done(check())),
        ["test", ..] => (&[NODE, NPM, BROWSER], test),
        ["screenshots"] | ["screenshots", _] => (&[NODE, NPM, BROWSER], |folder| done(screenshots(folder))),
        ["pictures"] => (&[NODE, NPM, BROWSER], |_| pictures()),
        ["paint"] => (&[NODE, NPM, BROWSER], |_| done(in_browser(&["node", "paint.mjs"], None))),
        _ => {
            eprintln!("{USAGE}");
            return Ok(ExitCode::from(2));
        }
    };
    match lacks(needs)? {
        Some(why) => Ok(unsuited(&why)),
        None => doing(&words[1..]),
    }
}

fn done(what: Result<()>) -> Result<ExitCode> {
    what.map(|()| ExitCode::SUCCESS)
}

fn unsuited(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(EXIT_UNSUITED)
}

fn console() -> PathBuf {
    crate::repository().join("console")
}

fn browser_tests() -> PathBuf {
    crate::repository().join("tests/console")
}

/// What is missing and cannot be installed; what can be, is.
fn lacks(needs: &[Need]) -> Result<Option<String>> {
    let missing = needs.iter().filter(|(program, _)| find_program(program).is_none());
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(None);
    }
    if nix::unistd::geteuid().is_root() && find_program("apt-get").is_some() {
        install(&packages)?;
        return Ok(None);
    }
    Ok(Some(format!("the console needs more than is here: apt-get install {}", packages.join(" "))))
}

fn run(folder: &Path, words: &[&str]) -> Result<()> {
    let (program, rest) = words.split_first().context("a command has a program")?;
    let status = Command::new(program).args(rest).current_dir(folder).status();
    let status = status.with_context(|| format!("run {program}"))?;
    ensure!(status.success(), "{} in {} ended with {status}", words.join(" "), folder.display());
    Ok(())
}

/// The packages of a folder, exactly those of its lock file; not again while that is the same.
fn packages(folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json")).context("read package-lock.json")?;
    let mark = folder.join("node_modules/.divvy-lock");
    if fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run(folder, &["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    fs::write(&mark, lock).with_context(|| format!("write {}", mark.display()))
}

fn build(out: &Path) -> Result<()> {
    packages(&console())?;
    let out = out.to_str().context("the folder of the console is no text")?;
    run(&console(), &["node", "build.mjs", out])
}

fn check() -> Result<()> {
    packages(&console())?;
    run(&console(), &["npm", "run", "--silent", "check"])?;
    let made = std::env::temp_dir().join(format!("divvy-console-{}", std::process::id()));
    let compare = |()| MADE.iter().try_for_each(|name| compare(&made.join(name), &console().join(name)));
    let verdict = build(&made).and_then(compare);
    // What is left behind in a folder for temporary files is nobody's loss.
    let _ = fs::remove_dir_all(&made);
    verdict
}

fn compare(made: &Path, committed: &Path) -> Result<()> {
    let name = committed.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (made, committed) = (files(made)?, files(committed)?);
    let differs = made.keys().chain(committed.keys()).find(|path| made.get(*path) != committed.get(*path));
    if let Some(path) = differs {
        anyhow::bail!(
            "console/{name}/{} is not what console/src makes; cargo xtask console build mends it",
            path.display()
        );
    }
    println!("console/{name} is what console/src makes: {} files", committed.len());
    Ok(())
}

/// Every file below a folder, by its path there.
fn files(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(&below).with_context(|| format!("list {}", below.display()))? {
            let path = entry.with_context(|| format!("list {}", below.display()))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let content = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            found.insert(path.strip_prefix(folder).unwrap_or(&path).to_path_buf(), content);
        }
    }
    Ok(found)
}

fn test(files: &[&str]) -> Result<ExitCode> {
    check()?;
    let all = test_files()?;
    let mut chosen: Vec<&str> =
        if files.is_empty() { all.iter().map(String::as_str).collect() } else { files.to_vec() };
    let cockpit = match chosen.contains(&COCKPIT_TESTS).then(cockpit::prepare).transpose()? {
        Some(Err(why)) if chosen.len() == 1 => return Ok(unsuited(&why)),
        Some(Err(why)) => {
            println!("left out: {COCKPIT_TESTS}: {why}");
            chosen.retain(|file| *file != COCKPIT_TESTS);
            None
        }
        Some(Ok(found)) => Some(found),
        None => None,
    };
    // One after the other: each has a browser and a divvyd.
    let words = [&["node", "--test", "--test-concurrency=1"], chosen.as_slice()].concat();
    done(in_browser(&words, cockpit.as_ref()))
}

fn test_files() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for path in files(&browser_tests())?.into_keys().filter(|path| path.parent() == Some(Path::new(""))) {
        let name = path.to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") {
            names.push(name);
        }
    }
    Ok(names)
}

fn screenshots(folder: &[&str]) -> Result<()> {
    let usual = crate::product::target_folder().join("console");
    let folder = folder.first().map_or(usual, |named| {
        std::env::current_dir().map_or_else(|_| PathBuf::from(named), |here| here.join(named))
    });
    in_browser(&["node", "screenshots.mjs", folder.to_str().context("the folder is no text")?], None)?;
    println!("{}", folder.display());
    Ok(())
}

/// Pictures that are committed; a machine without Cockpit would leave one out, and so makes none.
fn pictures() -> Result<ExitCode> {
    let cockpit = match cockpit::prepare()? {
        Ok(found) => found,
        Err(why) => return Ok(unsuited(&why)),
    };
    let folder = crate::repository().join("docs/images");
    let words = ["node", "pictures.mjs", folder.to_str().context("the folder is no text")?];
    done(in_browser(&words, Some(&cockpit)))
}

/// Runs a script of the tests on programs that were just built.
fn in_browser(words: &[&str], cockpit: Option<&Cockpit>) -> Result<()> {
    packages(&browser_tests())?;
    let binaries = Binaries::build(Profile::Debug)?;
    let (program, rest) = words.split_first().context("a command has a program")?;
    let mut command = Command::new(program);
    command.args(rest).current_dir(browser_tests()).env("DIVVY_BINARIES", &binaries.folder);
    command.env("CHROMIUM", find_program(BROWSER.0).context("there is a browser")?);
    if let Some(cockpit) = cockpit {
        command.env("COCKPIT_WS", &cockpit.server).env("COCKPIT_BRIDGE", &cockpit.bridge);
    }
    let status = command.status().with_context(|| format!("run {program}"))?;
    ensure!(status.success(), "{} ended with {status}", words.join(" "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder for a test");
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("has a folder")).expect("its folder");
            fs::write(path, content).expect("is written");
        }
        folder
    }

    #[test]
    fn the_same_files_are_the_same_console() {
        let (one, two) = (folder(&[("a/b.js", "1")]), folder(&[("a/b.js", "1")]));
        compare(one.path(), two.path()).expect("are the same");
    }

    #[test]
    fn another_content_one_more_and_one_less_are_named() {
        let committed = folder(&[("a.js", "1")]);
        for made in [vec![("a.js", "2")], vec![("a.js", "1"), ("b.js", "")], vec![("c.js", "1")]] {
            let made = folder(&made);
            let told = compare(made.path(), committed.path()).expect_err("differ").to_string();
            assert!(told.contains("cargo xtask console build"), "{told}");
        }
    }

    #[test]
    fn the_lock_files_name_no_registry() {
        for lock in [console().join("package-lock.json"), browser_tests().join("package-lock.json")] {
            let text = fs::read_to_string(&lock).expect("is there");
            assert!(!text.contains("\"resolved\""), "{}", lock.display());
        }
    }
}
