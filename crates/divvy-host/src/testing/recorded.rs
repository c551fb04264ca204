//! A server's tree as `cargo xtask record` wrote it down, to be looked at again. It does not change: what is
//! written to it is refused as by a file system that is mounted read-only. Who had what open when it was
//! recorded is not in it, so nothing is.
//!
//! The format is described where it is written, in `xtask/src/record.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use serde_json::Value;

use crate::sysfs::{Access, Ran, Sysfs};

/// Links that are followed for one path, as many as the kernel follows.
const MOST_LINKS: usize = 40;

#[derive(Debug)]
enum Entry {
    Folder(Option<Errno>),
    Link(String),
    File(Result<Vec<u8>, Errno>),
}

/// A recorded tree.
#[derive(Debug)]
pub struct Recorded {
    /// What it is, in the words of who recorded it.
    pub about: String,
    entries: BTreeMap<String, Entry>,
}

impl Recorded {
    /// The fixture of this name, from the crate's folder of fixtures.
    pub fn fixture(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let text = fs::read_to_string(folder.join(format!("{name}.jsonl"))).expect("the fixture is there");
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
        let head = lines.next().expect("a first line");
        assert_eq!(head["fixture"], 1, "another format");
        let about = head["about"].as_str().expect("says what it is").to_owned();
        let entries = lines.map(|line| (field(&line, "path").expect("a path").to_owned(), entry(&line)));
        Self { about, entries: entries.collect() }
    }

    /// The path with every link on the way followed; the last one too, if so asked.
    fn resolve(&self, path: &str, last_too: bool) -> io::Result<String> {
        let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(part),
            }
            let Some(Entry::Link(to)) = self.entries.get(&done.join("/")) else { continue };
            if left.is_empty() && !last_too {
                break;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::ELOOP.into());
            }
            done.pop();
            if to.starts_with('/') {
                done.clear();
            }
            left.extend(to.split('/').rev().map(str::to_owned));
        }
        Ok(done.join("/"))
    }

    /// What is in a folder: names of entries that begin with its path.
    fn inside(&self, folder: &str) -> BTreeSet<String> {
        let start = format!("{folder}/");
        let below = self.entries.range(start.clone()..).map_while(|(path, _)| path.strip_prefix(&start));
        below.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect()
    }
}

fn field<'v>(line: &'v Value, name: &str) -> Option<&'v str> {
    line[name].as_str()
}

fn entry(line: &Value) -> Entry {
    let error = field(line, "errno").map(errno);
    match field(line, "is").expect("says what it is") {
        "folder" => Entry::Folder(error),
        "link" => Entry::Link(field(line, "to").expect("leads somewhere").to_owned()),
        "file" => Entry::File(match (field(line, "text"), field(line, "hex"), error) {
            (Some(text), ..) => Ok(text.as_bytes().to_vec()),
            (_, Some(hex), _) => Ok(bytes(hex, line["bytes"].as_u64().expect("a size"))),
            (.., Some(error)) => Err(error),
            // What is only written is not read by anybody; what was left out cannot be told.
            _ if line["left_out"].is_null() => Err(Errno::EACCES),
            _ => Err(Errno::ENODATA),
        }),
        other => panic!("{other:?} is no kind of entry"),
    }
}

/// Zeros at the end are not written down.
fn bytes(hex: &str, size: u64) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    let mut bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
    bytes.resize(usize::try_from(size).expect("a fixture fits into memory"), 0);
    bytes
}

/// The error of this name; EIO for the few that nobody expects in a tree.
fn errno(name: &str) -> Errno {
    let known = [
        Errno::EACCES,
        Errno::EBUSY,
        Errno::EINVAL,
        Errno::ENODEV,
        Errno::ENOENT,
        Errno::ENXIO,
        Errno::EOPNOTSUPP,
        Errno::EPERM,
    ];
    known.into_iter().find(|errno| format!("{errno:?}") == name).unwrap_or(Errno::EIO)
}

impl Sysfs for Recorded {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        match self.entries.get(&self.resolve(path, true)?) {
            Some(Entry::File(content)) => content.clone().map_err(io::Error::from),
            Some(Entry::Folder(_)) => Err(Errno::EISDIR.into()),
            Some(Entry::Link(_)) | None => Err(Errno::ENOENT.into()),
        }
    }

    fn write(&self, _path: &str, _value: &str) -> io::Result<()> {
        Err(Errno::EROFS.into())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let folder = self.resolve(path, true)?;
        let names = self.inside(&folder);
        match self.entries.get(&folder) {
            Some(Entry::Folder(Some(error))) => Err((*error).into()),
            Some(Entry::File(_)) => Err(Errno::ENOTDIR.into()),
            Some(Entry::Folder(None)) => Ok(names.into_iter().collect()),
            Some(Entry::Link(_)) | None if names.is_empty() => Err(Errno::ENOENT.into()),
            Some(Entry::Link(_)) | None => Ok(names.into_iter().collect()),
        }
    }

    fn link(&self, path: &str) -> io::Result<String> {
        match self.entries.get(&self.resolve(path, false)?) {
            Some(Entry::Link(to)) => Ok(to.clone()),
            Some(_) => Err(Errno::EINVAL.into()),
            None => Err(Errno::ENOENT.into()),
        }
    }

    /// What is recorded has no owners.
    fn access(&self, _path: &str) -> io::Result<Access> {
        Err(Errno::ENOENT.into())
    }

    fn exists(&self, path: &str) -> bool {
        let resolved = self.resolve(path, false);
        resolved.is_ok_and(|path| self.entries.contains_key(&path) || !self.inside(&path).is_empty())
    }

    fn open_vfio_groups(&self) -> io::Result<BTreeMap<u32, Vec<u32>>> {
        Ok(BTreeMap::new())
    }

    fn write_within(&self, path: &str, value: &str, _deadline: Duration) -> io::Result<()> {
        self.write(path, value)
    }

    fn read_within(&self, path: &str, _deadline: Duration) -> io::Result<Vec<u8>> {
        self.read(path)
    }

    fn run(&self, _program: &str, _args: &[&str], _deadline: Duration) -> io::Result<Ran> {
        Err(io::ErrorKind::NotFound.into())
    }
}

#[cfg(test)]
mod tests;
